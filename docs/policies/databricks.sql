-- What a merge does in Databricks, as grants: put in your names, and the application id of the service principal. Without
-- CREATE SCHEMA the schema must be there.
GRANT USE CATALOG, CREATE SCHEMA ON CATALOG main TO `APPLICATION_ID`;

-- Instead of CREATE SCHEMA above, for a schema that is there:
GRANT USE SCHEMA, CREATE TABLE, SELECT, MODIFY ON SCHEMA main.hubspot TO `APPLICATION_ID`;

-- The staged files.
CREATE EXTERNAL LOCATION hubspot_staged URL 's3://BUCKET/' WITH (STORAGE CREDENTIAL hubspot_reader);
GRANT READ FILES ON EXTERNAL LOCATION hubspot_staged TO `APPLICATION_ID`;

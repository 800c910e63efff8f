//! The tables of metadata.

use staging::ColumnType::{self, BigInt, Boolean, Double, Json, Text, Timestamp};

use crate::feeds::collection::{Collection, Column, field, made};

pub(super) const PORTAL_ID: Column = made("portal_id", BigInt, "the account's id");
const OBJECT: Column = made("object", Text, "the table of the object: `deals`, `tickets`, a custom object's");
/// HubSpot shows a few more things than a table's rows need; they are in `_extra`.
pub(super) const CREATED_AT: Column = field("created_at", Timestamp, "createdAt");
pub(super) const UPDATED_AT: Column = field("updated_at", Timestamp, "updatedAt");
pub(super) const ARCHIVED: Column = field("archived", Boolean, "archived");
const ARCHIVED_AT: Column = field("archived_at", Timestamp, "archivedAt");

/// Makes a column of ids that is filled from the field of another object than the row's own.
pub(super) const fn of_parent(name: &'static str, column_type: ColumnType, how: &'static str) -> Column {
    made(name, column_type, how)
}

/// Makes a table whose rows are all in one answer: of an object if they have that column, else of the account.
pub(super) const fn table(
    name: &'static str,
    about: &'static str,
    keys: (&'static [&'static str], &'static [&'static str], &'static str),
    calls: &'static str,
    columns: &'static [Column],
) -> Collection {
    let (set_key, primary_key, key_reason) = keys;
    Collection { name, about, primary_key, key_reason, set_key, is_deletable: true, calls, columns }
}

pub(super) const ACCOUNT: &[&str] = &["portal_id"];
pub(super) const BY_ID: (&[&str], &[&str], &str) = (
    ACCOUNT,
    &["portal_id", "id"],
    "HubSpot's id. A row with an empty `id` or 0, marked as deleted, says that there are none any more",
);
const WITH_OWNERS: &str = "none: read with `owners`";

pub(super) static PIPELINES: Collection = table(
    "pipelines",
    "A pipeline of deals, tickets or another object. One that was deleted keeps its row: HubSpot forgets it, and old \
     records still name it.",
    (
        &["object"],
        &["object", "id"],
        "HubSpot's id of a pipeline, which is unique within an object. A row with an empty `id`, marked as deleted, says \
         that the object has none any more",
    ),
    "1 for each object with pipelines",
    &[
        OBJECT,
        PORTAL_ID,
        field("id", Text, "id"),
        field("label", Text, "label"),
        field("display_order", BigInt, "displayOrder"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
        ARCHIVED_AT,
    ],
);

pub(super) static PIPELINE_STAGES: Collection = table(
    "pipeline_stages",
    "A stage of a pipeline: `deals.dealstage` and `tickets.hs_pipeline_stage` hold its `id`. The id stays when a stage is \
     renamed: only `label`, `probability` and `is_closed` say what a stage is. One that was deleted keeps its row.",
    (
        &["object"],
        &["object", "pipeline_id", "id"],
        "HubSpot's id of a stage, within its pipeline. A row with an empty `id`, marked as deleted, says that the object \
         has none any more",
    ),
    "none: read with `pipelines`",
    &[
        OBJECT,
        PORTAL_ID,
        of_parent("pipeline_id", Text, "`id` of the pipeline"),
        field("id", Text, "id"),
        field("label", Text, "label"),
        field("display_order", BigInt, "displayOrder"),
        field("probability", Double, "metadata.probability"),
        field("is_closed", Boolean, "metadata.isClosed"),
        field("ticket_state", Text, "metadata.ticketState"),
        field("write_permissions", Text, "writePermissions"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
        ARCHIVED_AT,
    ],
);

pub(super) static OWNERS: Collection = table(
    "owners",
    "An owner of records: properties such as `hubspot_owner_id` hold its `id`. One whose user was deactivated is \
     `archived`, and HubSpot does not tell its name and `user_id` any more.",
    BY_ID,
    "1 for each 100 owners, 1 for each 100 archived ones (at least 2)",
    &[
        PORTAL_ID,
        field("id", Text, "id"),
        field("email", Text, "email"),
        field("first_name", Text, "firstName"),
        field("last_name", Text, "lastName"),
        field("type", Text, "type"),
        field("user_id", BigInt, "userId"),
        field("user_id_including_inactive", BigInt, "userIdIncludingInactive"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
    ],
);

pub(super) static OWNER_TEAMS: Collection = table(
    "owner_teams",
    "A team that an owner is in.",
    (
        ACCOUNT,
        &["portal_id", "owner_id", "team_id"],
        "the owner and the team. A row with empty ids, marked as deleted, says that no owner is in a team any more",
    ),
    WITH_OWNERS,
    &[
        PORTAL_ID,
        of_parent("owner_id", Text, "`id` of the owner"),
        field("team_id", Text, "id"),
        field("team_name", Text, "name"),
        field("is_primary", Boolean, "primary"),
    ],
);

pub(super) static ACCOUNT_USERS: Collection = table(
    "account_users",
    "A user of the account, as its settings have them: `owners.user_id` is its `id`. The CRM's own object of users is \
     `users`, with other ids.",
    BY_ID,
    "1 for each 100 users",
    &[
        PORTAL_ID,
        field("id", BigInt, "id"),
        field("email", Text, "email"),
        field("first_name", Text, "firstName"),
        field("last_name", Text, "lastName"),
        field("role_id", Text, "roleId"),
        field("role_ids", Json, "roleIds"),
        field("primary_team_id", Text, "primaryTeamId"),
        field("secondary_team_ids", Json, "secondaryTeamIds"),
        field("super_admin", Boolean, "superAdmin"),
        field("seat_names", Json, "seatNames"),
    ],
);

pub(super) static ROLES: Collection = table(
    "roles",
    "A role that users can have: `account_users.role_id` is its `id`.",
    BY_ID,
    "1",
    &[
        PORTAL_ID,
        field("id", Text, "id"),
        field("name", Text, "name"),
        field("requires_billing_write", Boolean, "requiresBillingWrite"),
    ],
);

pub(super) static TEAMS: Collection = table(
    "teams",
    "A team of users: properties such as `hubspot_team_id` hold its `id`.",
    BY_ID,
    "1",
    &[PORTAL_ID, field("id", Text, "id"), field("name", Text, "name")],
);

pub(super) static TEAM_USERS: Collection = table(
    "team_users",
    "A user in a team.",
    (
        ACCOUNT,
        &["portal_id", "team_id", "user_id"],
        "the team and the user. A row with an empty `team_id` and 0, marked as deleted, says that no team has users any \
         more",
    ),
    "none: read with `teams`",
    &[
        PORTAL_ID,
        of_parent("team_id", Text, "`id` of the team"),
        of_parent("user_id", BigInt, "one of the team's `userIds` or `secondaryUserIds`"),
        of_parent("is_primary", Boolean, "true for one of `userIds`: it is the user's main team"),
    ],
);

pub(super) static FORMS: Collection = table(
    "forms",
    "A form: `form_submissions.form_id` is its `id`.",
    BY_ID,
    "1 for each 100 forms, 1 for each 100 archived ones (at least 2)",
    &[
        PORTAL_ID,
        field("id", Text, "id"),
        field("name", Text, "name"),
        field("form_type", Text, "formType"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
        ARCHIVED_AT,
        field("field_groups", Json, "fieldGroups"),
        field("configuration", Json, "configuration"),
        field("display_options", Json, "displayOptions"),
        field("legal_consent_options", Json, "legalConsentOptions"),
    ],
);

pub(super) static SUBSCRIPTION_DEFINITIONS: Collection = table(
    "subscription_definitions",
    "A kind of e-mail that people can subscribe to: `email_subscription_event_changes.email_subscription_event_id` is \
     its `id`, and so is `id` in `email_subscriptions.subscription_statuses`.",
    BY_ID,
    "1",
    &[
        PORTAL_ID,
        field("id", BigInt, "id"),
        field("name", Text, "name"),
        field("description", Text, "description"),
        field("purpose", Text, "purpose"),
        field("communication_method", Text, "communicationMethod"),
        field("is_active", Boolean, "isActive"),
        field("is_default", Boolean, "isDefault"),
        field("is_internal", Boolean, "isInternal"),
        field("business_unit_id", BigInt, "businessUnitId"),
        CREATED_AT,
        UPDATED_AT,
    ],
);

pub(super) static EXCHANGE_RATES: Collection = table(
    "exchange_rates",
    "A rate between two currencies, from `effective_at` until the next one of the same pair.",
    BY_ID,
    "1 for each 100 rates",
    &[
        PORTAL_ID,
        field("id", Text, "id"),
        field("from_currency_code", Text, "fromCurrencyCode"),
        field("to_currency_code", Text, "toCurrencyCode"),
        field("conversion_rate", Double, "conversionRate"),
        field("effective_at", Timestamp, "effectiveAt"),
        field("visible_in_ui", Boolean, "visibleInUI"),
        CREATED_AT,
        UPDATED_AT,
    ],
);

pub(super) static OBJECT_SCHEMAS: Collection = table(
    "object_schemas",
    "A custom object of the account, a deleted one too.",
    (
        ACCOUNT,
        &["portal_id", "object_type_id"],
        "HubSpot's type id, such as `2-3444025`. A row with an empty one, marked as deleted, says that there are none any \
         more",
    ),
    "2",
    &[
        PORTAL_ID,
        field("object_type_id", Text, "objectTypeId"),
        field("id", Text, "id"),
        field("name", Text, "name"),
        field("fully_qualified_name", Text, "fullyQualifiedName"),
        field("label_singular", Text, "labels.singular"),
        field("label_plural", Text, "labels.plural"),
        field("description", Text, "description"),
        field("primary_display_property", Text, "primaryDisplayProperty"),
        field("secondary_display_properties", Json, "secondaryDisplayProperties"),
        field("required_properties", Json, "requiredProperties"),
        field("searchable_properties", Json, "searchableProperties"),
        field("associations", Json, "associations"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
    ],
);

pub(super) static PROPERTIES: Collection = table(
    "properties",
    "A property of an object: what its column means.",
    (
        &["object"],
        &["object", "name"],
        "a property's name, within its object. A row with an empty name, marked as deleted, says that the object has none \
         any more",
    ),
    "none: each object's definitions are read with its records",
    &[
        OBJECT,
        PORTAL_ID,
        field("name", Text, "name"),
        field("label", Text, "label"),
        field("description", Text, "description"),
        field("type", Text, "type"),
        field("field_type", Text, "fieldType"),
        field("group_name", Text, "groupName"),
        field("display_order", BigInt, "displayOrder"),
        field("calculated", Boolean, "calculated"),
        field("calculation_formula", Text, "calculationFormula"),
        field("hidden", Boolean, "hidden"),
        field("form_field", Boolean, "formField"),
        field("hubspot_defined", Boolean, "hubspotDefined"),
        field("has_unique_value", Boolean, "hasUniqueValue"),
        field("external_options", Boolean, "externalOptions"),
        field("referenced_object_type", Text, "referencedObjectType"),
        field("data_sensitivity", Text, "dataSensitivity"),
        CREATED_AT,
        UPDATED_AT,
        ARCHIVED,
    ],
);

pub(super) static PROPERTY_OPTIONS: Collection = table(
    "property_options",
    "An option of a property: what a value of its column means.",
    (
        &["object"],
        &["object", "property", "value"],
        "the value, within its property. A row with an empty `property`, marked as deleted, says that no property of the \
         object has options any more",
    ),
    "none: read with `properties`",
    &[
        OBJECT,
        PORTAL_ID,
        of_parent("property", Text, "`name` of the property"),
        field("value", Text, "value"),
        field("label", Text, "label"),
        field("description", Text, "description"),
        field("display_order", BigInt, "displayOrder"),
        field("hidden", Boolean, "hidden"),
    ],
);

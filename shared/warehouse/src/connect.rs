//! The list of warehouses, by the scheme of their URLs.

use aws_config::SdkConfig;
use secrecy::SecretString;

#[cfg(feature = "duckdb")]
use crate::duckdb;
use crate::error::{Error, Kind, Result};
use crate::warehouse::Warehouse;
use crate::{athena, dialect, postgres, redshift, snowflake};

/// `true`: [`connect`] needs an AWS configuration for this URL.
pub fn needs_aws(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| matches!(scheme, "redshift" | "athena"))
}

/// Opens the warehouse that `url` names. Nothing is created before the first merge.
///
/// `password` is for warehouses that have one; it goes before one in the url. Snowflake's is a user's private key.
/// `aws` is for those that are called by AWS credentials ([`needs_aws`]).
pub async fn connect(
    url: &str,
    schema: &str,
    password: Option<SecretString>,
    aws: Option<&SdkConfig>,
) -> Result<Box<dyn Warehouse>> {
    dialect::check_identifier("schema", schema)?;
    match url.split_once(':') {
        #[cfg(feature = "duckdb")]
        Some(("duckdb", path)) => Ok(Box::new(duckdb::connect(path, schema).await?)),
        #[cfg(not(feature = "duckdb"))]
        Some(("duckdb", _)) => Err(Error::new(
            Kind::Unsupported,
            "this program was built without DuckDB: build it with the cargo feature duckdb, or name another warehouse",
        )),
        Some(("postgres" | "postgresql", _)) => Ok(Box::new(postgres::connect(url, schema, password).await?)),
        Some(("redshift", _)) => Ok(Box::new(redshift::connect(url, schema, aws)?)),
        Some(("snowflake", _)) => Ok(Box::new(snowflake::connect(url, schema, password.as_ref())?)),
        Some(("athena", _)) => Ok(Box::new(athena::connect(url, schema, aws)?)),
        // Not the whole url: those of other warehouses hold passwords.
        other => Err(Error::new(
            Kind::Unsupported,
            format!(
                "warehouse has the unknown scheme {:?}: use duckdb:PATH, for example duckdb:hubspot.duckdb, \
                 postgres://USER@HOST/DATABASE, redshift://WORKGROUP/DATABASE?role=ARN, \
                 snowflake://USER@ACCOUNT/DATABASE?warehouse=NAME&stage=DATABASE.SCHEMA.STAGE, or \
                 athena://WORKGROUP/?location=s3://BUCKET/FOLDER",
                other.map_or("", |(scheme, _)| scheme)
            ),
        )),
    }
}

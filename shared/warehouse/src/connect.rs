//! The registry of warehouses, by the scheme of their URLs.

use aws_config::SdkConfig;
use futures::future::BoxFuture;
use secrecy::SecretString;

#[cfg(feature = "duckdb")]
use crate::duckdb;
use crate::error::{Error, Kind, Result};
use crate::warehouse::Warehouse;
use crate::{athena, bigquery, databricks, dialect, postgres, redshift, snowflake};

/// All warehouses.
const WAREHOUSES: &[Registered] = &[
    Registered {
        schemes: &["duckdb"],
        example: "duckdb:PATH, for example duckdb:warehouse.duckdb",
        needs_aws: false,
        open: open_duckdb,
    },
    Registered {
        schemes: &["postgres", "postgresql"],
        example: "postgres://USER@HOST/DATABASE",
        needs_aws: false,
        open: |of| {
            Box::pin(async move { Ok(boxed(postgres::connect(of.url, of.schema, of.password).await?)) })
        },
    },
    Registered {
        schemes: &["redshift"],
        example: "redshift://WORKGROUP/DATABASE?role=ARN",
        needs_aws: true,
        open: |of| Box::pin(async move { Ok(boxed(redshift::connect(of.url, of.schema, of.aws)?)) }),
    },
    Registered {
        schemes: &["snowflake"],
        example: "snowflake://USER@ACCOUNT/DATABASE?warehouse=NAME&stage=DATABASE.SCHEMA.STAGE",
        needs_aws: false,
        open: |of| {
            Box::pin(async move { Ok(boxed(snowflake::connect(of.url, of.schema, of.password.as_ref())?)) })
        },
    },
    Registered {
        schemes: &["bigquery"],
        example: "bigquery://PROJECT/DATASET?location=EU",
        needs_aws: false,
        open: |of| {
            Box::pin(async move { Ok(boxed(bigquery::connect(of.url, of.schema, of.password.as_ref())?)) })
        },
    },
    Registered {
        schemes: &["databricks"],
        example: "databricks://CLIENT_ID@HOST/CATALOG.SCHEMA?warehouse=ID",
        needs_aws: false,
        open: |of| {
            Box::pin(async move { Ok(boxed(databricks::connect(of.url, of.schema, of.password.as_ref())?)) })
        },
    },
    Registered {
        schemes: &["athena"],
        example: "athena://WORKGROUP/?location=s3://BUCKET/FOLDER",
        needs_aws: true,
        open: |of| Box::pin(async move { Ok(boxed(athena::connect(of.url, of.schema, of.aws)?)) }),
    },
];

/// One kind of warehouse.
struct Registered {
    /// Schemes of its URLs.
    schemes: &'static [&'static str],
    /// An example of its URL, for messages.
    example: &'static str,
    /// It is called by AWS credentials.
    needs_aws: bool,
    open: for<'a> fn(Address<'a>) -> Opened<'a>,
}

type Opened<'a> = BoxFuture<'a, Result<Box<dyn Warehouse>>>;

/// The place of one warehouse, and what opens it.
struct Address<'a> {
    url: &'a str,
    schema: &'a str,
    password: Option<SecretString>,
    aws: Option<&'a SdkConfig>,
}

fn boxed(warehouse: impl Warehouse + 'static) -> Box<dyn Warehouse> {
    Box::new(warehouse)
}

#[cfg(feature = "duckdb")]
fn open_duckdb(of: Address<'_>) -> Opened<'_> {
    let path = of.url.split_once(':').map_or("", |(_, path)| path);
    Box::pin(async move { Ok(boxed(duckdb::connect(path, of.schema).await?)) })
}

#[cfg(not(feature = "duckdb"))]
fn open_duckdb(_: Address<'_>) -> Opened<'_> {
    Box::pin(async {
        Err(Error::new(
            Kind::Unsupported,
            "this program was built without DuckDB: build it with the cargo feature duckdb, or name another warehouse",
        ))
    })
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn registered(url: &str) -> Option<&'static Registered> {
    WAREHOUSES.iter().find(|registered| registered.schemes.contains(&scheme(url)))
}

/// `true`: [`connect`] needs an AWS configuration for this URL.
pub fn needs_aws(url: &str) -> bool {
    registered(url).is_some_and(|registered| registered.needs_aws)
}

/// Opens the warehouse that `url` names. Nothing is created before the first merge.
///
/// `password` is for warehouses that have one; it goes before one in the url. Snowflake's is a user's private key. `aws`
/// is for those that are called by AWS credentials ([`needs_aws`]).
pub async fn connect(
    url: &str,
    schema: &str,
    password: Option<SecretString>,
    aws: Option<&SdkConfig>,
) -> Result<Box<dyn Warehouse>> {
    dialect::check_identifier("schema", schema)?;
    match registered(url) {
        Some(registered) => (registered.open)(Address { url, schema, password, aws }).await,
        // Not the whole url: those of other warehouses hold passwords.
        None => {
            let message = format!("warehouse has the unknown scheme {:?}: use {}", scheme(url), examples());
            Err(Error::new(Kind::Unsupported, message))
        }
    }
}

/// Returns a URL of each, as a sentence lists them.
fn examples() -> String {
    let examples: Vec<&str> = WAREHOUSES.iter().map(|registered| registered.example).collect();
    let (last, others) = examples.split_last().unwrap_or((&"", &[]));
    format!("{}, or {last}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_scheme_is_told_all_known_ones_and_no_password() {
        let refused = connect("mysql://u:secret@host/x", "hubspot", None, None).await.unwrap_err();
        let message = refused.to_string();
        for registered in WAREHOUSES {
            assert!(message.contains(registered.example), "{message}");
            assert!(
                registered
                    .schemes
                    .iter()
                    .all(|scheme| registered.example.contains(scheme) || *scheme == "postgresql")
            );
        }
        assert!(!message.contains("secret") && message.contains("\"mysql\""), "{message}");
        assert!(connect("hubspot.duckdb", "hubspot", None, None).await.is_err());
    }

    #[test]
    fn only_what_is_called_by_aws_credentials_needs_them() {
        assert!(needs_aws("redshift://w/d") && needs_aws("athena://w/"));
        assert!(!needs_aws("duckdb:x") && !needs_aws("postgres://h/d") && !needs_aws("athena"));
    }
}

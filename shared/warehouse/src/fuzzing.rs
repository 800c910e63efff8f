//! Private functions, for `tests/fuzz-targets`.

use secrecy::SecretString;

use crate::error::Result;
use crate::{athena, bigquery, databricks, postgres, redshift, snowflake};

/// A parsed URL in the form that may be logged, and the API's address if it is one of Snowflake.
#[derive(Debug)]
pub struct Parsed {
    pub shown: String,
    pub endpoint: Option<String>,
}

/// Parses a URL as `connect` does.
///
/// # Errors
/// When the url is refused.
pub fn parse(url: &str, password: Option<&str>) -> Result<Parsed> {
    let plain = |shown| Parsed { shown, endpoint: None };
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("redshift") => Ok(plain(format!("{:?}", redshift::url::target(url)?))),
        Some("bigquery") => Ok(plain(format!("{:?}", bigquery::url::target(url)?))),
        Some("databricks") => Ok(plain(format!("{:?}", databricks::url::target(url)?))),
        Some("athena") => Ok(plain(format!("{:?}", athena::url::target(url)?))),
        Some("snowflake") => {
            let target = snowflake::url::target(url)?;
            Ok(Parsed { shown: format!("{target:?}"), endpoint: Some(target.endpoint) })
        }
        _ => {
            let target = postgres::url::target(url, password.map(SecretString::from))?;
            Ok(plain(format!("{target:?} {}", target.name)))
        }
    }
}

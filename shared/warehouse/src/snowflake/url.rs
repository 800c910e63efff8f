//! `snowflake://` URLs. An unknown parameter is refused.
//!
//! Names are meant as Snowflake means them in SQL: bare ones are in upper case, those in double quotes are as written.

use percent_encoding::percent_decode_str;
use url::Url;

use super::dialect::is_ordinary;
use crate::dialect::quote_identifier;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::is_safe;

const EXAMPLE: &str = "snowflake://USER@ACCOUNT/DATABASE?warehouse=NAME&stage=DATABASE.SCHEMA.STAGE";
const PARAMETERS: &str = "warehouse, role, stage, storage_integration, endpoint";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// In upper case, as a token names them; the account without a region.
    pub(crate) user: String,
    pub(crate) account: String,
    /// The API's address, without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) database: String,
    pub(crate) warehouse: String,
    /// Without one it is the user's default role.
    pub(crate) role: Option<String>,
    pub(crate) files: Files,
}

/// The way in which Snowflake reads the bucket. Names are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Files {
    /// A stage whose url is the bucket itself.
    Stage(String),
    /// An integration that makes such a stage, for the time of a request.
    Integration(String),
}

pub(crate) fn target(url: &str) -> Result<Target> {
    let parsed = Url::parse(url).map_err(|_| refused("is no url"))?;
    if parsed.password().is_some() {
        return Err(refused("has a password: the user's private key is given apart"));
    }
    if parsed.fragment().is_some() || parsed.port().is_some() {
        return Err(refused("has a part that means nothing in it"));
    }
    let (mut warehouse, mut role, mut stage, mut integration, mut endpoint) = (None, None, None, None, None);
    for (parameter, value) in parsed.query_pairs() {
        if value.is_empty() {
            return Err(refused(&format!("has an empty {parameter}")));
        }
        match parameter.as_ref() {
            "warehouse" => warehouse = Some(name("warehouse", &value)?),
            "role" => role = Some(name("role", &value)?),
            "stage" => stage = Some(qualified(&value)?),
            "storage_integration" => {
                integration = Some(quote_identifier(&name("storage_integration", &value)?));
            }
            "endpoint" => endpoint = Some(checked(&value)?),
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = text(parsed.username());
    let host = text(parsed.host_str().unwrap_or_default());
    // It becomes a part of the host that tokens are sent to.
    let is_account = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !host.bytes().all(is_account) {
        return Err(refused(&format!("has the account {host:?}, which is none")));
    }
    let database = text(parsed.path().trim_start_matches('/'));
    let missing: Vec<&str> = [
        ("user", user.is_empty()),
        ("account", host.is_empty()),
        ("database", database.is_empty()),
        ("warehouse", warehouse.is_none()),
        ("stage or storage_integration", stage.is_none() && integration.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        return Err(refused(&format!("names no {}", missing.join(", no "))));
    }
    let files = match (stage, integration) {
        (Some(_), Some(_)) => return Err(refused("has a stage and a storage_integration: one is enough")),
        (Some(stage), None) => Files::Stage(stage),
        (None, integration) => Files::Integration(integration.unwrap_or_default()),
    };
    // A host name has no underscores, and no certificate for them.
    let place = host.to_lowercase().replace('_', "-");
    Ok(Target {
        user: user.to_uppercase(),
        account: host.split('.').next().unwrap_or_default().to_uppercase(),
        endpoint: endpoint.unwrap_or_else(|| format!("https://{place}.snowflakecomputing.com")),
        database: name("database", &database)?,
        warehouse: warehouse.unwrap_or_default(),
        role,
        files,
    })
}

/// A bare name in upper case, a quoted one without its quotes.
fn name(what: &str, text: &str) -> Result<String> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) if !quoted.replace("\"\"", "").contains('"') && !quoted.is_empty() => {
            Ok(quoted.replace("\"\"", "\""))
        }
        None if is_ordinary(text) => Ok(text.to_ascii_uppercase()),
        _ => Err(refused(&format!("has the {what} {text:?}, which is no name: write it in double quotes"))),
    }
}

/// `SCHEMA.STAGE`, or with a database before it; quoted.
fn qualified(text: &str) -> Result<String> {
    let (mut parts, mut is_quoted) = (vec![String::new()], false);
    for character in text.chars() {
        is_quoted ^= character == '"';
        match (character, is_quoted, parts.last_mut()) {
            ('.', false, _) => parts.push(String::new()),
            (_, _, Some(part)) => part.push(character),
            (_, _, None) => {}
        }
    }
    if !(2..=3).contains(&parts.len()) {
        return Err(refused("has a stage that is not DATABASE.SCHEMA.STAGE"));
    }
    let parts: Vec<String> =
        parts.iter().map(|part| Ok(quote_identifier(&name("stage", part)?))).collect::<Result<_>>()?;
    Ok(parts.join("."))
}

/// Refuses an endpoint to which a token would be sent without TLS.
fn checked(endpoint: &str) -> Result<String> {
    match is_safe(endpoint) {
        true => Ok(endpoint.trim_end_matches('/').to_owned()),
        false => Err(refused("has an endpoint that is not https")),
    }
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the snowflake url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_meant_as_in_sql() {
        let url =
            "snowflake://loader@my_org-acc/analytics?warehouse=wh&role=%22My Role%22&stage=raw.%22a.b%22.s";
        let target = target(url).unwrap();
        assert_eq!((target.user.as_str(), target.account.as_str()), ("LOADER", "MY_ORG-ACC"));
        assert_eq!(target.endpoint, "https://my-org-acc.snowflakecomputing.com");
        assert_eq!((target.database.as_str(), target.warehouse.as_str()), ("ANALYTICS", "WH"));
        assert_eq!(target.role.as_deref(), Some("My Role"));
        assert_eq!(target.files, Files::Stage(r#""RAW"."a.b"."S""#.to_owned()));
    }

    #[test]
    fn an_account_may_have_a_region_or_an_endpoint() {
        let url = "snowflake://me%40x.org@xy12345.eu-central-1/d?warehouse=w&storage_integration=i";
        let regional = target(url).unwrap();
        assert_eq!((regional.user.as_str(), regional.account.as_str()), ("ME@X.ORG", "XY12345"));
        assert_eq!(regional.endpoint, "https://xy12345.eu-central-1.snowflakecomputing.com");
        assert_eq!(regional.files, Files::Integration("\"I\"".to_owned()));
        let private = target(&format!("{url}&endpoint=https://o-a.privatelink.snowflakecomputing.com/"));
        assert_eq!(private.unwrap().endpoint, "https://o-a.privatelink.snowflakecomputing.com");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rest, words) in [
            ("", "names no user, no account, no database, no warehouse, no stage or storage_integration"),
            ("u@a/d?warehouse=w", "names no stage or storage_integration"),
            ("u@a/d?warehouse=w&stage=a.b.c&storage_integration=i", "one is enough"),
            ("u@a/d?warehouse=w&stage=c", "not DATABASE.SCHEMA.STAGE"),
            ("u@a/d?warehouse=my wh&stage=a.b.c", "write it in double quotes"),
            ("u@a/d?warehouse=w&stage=a.b.c&rolle=x", "unknown parameter \"rolle\": use some of warehouse"),
            ("u@a%2Fb/d?warehouse=w&stage=a.b.c", "the account \"a/b\", which is none"),
            ("u@a%25/d?warehouse=w&stage=a.b.c", "the account \"a%\", which is none"),
            ("u@a/d?warehouse=", "an empty warehouse"),
            ("u:p@a/d?warehouse=w&stage=a.b.c", "private key is given apart"),
            ("u@a/d?warehouse=w&stage=a.b.c&endpoint=http://proxy", "not https"),
        ] {
            let refusal = target(&format!("snowflake://{rest}")).unwrap_err().to_string();
            assert!(refusal.contains(words), "{rest}: {refusal}");
            assert!(!refusal.contains("u:p"), "{refusal}");
        }
    }
}

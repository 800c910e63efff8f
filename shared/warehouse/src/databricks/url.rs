//! `databricks://` URLs. An unknown parameter is refused.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{Error, Kind, Result};
use crate::sql_over_http::is_safe;

const EXAMPLE: &str = "databricks://CLIENT_ID@HOST/CATALOG.SCHEMA?warehouse=ID";
const PARAMETERS: &str = "warehouse, endpoint";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The service principal whose secret is given; without one the secret is a token.
    pub(crate) client_id: Option<String>,
    /// The workspace's address, without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) catalog: String,
    /// Goes before the schema's name.
    pub(crate) schema: Option<String>,
    /// The id of the SQL warehouse.
    pub(crate) warehouse: String,
}

pub(crate) fn target(url: &str) -> Result<Target> {
    let parsed = Url::parse(url).map_err(|_| refused("is no url"))?;
    if parsed.password().is_some() {
        return Err(refused("has a password: the principal's secret, or a token, is given apart"));
    }
    if parsed.fragment().is_some() || parsed.port().is_some() {
        return Err(refused("has a part that means nothing in it"));
    }
    let (mut warehouse, mut endpoint) = (String::new(), None);
    for (parameter, value) in parsed.query_pairs() {
        match parameter.as_ref() {
            _ if value.is_empty() => return Err(refused(&format!("has an empty {parameter}"))),
            "warehouse" if value.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                warehouse = value.into_owned();
            }
            "warehouse" => {
                let why = format!(
                    "has the warehouse {value:?}: its id is wanted, the end of its HTTP path \
                                   (/sql/1.0/warehouses/ID)"
                );
                return Err(refused(&why));
            }
            "endpoint" if is_safe(&value) => endpoint = Some(value.trim_end_matches('/').to_owned()),
            "endpoint" => return Err(refused("has an endpoint that is not https")),
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let host = text(parsed.host_str().unwrap_or_default());
    // Credentials are sent there.
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err(refused(&format!("has the host {host:?}, which is none")));
    }
    let path = text(parsed.path().trim_start_matches('/'));
    let (catalog, schema) = match path.split_once('.') {
        Some((catalog, schema)) => (catalog.to_owned(), Some(schema.to_owned())),
        None => (path, None),
    };
    // <https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names>
    let is_name = |name: &String| {
        !name.contains(|c: char| c.is_control() || matches!(c, '.' | ' ' | '/' | '`' | '"' | '\\'))
    };
    for name in schema.iter().chain([&catalog]) {
        if !is_name(name) {
            return Err(refused(&format!("has the name {name:?}, which is none in Unity Catalog")));
        }
    }
    let missing: Vec<&str> = [
        ("host", host.is_empty()),
        ("catalog", catalog.is_empty()),
        ("schema behind the dot", schema.as_ref().is_some_and(String::is_empty)),
        ("warehouse", warehouse.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        return Err(refused(&format!("names no {}", missing.join(", no "))));
    }
    Ok(Target {
        client_id: Some(text(parsed.username())).filter(|id| !id.is_empty()),
        endpoint: endpoint.unwrap_or_else(|| format!("https://{host}")),
        catalog,
        schema,
        warehouse,
    })
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the databricks url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let url = "databricks://1f7c-a@dbc-1.cloud.databricks.com/main.hub-spot?warehouse=0a1b2c3d4e5f6071";
        let target = target(url).unwrap();
        assert_eq!(target.client_id.as_deref(), Some("1f7c-a"));
        assert_eq!(target.endpoint, "https://dbc-1.cloud.databricks.com");
        assert_eq!((target.catalog.as_str(), target.schema.as_deref()), ("main", Some("hub-spot")));
        assert_eq!(target.warehouse, "0a1b2c3d4e5f6071");
        let bare = super::target("databricks://h.example/main?warehouse=1&endpoint=https://p.example/");
        let bare = bare.unwrap();
        assert_eq!((bare.client_id, bare.schema), (None, None));
        assert_eq!(bare.endpoint, "https://p.example");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rest, words) in [
            ("", "names no host, no catalog, no warehouse"),
            ("h/?warehouse=1", "names no catalog"),
            ("h/main.?warehouse=1", "names no schema behind the dot"),
            ("h/main.a", "names no warehouse"),
            ("h/main.a.b?warehouse=1", "the name \"a.b\", which is none"),
            ("h/main.a%20b?warehouse=1", "the name \"a b\", which is none"),
            ("h%2Fx/main?warehouse=1", "the host \"h/x\", which is none"),
            ("h/main?warehouse=", "an empty warehouse"),
            ("h/main?warehouse=%2Fsql%2F1.0%2Fwarehouses%2F1", "its id is wanted"),
            ("h/main?warehouse=1&role=x", "unknown parameter \"role\": use some of warehouse"),
            ("h/main?warehouse=1&endpoint=http://proxy", "not https"),
            ("u:s3cret@h/main?warehouse=1", "is given apart"),
            ("h:443/main?warehouse=1", "means nothing in it"),
        ] {
            let refusal = target(&format!("databricks://{rest}")).unwrap_err().to_string();
            assert!(refusal.contains(words), "{rest}: {refusal}");
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }
}

//! `bigquery://` URLs. An unknown parameter is refused.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{Error, Kind, Result};
pub(super) use crate::sql_over_http::{is_local, is_safe};

const EXAMPLE: &str = "bigquery://PROJECT/DATASET?location=EU";
const PARAMETERS: &str = "location, endpoint";
const ENDPOINT: &str = "https://bigquery.googleapis.com";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) project: String,
    /// Goes before the schema's name.
    pub(crate) dataset: Option<String>,
    /// The place of a dataset that is made, and of all jobs. Without one it is where BigQuery has its default, `US`.
    pub(crate) location: Option<String>,
    /// The API's address, without a slash at the end.
    pub(crate) endpoint: String,
}

pub(crate) fn target(url: &str) -> Result<Target> {
    let parsed = Url::parse(url).map_err(|_| refused("is no url"))?;
    if parsed.password().is_some() || !parsed.username().is_empty() {
        return Err(refused("has a user: a key, or what stands for one, is given apart"));
    }
    if parsed.fragment().is_some() || parsed.port().is_some() {
        return Err(refused("has a part that means nothing in it"));
    }
    let (mut location, mut endpoint) = (None, None);
    for (parameter, value) in parsed.query_pairs() {
        if value.is_empty() {
            return Err(refused(&format!("has an empty {parameter}")));
        }
        match parameter.as_ref() {
            "location" if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
                location = Some(value.into_owned());
            }
            "location" => return Err(refused(&format!("has the location {value:?}, which is none"))),
            "endpoint" => endpoint = Some(checked_endpoint(&value)?),
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let project = text(parsed.host_str().unwrap_or_default());
    if project.is_empty() {
        return Err(refused("names no project"));
    }
    // Both become parts of addresses that tokens are sent to. Old projects have a domain's name, and a colon.
    if !project.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
    {
        return Err(refused(&format!("has the project {project:?}, which is none")));
    }
    let dataset = text(parsed.path().trim_start_matches('/'));
    let is_dataset = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !dataset.bytes().all(is_dataset) || dataset.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(refused(&format!("has the dataset {dataset:?}: use letters, digits and underscores")));
    }
    Ok(Target {
        project,
        dataset: Some(dataset).filter(|dataset| !dataset.is_empty()),
        location,
        endpoint: endpoint.unwrap_or_else(|| ENDPOINT.to_owned()),
    })
}

fn checked_endpoint(endpoint: &str) -> Result<String> {
    match is_safe(endpoint) {
        true => Ok(endpoint.trim_end_matches('/').to_owned()),
        false => Err(refused("has an endpoint that is not https")),
    }
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the bigquery url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let target = target("bigquery://my-project-1/Crm_raw?location=europe-west3").unwrap();
        assert_eq!((target.project.as_str(), target.dataset.as_deref()), ("my-project-1", Some("Crm_raw")));
        assert_eq!(target.location.as_deref(), Some("europe-west3"));
        assert_eq!(target.endpoint, ENDPOINT);
        let bare = super::target("bigquery://example.com%3Aold").unwrap();
        assert_eq!((bare.project.as_str(), bare.dataset, bare.location), ("example.com:old", None, None));
        let private =
            super::target("bigquery://p/d?endpoint=https://bigquery.eu.rep.googleapis.com/").unwrap();
        assert_eq!(private.endpoint, "https://bigquery.eu.rep.googleapis.com");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rest, words) in [
            ("", "names no project"),
            ("p%2Fq/d", "the project \"p/q\", which is none"),
            ("p/d.e", "use letters, digits and underscores"),
            ("p/1d", "use letters, digits and underscores"),
            ("p/d?location=", "an empty location"),
            ("p/d?location=a%2Fb", "which is none"),
            ("p/d?place=EU", "unknown parameter \"place\": use some of location"),
            ("u:s3cret@p/d", "is given apart"),
            ("p:443/d", "means nothing in it"),
            ("p/d?endpoint=http://proxy", "not https"),
        ] {
            let refusal = target(&format!("bigquery://{rest}")).unwrap_err().to_string();
            assert!(refusal.contains(words), "{rest}: {refusal}");
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }
}

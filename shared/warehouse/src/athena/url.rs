//! `athena://` URLs. An unknown parameter is refused.

use url::Url;

use crate::error::{Error, Kind, Result};

const EXAMPLE: &str = "athena://WORKGROUP/?location=s3://BUCKET/FOLDER";
const PARAMETERS: &str = "location, results, catalog";
const CATALOG: &str = "AwsDataCatalog";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) workgroup: String,
    pub(crate) catalog: String,
    /// The folder of the tables.
    pub(crate) location: Folder,
    /// The folder of the answers to queries; without it, the workgroup's.
    pub(crate) results: Option<Folder>,
}

/// A folder in S3, as a prefix of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) bucket: String,
    /// Ends with a slash, or is empty.
    pub(crate) prefix: String,
}

impl Folder {
    fn of(text: &str) -> Option<Folder> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/').unwrap_or((&text[5..], ""));
        let key = key.trim_matches('/');
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | '!' | '+');
        let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
        (!bucket.is_empty() && text.chars().skip(5).all(is_plain))
            .then(|| Folder { bucket: bucket.to_owned(), prefix })
    }

    /// `s3://bucket/prefix/`.
    pub(super) fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

pub(crate) fn target(url: &str) -> Result<Target> {
    let parsed = Url::parse(url).map_err(|_| refused("is no url"))?;
    let has_more = parsed.fragment().is_some() || !parsed.username().is_empty() || parsed.port().is_some();
    if has_more || !parsed.path().trim_start_matches('/').is_empty() {
        return Err(refused("has a part that means nothing in it: the schema is the database"));
    }
    let (mut location, mut results, mut catalog) = (None, None, None);
    for (name, value) in parsed.query_pairs() {
        let folder = || match Folder::of(&value) {
            Some(folder) => Ok(Some(folder)),
            None => Err(refused(&format!("has a {name} that is no folder in S3"))),
        };
        match name.as_ref() {
            "location" => location = folder()?,
            "results" => results = folder()?,
            "catalog" if value.is_empty() => return Err(refused("has an empty catalog")),
            "catalog" => catalog = Some(value.into_owned()),
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    let workgroup = parsed.host_str().unwrap_or_default().to_owned();
    let missing: Vec<&str> = [("workgroup", workgroup.is_empty()), ("location", location.is_none())]
        .into_iter()
        .filter_map(|(name, is_missing)| is_missing.then_some(name))
        .collect();
    let (Some(location), true) = (location, missing.is_empty()) else {
        return Err(refused(&format!("names no {}", missing.join(", no "))));
    };
    if location.prefix.is_empty() {
        return Err(refused("has a whole bucket as location: VACUUM wants a folder in it"));
    }
    Ok(Target { workgroup, catalog: catalog.unwrap_or_else(|| CATALOG.to_owned()), location, results })
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the athena url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_what_holds_if_nothing_is_said() {
        let least = target("athena://Primary_2/?location=s3://lake/hubspot").unwrap();
        assert_eq!((least.workgroup.as_str(), least.catalog.as_str()), ("Primary_2", "AwsDataCatalog"));
        assert_eq!((least.location.url().as_str(), least.results), ("s3://lake/hubspot/", None));
        let all = target("athena://g?location=s3://a/b/c/&results=s3://r&catalog=other").unwrap();
        assert_eq!((all.location.prefix.as_str(), all.catalog.as_str()), ("b/c/", "other"));
        assert_eq!(all.results.unwrap().url(), "s3://r/");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, words) in [
            ("athena://", "names no workgroup, no location"),
            ("athena://g", "names no location"),
            ("athena:///?location=s3://a/b", "names no workgroup"),
            ("athena://g/hubspot?location=s3://a/b", "the schema is the database"),
            (
                "athena://g?location=s3://a/b&result=s3://c",
                "unknown parameter \"result\": use some of location",
            ),
            ("athena://g?location=https://a/b", "a location that is no folder in S3"),
            ("athena://g?location=s3://a/it's", "a location that is no folder in S3"),
            ("athena://g?location=s3://a/b&results=", "a results that is no folder in S3"),
            ("athena://g?location=s3://a/b&catalog=", "an empty catalog"),
            ("athena://g?location=s3://a/", "a whole bucket"),
        ] {
            let refusal = target(url).unwrap_err().to_string();
            assert!(refusal.contains(words), "{url}: {refusal}");
        }
    }
}

//! Parsed requests.

use std::collections::HashMap;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::problem::Problem;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query as they were sent.
    pub(crate) target: String,
    pub(crate) segments: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) token: Option<String>,
    pub(crate) accepts_gzip: bool,
    media_type: Option<String>,
    pub(crate) body: Bytes,
}

/// Version scheme of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V3,
    V4,
    /// `2026-03`, `2026-09`: the version is in the middle of the path.
    Dated,
}

impl Request {
    pub(crate) fn new(method: Method, uri: &hyper::Uri, headers: &HeaderMap, body: Bytes) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let token = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
        Self {
            method,
            target: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
            segments: segments.map(percent_decoded).collect(),
            query: form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).into_owned().collect(),
            token: token.map(str::to_owned),
            accepts_gzip: text(ACCEPT_ENCODING).is_some_and(|value| value.contains("gzip")),
            media_type: text(CONTENT_TYPE).map(str::to_owned),
            body,
        }
    }

    /// Returns the version and the segments after the resource, in both of HubSpot's path shapes:
    /// `/crm/objects/2026-09/...` and `/crm/v3/objects/...`.
    pub(crate) fn resource(&self, api: &str, resource: &str) -> Option<(Version, Vec<&str>)> {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            [first, version, second, rest @ ..] if *first == api && *second == resource => match *version {
                "v3" => Some((Version::V3, rest.to_vec())),
                "v4" => Some((Version::V4, rest.to_vec())),
                _ => None,
            },
            [first, second, "2026-03" | "2026-09", rest @ ..] if *first == api && *second == resource => {
                Some((Version::Dated, rest.to_vec()))
            }
            _ => None,
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns all parameters in their order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the values of a parameter that may be repeated, or hold a list with commas, or both.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.query.iter().filter(|(key, _)| key == name);
        let split = values.flat_map(|(_, value)| value.split(',')).map(str::trim);
        split.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// Parses the body, if its media type is JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.expect_media_type("application/json")?;
        serde_json::from_slice(&self.body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Problem::validation(format!("Invalid input JSON on {place}: {error}"))
        })
    }

    pub(crate) fn form(&self) -> Result<HashMap<String, String>, Problem> {
        self.expect_media_type("application/x-www-form-urlencoded")?;
        Ok(form_urlencoded::parse(&self.body).into_owned().collect())
    }

    fn expect_media_type(&self, expected: &str) -> Result<(), Problem> {
        let given = self.media_type.as_deref().unwrap_or("");
        let is_expected =
            given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(expected));
        if is_expected { Ok(()) } else { Err(Problem::unsupported_media_type()) }
    }
}

fn percent_decoded(segment: &str) -> String {
    let escaped = segment.replace('+', "%2B");
    form_urlencoded::parse(escaped.as_bytes()).next().map_or_else(String::new, |(text, _)| text.into_owned())
}

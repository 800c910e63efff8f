//! Calls to HubSpot.

use std::fmt;

use bytes::Bytes;

use crate::budget::RateLimit;
use crate::retry::Patience;

/// One call, which may take several requests.
/// `Debug` shows its name: path and body may hold addresses, and one body holds the token.
#[derive(Clone)]
pub struct Call {
    /// Path and query, from the first slash.
    pub path: String,
    /// JSON to post; without one the call is a GET.
    pub body: Option<Bytes>,
    pub bucket: RateLimit,
    pub(crate) patience: Patience,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Call {
        Call { path: path.into(), body: None, bucket: RateLimit::General, patience: Patience::Full }
    }

    pub fn post(path: impl Into<String>, body: impl Into<Bytes>, bucket: RateLimit) -> Call {
        Call { path: path.into(), body: Some(body.into()), bucket, patience: Patience::Full }
    }

    pub(crate) fn with(self, patience: Patience) -> Call {
        Call { patience, ..self }
    }

    /// Returns the call's name for logs: without its query, which can hold ids and property names, and without an
    /// address.
    pub(crate) fn name(&self) -> String {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let path = self.path.split('?').next().unwrap_or_default();
        let shown = |segment| if is_address(segment) { "{address}" } else { segment };
        let segments: Vec<&str> = path.split('/').map(shown).collect();
        format!("{method} {}", segments.join("/"))
    }

    /// Returns the endpoint's name for spans: as [`Call::name`], and without whatever may be an id or a name that somebody
    /// gave.
    pub(crate) fn endpoint(&self) -> String {
        let name = self.name();
        let (method, path) = name.split_once(' ').unwrap_or_default();
        let segments: Vec<&str> =
            path.split('/').map(|segment| if is_of_the_api(segment) { segment } else { "{id}" }).collect();
        format!("{method} {}", segments.join("/"))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { bucket, patience, .. } = self;
        f.debug_struct("Call")
            .field("name", &self.name())
            .field("bucket", bucket)
            .field("patience", patience)
            .finish()
    }
}

/// `true`: a word of the API, a version such as `v3` or `2026-09`, or an object's type such as `0-1`.
fn is_of_the_api(segment: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = segment.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    let is_version = segment.strip_prefix('v').is_some_and(|number| is_number(number) && number.len() < 3);
    let is_dated = segment.split_once('-').is_some_and(|(first, second)| {
        is_number(first) && is_number(second) && (first.len() == 4 && second.len() == 2 || first.len() == 1)
    });
    is_word || is_version || is_dated
}

fn is_address(segment: &str) -> bool {
    segment.contains('@') || segment.contains("%40")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_named() {
        let call = Call::get("/email/public/v1/subscriptions/ada%40example.com?x=ada@example.com");
        assert_eq!(call.name(), "GET /email/public/v1/subscriptions/{address}");
    }

    #[test]
    fn an_endpoint_has_no_ids() {
        for (path, endpoint) in [
            ("/crm/objects/2026-09/contacts/batch/read?x=1", "/crm/objects/2026-09/contacts/batch/read"),
            ("/crm/objects/2026-09/0-1/7001", "/crm/objects/2026-09/0-1/{id}"),
            ("/crm/lists/v3/17/memberships", "/crm/lists/v3/{id}/memberships"),
            ("/form/9f2c1ab4-0d3e-4f5a-8b6c-7d8e9f0a1b2c/x", "/form/{id}/x"),
            ("/email/public/v1/subscriptions/ada%40example.com", "/email/public/v1/subscriptions/{id}"),
        ] {
            assert_eq!(Call::get(path).endpoint(), format!("GET {endpoint}"));
        }
    }

    #[test]
    fn what_is_sent_is_not_shown() {
        let call = Call::post("/oauth/v2?q=secret", r#"{"tokenKey":"pat-secret"}"#, RateLimit::General);
        let shown = format!("{call:?}");
        assert!(shown.contains("POST /oauth/v2") && !shown.contains("secret"), "{shown}");
    }
}

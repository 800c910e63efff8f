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
    fn what_is_sent_is_not_shown() {
        let call = Call::post("/oauth/v2?q=secret", r#"{"tokenKey":"pat-secret"}"#, RateLimit::General);
        let shown = format!("{call:?}");
        assert!(shown.contains("POST /oauth/v2") && !shown.contains("secret"), "{shown}");
    }
}

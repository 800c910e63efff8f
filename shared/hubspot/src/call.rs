//! What is asked of HubSpot.

use bytes::Bytes;

use crate::budget::Bucket;

/// One request, as often as it has to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// Path and query, from the first slash.
    pub path: String,
    /// JSON to post; without one the call is a GET.
    pub body: Option<Bytes>,
    pub bucket: Bucket,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Call {
        Call { path: path.into(), body: None, bucket: Bucket::General }
    }

    pub fn post(path: impl Into<String>, body: impl Into<Bytes>, bucket: Bucket) -> Call {
        Call { path: path.into(), body: Some(body.into()), bucket }
    }

    /// What may be logged: no query, which can hold ids, addresses and hundreds of property names.
    pub(crate) fn name(&self) -> String {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        format!("{method} {}", self.path.split('?').next().unwrap_or_default())
    }
}

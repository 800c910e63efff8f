//! Credentials that are not taken.

use crate::bigquery::url::is_safe;
use crate::error::{Error, Kind, Result};

/// Refuses an address to which a secret would be sent without TLS.
pub(super) fn safe(field: &str, url: String) -> Result<String> {
    if is_safe(&url) { Ok(url) } else { Err(refused(&format!("and the {field} of this one is not https"))) }
}

pub(super) fn refused(why: &str) -> Error {
    Error::new(Kind::Unreachable, format!("bigquery takes a google credential, {why}"))
}

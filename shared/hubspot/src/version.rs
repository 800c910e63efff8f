//! The API version of each family, in one place. A date-based version goes on answering for eighteen months after it
//! appears (<https://developers.hubspot.com/docs/developer-tooling/platform/versioning>).

/// Records of contacts, companies and deals.
pub(crate) const OBJECTS: &str = "2026-09";
pub(crate) const PROPERTIES: &str = "2026-09";
pub(crate) const ASSOCIATIONS: &str = "2026-09";
pub(crate) const ACCOUNT: &str = "2026-09";
pub(crate) const OAUTH: &str = "2026-09";
pub(crate) const LISTS: &str = "2026-09";
/// No dated version has left beta.
pub(crate) const FORMS: &str = "v3";

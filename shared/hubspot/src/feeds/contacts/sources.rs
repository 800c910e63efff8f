//! The sources beside the records of contacts, as the cursor calls them.

pub(super) const V1: &str = "contacts v1";
pub(super) const MEMBERSHIPS: &str = "list memberships";
pub(super) const FORMS: &str = "forms";

//! Tables of a feed, and their rows.

pub(super) mod beside;
pub(super) mod definitions;
pub(super) mod histories;
pub(super) mod layout;
pub(super) mod links;
pub(super) mod list_memberships;
pub(super) mod named_properties;
pub(super) mod pairing;
pub(super) mod record;
pub(super) mod records;

//! What HubSpot is asked for, and what its answers show, apart from a run.

pub(super) mod association_calls;
pub(super) mod associations;
pub(super) mod filters;
pub(super) mod histories;
pub(super) mod listed;
pub(super) mod unknown;

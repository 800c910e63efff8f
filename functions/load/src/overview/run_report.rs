//! The report of a run of a feed, as far as the page shows it: the JSON that `extract` writes.

use std::collections::BTreeMap;

use serde::Deserialize;
use staging::{End, snapshot_of};

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RunReport {
    pub(super) feed: String,
    pub(super) outcome: End,
    pub(super) reason: Option<String>,
    pub(super) seconds: f64,
    pub(super) caught_up_ms: Option<i64>,
    #[serde(default)]
    pub(super) reconciled_ms: Option<i64>,
    /// The work goes on in another invocation.
    pub(super) goes_on: bool,
    pub(super) collections: BTreeMap<String, CollectionReport>,
    /// Calls by rate limit.
    pub(super) api: BTreeMap<String, ApiUsage>,
    /// The account's calls of the day, and how many are left, where HubSpot tells.
    pub(super) daily: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct CollectionReport {
    pub(super) outcome: End,
    pub(super) reason: Option<String>,
    pub(super) degraded: Vec<String>,
    pub(super) rows: u64,
    pub(super) unparsed_values: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct ApiUsage {
    pub(super) calls: u64,
    pub(super) retries: u64,
    pub(super) rate_limited: u64,
}

impl RunReport {
    /// A snapshot was staged, to be compared and not merged.
    pub(super) fn is_snapshot(&self) -> bool {
        snapshot_of(&self.feed).is_some()
    }
}

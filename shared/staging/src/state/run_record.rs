//! Reports of runs.

use serde::{Deserialize, Serialize};

/// Report of one run, as its function or command wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The feed, or `load`.
    pub name: String,
    /// Sorts by time.
    pub run_id: String,
    pub report: serde_json::Value,
}

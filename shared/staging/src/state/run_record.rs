//! Reports of runs.

use std::fmt;

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

/// The kinds of ends, the better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Complete,
    Stopped,
    Incomplete,
    Skipped,
    Failed,
}

impl End {
    pub fn name(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Stopped => "stopped",
            End::Incomplete => "incomplete",
            End::Skipped => "skipped",
            End::Failed => "failed",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

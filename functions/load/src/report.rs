//! The report of a load, in the state and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::options::Loaded;
use crate::reconcile::{Reconciled, Step};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Id of the run; ids sort by time.
    pub run_id: String,
    /// `complete`, `stopped` or `failed`.
    pub outcome: String,
    pub reason: Option<String>,
    /// End of the load, as RFC 3339.
    pub ended_at: String,
    pub seconds: f64,
    /// Tables that had files to merge.
    pub tables: BTreeMap<String, TableReport>,
    /// Tables that were compared with a snapshot of HubSpot's records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reconciled: BTreeMap<String, Reconciled>,
    /// Registered files that are not merged, after the load.
    pub pending_files: u64,
    /// Age of the oldest of them.
    pub lag_seconds: f64,
    /// Invocations of the same work before this one.
    pub continuation: u32,
    /// `true`: the work goes on in another invocation.
    pub goes_on: bool,
    /// Parts of the configuration that do nothing: names of which no file is staged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// Number of tables that the warehouse maintained, if it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintained_tables: Option<u64>,
    /// Number of tables for which it had no time. They may come first the next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables_left: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// `complete`, `stopped` or `failed`.
    pub outcome: String,
    pub reason: Option<String>,
    pub files: u64,
    pub staged_rows: u64,
    pub merged_rows: u64,
    pub bytes: u64,
    /// Statements that changed the warehouse.
    pub statements: u64,
    /// Files left, since the time was over.
    pub files_left: u64,
    pub seconds: f64,
    /// Columns of the table that are not what they should be. A table may be complete and degraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
}

impl TableReport {
    pub fn new(loaded: anyhow::Result<Loaded>, elapsed: Duration) -> TableReport {
        let (outcome, reason) = match &loaded {
            Ok(loaded) if loaded.files_left > 0 => ("stopped", Some("deadline".to_owned())),
            Ok(_) => ("complete", None),
            Err(error) if is_busy(error) => ("stopped", Some(format!("busy: {error:#}"))),
            Err(error) => ("failed", Some(format!("{error:#}"))),
        };
        let loaded = loaded.unwrap_or_default();
        TableReport {
            outcome: outcome.to_owned(),
            reason,
            files: loaded.files,
            staged_rows: loaded.staged_rows,
            merged_rows: loaded.merged_rows,
            bytes: loaded.bytes,
            statements: loaded.statements_that_write,
            files_left: loaded.files_left,
            degraded: loaded.degraded,
            seconds: elapsed.as_secs_f64(),
        }
    }
}

/// `true`: another load works on the same table.
pub fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<staging::Error>().is_some_and(|error| error.kind() == staging::ErrorKind::Busy)
}

impl LoadReport {
    pub fn new(continuation: u32) -> LoadReport {
        LoadReport {
            run_id: uuid::Uuid::now_v7().to_string(),
            outcome: "complete".to_owned(),
            reason: None,
            ended_at: String::new(),
            seconds: 0.0,
            tables: BTreeMap::new(),
            reconciled: BTreeMap::new(),
            pending_files: 0,
            lag_seconds: 0.0,
            continuation,
            goes_on: false,
            degraded: Vec::new(),
            maintained_tables: None,
            tables_left: None,
        }
    }

    pub fn is_out_of_time(&self) -> bool {
        self.tables.values().any(|table| table.files_left > 0) || self.has_stopped_comparison()
    }

    fn has_stopped_comparison(&self) -> bool {
        self.reconciled.values().any(|found| found.step == Step::Stopped)
    }

    /// `true`: there was something to do.
    pub fn has_worked(&self) -> bool {
        !self.tables.is_empty()
            || !self.reconciled.is_empty()
            || self.maintained_tables.is_some()
            || self.outcome == "failed"
    }

    /// Notes the end of the load; `failure` is its error.
    pub fn end(&mut self, failure: Option<String>, elapsed: Duration) {
        let stopped = self.tables.values().find(|table| table.outcome == "stopped");
        let has_left = self.tables_left.is_some_and(|tables| tables > 0) || self.has_stopped_comparison();
        let (outcome, reason) = match (failure, stopped) {
            (Some(reason), _) => ("failed", Some(reason)),
            (None, Some(table)) => ("stopped", table.reason.clone()),
            (None, None) if has_left => ("stopped", Some("deadline".to_owned())),
            (None, None) => ("complete", None),
        };
        self.outcome = outcome.to_owned();
        self.reason = reason;
        self.ended_at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        self.seconds = elapsed.as_secs_f64();
    }
}

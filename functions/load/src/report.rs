//! The report of a load, in the state and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::busy::is_busy;
use crate::changes::ColumnChanges;
use crate::compact::Compacted;
use crate::forget::ForgetReport;
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
    /// Collections whose staged files became fewer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compacted: BTreeMap<String, Compacted>,
    /// Contacts that HubSpot shows nowhere any more, and who are forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<ForgetReport>,
    /// Registered files that are not merged, after the load.
    pub pending_files: u64,
    /// Age of the oldest of them.
    pub lag_seconds: f64,
    /// Invocations of the same work before this one.
    pub continuation: u32,
    /// `true`: the work goes on in another invocation.
    pub goes_on: bool,
    /// Parts of the configuration that do nothing, such as names of which no file is staged, and views that stay as they
    /// were.
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
    /// Changes of the table's columns, if it was there before.
    #[serde(default, skip_serializing_if = "ColumnChanges::is_empty")]
    pub columns: ColumnChanges,
    /// Another load holds the table.
    #[serde(skip)]
    pub is_busy: bool,
}

impl TableReport {
    pub fn new(loaded: anyhow::Result<Loaded>, elapsed: Duration) -> TableReport {
        let is_busy = loaded.as_ref().err().is_some_and(is_busy);
        let (outcome, reason) = match &loaded {
            Ok(loaded) if loaded.files_left > 0 => ("stopped", Some("deadline".to_owned())),
            Ok(_) => ("complete", None),
            Err(error) if is_busy => ("stopped", Some(format!("busy: {error:#}"))),
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
            columns: loaded.column_changes,
            seconds: elapsed.as_secs_f64(),
            is_busy,
        }
    }
}

impl TableReport {
    fn absorb(&mut self, later: TableReport) {
        if later.outcome != "complete" {
            (self.outcome, self.reason) = (later.outcome, later.reason);
        }
        self.files += later.files;
        self.staged_rows += later.staged_rows;
        self.merged_rows += later.merged_rows;
        self.bytes += later.bytes;
        self.statements += later.statements;
        self.files_left = later.files_left;
        self.seconds += later.seconds;
        self.degraded = later.degraded;
        self.columns.absorb(later.columns);
        self.is_busy |= later.is_busy;
    }
}

impl LoadReport {
    /// Takes out the tables that another load holds, and returns their names.
    pub fn remove_busy(&mut self) -> Vec<String> {
        let busy = self.tables.extract_if(.., |_, table| table.is_busy);
        busy.map(|(name, _)| name).collect()
    }

    pub fn new(continuation: u32) -> LoadReport {
        LoadReport {
            run_id: uuid::Uuid::now_v7().to_string(),
            outcome: "complete".to_owned(),
            reason: None,
            ended_at: String::new(),
            seconds: 0.0,
            tables: BTreeMap::new(),
            reconciled: BTreeMap::new(),
            compacted: BTreeMap::new(),
            forgotten: None,
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
        let is_forgetting = self.forgotten.as_ref().is_some_and(|forgotten| forgotten.goes_on);
        self.tables.values().any(|table| table.files_left > 0)
            || self.has_stopped_comparison()
            || is_forgetting
    }

    fn has_stopped_comparison(&self) -> bool {
        self.reconciled.values().any(|found| found.step == Step::Stopped)
    }

    /// Adds the report of a table's load, which may be the second one of this run.
    pub fn add(&mut self, name: &str, later: TableReport) {
        match self.tables.get_mut(name) {
            Some(table) => table.absorb(later),
            None => _ = self.tables.insert(name.to_owned(), later),
        }
    }

    /// Adds what a comparison has found, which may be the second one with the same snapshot: it says how that stands, and
    /// the first one what differed.
    pub fn add_comparison(&mut self, name: &str, found: &Reconciled) {
        match self.reconciled.get_mut(name) {
            Some(known) if known.snapshot_ms == found.snapshot_ms => known.step = found.step,
            _ => _ = self.reconciled.insert(name.to_owned(), found.clone()),
        }
    }

    /// `true`: there was something to do.
    pub fn has_worked(&self) -> bool {
        !self.tables.is_empty()
            || !self.reconciled.is_empty()
            || !self.compacted.is_empty()
            || self.forgotten.is_some()
            || self.maintained_tables.is_some()
            || self.outcome == "failed"
    }

    /// Notes the end of the load; `failure` is its error.
    pub fn end(&mut self, failure: Option<String>, elapsed: Duration) {
        let stopped = self.tables.values().find(|table| table.outcome == "stopped");
        let has_left = self.tables_left.is_some_and(|tables| tables > 0) || self.is_out_of_time();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgetting_that_was_cut_off_goes_on() {
        let mut report = LoadReport::new(0);
        report.forgotten = Some(ForgetReport { goes_on: true, ..ForgetReport::default() });
        assert!(report.is_out_of_time() && report.has_worked());
        report.end(None, Duration::ZERO);
        assert_eq!((report.outcome.as_str(), report.reason.as_deref()), ("stopped", Some("deadline")));
        report.forgotten = Some(ForgetReport::default());
        report.end(None, Duration::ZERO);
        assert_eq!((report.outcome.as_str(), report.reason), ("complete", None));
    }
}

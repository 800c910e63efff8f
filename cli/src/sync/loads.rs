//! The report of a sync's loads, as the load function of a stack keeps one: for `status` and the table `_runs`.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context, anyhow};
use chrono::Utc;
use load::{LoadReport, Loaded, Reconciled, TableReport, is_busy};
use staging::{RunRecord, State};

/// The name under which loads are recorded.
const LOAD: &str = "load";

/// Loads of one sync, as far as they have done something.
#[derive(Debug)]
pub(super) struct Loads {
    report: RefCell<LoadReport>,
    failures: RefCell<Vec<String>>,
}

impl Loads {
    pub(super) fn new() -> Loads {
        Loads { report: RefCell::new(LoadReport::new(0)), failures: RefCell::default() }
    }

    /// Notes the load of a table, unless there was nothing to merge or another load was at it.
    pub(super) fn add(&self, name: &str, loaded: &anyhow::Result<Loaded>, elapsed: Duration) {
        let loaded = match loaded {
            Ok(loaded) if loaded.files == 0 => return,
            Ok(loaded) => Ok(loaded.clone()),
            Err(error) if is_busy(error) => return,
            Err(error) => Err(anyhow!("{error:#}")),
        };
        if let Err(error) = &loaded {
            self.failures.borrow_mut().push(format!("{name}: {error:#}"));
        }
        self.report.borrow_mut().add(name, TableReport::new(loaded, elapsed));
    }

    /// Notes a step of a comparison.
    pub(super) fn add_comparison(&self, name: &str, found: &anyhow::Result<Option<Reconciled>>) {
        match found {
            Ok(Some(found)) => self.report.borrow_mut().add_comparison(name, found),
            Ok(None) => {}
            Err(error) if is_busy(error) => {}
            Err(error) => self.failures.borrow_mut().push(format!("{error:#}")),
        }
    }

    /// Records the report in the state, if something was done.
    ///
    /// # Errors
    /// When the state can't be read or written.
    pub(super) async fn keep(&self, state: &State) -> anyhow::Result<()> {
        let mut report = self.report.borrow().clone();
        let failures = self.failures.borrow().join("; ");
        let seconds = report.tables.values().map(|table| table.seconds).sum();
        report.end((!failures.is_empty()).then_some(failures), Duration::from_secs_f64(seconds));
        if !report.has_worked() {
            return Ok(());
        }
        // What waits of a snapshot waits for HubSpot, not for a merge.
        let pending = state.pending(None).await?;
        let pending = || pending.iter().filter(|file| file.snapshot.is_none());
        report.pending_files = pending().count() as u64;
        let ages =
            pending().map(|file| (Utc::now() - file.staged_at).num_milliseconds().max(0) as f64 / 1000.0);
        report.lag_seconds = ages.fold(0.0, f64::max);
        let (run_id, report) = (report.run_id.clone(), serde_json::to_value(&report)?);
        let record = RunRecord { name: LOAD.to_owned(), run_id, report };
        state.record(&record).await.context("the loads' report can't be recorded")
    }
}

//! Runs that were not complete, and what was found when tables were compared with HubSpot.

use std::collections::{BTreeMap, BTreeSet};

use crate::reconcile::Step;
use crate::report::LoadReport;
use chrono::{DateTime, Utc};
use staging::End;

use super::days::Days;
use super::reason::reason;
use super::run_report::RunReport;
use super::sources::Sources;

/// Runs of one feed, or merges of one table, that ended in the same way, for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    /// The feed, the table, or `load`.
    pub(super) name: String,
    pub(super) end: &'static str,
    /// The last one's.
    pub(super) reason: String,
    pub(super) runs: u64,
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
}

/// Returns what was not complete in these days, the latest first.
pub(super) fn troubles(sources: &Sources, days: &Days) -> Vec<Trouble> {
    let mut known = Known { names: sources.tables(), troubles: BTreeMap::new() };
    for read in sources.reads.iter().filter(|read| read.at >= days.begin()) {
        known.add_read(read.at, &read.report);
    }
    for load in sources.loads.iter().filter(|load| load.at >= days.begin()) {
        known.add_load(load.at, &load.report);
    }
    let mut troubles: Vec<Trouble> = known.troubles.into_values().collect();
    troubles.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.name.cmp(&b.name)));
    troubles
}

struct Known {
    /// Names that a reason may quote.
    names: BTreeSet<String>,
    /// By name, end, and reason without its numbers.
    troubles: BTreeMap<(String, &'static str, String), Trouble>,
}

impl Known {
    fn add_read(&mut self, at: DateTime<Utc>, report: &RunReport) {
        // What another invocation goes on with is no trouble yet.
        let is_trouble = |end: End| end != End::Complete && !(end == End::Stopped && report.goes_on);
        if is_trouble(report.outcome) {
            self.add(at, &report.feed, report.outcome.name(), report.reason.as_deref());
        }
        for (name, collection) in &report.collections {
            let is_feeds = (collection.outcome, &collection.reason) == (report.outcome, &report.reason);
            if is_trouble(collection.outcome) && !is_feeds {
                self.add(at, name, collection.outcome.name(), collection.reason.as_deref());
            }
            // A table that is not there lacks columns for the same reason.
            for text in collection.degraded.iter().filter(|_| collection.outcome != End::Skipped) {
                self.add(at, name, "degraded", Some(text));
            }
        }
    }

    fn add_load(&mut self, at: DateTime<Utc>, report: &LoadReport) {
        let of_tables = report.tables.values().any(|table| table.outcome == report.outcome);
        match report.outcome.as_str() {
            "failed" if !of_tables => self.add(at, "load", "failed", report.reason.as_deref()),
            "stopped" if !of_tables && !report.goes_on => {
                self.add(at, "load", "stopped", report.reason.as_deref());
            }
            _ => {}
        }
        for text in &report.degraded {
            self.add(at, "load", "degraded", Some(text));
        }
        for (name, table) in &report.tables {
            match table.outcome.as_str() {
                "failed" => self.add(at, name, "load failed", table.reason.as_deref()),
                "stopped" if !report.goes_on => self.add(at, name, "load stopped", table.reason.as_deref()),
                _ => {}
            }
            for text in &table.degraded {
                self.add(at, name, "degraded", Some(text));
            }
        }
    }

    fn add(&mut self, at: DateTime<Utc>, name: &str, end: &'static str, text: Option<&str>) {
        let reason = reason(text.unwrap_or_default(), &self.names);
        let alike = reason.chars().filter(|character| !character.is_ascii_digit()).collect();
        let trouble = self.troubles.entry((name.to_owned(), end, alike)).or_insert_with(|| Trouble {
            name: name.to_owned(),
            end,
            reason: String::new(),
            runs: 0,
            first: at,
            last: at,
        });
        trouble.runs += 1;
        trouble.first = trouble.first.min(at);
        if at >= trouble.last {
            (trouble.last, trouble.reason) = (at, reason);
        }
    }
}

/// One comparison of a table with a snapshot of HubSpot's records: the first finding, and the last one.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) table: String,
    pub(super) snapshot: DateTime<Utc>,
    /// Records that differed, by the way in which they did, before they were read again.
    pub(super) differing: BTreeMap<String, u64>,
    pub(super) step: Step,
}

impl Compared {
    pub(super) fn differed(&self) -> u64 {
        self.differing.values().sum()
    }
}

/// Returns the comparisons of these days, the latest first.
pub(super) fn comparisons(sources: &Sources, days: &Days) -> Vec<Compared> {
    let mut compared: BTreeMap<(i64, &str), Compared> = BTreeMap::new();
    for load in sources.loads.iter().filter(|load| load.at >= days.begin()) {
        for (table, found) in &load.report.reconciled {
            let Some(snapshot) = DateTime::from_timestamp_millis(found.snapshot_ms) else { continue };
            let known = compared.entry((found.snapshot_ms, table)).or_insert_with(|| Compared {
                table: table.clone(),
                snapshot,
                differing: BTreeMap::new(),
                step: found.step,
            });
            known.step = found.step;
            if found.records() > known.differed() {
                known.differing = found.differing.clone();
            }
        }
    }
    compared.into_values().rev().collect()
}

/// Returns a sentence's part about the state of a comparison.
pub(super) fn step_text(step: Step) -> &'static str {
    match step {
        Step::Equal => "equal",
        Step::Asked => "differs; the next run reads those records again",
        Step::Waiting => "differs; those records are not read again yet",
        Step::Stopped => "not compared yet: the load's time was over",
    }
}

#[cfg(test)]
mod tests {
    use crate::reconcile::Reconciled;

    use super::*;
    use crate::overview::sources::Ended;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn load(text: &str, found: (i64, Step, &[(&str, u64)])) -> Ended<LoadReport> {
        let (snapshot_ms, step, differing) = found;
        let differing = differing.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let found = Reconciled {
            snapshot_ms,
            step,
            compared_columns: Vec::new(),
            differing,
            asked: 0,
            is_whole: false,
        };
        let mut report = LoadReport::new(0);
        report.reconciled.insert("deals".to_owned(), found);
        Ended { at: at(text), report }
    }

    #[test]
    fn a_comparison_keeps_what_differed_at_first_and_how_it_ended() {
        let loads = vec![
            load("2026-11-29T01:00:00Z", (1_000, Step::Asked, &[("missing", 3), ("outdated", 2)])),
            load("2026-11-29T02:00:00Z", (1_000, Step::Waiting, &[])),
            load("2026-11-29T03:00:00Z", (1_000, Step::Equal, &[])),
            load("2026-11-30T03:00:00Z", (2_000, Step::Equal, &[])),
        ];
        let sources = Sources { loads, ..Sources::default() };
        let days = Days::new(at("2026-11-30T12:00:00Z"), 30, sources.first(), 1);
        let found = comparisons(&sources, &days);
        assert_eq!(found.iter().map(Compared::differed).collect::<Vec<_>>(), [0, 5]);
        assert!(found.iter().all(|found| found.step == Step::Equal));
    }
}

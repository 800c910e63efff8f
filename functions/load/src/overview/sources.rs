//! Reports of runs, from the warehouse's `_runs` and from the state.

use std::collections::{BTreeMap, BTreeSet};

use crate::reconcile::Step;
use crate::report::LoadReport;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use staging::{RunRecord, State, Wanted};
use warehouse::{RecordedReport, Warehouse};

use super::run_report::RunReport;

/// Most reports that are read from a state, of all feeds together, which get an equal part. They take some 100 MB in memory
/// on their way. Where they are more, the page begins with the day from which on it has those of every feed.
const MOST: usize = 20_000;
/// The name under which loads are recorded.
const LOAD: &str = "load";
/// Days before the first shown one, from which a lag may begin.
const DAYS_BEFORE: i64 = 7;

/// A report, and its end.
#[derive(Debug, Clone)]
pub(super) struct Ended<R> {
    pub(super) at: DateTime<Utc>,
    pub(super) report: R,
}

/// Places that a page is made of. Without one, it says that there is no run.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    pub state: Option<&'a State>,
    /// The name of the stack whose state it is.
    pub stack: Option<&'a str>,
    pub warehouse: Option<&'a dyn Warehouse>,
    /// Days to show, up to today.
    pub days: u32,
}

/// All that the page is made of.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Places that were read.
    pub(super) places: Vec<String>,
    pub(super) account: Option<u64>,
    pub(super) is_stack: bool,
    /// Runs of feeds, by their end.
    pub(super) reads: Vec<Ended<RunReport>>,
    pub(super) loads: Vec<Ended<LoadReport>>,
    /// Reports that are not understood, or that were too long to be kept whole.
    pub(super) unread: u64,
    /// Files that wait for a load, by table; `None` without a state.
    pub(super) pending: Option<BTreeMap<String, u64>>,
    /// Feeds of which a run is under way.
    pub(super) running: BTreeSet<String>,
    /// Beginning of the last snapshot of HubSpot's records that a table was equal to, in milliseconds, by table.
    pub(super) equal: BTreeMap<String, i64>,
    /// Rows of the tables now, without deleted ones.
    pub(super) rows: BTreeMap<String, u64>,
}

impl Sources {
    /// Reads the reports of the last `days`.
    ///
    /// # Errors
    /// When a place can't be read.
    pub(super) async fn read(of: &Of<'_>, now: DateTime<Utc>) -> anyhow::Result<Sources> {
        let since = now - TimeDelta::days(i64::from(of.days) + DAYS_BEFORE);
        let mut sources = Sources { is_stack: of.stack.is_some(), ..Sources::default() };
        let mut added = BTreeSet::new();
        if let Some(state) = of.state {
            sources.places.push(match of.stack {
                Some(name) => format!("the state of the stack {name}"),
                None => "the state folder".to_owned(),
            });
            sources.add_state(state, since, &mut added).await?;
        }
        if let Some(warehouse) = of.warehouse {
            sources.places.push("the table _runs of the warehouse".to_owned());
            sources.account = sources.account.or(warehouse.account().await?);
            for recorded in warehouse.reports(&oldest_run(since)).await? {
                let report = serde_json::from_str(&recorded.report).unwrap_or(Value::Null);
                let RecordedReport { run_id, name, .. } = recorded;
                sources.add(RunRecord { name, run_id, report }, since, &mut added);
            }
        }
        sources.add_comparisons();
        sources.reads.sort_by_key(|read| read.at);
        sources.loads.sort_by_key(|load| load.at);
        if let Some(warehouse) = of.warehouse {
            for table in sources.tables() {
                let rows = warehouse.live_rows(&table).await?;
                sources.rows.insert(table, rows);
            }
        }
        Ok(sources)
    }

    async fn add_state(
        &mut self,
        state: &State,
        mut since: DateTime<Utc>,
        added: &mut BTreeSet<(String, String)>,
    ) -> anyhow::Result<()> {
        self.account = state.account().await?;
        let names = state.recorded().await?;
        let most = MOST / names.len().max(1);
        for name in names {
            if state.is_leased(&name).await? {
                self.running.insert(name.clone());
            }
            // The table that is compared has the name of its feed.
            let wanted = state.shared::<Wanted>(&Wanted::document(&name)).await?.value;
            self.note_equal(&name, wanted.reconciled_ms);
            let records = state.records(&name, most).await?;
            if records.len() == most
                && let Some(oldest) = records.last().and_then(|record| ended(&record.report))
            {
                since = since.max(oldest);
            }
            for record in records {
                self.add(record, since, added);
            }
        }
        self.reads.retain(|read| read.at >= since);
        self.loads.retain(|load| load.at >= since);
        let mut pending = BTreeMap::new();
        // What waits of a snapshot waits for HubSpot, not for a merge.
        for file in state.pending(None).await?.iter().filter(|file| file.snapshot.is_none()) {
            *pending.entry(file.collection.clone()).or_default() += 1;
        }
        self.pending = Some(pending);
        Ok(())
    }

    /// Adds a report, unless it is that of a forgetting, or of a run over several feeds, which have reports of their own.
    fn add(&mut self, record: RunRecord, since: DateTime<Utc>, added: &mut BTreeSet<(String, String)>) {
        let RunRecord { name, run_id, report } = record;
        let is_load = name == LOAD;
        let is_wanted = is_load || report.get("feed").is_some() || report.is_null();
        if !is_wanted || !added.insert((run_id, name)) {
            return;
        }
        let Some(at) = ended(&report) else {
            self.unread += 1;
            return;
        };
        if at < since {
            return;
        }
        let added = match is_load {
            true => serde_json::from_value(report).map(|report| self.loads.push(Ended { at, report })),
            false => serde_json::from_value(report).map(|report| self.reads.push(Ended { at, report })),
        };
        self.unread += u64::from(added.is_err());
    }

    fn add_comparisons(&mut self) {
        let feeds: BTreeMap<String, Option<i64>> =
            self.reads.iter().fold(BTreeMap::new(), |mut feeds, read| {
                let known: &mut Option<i64> = feeds.entry(read.report.feed.clone()).or_default();
                *known = (*known).max(read.report.reconciled_ms);
                feeds
            });
        for (feed, ms) in feeds {
            self.note_equal(&feed, ms);
        }
        let found = self.loads.iter().flat_map(|load| &load.report.reconciled);
        let equal: Vec<(String, i64)> = found
            .filter(|(_, found)| found.step == Step::Equal)
            .map(|(table, found)| (table.clone(), found.snapshot_ms))
            .collect();
        for (table, ms) in equal {
            self.note_equal(&table, Some(ms));
        }
    }

    fn note_equal(&mut self, table: &str, ms: Option<i64>) {
        if let Some(ms) = ms {
            let known = self.equal.entry(table.to_owned()).or_insert(ms);
            *known = (*known).max(ms);
        }
    }

    /// Returns the tables that runs have filled, or tried to.
    pub(super) fn tables(&self) -> BTreeSet<String> {
        let reads = self.reads.iter().filter(|read| !read.report.is_snapshot());
        reads.flat_map(|read| read.report.collections.keys().cloned()).collect()
    }

    /// Returns the end of the first run.
    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        let reads = self.reads.first().map(|read| read.at);
        reads.into_iter().chain(self.loads.first().map(|load| load.at)).min()
    }
}

fn ended(report: &Value) -> Option<DateTime<Utc>> {
    report.get("ended_at")?.as_str()?.parse().ok()
}

/// Returns what the ids of runs from this moment on do not come before: ids begin with their time.
fn oldest_run(since: DateTime<Utc>) -> String {
    let ms = since.timestamp_millis().max(0);
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_later_runs_come_after_the_oldest() {
        let now = Utc::now();
        let run_id = uuid::Uuid::now_v7().to_string();
        assert!(oldest_run(now - TimeDelta::seconds(1)) <= run_id);
        assert!(oldest_run(now + TimeDelta::days(1)) > run_id);
    }
}

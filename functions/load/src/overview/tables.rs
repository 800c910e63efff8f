//! The state of each table, from the last runs that filled it.

use std::collections::{BTreeMap, BTreeSet};

use crate::reconcile::Step;
use chrono::{DateTime, Utc};
use staging::End;

use super::days::{Days, Figures};
use super::run_report::RunReport;
use super::sources::{Ended, Sources};

/// Days of the figures that say how a table is doing now.
pub(super) const LATELY: i64 = 30;
/// A feed is late after so many of its usual intervals, and not before an hour.
const LATE_INTERVALS: f64 = 3.0;
const LATE_AT_LEAST_SECONDS: f64 = 3_600.0;
/// Runs from which the usual interval is taken.
const INTERVALS: usize = 20;

/// State of a table, the worst one last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The account, or the credential, does not have it, and it was never read.
    Absent,
    Good,
    Warning,
    Bad,
}

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) level: Level,
    /// The states that make the level, the worst one first; for people.
    pub(super) states: Vec<String>,
    /// Rows in the warehouse now.
    pub(super) rows: Option<u64>,
    /// Rows read lately.
    pub(super) read: u64,
    pub(super) behind_seconds: Option<f64>,
    /// Most hours that it was behind lately.
    pub(super) most_behind_hours: Option<f64>,
    pub(super) ended: Option<DateTime<Utc>>,
    /// Beginning of the last snapshot of HubSpot's records that it was equal to.
    pub(super) equal: Option<DateTime<Utc>>,
    pub(super) unparsed: u64,
    pub(super) pending: Option<u64>,
}

/// Returns all tables, the worst ones first.
pub(super) fn tables(sources: &Sources, days: &Days, lag: &Figures) -> Vec<Table> {
    let mut feeds: BTreeMap<&str, Vec<&Ended<RunReport>>> = BTreeMap::new();
    for read in &sources.reads {
        if !read.report.is_snapshot() {
            feeds.entry(&read.report.feed).or_default().push(read);
        }
    }
    let mut tables: Vec<Table> =
        sources.tables().into_iter().map(|name| table(name, sources, &feeds, days, lag)).collect();
    tables.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.name.cmp(&b.name)));
    tables
}

fn table(
    name: String,
    sources: &Sources,
    feeds: &BTreeMap<&str, Vec<&Ended<RunReport>>>,
    days: &Days,
    lag: &Figures,
) -> Table {
    let now = days.now();
    let mut states: BTreeSet<(std::cmp::Reverse<Level>, String)> = BTreeSet::new();
    let mut add = |level: Level, state: String| _ = states.insert((std::cmp::Reverse(level), state));
    let (mut ended, mut behind_seconds) = (None, None::<f64>);
    for (feed, reads) in feeds {
        let fills = |read: &&&Ended<RunReport>| read.report.collections.contains_key(&name);
        let Some(last) = reads.iter().rev().find(fills) else { continue };
        let Some(collection) = last.report.collections.get(&name) else { continue };
        let caught_up_ms = reads.iter().filter_map(|read| read.report.caught_up_ms).max();
        ended = ended.max(Some(last.at));
        match collection.outcome {
            End::Failed => add(Level::Bad, "failed".to_owned()),
            End::Skipped if caught_up_ms.is_none() => add(Level::Absent, "not available".to_owned()),
            End::Skipped => add(Level::Bad, "skipped".to_owned()),
            End::Incomplete => add(Level::Warning, "incomplete".to_owned()),
            End::Stopped if !last.report.goes_on => add(Level::Warning, "stopped".to_owned()),
            End::Stopped | End::Complete => {}
        }
        if collection.outcome != End::Skipped && !collection.degraded.is_empty() {
            add(Level::Warning, "degraded".to_owned());
        }
        if sources.running.contains(*feed) {
            add(Level::Good, "running".to_owned());
        }
        if collection.outcome == End::Skipped {
            continue;
        }
        let Some(caught_up_ms) = caught_up_ms else { continue };
        let behind = (now.timestamp_millis() - caught_up_ms).max(0) as f64 / 1_000.0;
        behind_seconds = Some(behind_seconds.map_or(behind, |known| known.max(behind)));
        if behind > late_after(reads) {
            add(Level::Warning, "late".to_owned());
        }
    }
    let last_load = sources.loads.iter().rev().find_map(|load| load.report.tables.get(&name));
    if last_load.is_some_and(|table| table.outcome == "failed") {
        add(Level::Bad, "load failed".to_owned());
    }
    if last_load.is_some_and(|table| !table.degraded.is_empty()) {
        add(Level::Warning, "degraded".to_owned());
    }
    let equal_ms = sources.equal.get(&name).copied();
    let found = sources.loads.iter().rev().find_map(|load| load.report.reconciled.get(&name));
    let equal_ms = equal_ms.max(found.filter(|found| found.step == Step::Equal).map(|it| it.snapshot_ms));
    let is_open = |ms: i64| equal_ms.is_none_or(|equal| ms > equal);
    if found.is_some_and(|found| found.step != Step::Equal && is_open(found.snapshot_ms)) {
        add(Level::Warning, "differs from HubSpot".to_owned());
    }
    let collections = sources
        .reads
        .iter()
        .filter(|read| !read.report.is_snapshot() && days.is_within(read.at, LATELY))
        .filter_map(|read| read.report.collections.get(&name));
    let (read, unparsed) =
        collections.fold((0, 0), |(rows, values), it| (rows + it.rows, values + it.unparsed_values));
    let most_behind_hours = lag.column(&name).and_then(|column| {
        let lately = (0..days.len()).filter(|line| days.is_within(days.end(*line), LATELY));
        lately.filter_map(|line| lag.lines[line][column]).reduce(f64::max)
    });
    // A table that one of its feeds fills is there.
    if states.iter().any(|(level, _)| level.0 > Level::Absent) || behind_seconds.is_some() {
        states.retain(|(level, _)| level.0 != Level::Absent);
    }
    let level = states.first().map_or(Level::Good, |(level, _)| level.0);
    Table {
        level,
        states: states.into_iter().map(|(_, state)| state).collect(),
        rows: sources.rows.get(&name).copied(),
        read,
        behind_seconds,
        most_behind_hours,
        ended,
        equal: equal_ms.and_then(DateTime::from_timestamp_millis),
        unparsed,
        pending: sources.pending.as_ref().map(|pending| pending.get(&name).copied().unwrap_or_default()),
        name,
    }
}

/// Returns the seconds after which a feed is late, by the time that usually lies between its runs.
fn late_after(reads: &[&Ended<RunReport>]) -> f64 {
    let ends: Vec<DateTime<Utc>> = reads.iter().rev().take(INTERVALS).map(|read| read.at).collect();
    let between = |pair: &[DateTime<Utc>]| (pair[0] - pair[1]).num_milliseconds() as f64 / 1_000.0;
    let mut intervals: Vec<f64> = ends.windows(2).map(between).collect();
    intervals.sort_by(f64::total_cmp);
    let usual = intervals.get(intervals.len() / 2).copied().unwrap_or(f64::INFINITY);
    (usual * LATE_INTERVALS).max(LATE_AT_LEAST_SECONDS)
}

//! Figures by day, from the reports of runs.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use staging::End;

use super::days::{Days, Figures};
use super::run_report::{CollectionReport, RunReport};
use super::sources::{Ended, Sources};

pub(super) const CALLS: [&str; 5] = ["general", "search", "associations", "repeated", "refused by a limit"];
/// HubSpot's own count, which other apps of the account share.
pub(super) const OF_DAY: [&str; 2] = ["used of the day", "allowed a day"];
pub(super) const ENDS: [&str; 6] = ["complete", "degraded", "stopped", "incomplete", "skipped", "failed"];

/// Returns the rows that were read, by table.
pub(super) fn rows(sources: &Sources, days: &Days, tables: &BTreeSet<String>) -> Figures {
    by_table(sources, days, tables, |collection| collection.rows)
}

/// Returns the values that did not parse, of the tables that had some.
pub(super) fn unparsed(sources: &Sources, days: &Days, tables: &BTreeSet<String>) -> Figures {
    by_table(sources, days, tables, |collection| collection.unparsed_values).without_empty()
}

fn by_table(
    sources: &Sources,
    days: &Days,
    tables: &BTreeSet<String>,
    count: impl Fn(&CollectionReport) -> u64,
) -> Figures {
    let mut figures = Figures::new(days, tables);
    for read in sources.reads.iter().filter(|read| !read.report.is_snapshot()) {
        let Some(line) = days.line(read.at) else { continue };
        for (name, collection) in &read.report.collections {
            if let Some(column) = figures.column(name) {
                figures.add(line, column, count(collection) as f64);
            }
        }
    }
    figures
}

/// Returns the most hours that a table was behind HubSpot, by table: when a run ended that caught up, or at the end of
/// the day. What several feeds fill is as late as the latest.
pub(super) fn lag(sources: &Sources, days: &Days, tables: &BTreeSet<String>) -> Figures {
    let mut feeds: BTreeMap<&str, Vec<&Ended<RunReport>>> = BTreeMap::new();
    for read in sources.reads.iter().filter(|read| !read.report.is_snapshot()) {
        feeds.entry(&read.report.feed).or_default().push(read);
    }
    let mut figures = Figures::new(days, tables);
    for reads in feeds.values() {
        let names: BTreeSet<&str> = reads.iter().flat_map(|read| filled(&read.report)).collect();
        let columns: Vec<usize> = names.iter().filter_map(|name| figures.column(name)).collect();
        for (line, hours) in lag_of_feed(reads, days).into_iter().enumerate() {
            for column in &columns {
                if let Some(hours) = hours {
                    figures.at_least(line, *column, hours);
                }
            }
        }
    }
    figures
}

/// Returns the collections that a run could read.
fn filled(report: &RunReport) -> impl Iterator<Item = &str> {
    let filled = report.collections.iter().filter(|(_, collection)| collection.outcome != End::Skipped);
    filled.map(|(name, _)| name.as_str())
}

fn lag_of_feed(reads: &[&Ended<RunReport>], days: &Days) -> Vec<Option<f64>> {
    let mut most = vec![None; days.len()];
    let mut caught_up_ms = None;
    let mut note = |line: Option<usize>, at: DateTime<Utc>, caught_up_ms: Option<i64>| {
        if let (Some(line), Some(since)) = (line, caught_up_ms) {
            let hours = (at.timestamp_millis() - since).max(0) as f64 / 3_600_000.0;
            let known = most.get_mut(line);
            known.into_iter().for_each(|known| *known = Some(known.map_or(hours, |it: f64| it.max(hours))));
        }
    };
    let mut next = 0;
    for read in reads {
        while next < days.len() && days.end(next) <= read.at {
            note(Some(next), days.end(next), caught_up_ms);
            next += 1;
        }
        // What it is behind still, if this is the first run.
        let before = caught_up_ms.or(read.report.caught_up_ms);
        note(days.line(read.at), read.at, before);
        caught_up_ms = caught_up_ms.max(read.report.caught_up_ms);
    }
    for line in next..days.len() {
        note(Some(line), days.end(line), caught_up_ms);
    }
    most
}

/// Returns HubSpot's calls, by rate limit.
pub(super) fn calls(sources: &Sources, days: &Days) -> Figures {
    let mut figures = Figures::new(days, CALLS);
    for read in &sources.reads {
        let Some(line) = days.line(read.at) else { continue };
        for (limit, usage) in &read.report.api {
            if let Some(column) = figures.column(limit) {
                figures.add(line, column, usage.calls as f64);
            }
            figures.add(line, 3, usage.retries as f64);
            figures.add(line, 4, usage.rate_limited as f64);
        }
    }
    figures
}

/// Returns the account's calls of a day as HubSpot counts them, by all its apps; none where it does not tell.
pub(super) fn calls_of_day(sources: &Sources, days: &Days) -> Figures {
    let mut figures = Figures::new(days, OF_DAY);
    for read in &sources.reads {
        if let (Some(line), Some((limit, left))) = (days.line(read.at), read.report.daily) {
            figures.at_least(line, 0, limit.saturating_sub(left) as f64);
            figures.at_least(line, 1, limit as f64);
        }
    }
    figures.without_empty()
}

/// Returns the number of runs of feeds, by their end.
pub(super) fn ends(sources: &Sources, days: &Days) -> Figures {
    let mut figures = Figures::new(days, ENDS);
    for read in &sources.reads {
        let end = match read.report.outcome {
            End::Complete if is_degraded(&read.report) => "degraded",
            end => end.name(),
        };
        if let (Some(line), Some(column)) = (days.line(read.at), figures.column(end)) {
            figures.add(line, column, 1.0);
        }
    }
    figures
}

fn is_degraded(report: &RunReport) -> bool {
    report.collections.values().any(|collection| !collection.degraded.is_empty())
}

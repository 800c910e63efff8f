//! A page about all runs, as one HTML file that loads nothing. Its charts are drawn from the tables below
//! them, so that both have the same figures.

mod chart;
mod columns;
mod costs;
mod days;
mod document;
mod html;
mod page;
mod reason;
mod run_report;
mod sections;
mod sources;
mod tables;
mod text;
mod trends;
mod troubles;
mod verdict;

use chrono::{DateTime, Utc};

use columns::changed;
use costs::months;
use days::Days;
use page::Page;
pub use sources::Of;
use sources::Sources;
use tables::Level;
use troubles::{comparisons, troubles};
use verdict::verdict;

/// A page.
#[derive(Debug)]
pub struct Overview {
    /// One file, in UTF-8.
    pub html: String,
    /// One sentence about everything.
    pub verdict: String,
}

/// Makes a page. Changes nothing.
///
/// # Errors
/// When the state or the warehouse can't be read.
pub async fn overview(of: &Of<'_>) -> anyhow::Result<Overview> {
    let now = Utc::now();
    let page = page(&Sources::read(of, now).await?, now, of.days);
    Ok(Overview { html: document::html(&page), verdict: page.verdict.sentence })
}

fn page(sources: &Sources, made: DateTime<Utc>, most_days: u32) -> Page {
    let names = sources.tables();
    let days = Days::new(made, most_days, sources.first(), names.len());
    let lag = trends::lag(sources, &days, &names);
    let tables = tables::tables(sources, &days, &lag);
    let is_there = |name: &&String| {
        let absent = tables.iter().filter(|table| table.level == Level::Absent);
        !absent.into_iter().any(|table| table.name == **name)
    };
    let names = names.iter().filter(is_there).cloned().collect();
    Page {
        made,
        places: sources.places.clone(),
        account: sources.account,
        is_stack: sources.is_stack,
        runs: (sources.reads.len() + sources.loads.len()) as u64,
        unread: sources.unread,
        verdict: verdict(sources, &tables),
        rows: trends::rows(sources, &days, &names),
        lag: lag.without_empty(),
        calls: trends::calls(sources, &days),
        calls_of_day: trends::calls_of_day(sources, &days),
        unparsed: trends::unparsed(sources, &days, &names),
        ends: trends::ends(sources, &days),
        comparisons: comparisons(sources, &days),
        changed: changed(sources, &days),
        troubles: troubles(sources, &days),
        months: months(sources, &days),
        tables,
        days,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;
    use staging::End;

    use super::*;
    use crate::overview::run_report::{CollectionReport, RunReport};
    use crate::overview::sources::Ended;

    /// Returns the report of a feed that fills one table.
    fn read(feed: &str, ended: DateTime<Utc>, rows: u64) -> Ended<RunReport> {
        let collection = CollectionReport {
            outcome: End::Complete,
            reason: None,
            degraded: Vec::new(),
            rows,
            unparsed_values: rows % 3,
            bytes: 1_000,
        };
        let report = RunReport {
            feed: feed.to_owned(),
            outcome: End::Complete,
            reason: None,
            seconds: 3.0,
            caught_up_ms: Some(ended.timestamp_millis()),
            reconciled_ms: None,
            goes_on: false,
            collections: BTreeMap::from([(feed.to_owned(), collection)]),
            api: BTreeMap::new(),
            daily: None,
        };
        Ended { at: ended, report }
    }

    fn sources(tables: usize, days: i64, now: DateTime<Utc>) -> Sources {
        let feeds: Vec<String> = (0..tables).map(|n| format!("p{n}_object_with_a_long_name")).collect();
        let runs = (0..days * 4).rev().map(|run| now - TimeDelta::hours(run * 6));
        let reads = runs.flat_map(|at| {
            feeds
                .iter()
                .enumerate()
                .map(move |(n, feed)| read(feed, at, (at.timestamp() as u64 / 7 + n as u64) % 99_999))
        });
        Sources { reads: reads.collect(), ..Sources::default() }
    }

    #[test]
    fn a_year_of_many_tables_is_a_page_of_less_than_a_megabyte() {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        for (tables, is_by_week) in [(30, false), (90, true)] {
            let page = page(&sources(tables, 365, now), now, 365);
            assert_eq!(page.days.is_by_week(), is_by_week, "{tables}");
            let html = document::html(&page);
            assert!(html.len() < 1_000_000, "{tables} tables: {} bytes", html.len());
        }
    }

    #[test]
    fn a_table_is_late_after_three_of_its_usual_intervals() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        let sentence = |later: i64| {
            let page = page(&sources(1, 9, now), now + TimeDelta::hours(later), 30);
            (page.verdict.level, page.verdict.sentence)
        };
        assert_eq!(
            sentence(18),
            (Level::Good, "The table is complete, and at most 18 h behind HubSpot.".into())
        );
        assert_eq!(
            sentence(19),
            (Level::Warning, "The table needs a look: p0_object_with_a_long_name (late).".into())
        );
    }
}

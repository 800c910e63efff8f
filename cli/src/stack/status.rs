//! `status`: for each collection, the last run with its outcome, the age of the data, and the files that wait for the
//! load.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use comfy_table::{Cell, Color};
use extract::{End, RunReport};
use hubspot::feeds::{FEEDS, Mode};
use load::LoadReport;
use serde::{Serialize, Serializer};
use staging::{RefreshDue, State, Wanted};

use crate::args::{ReportFormat, Status};
use crate::report::{new_table, number};
use crate::sync::print;

#[derive(Debug, Serialize)]
struct Report {
    account_id: Option<u64>,
    collections: BTreeMap<&'static str, CollectionStatus>,
    /// The last load that had something to merge.
    load: Option<LoadReport>,
    pending_files: u64,
}

#[derive(Debug, Serialize)]
struct CollectionStatus {
    feed: &'static str,
    /// `true`: a run holds the feed's lease.
    is_running: bool,
    /// Id of the last run that ended; `null` before the first.
    run_id: Option<String>,
    ended_at: Option<String>,
    mode: Option<&'static str>,
    /// Outcome of the last run; `None` before the first.
    #[serde(serialize_with = "end_or_never")]
    outcome: Option<End>,
    reason: Option<String>,
    degraded: Vec<String>,
    rows: u64,
    /// The newest change that was read.
    watermark: Option<String>,
    /// Time since the watermark.
    lag_seconds: Option<f64>,
    /// Start of the last snapshot of HubSpot's records to which the table was equal.
    reconciled: Option<String>,
    /// Start of the last such refresh, which also compares values that change without a new modified date.
    refreshed: Option<String>,
    /// Time since which a refresh is due.
    refresh_due: Option<String>,
    /// The part of an unfinished run that is done, from 0 to 1.
    done_share: Option<f64>,
    pending_files: u64,
}

/// Prints the status. `true`: the last run of every collection ended well, or one is running.
///
/// # Errors
/// When the state can't be read.
pub(crate) async fn run(args: &Status) -> anyhow::Result<bool> {
    let state = super::state(args.stack.as_deref(), args.state.as_deref()).await?;
    let report = report(&state).await?;
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&report)?,
        ReportFormat::Text => text(&report),
    });
    let is_well = |status: &CollectionStatus| {
        let is_bad = |end: End| matches!(end, End::Failed | End::Skipped | End::Incomplete);
        status.is_running || !status.outcome.is_some_and(is_bad)
    };
    let has_loaded = report.load.as_ref().is_none_or(|load| load.outcome != "failed");
    Ok(has_loaded && report.collections.values().all(is_well))
}

fn end_text(outcome: Option<End>) -> &'static str {
    outcome.map_or("never run", End::name)
}

fn end_or_never<S: Serializer>(outcome: &Option<End>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(end_text(*outcome))
}

async fn report(state: &State) -> anyhow::Result<Report> {
    let mut pending = state.pending(None).await?;
    // What waits of a snapshot waits for HubSpot, not for a merge.
    pending.retain(|file| file.snapshot.is_none());
    let now_ms = Utc::now().timestamp_millis();
    let mut collections = BTreeMap::new();
    for feed in FEEDS {
        let records = state.records(feed.name(), 1).await?;
        let last: Option<RunReport> =
            records.into_iter().next().map(|record| serde_json::from_value(record.report)).transpose()?;
        let is_running = state.is_leased(feed.name()).await?;
        let of_snapshots = feed.compared();
        let (mut wanted, mut refresh) = (Wanted::default(), RefreshDue::default());
        if let Some(collection) = of_snapshots {
            wanted = state.shared(&Wanted::document(collection)).await?.value;
            refresh = state.shared(&RefreshDue::document(feed.name())).await?.value;
        }
        for &name in feed.collections() {
            let record = last.as_ref().and_then(|run| run.collections.get(name));
            let of_table = |ms: Option<i64>| ms.filter(|_| of_snapshots == Some(name));
            let status = CollectionStatus {
                feed: feed.name(),
                is_running,
                run_id: last.as_ref().map(|run| run.run_id.clone()),
                ended_at: last.as_ref().map(|run| run.ended_at.clone()),
                mode: last.as_ref().and_then(|run| run.mode).map(Mode::name),
                outcome: record.map(|record| record.outcome),
                reason: record.and_then(|record| record.reason.clone()),
                degraded: record.map(|record| record.degraded.clone()).unwrap_or_default(),
                rows: record.map_or(0, |record| record.rows),
                watermark: last.as_ref().and_then(|run| run.watermark_ms).and_then(instant),
                lag_seconds: last
                    .as_ref()
                    .and_then(|run| run.caught_up_ms)
                    .map(|caught_up_ms| (now_ms - caught_up_ms).max(0) as f64 / 1000.0),
                reconciled: of_table(wanted.reconciled_ms).and_then(instant),
                refreshed: of_table(wanted.refreshed_ms).and_then(instant),
                refresh_due: of_table(refresh.since_ms).and_then(instant),
                done_share: last.as_ref().and_then(|run| run.done_share),
                pending_files: pending.iter().filter(|file| file.collection == name).count() as u64,
            };
            collections.insert(name, status);
        }
    }
    let load = state.records("load", 1).await?.into_iter().next();
    Ok(Report {
        account_id: state.account().await?,
        collections,
        load: load.map(|record| serde_json::from_value(record.report)).transpose()?,
        pending_files: pending.len() as u64,
    })
}

fn instant(ms: i64) -> Option<String> {
    Some(DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

fn text(report: &Report) -> String {
    let mut table = new_table(&[
        "collection",
        "last run",
        "mode",
        "outcome",
        "rows",
        "newest change",
        "lag",
        "equal to HubSpot",
        "refreshed",
        "pending files",
    ]);
    for (name, status) in &report.collections {
        let (color, outcome) = match status.outcome {
            _ if status.is_running => (Color::Cyan, running(status)),
            Some(End::Complete) if status.degraded.is_empty() => (Color::Green, "complete".to_owned()),
            Some(End::Complete) => (Color::Yellow, "complete, degraded".to_owned()),
            Some(End::Failed) => (Color::Red, "failed".to_owned()),
            other => (Color::Yellow, end_text(other).to_owned()),
        };
        table.add_row(vec![
            Cell::new(name),
            Cell::new(status.ended_at.as_deref().map_or_else(|| "-".to_owned(), ago)),
            Cell::new(status.mode.unwrap_or("-")),
            Cell::new(outcome).fg(color),
            number(status.rows),
            Cell::new(status.watermark.as_deref().unwrap_or("-")),
            Cell::new(status.lag_seconds.map_or_else(|| "-".to_owned(), duration)),
            Cell::new(status.reconciled.as_deref().map_or_else(|| "-".to_owned(), ago)),
            Cell::new(status.refreshed.as_deref().map_or_else(|| "-".to_owned(), ago)),
            number(status.pending_files),
        ]);
    }
    let mut text = format!("{table}\n");
    for (name, status) in &report.collections {
        if let Some(reason) = &status.reason {
            text.push_str(&format!("{name}: {} - {reason}\n", end_text(status.outcome)));
        }
        for reason in &status.degraded {
            text.push_str(&format!("{name}: degraded - {reason}\n"));
        }
        if let Some(since) = &status.refresh_due {
            text.push_str(&format!("{name}: a refresh is due since {since}: the next snapshot is one\n"));
        }
    }
    match &report.load {
        None => text.push_str("load: never run"),
        Some(load) => {
            for (name, table) in &load.tables {
                for reason in &table.degraded {
                    text.push_str(&format!("{name}: degraded - {reason}\n"));
                }
            }
            let merged: u64 = load.tables.values().map(|table| table.merged_rows).sum();
            let reason = load.reason.as_deref().map(|reason| format!(" - {reason}")).unwrap_or_default();
            text.push_str(&format!(
                "load: {} {}{reason}, {} rows merged; {} files are pending",
                load.outcome,
                ago(&load.ended_at),
                indicatif::HumanCount(merged),
                report.pending_files
            ));
        }
    }
    if let Some(account) = report.account_id {
        text.push_str(&format!("\nHubSpot account {account}"));
    }
    text
}

fn running(status: &CollectionStatus) -> String {
    match status.done_share {
        Some(share) => format!("running, {:.0} %", share * 100.0),
        None => "running".to_owned(),
    }
}

fn ago(instant: &str) -> String {
    match DateTime::parse_from_rfc3339(instant) {
        Ok(at) => format!("{} ago", duration((Utc::now() - at.to_utc()).num_seconds().max(0) as f64)),
        Err(_) => instant.to_owned(),
    }
}

fn duration(seconds: f64) -> String {
    let duration = std::time::Duration::from_secs_f64(seconds.max(0.0));
    indicatif::HumanDuration(duration).to_string()
}

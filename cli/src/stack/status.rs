//! `status`: for each collection, the last run with its outcome, the age of the data, and the files that wait for the
//! load.

mod reads;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use comfy_table::{Cell, Color};
use extract::End;
use load::LoadReport;
use serde::Serialize;
use staging::State;

use crate::args::{ReportFormat, Status};
use crate::report::{new_table, number};
use crate::sync::print;

use reads::{CollectionStatus, end_text, feeds};

#[derive(Debug, Serialize)]
struct Report {
    account_id: Option<u64>,
    collections: BTreeMap<String, CollectionStatus>,
    /// The last load that had something to merge.
    load: Option<LoadReport>,
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
        status.is_running || !status.is_available || !status.outcome.is_some_and(is_bad)
    };
    let has_loaded = report.load.as_ref().is_none_or(|load| load.outcome != "failed");
    Ok(has_loaded && report.collections.values().all(is_well))
}

async fn report(state: &State) -> anyhow::Result<Report> {
    let mut pending = state.pending(None).await?;
    // What waits of a snapshot waits for HubSpot, not for a merge.
    pending.retain(|file| file.snapshot.is_none());
    let mut collections = BTreeMap::new();
    for reads in feeds(state).await? {
        for (name, status) in reads.status(state, &pending).await? {
            match collections.get_mut(&name) {
                Some(known) => CollectionStatus::join(known, status),
                None => _ = collections.insert(name, status),
            }
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
            _ if !status.is_available => (Color::Reset, "not available".to_owned()),
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
            for reason in &load.degraded {
                text.push_str(&format!("load: degraded - {reason}\n"));
            }
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

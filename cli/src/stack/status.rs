//! `status`: for each collection, the last run with its outcome, the age of the data, and the files that wait for the
//! load.

mod reads;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use comfy_table::{Cell, CellAlignment, Color};
use extract::End;
use load::LoadReport;
use serde::Serialize;
use staging::State;

use crate::args::{ReportFormat, Status};
use crate::print::{is_colorless, print, wrapped};
use crate::report::{new_table, number};

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
    let mut table = new_table(&["collection", "run", "rows", "lag", "equal", "files"]);
    for (name, status) in &report.collections {
        let (sign, color) = sign(status);
        let name = Cell::new(format!("{sign} {name}"));
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let since = |instant: &Option<String>| instant.as_deref().map_or_else(|| "-".to_owned(), since);
        table.add_row(vec![
            if is_colorless() { name } else { name.fg(color) },
            right(since(&status.ended_at)),
            number(status.rows),
            right(status.lag_seconds.map_or_else(|| "-".to_owned(), duration)),
            right(since(&status.reconciled)),
            number(status.pending_files),
        ]);
    }
    let mut lines = vec![table.to_string(), LEGEND.to_owned()];
    lines.extend(notes(report).iter().map(|note| wrapped(note, 2)));
    lines.push(wrapped(&load_text(report), 2));
    lines.extend(report.account_id.map(|account| format!("HubSpot account {account}")));
    lines.join("\n")
}

/// Explanation of the columns, whose names are short.
const LEGEND: &str = "\
run: time since the last run; lag: since the newest change that was read;
equal: since the table was last equal to HubSpot; files: wait for a merge
";

fn sign(status: &CollectionStatus) -> (char, Color) {
    match status.outcome {
        _ if status.is_running => ('▸', Color::Cyan),
        _ if !status.is_available => ('-', Color::Reset),
        None => ('-', Color::Reset),
        Some(End::Complete) if status.degraded.is_empty() => ('✓', Color::Green),
        Some(End::Failed) => ('✗', Color::Red),
        Some(_) => ('!', Color::Yellow),
    }
}

/// Returns what is not as usual, each once, with all the collections that it holds for.
fn notes(report: &Report) -> Vec<String> {
    let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, status) in &report.collections {
        let mut note = |text: String| notes.entry(text).or_default().push(name);
        if status.is_running {
            note(running(status));
        } else if !status.is_available {
            note("not available".to_owned());
        }
        match (&status.reason, status.outcome) {
            (Some(reason), outcome) => note(format!("{} - {reason}", end_text(outcome))),
            (None, None) if !status.is_running && status.is_available => note(end_text(None).to_owned()),
            (None, Some(end)) if end != End::Complete => note(end.name().to_owned()),
            _ => {}
        }
        for reason in &status.degraded {
            note(format!("degraded - {reason}"));
        }
        if let Some(since) = &status.refresh_due {
            note(format!("a refresh is due since {since}: the next snapshot is one"));
        }
    }
    for (name, table) in report.load.iter().flat_map(|load| &load.tables) {
        for reason in &table.degraded {
            notes.entry(format!("degraded - {reason}")).or_default().push(name);
        }
    }
    for reason in report.load.iter().flat_map(|load| &load.degraded) {
        notes.entry(format!("degraded - {reason}")).or_default().push("load");
    }
    notes.into_iter().map(|(text, names)| format!("{}: {text}", names.join(", "))).collect()
}

fn load_text(report: &Report) -> String {
    let Some(load) = &report.load else {
        return format!("load: never run; {} files are pending", report.pending_files);
    };
    let merged: u64 = load.tables.values().map(|table| table.merged_rows).sum();
    let reason = load.reason.as_deref().map(|reason| format!(" - {reason}")).unwrap_or_default();
    format!(
        "load: {} {} ago{reason}, {} rows merged; {} files are pending",
        load.outcome,
        since(&load.ended_at),
        indicatif::HumanCount(merged),
        report.pending_files
    )
}

fn running(status: &CollectionStatus) -> String {
    match status.done_share {
        Some(share) => format!("running, {:.0} %", share * 100.0),
        None => "running".to_owned(),
    }
}

/// Returns the time since an instant.
fn since(instant: &str) -> String {
    match DateTime::parse_from_rfc3339(instant) {
        Ok(at) => duration((Utc::now() - at.to_utc()).num_seconds().max(0) as f64),
        Err(_) => instant.to_owned(),
    }
}

/// Returns a time in one unit, so that columns stay narrow.
fn duration(seconds: f64) -> String {
    let (minutes, hours, days) = (seconds / 60.0, seconds / 3_600.0, seconds / 86_400.0);
    match () {
        () if seconds < 100.0 => format!("{seconds:.0} s"),
        () if minutes < 100.0 => format!("{minutes:.0} min"),
        () if hours < 50.0 => format!("{hours:.0} h"),
        () => format!("{days:.0} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let all = [0.4, 99.0, 100.0, 5_000.0, 7_200.0, 172_800.0, 1e8].map(duration);
        assert_eq!(all, ["0 s", "99 s", "2 min", "83 min", "2 h", "48 h", "1157 d"]);
    }
}

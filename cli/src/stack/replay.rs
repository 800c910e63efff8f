//! `replay`: fills the warehouse again from the staged files, without a call to HubSpot.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use indicatif::{HumanCount, ProgressBar};
use load::{Event, LoadReport};
use serde_json::Value;

use super::Stack;
use super::follow::{self, Work};
use crate::args::{Replay, ReportFormat};
use crate::sync::print;

/// Starts and follows a replay. `true`: every table holds all staged rows.
///
/// # Errors
/// For wrong use, and when the stack can't be reached.
pub(crate) async fn run(args: &Replay) -> anyhow::Result<bool> {
    let stack = Stack::open(&args.stack).await;
    if let Some(named) = &args.collections {
        let staged = stack.state.collections().await?;
        check(named, &staged)?;
    }
    let now = extract::new_run_id();
    let event = Event {
        trigger: Some("replay".to_owned()),
        collections: args.collections.clone(),
        replay: true,
        ..Event::default()
    };
    lambda::invoke(&stack.aws.lambda, &stack.function("load"), &event).await.with_context(|| {
        format!("the stack {} can't be reached: is it deployed in this region?", args.stack)
    })?;
    let bar = follow::bar("load");
    let work = Work { state: &stack.state, name: "load", lease: None, after: &now };
    let last = follow::to_the_end(&work, &bar, async |bar: &ProgressBar, reports: &[Value]| {
        bar.set_message(format!("{} invocations", reports.len()));
        bar.tick();
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    let report: LoadReport = serde_json::from_value(last).context("the load's report does not parse")?;
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&report)?,
        ReportFormat::Text => text(&report),
    });
    Ok(report.outcome == "complete")
}

/// Refuses a name of which no file is staged.
fn check(named: &[String], staged: &BTreeSet<String>) -> anyhow::Result<()> {
    let unknown: Vec<String> =
        named.iter().filter(|name| !staged.contains(*name)).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> =
            staged.iter().map(String::as_str).filter(|name| staging::snapshot_of(name).is_none()).collect();
        bail!("unknown collection {}: staged are {}", unknown.join(", "), known.join(", "));
    }
    Ok(())
}

fn text(report: &LoadReport) -> String {
    let mut text = String::new();
    for (name, table) in &report.tables {
        text.push_str(&format!(
            "{name}: {}, {} rows of {} files merged\n",
            table.outcome,
            HumanCount(table.merged_rows),
            table.files
        ));
    }
    let reason = report.reason.as_deref().map(|reason| format!(" - {reason}")).unwrap_or_default();
    text.push_str(&format!("{}{reason}; {} files are pending", report.outcome, report.pending_files));
    text
}

//! `replay`: fills the warehouse again from the staged files, without a call to HubSpot.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use indicatif::{HumanCount, ProgressBar};
use load::{Event, LoadReport};
use serde_json::Value;
use staging::State;

use super::Stack;
use super::follow::{self, Work};
use crate::alike::did_you_mean;
use crate::args::{Replay, ReportFormat};
use crate::print::print;

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
    refuse_expired(&stack.state, args.collections.as_deref()).await?;
    let event = Event {
        trigger: Some("replay".to_owned()),
        collections: args.collections.clone(),
        replay: true,
        ..Event::default()
    };
    let report = load_and_follow(&args.stack, &event).await?;
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&report)?,
        ReportFormat::Text => text(&report),
    });
    Ok(report.outcome == "complete")
}

/// Invokes the load function of a stack, and follows its work to the end.
pub(crate) async fn load_and_follow(stack: &str, event: &Event) -> anyhow::Result<LoadReport> {
    let now = extract::new_run_id();
    let stack = Stack::open(stack).await;
    lambda::invoke(&stack.aws.lambda, &stack.function("load"), event).await.with_context(|| {
        format!("the stack {} can't be reached: is it deployed in this region?", stack.name)
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
    serde_json::from_value(last).context("the load's report does not parse")
}

/// Refuses a replay of tables of which staged files were removed when they had been kept long enough.
async fn refuse_expired(state: &State, named: Option<&[String]>) -> anyhow::Result<()> {
    let (mut whole, mut expired) = (Vec::new(), Vec::new());
    for collection in state.collections().await? {
        if staging::snapshot_of(&collection).is_some()
            || named.is_some_and(|named| !named.contains(&collection))
        {
            continue;
        }
        let files = state.files(&collection).await?;
        match files.iter().filter(|file| file.is_expired).map(|file| file.staged_at).max() {
            Some(until) => expired.push(format!("{collection} (up to {})", until.format("%Y-%m-%d"))),
            None => whole.push(collection),
        }
    }
    if expired.is_empty() {
        return Ok(());
    }
    let others = match whole.is_empty() {
        true => String::new(),
        false => format!(" The others can be filled again: --collections {}.", whole.join(",")),
    };
    bail!(
        "staged files were removed, as the retention says, of {}: only HubSpot has their rows still. Read them again with \
         `hubspot-source backfill COLLECTION --stack NAME`, which also makes a replay possible.{others}",
        expired.join(", ")
    )
}

/// Refuses a name of which no file is staged.
fn check(named: &[String], staged: &BTreeSet<String>) -> anyhow::Result<()> {
    let unknown: Vec<&str> =
        named.iter().filter(|name| !staged.contains(*name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> =
            staged.iter().map(String::as_str).filter(|name| staging::snapshot_of(name).is_none()).collect();
        let quoted: Vec<String> = unknown.iter().map(|name| format!("{name:?}")).collect();
        let meant = did_you_mean(&unknown, &known);
        bail!(
            "unknown collection {}: {meant}use some of {}, which are staged",
            quoted.join(", "),
            known.join(", ")
        );
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

//! `backfill` and `reconcile`: start a run in a deployed stack and follow it. The run goes on without a follower.

use anyhow::{Context, bail};
use extract::{End, Event, RunReport};
use hubspot::feeds::{Cursor, Mode};
use indicatif::{HumanCount, ProgressBar};
use serde_json::Value;

use super::follow::{self, Work};
use super::{Reader, Stack};
use crate::args::{Backfill, Reconcile, ReportFormat, Target};
use crate::print::{print, say};
use crate::sync::compared;

/// Starts or follows a backfill. `true`: it is complete, or was started and is not followed.
///
/// # Errors
/// For wrong use, and when the stack can't be reached.
pub(crate) async fn run(args: &Backfill) -> anyhow::Result<bool> {
    let event = Event {
        trigger: Some("backfill".to_owned()),
        mode: Some(Mode::Backfill),
        since: args.since.clone(),
        until: args.until.clone(),
        ..Event::default()
    };
    let stack = Stack::open(&args.target.stack).await;
    let reader = stack.reader_of(&args.target.collection).await?;
    start(&stack, &reader, &args.target, event, "backfill").await
}

/// Starts or follows a snapshot of the collection's records. `true`: it is staged, or was started and is not followed.
///
/// # Errors
/// As of [`run`], and for a collection that is not compared.
pub(crate) async fn reconcile(args: &Reconcile) -> anyhow::Result<bool> {
    let collection = args.target.collection.as_str();
    let stack = Stack::open(&args.target.stack).await;
    let reader = stack.reader_of(collection).await?;
    if reader.feed.compared() != Some(collection) {
        let compared: Vec<&str> = compared().collect();
        bail!(
            "{collection} can't be compared: each run reads it whole, or it is filled together with another table, or \
             its rows never change. Compared are {} and other objects of the CRM",
            compared.join(", ")
        );
    }
    let mode = if args.refresh { Mode::Refresh } else { Mode::Reconcile };
    let event = Event { trigger: Some(mode.name().to_owned()), mode: Some(mode), ..Event::default() };
    start(&stack, &reader, &args.target, event, "reconcile").await
}

async fn start(
    stack: &Stack,
    reader: &Reader,
    args: &Target,
    mut event: Event,
    command: &str,
) -> anyhow::Result<bool> {
    let name = &extract::work_name(reader.feed, event.mode);
    event.options()?;
    event.feed.clone_from(&reader.named);
    let is_running = stack.state.is_leased(name).await?;
    let after = if args.follow {
        // The last report that says that its work is over belongs to what was before.
        let records = stack.state.records(name, 100).await?;
        let over = records.iter().find(|record| record.report["goes_on"] != true);
        let is_unfinished = is_running || records.first().is_some_and(|last| last.report["goes_on"] == true);
        if !is_unfinished {
            bail!("no run of {name} is under way in the stack {}: start one without --follow", args.stack);
        }
        over.map(|record| record.run_id.clone()).unwrap_or_default()
    } else {
        if is_running {
            bail!(
                "a run of {name} is under way in the stack {}: wait for it to end, or watch it with --follow",
                args.stack
            );
        }
        let now = extract::new_run_id();
        lambda::invoke(&stack.aws.lambda, &stack.function(reader.function), &event).await.with_context(
            || format!("the stack {} can't be reached: is it deployed in this region?", args.stack),
        )?;
        now
    };
    if args.detach {
        say(&format!(
            "started; watch it with: hubspot-source {command} {} --stack {} --follow",
            args.collection, args.stack
        ));
        return Ok(true);
    }
    let bar = follow::bar(name);
    let work = Work { state: &stack.state, name, lease: Some(name), after: &after };
    let last = follow::to_the_end(&work, &bar, async |bar: &ProgressBar, reports: &[Value]| {
        let cursor: Option<Cursor> = stack.state.cursor(name).await?;
        let share = cursor.and_then(|cursor| cursor.run).map_or(0.0, |run| run.done_share());
        bar.set_position((share * 1000.0) as u64);
        bar.set_message(format!(
            "{} rows staged by {} invocations",
            HumanCount(rows(reports)),
            reports.len()
        ));
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    let report: RunReport = serde_json::from_value(last).context("the run's report does not parse")?;
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&report)?,
        ReportFormat::Text => text(&report),
    });
    Ok(report.outcome == End::Complete)
}

fn rows(reports: &[Value]) -> u64 {
    let of_run = |report: &Value| {
        let collections = report["collections"].as_object();
        collections
            .into_iter()
            .flat_map(|all| all.values())
            .filter_map(|one| one["rows"].as_u64())
            .sum::<u64>()
    };
    reports.iter().map(of_run).sum()
}

fn text(report: &RunReport) -> String {
    let reason = report.reason.as_deref().map(|reason| format!(" - {reason}")).unwrap_or_default();
    let calls: u64 = report.api.values().map(|usage| usage.calls).sum();
    let load = if report.is_snapshot() { "compares it with the table" } else { "merges the staged files" };
    format!(
        "{}: {}{reason}; the last of {} invocations made {calls} calls in {:.0} s. The load {load} by its own schedule: \
         hubspot-source status shows how far it is",
        report.feed,
        report.outcome,
        report.continuation + 1,
        report.seconds
    )
}

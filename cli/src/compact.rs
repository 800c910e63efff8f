//! `compact`: makes the staged files few.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use chrono::TimeDelta;
use indicatif::HumanCount;
use load::{CompactOptions, Compacted, Event, compact};
use staging::{Bucket, State, snapshot_of};
use warehouse::{Reads, Warehouse};

use crate::alike::did_you_mean;
use crate::args::{Compact, ReportFormat};
use crate::connect::connect;
use crate::print::print;
use crate::stack;

/// Runs the command. `true`: done.
///
/// # Errors
/// For wrong use, and where the state, the files or the warehouse can't be had.
pub(crate) async fn run(args: &Compact) -> anyhow::Result<bool> {
    let (compacted, is_complete) = match &args.stack {
        Some(stack) => of_stack(stack, args).await?,
        None => (of_folder(args).await?, true),
    };
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&compacted)?,
        ReportFormat::Text => text(&compacted),
    });
    Ok(is_complete)
}

async fn of_stack(stack: &str, args: &Compact) -> anyhow::Result<(BTreeMap<String, Compacted>, bool)> {
    let event = Event {
        trigger: Some("compact".to_owned()),
        collections: args.collections.clone(),
        compact: true,
        ..Event::default()
    };
    let report = stack::load_and_follow(stack, &event).await?;
    if let Some(reason) = &report.reason {
        tracing::warn!("{reason}");
    }
    Ok((report.compacted, report.outcome == "complete"))
}

async fn of_folder(args: &Compact) -> anyhow::Result<BTreeMap<String, Compacted>> {
    let (Some(folder), Some(url)) = (&args.state, &args.warehouse) else {
        bail!("name --state DIR and --warehouse URL, or --stack NAME")
    };
    if !folder.is_dir() {
        bail!("there is no folder {}: give the --state of a sync", folder.display());
    }
    let state = State::open_folder(folder)?;
    let bucket = Bucket::open_folder(&folder.join("files"), &args.schema)?;
    let mut collections = state.collections().await?;
    if let Some(named) = &args.collections {
        if let Some(unknown) = named.iter().find(|name| !collections.contains(*name)) {
            let known: Vec<&str> =
                collections.iter().map(String::as_str).filter(|name| snapshot_of(name).is_none()).collect();
            let meant = did_you_mean(&[unknown], &known);
            bail!("nothing of {unknown:?} is staged there: {meant}use some of {}", known.join(", "));
        }
        collections.retain(|name| named.contains(name));
    }
    let warehouse = connect(url, &args.schema, &args.password).await?;
    if warehouse.reads() == Reads::S3 {
        bail!("this warehouse is loaded from a bucket: name the stack, with --stack NAME");
    }
    let mut all = BTreeMap::new();
    for collection in collections {
        let keeps_versions = args.history.contains(&collection);
        let options = CompactOptions { is_whole: true, keeps_versions, ..CompactOptions::default() };
        let done = compact(&collection, &state, &bucket, &*warehouse, &options).await?;
        all.insert(collection, done);
    }
    Ok(all)
}

/// Compacts behind a sync what is due, of the collections that it has `merged`; those whose files are kept for some days
/// only, in any case. It never makes a sync fail: the next one tries again.
pub(crate) async fn behind_sync(
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    merged: BTreeSet<String>,
    keep_staged: u32,
    keeps_versions: impl Fn(&str) -> bool,
) {
    let retention = (keep_staged > 0).then(|| TimeDelta::days(keep_staged.into()));
    let collections = match retention {
        Some(_) => state.collections().await.unwrap_or(merged),
        None => merged,
    };
    for collection in collections {
        let keeps_versions = keeps_versions(&collection);
        let options = CompactOptions { keeps_versions, retention, ..CompactOptions::default() };
        if let Err(error) = compact(&collection, state, bucket, warehouse, &options).await {
            tracing::warn!("{collection} keeps its many staged files: {error:#}");
        }
    }
}

fn text(compacted: &BTreeMap<String, Compacted>) -> String {
    let mut text = String::new();
    let mut all = Compacted::default();
    for (name, done) in compacted.iter().filter(|(_, done)| done.has_worked()) {
        all.add(*done);
        if done.files_before > 0 {
            text.push_str(&format!(
                "{name}: {} files with {} rows became {} with {}\n",
                HumanCount(done.files_before),
                HumanCount(done.rows_before),
                HumanCount(done.files_after),
                HumanCount(done.rows_after)
            ));
        }
    }
    let before = all.files_before + all.expired_files;
    text.push_str(&match (before, all.removed_files) {
        (0, 0) => "Nothing to compact.".to_owned(),
        (0, removed) => {
            format!("{} files that earlier compactions replaced were removed", HumanCount(removed))
        }
        (before, removed) => format!(
            "{} staged files became {}; {} that earlier compactions replaced were removed",
            HumanCount(before),
            HumanCount(all.files_after),
            HumanCount(removed)
        ),
    });
    text
}

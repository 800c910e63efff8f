//! The command `adopt`: tables in a warehouse that somebody else loads, such as a stack. It reads nothing of HubSpot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::bail;
use extract::End;
use hubspot::feeds::FEEDS;
use load::load;
use serde_json::Value;
use staging::{Bucket, StagedFile, State};
use warehouse::{Reads, RecordedReport, TableMode, Warehouse};

use super::report::{Step, all_text};
use super::tables::aside;
use super::{Adoption, Way, source};
use crate::args::{Adopt, ReportFormat};
use crate::connect::connect;
use crate::print::print;
use crate::stack;

/// Reasons why rows are not brought in by the command that reads nothing of HubSpot.
const NOT_RUN: &str =
    "the table _runs has no complete run that read it: run the same command when one has ended";
const OF_A_WINDOW: &str = "no run has read it whole, as the table _runs says: what a run with --since or --until has not looked \
                           for may be there. Let the stack's schedule read it, or `hubspot-source sync` without them; then \
                           run the same command again";

/// Reason why the rows of a stack's table are not staged.
const NOT_MERGED: &str =
    "the stack's load has not merged all that was read for this table: run the same command after it";

/// Reason why staged rows are in no table yet.
const OF_STACK: &str = "the stack's next load brings them in: run the same command once more after it";

/// Puts the tables of Segment's source aside in a warehouse that somebody else loads, such as a stack. With the stack, or a
/// folder, it also stages their rows, as far as loads have made ours: the stack's next load brings them in, or this
/// command. `true`.
///
/// # Errors
/// For wrong use or configuration, before anything is changed.
pub(crate) async fn run(args: &Adopt) -> anyhow::Result<bool> {
    let Some(url) = args.warehouse.as_deref() else {
        bail!(
            "tables are adopted in the warehouse itself: name it and its schema, as `hubspot-source adopt --warehouse URL \
             --schema NAME`"
        )
    };
    let warehouse = connect(url, &args.schema, &args.password).await?;
    if args.state.is_some() && warehouse.reads() == Reads::S3 {
        bail!(
            "this warehouse reads files from S3 alone: name the stack that loads it (`--stack NAME --bucket NAME`), and \
             rows are staged in its bucket"
        );
    }
    let collections: Vec<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
    let places = match (&args.stack, &args.bucket, &args.state) {
        (Some(stack), Some(bucket), _) => {
            let (state, bucket) = stack::places(stack, bucket, &scratch(stack), &args.schema).await?;
            check_stack(&collections, &*warehouse, &state, &bucket).await?;
            Some((state, bucket, Loader::Stack))
        }
        (_, _, Some(folder)) => {
            let bucket = Bucket::open_folder(&folder.join("files"), &args.schema)?;
            Some((State::open_folder(folder)?, bucket, Loader::Command))
        }
        _ => None,
    };
    let adoption = Adoption::look(&*warehouse, &collections).await?;
    for name in adoption.names() {
        if adoption.of(&name).is_some_and(|adopted| adopted.renamed_to.is_none()) {
            adoption.put_aside(&name, &*warehouse).await?;
        }
        adoption.change(&name, |adopted| {
            adopted.is(
                Step::Waiting,
                "when loads have filled the new table, run the same command with `--stack NAME --bucket NAME`, or with \
                 `--state DIR` where no stack loads it",
            );
        });
    }
    if let Some((state, bucket, loader)) = &places {
        stage_all(&adoption, &*warehouse, state, bucket, *loader).await?;
    }
    let tables = adoption.end(&args.schema);
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&tables)?,
        ReportFormat::Text => all_text(&tables, &args.schema),
    });
    Ok(true)
}

/// The folder for files in the making: always the same one, so that the next command removes what a killed one has left.
fn scratch(stack: &str) -> PathBuf {
    let cache = std::env::home_dir().map_or_else(std::env::temp_dir, |home| home.join(".cache"));
    cache.join("hubspot-source").join(format!("adopt-{stack}"))
}

/// Checks that stack, warehouse, schema and bucket belong together: a load would look in vain for what is staged elsewhere.
///
/// # Errors
/// When the warehouse is of another account, or not loaded from this state, or the bucket has nothing of what the state has
/// registered.
async fn check_stack(
    collections: &[&str],
    warehouse: &dyn Warehouse,
    state: &State,
    bucket: &Bucket,
) -> anyhow::Result<()> {
    let Some(account) = warehouse.account().await? else { return Ok(()) };
    match state.account().await? {
        Some(bound) if bound == account => {}
        Some(bound) => bail!("the warehouse has the account {account}, and the stack reads {bound}"),
        None => bail!("the stack has read nothing yet: is it the one that loads this warehouse?"),
    }
    let (mut there, mut gone) = (0, None);
    for name in collections {
        let (files, pending) = (state.files(name).await?, state.pending(Some(name)).await?);
        let is_merged = |file: &&StagedFile| pending.iter().all(|pending| pending.key != file.key);
        let merged: Vec<&StagedFile> = files.iter().filter(is_merged).collect();
        let held = warehouse.loaded(name).await?;
        // A table that was dropped holds nothing.
        let is_foreign = !merged.is_empty() && merged.iter().all(|file| !held.contains(&file.key));
        if is_foreign && warehouse.extent(name).await?.is_some() {
            bail!(
                "the table {name} has no rows of what the stack has loaded: name the stack, the warehouse and the schema \
                 that belong together"
            );
        }
        let Some(newest) = files.into_iter().rfind(|file| !file.is_expired) else { continue };
        match bucket.lost(&[newest]).await?.pop() {
            Some(lost) => gone = Some(lost.key),
            None => there += 1,
        }
    }
    if let (0, Some(gone)) = (there, gone) {
        bail!(
            "the bucket has nothing of what the stack has staged, such as {gone}: name the stack's output Bucket"
        );
    }
    Ok(())
}

/// Whoever merges what is staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader {
    Command,
    Stack,
}

async fn stage_all(
    adoption: &Adoption,
    warehouse: &dyn Warehouse,
    state: &State,
    bucket: &Bucket,
    loader: Loader,
) -> anyhow::Result<()> {
    let Some(account_id) = warehouse.account().await? else { return Ok(()) };
    if loader == Loader::Command {
        state.bind_account(account_id).await?;
    }
    let way = Way { account_id, state, bucket, warehouse };
    for name in FEEDS.iter().flat_map(|feed| feed.collections()) {
        source(name, &aside(name), way).strike_off_lost().await?;
    }
    let names = adoption.names();
    let feeds = FEEDS
        .iter()
        .filter(|feed| feed.collections().iter().any(|name| names.iter().any(|aside| aside == name)));
    let read = feeds_read(warehouse, &feeds.map(|feed| feed.name()).collect()).await?;
    for name in names {
        let feeds = FEEDS.iter().filter(|feed| feed.collections().contains(&name.as_str()));
        let reason = match feeds.filter_map(|feed| read.get(feed.name())).max() {
            None => Some(NOT_RUN),
            Some(false) => Some(OF_A_WINDOW),
            Some(true) => None,
        };
        let is_unmerged = loader == Loader::Stack && !is_merged(&name, way).await?;
        if let Some(reason) = reason.or(is_unmerged.then_some(NOT_MERGED)) {
            adoption.change(&name, |adopted| adopted.is(Step::Waiting, reason));
            continue;
        }
        let mode = TableMode::of(warehouse, &name).await?;
        if !adoption.bring_in(&name, way, mode).await? {
            continue;
        }
        if loader == Loader::Command {
            let options = load::Options { scope: load::Scope::Everything, mode, ..load::Options::default() };
            load(&name, state, bucket, warehouse, &options).await?;
        } else if !source(&name, &aside(&name), way).is_loaded().await? {
            adoption.change(&name, |adopted| adopted.is(Step::Staged, OF_STACK));
        }
    }
    Ok(())
}

/// `true`: the table has what runs have staged for it, so that what it lacks HubSpot does not show.
async fn is_merged(name: &str, way: Way<'_>) -> anyhow::Result<bool> {
    let pending = way.state.pending(Some(name)).await?;
    let held = way.warehouse.loaded(name).await?;
    let files = way.state.files(name).await?;
    let is_held = files.iter().any(|file| !file.is_adopted() && held.contains(&file.key));
    Ok(is_held && pending.iter().all(StagedFile::is_adopted))
}

/// Returns those of the feeds of which loads have recorded a complete run. `true`: the newest of them was read whole, by
/// that run or by those before it, so that HubSpot shows no more what none of them has shown. A run over a window is
/// complete, too, and caught up with nothing.
async fn feeds_read(
    warehouse: &dyn Warehouse,
    feeds: &BTreeSet<&str>,
) -> anyhow::Result<BTreeMap<String, bool>> {
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for run in warehouse.texts("_runs", &["name", "outcome", "run_id"]).await? {
        let Ok([Some(name), Some(outcome), Some(run_id)]) = <[Option<String>; 3]>::try_from(run) else {
            continue;
        };
        if outcome == End::Complete.name() && feeds.contains(name.as_str()) {
            let known = newest.entry(name).or_default();
            *known = run_id.max(std::mem::take(known));
        }
    }
    let Some(oldest) = newest.values().min() else { return Ok(BTreeMap::new()) };
    let mut read: BTreeMap<String, bool> = newest.keys().map(|name| (name.clone(), false)).collect();
    for RecordedReport { run_id, name, report } in warehouse.reports(oldest).await? {
        if newest.get(&name) == Some(&run_id) {
            let report: Value = serde_json::from_str(&report).unwrap_or_default();
            read.insert(name, report["caught_up_ms"].is_i64());
        }
    }
    Ok(read)
}

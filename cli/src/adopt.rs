//! Moving over from Segment: its tables are put aside under another name, loads make ours, and the rows that HubSpot shows
//! no more come in from there, in the oldest version that there is. A table that is aside is never changed, and stays until
//! a person drops it.
//!
//! Each step looks at what is there: after a crash, the same command goes on.

mod columns;
mod report;
mod rows;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use extract::End;
use hubspot::feeds::FEEDS;
use load::{Loaded, load};
use serde_json::Value;
use staging::{Bucket, StagedFile, State};
use warehouse::{Kind, Maker, Reads, RecordedReport, TableMode, Warehouse};

use crate::args::{Adopt, ReportFormat};
use crate::connect::connect;
use crate::print::print;
use crate::stack;
use columns::Columns;
pub(crate) use report::{Adopted, text};
use report::{NOT_READ, Step, all_text};
use rows::{Found, Source};
use tables::{aside, entry};

/// Reason why no deleted rows come into a table that has none.
const NO_DELETED: &str = "the table is kept without deleted rows (--hard-delete), which these would be";

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

/// The tables of Segment's in a schema, and what has become of them.
#[derive(Debug)]
pub(crate) struct Adoption(Mutex<BTreeMap<String, Adopted>>);

/// The place of what is brought in, on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) account_id: u64,
    pub(crate) state: &'a State,
    pub(crate) bucket: &'a Bucket,
    pub(crate) warehouse: &'a dyn Warehouse,
}

impl Adoption {
    /// Looks at all tables.
    ///
    /// # Errors
    /// For each table that can't be put aside; nothing is changed.
    pub(crate) async fn look(warehouse: &dyn Warehouse, collections: &[&str]) -> anyhow::Result<Adoption> {
        let away: Vec<String> = collections.iter().map(|name| aside(name)).collect();
        let names: Vec<&str> = collections.iter().copied().chain(away.iter().map(String::as_str)).collect();
        let makers = warehouse.makers(&names).await?;
        let (mut found, mut refused) = (BTreeMap::new(), Vec::new());
        let (here, there) = makers.split_at(collections.len());
        for ((name, aside), (here, there)) in collections.iter().zip(&away).zip(here.iter().zip(there)) {
            match (here, there) {
                (Some(Maker::AnotherView), _) => {
                    refused
                        .push(format!("{name} is a view, where a table is to be: rename or drop the view"));
                }
                (Some(Maker::Another), Some(_)) => {
                    refused.push(format!(
                        "{name} can't become {aside}, which is there: rename or drop one of them"
                    ));
                }
                (Some(Maker::Another), None) => _ = found.insert((*name).to_owned(), Adopted::default()),
                (_, Some(Maker::Another)) => {
                    found.insert((*name).to_owned(), Adopted::renamed(aside));
                }
                _ => {}
            }
        }
        if !refused.is_empty() {
            bail!("tables can't be put aside, and nothing was changed: {}", refused.join("; "));
        }
        Ok(Adoption(Mutex::new(found)))
    }

    /// Loads a collection. If it has a table of Segment's: puts that aside before, once HubSpot was read to its `end`, and
    /// brings in behind it what HubSpot shows no more, if nothing is missing and everything was read (`is_whole`).
    pub(crate) async fn load(
        &self,
        name: &str,
        (end, is_whole): (End, bool),
        way: Way<'_>,
        options: &load::Options,
    ) -> anyhow::Result<Loaded> {
        let Way { state, bucket, warehouse, .. } = way;
        source(name, &aside(name), way).strike_off_lost().await?;
        let Some(mut adopted) = self.of(name) else {
            return load(name, state, bucket, warehouse, options).await;
        };
        if adopted.renamed_to.is_none() {
            if !matches!(end, End::Complete | End::Incomplete) {
                adopted.is(Step::Left, NOT_READ);
                self.set(name, adopted);
                return Ok(Loaded::default());
            }
            self.put_aside(name, warehouse).await?;
        }
        let mut loaded = load(name, state, bucket, warehouse, options).await?;
        if end != End::Complete {
            let reason = "HubSpot was not read completely, so that what it shows no more is not known yet";
            self.change(name, |adopted| adopted.is(Step::Waiting, reason));
            return Ok(loaded);
        }
        if !is_whole {
            let reason = "the run that has ended was over a window (--since, --until), and HubSpot was not read whole \
                          before: run the same command again";
            self.change(name, |adopted| adopted.is(Step::Waiting, reason));
            return Ok(loaded);
        }
        if self.bring_in(name, way, options.mode).await? {
            loaded = sum(loaded, load(name, state, bucket, warehouse, options).await?);
        }
        Ok(loaded)
    }

    /// Renames a table of Segment's. Nothing if that was done before.
    async fn put_aside(&self, name: &str, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
        let aside = aside(name);
        warehouse.put_aside(name, &aside).await?;
        tracing::info!(collection.name = name, "the table that another program made is now {aside}");
        self.set(name, Adopted::renamed(&aside));
        Ok(())
    }

    /// Stages the rows that ours lacks. `true`: there may be files to load.
    async fn bring_in(&self, name: &str, way: Way<'_>, mode: TableMode) -> anyhow::Result<bool> {
        let aside = aside(name);
        let shapes = way.warehouse.shapes(&[name, &aside]).await?;
        let columns = match (entry(name), shapes.as_slice()) {
            (Err(reason), _) => Err(reason),
            (Ok(entry), [Some(ours), Some(theirs)]) => Columns::new(&entry, ours, theirs),
            (Ok(_), _) => {
                let reason = "no load has made the new table yet: run the same command again when one has";
                self.change(name, |adopted| adopted.is(Step::Waiting, reason));
                return Ok(false);
            }
        };
        let columns = match columns {
            Ok(columns) if mode.hard_delete && columns.has_deletions() => Err(NO_DELETED.to_owned()),
            columns => columns,
        };
        let columns = match columns {
            Ok(columns) => columns,
            Err(reason) => {
                let extent = way.warehouse.extent(&aside).await?;
                self.change(name, |adopted| {
                    adopted.found.rows = extent.map_or(0, |extent| extent.rows);
                    adopted.is(Step::Aside, &reason);
                });
                return Ok(false);
            }
        };
        let found: Found = source(name, &aside, way).stage(&columns).await?;
        self.change(name, |adopted| {
            adopted.found = found.into();
            adopted.is_brought_in();
        });
        Ok(true)
    }

    /// Returns what has become of the tables, by collection.
    pub(crate) fn end(self, schema: &str) -> BTreeMap<String, Adopted> {
        let mut tables = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        tables.values_mut().for_each(|adopted| adopted.end(schema));
        tables
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn of(&self, name: &str) -> Option<Adopted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn set(&self, name: &str, adopted: Adopted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), adopted);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Adopted)) {
        if let Some(adopted) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            change(adopted);
        }
    }
}

/// Refuses a schema with tables that another program made, before anything is read for it.
///
/// # Errors
/// The message names them, and the next step.
pub(crate) async fn refuse_others(warehouse: &dyn Warehouse, collections: &[&str]) -> anyhow::Result<()> {
    let makers = match warehouse.makers(collections).await {
        // A merge looks once more.
        Err(locked) if locked.kind() == Kind::Locked => return Ok(()),
        makers => makers?,
    };
    let others = collections.iter().zip(makers);
    let others: Vec<&str> = others
        .filter(|(_, maker)| maker.is_some_and(|it| it != Maker::Load))
        .map(|(name, _)| *name)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    bail!(
        "the schema has tables that another program made, such as Segment: {}. Nothing was written. Either use another \
         --schema; or run the same command with --adopt, which puts each aside as NAME{}, makes ours, and brings in the \
         rows that HubSpot shows no more (docs/from-segment.md)",
        others.join(", "),
        aside("")
    )
}

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

/// # Errors
/// When the warehouse is of another account, or not loaded from this state, or the bucket has nothing of what the state has registered: a load would
/// look in vain for what is staged there.
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

fn source<'a>(collection: &'a str, aside: &'a str, way: Way<'a>) -> Source<'a> {
    let Way { account_id, state, bucket, warehouse } = way;
    Source { collection, aside, account_id, state, bucket, warehouse }
}

fn sum(mut a: Loaded, b: Loaded) -> Loaded {
    a.column_changes.absorb(b.column_changes);
    Loaded {
        files: a.files + b.files,
        staged_rows: a.staged_rows + b.staged_rows,
        merged_rows: a.merged_rows + b.merged_rows,
        bytes: a.bytes + b.bytes,
        statements_that_write: a.statements_that_write + b.statements_that_write,
        files_left: b.files_left,
        degraded: b.degraded,
        column_changes: a.column_changes,
    }
}

//! From rows to registered files: an open Parquet file for each table, and the checkpoint that makes them count.
//!
//! A checkpoint is saved beside the reading: HubSpot is asked on while files become durable and are registered. There
//! is one at a time, and each waits for the one before, so the cursor never tells of rows whose files are not there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use futures::future::BoxFuture;
use hubspot::feeds::{Appended, Cursor, SHARED, person_columns};
use staging::{FileWriter, Finished, Forgotten, Known, Lease, Rows, SnapshotPart, StagedFile, Table};
use tracing::Instrument;

use crate::report::{CollectionReport, FeedReport};
use crate::{Run, span};

/// When a checkpoint is due: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints {
    /// Encoded Parquet since the last one.
    pub bytes: u64,
    /// Time since the last one: what a crash costs at the most, in work to be done again.
    pub interval: Duration,
}

impl Default for Checkpoints {
    fn default() -> Checkpoints {
        Checkpoints { bytes: 64 << 20, interval: Duration::from_secs(20) }
    }
}

pub(crate) struct Stage<'a> {
    pub(crate) run: &'a Run,
    lease: &'a Lease,
    tables: Vec<StagedTable>,
    /// Files of a snapshot are staged; each says which part of it it is.
    snapshot: Option<SnapshotPart>,
    /// The feed was not read to its end before: then there is a file of each table, if an empty one, so that each table
    /// is there for those who query it.
    is_first: bool,
    /// Persons whose rows are not staged; `None`: nobody is forgotten.
    forgotten: Option<Forgotten>,
    checkpoints: Checkpoints,
    scratch: PathBuf,
    last_checkpoint: Instant,
    /// The checkpoint that is being saved.
    saving: Option<BoxFuture<'a, anyhow::Result<Vec<StagedFile>>>>,
    /// Rows were taken for a checkpoint that is not saved, or not yet: a later cursor without them would lose them.
    is_behind: bool,
}

#[derive(Debug)]
struct StagedTable {
    table: Table,
    /// Columns by which forgotten persons are known.
    known: Option<Known>,
    open: Option<FileWriter>,
    /// The buffers of the file before, empty.
    spare: Option<Rows>,
    /// A file of it is sealed.
    is_staged: bool,
    /// Rows appended since the last checkpoint, counted page by page: the file must hold as many.
    rows_appended: u64,
}

impl<'a> Stage<'a> {
    /// Clears what dead runs of this feed left half written: the lease says that they are dead.
    pub(crate) async fn open(
        run: &'a Run,
        lease: &'a Lease,
        tables: &[Table],
        snapshot: Option<SnapshotPart>,
        is_first: bool,
        checkpoints: Checkpoints,
        report: &mut FeedReport,
    ) -> anyhow::Result<Stage<'a>> {
        // Another feed's run may be at a collection that feeds share.
        let is_own = |name: &&str| !hubspot::feeds::is_shared(name);
        let collections: Vec<&str> =
            tables.iter().map(|table| table.collection.as_str()).filter(is_own).collect();
        run.bucket.clear(&format!("{}-", report.feed), &collections).await?;
        let scratch = run.bucket.scratch(&format!("{}-{}", report.feed, run.id))?;
        // Under the lease: whoever forgets somebody waits for it, or was before.
        let forgotten = Forgotten::read(&run.state).await?;
        let mut staged = Vec::with_capacity(tables.len());
        for table in tables {
            // A feed that is opened twice in a run may have staged it before.
            let is_staged = of_collection(report, table)?.files > 0;
            staged.push(StagedTable {
                table: table.clone(),
                known: Known::of(table, person_columns()),
                open: None,
                spare: None,
                is_staged,
                rows_appended: 0,
            });
        }
        let tables = staged;
        let last_checkpoint = Instant::now();
        Ok(Stage {
            run,
            lease,
            tables,
            snapshot,
            is_first,
            forgotten,
            checkpoints,
            scratch,
            last_checkpoint,
            saving: None,
            is_behind: false,
        })
    }

    /// Rows that the next page is appended to, one for each table.
    pub(crate) fn rows(&mut self) -> anyhow::Result<Vec<&mut Rows>> {
        let (run, scratch) = (self.run, &self.scratch);
        self.tables.iter_mut().map(|table| table.rows(run, scratch)).collect()
    }

    /// To be called after each page: counts it, and encodes what waits once it is enough.
    pub(crate) fn page_done(&mut self, appended: &Appended, report: &mut FeedReport) -> anyhow::Result<()> {
        ensure!(
            appended.written.len() == self.tables.len(),
            "a page does not say what it wrote to each table"
        );
        for (table, written) in self.tables.iter_mut().zip(&appended.written) {
            let gone =
                self.forgotten.as_mut().map_or(0, |forgotten| table.take_back(forgotten, written.rows));
            table.rows_appended += written.rows - gone;
            let report = of_collection(report, &table.table)?;
            report.forgotten += gone;
            report.unparsed_values += written.unparsed_values;
            report.deleted += written.deleted;
            table.open.as_mut().map_or(Ok(()), FileWriter::page_done)?;
        }
        Ok(())
    }

    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let open = self.tables.iter().filter_map(|table| table.open.as_ref().filter(|file| !file.is_empty()));
        let (mut bytes, mut is_full, mut is_any) = (0, false, false);
        for file in open {
            is_any = true;
            is_full |= file.is_full();
            bytes += file.size_bytes();
        }
        let is_large = is_full || bytes >= self.checkpoints.bytes;
        is_any && (is_large || self.last_checkpoint.elapsed() >= self.checkpoints.interval)
    }

    /// Begins a checkpoint of what is read by now: the open files become durable, then they are registered and the
    /// cursor is saved in one step. It goes on while [`Stage::saved`] is polled.
    pub(crate) async fn begin_checkpoint(
        &mut self,
        cursor: &Cursor,
        report: &mut FeedReport,
    ) -> anyhow::Result<()> {
        self.settle(report).await?;
        ensure!(!self.is_behind, "nothing is saved after a checkpoint that failed");
        if let Some(forgotten) = &mut self.forgotten {
            // Before the rows count: what is staged of a contact is not kept out by another run.
            let shown = forgotten.strike_off_shown(&self.run.state).await?;
            if shown > 0 {
                tracing::warn!(
                    "HubSpot shows contacts again that it had shown no more, or others with their addresses: {shown} ids                      and addresses are not kept out any more"
                );
            }
        }
        self.is_behind = true;
        let is_last = cursor.run.is_none();
        let part = self.snapshot.map(|part| SnapshotPart { is_last, ..part });
        let mut sealed = Vec::new();
        for table in &mut self.tables {
            // A snapshot has a last file, if an empty one.
            // A refresh may fill tables besides.
            let of_table = part.filter(|_| staging::snapshot_of(&table.table.collection).is_some());
            let is_first = part.is_none() && self.is_first && !table.is_staged;
            let is_needed = is_last && (of_table.is_some() || is_first);
            if is_needed {
                table.rows(self.run, &self.scratch)?;
            }
            sealed.extend(table.seal(of_table, is_needed)?);
        }
        self.last_checkpoint = Instant::now();
        self.saving = Some(Box::pin(save(self.run, self.lease, cursor.clone(), sealed)));
        Ok(())
    }

    /// Waits until the checkpoint that is being saved is; for ever, if there is none.
    pub(crate) async fn saved(&mut self, report: &mut FeedReport) -> anyhow::Result<()> {
        let Some(saving) = &mut self.saving else { return std::future::pending().await };
        let saved = saving.await;
        self.saving = None;
        let files = saved?;
        self.is_behind = false;
        for file in files {
            tracing::info!(
                collection.name = file.collection,
                file.key = file.key,
                file.rows = file.rows,
                file.bytes = file.bytes,
                "a file is staged"
            );
            let staged = self.tables.iter().find(|staged| staged.table.collection == file.collection);
            let Some(staged) = staged else { continue };
            let report = of_collection(report, &staged.table)?;
            report.rows += file.rows;
            report.bytes += file.bytes;
            report.files += 1;
        }
        Ok(())
    }

    /// A last checkpoint, and what is still being saved before it.
    pub(crate) async fn checkpoint(
        &mut self,
        cursor: &Cursor,
        report: &mut FeedReport,
    ) -> anyhow::Result<()> {
        self.begin_checkpoint(cursor, report).await?;
        self.settle(report).await
    }

    async fn settle(&mut self, report: &mut FeedReport) -> anyhow::Result<()> {
        match self.saving {
            Some(_) => self.saved(report).await,
            None => Ok(()),
        }
    }
}

/// A file with all its rows, not durable yet.
type Sealed = (Finished, Option<SnapshotPart>);

async fn save(
    run: &Run,
    lease: &Lease,
    cursor: Cursor,
    sealed: Vec<Sealed>,
) -> anyhow::Result<Vec<StagedFile>> {
    let mut files = Vec::with_capacity(sealed.len());
    for (finished, snapshot) in sealed {
        let span = span::of_file(&finished);
        let file = run.bucket.put(finished, Utc::now()).instrument(span.clone()).await?;
        span::note_bytes(&span, file.bytes);
        files.push(StagedFile { snapshot, ..file });
    }
    run.state
        .checkpoint(lease, &cursor, &files)
        .await
        .context("the checkpoint is not saved; the next run goes on from the one before")?;
    Ok(files)
}

impl StagedTable {
    fn rows(&mut self, run: &Run, scratch: &Path) -> anyhow::Result<&mut Rows> {
        let file = match self.open.take() {
            Some(file) => file,
            None => {
                let name = run.file_name();
                let path = scratch.join(format!("{}-{name}.parquet", self.table.collection));
                let key = run.bucket.key(&self.table.collection, &name, Utc::now());
                let file =
                    FileWriter::create_as(run.codec, &path, &key, run.account.id, &run.id, &self.table)?;
                match self.spare.take() {
                    Some(rows) => file.reusing(rows),
                    None => file,
                }
            }
        };
        Ok(self.open.insert(file).rows())
    }

    /// Takes back rows of forgotten persons among the last so many. Returns their number.
    fn take_back(&mut self, forgotten: &mut Forgotten, rows: u64) -> u64 {
        let (Some(known), Some(file)) = (&self.known, &mut self.open) else { return 0 };
        let appended = file.rows();
        let from = appended.len().saturating_sub(usize::try_from(rows).unwrap_or(usize::MAX));
        forgotten.let_in_shown(known, appended, from);
        forgotten.take_back(known, appended, from)
    }

    /// Ends the open file; one without rows only where it is needed.
    fn seal(&mut self, snapshot: Option<SnapshotPart>, is_needed: bool) -> anyhow::Result<Option<Sealed>> {
        let rows_appended = std::mem::take(&mut self.rows_appended);
        let Some(writer) = self.open.take() else { return Ok(None) };
        if writer.is_empty() && rows_appended == 0 && !is_needed {
            writer.discard()?;
            return Ok(None);
        }
        let (finished, rows) = writer.finish_and_hand_over()?;
        self.spare = Some(rows);
        self.is_staged = true;
        if finished.description.rows != rows_appended {
            let staged = finished.description.rows;
            bail!(
                "{rows_appended} rows were read, but the staged file of {} holds {staged}",
                self.table.collection
            );
        }
        Ok(Some((finished, snapshot)))
    }
}

fn of_collection<'r>(report: &'r mut FeedReport, table: &Table) -> anyhow::Result<&'r mut CollectionReport> {
    let collections = &mut report.collections;
    // What nobody wants any more may still lose rows.
    let is_there = collections.iter().any(|report| report.name == table.collection);
    let former = SHARED.iter().find(|name| **name == table.collection && !is_there);
    collections.extend(former.map(|name| CollectionReport::new(name)));
    collections
        .iter_mut()
        .find(|report| report.name == table.collection)
        .with_context(|| format!("the feed does not say that it fills {}", table.collection))
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Only tidiness: the next run of the feed clears it too.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use hubspot::feeds::{FEEDS, Feed, Unfinished, Written};
    use hubspot::{Account, Budget, Client, Credential};
    use staging::{Bucket, Column, ColumnType, State};

    use super::*;

    const COLLECTIONS: [&str; 2] = ["contacts", "form_submissions"];

    /// Steps of a stage's life, one after the other.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Step {
        /// A page with rows for both tables.
        Page,
        /// A page with rows for the first one alone: the other's file is empty.
        PageOfOne,
        Checkpoint,
        /// A source is lost: what was read is saved, and the feed is opened again.
        Reopened,
        /// The same, but nothing could be saved.
        Broken,
    }

    const STEPS: [Step; 5] = [Step::Page, Step::PageOfOne, Step::Checkpoint, Step::Reopened, Step::Broken];

    fn contacts() -> &'static dyn Feed {
        FEEDS.iter().copied().find(|feed| feed.name() == COLLECTIONS[0]).unwrap()
    }

    fn tables() -> Vec<Table> {
        let id = || vec![Column::new("id", ColumnType::BigInt)];
        COLLECTIONS.map(|name| Table::new(name, &["id"], id()).unwrap()).into()
    }

    fn run(root: &Path) -> Run {
        let credential = Credential::token("pat-na1-x").unwrap();
        // Nobody answers it.
        let client = Client::new("http://127.0.0.1:9", credential, Budget::new(0.0)).unwrap();
        let account = Account {
            id: 1,
            time_zone: None,
            account_type: None,
            company_currency: None,
            data_hosting_location: None,
        };
        let state = Arc::new(State::open_folder(&root.join("state")).unwrap());
        Run::new(client, account, state, Bucket::open_folder(&root.join("files"), "hubspot").unwrap())
    }

    fn page(stage: &mut Stage<'_>, report: &mut FeedReport, rows_of: [u64; 2]) {
        for (rows, count) in stage.rows().unwrap().into_iter().zip(rows_of) {
            for _ in 0..count {
                rows.cell(0).unwrap().bigint(7);
                rows.finish_row();
            }
        }
        let written = rows_of.map(|rows| Written { rows, ..Written::default() }).into();
        stage.page_done(&Appended { written, ..Appended::default() }, report).unwrap();
    }

    /// Runs the steps, and a last checkpoint. All that is registered must be there as it was registered.
    async fn check(steps: &[Step]) {
        let root = tempfile::tempdir().unwrap();
        let run = run(root.path());
        let lease = run.state.lease(COLLECTIONS[0]).await.unwrap();
        let (tables, mut report) = (tables(), FeedReport::new(contacts(), None));
        let unfinished: Unfinished =
            serde_json::from_str(r#"{"mode":"backfill","started_ms":1,"moves_watermark":true,"slices":[]}"#)
                .unwrap();
        let mut cursor = Cursor::default();
        cursor.run = Some(unfinished);
        let (mut expected, mut waiting) = ([0, 0], [0, 0]);
        let mut left = steps.iter().copied();
        let mut is_over = false;
        while !is_over {
            let opened = Stage::open(&run, &lease, &tables, None, true, Checkpoints::default(), &mut report);
            let mut stage = opened.await.unwrap();
            loop {
                let step = left.next();
                is_over = step.is_none();
                match step {
                    Some(Step::Page | Step::PageOfOne) => {
                        let rows = if step == Some(Step::Page) { [2, 1] } else { [2, 0] };
                        page(&mut stage, &mut report, rows);
                        waiting = [waiting[0] + rows[0], waiting[1] + rows[1]];
                    }
                    Some(Step::Broken) => break,
                    Some(Step::Checkpoint | Step::Reopened) | None => {
                        let cursor = if is_over { &Cursor::default() } else { &cursor };
                        stage.checkpoint(cursor, &mut report).await.unwrap();
                        expected = [expected[0] + waiting[0], expected[1] + waiting[1]];
                        waiting = [0, 0];
                        if step != Some(Step::Checkpoint) {
                            break;
                        }
                    }
                }
            }
            waiting = [0, 0];
        }
        for (name, expected) in COLLECTIONS.into_iter().zip(expected) {
            let files = run.state.files(name).await.unwrap();
            let keys: BTreeSet<&str> = files.iter().map(|file| file.key.as_str()).collect();
            assert_eq!(keys.len(), files.len(), "{steps:?}");
            assert!(!files.is_empty(), "{steps:?}: {name} has no file");
            for file in &files {
                run.bucket.fetch(file).await.unwrap();
            }
            assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), expected, "{steps:?}: {name}");
        }
    }

    #[tokio::test]
    async fn a_stage_that_is_opened_again_at_any_step_names_no_file_twice() {
        for number in 0..STEPS.len().pow(4) {
            let steps: Vec<Step> = (0..4).map(|place| STEPS[number / STEPS.len().pow(place) % 5]).collect();
            check(&steps).await;
        }
    }
}

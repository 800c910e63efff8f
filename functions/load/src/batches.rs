//! Merges in batches of files. A batch is as large as the time allows, and half as large after one that did not fit. It
//! grows again with each batch that ends well before the deadline.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use staging::{Bucket, Lease, Shared, StagedFile, State};
use tracing::Instrument;
use warehouse::{Kind, Merged, TableMode, Warehouse};

use crate::files::locate;
use crate::merge_span;

/// Bytes of Parquet in one merge: what a warehouse sorts and joins at a time.
const MAX_BYTES: u64 = 256 << 20;
/// The same for the first batch of a load with a deadline: nobody knows yet how long it takes.
const FIRST_BYTES: u64 = 32 << 20;
/// A batch of fewer bytes is not made smaller; nor is one of one file.
const MIN_BYTES: u64 = 1 << 20;
/// Most batches that go through before a larger one is tried again.
const MAX_PATIENCE: u32 = 64;

/// The size of a table's batches, where one did not fit into the function's time or the warehouse's memory. A shared
/// document of the state for each table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Size {
    /// Most bytes in a batch; `None`: as many as ever.
    most_bytes: Option<u64>,
    /// Bytes of a batch that has begun. Found by another load, it did not fit.
    begun_bytes: Option<u64>,
    /// Full batches in a row that ended quickly.
    quick: u32,
    /// Number of these after which the size is doubled. Doubled itself where that was too much.
    patience: u32,
    /// `true`: the size was doubled, and no batch of it has ended yet.
    is_tried: bool,
}

impl Size {
    /// Returns the size after a batch that has begun, and of whose end nothing is known.
    fn after_what_began(&self) -> Size {
        let Some(bytes) = self.begun_bytes else { return self.clone() };
        let patience = match self.is_tried {
            true => self.patience.max(1).saturating_mul(2).min(MAX_PATIENCE),
            false => self.patience,
        };
        Size { most_bytes: Some((bytes / 2).max(MIN_BYTES)), patience, ..Size::default() }
    }

    /// Counts a full batch that ended quickly. Returns `true` if the next one may be twice as large.
    fn count_quick(&mut self) -> bool {
        self.quick += 1;
        self.is_tried = self.quick >= self.patience;
        if self.is_tried {
            self.quick = 0;
            self.most_bytes =
                self.most_bytes.map(|bytes| bytes.saturating_mul(2)).filter(|bytes| *bytes < MAX_BYTES);
        }
        self.is_tried
    }
}

/// The work of some batches.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) merged: Merged,
    pub(crate) bytes: u64,
    /// Files that are left, since the time was over.
    pub(crate) files_left: u64,
}

/// Merges files of one table.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    pub(crate) collection: &'a str,
    pub(crate) state: &'a State,
    pub(crate) bucket: &'a Bucket,
    pub(crate) warehouse: &'a dyn Warehouse,
    pub(crate) mode: TableMode,
    pub(crate) deadline: Option<Instant>,
    /// Lease under which merged files are reported as such; `None`: they stay pending.
    pub(crate) reports_under: Option<&'a Lease>,
}

impl Batches<'_> {
    /// Merges the files in their order, until the deadline is too near for one more batch.
    ///
    /// # Errors
    /// Of the warehouse; the batches before are merged.
    pub(crate) async fn merge(&self, files: Vec<StagedFile>) -> anyhow::Result<Done> {
        let mut done = Done::default();
        if files.is_empty() {
            return Ok(done);
        }
        let name = format!("batch-{}", self.collection);
        let mut document: Shared<Size> = self.state.shared(&name).await?;
        let mut size = document.value.after_what_began();
        if size.most_bytes.is_some() && document.value.begun_bytes.is_some() {
            tracing::warn!(
                collection.name = self.collection,
                batch.bytes = size.most_bytes,
                "the last merge did not end: this one is made smaller"
            );
        }
        let first = if self.deadline.is_some() { FIRST_BYTES } else { MAX_BYTES };
        let mut most = size.most_bytes.unwrap_or(first);
        let mut expected = Duration::ZERO;
        let mut left = files.into_iter().peekable();
        while left.peek().is_some() {
            if self.remaining().is_some_and(|remaining| expected >= remaining) {
                done.files_left = left.len() as u64;
                break;
            }
            let batch = next_batch(&mut left, most);
            let bytes: u64 = batch.iter().map(|file| file.bytes).sum();
            let begun_bytes = (batch.len() > 1).then_some(bytes);
            self.set(&name, &mut document, Size { begun_bytes, ..size.clone() }).await?;
            let started = Instant::now();
            let span = merge_span::of_merge(self.collection, batch.len(), bytes);
            let merged = self.merge_batch(&batch).instrument(span.clone()).await;
            merge_span::note_merged(&span, &merged);
            if merged.as_ref().is_err_and(is_of_any_size) {
                self.set(&name, &mut document, size.clone()).await?;
            }
            let merged = merged.with_context(|| format!("{} can't be merged", self.collection))?;
            done.add(merged, bytes);
            if let Some(lease) = self.reports_under {
                let keys: Vec<String> = batch.into_iter().map(|file| file.key).collect();
                self.state.set_merged(lease, self.collection, &keys).await?;
            }
            expected = started.elapsed();
            let is_short = self.remaining().is_none_or(|remaining| expected * 4 < remaining);
            size.is_tried = false;
            if is_short && bytes >= most / 2 && most < MAX_BYTES && size.count_quick() {
                most = most.saturating_mul(2).min(MAX_BYTES);
                expected *= 2;
            }
        }
        // Where no size was cut, the next load begins as ever.
        let next = if size.most_bytes.is_some() { size } else { Size::default() };
        self.set(&name, &mut document, next).await?;
        Ok(done)
    }

    async fn merge_batch(&self, batch: &[StagedFile]) -> anyhow::Result<Merged> {
        // Copies live until the merge is over.
        let (located, _copies) = locate(batch, self.bucket, self.warehouse.reads()).await?;
        let mut merged = Merged::default();
        for files in warehouse::by_sets(located) {
            merged.add(self.warehouse.merge_as(&files, self.mode).await?);
        }
        tracing::info!(
            collection.name = self.collection,
            files = merged.files,
            rows.staged = merged.staged_rows,
            rows.merged = merged.merged_rows,
            "files are merged"
        );
        Ok(merged)
    }

    fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Writes the size, unless it is small or as before. A small batch leaves no note: it can't be made smaller.
    async fn set(&self, name: &str, document: &mut Shared<Size>, size: Size) -> anyhow::Result<()> {
        let size = Size { begun_bytes: size.begun_bytes.filter(|bytes| *bytes > MIN_BYTES), ..size };
        if document.value == size {
            return Ok(());
        }
        document.value = size;
        // Whoever took the table over has a note of its own.
        if self.state.swap_shared(name, document).await? {
            document.version += 1;
        }
        Ok(())
    }
}

impl Done {
    fn add(&mut self, merged: Merged, bytes: u64) {
        self.bytes += bytes;
        self.merged.add(merged);
    }
}

/// `true`: a smaller batch would fail in the same way.
fn is_of_any_size(error: &anyhow::Error) -> bool {
    error.downcast_ref::<warehouse::Error>().is_none_or(|error| error.kind() != Kind::TooLarge)
}

/// Takes files of at most `most` bytes, or one that is larger.
fn next_batch(files: &mut std::iter::Peekable<std::vec::IntoIter<StagedFile>>, most: u64) -> Vec<StagedFile> {
    let mut batch: Vec<StagedFile> = Vec::new();
    let mut bytes = 0;
    while let Some(file) = files.next_if(|file| batch.is_empty() || bytes + file.bytes <= most) {
        bytes += file.bytes;
        batch.push(file);
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};
    use std::path::Path;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use staging::{Column, ColumnType, FileWriter, Person, Table};
    use warehouse::{
        Compare, Comparison, Erase, Erased, Extent, Ledger, LocatedFile, Presence, RecordedReport, Result,
        RunRow, Shape,
    };

    use super::*;

    fn file(bytes: u64) -> StagedFile {
        StagedFile {
            key: format!("k{bytes}"),
            collection: "contacts".into(),
            run_id: "run-1".into(),
            rows: 1,
            bytes,
            staged_at: chrono::DateTime::UNIX_EPOCH,
            snapshot: None,
            oldest_staged_at: None,
            is_expired: false,
        }
    }

    #[test]
    fn batches_are_bounded_by_bytes() {
        let half = MAX_BYTES / 2;
        let mut files =
            vec![file(half), file(half), file(1), file(2 * MAX_BYTES), file(3)].into_iter().peekable();
        let mut next =
            || -> Vec<u64> { next_batch(&mut files, MAX_BYTES).into_iter().map(|file| file.bytes).collect() };
        assert_eq!([next(), next(), next(), next(), next()].concat(), [half, half, 1, 2 * MAX_BYTES, 3]);
    }

    /// A warehouse in which batches of more than `fits` bytes take for ever, and the first `away` ones do, too.
    #[derive(Debug, Default)]
    struct Slow {
        fits: u64,
        away: usize,
        merges: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Warehouse for Slow {
        async fn merge_as(&self, files: &[LocatedFile], _: TableMode) -> Result<Merged> {
            let begun = {
                let mut merges = self.merges.lock().unwrap();
                merges.push(files.len());
                merges.len()
            };
            if begun <= self.away || files.len() as u64 * FILE_BYTES > self.fits {
                std::future::pending::<()>().await;
            }
            Ok(Merged { files: files.len() as u64, ..Merged::default() })
        }

        async fn account(&self) -> Result<Option<u64>> {
            unreachable!()
        }

        async fn loaded(&self, _: &str) -> Result<HashSet<String>> {
            unreachable!()
        }

        async fn ledger(&self, _: &str, _: &[&str]) -> Result<Ledger> {
            unreachable!()
        }

        async fn shapes(&self, _: &[&str]) -> Result<Vec<Option<Shape>>> {
            unreachable!()
        }

        async fn texts(&self, _: &str, _: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
            unreachable!()
        }

        async fn extent(&self, _: &str) -> Result<Option<Extent>> {
            unreachable!()
        }

        async fn live_rows(&self, _: &str) -> Result<u64> {
            unreachable!()
        }

        async fn forget(&self, _: &str) -> Result<()> {
            unreachable!()
        }

        async fn presence(&self, _: &Presence) -> Result<BTreeSet<u64>> {
            unreachable!()
        }

        async fn identify(&self, _: &Erase) -> Result<Person> {
            unreachable!()
        }

        async fn erase(&self, _: &Erase) -> Result<Vec<Erased>> {
            unreachable!()
        }

        async fn scrub(&self, _: &[&str], _: bool) -> Result<String> {
            unreachable!()
        }

        async fn replace_in_ledger(&self, _: &str, _: &[&str], _: Option<&StagedFile>) -> Result<bool> {
            unreachable!()
        }

        async fn compare(&self, _: &Compare) -> Result<Comparison> {
            unreachable!()
        }

        async fn record_runs(&self, _: &[RunRow]) -> Result<u64> {
            unreachable!()
        }
        async fn reports(&self, _: &str) -> Result<Vec<RecordedReport>> {
            unreachable!()
        }
    }

    const FILE_BYTES: u64 = 4 << 20;

    /// Makes batches of `deals`, without a deadline.
    fn batches<'a>(state: &'a State, bucket: &'a Bucket, warehouse: &'a Slow) -> Batches<'a> {
        let mode = TableMode::default();
        Batches { collection: "deals", state, bucket, warehouse, mode, deadline: None, reports_under: None }
    }

    fn open(root: &Path) -> (State, Bucket) {
        let state = State::open_folder(&root.join("state")).unwrap();
        (state, Bucket::open_folder(&root.join("files"), "hubspot").unwrap())
    }

    /// Stages files without rows, and registers them as large ones.
    async fn stage(state: &State, bucket: &Bucket, files: usize) -> Vec<StagedFile> {
        let table = Table::new("deals", &["id"], vec![Column::new("id", ColumnType::BigInt)]).unwrap();
        let now = chrono::Utc::now();
        let mut staged = Vec::new();
        for n in 0..files {
            let key = bucket.key("deals", &format!("{n:02}"), now);
            let scratch = bucket.scratch("writing").unwrap().join(n.to_string());
            let writer = FileWriter::create(&scratch, &key, 1, "run-1", &table).unwrap();
            let file = bucket.put(writer.finish().unwrap(), now).await.unwrap();
            staged.push(StagedFile { bytes: FILE_BYTES, ..file });
        }
        let lease = state.lease("deals").await.unwrap();
        state.checkpoint(&lease, &1_u64, &staged).await.unwrap();
        staged
    }

    #[tokio::test]
    async fn a_batch_that_takes_for_ever_is_halved_until_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let (state, bucket) = open(root.path());
        stage(&state, &bucket, 8).await;
        let warehouse = Slow { fits: 2 * FILE_BYTES, away: 0, merges: Mutex::default() };
        let lease = state.lease("load-deals").await.unwrap();
        let batches = Batches { reports_under: Some(&lease), ..batches(&state, &bucket, &warehouse) };
        load_until_all_is_merged(&state, &batches).await;
        // A larger batch is tried again, each time later.
        assert_eq!(*warehouse.merges.lock().unwrap(), [8, 4, 2, 4, 2, 2, 2]);
    }

    /// Loads as often as it takes, and kills those that take for ever.
    async fn load_until_all_is_merged(state: &State, batches: &Batches<'_>) {
        for _ in 0..30 {
            let pending = state.pending(Some("deals")).await.unwrap();
            if pending.is_empty() {
                return;
            }
            let _killed = tokio::time::timeout(Duration::from_millis(200), batches.merge(pending)).await;
        }
        panic!("files are left");
    }

    #[tokio::test]
    async fn a_backlog_is_loaded_as_fast_after_an_outage() {
        let root = tempfile::tempdir().unwrap();
        let (state, bucket) = open(root.path());
        stage(&state, &bucket, 40).await;
        let warehouse = Slow { fits: u64::MAX, away: 7, merges: Mutex::default() };
        let lease = state.lease("load-deals").await.unwrap();
        let batches = Batches { reports_under: Some(&lease), ..batches(&state, &bucket, &warehouse) };
        load_until_all_is_merged(&state, &batches).await;
        let merges = warehouse.merges.lock().unwrap().clone();
        assert_eq!(merges, [40, 20, 10, 5, 2, 1, 1, 1, 2, 4, 8, 16, 9]);
    }

    #[tokio::test]
    async fn no_batch_begins_after_the_deadline() {
        let root = tempfile::tempdir().unwrap();
        let (state, bucket) = open(root.path());
        let files = stage(&state, &bucket, 3).await;
        let warehouse = Slow { fits: 0, away: 0, merges: Mutex::default() };
        let batches = Batches { deadline: Some(Instant::now()), ..batches(&state, &bucket, &warehouse) };
        assert_eq!(batches.merge(files).await.unwrap().files_left, 3);
        assert!(warehouse.merges.lock().unwrap().is_empty());
    }

    #[test]
    fn a_batch_that_did_not_end_is_halved_until_it_is_small() {
        let begun = |bytes| Size { begun_bytes: Some(bytes), ..Size::default() }.after_what_began();
        assert_eq!(begun(64 << 20), Size { most_bytes: Some(32 << 20), ..Size::default() });
        assert_eq!(begun(MIN_BYTES + 1).most_bytes, Some(MIN_BYTES));
        let kept = Size { most_bytes: Some(7), quick: 3, patience: 8, ..Size::default() };
        assert_eq!(kept.after_what_began(), kept);
    }

    #[test]
    fn a_size_that_was_tried_in_vain_is_tried_later() {
        let mut size = Size { most_bytes: Some(4), ..Size::default() };
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            while !size.count_quick() {}
            size = Size { begun_bytes: Some(8), ..size }.after_what_began();
            assert_eq!(size.patience, expected);
        }
    }
}

//! From rows to registered files: the open Parquet file, and the checkpoint that makes it count.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::Utc;
use hubspot::feeds::{Appended, Cursor};
use staging::{FileWriter, Lease, Rows, StagedFile, Table};

use crate::Run;
use crate::report::FeedReport;

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

#[derive(Debug)]
pub(crate) struct Stage<'a> {
    run: &'a Run,
    lease: Lease,
    table: Table,
    checkpoints: Checkpoints,
    scratch: PathBuf,
    open: Option<FileWriter>,
    files: usize,
    /// Rows appended since the last checkpoint, counted page by page: the file must hold as many.
    rows_appended: u64,
    last_checkpoint: Instant,
}

impl<'a> Stage<'a> {
    /// Clears what dead runs of this feed left half written: the lease says that they are dead.
    pub(crate) fn open(
        run: &'a Run,
        lease: Lease,
        table: Table,
        checkpoints: Checkpoints,
    ) -> anyhow::Result<Stage<'a>> {
        run.bucket.clear_scratch(&format!("{}-", table.collection))?;
        let scratch = run.bucket.scratch(&format!("{}-{}", table.collection, run.id))?;
        Ok(Stage {
            run,
            lease,
            table,
            checkpoints,
            scratch,
            open: None,
            files: 0,
            rows_appended: 0,
            last_checkpoint: Instant::now(),
        })
    }

    /// Where the next page's rows go.
    pub(crate) fn rows(&mut self) -> anyhow::Result<&mut Rows> {
        let file = match self.open.take() {
            Some(file) => file,
            None => {
                self.files += 1;
                let path = self.scratch.join(format!("{}.parquet", self.files));
                FileWriter::create(&path, self.run.account.id, &self.run.id, &self.table)?
            }
        };
        Ok(self.open.insert(file).rows())
    }

    /// To be called after each page: counts it, and encodes what waits once it is enough.
    pub(crate) fn page_done(&mut self, appended: Appended, report: &mut FeedReport) -> anyhow::Result<()> {
        self.rows_appended += appended.rows;
        report.unparsed_values += appended.unparsed_values;
        report.deleted += appended.deleted;
        self.open.as_mut().map_or(Ok(()), FileWriter::page_done)
    }

    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let Some(file) = self.open.as_ref().filter(|file| !file.is_empty()) else { return false };
        let is_large = file.is_full() || file.size_bytes() >= self.checkpoints.bytes;
        is_large || self.last_checkpoint.elapsed() >= self.checkpoints.interval
    }

    /// Makes the open file durable, then registers it and saves the cursor in one step.
    pub(crate) async fn checkpoint(
        &mut self,
        cursor: &Cursor,
        report: &mut FeedReport,
    ) -> anyhow::Result<()> {
        let file = self.seal()?;
        self.run
            .state
            .checkpoint(&self.lease, cursor, file.as_slice())
            .await
            .context("the checkpoint is not saved; the next run goes on from the one before")?;
        if let Some(file) = file {
            tracing::info!(
                collection.name = file.collection,
                file.key = file.key,
                file.rows = file.rows,
                file.bytes = file.bytes,
                "a file is staged"
            );
            report.rows += file.rows;
            report.bytes += file.bytes;
            report.files += 1;
        }
        self.last_checkpoint = Instant::now();
        Ok(())
    }

    fn seal(&mut self) -> anyhow::Result<Option<StagedFile>> {
        let rows_appended = std::mem::take(&mut self.rows_appended);
        let Some(writer) = self.open.take() else { return Ok(None) };
        if writer.is_empty() && rows_appended == 0 {
            writer.discard()?;
            return Ok(None);
        }
        let finished = writer.finish()?;
        if finished.description.rows != rows_appended {
            let staged = finished.description.rows;
            bail!(
                "{rows_appended} rows were read, but the staged file of {} holds {staged}",
                self.table.collection
            );
        }
        let name = format!("{}-{:04}", self.run.id, self.files);
        self.run.bucket.put(finished, &name, Utc::now()).map(Some)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Only tidiness: the next run of the feed clears it too.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

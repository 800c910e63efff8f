//! One load: staged files -> warehouse. A staged file says what it holds, so nothing of HubSpot is known here but the
//! name of one table, which a configuration is checked by before there is a file (`modes.rs`).

mod event;
mod kept;
mod modes;
mod password;
mod reconcile;
mod report;
mod runs;

use std::time::{Duration, Instant};

use anyhow::Context;
use staging::{Bucket, Lease, LocalFile, StagedFile, StagedObject, State};
use warehouse::{LocatedFile, Location, Reads, TableMode, Warehouse};

use kept::Table;

pub use event::Event;
pub use modes::{ALL, Modes};
pub use password::password;
pub use reconcile::{Reconciled, Step, is_due, reconcile};
pub use report::{LoadReport, TableReport, is_busy};
pub use runs::record_runs;

/// Bytes of Parquet in one merge: what a warehouse sorts and joins at a time.
const MAX_MERGE_BYTES: u64 = 256 << 20;

/// Which files a load looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that the warehouse does not hold, where files are registered that no load has reported as merged; else
    /// nothing is asked of it.
    #[default]
    Pending,
    /// All that the warehouse does not hold, whatever loads have reported: a table that was dropped, or a warehouse
    /// restored from a copy, is filled again from the staged files, without a call to HubSpot.
    Everything,
    /// The same; and where rows of a table are gone that loads had put there, all files, once more.
    Replay,
}

/// The answer to a table that has fewer rows than the loads before left in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LostRows {
    /// It merges what there is, and then fails, as each load does until the rows are back.
    #[default]
    Refuse,
    /// Somebody says that they may be gone.
    Accept,
    /// The table is compared with HubSpot right after, which reads them again.
    Compare,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub scope: Scope,
    /// The way the table is kept.
    pub mode: TableMode,
    pub lost_rows: LostRows,
    /// No merge is begun that would, by the time the last one took, not end before this.
    pub deadline: Option<Instant>,
}

/// The work of one load on one collection's table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows inserted or updated.
    pub merged_rows: u64,
    pub bytes: u64,
    pub statements_that_write: u64,
    /// Files that are left for the next load, because the time was over.
    pub files_left: u64,
}

/// Merges the collection's registered files that the warehouse does not hold yet, in the order in which they were
/// staged; where there are none, no statement is issued. Twice is once: the warehouse's ledger knows each file. A
/// crash at any point leaves files either merged and in the ledger, or neither.
///
/// A warehouse that does not hold what it was given before gets everything again from the staged files; so does a table
/// with a column dropped.
///
/// # Errors
/// Also when rows of the table are gone that loads had put there; see [`LostRows`].
pub async fn load(
    collection: &str,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &Options,
) -> anyhow::Result<Loaded> {
    let pending = state.pending(Some(collection)).await?;
    if pending.is_empty() && options.scope == Scope::Pending {
        return Ok(Loaded::default());
    }
    let registered = state.files(collection).await?;
    if registered.is_empty() {
        return Ok(Loaded::default());
    }
    if pending.is_empty() {
        let held = warehouse.loaded(collection).await?;
        let is_held = registered.iter().all(|file| held.contains(&file.key));
        if is_held && !Table::look(collection, state, warehouse).await?.is_changed() {
            return Ok(Loaded::default());
        }
    }

    let lease = state.lease(&format!("load-{collection}")).await?;
    let loaded = merge(collection, registered, &lease, state, bucket, warehouse, options).await;
    state.release(lease).await;
    loaded
}

async fn merge(
    collection: &str,
    registered: Vec<StagedFile>,
    lease: &Lease,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &Options,
) -> anyhow::Result<Loaded> {
    // Under the lease: another load may have ended meanwhile.
    let mut table = Table::look(collection, state, warehouse).await?;
    table.begin(options.scope, options.lost_rows).await?;
    let held = warehouse.loaded(collection).await?;
    let (known, missing): (Vec<_>, Vec<_>) =
        registered.into_iter().partition(|file| held.contains(&file.key));
    let known: Vec<String> = known.into_iter().map(|file| file.key).collect();
    state.set_merged(lease, collection, &known).await?;
    let mut loaded = Loaded::default();
    let mut longest = Duration::ZERO;
    let mut batches = batches(missing).into_iter();
    while let Some(batch) = batches.next() {
        if options.deadline.is_some_and(|deadline| Instant::now() + longest > deadline) {
            loaded.files_left = batch.len() as u64 + batches.map(|batch| batch.len() as u64).sum::<u64>();
            break;
        }
        let started = Instant::now();
        // Copies live until the merge is over.
        let (located, _copies) = locate(&batch, bucket, warehouse.reads()).await?;
        let merged = warehouse
            .merge_as(&located, options.mode)
            .await
            .with_context(|| format!("{collection} can't be merged"))?;
        tracing::info!(
            collection.name = collection,
            files = merged.files,
            rows.staged = merged.staged_rows,
            rows.merged = merged.merged_rows,
            "files are merged"
        );
        loaded.files += merged.files;
        loaded.staged_rows += merged.staged_rows;
        loaded.merged_rows += merged.merged_rows;
        loaded.bytes += batch.iter().map(|file| file.bytes).sum::<u64>();
        loaded.statements_that_write += merged.statements_that_write;
        let keys: Vec<String> = batch.into_iter().map(|file| file.key).collect();
        state.set_merged(lease, collection, &keys).await?;
        longest = longest.max(started.elapsed());
    }
    table.end(loaded.files_left == 0).await?;
    table.check(options.lost_rows)?;
    Ok(loaded)
}

/// The files where the warehouse reads them, and what has to be kept for that.
async fn locate(
    files: &[StagedFile],
    bucket: &Bucket,
    reads: Reads,
) -> anyhow::Result<(Vec<LocatedFile>, Vec<LocalFile>)> {
    let (mut located, mut copies) = (Vec::with_capacity(files.len()), Vec::new());
    for file in files {
        let (location, description) = match reads {
            Reads::Local => {
                let local = bucket.fetch(file).await?;
                let found = (Location::Local(local.path.clone()), local.description.clone());
                copies.push(local);
                found
            }
            Reads::S3 => {
                let StagedObject { bucket, key, bytes, description } = bucket.locate(file).await?;
                (Location::S3 { bucket, key, bytes }, description)
            }
        };
        located.push(LocatedFile { key: file.key.clone(), location, description });
    }
    Ok((located, copies))
}

/// Runs of files of at most [`MAX_MERGE_BYTES`], or of one file that is larger.
fn batches(files: Vec<StagedFile>) -> Vec<Vec<StagedFile>> {
    let mut batches: Vec<Vec<StagedFile>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.bytes;
        match batches.last_mut() {
            Some(batch) if bytes <= MAX_MERGE_BYTES => batch.push(file),
            _ => {
                bytes = file.bytes;
                batches.push(vec![file]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
    fn merges_are_bounded_by_bytes() {
        let sizes = |batches: Vec<Vec<StagedFile>>| -> Vec<Vec<u64>> {
            batches.into_iter().map(|batch| batch.into_iter().map(|file| file.bytes).collect()).collect()
        };
        let half = MAX_MERGE_BYTES / 2;
        let files = vec![file(half), file(half), file(1), file(2 * MAX_MERGE_BYTES), file(3)];
        assert_eq!(sizes(batches(files)), [vec![half, half], vec![1], vec![2 * MAX_MERGE_BYTES], vec![3]]);
        assert!(batches(Vec::new()).is_empty());
    }
}

//! One load: staged files -> warehouse. A staged file says what it holds, so nothing of HubSpot is known here.

mod event;
mod files;
mod kept;
mod modes;
mod options;
mod password;
mod reconcile;
mod report;
mod runs;

use std::time::{Duration, Instant};

use anyhow::Context;
use staging::{Bucket, Lease, StagedFile, State};
use warehouse::Warehouse;

use files::{batches, locate};
use kept::Table;

pub use event::Event;
pub use modes::{ALL, Modes};
pub use options::{Loaded, LostRows, Options, Scope};
pub use password::password;
pub use reconcile::{Reconciled, Step, is_due, reconcile};
pub use report::{LoadReport, TableReport, is_busy};
pub use runs::record_runs;

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
    if pending.is_empty() {
        let table = Table::look(collection, state, warehouse).await?;
        if !table.is_changed() && table.files(options.scope, &[]).await?.missing.is_empty() {
            return Ok(Loaded::default());
        }
    }

    let lease = state.lease(&format!("load-{collection}")).await?;
    let loaded = merge(collection, &pending, &lease, state, bucket, warehouse, options).await;
    state.release(lease).await;
    loaded
}

async fn merge(
    collection: &str,
    pending: &[StagedFile],
    lease: &Lease,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &Options,
) -> anyhow::Result<Loaded> {
    // Under the lease: another load may have ended meanwhile.
    let mut table = Table::look(collection, state, warehouse).await?;
    table.begin(options.scope, options.lost_rows).await?;
    let mut files = table.files(options.scope, pending).await?;
    if !files.held.is_empty() {
        state.set_merged(lease, collection, &files.held).await?;
    }
    let mut loaded = Loaded::default();
    let mut longest = Duration::ZERO;
    let mut batches = batches(std::mem::take(&mut files.missing)).into_iter();
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
    table.end(files.last(loaded.files_left)).await?;
    table.check(options.lost_rows)?;
    Ok(loaded)
}

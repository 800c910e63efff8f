//! One load: staged files -> warehouse. A staged file says what it holds, so nothing of HubSpot is known here.

mod batches;
mod busy;
mod changes;
mod compact;
mod event;
mod exchange;
mod files;
mod forget;
mod kept;
mod merge_span;
mod modes;
mod options;
mod overview;
mod password;
mod reconcile;
mod report;
mod runs;
mod span;
#[cfg(test)]
mod tests;

use staging::{Bucket, Lease, StagedFile, State};
use tracing::Instrument;
use warehouse::Warehouse;

use batches::Batches;
use kept::Table;

pub use busy::is_busy;
pub use changes::{ColumnChanges, Retyped};
pub use compact::{CompactOptions, Compacted, compact, is_compaction_due};
pub use event::{Asked, Event};
pub use forget::{
    CollectionForgotten, FORGET, ForgetDeleted, ForgetOptions, ForgetReport, Lifted, Places, RemovedOptions,
    contacts_of, forget, forget_removed, is_forgetting_removed, lift, stop_forgetting_removed,
};
pub use modes::{ALL, Modes};
pub use options::{Loaded, LostRows, Options, Scope};
pub use overview::{Of, Overview, overview};
pub use password::password;
pub use reconcile::{ReconcileOptions, Reconciled, Step, is_due, reconcile};
pub use report::{LoadReport, TableReport};
pub use runs::record_runs;

/// Merges the collection's registered files that the warehouse does not hold yet, in the order in which they were
/// staged. In [`Scope::Pending`], no statement is issued where none is pending. Twice is once: the warehouse's ledger
/// knows each file. A crash at any point leaves files either merged and in the ledger, or neither.
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
    let span = span::of_load(collection);
    let loaded = load_pending(collection, state, bucket, warehouse, options).instrument(span.clone()).await;
    span::note_loaded(&span, &loaded);
    loaded
}

async fn load_pending(
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
            return Ok(Loaded { degraded: table.degraded(), ..Loaded::default() });
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
    if files.missing.len() > pending.len() {
        // Before anything is merged of a table that could not be whole.
        bucket.check_there(&files.missing).await?;
    }
    let Options { mode, deadline, .. } = *options;
    let reports_under = Some(lease);
    let batches = Batches { collection, state, bucket, warehouse, mode, deadline, reports_under };
    let done = batches.merge(std::mem::take(&mut files.missing)).await?;
    let loaded = Loaded::from(done);
    let column_changes = table.end(files.last(loaded.files_left)).await?;
    table.check(options.lost_rows)?;
    Ok(Loaded { degraded: table.degraded(), column_changes, ..loaded })
}

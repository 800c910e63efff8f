//! Comparison of a table with a snapshot of HubSpot's records.
//!
//! A snapshot's files are merged into a table of their own, and one query finds the differences. A request for the
//! differing records is written to the state; a run of `extract` reads them again, their rows are merged as ever, and
//! the tables are compared once more. The snapshot is finished when no record differs. A record that still differs
//! after it was read again is an error, in each load, until it does not.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use staging::{
    Bucket, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, Lease, MERGED_INTO_ID, READ_AT, RECEIVED_AT,
    RUN_ID, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT, Shared, SnapshotPart, StagedFile, State, UNPARSED, Wanted,
    snapshot_name,
};
use warehouse::{Compare, Comparison, Difference, Differing, TableMode, Warehouse};

use crate::batches::Batches;
use crate::files::locate;
use crate::kept::{self, Table};

/// Columns of a snapshot about its rows themselves, which are not compared.
const NOT_COMPARED: [&str; 9] =
    ["id", IS_DELETED, SOURCE_UPDATED_AT, SHOWN_UPDATED_AT, READ_AT, RECEIVED_AT, RUN_ID, FILE, UNPARSED];

/// Columns about a record's deletion.
const OF_DELETIONS: [&str; 3] = [DELETED_AT, DELETED_REASON, MERGED_INTO_ID];

/// Most records that an error names.
const MAX_NAMED: usize = 10;
/// Number of records that HubSpot may show no more at a time, whatever share of the table they are.
pub(crate) const FEW_REMOVED: u64 = 20;
/// One in so many live records may be gone at a time, apart from those that are archived or merged.
pub(crate) const MOST_REMOVED: u64 = 4;

/// The progress of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The table equals HubSpot's records.
    Equal,
    /// Differing records are requested.
    Asked,
    /// Records that were requested before are not read yet.
    Waiting,
    /// Files of the snapshot are left to be merged, since the time was over.
    Stopped,
}

/// Findings of a comparison of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// When the snapshot began, in milliseconds, by our clock.
    pub snapshot_ms: i64,
    pub step: Step,
    /// Columns whose values were compared, besides ids, versions and deletions.
    #[serde(default)]
    pub compared_columns: Vec<String>,
    /// Records that differ, by the way in which they do.
    pub differing: BTreeMap<String, u64>,
    /// Number of requested records; 0 if everything is to be read again.
    pub asked: u64,
    /// `true`: the records are too many to be requested by their ids.
    pub is_whole: bool,
}

impl Reconciled {
    /// Records that differ.
    pub fn records(&self) -> u64 {
        self.differing.values().sum()
    }

    /// Returns the findings as text.
    pub fn text(&self) -> String {
        let kinds: Vec<String> =
            self.differing.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        match self.step {
            Step::Equal => match self.compared_columns.len() {
                0 => "equal to HubSpot in ids, versions and deletions".to_owned(),
                columns => format!(
                    "equal to HubSpot in ids, versions, deletions, and {columns} columns of live records"
                ),
            },
            Step::Asked if self.is_whole => {
                format!("{}: the next run reads everything again", kinds.join(", "))
            }
            Step::Asked => format!("{}: the next run reads them again", kinds.join(", ")),
            Step::Waiting => "the differing records are not read again yet".to_owned(),
            Step::Stopped => "the snapshot is merged in part: the next load goes on".to_owned(),
        }
    }
}

/// Options of a comparison.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReconcileOptions {
    /// `true`: HubSpot may show most of the table's records no more. Otherwise that is an error, since a credential that
    /// sees less looks the same.
    pub accepts_removals: bool,
    /// Time before which the snapshot's files must be merged, or left for the next call.
    pub deadline: Option<Instant>,
}

/// Makes the next step of the comparison with the newest complete snapshot of the collection's table. `None`: there is
/// none, or registered rows have to be merged first.
///
/// Two calls do the same as one: the second finds the request of the first. A crash leaves the snapshot as it was, or
/// the differing records requested.
///
/// # Errors
/// Also when records still differ that were read again; the message names them.
pub async fn reconcile(
    collection: &str,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &ReconcileOptions,
) -> anyhow::Result<Option<Reconciled>> {
    let name = snapshot_name(collection);
    let pending = state.pending(Some(&name)).await?;
    if newest_whole(&pending).is_none() || !state.pending(Some(collection)).await?.is_empty() {
        return Ok(None);
    }
    let lease = state.lease(&format!("load-{name}")).await?;
    let gone_on = go_on(collection, &pending, &lease, state, bucket, warehouse, options).await;
    state.release(lease).await;
    gone_on.with_context(|| format!("{collection} can't be reconciled with HubSpot"))
}

/// `true`: [`reconcile`] would query the warehouse.
pub async fn is_due(collection: &str, state: &State) -> anyhow::Result<bool> {
    let pending = state.pending(Some(&snapshot_name(collection))).await?;
    let Some(snapshot) = newest_whole(&pending) else { return Ok(false) };
    let wanted: Shared<Wanted> = state.shared(&Wanted::document(collection)).await?;
    Ok(!(wanted.value.is_open() && wanted.value.snapshot_ms == snapshot.began_ms))
}

/// Returns the snapshot that is compared next.
fn newest_whole(files: &[StagedFile]) -> Option<SnapshotPart> {
    let parts = files.iter().filter_map(|file| file.snapshot).filter(|part| part.is_last);
    parts.max_by_key(|part| part.began_ms)
}

async fn go_on(
    collection: &str,
    pending: &[StagedFile],
    lease: &Lease,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &ReconcileOptions,
) -> anyhow::Result<Option<Reconciled>> {
    let Some(snapshot) = newest_whole(pending) else { return Ok(None) };
    let began = |file: &&StagedFile| file.snapshot.map_or(i64::MIN, |part| part.began_ms);
    let (files, others): (Vec<&StagedFile>, Vec<&StagedFile>) =
        pending.iter().partition(|file| began(file) == snapshot.began_ms);
    // Older ones say nothing that this one does not say better; a newer one is not whole yet.
    let older = others.iter().filter(|file| began(file) < snapshot.began_ms);
    let name = snapshot_name(collection);
    state.set_merged(lease, &name, &keys(older.copied())).await?;

    let document = Wanted::document(collection);
    let wanted: Shared<Wanted> = state.shared(&document).await?;
    let before = wanted.value.clone();
    let is_of_this = before.snapshot_ms == snapshot.began_ms;
    let report = |step, columns: &[String], comparison: &Comparison, wanted: &Wanted| Reconciled {
        snapshot_ms: snapshot.began_ms,
        step,
        compared_columns: columns
            .iter()
            .filter(|name| !OF_DELETIONS.contains(&name.as_str()))
            .cloned()
            .collect(),
        differing: comparison.counts.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect(),
        asked: wanted.records.0.len() as u64,
        is_whole: wanted.is_whole,
    };
    if is_of_this && before.is_open() {
        return Ok(Some(report(Step::Waiting, &[], &Comparison::default(), &before)));
    }

    let table = Table::look(collection, state, warehouse).await?;
    if table.is_refilled() {
        return Ok(None);
    }
    kept::check_columns(&table)?;
    if table.is_missing() && !state.files(collection).await?.is_empty() {
        bail!(
            "its table is gone from the warehouse: fill it again from the staged files (replay), then compare"
        );
    }
    let (mode, deadline) = (TableMode::default(), options.deadline);
    // The files are pending until the comparison is over.
    let batches =
        Batches { collection: &name, state, bucket, warehouse, mode, deadline, reports_under: None };
    if !merge(&files, batches).await? {
        return Ok(Some(report(Step::Stopped, &[], &Comparison::default(), &before)));
    }
    let (columns, comparison) = compare(collection, snapshot, &files, bucket, warehouse).await?;
    let mut next = wants(snapshot, &comparison);
    let is_accepted = options.accepts_removals || before.accepted_ms == Some(snapshot.began_ms);
    if is_accepted {
        next.accepted_ms = Some(snapshot.began_ms);
    } else {
        refuse_removals(collection, &comparison, warehouse).await?;
    }
    (next.reconciled_ms, next.refreshed_ms) = (before.reconciled_ms, before.refreshed_ms);
    let step = if comparison.counts.is_empty() { Step::Equal } else { Step::Asked };
    if step == Step::Equal {
        next.reconciled_ms = Some(snapshot.began_ms);
        if snapshot.is_refresh {
            next.refreshed_ms = Some(snapshot.began_ms);
        }
        next.is_answered = true;
    }
    if !state.swap_shared(&document, &Shared { version: wanted.version, value: next.clone() }).await? {
        bail!("another load continued with this snapshot: the next load goes on from its result");
    }
    if step == Step::Equal {
        kept::set_equal(collection, state).await?;
        state.set_merged(lease, &name, &keys(files.into_iter())).await?;
    }
    let found = report(step, &columns, &comparison, &next);
    tracing::info!(collection.name = collection, records.differing = found.records(), "{}", found.text());
    if is_of_this {
        refuse_what_stays(&comparison, &before)?;
    }
    Ok(Some(found))
}

/// Merges the files of a snapshot. `false`: some are left, since the time was over.
async fn merge(files: &[&StagedFile], batches: Batches<'_>) -> anyhow::Result<bool> {
    let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
    let held = batches.warehouse.ledger(batches.collection, &keys).await?.held;
    let missing = files.iter().filter(|file| !held.contains(&file.key)).map(|&file| file.clone()).collect();
    let done = batches.merge(missing).await?;
    Ok(done.files_left == 0)
}

async fn compare(
    collection: &str,
    snapshot: SnapshotPart,
    files: &[&StagedFile],
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
) -> anyhow::Result<(Vec<String>, Comparison)> {
    // All of its files have the same columns.
    let last: Vec<StagedFile> = files.last().map(|&file| file.clone()).into_iter().collect();
    let (located, _copies) = locate(&last, bucket, warehouse.reads()).await?;
    let columns = located.iter().flat_map(|file| &file.description.table.columns);
    let compare = Compare {
        collection: collection.to_owned(),
        snapshot,
        columns: columns
            .map(|column| column.name.clone())
            .filter(|name| !NOT_COMPARED.contains(&name.as_str()))
            .collect(),
        most: Wanted::MAX_RECORDS as u64,
    };
    let comparison = warehouse.compare(&compare).await?;
    Ok((compare.columns, comparison))
}

/// Refuses a comparison in which too many records are gone. A credential of one user may see that user's records
/// alone, which looks like an account whose other records are gone, except for their number.
async fn refuse_removals(
    collection: &str,
    comparison: &Comparison,
    warehouse: &dyn Warehouse,
) -> anyhow::Result<()> {
    let mut counts = comparison.counts.iter();
    let gone = counts.find(|(kind, _)| *kind == Difference::Gone).map_or(0, |(_, count)| *count);
    if gone <= FEW_REMOVED {
        return Ok(());
    }
    let live = warehouse.live_rows(collection).await?;
    if gone <= live / MOST_REMOVED {
        return Ok(());
    }
    bail!(
        "HubSpot shows {gone} of the {live} live records of the table no more, and they are not taken for removed: does \
         the credential see less than the one before, such as the records of one user? If it does, give it back its \
         rights. If the records are deleted, confirm it once: --accept-removals, or {{\"accept_removals\": true}} to the load function"
    );
}

/// Returns the records to read again: those that HubSpot shows, by their ids or, if they are too many, with everything
/// else; then those that are gone.
fn wants(snapshot: SnapshotPart, comparison: &Comparison) -> Wanted {
    let mut wanted = Wanted { snapshot_ms: snapshot.began_ms, ..Wanted::default() };
    let to_read: u64 =
        comparison.counts.iter().filter(|(kind, _)| kind.is_shown()).map(|(_, count)| count).sum();
    if to_read > Wanted::MAX_RECORDS as u64 {
        wanted.is_whole = true;
        return wanted;
    }
    let (shown, gone): (Vec<&Differing>, Vec<&Differing>) =
        comparison.records.iter().partition(|record| record.difference.is_shown());
    for record in shown.into_iter().chain(gone).take(Wanted::MAX_RECORDS) {
        if let Ok(id) = u64::try_from(record.id) {
            wanted.records.0.insert(id, record.updated_ms.unwrap_or(Wanted::NO_VERSION));
        }
    }
    wanted
}

/// Refuses a comparison in which records that were read again and merged still differ.
fn refuse_what_stays(comparison: &Comparison, before: &Wanted) -> anyhow::Result<()> {
    let was_asked = |id: i64| u64::try_from(id).is_ok_and(|id| before.records.0.contains_key(&id));
    let stay: Vec<String> = comparison
        .records
        .iter()
        .filter(|record| before.is_whole && record.difference.is_shown() || was_asked(record.id))
        .map(|record| format!("{} {}", record.difference.name(), record.id))
        .collect();
    if stay.is_empty() {
        return Ok(());
    }
    bail!(
        "{} records are not in the table as HubSpot shows them, though they were read again: {}{}. They are read again \
         with every run until they are; if they stay, compare one with HubSpot by its id, and look whether anything \
         else writes to the table",
        stay.len(),
        stay[..stay.len().min(MAX_NAMED)].join(", "),
        if stay.len() > MAX_NAMED { ", ..." } else { "" }
    )
}

fn keys<'f>(files: impl Iterator<Item = &'f StagedFile>) -> Vec<String> {
    files.map(|file| file.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use warehouse::Difference;

    use super::*;

    const SNAPSHOT: SnapshotPart =
        SnapshotPart { began_ms: 7, caught_up_ms: 6, is_last: true, is_refresh: false, whole_since_ms: None };

    fn differing(id: i64, difference: Difference) -> Differing {
        Differing { id, difference, updated_ms: (id > 1).then_some(id) }
    }

    fn comparison(records: Vec<Differing>) -> Comparison {
        let count = |kind: Difference| records.iter().filter(|record| record.difference == kind).count();
        let counts = Difference::ALL.map(|kind| (kind, count(kind) as u64));
        Comparison { counts: counts.into_iter().filter(|(_, count)| *count > 0).collect(), records }
    }

    #[test]
    fn what_differs_is_asked_for_with_the_version_held() {
        let found = comparison(vec![differing(1, Difference::Missing), differing(2, Difference::Gone)]);
        let wanted = wants(SNAPSHOT, &found);
        assert_eq!(wanted.records.0, BTreeMap::from([(1, Wanted::NO_VERSION), (2, 2)]));
        assert!(wanted.is_open() && !wanted.is_whole);
        assert!(!wants(SNAPSHOT, &comparison(Vec::new())).is_open());
    }

    #[test]
    fn too_much_is_read_with_everything_else() {
        let mut found = comparison(vec![differing(2, Difference::Stale)]);
        found.counts = vec![(Difference::Stale, Wanted::MAX_RECORDS as u64 + 1)];
        assert!(wants(SNAPSHOT, &found).is_whole);
        // Of what is gone, everything would show nothing.
        found.counts = vec![(Difference::Gone, Wanted::MAX_RECORDS as u64 + 1)];
        assert!(!wants(SNAPSHOT, &found).is_whole);
    }

    #[test]
    fn what_stays_is_an_error_that_names_it() {
        let found = comparison(vec![differing(1, Difference::Missing), differing(2, Difference::Gone)]);
        let asked = wants(SNAPSHOT, &comparison(vec![differing(2, Difference::Gone)]));
        let error = refuse_what_stays(&found, &asked).unwrap_err().to_string();
        assert!(error.starts_with("1 records") && error.contains("gone 2"), "{error}");
        refuse_what_stays(&found, &wants(SNAPSHOT, &Comparison::default())).unwrap();
        let whole = Wanted { is_whole: true, ..Wanted::default() };
        assert!(refuse_what_stays(&found, &whole).unwrap_err().to_string().contains("missing 1"));
    }

    #[test]
    fn the_newest_whole_snapshot_counts() {
        let file = |began_ms: i64, is_last: bool| StagedFile {
            key: format!("k{began_ms}"),
            collection: snapshot_name("deals"),
            run_id: "r".into(),
            rows: 1,
            bytes: 1,
            staged_at: chrono::DateTime::UNIX_EPOCH,
            oldest_staged_at: None,
            is_expired: false,
            snapshot: Some(SnapshotPart {
                began_ms,
                caught_up_ms: 0,
                is_last,
                is_refresh: false,
                whole_since_ms: None,
            }),
        };
        let files = [file(1, true), file(2, false), file(2, true), file(3, false)];
        assert_eq!(newest_whole(&files).unwrap().began_ms, 2);
        assert!(newest_whole(&files[3..]).is_none());
    }
}

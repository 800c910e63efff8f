//! One load: staged files -> warehouse. It knows nothing of HubSpot; a staged file says what it holds.

use std::collections::HashSet;

use anyhow::Context;
use staging::{Bucket, StagedFile, State};
use warehouse::{LocatedFile, Warehouse};

/// Bytes of Parquet in one merge: what a warehouse sorts and joins at a time.
const MAX_MERGE_BYTES: u64 = 256 << 20;

/// What one load did to one collection's table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows inserted or updated.
    pub merged_rows: u64,
    pub statements_that_write: u64,
}

/// Merges the collection's registered files that the warehouse does not hold yet, in the order in which they were
/// staged; where there are none, no statement is issued. Twice is once: the warehouse's ledger knows each file. A
/// crash at any point leaves files either merged and in the ledger, or neither.
///
/// A warehouse that does not hold what it was given before (a new file under the same state, a table that was
/// dropped) gets everything again from the staged files, without a call to HubSpot.
///
/// `feed` is the one whose runs stage the collection's files.
pub async fn load(
    feed: &str,
    collection: &str,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
) -> anyhow::Result<Loaded> {
    let mut registered = state.files(feed).await?;
    registered.retain(|file| file.collection == collection);
    let reported: HashSet<String> = state.merged(collection).await?.into_iter().collect();
    let is_up_to_date = registered.iter().all(|file| reported.contains(&file.key));
    if registered.is_empty() {
        return Ok(Loaded::default());
    }
    let mut held = warehouse.loaded(collection).await?;
    if is_up_to_date && registered.iter().all(|file| held.contains(&file.key)) {
        return Ok(Loaded::default());
    }

    let lease = state.lease(&format!("load-{collection}")).await?;
    let pending: Vec<StagedFile> = registered.into_iter().filter(|file| !held.contains(&file.key)).collect();
    let mut loaded = Loaded::default();
    for batch in batches(pending) {
        let files = locate(&batch, bucket)?;
        let merged = warehouse.merge(&files).await.with_context(|| format!("{collection} is not merged"))?;
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
        loaded.statements_that_write += merged.statements_that_write;
        held.extend(batch.into_iter().map(|file| file.key));
    }
    let mut merged: Vec<String> = held.into_iter().collect();
    merged.sort_unstable();
    state.set_merged(&lease, collection, merged).await?;
    Ok(loaded)
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

fn locate(files: &[StagedFile], bucket: &Bucket) -> anyhow::Result<Vec<LocatedFile>> {
    let located = files.iter().map(|file| {
        let description = bucket.describe(file)?;
        Ok(LocatedFile { key: file.key.clone(), path: bucket.locate(&file.key), description })
    });
    located.collect()
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

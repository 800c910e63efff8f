//! Staged files as a merge takes them.

use staging::{Bucket, LocalFile, StagedFile, StagedObject};
use warehouse::{LocatedFile, Location, Reads};

/// Bytes of Parquet in one merge: what a warehouse sorts and joins at a time.
const MAX_MERGE_BYTES: u64 = 256 << 20;

/// The files where the warehouse reads them, and what has to be kept for that.
pub(crate) async fn locate(
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
pub(crate) fn batches(files: Vec<StagedFile>) -> Vec<Vec<StagedFile>> {
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

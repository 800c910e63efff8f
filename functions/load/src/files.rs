//! Staged files as a merge takes them.

use staging::{Bucket, LocalFile, StagedFile, StagedObject};
use warehouse::{LocatedFile, Location, Reads};

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

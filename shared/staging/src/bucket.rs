//! The store of staged files. A file is put once, whole, under a key that is never used again; nothing is ever
//! overwritten. Keys are laid out so that a data lake tool can read them: `<schema>/<collection>/dt=<day>/<name>`.
//!
//! A run writes its files on this machine first (a laptop's folder, a Lambda's `/tmp`) and puts them when they are
//! whole. A crash leaves scratch, which the feed's next run clears, or an object that nothing registers.

mod folder;
mod s3;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::file::{ADOPTED, Description, StagedFile, Tail, describe, describe_tail};
use crate::private;
use crate::writer::Finished;

pub use folder::Folder;
pub use s3::S3;

/// Characters that stand for themselves in a key. A schema may be named like a path (`../x`); its files stay in the
/// bucket.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Bytes of a file's end that are asked for at first: the footers of a few hundred columns fit.
const FOOTER_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub struct Bucket {
    schema: String,
    scratch: PathBuf,
    place: Place,
}

/// A closed set.
#[derive(Debug, Clone)]
enum Place {
    Folder(Folder),
    S3(S3),
}

/// A staged file on this machine, for an engine that reads it itself.
#[derive(Debug)]
pub struct LocalFile {
    pub path: PathBuf,
    pub description: Description,
    is_copy: bool,
}

/// A staged file in S3, for an engine that reads it there.
#[derive(Debug)]
pub struct StagedObject {
    pub bucket: String,
    pub key: String,
    pub bytes: u64,
    pub description: Description,
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if self.is_copy {
            // Only tidiness: the next fetch of the file replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Bucket {
    /// A bucket in a local folder, created where it is missing.
    pub fn open_folder(root: &Path, schema: &str) -> anyhow::Result<Bucket> {
        Bucket::open(Place::Folder(Folder::new(root)), root.join(".scratch"), schema)
    }

    /// A bucket in S3; nothing is asked yet. `scratch` is a local folder for files in the making and copies of those
    /// that are read.
    pub fn open_s3(
        client: aws_sdk_s3::Client,
        bucket: &str,
        scratch: &Path,
        schema: &str,
    ) -> anyhow::Result<Bucket> {
        Bucket::open(Place::S3(S3::new(client, bucket)), scratch.to_owned(), schema)
    }

    fn open(place: Place, scratch: PathBuf, schema: &str) -> anyhow::Result<Bucket> {
        make_folder(&scratch)?;
        Ok(Bucket { schema: schema.to_owned(), scratch, place })
    }

    /// The folder in which a run writes its files before they are put. `name` begins with the feed's, so that the
    /// feed's next run can clear what this one may leave.
    pub fn scratch(&self, name: &str) -> anyhow::Result<PathBuf> {
        let scratch = self.scratch.join(name);
        make_folder(&scratch)?;
        Ok(scratch)
    }

    /// Removes what killed runs of a feed left half done: scratch whose name begins with `prefix`, and uploads of the
    /// feed's collections that were never completed. Only the holder of the feed's lease may say that they are dead.
    pub async fn clear(&self, prefix: &str, collections: &[&str]) -> anyhow::Result<()> {
        let entries =
            fs::read_dir(&self.scratch).with_context(|| format!("can't list {}", self.scratch.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("can't remove {}", entry.path().display()))?;
            }
        }
        if let Place::S3(s3) = &self.place {
            for collection in collections {
                s3.abort_uploads(&format!("{}/{collection}/", self.encoded_schema())).await?;
            }
        }
        Ok(())
    }

    fn encoded_schema(&self) -> String {
        utf8_percent_encode(&self.schema, ENCODED).to_string()
    }

    /// The key of a file that is begun now. `name` holds the run's id, so that no key comes twice.
    pub fn key(&self, collection: &str, name: &str, now: DateTime<Utc>) -> String {
        format!("{}/{collection}/dt={}/{name}.parquet", self.encoded_schema(), now.format("%Y-%m-%d"))
    }

    /// Makes a finished file durable under its key and says how to register it. A crash leaves either no object or the
    /// whole one, which nothing registers and no one reads. Another file under the key is an error, and stays as it is;
    /// the same bytes there are this file, put before by a request whose answer was lost.
    pub async fn put(&self, finished: Finished, now: DateTime<Utc>) -> anyhow::Result<StagedFile> {
        let Finished { scratch, key, description, bytes } = finished;
        match &self.place {
            Place::Folder(folder) => folder.adopt(scratch, &key).await,
            Place::S3(s3) => s3.upload(&scratch, &key, bytes).await,
        }
        .with_context(|| format!("the staged file {key} can't be kept"))?;
        let Description { run_id, table, rows, .. } = description;
        Ok(StagedFile {
            key,
            collection: table.collection,
            run_id,
            rows,
            bytes,
            staged_at: now,
            snapshot: None,
            oldest_staged_at: None,
            is_expired: false,
        })
    }

    /// Puts something that is no staged file beside them, in the place of what is there. `key` has no folder of a schema.
    /// Returns its address.
    pub async fn publish(&self, key: &str, content: Vec<u8>, content_type: &str) -> anyhow::Result<String> {
        match &self.place {
            Place::Folder(folder) => {
                folder.replace(key, &content)?;
                Ok(key.to_owned())
            }
            Place::S3(s3) => {
                s3.replace(key, content, content_type).await?;
                Ok(format!("s3://{}/{key}", s3.name()))
            }
        }
    }

    /// The staged file on this machine, checked against what the state registered: a copy where the bucket is
    /// elsewhere, which lives as long as the answer.
    pub async fn fetch(&self, file: &StagedFile) -> anyhow::Result<LocalFile> {
        let (path, is_copy) = self.copy(&file.key).await?;
        let description = describe(&path).with_context(|| {
            let key = &file.key;
            format!(
                "the registered file {key} can't be used: put it back (a stack's bucket keeps what was deleted for a \
                 month), or remove it and read its rows again ({})",
                remedy(key)
            )
        });
        let local = match description {
            Ok(description) => LocalFile { path, description, is_copy },
            Err(error) => {
                if is_copy {
                    let _ = fs::remove_file(&path);
                }
                return Err(error);
            }
        };
        check_registered(file, &local.description)?;
        Ok(local)
    }

    /// Those of these files that are not there any more.
    pub async fn lost(&self, files: &[StagedFile]) -> anyhow::Result<Vec<StagedFile>> {
        let is_there: Box<dyn Fn(&StagedFile) -> bool> = match &self.place {
            Place::Folder(folder) => Box::new(|file| folder.path(&file.key).is_ok()),
            Place::S3(s3) => {
                let mut keys = HashSet::new();
                let prefixes: BTreeSet<&str> = files.iter().map(|file| prefix_of(&file.key)).collect();
                for prefix in prefixes {
                    keys.extend(s3.keys(prefix).await?);
                }
                Box::new(move |file| keys.contains(&file.key))
            }
        };
        Ok(files.iter().filter(|file| !is_there(file)).cloned().collect())
    }

    /// Removes the objects of files that are registered no more. One that is gone already is no error.
    pub async fn remove(&self, files: &[StagedFile]) -> anyhow::Result<()> {
        for file in files {
            match &self.place {
                Place::Folder(folder) => folder.remove(&file.key)?,
                Place::S3(s3) => s3.remove(&file.key).await?,
            }
        }
        Ok(())
    }

    /// As [`Bucket::remove`], with all that the bucket keeps of the objects: their versions, too.
    pub async fn destroy(&self, files: &[StagedFile]) -> anyhow::Result<()> {
        let keys: Vec<String> = files.iter().map(|file| file.key.clone()).collect();
        self.destroy_keys(&keys).await
    }

    /// [`Bucket::destroy`], by keys.
    pub async fn destroy_keys(&self, keys: &[String]) -> anyhow::Result<()> {
        for key in keys {
            match &self.place {
                Place::Folder(folder) => folder.remove(key)?,
                Place::S3(s3) => s3.destroy(key).await?,
            }
        }
        Ok(())
    }

    /// Keys of all objects of a collection, whether anybody has registered them or not.
    pub async fn keys(&self, collection: &str) -> anyhow::Result<Vec<String>> {
        let prefix = format!("{}/{collection}/", self.encoded_schema());
        match &self.place {
            Place::Folder(folder) => folder.keys(&prefix),
            Place::S3(s3) => s3.keys(&prefix).await,
        }
    }

    /// An object that nobody has registered, on this machine; `None`: it is no staged file.
    pub async fn fetch_stray(&self, key: &str) -> anyhow::Result<Option<LocalFile>> {
        let (path, is_copy) = self.copy(key).await?;
        Ok(match describe(&path) {
            Ok(description) => Some(LocalFile { path, description, is_copy }),
            Err(_) => {
                if is_copy {
                    let _ = fs::remove_file(&path);
                }
                None
            }
        })
    }

    /// The path of an object on this machine, and whether it is a copy.
    async fn copy(&self, key: &str) -> anyhow::Result<(PathBuf, bool)> {
        match &self.place {
            Place::Folder(folder) => Ok((folder.path(key)?, false)),
            Place::S3(s3) => {
                let folder = self.scratch("fetched")?;
                let path = folder.join(utf8_percent_encode(key, ENCODED).to_string());
                s3.download(key, &path).await?;
                Ok((path, true))
            }
        }
    }

    /// # Errors
    /// When some of the files of a table are not there any more, with the number of them.
    pub async fn check_there(&self, files: &[StagedFile]) -> anyhow::Result<()> {
        let lost = self.lost(files).await?;
        let Some(first) = lost.first() else { return Ok(()) };
        if let Some(expired) = lost.iter().filter(|file| file.is_expired).max_by_key(|file| file.staged_at) {
            bail!(
                "staged files of {} up to {} were removed, as the retention says, and nothing is merged: read their \
                 rows again ({})",
                expired.collection,
                expired.staged_at.format("%Y-%m-%d"),
                remedy(&expired.key)
            );
        }
        bail!(
            "{} of the {} staged files that {} is filled from are gone, such as {}, and nothing is merged: put them \
             back, or read their rows again ({})",
            lost.len(),
            files.len(),
            first.collection,
            first.key,
            remedy(&first.key)
        )
    }

    /// The file's description, checked against what the state registered. Only its footer is read.
    pub async fn description(&self, file: &StagedFile) -> anyhow::Result<Description> {
        match &self.place {
            Place::Folder(_) => Ok(self.fetch(file).await?.description.clone()),
            Place::S3(_) => Ok(self.locate(file).await?.description),
        }
    }

    /// The staged file where it is in S3, checked against what the state registered. Only its footer is read.
    ///
    /// # Errors
    /// Also when the bucket is a folder: an engine elsewhere can't see it.
    pub async fn locate(&self, file: &StagedFile) -> anyhow::Result<StagedObject> {
        let s3 = match &self.place {
            Place::S3(s3) => s3,
            Place::Folder(_) => bail!(
                "the warehouse reads staged files from S3, and these are in a folder of this machine: deploy a stack, \
                 which stages to a bucket, or choose a warehouse that reads files from here"
            ),
        };
        let mut length = FOOTER_BYTES;
        loop {
            let (tail, bytes) = s3.tail(&file.key, length).await?;
            match describe_tail(&file.key, &tail, bytes)? {
                Tail::Description(description) => {
                    check_registered(file, &description)?;
                    if bytes != file.bytes {
                        bail!(
                            "the staged file {} has {bytes} bytes, but the state registered {}",
                            file.key,
                            file.bytes
                        );
                    }
                    let bucket = s3.bucket().to_owned();
                    return Ok(StagedObject {
                        bucket,
                        key: file.key.clone(),
                        bytes,
                        description: *description,
                    });
                }
                Tail::TooShort(needed) if needed > length => length = needed,
                Tail::TooShort(_) => bail!("the staged file {} has a footer without an end", file.key),
            }
        }
    }
}

/// The part of a key that is before the day: its file may be of a schema that had another name.
fn prefix_of(key: &str) -> &str {
    key.find("dt=").map_or(key, |day| &key[..day])
}

fn check_registered(file: &StagedFile, description: &Description) -> anyhow::Result<()> {
    let Description { rows, table, .. } = description;
    if *rows != file.rows || table.collection != file.collection {
        bail!(
            "the staged file {} holds {rows} rows of {}, but the state registered {} rows of {}",
            file.key,
            table.collection,
            file.rows,
            file.collection
        );
    }
    Ok(())
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    private::make_folder(folder).with_context(|| format!("the folder {} can't be made", folder.display()))
}

/// The error of a key that is another file's.
fn another(place: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "there is another file at {place}, and it is not overwritten: run again, since each run has names of its own; \
         if it stays, something else writes there"
    )
}

/// The error of a registered file that is not there.
fn gone(key: &str) -> anyhow::Error {
    anyhow::anyhow!("the staged file {key} is gone: put it back, or read its rows again ({})", remedy(key))
}

/// The run that reads the rows of a lost file again, and strikes the file off.
fn remedy(key: &str) -> &'static str {
    match key.contains("/_snapshot_") {
        true => "the next comparison does: `sync --mode reconcile`, or `reconcile --stack NAME COLLECTION`",
        false if key.contains(ADOPTED) => {
            "`adopt --stack NAME --bucket NAME` or `sync --adopt` does, from the table that was put aside; if that is \
             dropped, loads do without these rows from then on"
        }
        false => {
            "`sync --mode backfill`, or `backfill --stack NAME COLLECTION`: when it has ended, loads do without the file"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnType, Table};
    use crate::writer::FileWriter;

    fn finished(bucket: &Bucket, name: &str, now: DateTime<Utc>) -> Finished {
        finished_with(bucket, name, now, 7)
    }

    fn finished_with(bucket: &Bucket, name: &str, now: DateTime<Utc>, id: i64) -> Finished {
        let table = Table::new("deals", &["id"], vec![Column::new("id", ColumnType::BigInt)]).unwrap();
        let scratch = bucket.scratch("deals-run-1").unwrap().join(name);
        let key = bucket.key("deals", "run-1-1", now);
        let mut writer = FileWriter::create(&scratch, &key, 1, "run-1", &table).unwrap();
        writer.rows().cell(0).unwrap().bigint(id);
        writer.rows().finish_row();
        writer.finish().unwrap()
    }

    #[tokio::test]
    async fn files_that_were_removed_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let mut registered = Vec::new();
        // The schema was renamed in between.
        for schema in ["old", "new"] {
            let bucket = Bucket::open_folder(root.path(), schema).unwrap();
            registered.push(bucket.put(finished(&bucket, "1", Utc::now()), Utc::now()).await.unwrap());
        }
        let bucket = Bucket::open_folder(root.path(), "new").unwrap();
        assert_eq!(bucket.lost(&registered).await.unwrap(), []);
        fs::remove_file(root.path().join(&registered[1].key)).unwrap();
        assert_eq!(bucket.lost(&registered).await.unwrap(), registered[1..]);
        assert_eq!(prefix_of(&registered[0].key), "old/deals/");
    }

    #[tokio::test]
    async fn a_key_is_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let file = bucket.put(finished(&bucket, "a", now), now).await.unwrap();
        assert_eq!(file.key, "hubspot/deals/dt=2026-09-21/run-1-1.parquet");
        assert_eq!(bucket.fetch(&file).await.unwrap().description.rows, 1);
        let refused = bucket.put(finished_with(&bucket, "b", now, 8), now).await.unwrap_err();
        assert!(format!("{refused:#}").contains("not overwritten"), "{refused:#}");
        // A put whose answer was lost, once more.
        assert_eq!(bucket.put(finished(&bucket, "c", now), now).await.unwrap(), file);
        assert_eq!(bucket.fetch(&file).await.unwrap().description.rows, 1);
    }

    #[tokio::test]
    async fn a_schema_named_like_a_path_stays_in_the_bucket() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(&root.path().join("files"), "../evil").unwrap();
        let now = DateTime::UNIX_EPOCH;
        let file = bucket.put(finished(&bucket, "a", now), now).await.unwrap();
        assert_eq!(file.key, "%2E%2E%2Fevil/deals/dt=1970-01-01/run-1-1.parquet");
        assert_eq!(bucket.fetch(&file).await.unwrap().description.rows, 1);
        assert!(!root.path().join("evil").exists());
    }

    #[tokio::test]
    async fn only_the_dead_runs_of_one_feed_are_cleared() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        bucket.scratch("deals-run-1").unwrap();
        let other = bucket.scratch("contacts-run-1").unwrap();
        bucket.clear("deals-", &["deals"]).await.unwrap();
        assert!(!root.path().join(".scratch/deals-run-1").exists());
        assert!(other.exists());
    }

    #[tokio::test]
    async fn files_of_a_folder_are_not_in_s3() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        let file = bucket.put(finished(&bucket, "a", Utc::now()), Utc::now()).await.unwrap();
        assert!(bucket.locate(&file).await.unwrap_err().to_string().contains("deploy a stack"));
    }

    #[tokio::test]
    async fn a_missing_file_is_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        let file = bucket.put(finished(&bucket, "a", Utc::now()), Utc::now()).await.unwrap();
        fs::remove_file(root.path().join(&file.key)).unwrap();
        assert!(bucket.fetch(&file).await.unwrap_err().to_string().contains("mode backfill"));
    }
}

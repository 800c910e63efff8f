//! Where staged files are kept. A file is put once, whole, under a key that is never used again; nothing is ever
//! overwritten. Keys are laid out so that a data lake tool can read them: `<schema>/<collection>/dt=<day>/<name>`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::file::{Description, StagedFile, describe};
use crate::writer::Finished;

/// What stands for itself in a key. A schema may be named like a path (`../x`); its files stay in the bucket.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A closed set: a local folder today; S3 is the other one that the functions need.
#[derive(Debug, Clone)]
pub enum Bucket {
    Folder(Folder),
}

#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    schema: String,
}

impl Bucket {
    /// A bucket in a local folder, created where it is missing.
    pub fn open_folder(root: &Path, schema: &str) -> anyhow::Result<Bucket> {
        let folder = Folder { root: root.to_owned(), schema: schema.to_owned() };
        let scratch = folder.scratch_folder();
        fs::create_dir_all(&scratch)
            .with_context(|| format!("the folder {} can't be made", scratch.display()))?;
        Ok(Bucket::Folder(folder))
    }

    /// Where a run writes its files before they are put. `name` begins with the feed's, so that the feed's next run
    /// can clear what this one may leave.
    pub fn scratch(&self, name: &str) -> anyhow::Result<PathBuf> {
        let Bucket::Folder(folder) = self;
        let scratch = folder.scratch_folder().join(name);
        fs::create_dir_all(&scratch)
            .with_context(|| format!("the folder {} can't be made", scratch.display()))?;
        Ok(scratch)
    }

    /// Removes what killed runs left half written. Only the holder of a feed's lease may say of another run of that
    /// feed that it is dead.
    pub fn clear_scratch(&self, prefix: &str) -> anyhow::Result<()> {
        let Bucket::Folder(folder) = self;
        let scratch = folder.scratch_folder();
        let entries = fs::read_dir(&scratch).with_context(|| format!("can't list {}", scratch.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                fs::remove_dir_all(entry.path())
                    .with_context(|| format!("can't remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    /// Makes a finished file durable under its key and says how to register it. Twice under one name is an error;
    /// a crash leaves either no object or the whole one, which nothing registers and no one reads.
    pub fn put(&self, finished: Finished, name: &str, now: DateTime<Utc>) -> anyhow::Result<StagedFile> {
        let Bucket::Folder(folder) = self;
        let Description { run_id, table, rows, .. } = finished.description;
        let schema = utf8_percent_encode(&folder.schema, ENCODED);
        let key = format!("{schema}/{}/dt={}/{name}.parquet", table.collection, now.format("%Y-%m-%d"));
        folder
            .adopt(&finished.scratch, &key)
            .with_context(|| format!("the staged file {key} can't be kept"))?;
        Ok(StagedFile {
            key,
            collection: table.collection,
            run_id,
            rows,
            bytes: finished.bytes,
            staged_at: now,
        })
    }

    /// A file's path, for an engine that reads it itself.
    pub fn locate(&self, key: &str) -> PathBuf {
        let Bucket::Folder(folder) = self;
        folder.root.join(key)
    }

    /// What the staged file says of itself, checked against what the state registered.
    pub fn describe(&self, file: &StagedFile) -> anyhow::Result<Description> {
        let path = self.locate(&file.key);
        if !path.exists() {
            bail!(
                "the staged file {} is gone: its rows are lost to the warehouse; read them again with --mode backfill",
                path.display()
            );
        }
        let description = describe(&path)?;
        if description.rows != file.rows || description.table.collection != file.collection {
            bail!(
                "the staged file {} holds {} rows of {}, but the state registered {} rows of {}",
                path.display(),
                description.rows,
                description.table.collection,
                file.rows,
                file.collection
            );
        }
        Ok(description)
    }
}

impl Folder {
    fn scratch_folder(&self) -> PathBuf {
        self.root.join(".scratch")
    }

    /// Moves a synced file to its key: a link fails where a rename would overwrite.
    fn adopt(&self, scratch: &Path, key: &str) -> io::Result<()> {
        let target = self.root.join(key);
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;
        fs::hard_link(scratch, &target)?;
        fs::remove_file(scratch)?;
        File::open(parent)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnType, Table};
    use crate::writer::FileWriter;

    fn finished(scratch: &Path, name: &str) -> Finished {
        let table = Table::new("deals", &["id"], vec![Column::new("id", ColumnType::BigInt)]).unwrap();
        let mut writer = FileWriter::create(&scratch.join(name), 1, "run-1", &table).unwrap();
        writer.rows().cell(0).unwrap().bigint(7);
        writer.rows().finish_row();
        writer.finish().unwrap()
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        let scratch = bucket.scratch("deals-run-1").unwrap();
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let file = bucket.put(finished(&scratch, "a"), "run-1-1", now).unwrap();
        assert_eq!(file.key, "hubspot/deals/dt=2026-09-21/run-1-1.parquet");
        assert_eq!(bucket.describe(&file).unwrap().rows, 1);
        assert!(bucket.put(finished(&scratch, "b"), "run-1-1", now).is_err());
    }

    #[test]
    fn a_schema_named_like_a_path_stays_in_the_bucket() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(&root.path().join("files"), "../evil").unwrap();
        let scratch = bucket.scratch("deals-run-1").unwrap();
        let file = bucket.put(finished(&scratch, "a"), "run-1-1", DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(file.key, "%2E%2E%2Fevil/deals/dt=1970-01-01/run-1-1.parquet");
        assert_eq!(bucket.describe(&file).unwrap().rows, 1);
        assert!(!root.path().join("evil").exists());
    }

    #[test]
    fn only_the_dead_runs_of_one_feed_are_cleared() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        bucket.scratch("deals-run-1").unwrap();
        let other = bucket.scratch("contacts-run-1").unwrap();
        bucket.clear_scratch("deals-").unwrap();
        assert!(!bucket.locate(".scratch/deals-run-1").exists());
        assert!(other.exists());
    }

    #[test]
    fn a_missing_file_is_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::open_folder(root.path(), "hubspot").unwrap();
        let scratch = bucket.scratch("deals-run-1").unwrap();
        let file = bucket.put(finished(&scratch, "a"), "run-1-1", Utc::now()).unwrap();
        fs::remove_file(bucket.locate(&file.key)).unwrap();
        assert!(bucket.describe(&file).unwrap_err().to_string().contains("--mode backfill"));
    }
}

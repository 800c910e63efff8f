//! The contract of a warehouse: what goes in, what it does with it, and what it answers.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use async_trait::async_trait;
use staging::Description;

use crate::compare::{Compare, Comparison};
use crate::error::{Error, Kind, Result};
use crate::extent::Extent;
use crate::mode::TableMode;
use crate::runs::RunRow;

/// A staged file where a warehouse can read it, and what its footer says ([`staging::describe`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedFile {
    /// The key under which the file is registered; the ledger remembers it.
    pub key: String,
    pub location: Location,
    pub description: Description,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// An object in S3.
    S3 { bucket: String, key: String, bytes: u64 },
}

/// The place from which a warehouse reads staged files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// On this machine: [`Location::Local`].
    Local,
    /// In S3, by itself: [`Location::S3`]. Their rows never pass through this program.
    S3,
}

impl LocatedFile {
    /// For warehouses that read on this machine.
    pub(crate) fn path(&self) -> Result<&Path> {
        match &self.location {
            Location::Local(path) => Ok(path),
            Location::S3 { bucket, key, .. } => Err(Error::new(
                Kind::Unsupported,
                format!("staged file s3://{bucket}/{key} is not on this machine: fetch it first"),
            )),
        }
    }

    /// Bucket and key, for warehouses that read in S3.
    pub(crate) fn object(&self) -> Result<(&str, &str)> {
        match &self.location {
            Location::S3 { bucket, key, .. } => Ok((bucket, key)),
            Location::Local(path) => Err(Error::new(
                Kind::Unsupported,
                format!("staged file {} is not in S3: stage to a bucket, as a stack does", path.display()),
            )),
        }
    }
}

/// The outcome of one merge. Files that the ledger held already count nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows the merge changed: `inserted + updated`. Rows that were in the table in this or a newer version are not
    /// among them.
    pub merged_rows: u64,
    pub inserted: u64,
    /// Rows that became deleted for their sets included, also those that the same merge inserted or updated before. The
    /// ledger's counts, per file, are without them.
    pub updated: u64,
    /// Statements that changed the warehouse, ledger included; zero when there was nothing new.
    pub statements_that_write: u64,
}

/// The outcome of [`Warehouse::maintain`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    pub tables: u64,
    /// Tables that are left for the next time, because the time was over.
    pub tables_left: u64,
}

/// A place that tables are merged into: one schema, bound to one HubSpot account by the first merge.
///
/// **Twice.** Every method may be called any number of times. A file's rows and its ledger row are committed
/// together, so a file that is merged again is skipped, and rows that come again in another file change nothing.
///
/// **Order.** The newest version of a row wins, by `(_source_updated_at, _read_at)`, NULL lowest, in whatever order
/// files arrive. Of two rows of one version the one with the greater `_run_id` wins, then the one whose values have
/// the greater MD5: never the one that came last.
///
/// **Sets.** In a table with a set key ([`staging::Table::set_key`]), rows whose version is older than the newest of
/// their set become deleted (`removed`), in the merge that brings a row of the set: in whatever order files arrive.
///
/// **Crash.** A merge is one transaction. Whatever interrupts it, the table, its columns and the ledger are as before.
/// Athena alone has no transactions: there a merge that was interrupted is done again, whole, by the next one.
///
/// **Two at once.** Merges into one table take turns, or the second fails with [`Kind::Locked`] and changes nothing.
///
/// **Errors** leave the warehouse as it was. [`Error::kind`] says what a caller can do.
///
/// **Dropped futures** do not cancel: a merge that has begun ends, either way.
#[async_trait]
pub trait Warehouse: Send + Sync + fmt::Debug {
    /// The place of the files that [`Warehouse::merge`] takes.
    fn reads(&self) -> Reads {
        Reads::Local
    }

    /// The HubSpot account this schema is bound to; `None` before the first merge. Changes nothing, and waits for nobody: a
    /// warehouse that somebody else holds alone is [`Kind::Locked`] at once.
    async fn account(&self) -> Result<Option<u64>>;

    /// Keys of the staged files that the collection's table holds. Empty when the table is missing, even if the
    /// ledger remembers files: who drops a table wants it loaded again. Changes nothing.
    async fn loaded(&self, collection: &str) -> Result<HashSet<String>>;

    /// Merges staged files of one collection and one account. Creates what is missing, adds columns, widens types,
    /// and checks that every row arrived before it commits. No files: no statement.
    ///
    /// Files with different columns are merged one after the other in the order of run id and key; a column that
    /// a file lacks keeps its value in rows that exist, and is NULL in new ones.
    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged>;

    /// [`Warehouse::merge_as`] into a table that keeps its deleted rows, and no past.
    async fn merge(&self, files: &[LocatedFile]) -> Result<Merged> {
        self.merge_as(files, TableMode::default()).await
    }

    /// The columns and rows that the collection's table has now, whoever made it so; `None` where there is no table.
    /// Changes nothing.
    async fn extent(&self, collection: &str) -> Result<Option<Extent>>;

    /// The rows of the collection's table that are not deleted; none where there is no table. Changes nothing.
    async fn live_rows(&self, collection: &str) -> Result<u64>;

    /// Forgets that files were merged into the collection's table, such that merging them again writes the rows of the
    /// versions that the table holds once more, with all their columns, and adds those that it lacks. Until then the
    /// table is as it was, and what is newer than a staged version stays so. For a table that somebody else changed.
    async fn forget(&self, collection: &str) -> Result<()>;

    /// Compares a collection's table with a snapshot of it, which was merged before, like any collection, into the
    /// table of its name ([`staging::snapshot_name`]). Changes nothing.
    async fn compare(&self, compare: &Compare) -> Result<Comparison>;

    /// Adds the runs that the table `_runs` does not hold yet; answers with their number. Those it holds stay as they
    /// are. Before the first merge: nothing.
    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64>;

    /// Lets go of a lock that is held between calls, so that others can read meanwhile; the next call takes it again.
    async fn release(&self) {}

    /// Rewrites what merges leave in many small files, and removes what nothing needs any more, where the warehouse
    /// does not do so by itself. Nothing is begun after `until`. May run beside merges; changes no row.
    async fn maintain(&self, _until: Instant) -> Result<Maintained> {
        Ok(Maintained::default())
    }
}

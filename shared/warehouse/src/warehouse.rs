//! The contract of a warehouse: its input, its guarantees, and its answers.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use staging::{Description, Person, PersonColumns, Pseudonyms, StagedFile};

use crate::adopt::{LeftOver, Maker};
use crate::compare::{Compare, Comparison};
use crate::error::{Error, Kind, Result};
use crate::extent::Extent;
use crate::kept_views::no_views;
use crate::mode::{TableMode, deleted_table, history_table};
use crate::runs::{RecordedReport, RunRow};
use crate::shape::Shape;

/// A staged file with the place where a warehouse can read it, and its description ([`staging::describe`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedFile {
    /// The key under which the file is registered, and which the ledger holds.
    pub key: String,
    pub location: Location,
    pub description: Description,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file on this machine.
    Local(PathBuf),
    /// An object in S3.
    S3 { bucket: String, key: String, bytes: u64 },
}

/// The place from which a warehouse reads staged files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// On this machine: [`Location::Local`].
    Local,
    /// In S3: [`Location::S3`]. The rows never pass through this program.
    S3,
}

impl LocatedFile {
    /// Returns the path, for warehouses that read on this machine.
    pub(crate) fn path(&self) -> Result<&Path> {
        match &self.location {
            Location::Local(path) => Ok(path),
            Location::S3 { bucket, key, .. } => Err(Error::new(
                Kind::Unsupported,
                format!("staged file s3://{bucket}/{key} is not on this machine: fetch it first"),
            )),
        }
    }

    /// Refuses a file that is not where a warehouse reads it.
    pub(crate) fn check_place(&self, reads: Reads) -> Result<()> {
        match reads {
            Reads::Local => self.path().map(drop),
            Reads::S3 => self.object().map(drop),
        }
    }

    /// Returns bucket and key, for warehouses that read in S3.
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

/// The part of the ledger about one collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Number of files that the collection's table holds.
    pub files: u64,
    /// Those of the named files that it holds.
    pub held: HashSet<String>,
}

/// The outcome of one merge. Files that were in the ledger already are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows that the merge changed: `inserted + updated`, without rows that were in the table in this or a newer
    /// version.
    pub merged_rows: u64,
    pub inserted: u64,
    /// Updated rows, including those that a sweep of their sets deleted, even if the same merge had inserted or
    /// updated them. The ledger's counts for each file are without those.
    pub updated: u64,
    /// Statements that changed the warehouse, ledger included; zero when there was nothing new.
    pub statements_that_write: u64,
}

impl Merged {
    /// Adds the counts of another merge.
    pub fn add(&mut self, other: Merged) {
        self.files += other.files;
        self.staged_rows += other.staged_rows;
        self.merged_rows += other.merged_rows;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.statements_that_write += other.statements_that_write;
    }
}

/// The outcome of [`Warehouse::maintain`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    pub tables: u64,
    /// Tables that are left for the next time, since the time was over.
    pub tables_left: u64,
}

/// A question about records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub collection: String,
    /// When the snapshot began, in milliseconds.
    pub snapshot_ms: i64,
    pub asked: AskedFor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedFor {
    /// Records that are deleted in the table and that the snapshot does not show, in the recycle bin neither. Both times
    /// are in milliseconds.
    Removed {
        /// Those that nobody knew to be anywhere were read before this time.
        read_before_ms: i64,
        /// Those that were in the recycle bin went there before this time.
        archived_before_ms: i64,
    },
    /// Those of these records that are live in the table, or that the snapshot shows.
    Shown(BTreeSet<u64>),
}

/// Rows of persons in the tables of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase {
    pub columns: PersonColumns,
    pub person: Person,
    /// `Some`: rows that are known by one address alone stay, with these in its place and without what else may tell who it
    /// is.
    pub pseudonyms: Option<Pseudonyms>,
    /// `true`: the rows are counted, and stay.
    pub is_dry_run: bool,
}

/// A table with rows that were deleted from it, or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    pub table: String,
    /// Rows that were deleted. Of hundreds of persons at once, a count may have a row twice.
    pub rows: u64,
    /// Rows that stay: those about something else that lost an id, and those that got a pseudonym.
    pub changed: u64,
}

/// A view that is to be there.
#[derive(Clone)]
pub struct KeptView {
    pub name: String,
    /// Returns its query. The argument tells how a table of the schema is called in it.
    pub query: Query,
}

/// See [`KeptView::query`].
pub type Query = Arc<dyn Fn(&dyn Fn(&str) -> String) -> String + Send + Sync>;

impl fmt::Debug for KeptView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptView").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The outcome of [`Warehouse::keep_views`].
#[derive(Debug, Default)]
pub struct KeptViews {
    /// Views that were made, or made anew.
    pub made: u64,
    /// Views for which there was no time.
    pub left: u64,
    /// Views that could not be, and stay as they were, with the reason.
    pub failed: Vec<(String, Error)>,
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
/// their set become deleted (`removed`), in the merge that brings a row of the set: in whatever order files arrive. Where
/// sets are closed by a row ([`staging::Table::closed_by`]), it is the version of the newest one that counts.
///
/// **Crash.** A merge is one transaction. Whatever interrupts it, the table and the ledger are as before. PostgreSQL may
/// have added or widened columns by then, which is right as it is.
/// Athena and Databricks have no transactions: there a merge that was interrupted is done again, whole, by the next one.
///
/// **Two at once.** Merges into one table take turns, or the second fails with [`Kind::Locked`] and changes nothing.
///
/// **Errors** leave the warehouse as it was. [`Error::kind`] says what a caller can do.
///
/// **Dropped futures** do not cancel: a merge that has begun ends, either way.
#[async_trait]
pub trait Warehouse: Send + Sync + fmt::Debug {
    /// Returns the place of the files that [`Warehouse::merge`] takes.
    fn reads(&self) -> Reads {
        Reads::Local
    }

    /// Returns the HubSpot account that this schema is bound to; `None` before the first merge. Changes nothing, and
    /// does not wait: a warehouse that another process has locked is [`Kind::Locked`] at once.
    async fn account(&self) -> Result<Option<u64>>;

    /// Returns the keys of the staged files that the collection's table holds. Empty when the table is missing, even
    /// if files are in the ledger: a table that is dropped is loaded again. Changes nothing.
    async fn loaded(&self, collection: &str) -> Result<HashSet<String>>;

    /// Returns the number of those files, and which of `keys` are among them: as [`Warehouse::loaded`] does, at a cost
    /// that depends on the keys, not on how many files were merged. Changes nothing.
    async fn ledger(&self, collection: &str, keys: &[&str]) -> Result<Ledger>;

    /// Merges staged files of one collection and one account. Creates missing tables, adds columns, widens types, and
    /// checks before the commit that every row arrived. Without files it issues no statement.
    ///
    /// Files with different columns are merged one after the other in the order of run id and key; a column that
    /// a file lacks keeps its value in rows that exist, and is NULL in new ones.
    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged>;

    /// Merges as [`Warehouse::merge_as`], with soft deletes and without a history.
    async fn merge(&self, files: &[LocatedFile]) -> Result<Merged> {
        self.merge_as(files, TableMode::default()).await
    }

    /// Returns the present columns and number of rows of the collection's table; `None` if there is no table. Changes
    /// nothing.
    async fn extent(&self, collection: &str) -> Result<Option<Extent>>;

    /// Returns the shape of each of these tables, in their order; `None` where there is no such table. Changes nothing.
    async fn shapes(&self, tables: &[&str]) -> Result<Vec<Option<Shape>>>;

    /// Returns the maker of each of these tables, in their order; `None` where there is nothing of that name. Changes
    /// nothing, and does not wait: a warehouse that another process has locked is [`Kind::Locked`] at once.
    async fn makers(&self, _tables: &[&str]) -> Result<Vec<Option<Maker>>> {
        Err(no_adoption())
    }

    /// Gives a table that another program made the name `to`. Nothing if that was done before, or by another process.
    /// It waits for readers of the table for a moment at the most.
    async fn put_aside(&self, _table: &str, _to: &str) -> Result<()> {
        Err(no_adoption())
    }

    /// Returns a page of the rows of a table that is aside which ours lacks: the texts of the key, then of the further
    /// columns, ordered by the key. Changes nothing.
    async fn left_over(&self, _wanted: &LeftOver) -> Result<Vec<Vec<Option<String>>>> {
        Err(no_adoption())
    }

    /// Returns the number of rows of a table that have no value in one of these columns. Changes nothing.
    async fn keyless(&self, _table: &str, _key: &[&str]) -> Result<u64> {
        Err(no_adoption())
    }

    /// Returns the texts in these columns of a collection's table, of the rows that are not deleted, in any order.
    /// Nothing if there is no table, or none with all these columns. Changes nothing.
    async fn texts(&self, table: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>>;

    /// Returns the number of rows of the collection's table that are not deleted; 0 if there is no table. Changes
    /// nothing.
    async fn live_rows(&self, collection: &str) -> Result<u64>;

    /// Forgets that files were merged into the collection's table, for one that somebody else changed. Merging the
    /// files again then rewrites rows of the same versions, with all their columns, and adds missing ones. Until then
    /// the table stays as it is; rows newer than a staged version stay in any case.
    async fn forget(&self, collection: &str) -> Result<()>;

    /// Returns the ids of records that HubSpot shows, or shows no more, by the collection's table and the snapshot that
    /// it was compared with; none where one of them is missing. Changes nothing.
    async fn presence(&self, presence: &Presence) -> Result<BTreeSet<u64>>;

    /// Returns the ids and addresses that are looked for, and those beside them in rows of the collection's table, its
    /// companion tables and its snapshot. Changes nothing.
    async fn identify(&self, erase: &Erase) -> Result<Person>;

    /// Deletes the rows of persons from the collection's table, its companion tables and its snapshot, and takes their
    /// ids out of lists in rows about something else. Returns the tables that are there. The ledger stays as it is.
    async fn erase(&self, erase: &Erase) -> Result<Vec<Erased>>;

    /// Has the warehouse give up what was deleted from these collections' tables, as far as it can: a DuckDB file is
    /// written anew; PostgreSQL vacuums the tables, and with `is_full` writes them anew, while nobody can read them.
    /// Returns a sentence about what stays for how long.
    async fn scrub(&self, collections: &[&str], is_full: bool) -> Result<String>;

    /// Puts a staged file in the place of others in the ledger, if the collection's table holds all of those: `new` has
    /// their rows, in the newest version each. `None` takes them off the ledger. Says whether it did; the table stays
    /// as it is.
    async fn replace_in_ledger(
        &self,
        collection: &str,
        old: &[&str],
        new: Option<&StagedFile>,
    ) -> Result<bool>;

    /// Compares a collection's table with a snapshot of it, which was merged before, like any collection, into the
    /// table of its name ([`staging::snapshot_name`]). Changes nothing.
    async fn compare(&self, compare: &Compare) -> Result<Comparison>;

    /// Adds runs that the table `_runs` does not hold yet. Returns their number. The others stay as they are. Before
    /// the first merge it adds none.
    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64>;

    /// Returns the reports in the table `_runs` of the runs from this run id on, in any order. Changes nothing.
    async fn reports(&self, oldest: &str) -> Result<Vec<RecordedReport>>;

    /// `true`: [`Warehouse::keep_views`] makes views.
    fn keeps_views(&self) -> bool {
        false
    }

    /// Makes views in another schema of the same database, which is created if it is missing, and makes those anew whose
    /// query is another one than at the last call. Others stay untouched. Before the first merge it makes none, and after
    /// `until` it begins none.
    ///
    /// # Errors
    /// If the warehouse can't be read, keeps no views, or has no such schema and none can be made. What is wrong with
    /// single views is in the answer.
    async fn keep_views(&self, _schema: &str, _views: &[KeptView], _until: Instant) -> Result<KeptViews> {
        Err(no_views())
    }

    /// Releases a lock that is held between calls, so that others can read meanwhile; the next call takes it again.
    async fn release(&self) {}

    /// Rewrites the many small files that merges leave, and removes unused ones, where the warehouse does not do so by
    /// itself. It starts no step after `until`. It may run at the same time as merges, and changes no row.
    async fn maintain(&self, _until: Instant) -> Result<Maintained> {
        Ok(Maintained::default())
    }
}

fn no_adoption() -> Error {
    let message =
        "this warehouse adopts no tables of other programs: use another schema, or rename them by hand";
    Error::new(Kind::Unsupported, message)
}

impl TableMode {
    /// Returns the mode that the last merge left the collection's table in, from its companion tables.
    ///
    /// # Errors
    /// If the warehouse can't be read.
    pub async fn of(warehouse: &dyn Warehouse, collection: &str) -> Result<TableMode> {
        let (deleted, history) = (deleted_table(collection), history_table(collection));
        let shapes = warehouse.shapes(&[&deleted, &history]).await?;
        let is_there = |place: usize| shapes.get(place).is_some_and(Option::is_some);
        Ok(TableMode { hard_delete: is_there(0), history: is_there(1) })
    }
}

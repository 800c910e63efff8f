//! Options and outcome of a load.

use std::time::Instant;

use warehouse::TableMode;

use crate::batches::Done;
use crate::changes::ColumnChanges;

/// Files that a load looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Files that the warehouse does not hold, if any registered file is not reported as merged; else the warehouse is
    /// not queried.
    #[default]
    Pending,
    /// Files that the warehouse does not hold, whatever loads have reported: a table that was dropped, or a warehouse
    /// restored from a copy, is filled again from the staged files, without a call to HubSpot.
    Everything,
    /// As `Everything`; and all files once more, for a table that lost rows which loads had put there.
    Replay,
}

/// Reaction to a table that has fewer rows than the last load left in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LostRows {
    /// The load merges its files, and then fails, as each load does until the rows are back.
    #[default]
    Refuse,
    /// The rows are accepted as removed.
    Accept,
    /// The table is compared with HubSpot right after the load, which reads the rows again.
    Compare,
}

/// Options of a load of one table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub scope: Scope,
    /// Mode of the table.
    pub mode: TableMode,
    pub lost_rows: LostRows,
    /// Time before which the load must end: no merge is begun that would last longer, by the duration of the last one.
    pub deadline: Option<Instant>,
}

/// The work of one load on one collection's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows inserted or updated.
    pub merged_rows: u64,
    pub bytes: u64,
    pub statements_that_write: u64,
    /// Files that are left for the next load, since the time was over.
    pub files_left: u64,
    /// Columns of the table that are not what they should be, with the reason and the way out.
    pub degraded: Vec<String>,
    /// Changes of the table's columns, if it was there before.
    pub column_changes: ColumnChanges,
}

impl From<Done> for Loaded {
    fn from(done: Done) -> Loaded {
        let Done { merged, bytes, files_left } = done;
        Loaded {
            files: merged.files,
            staged_rows: merged.staged_rows,
            merged_rows: merged.merged_rows,
            bytes,
            statements_that_write: merged.statements_that_write,
            files_left,
            degraded: Vec::new(),
            column_changes: ColumnChanges::default(),
        }
    }
}

//! What is asked of a load, and what it did.

use std::time::Instant;

use warehouse::TableMode;

/// Files that a load looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that the warehouse does not hold, where files are registered that no load has reported as merged; else
    /// nothing is asked of it.
    #[default]
    Pending,
    /// All that the warehouse does not hold, whatever loads have reported: a table that was dropped, or a warehouse
    /// restored from a copy, is filled again from the staged files, without a call to HubSpot.
    Everything,
    /// The same; and where rows of a table are gone that loads had put there, all files, once more.
    Replay,
}

/// The answer to a table that has fewer rows than the loads before left in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LostRows {
    /// It merges what there is, and then fails, as each load does until the rows are back.
    #[default]
    Refuse,
    /// Somebody says that they may be gone.
    Accept,
    /// The table is compared with HubSpot right after, which reads them again.
    Compare,
}

/// Options of a load of one table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub scope: Scope,
    /// The way the table is kept.
    pub mode: TableMode,
    pub lost_rows: LostRows,
    /// No merge is begun that would, by the time the last one took, not end before this.
    pub deadline: Option<Instant>,
}

/// The work of one load on one collection's table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    pub files: u64,
    /// Rows in those files, older versions included.
    pub staged_rows: u64,
    /// Rows inserted or updated.
    pub merged_rows: u64,
    pub bytes: u64,
    pub statements_that_write: u64,
    /// Files that are left for the next load, because the time was over.
    pub files_left: u64,
}

#![doc = include_str!("../README.md")]

mod aws;
mod bucket;
mod error;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod pairs;
mod rows;
mod snapshot;
mod state;
mod table;
mod writer;

pub use bucket::{Bucket, Folder, LocalFile, S3, StagedObject};
pub use error::{Error, ErrorKind};
pub use file::{Description, FORMAT, METADATA_KEY, StagedFile, describe};
pub use pairs::Pairs;
pub use rows::{Cell, Rows, arrow_schema};
pub use snapshot::{RefreshDue, SnapshotPart, Wanted, snapshot_name, snapshot_of};
pub use state::{FolderState, Lease, RunRecord, Shared, State, TableState};
pub use table::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, MERGED_INTO_ID, READ_AT, RECEIVED_AT,
    REMOVED, RUN_ID, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT, Table, TableError, UNPARSED,
};
pub use writer::{FileWriter, Finished};

#![doc = include_str!("../README.md")]

#[cfg(feature = "storage")]
mod aws;
#[cfg(feature = "storage")]
mod bucket;
#[cfg(feature = "storage")]
mod codec;
#[cfg(feature = "storage")]
mod error;
#[cfg(feature = "storage")]
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod pairs;
mod rows;
mod shared;
mod snapshot;
#[cfg(feature = "storage")]
mod state;
mod table;
#[cfg(feature = "storage")]
mod writer;

#[cfg(feature = "storage")]
pub use bucket::{Bucket, Folder, LocalFile, S3, StagedObject};
#[cfg(feature = "storage")]
pub use codec::Codec;
#[cfg(feature = "storage")]
pub use error::{Error, ErrorKind};
#[cfg(feature = "storage")]
pub use file::{Description, FORMAT, METADATA_KEY, StagedFile, describe};
pub use pairs::Pairs;
pub use rows::{Cell, Rows, arrow_schema, arrow_type};
pub use shared::Shared;
pub use snapshot::{RefreshDue, SnapshotPart, Wanted, snapshot_name, snapshot_of};
#[cfg(feature = "storage")]
pub use state::{FolderState, Lease, RunRecord, State, TableState};
pub use table::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, MERGED_INTO_ID, READ_AT, RECEIVED_AT,
    REMOVED, RUN_ID, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT, Table, TableError, UNPARSED,
};
#[cfg(feature = "storage")]
pub use writer::{FileWriter, Finished};

#![doc = include_str!("../README.md")]

mod aws;
mod bucket;
mod error;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod rows;
mod state;
mod table;
mod writer;

pub use bucket::{Bucket, Folder, LocalFile, S3, StagedObject};
pub use error::{Error, ErrorKind};
pub use file::{Description, FORMAT, METADATA_KEY, StagedFile, describe};
pub use rows::{Cell, Rows, arrow_schema};
pub use state::{FolderState, Lease, RunRecord, Shared, State, TableState};
pub use table::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, READ_AT, RECEIVED_AT, REMOVED, RUN_ID,
    SOURCE_UPDATED_AT, Table, TableError, UNPARSED,
};
pub use writer::{FileWriter, Finished};

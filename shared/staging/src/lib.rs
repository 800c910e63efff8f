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
#[cfg(feature = "storage")]
mod forgotten;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "storage")]
mod known;
pub mod pairs;
mod person;
#[cfg(feature = "storage")]
mod person_rows;
#[cfg(feature = "storage")]
mod private;
mod pseudonyms;
#[cfg(feature = "storage")]
mod rewrite;
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
pub use file::{Description, FORMAT, METADATA_KEY, Retired, StagedFile, adopting, describe};
#[cfg(feature = "storage")]
pub use forgotten::{Forgotten, Why};
#[cfg(feature = "storage")]
pub use known::Known;
pub use pairs::Pairs;
pub use person::{Holds, Person, PersonColumn, PersonColumns, without_ids};
#[cfg(feature = "storage")]
pub use person_rows::{PersonRows, person_rows, write_without};
pub use pseudonyms::{PSEUDONYM_DOMAIN, Pseudonyms};
#[cfg(feature = "storage")]
pub use rewrite::{NewFile, rewrite, rewrite_newest};
pub use rows::{Cell, Rows, arrow_schema, arrow_type};
pub use shared::Shared;
pub use snapshot::{RefreshDue, SnapshotPart, Wanted, snapshot_name, snapshot_of};
#[cfg(feature = "storage")]
pub use state::{End, FolderState, Lease, Replacement, RunRecord, State, TableState};
pub use table::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, MERGED_INTO_ID, READ_AT, RECEIVED_AT,
    REMOVED, RUN_ID, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT, Table, TableError, UNPARSED,
};
#[cfg(feature = "storage")]
pub use writer::{FileWriter, Finished};

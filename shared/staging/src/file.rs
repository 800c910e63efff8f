//! A staged file: one Parquet object between the two functions. It describes itself, so that `load` needs nothing
//! but the object: the [`Description`] is JSON under [`METADATA_KEY`] in the Parquet footer.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::basic::{LogicalType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use serde::{Deserialize, Serialize};

use crate::snapshot::SnapshotPart;
use crate::table::{ColumnType, Table};

/// The footer key that holds the [`Description`].
pub const METADATA_KEY: &str = "hubspot_source";
/// The newest format this program reads. Raised when a staged file changes in a way that an older `load` would misread:
/// 2 has a set key, 3 a column by which sets are closed.
pub const FORMAT: u32 = 3;

/// Description of a staged file, in its footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The oldest format that tells all that this file says, up to [`FORMAT`].
    pub format: u32,
    /// HubSpot's account (portal) id.
    pub account_id: u64,
    pub run_id: String,
    /// Collection, keys and columns, in the order of the Parquet columns.
    pub table: Table,
    /// Rows the writer put in; the Parquet footer must say the same.
    pub rows: u64,
}

impl Description {
    pub fn new(account_id: u64, run_id: &str, table: &Table, rows: u64) -> Description {
        Description {
            format: match (&table.closed_by, table.set_key.as_slice()) {
                (Some(_), _) => 3,
                (None, [_, ..]) => 2,
                (None, []) => 1,
            },
            account_id,
            run_id: run_id.to_owned(),
            table: table.clone(),
            rows,
        }
    }
}

/// A staged file as the state registers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its key in the bucket; unique for ever, never reused.
    pub key: String,
    pub collection: String,
    pub run_id: String,
    pub rows: u64,
    pub bytes: u64,
    pub staged_at: DateTime<Utc>,
    /// For files of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotPart>,
    /// When the oldest of the files that it replaces was staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_staged_at: Option<DateTime<Utc>>,
    /// `true`: it stands for files that were removed when they had been kept long enough, and is none itself. What was
    /// in them is in the warehouse; a table that has to be filled again needs it from HubSpot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_expired: bool,
}

/// Part of the keys of files with rows that another program has left, and of those that take their place: HubSpot does not
/// show these rows.
pub(crate) const ADOPTED: &str = "-adopted-";

/// The name of the lease under which rows that another program has left are staged for a collection.
pub fn adopting(collection: &str) -> String {
    format!("adopt-{collection}")
}

impl StagedFile {
    /// `true`: another program has left its rows, and HubSpot does not show them.
    pub fn is_adopted(&self) -> bool {
        self.key.contains(ADOPTED)
    }

    /// Returns the middle part of the name of a file that takes the place of this one.
    pub fn infix(&self) -> &'static str {
        if self.is_adopted() { ADOPTED } else { "-" }
    }
}

/// Staged files that a new one has replaced, or that expired: their objects are to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub file: StagedFile,
    pub since: DateTime<Utc>,
}

/// Reads a file's description and checks it against the file itself: format, row count, columns.
/// Any bytes are safe to pass; what is not a staged file is an error that says why. A footer made for it keeps the
/// parquet crate for seconds (see `tests/fuzz`), and no longer than that for each five of its bytes.
pub fn describe(path: &Path) -> anyhow::Result<Description> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("staged file {name} can't be opened"))?;
    describe_whole(&name, file)
}

/// As [`describe`], of something else than a file on disk.
pub(crate) fn describe_whole<R: ChunkReader + 'static>(name: &str, file: R) -> anyhow::Result<Description> {
    let reader = SerializedFileReader::new(file).with_context(|| format!("{name} is not a Parquet file"))?;
    described(name, reader.metadata())
}

/// Contents of a file's footer.
#[derive(Debug)]
pub(crate) enum Tail {
    Description(Box<Description>),
    /// The footer is longer: the last so many bytes are needed.
    TooShort(u64),
}

/// As [`describe`], from the last bytes of a file that has `bytes` of them.
pub(crate) fn describe_tail(name: &str, tail: &Bytes, bytes: u64) -> anyhow::Result<Tail> {
    let mut reader = ParquetMetaDataReader::new();
    match reader.try_parse_sized(tail, bytes) {
        Ok(()) => {}
        Err(ParquetError::NeedMoreData(needed)) => return Ok(Tail::TooShort(needed as u64)),
        Err(error) => return Err(error).with_context(|| format!("{name} is not a Parquet file")),
    }
    let metadata = reader.finish().with_context(|| format!("{name} is not a Parquet file"))?;
    Ok(Tail::Description(Box::new(described(name, &metadata)?)))
}

fn described(name: &str, metadata: &ParquetMetaData) -> anyhow::Result<Description> {
    let metadata = metadata.file_metadata();
    let text = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == METADATA_KEY))
        .and_then(|pair| pair.value.as_deref())
        .with_context(|| format!("{name} is not a staged file: its footer has no {METADATA_KEY}"))?;
    let description: Description = serde_json::from_str(text)
        .with_context(|| format!("{name} has a description that does not parse"))?;
    if description.format > FORMAT {
        bail!(
            "{name} was written in format {}, this program reads up to {FORMAT}: update it",
            description.format
        );
    }
    description.table.check().with_context(|| format!("{name} describes an impossible table"))?;
    let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
    if rows != description.rows {
        bail!("{name} holds {rows} rows, but its description says {}", description.rows);
    }
    let present = metadata.schema_descr().columns();
    let described = &description.table.columns;
    if present.len() != described.len() {
        bail!("{name} holds {} columns, but its description says {}", present.len(), described.len());
    }
    // Warehouses that read the file by themselves may go by the order alone.
    for (present, described) in present.iter().zip(described) {
        if present.name() != described.name || !is_of_type(present, described.column_type) {
            bail!(
                "{name} holds the column {:?} as {} where its description says {:?} as {:?}",
                present.name(),
                present.physical_type(),
                described.name,
                described.column_type
            );
        }
    }
    Ok(description)
}

fn is_of_type(column: &ColumnDescriptor, column_type: ColumnType) -> bool {
    let (physical, logical) = (column.physical_type(), column.logical_type_ref());
    match column_type {
        ColumnType::Text | ColumnType::Json => physical == Type::BYTE_ARRAY,
        ColumnType::BigInt => {
            physical == Type::INT64 && !matches!(logical, Some(LogicalType::Timestamp { .. }))
        }
        ColumnType::Double => physical == Type::DOUBLE,
        ColumnType::Boolean => physical == Type::BOOLEAN,
        ColumnType::Date => physical == Type::INT32 && matches!(logical, Some(LogicalType::Date)),
        ColumnType::Timestamp => {
            physical == Type::INT64 && matches!(logical, Some(LogicalType::Timestamp { .. }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;
    use crate::writer::FileWriter;

    #[test]
    fn the_end_of_a_file_is_enough_to_describe_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let columns = (0..300).map(|n| Column::new(format!("column_{n}"), ColumnType::BigInt)).collect();
        let table = Table::new("deals", &["column_0"], columns).unwrap();
        let mut writer = FileWriter::create(&path, "key", 1, "run-1", &table).unwrap();
        for row in 0..100 {
            writer.rows().cell(0).unwrap().bigint(row);
            writer.rows().finish_row();
        }
        let finished = writer.finish().unwrap();
        let whole = Bytes::from(std::fs::read(&path).unwrap());
        let bytes = whole.len() as u64;
        let tail = |length: u64| whole.slice((bytes - length) as usize..);
        let Tail::TooShort(needed) = describe_tail("a", &tail(100), bytes).unwrap() else {
            panic!("100 bytes are not enough");
        };
        assert!(needed < bytes);
        match describe_tail("a", &tail(needed), bytes).unwrap() {
            Tail::Description(description) => assert_eq!(*description, finished.description),
            Tail::TooShort(more) => panic!("{needed} bytes were asked for, and now {more}"),
        }
        assert!(describe_tail("a", &Bytes::from_static(b"not a staged file"), 17).is_err());
    }
}

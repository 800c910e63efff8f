//! A staged file: one Parquet object between the two functions. It describes itself, so that `load` needs nothing
//! but the object: the [`Description`] is JSON under [`METADATA_KEY`] in the Parquet footer.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::{Deserialize, Serialize};

use crate::table::Table;

/// The footer key that holds the [`Description`].
pub const METADATA_KEY: &str = "hubspot_source";
/// The newest format this program reads. Raised when a staged file changes in a way that an older `load` would misread:
/// 2 has a set key.
pub const FORMAT: u32 = 2;

/// What a staged file says of itself.
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
            format: if table.set_key.is_empty() { 1 } else { 2 },
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
    /// Where it is in the bucket; unique for ever, never reused.
    pub key: String,
    pub collection: String,
    pub run_id: String,
    pub rows: u64,
    pub bytes: u64,
    pub staged_at: DateTime<Utc>,
}

/// Reads a file's description and checks it against the file itself: format, row count, number of columns.
/// Any bytes are safe to pass; what is not a staged file is an error that says why.
pub fn describe(path: &Path) -> anyhow::Result<Description> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("staged file {name} can't be opened"))?;
    let reader = SerializedFileReader::new(file).with_context(|| format!("{name} is not a Parquet file"))?;
    let metadata = reader.metadata().file_metadata();
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
    let columns = metadata.schema_descr().num_columns();
    if columns != description.table.columns.len() {
        bail!("{name} holds {columns} columns, but its description says {}", description.table.columns.len());
    }
    Ok(description)
}

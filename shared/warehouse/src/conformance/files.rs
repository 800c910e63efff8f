//! Staged files for the cases: rows in, a Parquet file that describes itself out.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use staging::{Column, ColumnType, Description, METADATA_KEY, READ_AT, RUN_ID, SOURCE_UPDATED_AT, Table};

use crate::{LocatedFile, Location};

/// A value of a file or a table. JSON is text.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Cell {
    Null,
    Boolean(bool),
    BigInt(i64),
    Double(f64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since 1970-01-01 UTC.
    Timestamp(i64),
    Text(String),
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// Returns the value, `None` for NULL. Panics if the cell does not fit its column.
    fn value<'a, T>(&'a self, inner: fn(&'a Cell) -> Option<T>) -> Option<T> {
        (*self != Cell::Null).then(|| inner(self).expect("cell of the column's type"))
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Cell::Boolean(is_it) = self { Some(*is_it) } else { None }
    }

    fn as_bigint(&self) -> Option<i64> {
        if let Cell::BigInt(number) = self { Some(*number) } else { None }
    }

    fn as_double(&self) -> Option<f64> {
        if let Cell::Double(number) = self { Some(*number) } else { None }
    }

    fn as_date(&self) -> Option<i32> {
        if let Cell::Date(days) = self { Some(*days) } else { None }
    }

    fn as_timestamp(&self) -> Option<i64> {
        if let Cell::Timestamp(ms) = self { Some(*ms) } else { None }
    }

    fn as_text(&self) -> Option<&str> {
        if let Cell::Text(text) = self { Some(text) } else { None }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) key: String,
    pub(crate) account_id: u64,
    pub(crate) run_id: String,
    pub(crate) table: Table,
    /// Rows, each in the order of the table's columns.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// Makes a file of contacts of run `run-1`: `id`, the version, and `columns`. Rows come from [`contact`].
pub(crate) fn contacts(key: &str, columns: &[(&str, ColumnType)], rows: Vec<Vec<Cell>>) -> File {
    let mut all = vec![
        Column::new("id", ColumnType::BigInt),
        Column::new(SOURCE_UPDATED_AT, ColumnType::Timestamp),
        Column::new(READ_AT, ColumnType::Timestamp),
        Column::new(RUN_ID, ColumnType::Text),
    ];
    all.extend(columns.iter().map(|&(name, column_type)| Column::new(name, column_type)));
    let table = Table::new("contacts", &["id"], all).expect("table");
    File { key: key.to_owned(), account_id: 42, run_id: "run-1".to_owned(), table, rows }
}

/// Makes a row for [`contacts`]; the version is `(updated, read)` in milliseconds.
pub(crate) fn contact(id: i64, updated: impl Into<Option<i64>>, read: i64, cells: &[Cell]) -> Vec<Cell> {
    let updated = updated.into().map_or(Cell::Null, Cell::Timestamp);
    let mut row = vec![Cell::BigInt(id), updated, Cell::Timestamp(read), Cell::text("run-1")];
    row.extend_from_slice(cells);
    row
}

impl File {
    pub(crate) fn named(self, key: &str) -> File {
        File { key: key.to_owned(), ..self }
    }

    pub(crate) fn of_collection(mut self, collection: &str) -> File {
        self.table.collection = collection.to_owned();
        self
    }

    /// Moves the file and its rows to another run.
    pub(crate) fn of_run(mut self, run_id: &str) -> File {
        let position = self.table.position(RUN_ID).expect("run id column");
        for row in &mut self.rows {
            row[position] = Cell::text(run_id);
        }
        File { run_id: run_id.to_owned(), ..self }
    }

    pub(crate) fn stage(&self, folder: &Path) -> LocatedFile {
        let rows = self.rows.len() as u64;
        let description = Description::new(self.account_id, &self.run_id, &self.table, rows);
        let path = folder.join(format!("{}.parquet", self.key));
        let columns: Vec<(Field, ArrayRef)> =
            self.table.columns.iter().enumerate().map(|(n, c)| self.column(n, c)).collect();
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), arrays).expect("batch");
        let file = std::fs::File::create(&path).expect("staged file");
        let mut writer = ArrowWriter::try_new(file, schema, None).expect("writer");
        writer.write(&batch).expect("rows");
        let json = serde_json::to_string(&description).expect("description");
        writer.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_owned(), json));
        writer.close().expect("footer");
        assert_eq!(staging::describe(&path).expect("describe"), description);
        LocatedFile { key: self.key.clone(), location: Location::Local(path), description }
    }

    fn column(&self, position: usize, column: &Column) -> (Field, ArrayRef) {
        let cells = || self.rows.iter().map(move |row| &row[position]);
        let array: ArrayRef = match column.column_type {
            ColumnType::Text | ColumnType::Json => {
                Arc::new(StringArray::from_iter(cells().map(|cell| cell.value(Cell::as_text))))
            }
            ColumnType::BigInt => {
                Arc::new(Int64Array::from_iter(cells().map(|cell| cell.value(Cell::as_bigint))))
            }
            ColumnType::Double => {
                Arc::new(Float64Array::from_iter(cells().map(|cell| cell.value(Cell::as_double))))
            }
            ColumnType::Boolean => {
                Arc::new(BooleanArray::from_iter(cells().map(|cell| cell.value(Cell::as_boolean))))
            }
            ColumnType::Date => {
                Arc::new(Date32Array::from_iter(cells().map(|cell| cell.value(Cell::as_date))))
            }
            ColumnType::Timestamp => {
                let times =
                    TimestampMillisecondArray::from_iter(cells().map(|cell| cell.value(Cell::as_timestamp)));
                Arc::new(times.with_timezone("UTC"))
            }
        };
        (Field::new(&column.name, array.data_type().clone(), true), array)
    }
}

/// Makes a file with quotes, reserved words, non-ASCII, 200 characters, every type, a composite key.
pub(crate) fn torture_file() -> LocatedFile {
    use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};
    let columns = [
        ("vid", BigInt),
        ("a\"key\"", Text),
        ("select", Text),
        ("it's", Double),
        ("größe", Boolean),
        ("order", Date),
        ("file_index", Timestamp),
        ("{}", Json),
        (SOURCE_UPDATED_AT, Timestamp),
        (READ_AT, Timestamp),
        (RUN_ID, Text),
        (&"l".repeat(200), BigInt),
    ];
    let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).to_vec();
    let table = Table::new("con\"tacts", &["vid", "a\"key\""], columns).expect("table");
    let description = Description::new(42, "run-1", &table, 3);
    LocatedFile {
        key: "key".to_owned(),
        location: Location::Local("/it's/a=b/[1].parquet".into()),
        description,
    }
}

//! Rows in the making: one typed column builder per column of a table, filled straight from the bytes of an answer.
//! No value is allocated on its own and no row exists as an object: a cell that is never set is NULL, filled in when
//! its column is next touched or when the batch is taken.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::table::{ColumnType, Table};

/// The rows of one collection that are parsed but not yet written. Cells are set for the row that is open; it is
/// closed by [`Rows::finish_row`] or taken back by [`Rows::discard_row`].
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    finished: usize,
}

impl Rows {
    pub fn new(table: &Table) -> Rows {
        Rows {
            schema: Arc::new(arrow_schema(table)),
            columns: table.columns.iter().map(|column| ColumnBuilder::new(column.column_type)).collect(),
            finished: 0,
        }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows that are finished; the index of the open row.
    pub fn len(&self) -> usize {
        self.finished
    }

    pub fn is_empty(&self) -> bool {
        self.finished == 0
    }

    /// Bytes held by the finished and the open rows, a little under what is allocated.
    pub fn size_bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::size_bytes).sum()
    }

    /// The builder of one column, at the open row: NULLs of earlier rows are filled in. `None` when the open row
    /// already has this cell: the first value of a repeated key wins.
    pub fn cell(&mut self, column: usize) -> Option<Cell<'_>> {
        let builder = &mut self.columns[column];
        if builder.len() > self.finished {
            return None;
        }
        builder.fill_nulls(self.finished);
        Some(Cell { builder })
    }

    pub fn finish_row(&mut self) {
        self.finished += 1;
    }

    /// Takes back what was set in the open row.
    pub fn discard_row(&mut self) {
        self.truncate(self.finished);
    }

    /// Takes back every row after the first `rows`, the open one included.
    pub fn truncate(&mut self, rows: usize) {
        for builder in &mut self.columns {
            builder.truncate(rows);
        }
        self.finished = self.finished.min(rows);
    }

    /// Hands the finished rows out, one column after the other, and starts again, empty. Only the column that is being
    /// handled exists twice. The open row must have no cell set.
    ///
    /// # Errors
    /// What `each` returns; the rows are then gone in part, so the caller can only give the file up.
    pub fn drain<E: From<ArrowError>>(
        &mut self,
        mut each: impl FnMut(usize, ArrayRef) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = std::mem::take(&mut self.finished);
        for (column, builder) in self.columns.iter_mut().enumerate() {
            each(column, builder.take(rows)?)?;
        }
        Ok(())
    }
}

/// A table's Arrow schema; every column may be NULL.
pub fn arrow_schema(table: &Table) -> Schema {
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| Field::new(&column.name, data_type(column.column_type), true))
        .collect();
    Schema::new(fields)
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    }
}

/// One cell of the open row, waiting for its value. Setting a value of another type than the column's is a
/// programmer's mistake: it sets NULL and fails a debug assertion.
#[derive(Debug)]
pub struct Cell<'a> {
    builder: &'a mut ColumnBuilder,
}

impl Cell<'_> {
    pub fn text(self, value: &str) {
        self.text_with(|bytes| bytes.extend_from_slice(value.as_bytes()));
    }

    /// Lets `write` append the value's text to the column's own buffer. It must append whole UTF-8 only; what is
    /// not becomes NULL.
    pub fn text_with(self, write: impl FnOnce(&mut Vec<u8>)) {
        let Values::Text { offsets, bytes } = &mut self.builder.values else { return self.mismatch("text") };
        let start = bytes.len();
        write(bytes);
        if std::str::from_utf8(&bytes[start..]).is_err() {
            bytes.truncate(start);
            return self.builder.push_null();
        }
        offsets.push(bytes.len() as i32);
        self.builder.validity.append(true);
    }

    pub fn bigint(self, value: i64) {
        let Values::BigInt(values) = &mut self.builder.values else { return self.mismatch("bigint") };
        values.push(value);
        self.builder.validity.append(true);
    }

    pub fn double(self, value: f64) {
        let Values::Double(values) = &mut self.builder.values else { return self.mismatch("double") };
        values.push(value);
        self.builder.validity.append(true);
    }

    pub fn boolean(self, value: bool) {
        let Values::Boolean(values) = &mut self.builder.values else { return self.mismatch("boolean") };
        values.append(value);
        self.builder.validity.append(true);
    }

    /// Days since 1970-01-01.
    pub fn date(self, days: i32) {
        let Values::Date(values) = &mut self.builder.values else { return self.mismatch("date") };
        values.push(days);
        self.builder.validity.append(true);
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(self, milliseconds: i64) {
        let Values::Timestamp(values) = &mut self.builder.values else { return self.mismatch("timestamp") };
        values.push(milliseconds);
        self.builder.validity.append(true);
    }

    fn mismatch(self, given: &str) {
        debug_assert!(false, "{given} set in a column of another type: {:?}", self.builder.values);
        self.builder.push_null();
    }
}

#[derive(Debug)]
struct ColumnBuilder {
    values: Values,
    validity: BooleanBufferBuilder,
}

#[derive(Debug)]
enum Values {
    /// `offsets` starts with 0 and has one entry more than there are cells.
    Text {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
    },
    BigInt(Vec<i64>),
    Double(Vec<f64>),
    Boolean(BooleanBufferBuilder),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
}

impl ColumnBuilder {
    fn new(column_type: ColumnType) -> ColumnBuilder {
        let values = match column_type {
            ColumnType::Text | ColumnType::Json => Values::Text { offsets: vec![0], bytes: Vec::new() },
            ColumnType::BigInt => Values::BigInt(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
        };
        ColumnBuilder { values, validity: BooleanBufferBuilder::new(0) }
    }

    fn len(&self) -> usize {
        self.validity.len()
    }

    fn size_bytes(&self) -> usize {
        let cells = self.len();
        let values = match &self.values {
            Values::Text { bytes, .. } => bytes.len() + cells * 4,
            Values::BigInt(_) | Values::Double(_) | Values::Timestamp(_) => cells * 8,
            Values::Date(_) => cells * 4,
            Values::Boolean(_) => cells / 8,
        };
        values + cells / 8
    }

    fn push_null(&mut self) {
        self.fill_nulls(self.len() + 1);
    }

    /// Appends NULLs until there are `rows` cells.
    fn fill_nulls(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing == 0 {
            return;
        }
        match &mut self.values {
            Values::Text { offsets, bytes } => offsets.resize(rows + 1, bytes.len() as i32),
            Values::BigInt(values) | Values::Timestamp(values) => values.resize(rows, 0),
            Values::Double(values) => values.resize(rows, 0.0),
            Values::Date(values) => values.resize(rows, 0),
            Values::Boolean(values) => values.append_n(missing, false),
        }
        self.validity.append_n(missing, false);
    }

    fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                bytes.truncate(offsets[rows] as usize);
                offsets.truncate(rows + 1);
            }
            Values::BigInt(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Date(values) => values.truncate(rows),
            Values::Boolean(values) => values.truncate(rows),
        }
        self.validity.truncate(rows);
    }

    /// The first `rows` cells as an array. The buffers go into the array and are replaced by empty ones of the same
    /// capacity: the next rows cost one allocation per column.
    fn take(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.fill_nulls(rows);
        let nulls = Some(NullBuffer::new(self.validity.finish())).filter(|nulls| nulls.null_count() > 0);
        Ok(match &mut self.values {
            Values::Text { offsets, bytes } => {
                let next_offsets = first_offset(offsets.len());
                let offsets = std::mem::replace(offsets, next_offsets);
                let next_bytes = Vec::with_capacity(bytes.len());
                let bytes = std::mem::replace(bytes, next_bytes);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?)
            }
            Values::BigInt(values) => Arc::new(Int64Array::new(replaced(values).into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(replaced(values).into(), nulls)),
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(replaced(values).into(), nulls)),
            Values::Timestamp(values) => {
                Arc::new(TimestampMillisecondArray::new(replaced(values).into(), nulls).with_timezone("UTC"))
            }
        })
    }
}

fn first_offset(capacity: usize) -> Vec<i32> {
    let mut offsets = Vec::with_capacity(capacity);
    offsets.push(0);
    offsets
}

fn replaced<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    /// The drained columns.
    fn drained(rows: &mut Rows) -> Vec<ArrayRef> {
        let mut columns = Vec::new();
        rows.drain(|_, array| {
            columns.push(array);
            Ok::<_, ArrowError>(())
        })
        .unwrap();
        columns
    }

    fn rows() -> Rows {
        let columns = vec![
            Column::new("id", ColumnType::BigInt),
            Column::new("name", ColumnType::Text),
            Column::new("ok", ColumnType::Boolean),
        ];
        Rows::new(&Table::new("contacts", &["id"], columns).unwrap())
    }

    #[test]
    fn cells_never_set_are_null() {
        let mut rows = rows();
        for id in 0..3 {
            rows.cell(0).unwrap().bigint(id);
            if id == 1 {
                rows.cell(1).unwrap().text("Anna");
            }
            rows.finish_row();
        }
        let columns = drained(&mut rows);
        let names = columns[1].as_string::<i32>();
        assert_eq!(columns[0].len(), 3);
        assert_eq!(names.iter().collect::<Vec<_>>(), [None, Some("Anna"), None]);
        assert_eq!(columns[2].null_count(), 3);
    }

    #[test]
    fn a_discarded_row_leaves_nothing() {
        let mut rows = rows();
        rows.cell(0).unwrap().bigint(1);
        rows.cell(1).unwrap().text("kept");
        rows.finish_row();
        rows.cell(0).unwrap().bigint(2);
        rows.cell(1).unwrap().text("gone");
        rows.cell(2).unwrap().boolean(true);
        rows.discard_row();
        rows.cell(0).unwrap().bigint(3);
        rows.finish_row();
        let columns = drained(&mut rows);
        assert_eq!(columns[0].as_primitive::<arrow_array::types::Int64Type>().values(), &[1, 3]);
        assert_eq!(columns[1].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("kept"), None]);
        assert_eq!(columns[2].null_count(), 2);
    }

    #[test]
    fn the_first_of_two_values_wins() {
        let mut rows = rows();
        rows.cell(1).unwrap().text("first");
        assert!(rows.cell(1).is_none());
        rows.finish_row();
        let columns = drained(&mut rows);
        assert_eq!(columns[1].as_string::<i32>().value(0), "first");
    }

    #[test]
    fn text_that_is_not_utf8_is_null() {
        let mut rows = rows();
        rows.cell(1).unwrap().text_with(|bytes| bytes.push(0xff));
        rows.finish_row();
        assert!(drained(&mut rows)[1].is_null(0));
    }

    #[test]
    fn builders_start_again_after_a_batch() {
        let mut rows = rows();
        for _ in 0..2 {
            rows.cell(1).unwrap().text("again");
            rows.finish_row();
            let columns = drained(&mut rows);
            assert_eq!((columns[0].len(), rows.len()), (1, 0));
            assert_eq!(columns[1].as_string::<i32>().value(0), "again");
        }
    }
}

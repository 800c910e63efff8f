//! Rows in the making: one typed column builder per column of a table, filled straight from the bytes of an answer.
//! No value is allocated on its own and no row exists as an object: a cell that is never set is NULL, filled in when
//! its column is next touched or when the batch is taken.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
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

    /// The value in a finished row: a text, a whole number, `true` or `false`, or the milliseconds of a time. `None` for
    /// NULL and for other types.
    pub fn text(&self, column: usize, row: usize) -> Option<Cow<'_, str>> {
        self.columns.get(column)?.text(row)
    }

    /// Makes a cell of a finished row NULL.
    pub fn clear(&mut self, column: usize, row: usize) {
        if let Some(builder) = self.columns.get_mut(column).filter(|builder| row < builder.len()) {
            builder.validity.set_bit(row, false);
        }
    }

    /// Takes back those of the finished rows after the first `from` of which `keep` says `false`. The open row must have
    /// no cell set.
    pub fn retain(&mut self, from: usize, keep: &[bool]) {
        let rows = self.finished;
        for builder in &mut self.columns {
            builder.fill_nulls(rows);
            builder.retain(from, keep);
        }
        self.finished = from + keep.iter().filter(|keep| **keep).count();
    }

    /// Shows the finished rows, one column after the other, and starts again, empty. The buffers of an array that
    /// `each` does not keep are filled again by the next rows, so that memory stays where it is. The open row must have
    /// no cell set.
    ///
    /// # Errors
    /// The error of `each`; the rows are then gone in part, so the caller can only give the file up.
    pub fn drain<E: From<ArrowError>>(
        &mut self,
        mut each: impl FnMut(usize, ArrayRef) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = std::mem::take(&mut self.finished);
        for (column, builder) in self.columns.iter_mut().enumerate() {
            builder.drain(rows, |array| each(column, array))?;
        }
        Ok(())
    }
}

/// A table's Arrow schema; every column may be NULL.
pub fn arrow_schema(table: &Table) -> Schema {
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| Field::new(&column.name, arrow_type(column.column_type), true))
        .collect();
    Schema::new(fields)
}

/// The type of a column's values in memory.
pub fn arrow_type(column_type: ColumnType) -> DataType {
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
        let Values::Text { offsets, bytes } = &mut self.builder.values else { return self.mismatch("text") };
        bytes.extend_from_slice(value.as_bytes());
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

    fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        if row >= self.len() || !self.validity.get_bit(row) {
            return None;
        }
        match &self.values {
            Values::Text { offsets, bytes } => {
                let (start, end) = (*offsets.get(row)?, *offsets.get(row + 1)?);
                Some(String::from_utf8_lossy(bytes.get(start as usize..end as usize)?))
            }
            Values::BigInt(values) => Some(values.get(row)?.to_string().into()),
            Values::Boolean(values) => Some(if values.get_bit(row) { "true" } else { "false" }.into()),
            Values::Timestamp(values) => Some(values.get(row)?.to_string().into()),
            Values::Double(_) | Values::Date(_) => None,
        }
    }

    /// There must be a cell for each of `keep`, and none after those.
    fn retain(&mut self, from: usize, keep: &[bool]) {
        fn retain<T: Copy>(values: &mut Vec<T>, from: usize, keep: &[bool]) {
            let kept: Vec<T> =
                values[from..].iter().zip(keep).filter(|(_, keep)| **keep).map(|(v, _)| *v).collect();
            values.truncate(from);
            values.extend(kept);
        }
        fn retain_bits(bits: &mut BooleanBufferBuilder, from: usize, keep: &[bool]) {
            let kept: Vec<bool> = keep
                .iter()
                .enumerate()
                .filter(|(_, keep)| **keep)
                .map(|(n, _)| bits.get_bit(from + n))
                .collect();
            bits.truncate(from);
            bits.append_slice(&kept);
        }
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                let (first, mut end) = (offsets[from] as usize, offsets[from] as usize);
                let old = std::mem::replace(bytes, bytes[..first].to_vec());
                let ends: Vec<i32> = offsets.drain(from + 1..).collect();
                for (next, keep) in ends.into_iter().zip(keep) {
                    if *keep {
                        bytes.extend_from_slice(&old[end..next as usize]);
                        offsets.push(bytes.len() as i32);
                    }
                    end = next as usize;
                }
            }
            Values::BigInt(values) | Values::Timestamp(values) => retain(values, from, keep),
            Values::Double(values) => retain(values, from, keep),
            Values::Date(values) => retain(values, from, keep),
            Values::Boolean(values) => retain_bits(values, from, keep),
        }
        retain_bits(&mut self.validity, from, keep);
    }

    /// Shows the first `rows` cells as an array, then starts again in its buffers.
    fn drain<E: From<ArrowError>>(
        &mut self,
        rows: usize,
        show: impl FnOnce(ArrayRef) -> Result<(), E>,
    ) -> Result<(), E> {
        self.fill_nulls(rows);
        let nulls = Some(NullBuffer::new(self.validity.finish())).filter(|nulls| nulls.null_count() > 0);
        match &mut self.values {
            Values::Text { offsets, bytes } => {
                let taken = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(offsets)));
                let array = StringArray::try_new(taken, Buffer::from_vec(std::mem::take(bytes)), nulls)?;
                let shown = show(Arc::new(array.clone()));
                let (taken, taken_bytes, _) = array.into_parts();
                *offsets = emptied(taken.into_inner());
                offsets.push(0);
                *bytes = emptied(taken_bytes.into());
                shown
            }
            Values::BigInt(values) => primitive::<Int64Type, E>(values, nulls, |array| show(Arc::new(array))),
            Values::Double(values) => {
                primitive::<Float64Type, E>(values, nulls, |array| show(Arc::new(array)))
            }
            Values::Boolean(values) => show(Arc::new(BooleanArray::new(values.finish(), nulls))),
            Values::Date(values) => primitive::<Date32Type, E>(values, nulls, |array| show(Arc::new(array))),
            Values::Timestamp(values) => primitive::<TimestampMillisecondType, E>(values, nulls, |array| {
                show(Arc::new(array.with_timezone("UTC")))
            }),
        }
    }
}

/// Shows the values as an array, and empties them.
fn primitive<T: ArrowPrimitiveType, E>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    show: impl FnOnce(PrimitiveArray<T>) -> Result<(), E>,
) -> Result<(), E> {
    let array = PrimitiveArray::<T>::new(std::mem::take(values).into(), nulls);
    let shown = show(array.clone());
    let (_, taken, _) = array.into_parts();
    *values = emptied(taken);
    shown
}

/// The allocation of a buffer that nobody else holds any more, cut to twice what was needed; otherwise a new one.
fn emptied<T: ArrowNativeType>(buffer: ScalarBuffer<T>) -> Vec<T> {
    let mut values = buffer.into_inner().into_vec::<T>().unwrap_or_default();
    let needed = values.len();
    values.clear();
    values.shrink_to(needed * 2);
    values
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
    fn memory_stays_where_it_is() {
        let mut rows = rows();
        let mut filled = |values: i64| {
            for value in 0..values {
                rows.cell(0).unwrap().bigint(value);
                rows.cell(1).unwrap().text("Anna");
                rows.finish_row();
            }
            let mut places = Vec::new();
            rows.drain(|_, array| {
                places.extend(array.to_data().buffers().iter().map(|buffer| buffer.as_ptr() as usize));
                Ok::<_, ArrowError>(())
            })
            .unwrap();
            // The booleans' are small.
            places[..3].to_vec()
        };
        let first = filled(1_000);
        assert_eq!(filled(900), first);
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

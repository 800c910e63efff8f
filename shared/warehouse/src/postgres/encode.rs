//! Rows in the form that binary `COPY` takes, straight from Arrow's columns. Values that PostgreSQL can't hold become
//! the nearest it can: NUL in a text U+FFFD, times outside of its range an infinity.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::NullBuffer;
use chrono::{DateTime, NaiveTime, TimeDelta};
use serde_json::{Map, Value};
use staging::ColumnType;

use super::layout::{Layout, Overflow, fixed, most, text_bytes};
use crate::plan::Field;

/// The signature, and no flags and no extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// 2000-01-01, where PostgreSQL's times begin.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_US: i64 = EPOCH_DAYS * 86_400_000_000;
/// From 4713 BC until the year 5,874,898.
const DAYS: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// From 4713 BC until the year 294,277.
const MICROSECONDS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// A column of a batch.
pub(super) struct Cells {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Text { texts: StringArray, has_nul: bool },
    BigInt(PrimitiveArray<Int64Type>),
    Double(PrimitiveArray<Float64Type>),
    Boolean(BooleanArray),
    Date(PrimitiveArray<Date32Type>),
    Milliseconds(PrimitiveArray<TimestampMillisecondType>),
    Microseconds(PrimitiveArray<TimestampMicrosecondType>),
}

impl Cells {
    /// `None` if the array is of another type.
    pub(super) fn of(array: &ArrayRef, column_type: ColumnType) -> Option<Cells> {
        let values = match column_type {
            ColumnType::Text | ColumnType::Json => {
                let texts = array.as_string_opt::<i32>()?.clone();
                let has_nul = texts.value_data().contains(&0);
                Values::Text { texts, has_nul }
            }
            ColumnType::BigInt => Values::BigInt(array.as_primitive_opt()?.clone()),
            ColumnType::Double => Values::Double(array.as_primitive_opt()?.clone()),
            ColumnType::Boolean => Values::Boolean(array.as_boolean_opt()?.clone()),
            ColumnType::Date => Values::Date(array.as_primitive_opt()?.clone()),
            ColumnType::Timestamp => match array.as_primitive_opt() {
                Some(milliseconds) => Values::Milliseconds(milliseconds.clone()),
                None => Values::Microseconds(array.as_primitive_opt()?.clone()),
            },
        };
        Some(Cells { nulls: array.nulls().cloned(), values })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends a value with its length in front.
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return write_null(out);
        }
        match &self.values {
            Values::Text { texts, has_nul } => match texts.value(row) {
                text if *has_nul && text.contains('\0') => {
                    write(text.replace('\0', "\u{FFFD}").as_bytes(), out)
                }
                text => write(text.as_bytes(), out),
            },
            Values::BigInt(cells) => write(&cells.value(row).to_be_bytes(), out),
            Values::Double(cells) => write(&cells.value(row).to_be_bytes(), out),
            Values::Boolean(cells) => write(&[u8::from(cells.value(row))], out),
            Values::Date(cells) => write(&date(cells.value(row)).to_be_bytes(), out),
            Values::Milliseconds(cells) => write(&time(milliseconds(cells.value(row))).to_be_bytes(), out),
            Values::Microseconds(cells) => write(&time(cells.value(row).into()).to_be_bytes(), out),
        }
    }

    /// A value for the overflow; its text there is the one that the value has in a text column.
    fn json(&self, row: usize) -> Value {
        match &self.values {
            Values::Text { texts, .. } => texts.value(row).replace('\0', "\u{FFFD}").into(),
            Values::BigInt(cells) => cells.value(row).into(),
            Values::Double(cells) => match cells.value(row) {
                whole if whole.trunc() == whole && whole.abs() <= 9_007_199_254_740_992.0 => {
                    (whole as i64).into()
                }
                finite if finite.is_finite() => finite.into(),
                nan if nan.is_nan() => "NaN".into(),
                infinite => if infinite > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            },
            Values::Boolean(cells) => cells.value(row).into(),
            Values::Date(cells) => instant(i128::from(cells.value(row)) * 86_400_000_000).into(),
            Values::Milliseconds(cells) => instant(milliseconds(cells.value(row))).into(),
            Values::Microseconds(cells) => instant(cells.value(row).into()).into(),
        }
    }

    /// The bytes of a text that is not NULL, at most; 0 for other values.
    fn text_length(&self, row: usize) -> usize {
        match &self.values {
            Values::Text { texts, has_nul } => {
                let length = texts.value_length(row) as usize;
                if *has_nul { length * 3 } else { length }
            }
            _ => 0,
        }
    }
}

fn write(bytes: &[u8], out: &mut Vec<u8>) {
    // PostgreSQL refuses values above 1 GB, long before this length wraps.
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn write_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn date(days: i32) -> i32 {
    let days = i64::from(days) - EPOCH_DAYS;
    if days < DAYS.start {
        i32::MIN
    } else if days >= DAYS.end {
        i32::MAX
    } else {
        days as i32
    }
}

fn milliseconds(ms: i64) -> i128 {
    i128::from(ms) * 1000
}

fn time(us: i128) -> i64 {
    let us = us - i128::from(EPOCH_US);
    if us < MICROSECONDS.start.into() {
        i64::MIN
    } else if us >= MICROSECONDS.end.into() {
        i64::MAX
    } else {
        us as i64
    }
}

fn instant(us: i128) -> String {
    let instant = i64::try_from(us)
        .ok()
        .and_then(|us| DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::microseconds(us)));
    match instant {
        Some(instant) if instant.time() == NaiveTime::MIN => instant.format("%Y-%m-%d").to_string(),
        Some(instant) => instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        None if us < 0 => "-infinity".to_owned(),
        None => "infinity".to_owned(),
    }
}

/// Writes the rows of one batch after the other.
pub(super) struct Encoder<'a> {
    layout: &'a Layout,
    /// Bytes that the values which may overflow take in the widest row.
    widest: usize,
    overflows: Vec<bool>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(layout: &'a Layout) -> Encoder<'a> {
        Encoder { layout, widest: 0, overflows: vec![false; layout.fields.len()] }
    }

    pub(super) fn widest(&self) -> usize {
        self.widest
    }

    /// `cells` are the layout's fields, then those that have no column.
    pub(super) fn write(&mut self, file: i32, cells: &[Cells], row: usize, out: &mut Vec<u8>) {
        let (in_table, without_column) = cells.split_at(self.layout.fields.len());
        let overflow = self.layout.overflow.as_ref();
        let count = 1 + in_table.len() + usize::from(overflow.is_some());
        out.extend_from_slice(&(count as i16).to_be_bytes());
        write(&file.to_be_bytes(), out);
        let Some(overflow) = overflow else {
            in_table.iter().for_each(|cells| cells.write(row, out));
            return;
        };
        self.choose(overflow, in_table, row);
        for (cells, overflows) in in_table.iter().zip(&self.overflows) {
            if *overflows { write_null(out) } else { cells.write(row, out) }
        }
        let out_of_row = self.layout.fields.iter().zip(in_table).zip(&self.overflows);
        let out_of_row = out_of_row.filter(|(_, overflows)| **overflows).map(|(pair, _)| pair);
        let values: Map<String, Value> = out_of_row
            .chain(overflow.fields.iter().zip(without_column))
            .filter(|(_, cells)| !cells.is_null(row))
            .map(|(Field { target, .. }, cells)| (target.replace('\0', "\u{FFFD}"), cells.json(row)))
            .collect();
        if values.is_empty() { write_null(out) } else { write_json(&Value::Object(values), out) }
    }

    /// Values stay in the row as long as there is room, in the order of the table's columns; those behind the first
    /// that does not fit all go.
    fn choose(&mut self, overflow: &Overflow, cells: &[Cells], row: usize) {
        let (mut end, mut is_full) = (0_usize, false);
        for (n, cells) in cells.iter().enumerate() {
            if overflow.stays[n] || cells.is_null(row) {
                self.overflows[n] = false;
                continue;
            }
            let field = &self.layout.fields[n];
            let next = match fixed(field.to) {
                Some(_) if overflow.is_mixed => end + most(field.to),
                Some((size, alignment)) => end.next_multiple_of(alignment) + size,
                None if fixed(field.from).is_none() => end + text_bytes(cells.text_length(row)),
                None => end + text_bytes(usize::MAX),
            };
            is_full = is_full || next > overflow.room;
            self.overflows[n] = is_full;
            if !is_full {
                end = next;
            }
        }
        self.widest = self.widest.max(end);
    }
}

/// `jsonb` goes as the version of its form, and text.
fn write_json(value: &Value, out: &mut Vec<u8>) {
    let text = value.to_string();
    out.extend_from_slice(&(text.len() as i32 + 1).to_be_bytes());
    out.push(1);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outside_of_the_range_are_infinite() {
        assert_eq!(date(10_957), 0);
        assert_eq!((date(i32::MIN), date(i32::MAX)), (i32::MIN, i32::MAX));
        assert_eq!(time(milliseconds(946_684_800_000)), 0);
        assert_eq!(time(milliseconds(i64::MIN)), i64::MIN);
        assert_eq!(time(milliseconds(9_224_318_015_999_999)), 9_223_371_331_199_999_000);
        assert_eq!(time(milliseconds(9_224_318_016_000_000)), i64::MAX);
    }

    #[test]
    fn instants_read_like_those_in_text_columns() {
        assert_eq!(instant(0), "1970-01-01");
        assert_eq!(instant(1_700_000_000_123_000), "2023-11-14T22:13:20.123Z");
        assert_eq!(instant(i128::MAX), "infinity");
    }
}

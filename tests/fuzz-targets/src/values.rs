//! One property value, from HubSpot's text to a typed cell, checked by the contract of `value`. The first byte chooses
//! the column's type, the rest is the text.

use std::cell::RefCell;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;
use chrono::{DateTime, Utc};
use hubspot::fuzzing::{instant_ms, set_value};
use hubspot::json::Scanner;
use serde::de::IgnoredAny;
use staging::{Column, ColumnType, Rows, Table};

const TYPES: [ColumnType; 7] = [
    ColumnType::Text,
    ColumnType::BigInt,
    ColumnType::Double,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Json,
];
const DAY_MS: i64 = 86_400_000;

thread_local! {
    /// One column of each type.
    static ROWS: RefCell<Vec<Rows>> = RefCell::new(TYPES.map(|column_type| {
        let table = Table::new("values", &["value"], vec![Column::new("value", column_type)]);
        Rows::new(&table.expect("one column is a table"))
    }).into());
}

pub fn run(data: &[u8]) {
    let Some((&chosen, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let place = usize::from(chosen) % TYPES.len();
    let (is_set, cell) = ROWS.with_borrow_mut(|rows| set(&mut rows[place], TYPES[place], text));
    check(TYPES[place], text, is_set, &cell);
}

/// Sets a cell to the text. Returns `true` if the text has a value of this type, and the column.
fn set(rows: &mut Rows, column_type: ColumnType, text: &str) -> (bool, ArrayRef) {
    let json = serde_json::to_string(text).expect("text is JSON");
    let string = Scanner::new(&json).string().expect("a string is a string");
    assert_eq!(string.text(), text, "escapes are undone");
    let is_set = set_value(rows.cell(0).expect("an open row"), column_type, string);
    rows.finish_row();
    let mut column = None;
    rows.drain(|_, array| {
        column = Some(array);
        Ok::<_, ArrowError>(())
    })
    .expect("a row is an array");
    (is_set, column.expect("a column"))
}

fn check(column_type: ColumnType, text: &str, is_set: bool, cell: &ArrayRef) {
    assert_eq!(cell.len(), 1);
    if text.is_empty() {
        assert!(is_set && cell.is_null(0), "an empty text is NULL, whatever the type");
        return;
    }
    assert!(!is_set || cell.is_valid(0), "a cell is filled, or is said not to be");
    assert!(is_set || cell.is_null(0) || column_type == ColumnType::Double, "what is told apart is NULL");
    let trimmed = text.trim();
    match column_type {
        ColumnType::Text => assert_eq!(cell.as_string::<i32>().value(0), text),
        ColumnType::Json => {
            assert_eq!(is_set, serde_json::from_str::<IgnoredAny>(trimmed).is_ok());
            assert!(!is_set || cell.as_string::<i32>().value(0) == trimmed);
        }
        ColumnType::BigInt => {
            let read = is_set.then(|| cell.as_primitive::<Int64Type>().value(0));
            match trimmed.parse() {
                Ok(expected) => assert_eq!(read, Some(expected)),
                // Written with a fraction of zeros, or an exponent.
                Err(_) => assert!(read.is_none() || trimmed.contains(['.', 'e', 'E'])),
            }
        }
        ColumnType::Double => double(trimmed, is_set, cell),
        ColumnType::Boolean => {
            let read = is_set.then(|| cell.as_boolean().value(0));
            assert_eq!(read, trimmed.to_ascii_lowercase().parse().ok());
        }
        ColumnType::Date => {
            let read = is_set.then(|| i64::from(cell.as_primitive::<Date32Type>().value(0)));
            assert_eq!(read, instant(trimmed).map(|ms| ms.div_euclid(DAY_MS)));
        }
        ColumnType::Timestamp => {
            let read = is_set.then(|| cell.as_primitive::<TimestampMillisecondType>().value(0));
            assert_eq!(read, instant(trimmed));
        }
    }
}

/// Checks that a double is the one nearest to the text. A whole number must be exact, or is not set.
fn double(text: &str, is_set: bool, cell: &ArrayRef) {
    let read = cell.is_valid(0).then(|| cell.as_primitive::<Float64Type>().value(0));
    let has_letters = text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E'));
    let nearest = text.parse::<f64>().ok().filter(|number| number.is_finite() && !has_letters);
    if let (Some(read), Ok(whole)) = (read, text.parse::<i128>()) {
        assert!(is_set && read as i128 == whole, "a whole number is not rounded");
    }
    if is_set || read.is_some() {
        assert_eq!(read.map(f64::to_bits), nearest.map(f64::to_bits));
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    assert!(is_set || nearest.is_none_or(|number| digits > 15 || !number.is_normal()), "a short number fits");
}

/// Parses the text as an instant, and checks that by chrono and by a round trip.
fn instant(text: &str) -> Option<i64> {
    let ms = instant_ms(text);
    if let Ok(expected) = DateTime::parse_from_rfc3339(text) {
        let expected = Some(expected.timestamp_millis()).filter(|&ms| is_in_range(ms));
        assert_eq!(ms, expected, "an instant of RFC 3339 is that instant");
    }
    let ms = ms?;
    assert!(is_in_range(ms), "an instant lies in the years 1 to 9999");
    let written = DateTime::<Utc>::from_timestamp_millis(ms).expect("an instant").to_rfc3339();
    assert_eq!(instant_ms(&written), Some(ms), "an instant is the same when it is written");
    Some(ms)
}

pub(crate) fn is_in_range(ms: i64) -> bool {
    (-62_135_596_800_000..=253_402_300_799_999).contains(&ms)
}

//! Values for a column that is narrower than they are: those that it can hold, and NULL for the others.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray, new_null_array,
};
use chrono::{DateTime, NaiveDate, NaiveTime};
use staging::{ColumnType, arrow_type};

const DAY_MS: i64 = 86_400_000;
/// Up to here every whole double is an exact integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `array` is of type `from`.
pub(super) fn narrowed(array: &ArrayRef, from: ColumnType, to: ColumnType) -> ArrayRef {
    match (from, to) {
        (ColumnType::Text | ColumnType::Json, _) => {
            array.as_string_opt::<i32>().map(|texts| of_texts(texts, to))
        }
        (ColumnType::Double, ColumnType::BigInt) => array.as_primitive_opt::<Float64Type>().map(|doubles| {
            Arc::new(doubles.iter().map(|double| double.and_then(whole)).collect::<Int64Array>()) as ArrayRef
        }),
        (ColumnType::Timestamp, ColumnType::Date) => milliseconds(array).map(|times| {
            let days = times.into_iter().map(|time| time.and_then(day));
            Arc::new(days.collect::<Date32Array>()) as ArrayRef
        }),
        _ => None,
    }
    .unwrap_or_else(|| new_null_array(&arrow_type(to), array.len()))
}

fn of_texts(texts: &StringArray, to: ColumnType) -> ArrayRef {
    let values = || texts.iter().map(|text| text.map(str::trim));
    match to {
        ColumnType::Text | ColumnType::Json => Arc::new(texts.clone()),
        ColumnType::BigInt => Arc::new(values().map(|text| text.and_then(integer)).collect::<Int64Array>()),
        ColumnType::Double => Arc::new(values().map(|text| text.and_then(double)).collect::<Float64Array>()),
        ColumnType::Boolean => {
            Arc::new(values().map(|text| text.and_then(boolean)).collect::<BooleanArray>())
        }
        ColumnType::Date => {
            Arc::new(values().map(|text| text.and_then(time).and_then(day)).collect::<Date32Array>())
        }
        ColumnType::Timestamp => Arc::new(
            values()
                .map(|text| text.and_then(time))
                .collect::<TimestampMillisecondArray>()
                .with_timezone("UTC"),
        ),
    }
}

fn milliseconds(array: &ArrayRef) -> Option<Vec<Option<i64>>> {
    match array.as_primitive_opt::<TimestampMillisecondType>() {
        Some(times) => Some(times.iter().collect()),
        None => {
            let times = array.as_primitive_opt::<TimestampMicrosecondType>()?;
            Some(times.iter().map(|time| time.filter(|us| us % 1000 == 0).map(|us| us / 1000)).collect())
        }
    }
}

fn whole(double: f64) -> Option<i64> {
    (double.trunc() == double && double.abs() <= EXACT).then_some(double as i64)
}

fn day(ms: i64) -> Option<i32> {
    (ms.rem_euclid(DAY_MS) == 0).then(|| i32::try_from(ms.div_euclid(DAY_MS)).ok()).flatten()
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| double(text).and_then(whole))
}

fn double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|double: &f64| double.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    [(true, "true"), (false, "false")]
        .into_iter()
        .find(|(_, name)| text.eq_ignore_ascii_case(name))
        .map(|(is, _)| is)
}

fn time(text: &str) -> Option<i64> {
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::encode::Cells;

    use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};

    #[test]
    fn a_text_is_what_it_was_before_its_column_was_widened() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("7"),
            Some("0.5"),
            Some("true"),
            Some("2026-11-23"),
            Some("2026-11-23T20:15:00.000Z"),
            Some("NaN"),
            Some("a lot"),
            None,
        ]));
        let valid = |to| {
            let array = narrowed(&texts, Text, to);
            assert!(Cells::of(&array, to).is_some(), "{to:?}");
            (0..texts.len()).filter(|row| array.is_valid(*row)).collect::<Vec<_>>()
        };
        assert_eq!(valid(BigInt), [0]);
        assert_eq!(valid(Double), [0, 1]);
        assert_eq!(valid(Boolean), [2]);
        assert_eq!(valid(Date), [3]);
        assert_eq!(valid(Timestamp), [3, 4]);
        assert_eq!(valid(Json).len(), 7);
    }

    #[test]
    fn doubles_and_instants_fit_if_they_are_whole() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![7.0, 0.5, 1e300, f64::NAN]));
        let integers = narrowed(&doubles, Double, BigInt);
        assert_eq!(integers.null_count(), 3);
        assert_eq!(narrowed(&doubles, Double, Boolean).null_count(), 4);
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![-DAY_MS, 1, DAY_MS * 20_000]));
        let days = narrowed(&times, Timestamp, Date);
        assert_eq!(days.as_ref(), &Date32Array::from(vec![Some(-1), None, Some(20_000)]) as &dyn Array);
    }
}

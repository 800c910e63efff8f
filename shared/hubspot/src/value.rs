//! One property value, from HubSpot's text to a typed cell. Most values fit the property's type, some don't (`N/A` in
//! a number, epoch milliseconds in a date, year 20230), and some exceed the column (an id of 17 digits in a number). A
//! value that does not fit costs nothing but itself: [`set`] reports it, and the caller keeps the text.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::de::IgnoredAny;
use staging::{Cell, ColumnType};

use crate::decimal::{self, Double};
use crate::json::Str;

/// Milliseconds of the first and last instants that every warehouse can hold: years 1 to 9999.
const FIRST_INSTANT_MS: i64 = -62_135_596_800_000;
const LAST_INSTANT_MS: i64 = 253_402_300_799_999;
const DAY_MS: i64 = 86_400_000;

/// Fills the cell. `false`: the cell does not have the text's value. Then it is NULL, or, for a fraction with more
/// digits than a double has, the nearest double. `""` is NULL for every type: HubSpot sends it for a value that was
/// cleared.
pub(crate) fn set(cell: Cell<'_>, column_type: ColumnType, value: Str<'_>) -> bool {
    if value.is_empty() {
        return true;
    }
    if column_type == ColumnType::Text {
        cell.text(&value.text());
        return true;
    }
    let text = value.text();
    let text = text.trim();
    match column_type {
        ColumnType::Text => {}
        ColumnType::Json => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => cell.text(text),
            Err(_) => return false,
        },
        ColumnType::BigInt => match decimal::whole(text) {
            Some(number) => cell.bigint(number),
            None => return false,
        },
        ColumnType::Double => match decimal::double(text) {
            Some(Double::Exact(number)) => cell.double(number),
            Some(Double::Rounded(number)) => {
                cell.double(number);
                return false;
            }
            Some(Double::Other) | None => return false,
        },
        ColumnType::Boolean => match boolean(text) {
            Some(value) => cell.boolean(value),
            None => return false,
        },
        ColumnType::Date => match instant_ms(text) {
            Some(ms) => cell.date(ms.div_euclid(DAY_MS) as i32),
            None => return false,
        },
        ColumnType::Timestamp => match instant_ms(text) {
            Some(ms) => cell.timestamp(ms),
            None => return false,
        },
    }
    true
}

/// Fills a cell with a value that somebody else kept as text, as `set` fills one with HubSpot's. `false`: the cell does
/// not have the text's value, so the text has to be kept beside it.
pub fn set_text(cell: Cell<'_>, column_type: ColumnType, text: &str) -> bool {
    set(cell, column_type, Str::plain(text))
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Parses an instant, in milliseconds: ISO 8601 with a zone, without one (UTC), a day alone (its midnight, UTC), or
/// epoch milliseconds, which may have a fraction. Instants outside the years 1 to 9999 are refused.
pub(crate) fn instant_ms(text: &str) -> Option<i64> {
    let ms = utc_ms(text.as_bytes()).or_else(|| epoch_ms(text)).or_else(|| any_iso_ms(text))?;
    is_instant(ms).then_some(ms)
}

/// `true`: the time is within the years 1 to 9999.
pub(crate) fn is_instant(ms: i64) -> bool {
    (FIRST_INSTANT_MS..=LAST_INSTANT_MS).contains(&ms)
}

/// Parses milliseconds since 1970, also with a fraction or an exponent.
fn epoch_ms(text: &str) -> Option<i64> {
    decimal::floor(text).filter(|&ms| is_epoch(ms))
}

/// `true`: the number is epoch milliseconds. Near 1970 it has to be a whole day (or 0), or too long for a year, a
/// month, a day or a number of days written without hyphens.
fn is_epoch(ms: i64) -> bool {
    let is_a_day = || {
        let (year, month, day) = (ms / 10_000, ms / 100 % 100, ms % 100);
        (1_900..=2_100).contains(&year)
            && NaiveDate::from_ymd_opt(year as i32, month as u32, day as u32).is_some()
    };
    let distance = ms.unsigned_abs();
    ms % DAY_MS == 0 || distance >= 100_000_000 || (distance >= 1_000_000 && !is_a_day())
}

/// Parses the two shapes that nearly every value has, without a general parser: `YYYY-MM-DD` and
/// `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`.
fn utc_ms(text: &[u8]) -> Option<i64> {
    let days = i64::from(day(text.get(..10)?)?);
    if text.len() == 10 {
        return Some(days * DAY_MS);
    }
    let (hours, minutes, seconds) =
        (digits(text.get(11..13)?)?, digits(text.get(14..16)?)?, digits(text.get(17..19)?)?);
    if text[10] != b'T' || text[13] != b':' || text[16] != b':' || hours > 23 || minutes > 59 || seconds > 59
    {
        return None;
    }
    let millis = match &text[19..] {
        b"Z" => 0,
        [b'.', fraction @ .., b'Z'] if (1..=9).contains(&fraction.len()) => {
            let kept = &fraction[..fraction.len().min(3)];
            digits(fraction)?;
            digits(kept)? * [0, 100, 10, 1][kept.len()]
        }
        _ => return None,
    };
    Some(days * DAY_MS + i64::from((hours * 3600 + minutes * 60 + seconds) * 1000 + millis))
}

fn day(text: &[u8]) -> Option<i32> {
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..])?);
    let date = NaiveDate::from_ymd_opt(year as i32, month, day)?;
    Some(date.to_epoch_days())
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, byte| match byte {
        b'0'..=b'9' => Some(number * 10 + u32::from(byte - b'0')),
        _ => None,
    })
}

fn any_iso_ms(text: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
    naive.ok().map(|instant| instant.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_come_in_many_shapes() {
        let expected = Some(1_709_296_496_789);
        for text in [
            "2024-03-01T12:34:56.789Z",
            "2024-03-01T12:34:56.789123Z",
            "2024-03-01T13:34:56.789+01:00",
            "2024-03-01T12:34:56.789",
            "2024-03-01 12:34:56.789",
            "1709296496789",
        ] {
            assert_eq!(instant_ms(text), expected, "{text}");
        }
        assert_eq!(instant_ms("2024-03-01T12:34:56Z"), Some(1_709_296_496_000));
        assert_eq!(instant_ms("2024-03-01"), Some(1_709_251_200_000));
        assert_eq!(instant_ms("1969-12-31"), Some(-86_400_000));
        assert_eq!(instant_ms("0"), Some(0));
    }

    #[test]
    fn what_no_warehouse_can_hold_is_no_instant() {
        for text in
            ["20230-01-01", "253402300800000", "2024-02-30", "N/A", "2024", "12:30", "9223372036854775808"]
        {
            assert_eq!(instant_ms(text), None, "{text}");
        }
        assert_eq!(instant_ms("9999-12-31"), Some(253_402_214_400_000));
    }

    #[test]
    fn milliseconds_come_with_a_fraction_or_an_exponent() {
        for text in ["1633996800000", "1633996800000.0", "1633996800000.9", "1.6339968E12", "16339968e+5"] {
            assert_eq!(instant_ms(text), Some(1_633_996_800_000), "{text}");
        }
        assert_eq!(instant_ms("-1633996800000.5"), Some(-1_633_996_800_001));
        assert_eq!(instant_ms("1.6E99"), None);
    }

    #[test]
    fn instants_near_1970_are_instants() {
        for (text, ms) in [
            ("86400000", 86_400_000),
            ("-86400000", -86_400_000),
            ("8.64E7", 86_400_000),
            ("0.0", 0),
            ("-0", 0),
            ("43200000", 43_200_000),
            ("-3600000", -3_600_000),
            ("19000000", 19_000_000),
            ("20241301", 20_241_301),
        ] {
            assert_eq!(instant_ms(text), Some(ms), "{text}");
        }
        // Years, months, days, numbers of days: whatever they are, they are no milliseconds.
        for text in ["2024", "202403", "20240301", "45000", "-1", "1", "2024.0"] {
            assert_eq!(instant_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_equals_the_general_one(ms in FIRST_INSTANT_MS..=LAST_INSTANT_MS) {
            let instant = DateTime::from_timestamp_millis(ms).unwrap();
            let text = instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            prop_assert_eq!(instant_ms(&text), Some(ms));
            prop_assert_eq!(any_iso_ms(&text), Some(ms));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = (instant_ms(&text), boolean(&text));
        }

        #[test]
        fn milliseconds_are_the_instant_that_iso_8601_writes(days in -719_162..2_932_896_i64, of_day in 0..DAY_MS) {
            let ms = days * DAY_MS + of_day;
            let instant = DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339();
            for text in [format!("{}", days * DAY_MS), format!("{}.0", days * DAY_MS)] {
                prop_assert_eq!(instant_ms(&text), Some(days * DAY_MS));
            }
            if ms.abs() >= 100_000_000 {
                for text in [format!("{ms}"), format!("{ms}.0"), format!("{ms}00E-2")] {
                    prop_assert_eq!(instant_ms(&text), instant_ms(&instant));
                }
            }
        }
    }
}

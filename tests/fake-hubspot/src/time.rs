//! Time as HubSpot writes it.

use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};

/// ISO 8601 in UTC, milliseconds only where there are any: `2026-11-23T10:00:00Z`, `2026-11-23T10:00:00.120Z`.
pub(crate) fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The wall clock, to the millisecond.
pub(crate) fn now() -> DateTime<Utc> {
    millisecond(Utc::now())
}

/// The millisecond an instant lies in; HubSpot keeps no finer time.
pub(crate) fn millisecond(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(instant)
}

/// Milliseconds since 1970 of a date as HubSpot takes and keeps it: epoch milliseconds, a date, or ISO 8601.
pub(crate) fn milliseconds(value: &str) -> Option<f64> {
    if let Ok(number) = value.parse::<f64>() {
        return Some(number);
    }
    let start_of_day = || {
        let day = value.parse::<chrono::NaiveDate>().ok()?;
        Some(day.and_time(chrono::NaiveTime::MIN).and_utc())
    };
    let instant =
        DateTime::parse_from_rfc3339(value).ok().map(|instant| instant.to_utc()).or_else(start_of_day)?;
    Some(instant.timestamp_millis() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_have_no_fraction() {
        assert_eq!(text(DateTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
        assert_eq!(text(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(120)), "1970-01-01T00:00:00.120Z");
    }

    #[test]
    fn dates_are_read_in_all_three_forms() {
        for value in ["86400000", "1970-01-02", "1970-01-02T00:00:00Z", "1970-01-02T01:00:00.000+01:00"] {
            assert_eq!(milliseconds(value), Some(86_400_000.0), "{value}");
        }
        assert_eq!(milliseconds("20230-01-01"), None);
        assert_eq!(milliseconds(""), None);
    }
}

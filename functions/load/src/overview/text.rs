//! Numbers and times for people.

use chrono::{DateTime, Utc};

pub(super) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// Returns a figure of a chart: whole ones without decimals.
pub(super) fn figure(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    match fraction.map(|fraction| fraction.trim_end_matches('0')) {
        Some(fraction) if !fraction.is_empty() => format!("{whole}.{fraction}"),
        _ => whole,
    }
}

/// Returns a span of time, in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) if hours < 10 && minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        (0, hours, _) => format!("{hours} h"),
        (1, hours, _) => format!("1 day {} h", hours - 24),
        (days, _, _) => format!("{days} days"),
    }
}

pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

pub(super) fn bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_have_no_idle_zeros() {
        assert_eq!(
            [figure(1_234_567.0, 0), figure(0.0, 1), figure(2.04, 1), figure(2.06, 1)],
            ["1,234,567", "0", "2", "2.1"]
        );
    }

    #[test]
    fn spans_have_their_largest_units() {
        let spans =
            [12.0, 59.0 * 60.0, 3.5 * 3_600.0, 3.0 * 3_600.0, 23.0 * 3_600.0, 25.5 * 3_600.0, 50.0 * 3_600.0];
        let texts = spans.map(span);
        assert_eq!(texts, ["12 s", "59 min", "3 h 30 min", "3 h", "23 h", "1 day 1 h", "2 days"]);
    }
}

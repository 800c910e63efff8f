//! HubSpot's clock, from the dates of its answers, so that a wrong clock of a laptop does no harm.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

/// Difference between HubSpot's clock and ours.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// HubSpot's time less ours, in milliseconds.
    skew_ms: AtomicI64,
}

impl Clock {
    /// Returns the time by HubSpot's clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let skew = chrono::Duration::milliseconds(self.skew_ms.load(Ordering::Relaxed));
        let ours = Utc::now();
        ours.checked_add_signed(skew).unwrap_or(ours)
    }

    /// Converts a time of our clock to HubSpot's, in milliseconds since 1970.
    pub(super) fn by_hubspots(&self, ours_ms: i64) -> i64 {
        ours_ms.saturating_add(self.skew_ms.load(Ordering::Relaxed))
    }

    /// Learns the difference from HubSpot's `Date`, which has whole seconds, and the time since our request. A slow
    /// answer alone makes no difference.
    pub(super) fn learn(&self, headers: &HeaderMap, asked: DateTime<Utc>) {
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let skew_ms =
                skew_ms(theirs.timestamp_millis(), asked.timestamp_millis(), Utc::now().timestamp_millis());
            self.skew_ms.store(skew_ms, Ordering::Relaxed);
        }
    }
}

fn skew_ms(theirs_ms: i64, asked_ms: i64, answered_ms: i64) -> i64 {
    let rounding_ms = 1_000;
    if theirs_ms > answered_ms {
        theirs_ms - answered_ms
    } else if theirs_ms + rounding_ms < asked_ms {
        theirs_ms + rounding_ms - asked_ms
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        assert_eq!(skew_ms(10_000, 10_400, 10_900), 0);
        assert_eq!(skew_ms(12_000, 10_400, 13_900), 0);
    }

    #[test]
    fn a_wrong_clock_is_known_by_how_far_it_is_off_at_least() {
        assert_eq!(skew_ms(20_000, 10_400, 10_900), 9_100);
        assert_eq!(skew_ms(2_000, 10_400, 10_900), -7_400);
    }
}

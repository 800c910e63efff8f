//! An answer of HubSpot, of any status.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;

use crate::budget::Limits;

/// An answer, read to its end.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        is_good(self.status)
    }

    /// Returns the limits in its headers.
    pub(super) fn limits(&self) -> Limits {
        let number = |name: &str| {
            let number = self.headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        Limits {
            max: number("x-hubspot-ratelimit-max"),
            interval: number("x-hubspot-ratelimit-interval-milliseconds")
                .and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
            remaining: number("x-hubspot-ratelimit-remaining"),
            daily: number("x-hubspot-ratelimit-daily"),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        }
    }
}

/// `true`: an answer of this status has the body that was asked for.
pub(super) fn is_good(status: u16) -> bool {
    matches!(status, 200 | 207)
}

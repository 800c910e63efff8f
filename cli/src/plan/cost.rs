//! The cost of reading a feed whole.

use hubspot::feeds::{Cursor, Estimate, Feed, Mode, Session, Window};
use hubspot::{Client, RateLimit};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) records: Option<u64>,
    pub(super) calls: u64,
    /// Minutes at the account's rate limit less the reserve, if nothing else runs.
    pub(super) minutes: f64,
    pub(super) gigabyte_seconds: f64,
    pub(super) dollars: f64,
    pub(super) note: Option<&'static str>,
    /// Estimates for property histories, where they are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<History>,
}

/// An estimate of the calls that property histories cost.
#[derive(Debug, Serialize)]
pub(super) struct History {
    pub(super) properties: Vec<String>,
    /// Calls among the feed's, which it would not make without.
    pub(super) calls: u64,
}

impl History {
    pub(super) fn of<'p>(properties: impl Iterator<Item = &'p str>, calls: u64) -> Option<History> {
        let properties: Vec<String> = properties.map(str::to_owned).collect();
        (!properties.is_empty()).then_some(History { properties, calls })
    }

    pub(super) fn text(&self) -> String {
        let (calls, names) = (number_text(self.calls), self.properties.join(", "));
        format!("{calls} of the calls are for the history of {names}: 50 records to a call instead of 100")
    }
}

pub(super) async fn estimate(
    feed: &'static dyn Feed,
    session: &Session,
    window: Window,
) -> hubspot::Result<Estimate> {
    let opened = feed.open(session, Mode::Backfill, &mut Cursor::default()).await?;
    opened.estimate(window).await
}

impl Cost {
    /// Computes the cost. The slowest rate limit sets the time; a function is billed while it waits for the limit.
    pub(super) fn new(estimate: &Estimate, client: &Client, reserve: f64, memory_mb: u32) -> Cost {
        let seconds = [
            (estimate.general, RateLimit::General),
            (estimate.search, RateLimit::Search),
            (estimate.associations, RateLimit::Associations),
        ]
        .map(|(calls, bucket)| {
            let per_second = client.budget().limit(bucket) as f64 * (1.0 - reserve) / 10.0;
            calls as f64 / per_second.max(0.1)
        })
        .into_iter()
        .fold(0.0, f64::max);
        Cost {
            records: estimate.records,
            calls: estimate.calls(),
            minutes: seconds / 60.0,
            gigabyte_seconds: seconds * f64::from(memory_mb) / 1024.0,
            dollars: lambda::compute_dollars(memory_mb, seconds),
            note: estimate.note,
            history: None,
        }
    }
}

pub(super) fn number_text(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

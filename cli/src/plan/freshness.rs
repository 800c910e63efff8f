//! Costs of fresher data: calls, dollars and loads, for each value of a stack's parameter `Freshness`.

use hubspot::feeds::{Estimate, Feed};
use serde::Serialize;

/// Values of the parameter, in minutes.
const CHOICES: [(&str, u64); 4] = [("3 hours", 180), ("1 hour", 60), ("15 minutes", 15), ("5 minutes", 5)];
/// Minutes between two reads of what is read as a whole, however fresh the rest is.
const FULL_REFRESH_MINUTES: u64 = 180;
const MINUTES_OF_A_DAY: u64 = 24 * 60;
const DAYS: f64 = 30.0;

/// Calls of a function's run in which nothing has changed: of records, of contacts, which have lists and identities, too,
/// and of events. A test of the stack counts them.
const CALLS_OF_UNCHANGED_RECORDS: u64 = 5;
const CALLS_OF_UNCHANGED_CONTACTS: u64 = 8;
const CALLS_OF_UNCHANGED_EVENTS: u64 = 2;
/// Records to a call of a comparison, which comes once a day, and once a week with more columns.
const RECORDS_OF_A_COMPARISON: u64 = 100;

/// Time that a call to HubSpot takes, and the start of a function.
const CALL_SECONDS: f64 = 0.25;
const START_SECONDS: f64 = 0.5;
/// Dollars of DynamoDB, S3, logs, schedules, traces and secrets for a run and the load behind it; a test of the stack counts
/// the requests.
const REQUESTS_OF_A_RUN: f64 = 0.000_09;
const LOAD_MEMORY_MB: u32 = 512;
const LOAD_SECONDS: f64 = 2.5;
/// A warehouse that sleeps bills at least so much when it wakes up.
const LEAST_BILLED_MINUTES: f64 = 1.0;

/// The cost of a `Freshness`, where nothing changes but enough for a load after each run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Freshness {
    pub(super) every: &'static str,
    pub(super) calls_a_day: u64,
    /// `null` where HubSpot does not answer its limit.
    pub(super) share_of_day: Option<f64>,
    /// Of Lambda, DynamoDB and S3, beside what a stack costs that reads nothing.
    pub(super) dollars_a_month: f64,
    /// The most loads of a day: one for each time that something was read.
    pub(super) loads_a_day: u64,
    /// Hours of a day for which a warehouse is billed that sleeps between them.
    pub(super) warehouse_hours_a_day: f64,
}

/// Computes the costs of all values, from what a first read of each feed costs.
pub(super) fn freshness(
    feeds: &[(&'static dyn Feed, Estimate)],
    memory_mb: u32,
    daily_limit: Option<u64>,
) -> Vec<Freshness> {
    CHOICES.map(|(every, minutes)| choice(every, minutes, feeds, memory_mb, daily_limit)).to_vec()
}

fn choice(
    every: &'static str,
    minutes: u64,
    feeds: &[(&'static dyn Feed, Estimate)],
    memory_mb: u32,
    daily_limit: Option<u64>,
) -> Freshness {
    let (mut calls_a_day, mut dollars_a_day) = (0, 0.0);
    for (feed, whole) in feeds {
        let (of_run, minutes) = match (feed.is_full_refresh(), feed.snapshot()) {
            (true, _) => (whole.calls(), minutes.max(FULL_REFRESH_MINUTES)),
            (false, Some(_)) if feed.name() == "contacts" => (CALLS_OF_UNCHANGED_CONTACTS, minutes),
            (false, Some(_)) => (CALLS_OF_UNCHANGED_RECORDS, minutes),
            (false, None) => (CALLS_OF_UNCHANGED_EVENTS, minutes),
        };
        let runs = MINUTES_OF_A_DAY / minutes;
        let compared = feed.snapshot().and(whole.records).unwrap_or_default();
        calls_a_day += runs * of_run + compared.div_ceil(RECORDS_OF_A_COMPARISON) * 8 / 7;
        let seconds = START_SECONDS + of_run as f64 * CALL_SECONDS;
        dollars_a_day += runs as f64 * (lambda::compute_dollars(memory_mb, seconds) + REQUESTS_OF_A_RUN);
    }
    // At three hours a load comes by its own schedule, once an hour.
    let invocations = MINUTES_OF_A_DAY / minutes.min(60);
    dollars_a_day += invocations as f64 * lambda::compute_dollars(LOAD_MEMORY_MB, LOAD_SECONDS);
    let loads_a_day = MINUTES_OF_A_DAY / minutes;
    Freshness {
        every,
        calls_a_day,
        share_of_day: daily_limit.filter(|limit| *limit > 0).map(|limit| calls_a_day as f64 / limit as f64),
        dollars_a_month: dollars_a_day * DAYS,
        loads_a_day,
        warehouse_hours_a_day: loads_a_day as f64 * LEAST_BILLED_MINUTES / 60.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresher_data_cost_more_and_lists_do_not() {
        let named = |name: &str| hubspot::feeds::known().find(|feed| feed.name() == name).unwrap();
        let whole = Estimate { general: 700, ..Estimate::default() };
        let feeds = ["deals", "email_events", "contact_lists"].map(|name| (named(name), whole));
        let costs = freshness(&feeds, 128, Some(250_000));
        let calls: Vec<u64> = costs.iter().map(|cost| cost.calls_a_day).collect();
        let of_lists = 8 * 700;
        assert_eq!(calls, [8, 24, 96, 288].map(|runs| runs * 7 + of_lists));
        assert_eq!(costs.iter().map(|cost| cost.loads_a_day).collect::<Vec<_>>(), [8, 24, 96, 288]);
        assert!(costs.is_sorted_by(|one, other| one.dollars_a_month <= other.dollars_a_month), "{costs:?}");
        assert_eq!(costs[3].share_of_day, Some(calls[3] as f64 / 250_000.0));
        assert_eq!(freshness(&feeds, 128, Some(0))[0].share_of_day, None);
    }
}

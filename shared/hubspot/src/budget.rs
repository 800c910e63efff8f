//! Rate limits. HubSpot counts calls against three limits, and each call waits here for its turn in one of them.
//!
//! Each limit is paced: calls leave at even intervals, so that no ten seconds exceed the limit. Turns of the last
//! second that could not be used are made up for, as far as the ten seconds allow. A limit starts at that of the
//! smallest account, learns the real one from the headers of each answer, keeps a share in reserve for the customer's
//! other apps, slows down when those use theirs, and pauses after a 429. Processes that read the same account share
//! its limits through a document ([`Budget::shared`]).

mod limits;
mod pace;
mod share;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};
pub(crate) use limits::Limits;
pub use limits::RateLimit;
use pace::{LIMITS, Pace};
pub use share::{Allowance, SharedAllowance};
use share::{KnownLimit, Share};

#[cfg(feature = "fuzzing")]
pub(crate) use share::take_calls;

/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>: 100 requests per 10 s is the
/// smallest limit of a private app, and of the associations API.
const SAFE_LIMIT: f64 = 100.0;
/// 5 searches a second for the whole account, and no header that says so
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>).
const SEARCH_LIMIT: f64 = 50.0;

/// Counts of one rate limit so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests sent, retries included.
    pub calls: u64,
    /// Requests that were retries.
    pub retries: u64,
    /// Requests refused with 429.
    pub rate_limited: u64,
}

/// The three rate limits of one account.
#[derive(Debug)]
pub struct Budget {
    /// Share of each limit, 0 to 1, that is left to other apps.
    reserve: f64,
    buckets: [Paced; 3],
    daily: Mutex<Option<(f64, f64)>>,
    /// The share of this process, if others read the same account.
    share: Option<Share>,
    /// `true`: the run is incremental, and goes before backfills. It is the default until a run sets it.
    is_urgent: AtomicBool,
    /// `true`: HubSpot refused a call because the daily limit is used up.
    is_day_over: AtomicBool,
}

#[derive(Debug)]
struct Paced {
    pace: Mutex<Pace>,
    calls: AtomicU64,
    retries: AtomicU64,
    rate_limited: AtomicU64,
    waiting: AtomicUsize,
}

/// One caller that waits for its turn; it stops waiting when this is dropped, also when its future is.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Waiting<'a> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Budget {
    /// `reserve` is the share of each limit left to the customer's other apps: 0.1 is a tenth. It is cut to 0..=0.9.
    pub fn new(reserve: f64) -> Budget {
        let reserve = if reserve.is_finite() { reserve.clamp(0.0, 0.9) } else { 0.0 };
        let now = Instant::now();
        let paced = |pace| Paced {
            pace: Mutex::new(pace),
            calls: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        };
        let pace = || Pace::new(SAFE_LIMIT, reserve, now);
        let buckets = [paced(pace()), paced(Pace::by_the_second(SEARCH_LIMIT, reserve, now)), paced(pace())];
        Budget {
            reserve,
            buckets,
            daily: Mutex::new(None),
            share: None,
            is_urgent: AtomicBool::new(true),
            is_day_over: AtomicBool::new(false),
        }
    }

    /// The same, shared with all processes that have this document: together they keep to the limits. It costs one
    /// write of the document for twenty calls.
    pub fn shared(reserve: f64, document: Arc<dyn SharedAllowance>) -> Budget {
        Budget { share: Some(Share::new(document)), ..Budget::new(reserve) }
    }

    /// Sets whether this run's calls go before those of backfills in other processes.
    pub fn set_urgent(&self, is_urgent: bool) {
        self.is_urgent.store(is_urgent, Ordering::Relaxed);
    }

    /// If HubSpot itself refused a call because the day's are used up, no process calls again before `midnight`. A run
    /// that stopped at its own reserve closes nothing: another one may have a smaller reserve.
    pub async fn close_day(&self, midnight: DateTime<Utc>) -> Result<()> {
        match &self.share {
            Some(share) if self.is_day_over.load(Ordering::Relaxed) => share.close(midnight).await,
            _ => Ok(()),
        }
    }

    /// Notes a 429 for the daily limit, or an answer that no call of the day remains.
    pub(crate) fn day_is_over(&self) {
        self.is_day_over.store(true, Ordering::Relaxed);
    }

    fn bucket(&self, bucket: RateLimit) -> &Paced {
        &self.buckets[bucket as usize]
    }

    /// Waits for a turn in the limit. Fails at once when only the reserve of the day's calls is left, or when the turn
    /// would come after `deadline`.
    pub(crate) async fn turn(&self, bucket: RateLimit, deadline: Option<Instant>) -> Result<()> {
        if let Some((daily, remaining)) = *lock(&self.daily)
            && remaining <= daily * self.reserve
        {
            if remaining < 1.0 {
                self.day_is_over();
            }
            let message = format!(
                "{remaining} of the account's {daily} calls of the day remain, which the reserve of {:.0} % keeps for \
                 its other apps: go on after midnight in the account's time zone, or lower --reserve",
                self.reserve * 100.0
            );
            return Err(Error::new(ErrorKind::DailyLimit, message));
        }
        let waiting = Waiting::count(&self.bucket(bucket).waiting);
        let begins = self.shared_turn(bucket, deadline).await?;
        let turn = lock(&self.bucket(bucket).pace).turn(begins);
        if deadline.is_some_and(|deadline| turn > deadline) {
            return Err(Error::new(ErrorKind::Deadline, "the run's time is over"));
        }
        tokio::time::sleep_until(turn.into()).await;
        lock(&self.bucket(bucket).pace).left(turn, Instant::now());
        drop(waiting);
        self.bucket(bucket).calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn known(&self, bucket: RateLimit) -> KnownLimit {
        let pace = lock(&self.bucket(bucket).pace);
        let interval_ms = pace.interval().as_secs_f64() * 1000.0;
        KnownLimit { limit: pace.limit, is_learned: pace.is_learned, interval_ms }
    }

    /// Returns the time at which the call may leave, by the limits shared with other processes.
    async fn shared_turn(&self, bucket: RateLimit, deadline: Option<Instant>) -> Result<Instant> {
        let Some(share) = &self.share else { return Ok(Instant::now()) };
        let turn =
            share.turn(bucket, self.is_urgent.load(Ordering::Relaxed), |bucket| self.known(bucket)).await?;
        for (bucket, limit) in RateLimit::ALL.into_iter().zip(turn.limits.unwrap_or_default()) {
            let mut pace = lock(&self.bucket(bucket).pace);
            if LIMITS.contains(&limit) && !pace.is_learned {
                pace.limit = limit;
            }
        }
        let begins = turn.begins.into_std();
        if deadline.is_some_and(|deadline| begins > deadline) {
            return Err(Error::new(ErrorKind::Deadline, "the run's time is over"));
        }
        // Not a turn of this process's own pace before: it would be lost if the block begins later.
        tokio::time::sleep_until(turn.begins).await;
        Ok(Instant::now())
    }

    /// Learns the limits from an answer other than a 429.
    pub(crate) fn learn(&self, bucket: RateLimit, limits: Limits) {
        if let (Some(daily), Some(remaining)) = (limits.daily, limits.daily_remaining) {
            *lock(&self.daily) = Some((daily, remaining));
        }
        lock(&self.bucket(bucket).pace).learn(limits);
        // Associations have a limit of their own that no header states; it goes with the account's tier.
        if bucket == RateLimit::General
            && let Some(max) = limits.max
        {
            let associations = match max {
                max if max >= 250.0 => 200.0,
                max if max >= 190.0 => 150.0,
                _ => SAFE_LIMIT,
            };
            let mut pace = lock(&self.bucket(RateLimit::Associations).pace);
            (pace.limit, pace.is_learned) = (associations, true);
        }
    }

    /// Notes a 429: no call of this limit leaves for `pause`, and all leave a little slower afterwards.
    pub(crate) fn refused(&self, bucket: RateLimit, pause: Duration) {
        let paced = self.bucket(bucket);
        paced.rate_limited.fetch_add(1, Ordering::Relaxed);
        lock(&paced.pace).refused(Instant::now(), pause);
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn waits(&self, now: Instant, pause: Duration) -> Vec<Duration> {
        let wait = |bucket| {
            let mut pace = lock(&self.bucket(bucket).pace);
            pace.refused(now, pause);
            [pace.turn(now) - now, pace.turn(now) - now]
        };
        RateLimit::ALL.into_iter().flat_map(wait).collect()
    }

    pub(crate) fn retried(&self, bucket: RateLimit) {
        self.bucket(bucket).retries.fetch_add(1, Ordering::Relaxed);
    }

    /// `true`: calls wait for their turn. Then the limit is the bottleneck, and more concurrent calls would gain
    /// nothing.
    pub fn is_filled(&self, bucket: RateLimit) -> bool {
        self.bucket(bucket).waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns the calls that the limit allows in ten seconds, reserve included, as far as answers have shown it.
    pub fn limit(&self, bucket: RateLimit) -> u64 {
        lock(&self.bucket(bucket).pace).limit as u64
    }

    /// Returns the daily limit and the remaining calls, once an answer has shown them; for OAuth apps none does.
    pub fn daily(&self) -> Option<(u64, u64)> {
        lock(&self.daily).map(|(limit, remaining)| (limit as u64, remaining as u64))
    }

    pub fn usage(&self, bucket: RateLimit) -> Usage {
        let paced = self.bucket(bucket);
        Usage {
            calls: paced.calls.load(Ordering::Relaxed),
            retries: paced.retries.load(Ordering::Relaxed),
            rate_limited: paced.rate_limited.load(Ordering::Relaxed),
        }
    }
}

/// A poisoned lock only means that another task panicked between two assignments of plain numbers.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_reserve_of_the_day_is_not_touched() {
        let budget = Budget::new(0.1);
        budget.learn(
            RateLimit::General,
            Limits { daily: Some(1000.0), daily_remaining: Some(100.0), ..Limits::default() },
        );
        let refused = budget.turn(RateLimit::General, None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DailyLimit);
        assert_eq!(budget.usage(RateLimit::General).calls, 0);
    }
}

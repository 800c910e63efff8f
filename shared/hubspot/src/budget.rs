//! How fast we may ask. HubSpot counts calls in three buckets, and each call waits here for its turn in one of them.
//!
//! A bucket is paced: calls leave at even distances, so that any ten seconds hold at most what the limit allows.
//! It starts at what the smallest account may do, learns the real limit from the headers of each answer, keeps a
//! share in reserve for the customer's other apps, gives way when those use theirs, and stands still after a 429.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};

/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>: 100 requests per 10 s is the
/// smallest limit of a private app, and of the associations API.
const SAFE_LIMIT: f64 = 100.0;
/// 5 searches a second for the whole account, and no header that says so
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>).
const SEARCH_LIMIT: f64 = 50.0;
const WINDOW: Duration = Duration::from_secs(10);
/// Calls that may leave at once after a pause. They come out of the reserve, so a window never holds more than the
/// limit.
const MAX_BURST: f64 = 10.0;

/// The limits that HubSpot counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    General,
    Search,
    Associations,
}

impl Bucket {
    pub const ALL: [Bucket; 3] = [Bucket::General, Bucket::Search, Bucket::Associations];

    pub fn name(self) -> &'static str {
        match self {
            Bucket::General => "general",
            Bucket::Search => "search",
            Bucket::Associations => "associations",
        }
    }
}

/// What one bucket has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests sent, retries included.
    pub calls: u64,
    /// Requests sent again, for whatever reason.
    pub retries: u64,
    /// Requests refused with 429.
    pub rate_limited: u64,
}

/// What the headers of an answer say of the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max: Option<f64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) remaining: Option<f64>,
    pub(crate) daily: Option<f64>,
    pub(crate) daily_remaining: Option<f64>,
}

/// The three buckets of one account.
#[derive(Debug)]
pub struct Budget {
    /// The share, 0 to 1, of each limit that is left to others.
    reserve: f64,
    buckets: [Paced; 3],
    daily: Mutex<Option<(f64, f64)>>,
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

/// When the next call may leave. Pure: the clock comes in as an argument.
#[derive(Debug)]
struct Pace {
    /// Calls per [`WINDOW`], as far as it is known.
    limit: f64,
    /// How much of the limit is used at present: lowered by a 429, raised again by success.
    share: f64,
    reserve: f64,
    next: Instant,
    lowered: Option<Instant>,
}

impl Pace {
    fn new(limit: f64, reserve: f64, now: Instant) -> Pace {
        Pace { limit, share: 1.0, reserve, next: now, lowered: None }
    }

    fn interval(&self) -> Duration {
        // One less than the limit: a window that begins with a call sees both its ends.
        let calls = (self.limit * (1.0 - self.reserve) - 1.0).max(1.0) * self.share;
        WINDOW.div_f64(calls)
    }

    fn burst(&self) -> f64 {
        (self.limit * self.reserve).clamp(1.0, MAX_BURST)
    }

    /// Takes the next turn, and says when it is.
    fn turn(&mut self, now: Instant) -> Instant {
        let interval = self.interval();
        let saved = interval.mul_f64(self.burst() - 1.0);
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let turn = self.next.max(earliest);
        self.next = turn + interval;
        turn.max(now)
    }

    fn learn(&mut self, limits: Limits) {
        if let Some(max) = limits.max.filter(|&max| max >= 1.0) {
            let interval = limits.interval.filter(|interval| !interval.is_zero()).unwrap_or(WINDOW);
            self.limit = max * WINDOW.as_secs_f64() / interval.as_secs_f64();
        }
        // Others use this app's limit too: what remains is less than what we leave. Skip a turn.
        if limits.remaining.is_some_and(|remaining| remaining < self.limit * self.reserve / 2.0) {
            self.next += self.interval();
        }
        self.share = (self.share + 0.002).min(1.0);
    }

    fn refused(&mut self, now: Instant, pause: Duration) {
        self.next = self.next.max(now + pause);
        // All that were under way are refused together: that is one refusal.
        if self.lowered.is_none_or(|lowered| now.duration_since(lowered) > Duration::from_secs(1)) {
            self.share = (self.share * 0.9).max(0.2);
            self.lowered = Some(now);
        }
    }
}

impl Budget {
    /// `reserve` is the share of each limit left to the customer's other apps: 0.1 is a tenth. It is cut to 0..=0.9.
    pub fn new(reserve: f64) -> Budget {
        let reserve = if reserve.is_finite() { reserve.clamp(0.0, 0.9) } else { 0.0 };
        let now = Instant::now();
        let paced = |limit| Paced {
            pace: Mutex::new(Pace::new(limit, reserve, now)),
            calls: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        };
        let buckets = [paced(SAFE_LIMIT), paced(SEARCH_LIMIT), paced(SAFE_LIMIT)];
        Budget { reserve, buckets, daily: Mutex::new(None) }
    }

    fn bucket(&self, bucket: Bucket) -> &Paced {
        &self.buckets[bucket as usize]
    }

    /// Waits for a turn in the bucket. An error, without waiting, when the day's calls are used up but for the
    /// reserve, or the turn would come after `deadline`.
    pub(crate) async fn turn(&self, bucket: Bucket, deadline: Option<Instant>) -> Result<()> {
        if let Some((daily, remaining)) = *lock(&self.daily)
            && remaining <= daily * self.reserve
        {
            let message = format!(
                "{remaining} of the account's {daily} calls of the day remain, which the reserve of {:.0} % keeps for \
                 its other apps: go on after midnight in the account's time zone, or lower --reserve",
                self.reserve * 100.0
            );
            return Err(Error::new(ErrorKind::DailyLimit, message));
        }
        let turn = lock(&self.bucket(bucket).pace).turn(Instant::now());
        if deadline.is_some_and(|deadline| turn > deadline) {
            return Err(Error::new(ErrorKind::Deadline, "the run's time is over"));
        }
        let waiting = Waiting::count(&self.bucket(bucket).waiting);
        tokio::time::sleep_until(turn.into()).await;
        drop(waiting);
        self.bucket(bucket).calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Learns from an answer that was not refused.
    pub(crate) fn learn(&self, bucket: Bucket, limits: Limits) {
        if let (Some(daily), Some(remaining)) = (limits.daily, limits.daily_remaining) {
            *lock(&self.daily) = Some((daily, remaining));
        }
        lock(&self.bucket(bucket).pace).learn(limits);
        // Associations have a limit of their own that no header states; it goes with the account's tier.
        if bucket == Bucket::General
            && let Some(max) = limits.max
        {
            let associations = match max {
                max if max >= 250.0 => 200.0,
                max if max >= 190.0 => 150.0,
                _ => SAFE_LIMIT,
            };
            lock(&self.bucket(Bucket::Associations).pace).limit = associations;
        }
    }

    /// A 429: nobody in this bucket sends for `pause`, and all send a little slower afterwards.
    pub(crate) fn refused(&self, bucket: Bucket, pause: Duration) {
        let paced = self.bucket(bucket);
        paced.rate_limited.fetch_add(1, Ordering::Relaxed);
        lock(&paced.pace).refused(Instant::now(), pause);
    }

    pub(crate) fn retried(&self, bucket: Bucket) {
        self.bucket(bucket).retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether calls wait for their turn: then the limit is the bottleneck, and more at once would gain nothing.
    pub fn is_filled(&self, bucket: Bucket) -> bool {
        self.bucket(bucket).waiting.load(Ordering::Relaxed) > 0
    }

    /// Calls that the bucket may take in ten seconds, reserve included, as far as answers have told.
    pub fn limit(&self, bucket: Bucket) -> u64 {
        lock(&self.bucket(bucket).pace).limit as u64
    }

    /// The account's calls of the day and how many of them are left, once an answer has told; for OAuth apps none does.
    pub fn daily(&self) -> Option<(u64, u64)> {
        lock(&self.daily).map(|(limit, remaining)| (limit as u64, remaining as u64))
    }

    pub fn usage(&self, bucket: Bucket) -> Usage {
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

    /// Turns taken as fast as they come, from `start` on for a minute.
    fn turns(pace: &mut Pace, start: Instant) -> Vec<Duration> {
        let mut now = start;
        let mut turns = Vec::new();
        while now < start + Duration::from_secs(60) {
            now = pace.turn(now);
            turns.push(now - start);
        }
        turns
    }

    fn most_in_a_window(turns: &[Duration]) -> usize {
        let in_window =
            |first: Duration| turns.iter().filter(|&&turn| turn >= first && turn < first + WINDOW).count();
        turns.iter().map(|&first| in_window(first)).max().unwrap_or(0)
    }

    #[test]
    fn no_window_holds_more_than_the_limit_less_the_reserve() {
        let start = Instant::now();
        for (limit, reserve) in [(190.0, 0.0), (190.0, 0.1), (100.0, 0.5), (50.0, 0.1)] {
            let mut pace = Pace::new(limit, reserve, start);
            let turns = turns(&mut pace, start + Duration::from_secs(30));
            let most = most_in_a_window(&turns) as f64;
            let allowed = limit * (1.0 - reserve);
            let burst = pace.burst() - 1.0;
            assert!(most <= allowed + burst && most <= limit, "{most} of {allowed}, burst {burst}");
            assert!(turns.len() as f64 >= 6.0 * allowed * 0.98, "{} of {}", turns.len(), 6.0 * allowed);
        }
    }

    #[test]
    fn the_limit_is_learned_from_headers() {
        let mut pace = Pace::new(SAFE_LIMIT, 0.0, Instant::now());
        pace.learn(Limits { max: Some(190.0), interval: Some(WINDOW), ..Limits::default() });
        assert_eq!(pace.limit, 190.0);
        pace.learn(Limits { max: Some(19.0), interval: Some(Duration::from_secs(1)), ..Limits::default() });
        assert_eq!(pace.limit, 190.0);
        pace.learn(Limits { max: Some(0.0), ..Limits::default() });
        assert_eq!(pace.limit, 190.0);
    }

    #[test]
    fn a_refusal_pauses_everyone_and_counts_once() {
        let start = Instant::now();
        let mut pace = Pace::new(100.0, 0.0, start);
        for _ in 0..20 {
            pace.refused(start, Duration::from_secs(3));
        }
        assert!(pace.turn(start) >= start + Duration::from_secs(3));
        assert!((pace.share - 0.9).abs() < 1e-9);
    }

    #[tokio::test]
    async fn the_reserve_of_the_day_is_not_touched() {
        let budget = Budget::new(0.1);
        budget.learn(
            Bucket::General,
            Limits { daily: Some(1000.0), daily_remaining: Some(100.0), ..Limits::default() },
        );
        let refused = budget.turn(Bucket::General, None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DailyLimit);
        assert_eq!(budget.usage(Bucket::General).calls, 0);
    }
}

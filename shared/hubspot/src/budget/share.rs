//! Sharing of an account's rate limits by the processes that read it.
//!
//! Each process takes calls in blocks. One conditional write of a shared document moves the limit's clock ahead by the
//! time that the block takes at the limit; the block may begin at the clock's previous time. So all processes together
//! can't exceed the limit, however many they are. A process spends its block at its own pace, and takes the next one
//! when it is spent: a slow one never holds more than a block.
//!
//! Incremental runs have a clock of their own, and so don't wait for backfills. Their calls move the backfills' clock,
//! too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use staging::Shared;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::limits::{RateLimit, WINDOW};
use super::pace::{LIMITS, SAVED};
use crate::error::{Error, ErrorKind, Result};

/// Calls in a block. With first blocks, those of other limits and failed writes, one write serves twenty calls or
/// more.
const GENERAL_BLOCK: f64 = 30.0;
/// Calls in a process's first block. The next one is twice as large if the process spent it quickly, and half as large
/// if slowly: calls that are held for long are lost to others, and come on top of theirs when they are spent at last.
const SMALL_BLOCK: f64 = 8.0;
/// Searches in a process's first block: a run in which nothing has changed makes one, and forty may start at once.
const FEW_SEARCHES: f64 = 2.0;
/// A process is slow when it spends a block in more than so many times the time that the block takes at the limit.
const SLOW: f64 = 3.0;
/// Calls in a block of searches. There are five a second: a larger block would keep others waiting.
const SEARCH_BLOCK: f64 = 10.0;
/// Longest time that calls are given out ahead, so that a wrong document stops others for no longer: forty processes
/// with a block each at the smallest limit.
const FURTHEST_MS: f64 = 120_000.0;
/// A document from so far in the future was written by a clock that is ahead of ours, or ours went back.
const WRONG_MS: f64 = 2_000.0;
/// Longest time until midnight somewhere, and a margin.
const DAY_MS: f64 = 25.0 * 3_600_000.0;
/// A wait that is said.
const LONG_WAIT: Duration = Duration::from_secs(5);
/// Tries of a write, which fails when another process writes between our read and our write.
const SWAP_ATTEMPTS: u32 = 50;

/// The place where processes that read one account keep their [`Allowance`].
#[async_trait]
pub trait SharedAllowance: std::fmt::Debug + Send + Sync {
    /// Reads the present document; the default one before the first write.
    async fn read(&self) -> std::result::Result<Shared<Allowance>, BoxError>;

    /// Replaces the document, unless another process has since it was read. `true`: it did.
    async fn replace(&self, next: &Shared<Allowance>) -> std::result::Result<bool, BoxError>;
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The document that processes share: the calls that have been given out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    buckets: [Clock; 3],
    /// Time before which no process calls, since the daily limit is used up.
    #[serde(default)]
    closed_until_ms: i64,
    /// Time of the last write, by the writer's clock; zero in a document of the version before.
    #[serde(default)]
    written_ms: f64,
}

/// Clock of one rate limit, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    /// Time up to which calls are given out.
    given_until_ms: f64,
    /// Time up to which calls are given to incremental runs.
    urgent_until_ms: f64,
    /// Calls per [`WINDOW`], as the last process that knew them wrote; zero: none did.
    limit: f64,
}

impl Allowance {
    /// Takes `wanted` calls of each limit. Returns the waits before the first of them, and their durations. A process
    /// that was calling just now passes the clocks as it `left` them.
    fn take(
        &mut self,
        wanted: [f64; 3],
        known: impl Fn(RateLimit) -> KnownLimit,
        is_urgent: bool,
        now_ms: f64,
        left: [Option<Clock>; 3],
    ) -> [(Duration, Duration); 3] {
        let mut taken = [(Duration::ZERO, Duration::ZERO); 3];
        for (bucket, calls) in RateLimit::ALL.into_iter().zip(wanted).filter(|(_, calls)| *calls > 0.0) {
            let clock = &mut self.buckets[bucket as usize];
            let interval_ms = clock.interval_ms(known(bucket));
            let begins_ms = clock.take(calls, interval_ms, is_urgent, now_ms, left[bucket as usize]);
            taken[bucket as usize] = (
                Duration::from_secs_f64((begins_ms - now_ms).max(0.0) / 1000.0),
                Duration::from_secs_f64(calls * interval_ms / 1000.0),
            );
        }
        self.written_ms = now_ms;
        taken
    }

    /// Moves times that a clock ahead of ours has written to where they are by ours. The day that it closed, if any, is
    /// open.
    fn set_right(&mut self, now_ms: f64) {
        let ahead_ms = self.written_ms - now_ms;
        if ahead_ms > WRONG_MS {
            tracing::warn!(
                "the clock of this machine went back by {:.0} s, or that of another one that shares the state is ahead: \
                 set them right, or rate limits are not kept together",
                ahead_ms / 1000.0
            );
            for clock in &mut self.buckets {
                clock.given_until_ms -= ahead_ms;
                clock.urgent_until_ms -= ahead_ms;
            }
        }
        if self.closed_until_ms as f64 > now_ms + DAY_MS {
            self.closed_until_ms = 0;
        }
    }
}

impl Clock {
    /// Returns the time that a call takes at the limit that this process knows, or else at the one that another wrote.
    fn interval_ms(&mut self, known: KnownLimit) -> f64 {
        if known.is_learned {
            self.limit = known.limit;
        }
        if LIMITS.contains(&self.limit) {
            known.interval_ms * known.limit / self.limit
        } else {
            known.interval_ms
        }
    }

    /// Takes `calls`, each of which takes `interval_ms`. Returns the time at which the first may leave. A process that
    /// finds the clock as it `left` it was alone, and may make up for the last second.
    fn take(
        &mut self,
        calls: f64,
        interval_ms: f64,
        is_urgent: bool,
        now_ms: f64,
        left: Option<Clock>,
    ) -> f64 {
        let cost_ms = calls * interval_ms;
        let next_ms = |until_ms: f64, left_ms: Option<f64>| {
            let is_alone = left_ms.is_some_and(|left_ms| (until_ms - left_ms).abs() < 1.0);
            let saved_ms = if is_alone { SAVED.as_secs_f64() * 1000.0 } else { 0.0 };
            until_ms.clamp(now_ms - saved_ms, now_ms + FURTHEST_MS)
        };
        let begins_ms = next_ms(self.given_until_ms, left.map(|left| left.given_until_ms));
        self.given_until_ms = begins_ms + cost_ms;
        if !is_urgent {
            return begins_ms;
        }
        let begins_ms = next_ms(self.urgent_until_ms, left.map(|left| left.urgent_until_ms));
        self.urgent_until_ms = begins_ms + cost_ms;
        begins_ms
    }
}

/// A rate limit, as far as a process knows it when it takes a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownLimit {
    /// Calls per [`WINDOW`].
    pub(super) limit: f64,
    /// `true`: the limit is from an answer; else it is a guess.
    pub(super) is_learned: bool,
    /// Milliseconds between two calls at that limit.
    pub(super) interval_ms: f64,
}

/// This process's share of the rate limits.
#[derive(Debug)]
pub(super) struct Share {
    document: Arc<dyn SharedAllowance>,
    held: Mutex<[Block; 3]>,
}

/// A block of calls that is taken and not spent.
#[derive(Debug, Clone, Copy)]
struct Block {
    calls: f64,
    /// Calls in the last block taken.
    block: f64,
    begins: Instant,
    /// Time at which the block would be spent at the limit.
    ends: Instant,
    spent_last: Option<Instant>,
    /// The clock after the block was taken.
    left: Clock,
}

impl Block {
    /// Returns the number of calls to take next.
    fn next_block(&self, bucket: RateLimit, limit: f64, now: Instant) -> f64 {
        let at_the_limit = self.ends - self.begins;
        let is_quick = now.saturating_duration_since(self.begins) <= at_the_limit.mul_f64(SLOW);
        let smallest = if bucket == RateLimit::Search { FEW_SEARCHES } else { SMALL_BLOCK };
        let wanted = match self.spent_last {
            None => smallest,
            Some(_) if is_quick => self.block * 2.0,
            Some(_) => self.block / 2.0,
        };
        wanted.clamp(smallest, largest_block(bucket, limit))
    }
}

/// Time at which a call may leave, and the limits in the document when a block was taken for it.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) begins: Instant,
    pub(super) limits: Option<[f64; 3]>,
}

impl Share {
    pub(super) fn new(document: Arc<dyn SharedAllowance>) -> Share {
        let now = Instant::now();
        let held = Block {
            calls: 0.0,
            block: 0.0,
            begins: now,
            ends: now,
            spent_last: None,
            left: Clock::default(),
        };
        Share { document, held: Mutex::new([held; 3]) }
    }

    /// Takes one call of the limit, from the held block or else from a new one.
    pub(super) async fn turn(
        &self,
        bucket: RateLimit,
        is_urgent: bool,
        known: impl Fn(RateLimit) -> KnownLimit,
    ) -> Result<Turn> {
        let mut held = self.held.lock().await;
        let mut limits = None;
        if held[bucket as usize].calls < 1.0 {
            // Boxed: it is large, and each call under way would carry it.
            limits = Some(Box::pin(self.take(&mut held, bucket, is_urgent, known)).await?);
        }
        let held = &mut held[bucket as usize];
        held.calls -= 1.0;
        held.spent_last = Some(Instant::now());
        Ok(Turn { begins: held.begins, limits })
    }

    /// Takes a block of `bucket`, and of each other bucket in use whose block is half spent: one write serves all.
    async fn take(
        &self,
        held: &mut [Block; 3],
        bucket: RateLimit,
        is_urgent: bool,
        known: impl Fn(RateLimit) -> KnownLimit,
    ) -> Result<[f64; 3]> {
        let now = Instant::now();
        let is_in_use = |held: &Block| held.spent_last.is_some_and(|spent| now - spent < WINDOW);
        let wanted = RateLimit::ALL.map(|other| {
            let held = &held[other as usize];
            let block = held.next_block(other, known(other).limit, now);
            let is_half_spent = is_in_use(held) && held.calls <= held.block / 2.0;
            if other == bucket || is_half_spent { block } else { 0.0 }
        });
        let was_calling = |held: &Block| held.spent_last.is_some_and(|spent| now - spent < 2 * SAVED);
        let left = held.each_ref().map(|held| was_calling(held).then_some(held.left));
        for attempt in 0..SWAP_ATTEMPTS {
            let mut shared = self.read().await?;
            let now_ms = now_ms();
            shared.value.set_right(now_ms);
            if shared.value.closed_until_ms as f64 > now_ms {
                return Err(closed(shared.value.closed_until_ms));
            }
            let taken = shared.value.take(wanted, &known, is_urgent, now_ms, left);
            if self.swap(&shared).await? {
                for (index, calls) in wanted.into_iter().enumerate().filter(|(_, calls)| *calls > 0.0) {
                    let (wait, lasts) = taken[index];
                    if wait >= LONG_WAIT {
                        tracing::warn!(
                            "the {} limit is taken by other runs of the account: this one goes on in {} s",
                            RateLimit::ALL[index].name(),
                            wait.as_secs()
                        );
                    }
                    tracing::debug!(
                        bucket = RateLimit::ALL[index].name(),
                        calls,
                        wait_ms = wait.as_millis() as u64,
                        is_urgent,
                        "calls are taken"
                    );
                    held[index].calls += calls;
                    held[index].block = calls;
                    held[index].begins = Instant::now() + wait;
                    held[index].ends = held[index].begins + lasts;
                    held[index].left = shared.value.buckets[index];
                }
                return Ok(shared.value.buckets.map(|clock| clock.limit));
            }
            tokio::time::sleep(Duration::from_millis(2 + fastrand::u64(0..8 << attempt.min(4)))).await;
        }
        Err(Error::new(
            ErrorKind::State,
            "the account's limits can't be shared: too many processes write at once",
        ))
    }

    /// Keeps all processes from calling before `until`.
    pub(super) async fn close(&self, until: chrono::DateTime<Utc>) -> Result<()> {
        let until_ms = until.timestamp_millis();
        for _ in 0..SWAP_ATTEMPTS {
            let mut shared = self.read().await?;
            if shared.value.closed_until_ms >= until_ms {
                return Ok(());
            }
            shared.value.closed_until_ms = until_ms;
            if self.swap(&shared).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
        }
        Ok(())
    }

    async fn read(&self) -> Result<Shared<Allowance>> {
        self.document.read().await.map_err(unshared)
    }

    async fn swap(&self, next: &Shared<Allowance>) -> Result<bool> {
        self.document.replace(next).await.map_err(unshared)
    }
}

/// Returns the largest block: a second of a wide limit, and no less than thirty calls.
fn largest_block(bucket: RateLimit, limit: f64) -> f64 {
    let least = if bucket == RateLimit::Search { SEARCH_BLOCK } else { GENERAL_BLOCK };
    (limit / WINDOW.as_secs_f64()).floor().max(least)
}

fn closed(until_ms: i64) -> Error {
    let until = chrono::DateTime::from_timestamp_millis(until_ms).unwrap_or_default();
    let message = format!(
        "the account's calls of the day are used up; runs begin again at {}",
        until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    );
    Error::new(ErrorKind::DailyLimit, message)
}

fn unshared(source: BoxError) -> Error {
    Error::new(ErrorKind::State, "the account's limits can't be shared").caused_by(source)
}

/// Returns the waits of a process that reads this document.
#[cfg(feature = "fuzzing")]
pub(crate) fn take_calls(document: &[u8]) -> Option<Vec<Duration>> {
    let mut allowance: Allowance = serde_json::from_slice(document).ok()?;
    let known = |bucket| {
        let is_learned = bucket == RateLimit::General;
        KnownLimit { limit: 100.0, is_learned, interval_ms: 111.0 }
    };
    let now = Instant::now();
    allowance.set_right(now_ms());
    let taken = allowance.take([GENERAL_BLOCK; 3], known, true, now_ms(), [None; 3]).into_iter();
    let waits: Vec<Duration> = taken.flat_map(|(wait, lasts)| [(now + wait + lasts) - now, lasts]).collect();
    closed(allowance.closed_until_ms);
    serde_json::to_vec(&allowance).ok()?;
    Some(waits)
}

fn now_ms() -> f64 {
    Utc::now().timestamp_millis() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_beyond_all_measure_stops_nobody_for_long() {
        let now_ms = 1_790_000_000_000.0;
        for number in [1e300, -1e300, 1e-300, f64::MAX] {
            let clock = Clock { given_until_ms: number, urgent_until_ms: number, limit: number };
            let mut document = Allowance { buckets: [clock; 3], closed_until_ms: 0, written_ms: number };
            document.set_right(now_ms);
            let known = |_| KnownLimit { limit: 100.0, is_learned: false, interval_ms: 100.0 };
            for (wait, lasts) in document.take([30.0; 3], known, true, now_ms, [Some(clock); 3]) {
                assert!(wait.as_secs_f64() * 1000.0 <= FURTHEST_MS, "{wait:?}");
                assert!(lasts <= Duration::from_secs(300), "{lasts:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_went_back_stops_nobody() {
        let known = |_| KnownLimit { limit: 100.0, is_learned: true, interval_ms: 100.0 };
        let take = |document: &mut Allowance, now_ms: f64| {
            document.set_right(now_ms);
            document.take([30.0, 0.0, 0.0], known, false, now_ms, [None; 3])[0].0
        };
        for ahead_ms in [90_000.0, 3.0 * 86_400_000.0] {
            let (mut document, now_ms) = (Allowance::default(), 1_790_000_000_000.0);
            take(&mut document, now_ms + ahead_ms);
            take(&mut document, now_ms + ahead_ms + 100.0);
            document.closed_until_ms = (now_ms + ahead_ms + 3_600_000.0) as i64;
            // The limit is kept all the same: two blocks of three seconds were taken.
            assert_eq!(take(&mut document, now_ms + 200.0).as_millis(), 5_900);
            assert_eq!(take(&mut document, now_ms + 300.0).as_millis(), 8_800);
            let is_closed = document.closed_until_ms != 0;
            assert_eq!(is_closed, ahead_ms < DAY_MS, "a day ends within a day");
        }
    }

    /// Returns the calls that `processes` take in a minute when each always wants more, as times in milliseconds.
    fn taken(clock: &mut Clock, processes: usize, is_urgent: bool, from_ms: f64) -> Vec<f64> {
        let interval_ms = 10_000.0 / 190.0;
        let mut free_ms = vec![from_ms; processes];
        let mut calls = Vec::new();
        loop {
            let next = (0..processes).min_by(|&a, &b| free_ms[a].total_cmp(&free_ms[b])).unwrap();
            if free_ms[next] >= from_ms + 60_000.0 {
                calls.sort_by(f64::total_cmp);
                return calls;
            }
            let begins_ms = clock.take(30.0, interval_ms, is_urgent, free_ms[next], None);
            calls.extend((0..30).map(|call| begins_ms + f64::from(call) * interval_ms));
            free_ms[next] = begins_ms + 30.0 * interval_ms;
        }
    }

    fn busiest_window(calls: &[f64]) -> usize {
        let within =
            |first: f64| calls.iter().filter(|&&call| call >= first && call < first + 10_000.0).count();
        calls.iter().map(|&first| within(first)).max().unwrap()
    }

    #[test]
    fn any_number_of_processes_take_the_limit_and_no_more() {
        for processes in [1, 2, 7, 40] {
            let calls = taken(&mut Clock::default(), processes, false, 1e12);
            assert!(busiest_window(&calls) <= 190, "{processes} processes: {}", busiest_window(&calls));
            let in_a_minute = calls.iter().filter(|&&call| call < 1e12 + 60_000.0).count();
            assert!(in_a_minute >= 1_139, "{processes} processes: {in_a_minute}");
        }
    }

    #[test]
    fn an_idle_bucket_saves_nothing_up() {
        let mut clock = Clock::default();
        taken(&mut clock, 3, false, 1e12);
        let later_ms = 1e12 + 3_600_000.0;
        assert!(busiest_window(&taken(&mut clock, 3, false, later_ms)) <= 190);
    }

    #[test]
    fn who_was_alone_makes_up_for_what_it_could_not_call() {
        let mut clock = Clock::default();
        clock.take(20.0, 50.0, false, 0.0, None);
        let left = clock;
        assert_eq!(clock.clone().take(20.0, 50.0, false, 1_600.0, Some(left)), 1_000.0);
        assert_eq!(
            clock.clone().take(20.0, 50.0, false, 9_000.0, Some(left)),
            8_000.0,
            "no more than a second"
        );
        clock.take(20.0, 50.0, false, 0.0, None);
        assert_eq!(clock.take(20.0, 50.0, false, 2_600.0, Some(left)), 2_600.0, "another one has called");
    }

    #[test]
    fn an_incremental_run_does_not_wait_for_backfills_and_they_make_room() {
        let mut clock = Clock::default();
        for _ in 0..7 {
            clock.take(20.0, 50.0, false, 0.0, None);
        }
        assert_eq!(clock.take(20.0, 50.0, true, 100.0, None), 100.0);
        assert_eq!(clock.take(20.0, 50.0, true, 100.0, None), 1_100.0, "but they wait for each other");
        assert_eq!(clock.take(20.0, 50.0, false, 100.0, None), 9_000.0);
    }

    /// A document in memory.
    #[derive(Debug)]
    struct Document(std::sync::Mutex<Shared<Allowance>>);

    impl Document {
        fn new() -> Arc<Document> {
            Arc::new(Document(std::sync::Mutex::new(Shared { version: 0, value: Allowance::default() })))
        }
    }

    #[async_trait]
    impl SharedAllowance for Document {
        async fn read(&self) -> std::result::Result<Shared<Allowance>, BoxError> {
            Ok(self.0.lock().unwrap().clone())
        }

        async fn replace(&self, next: &Shared<Allowance>) -> std::result::Result<bool, BoxError> {
            let mut document = self.0.lock().unwrap();
            if document.version != next.version {
                return Ok(false);
            }
            *document = Shared { version: next.version + 1, value: next.value.clone() };
            Ok(true)
        }
    }

    async fn spend(share: &Share, calls: usize) -> usize {
        let known = |_| KnownLimit { limit: 100.0, is_learned: false, interval_ms: 10.0 };
        let mut blocks = 0;
        for _ in 0..calls {
            blocks +=
                usize::from(share.turn(RateLimit::General, false, known).await.unwrap().limits.is_some());
        }
        blocks
    }

    #[tokio::test]
    async fn processes_share_one_document() {
        let document = Document::new();
        let (one, other) = (Share::new(document.clone()), Share::new(document.clone()));
        let (of_one, of_other) = tokio::join!(spend(&one, 100), spend(&other, 40));
        assert_eq!((of_one, of_other), (5, 3), "blocks of 8, 16, and then 30 calls");
        assert_eq!(document.read().await.unwrap().version, 8);
    }

    #[tokio::test]
    async fn a_day_that_is_used_up_is_closed_for_all() {
        let document = Document::new();
        let (one, other) = (Share::new(document.clone()), Share::new(document));
        one.close(Utc::now() + chrono::Duration::hours(3)).await.unwrap();
        let known = |_| KnownLimit { limit: 100.0, is_learned: false, interval_ms: 10.0 };
        let refused = other.turn(RateLimit::General, true, known).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::DailyLimit);
    }
}

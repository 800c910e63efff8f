//! When the next call of this process may leave.

use std::time::{Duration, Instant};

use super::{Limits, WINDOW};

/// Calls that may leave at once after a pause. They come out of the reserve, so a window never holds more than the
/// limit.
const MAX_BURST: f64 = 10.0;

/// Calls per [`WINDOW`] that an answer may tell; HubSpot's limits lie between 100 and 250.
pub(super) const LIMITS: std::ops::RangeInclusive<f64> = 1.0..=100_000.0;

/// When the next call may leave. Pure: the clock comes in as an argument.
#[derive(Debug)]
pub(super) struct Pace {
    /// Calls per [`WINDOW`], as far as it is known.
    pub(super) limit: f64,
    /// An answer has told the limit, or another process has.
    pub(super) is_learned: bool,
    /// How much of the limit is used at present: lowered by a 429, raised again by success.
    share: f64,
    reserve: f64,
    next: Instant,
    lowered: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limit: f64, reserve: f64, now: Instant) -> Pace {
        Pace { limit, is_learned: false, share: 1.0, reserve, next: now, lowered: None }
    }

    pub(super) fn interval(&self) -> Duration {
        // One less than the limit: a window that begins with a call sees both its ends.
        let calls = (self.limit * (1.0 - self.reserve) - 1.0).max(1.0) * self.share;
        WINDOW.div_f64(calls)
    }

    pub(super) fn burst(&self) -> f64 {
        (self.limit * self.reserve).clamp(1.0, MAX_BURST)
    }

    /// Takes the next turn, and says when it is.
    pub(super) fn turn(&mut self, now: Instant) -> Instant {
        let interval = self.interval();
        let saved = interval.mul_f64(self.burst() - 1.0);
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let turn = self.next.max(earliest);
        self.next = turn + interval;
        turn.max(now)
    }

    pub(super) fn learn(&mut self, limits: Limits) {
        if let Some(max) = limits.max.filter(|&max| max >= 1.0) {
            let interval = limits.interval.filter(|interval| !interval.is_zero()).unwrap_or(WINDOW);
            self.is_learned = true;
            let limit = max * WINDOW.as_secs_f64() / interval.as_secs_f64();
            self.limit = limit.clamp(*LIMITS.start(), *LIMITS.end());
        }
        // Others use this app's limit too: what remains is less than what we leave. Skip a turn.
        if limits.remaining.is_some_and(|remaining| remaining < self.limit * self.reserve / 2.0) {
            self.next += self.interval();
        }
        self.share = (self.share + 0.002).min(1.0);
    }

    pub(super) fn refused(&mut self, now: Instant, pause: Duration) {
        self.next = self.next.max(now + pause);
        // All that were under way are refused together: that is one refusal.
        if self.lowered.is_none_or(|lowered| now.duration_since(lowered) > Duration::from_secs(1)) {
            self.share = (self.share * 0.9).max(0.2);
            self.lowered = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SAFE_LIMIT;
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
    fn a_limit_beyond_all_measure_is_paced() {
        let now = Instant::now();
        for (max, interval) in
            [(1e300, Duration::from_nanos(1)), (1.0, Duration::MAX), (f64::INFINITY, WINDOW)]
        {
            for reserve in [0.0, 0.1] {
                let mut pace = Pace::new(100.0, reserve, now);
                pace.learn(Limits { max: Some(max), interval: Some(interval), ..Limits::default() });
                assert!(LIMITS.contains(&pace.limit), "{}", pace.limit);
                assert!(pace.turn(now) - now <= Duration::from_secs(60));
            }
        }
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
}

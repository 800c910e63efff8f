//! The pace of this process's calls in one bucket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::limits::{Limits, WINDOW};

/// Age up to which unused turns are made up for: a process that could not call for a moment (a slow disk, little CPU)
/// loses none. Calls then leave at up to twice the pace, as far as the window allows.
pub(super) const SAVED: Duration = Duration::from_secs(1);

/// A second, with a margin for the time that calls are on their way.
const SECOND: Duration = Duration::from_millis(1_100);
/// A second's share of a [`WINDOW`].
const SECOND_SHARE: f64 = 0.1;

/// Calls per [`WINDOW`] that are believed from an answer; HubSpot's limits lie between 100 and 250.
pub(super) const LIMITS: std::ops::RangeInclusive<f64> = 1.0..=100_000.0;

/// Pace of calls. Pure: the clock comes in as an argument.
#[derive(Debug)]
pub(super) struct Pace {
    /// Calls per [`WINDOW`], as far as it is known.
    pub(super) limit: f64,
    /// `true`: the limit is from an answer, or from another process.
    pub(super) is_learned: bool,
    /// Share of the limit that is used at present: a 429 lowers it, success raises it again.
    share: f64,
    reserve: f64,
    next: Instant,
    /// Most calls in any [`SECOND`], for limits that HubSpot counts by the second.
    in_a_second: Option<usize>,
    /// Turns of the latest window.
    taken: VecDeque<Instant>,
    lowered: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limit: f64, reserve: f64, now: Instant) -> Pace {
        Pace {
            limit,
            is_learned: false,
            share: 1.0,
            reserve,
            next: now,
            in_a_second: None,
            taken: VecDeque::new(),
            lowered: None,
        }
    }

    /// Makes the pace of a limit that HubSpot counts by the second: unused turns are lost, since a second has no room
    /// for them.
    pub(super) fn by_the_second(limit: f64, reserve: f64, now: Instant) -> Pace {
        let in_a_second = (limit * SECOND_SHARE) as usize;
        Pace { in_a_second: Some(in_a_second.max(1)), ..Pace::new(limit, reserve, now) }
    }

    pub(super) fn interval(&self) -> Duration {
        WINDOW.div_f64(self.calls() * self.share)
    }

    /// Returns the calls that a window may hold: one less than the limit, as a window that begins with a call includes
    /// both its ends.
    fn calls(&self) -> f64 {
        (self.limit * (1.0 - self.reserve) - 1.0).max(1.0)
    }

    /// Takes the next turn. Returns its time.
    pub(super) fn turn(&mut self, now: Instant) -> Instant {
        let interval = self.interval();
        let saved = if self.in_a_second.is_some() { Duration::ZERO } else { SAVED };
        let due = self.next.max(now.checked_sub(saved).unwrap_or(now));
        self.next = due + interval;
        let mut turn = due.max(now);
        if let Some(&last) = self.taken.back() {
            turn = turn.max(last + interval / 2);
        }
        while self.taken.front().is_some_and(|&first| first + WINDOW <= turn) {
            self.taken.pop_front();
        }
        let too_many = (self.taken.len() + 1).saturating_sub(self.calls() as usize);
        if let Some(&leaves) = too_many.checked_sub(1).and_then(|index| self.taken.get(index)) {
            turn = turn.max(leaves + WINDOW);
        }
        let before = self.in_a_second.and_then(|calls| self.taken.len().checked_sub(calls));
        if let Some(&before) = before.and_then(|index| self.taken.get(index)) {
            turn = turn.max(before + SECOND);
        }
        self.taken.push_back(turn);
        turn
    }

    /// Notes that a call left later than at its turn, so that the window in which it counts ends later, too.
    pub(super) fn left(&mut self, turn: Instant, now: Instant) {
        if let Some(taken) = self.taken.iter_mut().rev().find(|taken| **taken == turn) {
            *taken = now.max(turn);
        }
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

    /// Returns the turns taken as fast as possible, from `start` on for a minute.
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
            let (most, allowed) = (most_in_a_window(&turns) as f64, limit * (1.0 - reserve));
            assert!(most <= allowed, "{most} of {allowed}");
            assert!(turns.len() as f64 >= 6.0 * allowed * 0.98, "{} of {}", turns.len(), 6.0 * allowed);
        }
    }

    #[test]
    fn no_second_holds_more_searches_than_its_limit_after_a_pause_either() {
        let start = Instant::now();
        for reserve in [0.0, 0.1] {
            let mut pace = Pace::by_the_second(50.0, reserve, start);
            let mut turns = turns(&mut pace, start + Duration::from_secs(5));
            let later = self::turns(&mut pace, start + Duration::from_secs(90));
            turns.extend(later.into_iter().map(|turn| turn + Duration::from_secs(85)));
            let in_a_second = |first: &Duration| {
                turns
                    .iter()
                    .filter(|turn| **turn >= *first && **turn < *first + Duration::from_millis(1_090))
                    .count()
            };
            assert!(turns.iter().map(in_a_second).max() <= Some(5), "{reserve}");
        }
    }

    #[test]
    fn turns_that_nobody_could_take_are_made_up_for() {
        let start = Instant::now();
        let (mut pace, mut now, mut turns) = (Pace::new(190.0, 0.0, start), start, Vec::new());
        while now < start + Duration::from_secs(60) {
            now = pace.turn(now);
            turns.push(now - start);
            // Four times a minute nothing can be sent for most of a second.
            if turns.len() % 300 == 0 {
                now += Duration::from_millis(900);
            }
        }
        let most = most_in_a_window(&turns);
        assert!(most <= 190, "{most}");
        assert!(turns.len() >= 1_125, "{} of 1,134", turns.len());
    }

    #[test]
    fn an_idle_minute_saves_no_more_than_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(190.0, 0.0, start);
        let later = start + Duration::from_secs(60);
        let turns = turns(&mut pace, later);
        let in_two_seconds = turns.iter().filter(|turn| **turn < Duration::from_secs(2)).count();
        assert!((56..=58).contains(&in_two_seconds), "{in_two_seconds}: three seconds' worth");
        assert!(most_in_a_window(&turns) <= 190);
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

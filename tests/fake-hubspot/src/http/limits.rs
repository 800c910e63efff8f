//! HubSpot's rate limits as exact rolling windows: the 191st request within ten seconds is refused, and refused ones
//! don't count.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::behaviour::Limits;

/// Rate limit that a call counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    General,
    Search,
    Associations,
}

impl Bucket {
    pub(crate) fn window(self) -> Duration {
        match self {
            Self::Search => Duration::from_secs(1),
            Self::General | Self::Associations => Duration::from_secs(10),
        }
    }

    fn policy(self) -> &'static str {
        match self {
            Self::Search => "SECONDLY",
            Self::General | Self::Associations => "TEN_SECONDLY_ROLLING",
        }
    }

    fn most(self, limits: &Limits) -> usize {
        match self {
            Self::General => limits.general,
            Self::Search => limits.search,
            Self::Associations => limits.associations,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Limiter {
    admitted: [VecDeque<Instant>; 3],
    day: Option<NaiveDate>,
    today: usize,
    associations_today: usize,
}

/// Limits and remaining calls after an admitted request, for the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) most: usize,
    pub(crate) left: usize,
    pub(crate) left_this_second: usize,
    pub(crate) daily: usize,
    pub(crate) left_today: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) policy: &'static str,
    pub(crate) free_in: Duration,
    pub(crate) remaining: Remaining,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { admitted: Default::default(), day: None, today: 0, associations_today: 0 }
    }

    pub(crate) fn admit(
        &mut self,
        bucket: Bucket,
        limits: &Limits,
        now: Instant,
        clock: (DateTime<Utc>, Tz),
    ) -> Result<Remaining, Exceeded> {
        self.turn_day(clock);
        let admitted = &mut self.admitted[bucket as usize];
        while admitted.front().is_some_and(|first| now.duration_since(*first) >= bucket.window()) {
            admitted.pop_front();
        }
        if limits.enabled {
            let is_associations = bucket == Bucket::Associations;
            let remaining = self.remaining(bucket, limits, now);
            let no_more_today = remaining.left_today == 0
                || (is_associations && self.associations_today >= limits.associations_daily);
            if no_more_today {
                return Err(Exceeded { policy: "DAILY", free_in: until_midnight(clock), remaining });
            }
            if remaining.left == 0 {
                let first = self.admitted[bucket as usize].front();
                let since = first.map_or(Duration::ZERO, |first| now.duration_since(*first));
                return Err(Exceeded {
                    policy: bucket.policy(),
                    free_in: bucket.window() - since,
                    remaining,
                });
            }
        }
        self.admitted[bucket as usize].push_back(now);
        self.today += 1;
        self.associations_today += usize::from(bucket == Bucket::Associations);
        Ok(self.remaining(bucket, limits, now))
    }

    fn remaining(&self, bucket: Bucket, limits: &Limits, now: Instant) -> Remaining {
        let admitted = &self.admitted[bucket as usize];
        let most = bucket.most(limits);
        let is_recent = |then: &&Instant| now.duration_since(**then) < Duration::from_secs(1);
        let this_second = admitted.iter().rev().take_while(is_recent).count();
        Remaining {
            most,
            left: most.saturating_sub(admitted.len()),
            left_this_second: (most / 10).saturating_sub(this_second),
            daily: limits.daily,
            left_today: limits.daily.saturating_sub(self.today),
        }
    }

    pub(crate) fn today(&self) -> usize {
        self.today
    }

    fn turn_day(&mut self, (now, time_zone): (DateTime<Utc>, Tz)) {
        let day = now.with_timezone(&time_zone).date_naive();
        if self.day.replace(day) != Some(day) {
            self.today = 0;
            self.associations_today = 0;
        }
    }
}

/// Returns the time at which daily limits start anew.
pub(crate) fn next_midnight((now, time_zone): (DateTime<Utc>, Tz)) -> DateTime<Utc> {
    let tomorrow = now.with_timezone(&time_zone).date_naive() + chrono::Days::new(1);
    let midnight = tomorrow.and_time(chrono::NaiveTime::MIN).and_local_timezone(time_zone).earliest();
    midnight.map_or(now + chrono::TimeDelta::days(1), |midnight| midnight.to_utc())
}

fn until_midnight(clock: (DateTime<Utc>, Tz)) -> Duration {
    (next_midnight(clock) - clock.0).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> (DateTime<Utc>, Tz) {
        (DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(12), chrono_tz::America::New_York)
    }

    #[test]
    fn a_window_rolls() {
        let limits = Limits { general: 2, ..Limits::default() };
        let mut limiter = Limiter::new();
        let start = Instant::now();
        let mut at = |ms| {
            limiter
                .admit(Bucket::General, &limits, start + Duration::from_millis(ms), clock())
                .map(|left| left.left)
        };
        assert_eq!((at(0), at(9_000)), (Ok(1), Ok(0)));
        let refused = at(9_999).unwrap_err();
        assert_eq!((refused.policy, refused.free_in), ("TEN_SECONDLY_ROLLING", Duration::from_millis(1)));
        assert_eq!(at(10_000), Ok(0), "the first one left the window, the refused one was never in it");
        assert!(at(18_999).is_err());
        assert_eq!(at(19_000), Ok(0));
    }

    #[test]
    fn searches_have_a_second_of_their_own() {
        let limits = Limits { general: 0, search: 1, ..Limits::default() };
        let mut limiter = Limiter::new();
        let start = Instant::now();
        assert!(limiter.admit(Bucket::Search, &limits, start, clock()).is_ok());
        assert!(limiter.admit(Bucket::Search, &limits, start + Duration::from_millis(999), clock()).is_err());
        assert!(limiter.admit(Bucket::Search, &limits, start + Duration::from_secs(1), clock()).is_ok());
    }

    #[test]
    fn the_day_ends_at_midnight_of_the_account() {
        let limits = Limits { daily: 1, ..Limits::default() };
        let mut limiter = Limiter::new();
        let now = Instant::now();
        assert!(limiter.admit(Bucket::General, &limits, now, clock()).is_ok());
        let refused = limiter.admit(Bucket::General, &limits, now, clock()).unwrap_err();
        assert_eq!((refused.policy, refused.free_in), ("DAILY", Duration::from_secs(17 * 3600)));
        let tomorrow = (clock().0 + chrono::TimeDelta::hours(17), clock().1);
        assert!(limiter.admit(Bucket::General, &limits, now, tomorrow).is_ok());
    }
}

//! Decision to retry a request, and its backoff: one pure function for all failures. Every call of this crate reads,
//! so sending it twice is harmless.

use std::time::Duration;

use crate::error::ErrorKind;

/// Most requests for one call, without those that a rate limit refused.
const MAX_ATTEMPTS: u32 = 8;
/// Most requests for a call that has an alternative: a smaller page, or the next of many things.
const FEW_ATTEMPTS: u32 = 4;
/// Longest wait before one of those.
const LITTLE_WAIT: Duration = Duration::from_secs(2);
/// Most requests to an address that has never answered.
const UNREACHABLE_ATTEMPTS: u32 = 4;
/// Most refusals by a rate limit after which one call still waits.
const MAX_REFUSALS: u32 = 60;
/// Longest `Retry-After` that a run waits for; after a longer one it ends, and goes on later.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Refusals after which a limit without a name is taken for the daily one.
const SHORT_REFUSALS: u32 = 10;

/// Failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Status {
        code: u16,
        policy: Option<Policy>,
        retry_after: Option<Duration>,
    },
    /// No connection, and there never was one, which suggests a wrong URL.
    Unreachable,
    /// No connection, a reset, a time-out.
    Transport,
    /// A body under a good status that ended early, does not unpack, or is not whole JSON.
    Body,
}

/// The limit that a 429 names in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Daily,
    TenSecondly,
    Secondly,
}

impl Policy {
    pub(crate) fn named(name: &str) -> Option<Policy> {
        match name {
            name if name.starts_with("DAILY") => Some(Policy::Daily),
            name if name.starts_with("TEN_SECONDLY") => Some(Policy::TenSecondly),
            name if name.starts_with("SECONDLY") => Some(Policy::Secondly),
            _ => None,
        }
    }

    /// Returns the longest time until the limit allows a call again; `None` for the daily limit.
    fn window(self) -> Option<Duration> {
        match self {
            Policy::Daily => None,
            Policy::TenSecondly => Some(Duration::from_secs(10)),
            Policy::Secondly => Some(Duration::from_secs(1)),
        }
    }
}

/// Effort for a call before it counts as failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Patience {
    /// All retries: the run depends on the call.
    #[default]
    Full,
    /// Few retries: the run goes on if the call fails.
    Little,
    /// Few retries, and one more some seconds later after an answer that looks like the end of the endpoint (403,
    /// 404).
    Twice,
    /// No retry: the call has failed before.
    Once,
}

impl Patience {
    /// Returns the effort for a part of things whose joint call failed: the whole, and each single thing, get a few
    /// tries, parts between them none.
    pub(crate) fn of_part(length: usize, whole: usize) -> Patience {
        if length == whole || length == 1 { Patience::Little } else { Patience::Once }
    }

    fn looks_twice(self) -> bool {
        self == Patience::Twice
    }

    fn wait(self, wait: Duration) -> Duration {
        match self {
            Patience::Little | Patience::Twice => wait.min(LITTLE_WAIT),
            _ => wait,
        }
    }

    fn attempts(self) -> u32 {
        match self {
            Patience::Full => MAX_ATTEMPTS,
            Patience::Little | Patience::Twice => FEW_ATTEMPTS,
            Patience::Once => 1,
        }
    }
}

/// Counts of earlier requests of one call, each from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RetryCounts {
    pub(crate) attempts: u32,
    /// Refusals by a limit.
    pub(crate) refusals: u32,
    /// Answers that looked like the end of the endpoint.
    pub(crate) ends: u32,
}

impl RetryCounts {
    /// All that any call may.
    pub(crate) const MOST: RetryCounts =
        RetryCounts { attempts: MAX_ATTEMPTS, refusals: MAX_REFUSALS, ends: 1 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send again after this time.
    Retry(Duration),
    /// Pause the bucket for this time, then send again.
    Pause(Duration),
    /// Send again after some seconds, when the fault may be over.
    SecondLook,
    Fail(ErrorKind),
}

/// Decides about a failed request. `jitter` is a number from 0 to 1.
pub(crate) fn decide(failure: Failure, tried: RetryCounts, patience: Patience, jitter: f64) -> Decision {
    let attempt = tried.attempts;
    let most = patience.attempts();
    match failure {
        Failure::Status { code: 429, policy, retry_after } => {
            refused(policy, retry_after, tried.refusals, jitter)
        }
        Failure::Status { code: 403 | 404 | 410, .. } if patience.looks_twice() && tried.ends == 0 => {
            Decision::SecondLook
        }
        Failure::Status { code, retry_after, .. } => {
            let Some((kind, first, attempts)) = retried_status(code) else {
                return Decision::Fail(final_kind(code));
            };
            let attempts = attempts.min(most);
            if retry_after.is_some_and(|wait| wait > LONGEST_WAIT) || attempt + 1 >= attempts {
                return Decision::Fail(kind);
            }
            let wait = patience.wait(backoff(first, attempt, jitter));
            Decision::Retry(retry_after.unwrap_or_default().max(wait))
        }
        Failure::Unreachable if attempt + 1 < UNREACHABLE_ATTEMPTS.min(most) => {
            Decision::Retry(backoff(Duration::from_millis(250), attempt, jitter))
        }
        Failure::Transport | Failure::Body if attempt + 1 < most => {
            Decision::Retry(backoff(Duration::from_millis(250), attempt, jitter))
        }
        Failure::Unreachable | Failure::Transport => Decision::Fail(ErrorKind::Transport),
        Failure::Body => Decision::Fail(ErrorKind::Malformed),
    }
}

/// Statuses that pass, with the first wait and the number of attempts
/// (<https://developers.hubspot.com/docs/api-reference/error-handling>).
fn retried_status(code: u16) -> Option<(ErrorKind, Duration, u32)> {
    let seconds = Duration::from_secs;
    match code {
        408 => Some((ErrorKind::Server, seconds(1), MAX_ATTEMPTS)),
        // A lock, which lasts two seconds.
        423 => Some((ErrorKind::Server, seconds(2), MAX_ATTEMPTS)),
        // The account moves to another data centre, for up to a day.
        477 => Some((ErrorKind::AccountMoving, seconds(5), MAX_ATTEMPTS)),
        500 => Some((ErrorKind::Server, Duration::from_millis(500), MAX_ATTEMPTS)),
        // HubSpot's own limits on processing time: it asks for a pause of a few seconds.
        502 | 503 | 504 | 520 | 521 | 523 => Some((ErrorKind::Server, seconds(2), MAX_ATTEMPTS)),
        // No answer in 100 s; a second try of the same page rarely helps, a smaller page does.
        522 | 524 => Some((ErrorKind::Server, seconds(2), 3)),
        _ => None,
    }
}

fn final_kind(code: u16) -> ErrorKind {
    match code {
        401 | 530 => ErrorKind::Unauthorized,
        403 => ErrorKind::MissingScope,
        404 | 410 => ErrorKind::NotFound,
        414 => ErrorKind::UrlTooLong,
        500.. => ErrorKind::Server,
        _ => ErrorKind::BadRequest,
    }
}

fn refused(policy: Option<Policy>, retry_after: Option<Duration>, refusals: u32, jitter: f64) -> Decision {
    if policy == Some(Policy::Daily) {
        return Decision::Fail(ErrorKind::DailyLimit);
    }
    let window = policy.and_then(Policy::window);
    // No window of seconds takes longer than itself, whatever unit the header was meant in.
    let retry_after = retry_after.map(|wait| window.map_or(wait, |window| wait.min(window)));
    if refusals >= MAX_REFUSALS || retry_after.is_some_and(|wait| wait > LONGEST_WAIT) {
        return Decision::Fail(ErrorKind::RateLimited);
    }
    let wait = retry_after.unwrap_or_else(|| {
        // A rolling window frees a little at a time: to wait for all of it would leave most of it unused.
        let is_short = window.is_some() || refusals < SHORT_REFUSALS;
        let longest = Duration::from_secs(if is_short { 2 } else { 10 });
        backoff(Duration::from_secs(1), refusals, jitter).min(longest)
    });
    Decision::Pause(wait)
}

/// Returns an exponential backoff with jitter: it doubles from `first` up to 30 s, and half of it is random, so that
/// clients which failed together don't return together.
fn backoff(first: Duration, attempt: u32, jitter: f64) -> Duration {
    let whole = first.saturating_mul(1 << attempt.min(10)).min(Duration::from_secs(30));
    whole.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides with all retries.
    fn decide(failure: Failure, attempts: u32, refusals: u32, jitter: f64) -> Decision {
        super::decide(failure, RetryCounts { attempts, refusals, ends: 0 }, Patience::Full, jitter)
    }

    fn status(code: u16) -> Failure {
        Failure::Status { code, policy: None, retry_after: None }
    }

    fn refusal(policy: Option<Policy>, retry_after: Option<u64>) -> Failure {
        Failure::Status { code: 429, policy, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn retry_after_beats_backoff() {
        let decision = decide(refusal(Some(Policy::TenSecondly), Some(7)), 0, 0, 0.0);
        assert_eq!(decision, Decision::Pause(Duration::from_secs(7)));
        let failure = Failure::Status { code: 503, policy: None, retry_after: Some(Duration::from_secs(9)) };
        assert_eq!(decide(failure, 0, 0, 0.0), Decision::Retry(Duration::from_secs(9)));
    }

    #[test]
    fn a_daily_limit_is_not_waited_for() {
        assert_eq!(
            decide(refusal(Some(Policy::Daily), Some(1)), 0, 0, 0.0),
            Decision::Fail(ErrorKind::DailyLimit)
        );
    }

    #[test]
    fn refusals_without_a_hint_are_waited_out_for_minutes() {
        let waits: Duration = (0..MAX_REFUSALS)
            .map(|refusals| match decide(refusal(None, None), 0, refusals, 0.5) {
                Decision::Pause(wait) => wait,
                other => panic!("{other:?}"),
            })
            .sum();
        assert!(waits > Duration::from_secs(300), "{waits:?}");
        assert_eq!(decide(refusal(None, None), 0, MAX_REFUSALS, 0.5), Decision::Fail(ErrorKind::RateLimited));
    }

    #[test]
    fn a_limit_of_seconds_is_waited_for_no_longer_than_its_window() {
        for (policy, longest) in [(Policy::TenSecondly, 10), (Policy::Secondly, 1)] {
            let decision = decide(refusal(Some(policy), Some(10_000)), 0, 0, 0.0);
            assert_eq!(decision, Decision::Pause(Duration::from_secs(longest)));
        }
        let unnamed = decide(refusal(None, Some(10_000)), 0, 0, 0.0);
        assert_eq!(unnamed, Decision::Fail(ErrorKind::RateLimited));
    }

    #[test]
    fn seven_refusals_in_a_row_cost_a_window_and_not_a_minute() {
        for policy in [None, Some(Policy::TenSecondly)] {
            let waits: Duration = (0..7)
                .map(|refusals| match decide(refusal(policy, None), 0, refusals, 1.0) {
                    Decision::Pause(wait) => wait,
                    other => panic!("{other:?}"),
                })
                .sum();
            assert!(waits < Duration::from_secs(14), "{waits:?}");
        }
    }

    #[test]
    fn a_lock_is_waited_out_for_two_seconds() {
        assert_eq!(decide(status(423), 0, 0, 0.0), Decision::Retry(Duration::from_secs(2)));
    }

    #[test]
    fn a_move_between_data_centres_ends_the_run() {
        let failure =
            Failure::Status { code: 477, policy: None, retry_after: Some(Duration::from_secs(86_400)) };
        assert_eq!(decide(failure, 0, 0, 0.0), Decision::Fail(ErrorKind::AccountMoving));
    }

    #[test]
    fn attempts_are_bounded() {
        for failure in [status(500), status(502), status(504), Failure::Transport, Failure::Body] {
            assert!(matches!(decide(failure, 0, 0, 0.0), Decision::Retry(_)));
            assert!(matches!(decide(failure, MAX_ATTEMPTS - 1, 0, 0.0), Decision::Fail(_)));
        }
        assert!(matches!(decide(status(524), 2, 0, 0.0), Decision::Fail(ErrorKind::Server)));
    }

    #[test]
    fn what_will_not_change_is_not_repeated() {
        let kinds = [400, 401, 403, 404, 414, 525, 526, 530].map(|code| decide(status(code), 0, 0, 0.0));
        use ErrorKind::*;
        let expected =
            [BadRequest, Unauthorized, MissingScope, NotFound, UrlTooLong, Server, Server, Unauthorized];
        assert_eq!(kinds, expected.map(Decision::Fail));
    }

    #[test]
    fn a_call_that_has_tried_the_most_fails() {
        let failures =
            [status(500), status(502), status(404), status(429), Failure::Transport, Failure::Body];
        for failure in failures.into_iter().chain([refusal(Some(Policy::Secondly), Some(1))]) {
            for patience in [Patience::Full, Patience::Little, Patience::Twice, Patience::Once] {
                let decision = super::decide(failure, RetryCounts::MOST, patience, 0.5);
                assert!(matches!(decision, Decision::Fail(_)), "{failure:?}: {decision:?}");
            }
        }
    }

    #[test]
    fn what_may_fail_is_tried_for_seconds() {
        for (patience, waits) in [(Patience::Once, 0), (Patience::Little, 3)] {
            for failure in [status(500), status(503), Failure::Transport, Failure::Body] {
                let mut tried = RetryCounts::default();
                let mut waited = Duration::ZERO;
                while let Decision::Retry(wait) = super::decide(failure, tried, patience, 1.0) {
                    tried.attempts += 1;
                    waited += wait;
                }
                assert_eq!(tried.attempts, waits, "{failure:?}");
                assert!(waited <= Duration::from_secs(6), "{waited:?}");
            }
        }
    }

    #[test]
    fn the_end_of_an_endpoint_is_looked_at_twice() {
        let look = |code, ends, patience| {
            super::decide(status(code), RetryCounts { ends, ..RetryCounts::default() }, patience, 0.0)
        };
        for code in [403, 404, 410] {
            assert_eq!(look(code, 0, Patience::Twice), Decision::SecondLook);
            assert!(matches!(look(code, 1, Patience::Twice), Decision::Fail(_)));
            assert!(matches!(look(code, 0, Patience::Full), Decision::Fail(_)));
        }
        assert_eq!(look(400, 0, Patience::Twice), Decision::Fail(ErrorKind::BadRequest));
    }
}

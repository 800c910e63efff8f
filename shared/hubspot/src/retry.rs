//! Whether to send a request again, and when: one pure decision for everything that can go wrong with it. Every call
//! of this crate reads, so sending twice is harmless.

use std::time::Duration;

use crate::error::ErrorKind;

/// Requests sent for one call, refusals by a limit aside.
const MAX_ATTEMPTS: u32 = 8;
/// The same where there is somebody to turn to: a smaller page, or the next of many things.
const FEW_ATTEMPTS: u32 = 4;
/// The longest wait before one of them.
const LITTLE_WAIT: Duration = Duration::from_secs(2);
/// Requests sent before an address that never answered is given up.
const UNREACHABLE_ATTEMPTS: u32 = 4;
/// Refusals by a limit that one call waits out.
const MAX_REFUSALS: u32 = 60;
/// A `Retry-After` longer than this is not waited for: the run ends, and goes on later.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Refusals after which a limit that is not named is no short one.
const SHORT_REFUSALS: u32 = 10;

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Status {
        code: u16,
        policy: Option<Policy>,
        retry_after: Option<Duration>,
    },
    /// No connection, and there never was one: more likely a wrong URL than a bad moment.
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

    /// The longest time until the limit allows a call again; `None` where that is no matter of seconds.
    fn window(self) -> Option<Duration> {
        match self {
            Policy::Daily => None,
            Policy::TenSecondly => Some(Duration::from_secs(10)),
            Policy::Secondly => Some(Duration::from_secs(1)),
        }
    }
}

/// How much is done for a call before it has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The run depends on it.
    #[default]
    Full,
    /// It may fail: the run goes on beside it.
    Little,
    /// The same; and what looks like the end of the endpoint (403, 404) is asked once more, seconds later.
    Twice,
    /// It has failed before, and is only tried.
    Once,
}

impl Patience {
    /// For a part of what is read in parts, since the whole can't be had: the whole, and each single thing, are worth a
    /// few tries, what is between them is not.
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

/// What came before of one call, each from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) attempts: u32,
    /// Refusals by a limit.
    pub(crate) refusals: u32,
    /// Answers that looked like the end of the endpoint.
    pub(crate) ends: u32,
}

impl Tried {
    /// All that any call may.
    pub(crate) const MOST: Tried = Tried { attempts: MAX_ATTEMPTS, refusals: MAX_REFUSALS, ends: 1 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send again after this long.
    Again(Duration),
    /// Nobody sends in this bucket for this long; then again.
    Pause(Duration),
    /// Send again after some seconds, since it may be over by then.
    SecondLook,
    Fail(ErrorKind),
}

/// `jitter` is a number from 0 to 1.
pub(crate) fn decide(failure: Failure, tried: Tried, patience: Patience, jitter: f64) -> Decision {
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
            Decision::Again(retry_after.unwrap_or_default().max(wait))
        }
        Failure::Unreachable if attempt + 1 < UNREACHABLE_ATTEMPTS.min(most) => {
            Decision::Again(backoff(Duration::from_millis(250), attempt, jitter))
        }
        Failure::Transport | Failure::Body if attempt + 1 < most => {
            Decision::Again(backoff(Duration::from_millis(250), attempt, jitter))
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

/// Doubles from `first` up to 30 s; half of it is chance, so that clients which failed together don't return
/// together.
fn backoff(first: Duration, attempt: u32, jitter: f64) -> Duration {
    let whole = first.saturating_mul(1 << attempt.min(10)).min(Duration::from_secs(30));
    whole.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With full patience.
    fn decide(failure: Failure, attempts: u32, refusals: u32, jitter: f64) -> Decision {
        super::decide(failure, Tried { attempts, refusals, ends: 0 }, Patience::Full, jitter)
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
        assert_eq!(decide(failure, 0, 0, 0.0), Decision::Again(Duration::from_secs(9)));
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
        assert_eq!(decide(status(423), 0, 0, 0.0), Decision::Again(Duration::from_secs(2)));
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
            assert!(matches!(decide(failure, 0, 0, 0.0), Decision::Again(_)));
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
                let decision = super::decide(failure, Tried::MOST, patience, 0.5);
                assert!(matches!(decision, Decision::Fail(_)), "{failure:?}: {decision:?}");
            }
        }
    }

    #[test]
    fn what_may_fail_is_tried_for_seconds() {
        for (patience, waits) in [(Patience::Once, 0), (Patience::Little, 3)] {
            for failure in [status(500), status(503), Failure::Transport, Failure::Body] {
                let mut tried = Tried::default();
                let mut waited = Duration::ZERO;
                while let Decision::Again(wait) = super::decide(failure, tried, patience, 1.0) {
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
            super::decide(status(code), Tried { ends, ..Tried::default() }, patience, 0.0)
        };
        for code in [403, 404, 410] {
            assert_eq!(look(code, 0, Patience::Twice), Decision::SecondLook);
            assert!(matches!(look(code, 1, Patience::Twice), Decision::Fail(_)));
            assert!(matches!(look(code, 0, Patience::Full), Decision::Fail(_)));
        }
        assert_eq!(look(400, 0, Patience::Twice), Decision::Fail(ErrorKind::BadRequest));
    }
}

//! The end of a run: what it means for people, for the next run, and for exit codes.

use hubspot::ErrorKind;
use staging::End;

use crate::snapshot::NothingToCompare;

/// Causes of an early end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The run's time is over: another one may go on at once.
    Deadline,
    Interrupted,
    /// The account has no calls left today.
    DailyLimit,
    /// Another run of the feed is at it.
    Busy,
    /// There is no table yet that a snapshot could be compared with.
    NotReadYet,
    /// HubSpot moves the account to another data centre.
    AccountMoving,
    /// The table was read again as often as one command does that, and is not equal to HubSpot.
    StillDiffers,
}

impl StopCause {
    pub fn name(self) -> &'static str {
        match self {
            StopCause::Deadline => "deadline",
            StopCause::Interrupted => "interrupted",
            StopCause::DailyLimit => "daily_limit",
            StopCause::Busy => "busy",
            StopCause::NotReadYet => "not_read_yet",
            StopCause::AccountMoving => "account_moving",
            StopCause::StillDiffers => "still_differs",
        }
    }
}

/// The end of a run, with the reason of one that is not complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Everything there was to read is staged and registered.
    #[default]
    Complete,
    /// It ended early, as it should; the next run goes on.
    Stopped { cause: StopCause, detail: String },
    /// All is delivered but for single things that HubSpot answers badly; they are named, and asked for in each run.
    Incomplete(String),
    /// The feed can't be read with this credential; nothing else is hurt.
    Skipped(String),
    /// Something is wrong; what was read before is staged.
    Failed(String),
}

impl Outcome {
    pub fn end(&self) -> End {
        match self {
            Outcome::Complete => End::Complete,
            Outcome::Stopped { .. } => End::Stopped,
            Outcome::Incomplete(_) => End::Incomplete,
            Outcome::Skipped(_) => End::Skipped,
            Outcome::Failed(_) => End::Failed,
        }
    }

    /// The run came to its end, and what follows from it may begin.
    pub fn has_ended(&self) -> bool {
        matches!(self.end(), End::Complete | End::Incomplete)
    }

    /// For people; of a run that was stopped, the cause comes first.
    pub fn reason(&self) -> Option<String> {
        match self {
            Outcome::Complete => None,
            Outcome::Stopped { cause, detail } => Some(format!("{}: {detail}", cause.name())),
            Outcome::Incomplete(reason) | Outcome::Skipped(reason) | Outcome::Failed(reason) => {
                Some(reason.clone())
            }
        }
    }

    pub fn is_stopped_by(&self, by: StopCause) -> bool {
        matches!(self, Outcome::Stopped { cause, .. } if *cause == by)
    }

    /// The outcome of a run that this error has ended.
    pub fn of(error: &anyhow::Error) -> Outcome {
        let reason = format!("{error:#}");
        let stopped = |cause| Outcome::Stopped { cause, detail: reason.clone() };
        let state = error.downcast_ref::<staging::Error>().map(staging::Error::kind);
        if state == Some(staging::ErrorKind::Busy) {
            return stopped(StopCause::Busy);
        }
        if error.is::<NothingToCompare>() {
            return stopped(StopCause::NotReadYet);
        }
        let hubspot = error.downcast_ref::<hubspot::Error>();
        match hubspot.map(hubspot::Error::kind) {
            Some(ErrorKind::Deadline) => stopped(StopCause::Deadline),
            Some(ErrorKind::Interrupted) => stopped(StopCause::Interrupted),
            Some(ErrorKind::DailyLimit) => stopped(StopCause::DailyLimit),
            Some(ErrorKind::AccountMoving) => stopped(StopCause::AccountMoving),
            // An endpoint that was switched off: nothing of it can be read any more.
            Some(_) if hubspot.is_some_and(hubspot::Error::is_unavailable) => Outcome::Skipped(reason),
            _ => Outcome::Failed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_written_as_it_is_named() {
        for end in [End::Complete, End::Stopped, End::Incomplete, End::Skipped, End::Failed] {
            assert_eq!(serde_json::to_value(end).unwrap(), end.name());
        }
    }

    #[test]
    fn a_cause_comes_before_its_detail() {
        let stopped = Outcome::Stopped { cause: StopCause::Busy, detail: "held by run-1".to_owned() };
        assert_eq!(stopped.reason().as_deref(), Some("busy: held by run-1"));
        assert!(stopped.is_stopped_by(StopCause::Busy) && !stopped.is_stopped_by(StopCause::Deadline));
    }

    #[test]
    fn an_unknown_error_is_a_failure() {
        assert_eq!(Outcome::of(&anyhow::anyhow!("disk full")), Outcome::Failed("disk full".to_owned()));
    }
}

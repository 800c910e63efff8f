//! Failed requests, and the errors that they become when they are not retried.

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::refusal::Refusal;
use crate::retry::Failure;

use super::answer::Answer;

/// One request that failed, with the known reasons.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    refusal: Refusal,
    source: Option<reqwest::Error>,
}

impl Failed {
    /// Makes the failure of a request without a whole answer.
    pub(super) fn unanswered(failure: Failure, source: Option<reqwest::Error>) -> Failed {
        Failed { failure, refusal: Refusal::default(), source: source.map(reqwest::Error::without_url) }
    }

    /// Makes the failure of a request that HubSpot refused by this answer.
    pub(super) fn refused(answer: &Answer) -> Failed {
        let refusal = Refusal::read(&answer.headers, &answer.body);
        let failure =
            Failure::Status { code: answer.status, policy: refusal.policy, retry_after: refusal.retry_after };
        Failed { failure, refusal, source: None }
    }

    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Failure::Status { code: 401, .. })
    }

    pub(super) fn into_error(self, kind: ErrorKind, call: &Call) -> Error {
        // Not a wrong call: the account does not have the object.
        let is_missing = kind == ErrorKind::BadRequest && self.refusal.is_of_an_unknown_object();
        let kind = if is_missing { ErrorKind::NotFound } else { kind };
        let name = call.name();
        let (message, advice) = match self.failure {
            Failure::Status { code, .. } => {
                let reason = self.refusal.reason();
                let advice = match kind {
                    ErrorKind::MissingScope => self.refusal.scope_advice(&call.path),
                    _ => advice(kind).to_owned(),
                };
                (format!("HubSpot answered {code} to {name}: {}", reason.trim_end_matches('.')), advice)
            }
            Failure::Transport | Failure::Unreachable => {
                (format!("{name} was not answered"), ": check the network and the HubSpot URL".to_owned())
            }
            Failure::Body => (format!("the answers to {name} were not whole JSON"), String::new()),
        };
        let error = Error::new(kind, message)
            .with_advice(advice)
            .with_error_type(self.refusal.error_type)
            .with_retry_after(self.refusal.retry_after)
            .with_correlation_id(self.refusal.correlation_id);
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => "; check HUBSPOT_TOKEN, or make a new key under Development > Keys",
        ErrorKind::DailyLimit => "; go on after midnight in the account's time zone",
        _ => "",
    }
}

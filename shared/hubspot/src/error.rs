//! Failures of calls to HubSpot, as kinds that a caller can act on.

use std::fmt;
use std::time::Duration;

/// Kind of an error, by which a caller decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// HubSpot rejected the credential (401, or Cloudflare's 530): nothing of the run can go on.
    Unauthorized,
    /// The credential lacks a scope, or the account the tier (403): this feed can't be read, others can.
    MissingScope,
    /// An unknown id, or an endpoint that was switched off (404).
    NotFound,
    /// The URL is too long (414): ask for fewer properties at a time.
    UrlTooLong,
    /// HubSpot refuses the request itself (other 4xx).
    BadRequest,
    /// Only the reserve of the daily limit is left: go on after midnight in the account's time zone.
    DailyLimit,
    /// The account is being moved between data centres (477): go on when `retry_after` is over.
    AccountMoving,
    /// Calls were refused by the rate limit for as long as the run would wait.
    RateLimited,
    /// HubSpot failed (5xx) in all retries. A smaller page may succeed.
    Server,
    /// The connection failed in all retries.
    Transport,
    /// An answer does not have the shape of this API.
    Malformed,
    /// The run's time is over.
    Deadline,
    /// The run was asked to stop.
    Interrupted,
    /// The list endpoint does not take ids as page tokens on this account: read it in one sequence.
    Unordered,
    /// One of several sources of a feed does not answer any more: the feed goes on without it.
    SourceLost,
    /// State that runs share, such as the rate limits, can't be read or written.
    State,
    /// The credential was refused, and its source does not tell the present one just now.
    CredentialUnread,
    /// The base URL or credential can't be used at all.
    Config,
}

#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    refused: Option<Box<Refused>>,
    retry_after: Option<Duration>,
    correlation_id: Option<String>,
    lost: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Details of a refusal.
#[derive(Debug, Default)]
struct Refused {
    /// The next step, which is written after the message.
    advice: String,
    /// HubSpot's name for it.
    error_type: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            refused: None,
            retry_after: None,
            correlation_id: None,
            lost: None,
            source: None,
        }
    }

    /// Makes the error of a [`crate::CredentialSource`] that has no accepted credential; the message must not show
    /// one.
    pub fn of_credential(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unauthorized, message)
    }

    /// Makes the error of a [`crate::CredentialSource`] that can't be read at present, though it may be at the next try.
    pub fn of_unread_credential(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::CredentialUnread, message)
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_advice(mut self, advice: String) -> Error {
        self.refused.get_or_insert_default().advice = advice;
        self
    }

    pub(crate) fn with_error_type(mut self, error_type: Option<String>) -> Error {
        self.refused.get_or_insert_default().error_type = error_type;
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Error {
        self.retry_after = retry_after;
        self
    }

    pub(crate) fn with_correlation_id(mut self, correlation_id: Option<String>) -> Error {
        self.correlation_id = correlation_id;
        self
    }

    /// Makes the error of an incremental run of a feed that was never read.
    pub(crate) fn nothing_to_start_from(feed: &str) -> Error {
        let message = format!(
            "{feed} was never read whole, so there is nothing to start from: run without --mode first, or give --since"
        );
        Error::new(ErrorKind::Config, message)
    }

    /// Turns a refusal, or a 404, of one source of a feed into [`ErrorKind::SourceLost`].
    pub(crate) fn lost_if_refused(self, source: &str) -> Error {
        match self.is_unavailable() {
            true => Error { kind: ErrorKind::SourceLost, lost: Some(source.to_owned()), ..self },
            false => self,
        }
    }

    /// Turns the error of a source that refuses or fails every call into [`ErrorKind::SourceLost`].
    pub(crate) fn lost_if_useless(self, source: &str) -> Error {
        match self.may_be_useless() {
            true => Error { kind: ErrorKind::SourceLost, lost: Some(source.to_owned()), ..self },
            false => self,
        }
    }

    /// `true`: a source whose calls all end with this error is of no use.
    pub(crate) fn may_be_useless(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::MissingScope
                | ErrorKind::NotFound
                | ErrorKind::BadRequest
                | ErrorKind::UrlTooLong
                | ErrorKind::Server
                | ErrorKind::Malformed
        )
    }

    /// Returns the lost source of a [`ErrorKind::SourceLost`].
    pub fn lost_source(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// `true`: the account, or the credential, does not have what was asked for.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.kind, ErrorKind::MissingScope | ErrorKind::NotFound)
    }

    /// `true`: the command and its configuration are right, and the same run can go on later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::DailyLimit
                | ErrorKind::AccountMoving
                | ErrorKind::RateLimited
                | ErrorKind::Server
                | ErrorKind::CredentialUnread
        )
    }

    /// `true`: the fault may lie in the one thing that was asked for, while others are answered well. It does not for
    /// a limit, a deadline or a rejected credential.
    pub(crate) fn may_be_of_one_thing(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::MissingScope
                | ErrorKind::NotFound
                | ErrorKind::UrlTooLong
                | ErrorKind::BadRequest
                | ErrorKind::Server
                | ErrorKind::Transport
                | ErrorKind::Malformed
        )
    }

    /// `true`: a smaller part of what was asked for may be answered, or the rest.
    pub(crate) fn may_be_of_a_part(&self) -> bool {
        self.may_be_of_one_thing() && !self.is_unavailable()
    }

    pub(crate) fn error_type(&self) -> Option<&str> {
        self.refused.as_ref()?.error_type.as_deref()
    }

    /// Returns the message without the next step.
    pub(crate) fn reason(&self) -> &str {
        &self.message
    }

    /// Returns HubSpot's `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the correlation id, which HubSpot's support asks for.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        f.write_str(self.refused.as_ref().map_or("", |refused| &refused.advice))?;
        match &self.correlation_id {
            Some(id) => write!(f, " (correlation id {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<crate::json::scanner::Malformed> for Error {
    fn from(malformed: crate::json::scanner::Malformed) -> Error {
        Error::new(ErrorKind::Malformed, "an answer does not have the shape of this API").caused_by(malformed)
    }
}

//! Failures of the state, as kinds that a caller can act on.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Another run holds the lease; it is alive.
    Busy,
    /// The lease was taken over: this run must stop writing.
    Fenced,
    /// The state belongs to another HubSpot account.
    OtherAccount,
    /// A document does not parse.
    Corrupt,
    /// The place where the state is kept can't be read or written.
    Io,
}

#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    pub(crate) fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn other_account(place: &str, bound: u64, given: u64) -> Error {
        let message = format!(
            "{place} belongs to HubSpot account {bound}, but the credential is of account {given}: \
             use that account's credential, or another --state and --schema for this one"
        );
        Error::new(ErrorKind::OtherAccount, message)
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

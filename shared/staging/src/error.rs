//! Failures of the state, as kinds that a caller can act on.

use std::fmt;

use serde_json::error::Category;

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
    /// A document is sound, and this version of the program does not read it: a newer one wrote it, or a person.
    OtherVersion,
    /// The place where the state is kept can't be read or written.
    Io,
    /// The service that keeps the state does not answer at present.
    Unreachable,
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

    /// Error for a document, `named`, that can't be read. JSON that is cut off or damaged is corrupt; JSON that is sound
    /// and holds something else is of another version, and must not be thrown away.
    pub(crate) fn unread(named: &str, source: serde_json::Error, restore: &str) -> Error {
        if source.classify() != Category::Data {
            let message = format!("{named} is corrupt: {restore}");
            return Error::new(ErrorKind::Corrupt, message).caused_by(source);
        }
        let message = format!(
            "{named} can't be read by this version, and is left as it is: use the version that wrote it, or a newer \
             one; if it was edited, {restore}"
        );
        Error::new(ErrorKind::OtherVersion, message).caused_by(source)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sound_json_of_another_version_is_not_called_corrupt() {
        let unread = |json: &str| {
            let source = serde_json::from_str::<BTreeMap<String, u64>>(json).unwrap_err();
            Error::unread("the state file x", source, "put a copy of it back")
        };
        for json in ["", "{\"format\": 2", "{]"] {
            assert_eq!(unread(json).kind(), ErrorKind::Corrupt, "{json}");
        }
        let other = unread("{\"format\": []}");
        assert_eq!(other.kind(), ErrorKind::OtherVersion);
        assert!(other.to_string().contains("use the version that wrote it"), "{other}");
    }
}

//! One error for every warehouse: a kind that a caller can act on, a message with the next step, and the engine's own
//! error as the source.

use std::error::Error as StdError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of an error, by which a caller decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The configuration or the table's shape can't work, however often it is tried: a wrong path, not a database.
    Unsupported,
    /// The warehouse does not answer, or lets this user not in.
    Unreachable,
    /// Another process holds the warehouse; trying later is enough.
    Locked,
    /// The schema is bound to another HubSpot account.
    OtherAccount,
    /// Rows were lost or doubled between the files and the table. Nothing was changed.
    RowCount,
    /// A staged file differs from its description, or breaks a rule of staged files. Nothing was changed.
    BadFile,
    /// A statement had more to do than the engine has memory, disk or time for: fewer files may fit. Nothing was changed.
    TooLarge,
    /// The engine failed in the middle. Nothing was changed.
    Engine,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    pub(crate) fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error { source: Some(source.into()), ..self }
    }
}

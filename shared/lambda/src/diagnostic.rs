//! Failures of an invocation: with a type that stays the same, whatever the message says.

use lambda_runtime::Diagnostic;

/// Kinds of failures, for alarms, retries and people who filter logs. The names are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The function's variables or its secret can't be used: deploy again, or put the secret.
    Configuration,
    /// The event is none of this function's.
    Event,
    /// HubSpot rejected the credential.
    Unauthorized,
    /// The credential, or the warehouse, is of another HubSpot account than this stack.
    OtherAccount,
    /// The run failed; what was read before is staged, and the next one goes on.
    Run,
    /// The warehouse can't be reached, or a merge failed.
    Warehouse,
}

impl FailureKind {
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Configuration => "Configuration",
            FailureKind::Event => "Event",
            FailureKind::Unauthorized => "Unauthorized",
            FailureKind::OtherAccount => "OtherAccount",
            FailureKind::Run => "Run",
            FailureKind::Warehouse => "Warehouse",
        }
    }
}

#[derive(Debug)]
pub struct Failure {
    pub kind: FailureKind,
    pub error: anyhow::Error,
    /// The invocation's metrics tell of it already.
    pub is_measured: bool,
}

impl Failure {
    pub fn new(kind: FailureKind, error: impl Into<anyhow::Error>) -> Failure {
        Failure { kind, error: error.into(), is_measured: false }
    }
}

/// An event that is none of the function's.
pub fn refuse_event(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Event, anyhow::anyhow!("the event is not valid: {error}"))
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic {
            error_type: failure.kind.name().to_owned(),
            error_message: format!("{:#}", failure.error),
        }
    }
}

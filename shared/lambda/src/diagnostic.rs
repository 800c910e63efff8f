//! Failures of an invocation: with a type that stays the same, whatever the message says.

use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

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

    /// `true`: another try with the same event and variables would fail in the same way.
    pub(crate) fn is_misuse(self) -> bool {
        !matches!(self, FailureKind::Run | FailureKind::Warehouse)
    }
}

#[derive(Debug)]
pub struct Failure {
    pub kind: FailureKind,
    pub error: anyhow::Error,
    /// The invocation's metrics tell of it already.
    pub is_measured: bool,
    /// The report of the run that failed, if it has one.
    pub report: Option<Value>,
}

impl Failure {
    pub fn new(kind: FailureKind, error: impl Into<anyhow::Error>) -> Failure {
        Failure { kind, error: error.into(), is_measured: false, report: None }
    }

    /// The report of a failed run, whose metrics are written.
    pub fn reported(self, report: Value) -> Failure {
        Failure { is_measured: true, report: Some(report), ..self }
    }

    /// The run's report, or one of the failure alone.
    pub fn into_report(self) -> Value {
        let reason = || format!("{:#}", self.error);
        let alone = || json!({"outcome": "failed", "error_type": self.kind.name(), "reason": reason()});
        self.report.clone().unwrap_or_else(alone)
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

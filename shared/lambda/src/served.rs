//! A function as its metrics and spans know it.

use serde_json::Value;
use tracing::Instrument;
use tracing::field::Empty;

use crate::diagnostic::Failure;
use crate::invocation::Invocation;
use crate::metrics::{Metric, Metrics};
use crate::telemetry::Telemetry;

/// The function as its metrics know it.
#[derive(Debug, Clone)]
pub(crate) struct Served<'a> {
    pub(crate) name: &'a str,
    pub(crate) stack: &'a str,
    /// The metric of an invocation that failed before it had a report.
    pub(crate) failures: Metric,
    pub(crate) telemetry: Telemetry,
}

impl Served<'_> {
    /// Answers an event by this work, as a span, and sends what was measured before the process is frozen, or ends.
    pub(crate) async fn answer(
        &self,
        invocation: &Invocation,
        work: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        let span = tracing::info_span!(
            target: "telemetry",
            parent: None,
            "invocation",
            stack = self.stack,
            function.name = self.name,
            request.id = invocation.request_id,
            outcome = Empty,
            "error.type" = Empty,
            otel.status_code = Empty,
        );
        let answer = work.instrument(span.clone()).await.map_err(|failure| self.failed(failure, invocation));
        match &answer {
            Ok(report) => _ = span.record("outcome", report["outcome"].as_str().unwrap_or("complete")),
            Err(failure) => {
                span.record("outcome", "failed");
                span.record("error.type", failure.kind.name());
                span.record("otel.status_code", "ERROR");
            }
        }
        drop(span);
        self.telemetry.flush().await;
        answer
    }

    /// Logs a failure, and counts one that no report has counted.
    fn failed(&self, failure: Failure, invocation: &Invocation) -> Failure {
        tracing::error!(error_type = failure.kind.name(), "{:#}", failure.error);
        if !failure.is_measured {
            let mut metrics = Metrics::new(self.stack, self.name);
            metrics.add(self.failures, 1.0);
            metrics.field("error_type", failure.kind.name());
            metrics.field("request_id", invocation.request_id.as_str());
            invocation.emit(metrics);
        }
        failure
    }
}

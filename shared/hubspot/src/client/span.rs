//! The span of one request, for OpenTelemetry: disabled where nobody wants it. It names the endpoint, and nothing of what is
//! asked or answered.

use tracing::Span;
use tracing::field::Empty;

use crate::call::Call;
use crate::retry::RetryCounts;

/// Begins the span of a call's next request, after these.
pub(super) fn of_call(call: &Call, tried: RetryCounts) -> Span {
    tracing::info_span!(
        target: "telemetry",
        "hubspot.call",
        otel.kind = "client",
        call.endpoint = call.endpoint(),
        bucket.name = call.bucket.name(),
        call.attempt = tried.attempts + tried.refusals + tried.ends + 1,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn note_status(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
}

pub(super) fn note_end(span: &Span, is_failed: bool) {
    if is_failed {
        span.record("otel.status_code", "ERROR");
    }
}

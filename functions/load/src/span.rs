//! Spans of a table's load, for OpenTelemetry: disabled where nobody wants them.

use tracing::Span;
use tracing::field::Empty;

use crate::busy::is_busy;
use crate::options::Loaded;

pub(crate) fn of_load(collection: &str) -> Span {
    tracing::info_span!(
        target: "telemetry",
        "load",
        collection.name = collection,
        outcome = Empty,
        files = Empty,
        rows.staged = Empty,
        rows.merged = Empty,
        statements = Empty,
        otel.status_code = Empty,
    )
}

/// Notes how the load has ended. An error's words stay in the report: a warehouse may quote values in them.
pub(crate) fn note_loaded(span: &Span, loaded: &anyhow::Result<Loaded>) {
    match loaded {
        Ok(loaded) => {
            span.record("outcome", if loaded.files_left > 0 { "stopped" } else { "complete" });
            span.record("files", loaded.files);
            span.record("rows.staged", loaded.staged_rows);
            span.record("rows.merged", loaded.merged_rows);
            span.record("statements", loaded.statements_that_write);
        }
        Err(error) if is_busy(error) => _ = span.record("outcome", "stopped"),
        Err(_) => {
            span.record("outcome", "failed");
            span.record("otel.status_code", "ERROR");
        }
    }
}

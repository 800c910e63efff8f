//! Spans of merges, for OpenTelemetry: disabled where nobody wants them.

use tracing::Span;
use tracing::field::Empty;
use warehouse::Merged;

/// Begins the span of one batch of files.
pub(crate) fn of_merge(collection: &str, files: usize, bytes: u64) -> Span {
    tracing::info_span!(
        target: "telemetry",
        "merge",
        collection.name = collection,
        files,
        file.bytes = bytes,
        rows.merged = Empty,
        statements = Empty,
        otel.status_code = Empty,
    )
}

pub(crate) fn note_merged(span: &Span, merged: &anyhow::Result<Merged>) {
    match merged {
        Ok(merged) => {
            span.record("rows.merged", merged.merged_rows);
            span.record("statements", merged.statements_that_write);
        }
        Err(_) => _ = span.record("otel.status_code", "ERROR"),
    }
}

//! Spans of a run and of its files, for OpenTelemetry: disabled where nobody wants them.

use hubspot::feeds::{Feed, Mode};
use staging::Finished;
use tracing::Span;
use tracing::field::Empty;

use crate::Run;
use crate::report::{CollectionReport, FeedReport};
use staging::End;

pub(crate) fn of_run(feed: &dyn Feed, run: &Run) -> Span {
    tracing::info_span!(
        target: "telemetry",
        "extract",
        feed.name = feed.name(),
        run.id = run.id,
        mode = Empty,
        outcome = Empty,
        rows = Empty,
        rows.deleted = Empty,
        files = Empty,
        otel.status_code = Empty,
    )
}

/// Notes how the run has ended. Its reason stays in the report.
pub(crate) fn note_end(span: &Span, report: &FeedReport) {
    let sum = |of: fn(&CollectionReport) -> u64| report.collections.iter().map(of).sum::<u64>();
    span.record("mode", report.mode.map(Mode::name));
    span.record("outcome", report.outcome.end().name());
    span.record("rows", report.rows());
    span.record("rows.deleted", sum(|collection| collection.deleted));
    span.record("files", sum(|collection| collection.files));
    if report.outcome.end() == End::Failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// Begins the span in which a file becomes durable.
pub(crate) fn of_file(finished: &Finished) -> Span {
    tracing::info_span!(
        target: "telemetry",
        "staged_file.write",
        collection.name = finished.description.table.collection,
        rows = finished.description.rows,
        file.bytes = Empty,
    )
}

pub(crate) fn note_bytes(span: &Span, bytes: u64) {
    span.record("file.bytes", bytes);
}

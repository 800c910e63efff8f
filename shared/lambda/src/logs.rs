//! Logs as CloudWatch and people read them: one JSON object a line.

use tracing_subscriber::EnvFilter;

/// Logs of the level that `RUST_LOG` names (info where it names none), as JSON on stdout.
pub(crate) fn init_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_target(false)
        .init();
}

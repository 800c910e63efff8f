//! Logs as CloudWatch and people read them: one JSON object a line.

use std::io::Write;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::{TARGET, Telemetry};

/// The levels that `RUST_LOG` names, such as `info` or `hubspot=debug`; where it is empty, or names nothing, this
/// level. Spans are for [`Telemetry`] alone. What AWS's configuration warns of comes again, as an error, if it matters.
pub fn log_filter(level: Level) -> Targets {
    let named = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let named = named.and_then(|text| text.parse::<Targets>().ok());
    let filter =
        named.unwrap_or_else(|| Targets::new().with_default(level).with_target("aws_config", Level::ERROR));
    filter.with_target(TARGET, LevelFilter::OFF)
}

/// Logs of what [`log_filter`] lets through, as JSON: on stdout, or on stderr where stdout is for something else.
/// Spans go where the variables of OpenTelemetry say.
pub(crate) fn init_logs(is_on_stderr: bool) -> Telemetry {
    let (telemetry, unusable) = match Telemetry::of_process() {
        Ok(telemetry) => (telemetry, None),
        Err(error) => (Telemetry::default(), Some(error)),
    };
    let writer = move || -> Box<dyn Write> {
        if is_on_stderr { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) }
    };
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer);
    let json = json.with_filter(log_filter(Level::INFO));
    tracing_subscriber::registry().with(json).with(telemetry.layer()).init();
    if let Some(error) = unusable {
        tracing::warn!("neither spans nor metrics are sent: {error:#}");
    }
    telemetry
}

//! OpenTelemetry: spans and metrics over OTLP, where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Without it nothing is made, and
//! the spans of this source are disabled where they stand.
//!
//! A function is frozen between two invocations, so what there is is sent before each one ends, and not from a thread of
//! its own. A collector that does not answer costs that moment, one warning, and no run. The exporter reads the standard
//! variables itself; its headers are secrets, and nothing here reads or shows them.

mod measures;
mod spans;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{MetricExporter, RetryPolicy, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::metrics::Metrics;

use measures::Measures;
use spans::{Pending, Processor, Spans};

/// The target of this source's spans. Logs don't show them, and OTLP shows nothing else.
pub(crate) const TARGET: &str = "telemetry";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// The name of the service where nobody gives one.
const DEFAULT_SERVICE_NAME: &str = "hubspot-source";
/// The time that sending may take at the end of an invocation; and after it took too long, until it works again.
const PATIENCE: Duration = Duration::from_secs(2);
const LITTLE_PATIENCE: Duration = Duration::from_millis(200);

/// Sender of spans and metrics, if there is one. Clones are the same.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Pipeline>>);

/// Without the exporters, which would show their headers.
impl fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Telemetry(on)" } else { "Telemetry(off)" })
    }
}

struct Pipeline {
    tracers: SdkTracerProvider,
    spans: Spans,
    measures: Measures,
    is_late: AtomicBool,
}

impl Telemetry {
    /// Reads the standard variables; an endpoint that can't be used is an error that names it, and shows nothing of it.
    ///
    /// # Panics
    /// Outside of a runtime of Tokio, if there is an endpoint.
    pub fn of_process() -> anyhow::Result<Telemetry> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let is_disabled = variable(DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        match variable(ENDPOINT) {
            Some(endpoint) if !is_disabled => {
                let is_plain = endpoint.trim().starts_with("http://");
                Ok(Telemetry(Some(Arc::new(Pipeline::open(is_plain)?))))
            }
            _ => Ok(Telemetry::default()),
        }
    }

    /// The layer that takes this source's spans, and nothing else; `None` where nobody wants them.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let pipeline = self.0.as_ref()?;
        let layer: OpenTelemetryLayer<S, SdkTracer> =
            OpenTelemetryLayer::new(pipeline.tracers.tracer("hubspot-source"))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false)
                .with_context_activation(false);
        Some(layer.with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE)))
    }

    /// Takes the numbers of a line of metrics.
    pub fn record(&self, metrics: &Metrics) {
        if let Some(pipeline) = &self.0 {
            pipeline.measures.record(metrics);
        }
    }

    /// Sends all that there is, as long as there is patience. What is late or refused is lost, with one warning.
    pub async fn flush(&self) {
        let Some(pipeline) = &self.0 else { return };
        let is_late = pipeline.is_late.load(Ordering::Relaxed);
        let patience = if is_late { LITTLE_PATIENCE } else { PATIENCE };
        let sent = tokio::time::timeout(patience, async {
            let (spans, measures) = tokio::join!(pipeline.spans.send_all(), pipeline.measures.send());
            spans && measures
        });
        let is_sent = sent.await.unwrap_or(false);
        pipeline.is_late.store(!is_sent, Ordering::Relaxed);
        if !is_sent {
            pipeline.spans.warn();
        }
    }
}

impl Pipeline {
    fn open(is_plain: bool) -> anyhow::Result<Pipeline> {
        let unusable = || format!("{ENDPOINT} can't be used: give a URL such as http://localhost:4318");
        let http: Arc<dyn HttpClient> = Arc::new(http_client(is_plain)?);
        // What was not taken is lost: an invocation does not wait for a second try.
        let spans = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(Arc::clone(&http))
            .with_retry_policy(RetryPolicy::disabled());
        let spans = spans.build().map_err(drop).ok().with_context(unusable)?;
        let measures = MetricExporter::builder()
            .with_http()
            .with_shared_http_client(http)
            .with_retry_policy(RetryPolicy::disabled());
        let measures = measures.build().map_err(drop).ok().with_context(unusable)?;
        let resource = resource();
        let pending = Arc::new(Pending::default());
        let spans = Spans::new(spans, &resource, Arc::clone(&pending));
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_span_processor(Processor(pending));
        Ok(Pipeline {
            tracers: tracers.build(),
            spans,
            measures: Measures::new(measures, resource),
            is_late: AtomicBool::new(false),
        })
    }
}

/// Who sends: the service's name, and one process of it, since several count at once.
fn resource() -> Resource {
    // The builder reads these itself.
    let is_named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|named| named.contains("service.name="));
    let resource = Resource::builder();
    let resource = if is_named { resource } else { resource.with_service_name(DEFAULT_SERVICE_NAME) };
    let id = uuid::Uuid::now_v7().to_string();
    resource
        .with_attributes([
            opentelemetry::KeyValue::new("service.instance.id", id),
            opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build()
}

fn http_client(is_plain: bool) -> anyhow::Result<reqwest::Client> {
    // One provider for all TLS of the process; a second call finds the first one's and leaves it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    if is_plain {
        // The system's certificates, which take milliseconds to read, serve nothing.
        http = http.tls_certs_only([]);
    }
    http.build().context("no HTTP client can be made for OpenTelemetry")
}

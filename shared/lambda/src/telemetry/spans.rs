//! Spans that have ended, until they are sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// Spans in one request, and those that wait at most: further ones are lost.
const BATCH: usize = 512;
const MOST_PENDING: usize = 8 * BATCH;
/// Time after which spans of a long run are sent, however few they are.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time that one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The spans that wait.
#[derive(Debug, Default)]
pub(super) struct Pending {
    spans: Mutex<Vec<SpanData>>,
    is_full: Notify,
}

impl Pending {
    fn next_batch(&self) -> Vec<SpanData> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let count = spans.len().min(BATCH);
        spans.drain(..count).collect()
    }
}

#[derive(Debug)]
pub(super) struct Processor(pub(super) Arc<Pending>);

impl SpanProcessor for Processor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MOST_PENDING {
            spans.push(span);
        }
        if spans.len() == BATCH {
            self.0.is_full.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What sends spans: in the background while a run goes on, and all that are left at its end.
#[derive(Clone)]
pub(super) struct Spans(Arc<Sending>);

struct Sending {
    pending: Arc<Pending>,
    exporter: AsyncMutex<SpanExporter>,
    has_warned: AtomicBool,
}

impl Spans {
    pub(super) fn new(mut exporter: SpanExporter, resource: &Resource, pending: Arc<Pending>) -> Spans {
        exporter.set_resource(resource);
        let (exporter, has_warned) = (AsyncMutex::new(exporter), AtomicBool::new(false));
        let spans = Spans(Arc::new(Sending { pending, exporter, has_warned }));
        let background = spans.clone();
        tokio::spawn(async move {
            loop {
                let full = background.0.pending.is_full.notified();
                let _ = tokio::time::timeout(INTERVAL, full).await;
                let sent = tokio::time::timeout(PATIENCE, background.send_all()).await;
                if !sent.unwrap_or(false) {
                    background.warn();
                }
            }
        });
        spans
    }

    /// Sends all that wait. `false`: some were not taken, and are lost.
    pub(super) async fn send_all(&self) -> bool {
        let exporter = self.0.exporter.lock().await;
        loop {
            let batch = self.0.pending.next_batch();
            if batch.is_empty() {
                return true;
            }
            if exporter.export(batch).await.is_err() {
                return false;
            }
        }
    }

    /// Says once that nobody takes what is sent.
    pub(super) fn warn(&self) {
        if !self.0.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the OpenTelemetry collector does not take spans or metrics in time: they are lost, and runs are not \
                 held up. Check OTEL_EXPORTER_OTLP_ENDPOINT"
            );
        }
    }
}

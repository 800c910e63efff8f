//! The numbers of a line of metrics, as instruments of OpenTelemetry: counters of what runs have done, gauges of how it
//! stands.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, MeterProvider};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality};

use crate::metrics::{Metric, Metrics, Point};

pub(super) struct Measures {
    instruments: Vec<(Metric, Instrument)>,
    reader: Arc<ManualReader>,
    exporter: MetricExporter,
    /// Instruments measure as long as it lives.
    _provider: SdkMeterProvider,
}

enum Instrument {
    Counter(Counter<f64>),
    Gauge(Gauge<f64>),
}

impl Measures {
    pub(super) fn new(exporter: MetricExporter, resource: Resource) -> Measures {
        let reader = ManualReader::builder().with_temporality(exporter.temporality()).build();
        let reader = Arc::new(reader);
        let provider = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(Shared(Arc::clone(&reader)))
            .build();
        let meter = provider.meter("hubspot-source");
        let instruments = Metric::ALL.into_iter().map(|metric| {
            let (name, unit) = (metric.name(), metric.ucum_unit());
            let instrument = match metric.is_sum() {
                true => Instrument::Counter(meter.f64_counter(name).with_unit(unit).build()),
                false => Instrument::Gauge(meter.f64_gauge(name).with_unit(unit).build()),
            };
            (metric, instrument)
        });
        Measures { instruments: instruments.collect(), reader, exporter, _provider: provider }
    }

    pub(super) fn record(&self, metrics: &Metrics) {
        for Point { metric, of, value } in metrics.points() {
            let mut attributes = vec![KeyValue::new("stack", metrics.stack().to_owned())];
            attributes.extend(of.as_ref().map(|(key, name)| KeyValue::new(*key, name.clone())));
            match self.instruments.iter().find(|(known, _)| known == metric) {
                Some((_, Instrument::Counter(counter))) => counter.add(*value, &attributes),
                Some((_, Instrument::Gauge(gauge))) => gauge.record(*value, &attributes),
                None => {}
            }
        }
    }

    /// Sends all instruments as they stand. `false`: nobody took them.
    pub(super) async fn send(&self) -> bool {
        let mut measured = ResourceMetrics::default();
        if self.reader.collect(&mut measured).is_err() {
            return false;
        }
        // Where nothing was measured, nothing is sent.
        let is_empty = measured.scope_metrics().all(|scope| scope.metrics().next().is_none());
        is_empty || self.exporter.export(&measured).await.is_ok()
    }
}

/// A reader that the provider and whoever sends have both.
#[derive(Debug)]
struct Shared(Arc<ManualReader>);

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, measured: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(measured)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    /// A gauge is sent once for each time that it was measured: a function that stays warm would else tell of an invocation
    /// that failed at the end of each later one.
    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        match kind {
            InstrumentKind::Gauge => Temporality::Delta,
            kind => self.0.temporality(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_otlp::WithHttpConfig;

    use super::*;

    /// Names of the metrics that would be sent now.
    fn sent(measures: &Measures) -> Vec<String> {
        let mut measured = ResourceMetrics::default();
        measures.reader.collect(&mut measured).unwrap();
        let metrics = measured.scope_metrics().flat_map(|scope| scope.metrics());
        metrics.map(|metric| metric.name().to_owned()).collect()
    }

    #[test]
    fn a_gauge_is_sent_once_and_a_sum_goes_on() {
        let http = crate::telemetry::http_client(true).unwrap();
        let exporter = MetricExporter::builder().with_http().with_http_client(http).build().unwrap();
        let measures = Measures::new(exporter, Resource::builder().build());
        let record = |metric: Metric| {
            let mut metrics = Metrics::new("hubspot", "deals");
            match metric.is_sum() {
                true => metrics.count_each(metric, "feed", [("deals", 3)]),
                false => metrics.add(metric, 1.0),
            }
            measures.record(&metrics);
        };
        record(Metric::FailedFeeds);
        assert_eq!(sent(&measures), ["FailedFeeds"]);
        assert!(sent(&measures).is_empty());
        record(Metric::Calls);
        assert_eq!((sent(&measures), sent(&measures)), (vec!["Calls".to_owned()], vec!["Calls".to_owned()]));
        record(Metric::FailedFeeds);
        assert!(sent(&measures).contains(&"FailedFeeds".to_owned()));
    }
}

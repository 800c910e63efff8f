//! Spans and metrics by OTLP, as a collector gets them; what it can't get costs no run, and nothing in it is anybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fake_hubspot::{Behaviour, Settings};
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tests::{Sandbox, ended};
use tokio::net::TcpListener;

use super::{cloud, event};

const HEADERS: &str = "authorization=Bearer otlp-secret";

/// A collector that keeps what it gets.
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<Received>>>,
}

struct Received {
    path: String,
    authorization: Option<String>,
    body: Bytes,
}

impl Collector {
    async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                let answer = service_fn(move |request: hyper::Request<Incoming>| {
                    let kept = Arc::clone(&kept);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let header = head.headers.get("authorization");
                        let authorization = header.map(|value| value.to_str().unwrap().to_owned());
                        let path = head.uri.path().to_owned();
                        kept.lock().unwrap().push(Received { path, authorization, body });
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                    }
                });
                tokio::spawn(async move {
                    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Collector { url, requests }
    }

    fn of<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let requests = self.requests.lock().unwrap();
        let requests = requests.iter().filter(|request| request.path == path);
        requests.map(|request| M::decode(request.body.clone()).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests: Vec<ExportTraceServiceRequest> = self.of("/v1/traces");
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The last value of each metric, by its name and its attributes.
    fn metrics(&self) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
        let requests: Vec<ExportMetricsServiceRequest> = self.of("/v1/metrics");
        let resources = requests.into_iter().flat_map(|request| request.resource_metrics);
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        let mut metrics = BTreeMap::new();
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let points = match metric.data.unwrap() {
                Data::Gauge(gauge) => gauge.data_points,
                Data::Sum(sum) => sum.data_points,
                other => panic!("{other:?}"),
            };
            for point in points {
                let Some(Number::AsDouble(value)) = point.value else { panic!("{point:?}") };
                metrics.insert((metric.name.clone(), attributes(&point.attributes)), value);
            }
        }
        metrics
    }

    fn service_names(&self) -> BTreeSet<String> {
        let requests: Vec<ExportTraceServiceRequest> = self.of("/v1/traces");
        let resources = requests.into_iter().flat_map(|request| request.resource_spans);
        resources
            .map(|resource| attributes(&resource.resource.unwrap().attributes)["service.name"].clone())
            .collect()
    }

    /// Checks that nothing that was sent is of a person or a secret, and that each request had the header.
    fn check_private(&self, account: &fake_hubspot::Account) {
        let requests = self.requests.lock().unwrap();
        assert!(
            requests.iter().all(|request| request.authorization.as_deref() == Some("Bearer otlp-secret"))
        );
        let mut needles: Vec<String> = ["pat-na1-fake", "otlp-secret"].map(str::to_owned).to_vec();
        // Shorter ones may be a part of any number.
        let ids =
            account.live_ids(fake_hubspot::ObjectType::Contacts).into_iter().filter(|id| *id > 1_000_000);
        needles.extend(ids.map(|id| id.to_string()));
        assert!(needles.len() > 50, "{} ids", needles.len());
        for request in requests.iter() {
            for needle in &needles {
                let is_in = request.body.windows(needle.len()).any(|window| window == needle.as_bytes());
                assert!(!is_in, "{needle} was sent to {}", request.path);
            }
        }
        drop(requests);
        let told = format!(
            "{:?} {:?}",
            self.of::<ExportTraceServiceRequest>("/v1/traces"),
            self.of::<ExportMetricsServiceRequest>("/v1/metrics")
        );
        assert!(!told.contains('@') && !told.contains("%40"), "an address was sent");
    }
}

fn text(value: Option<&Any>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(AnyValue::StringValue(text)) => text.clone(),
        Some(AnyValue::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

/// The spans of this name, by their attributes.
fn named<'s>(spans: &'s [Span], name: &str) -> Vec<(&'s Span, BTreeMap<String, String>)> {
    let named = spans.iter().filter(|span| span.name == name);
    named.map(|span| (span, attributes(&span.attributes))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_spans_and_metrics_and_nothing_of_anybody() {
    let collector = Collector::start().await;
    let cloud = cloud().await.with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", HEADERS),
        ("OTEL_SERVICE_NAME", "hubspot-to-us"),
    ]);
    // Contacts have addresses, and a pass over addresses has them in its paths.
    for (feed, sent) in [
        ("contacts", "extract-schedule"),
        ("deals", "extract-schedule"),
        ("subscription_timeline", "extract-schedule"),
        ("subscription_timeline", "extract-addresses"),
    ] {
        cloud.invoke(feed, &event(sent)).await.complete();
    }
    let loaded = cloud.invoke("load", &event("load-schedule")).await.complete();
    // What an invocation has is sent before its answer.
    let spans = collector.spans();
    let invocations = named(&spans, "invocation");
    assert_eq!(invocations.len(), 5, "{invocations:#?}");
    for (span, attributes) in &invocations {
        assert_eq!((&attributes["stack"][..], &attributes["outcome"][..]), ("hubspot", "complete"));
        assert!(span.parent_span_id.is_empty());
    }
    let traces: BTreeSet<&Vec<u8>> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), invocations.len(), "one trace for each invocation");

    let runs = named(&spans, "extract");
    let (deals, run) = runs.iter().find(|(_, attributes)| attributes["feed.name"] == "deals").unwrap();
    assert_eq!((&run["mode"][..], &run["outcome"][..], &run["files"][..]), ("backfill", "complete", "1"));
    assert!(run["rows"].parse::<u64>().unwrap() > 0 && !run["run.id"].is_empty());
    let calls = named(&spans, "hubspot.call");
    let of_deals: Vec<_> = calls.iter().filter(|(span, _)| span.trace_id == deals.trace_id).collect();
    assert!(of_deals.len() > 5, "{} calls", of_deals.len());
    let listed = of_deals.iter().find(|(_, call)| call["call.endpoint"] == "GET /crm/objects/2026-09/deals");
    let (listed, call) = listed.unwrap();
    assert_eq!((&call["http.response.status_code"][..], &call["call.attempt"][..]), ("200", "1"));
    assert_eq!(listed.parent_span_id, deals.span_id);
    assert!(
        calls.iter().any(|(_, call)| call["call.endpoint"].ends_with("/{id}")),
        "no path with an address"
    );
    let written = named(&spans, "staged_file.write");
    assert!(written.iter().any(|(span, file)| {
        span.parent_span_id == deals.span_id
            && file["collection.name"] == "deals"
            && file["rows"] == run["rows"]
    }));
    let merged = |name: &str| {
        let spans = named(&spans, name).into_iter();
        let of_deals = spans.filter(|(_, attributes)| attributes["collection.name"] == "deals");
        of_deals.map(|(_, attributes)| attributes["rows.merged"].clone()).collect::<Vec<_>>()
    };
    let merged_rows = loaded["tables"]["deals"]["merged_rows"].to_string();
    assert_eq!((merged("load"), merged("merge")), (vec![merged_rows.clone()], vec![merged_rows.clone()]));

    let metrics = collector.metrics();
    let value = |name: &str, of: &[(&str, &str)]| {
        let attributes = of.iter().chain(&[("stack", "hubspot")]);
        let attributes = attributes.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        metrics
            .get(&(name.to_owned(), attributes))
            .copied()
            .unwrap_or_else(|| panic!("no {name} {of:?} in {metrics:#?}"))
    };
    assert_eq!(value("Rows", &[("collection", "deals")]).to_string(), run["rows"]);
    assert_eq!(value("MergedRows", &[("collection", "deals")]).to_string(), merged_rows);
    assert_eq!(value("Calls", &[("feed", "deals")]) as usize, of_deals.len());
    assert_eq!((value("FailedFeeds", &[]), value("FailedLoads", &[])), (0.0, 0.0));
    assert!(value("LagSeconds", &[]) >= 0.0);
    assert_eq!(collector.service_names(), BTreeSet::from(["hubspot-to-us".to_owned()]));

    collector.check_private(cloud.sandbox.account());
    for function in ["contacts", "deals", "subscription_timeline", "load"] {
        let log = cloud.log(function);
        assert!(!log.contains("otlp-secret") && !log.contains("OpenTelemetry"), "{log}");
        assert!(!log.contains("call.endpoint"), "spans are in the log of {function}");
    }
    // A failure is one in its span too.
    let before = spans.len();
    cloud.invoke("deals", &json!({"sinse": "2026-01-01"})).await;
    let spans = collector.spans();
    let (failed, attributes) = &named(&spans[before..], "invocation")[0];
    assert_eq!((&attributes["outcome"][..], &attributes["error.type"][..]), ("failed", "Event"));
    assert_eq!(failed.status.as_ref().unwrap().code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_costs_no_run() {
    // Connections are taken, and nothing is answered.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let cloud =
        cloud().await.with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_EXPORTER_OTLP_HEADERS", HEADERS)]);
    cloud.invoke("deals", &event("extract-schedule")).await.complete();
    for _ in 0..3 {
        let began = Instant::now();
        cloud.invoke("deals", &event("extract-schedule")).await.complete();
        assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    }
    let log = cloud.log("deals");
    assert_eq!(log.matches("the OpenTelemetry collector does not take").count(), 1, "{log}");
    assert!(!log.contains("otlp-secret"));

    // An address that is none is said once, and shown by nobody.
    let cloud = cloud.with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp//secret host")]);
    cloud.kill("deals");
    cloud.invoke("deals", &event("extract-schedule")).await.complete();
    let log = cloud.log("deals");
    assert!(
        log.contains("OTEL_EXPORTER_OTLP_ENDPOINT can't be used") && !log.contains("secret host"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_one_trace() {
    let collector = Collector::start().await;
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let mut command = sandbox.command(&["--collections", "companies,contacts"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_EXPORTER_OTLP_HEADERS", HEADERS);
    let synced = ended(command).await;
    let report = synced.complete();
    assert_eq!(synced.stderr, "");
    let spans = collector.spans();
    let traces: BTreeSet<&Vec<u8>> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1);
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["extract", "hubspot.call", "load", "merge", "staged_file.write", "sync"])
    );
    let (_, sync) = &named(&spans, "sync")[0];
    assert_eq!((&sync["outcome"][..], &sync["stack"][..]), ("complete", "hubspot"));
    let metrics = collector.metrics();
    let rows: f64 = metrics.iter().filter(|((name, _), _)| name == "Rows").map(|(_, rows)| rows).sum();
    let reported = report["collections"].as_object().unwrap().values();
    let reported: u64 = reported.map(|collection| collection["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows as u64, reported);
    assert_eq!(collector.service_names(), BTreeSet::from(["hubspot-source".to_owned()]));
    collector.check_private(sandbox.account());

    // Without an endpoint nobody is sent anything.
    let before = collector.requests.lock().unwrap().len();
    sandbox.sync(&["--collections", "companies"]).await.complete();
    assert_eq!(collector.requests.lock().unwrap().len(), before);
}

//! One line for each invocation, from which CloudWatch makes metrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use serde_json::{Map, Value, json};

pub const NAMESPACE: &str = "HubspotSource";

/// <https://aws.amazon.com/lambda/pricing/>, us-east-1, the first tier: dollars for a gigabyte-second, and for a
/// request.
const ARM_DOLLARS: f64 = 0.000_013_333_4;
const X86_DOLLARS: f64 = 0.000_016_666_7;
const REQUEST_DOLLARS: f64 = 0.000_000_2;

/// What CloudWatch keeps as a metric: what alarms watch, and the few counts of a stack that are worth a curve. CloudWatch
/// bills each by the hour in which it is sent, so all others are fields of the line, which Logs Insights finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Feeds whose last run failed.
    FailedFeeds,
    /// Collections that lack something.
    IncompleteCollections,
    /// Time since which the feed that is furthest behind is read.
    LagSeconds,
    /// Time since the table was found equal to HubSpot for which that is longest ago.
    ReconciliationAgeSeconds,
    /// The same of refreshes.
    RefreshAgeSeconds,
    /// The share of the account's calls of the day that is used, by all its apps.
    DailyCallsUsedPercent,
    /// Whether the last load failed.
    FailedLoads,
    /// The age of the oldest staged file that is not merged.
    LoadLagSeconds,
    /// Rows that were staged.
    Rows,
    /// Calls to HubSpot.
    Calls,
    /// Rows that were merged.
    MergedRows,
}

impl Metric {
    pub const ALL: [Metric; 11] = [
        Metric::FailedFeeds,
        Metric::IncompleteCollections,
        Metric::LagSeconds,
        Metric::ReconciliationAgeSeconds,
        Metric::RefreshAgeSeconds,
        Metric::DailyCallsUsedPercent,
        Metric::FailedLoads,
        Metric::LoadLagSeconds,
        Metric::Rows,
        Metric::Calls,
        Metric::MergedRows,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Metric::FailedFeeds => "FailedFeeds",
            Metric::IncompleteCollections => "IncompleteCollections",
            Metric::LagSeconds => "LagSeconds",
            Metric::ReconciliationAgeSeconds => "ReconciliationAgeSeconds",
            Metric::RefreshAgeSeconds => "RefreshAgeSeconds",
            Metric::DailyCallsUsedPercent => "DailyCallsUsedPercent",
            Metric::FailedLoads => "FailedLoads",
            Metric::LoadLagSeconds => "LoadLagSeconds",
            Metric::Rows => "Rows",
            Metric::Calls => "Calls",
            Metric::MergedRows => "MergedRows",
        }
    }

    /// `true`: its values of several runs add up.
    pub(crate) fn is_sum(self) -> bool {
        matches!(self, Metric::Rows | Metric::Calls | Metric::MergedRows)
    }

    /// The unit in OpenTelemetry's words (<https://ucum.org/ucum>).
    pub(crate) fn ucum_unit(self) -> &'static str {
        match self.unit() {
            "Seconds" => "s",
            "Percent" => "%",
            _ => "1",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Metric::LagSeconds
            | Metric::ReconciliationAgeSeconds
            | Metric::RefreshAgeSeconds
            | Metric::LoadLagSeconds => "Seconds",
            Metric::DailyCallsUsedPercent => "Percent",
            _ => "Count",
        }
    }
}

/// The line of one invocation: its metrics, whose one dimension is `Stack`, and its fields.
#[derive(Debug)]
pub struct Metrics {
    definitions: Vec<Value>,
    root: Map<String, Value>,
    stack: String,
    points: Vec<Point>,
}

/// One number for OpenTelemetry, which does not bill by metric: that of a stack, or of one of its parts.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) metric: Metric,
    /// The kind of the part and its name, such as `collection` and `deals`.
    pub(crate) of: Option<(&'static str, String)>,
    pub(crate) value: f64,
}

impl Metrics {
    pub fn new(stack: &str, function: &str) -> Metrics {
        let root =
            Map::from_iter([("Stack".to_owned(), json!(stack)), ("Function".to_owned(), json!(function))]);
        Metrics { definitions: Vec::new(), root, stack: stack.to_owned(), points: Vec::new() }
    }

    pub(crate) fn stack(&self) -> &str {
        &self.stack
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    pub fn add(&mut self, metric: Metric, value: f64) {
        self.points.push(Point { metric, of: None, value });
        self.define(metric, value);
    }

    fn define(&mut self, metric: Metric, value: f64) {
        self.definitions.push(json!({"Name": metric.name(), "Unit": metric.unit()}));
        self.root.insert(metric.name().to_owned(), json!(value));
    }

    /// Adds a count of several parts of this kind: their sum, and for OpenTelemetry each of them. A sum of zero, which
    /// says nothing, is a field alone.
    pub fn count_each<N: Into<String>>(
        &mut self,
        metric: Metric,
        kind: &'static str,
        counts: impl IntoIterator<Item = (N, u64)>,
    ) {
        let mut sum = 0;
        for (name, count) in counts {
            sum += count;
            if count > 0 {
                self.points.push(Point { metric, of: Some((kind, name.into())), value: count as f64 });
            }
        }
        match sum {
            0 => self.field(metric.name(), 0),
            sum => self.define(metric, sum as f64),
        }
    }

    /// Adds something that is in the line, and no metric.
    pub fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.root.insert(name.to_owned(), value.into());
    }

    fn line(mut self, timestamp_ms: u64) -> String {
        if !self.definitions.is_empty() {
            let directive = json!({
                "Namespace": NAMESPACE,
                "Dimensions": [["Stack"]],
                "Metrics": self.definitions,
            });
            let metadata = json!({"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]});
            self.root.insert("_aws".to_owned(), metadata);
        }
        Value::Object(self.root).to_string()
    }

    pub(crate) fn into_line(self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.line(u64::try_from(now.as_millis()).unwrap_or(0))
    }
}

/// Dollars that so much time costs in this process's architecture, with one request.
pub fn compute_dollars(memory_mb: u32, seconds: f64) -> f64 {
    let rate = if cfg!(target_arch = "aarch64") { ARM_DOLLARS } else { X86_DOLLARS };
    f64::from(memory_mb) / 1024.0 * seconds * rate + REQUEST_DOLLARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_its_metrics_and_no_field() {
        let mut metrics = Metrics::new("hubspot", "deals");
        metrics.count_each(Metric::Rows, "collection", [("deals", 5), ("companies", 2), ("contacts", 0)]);
        metrics.count_each(Metric::Calls, "feed", [("deals", 0)]);
        metrics.field("run_id", "run-1");
        let points = metrics.points().iter().map(|point| (point.metric, point.value));
        assert_eq!(points.collect::<Vec<_>>(), [(Metric::Rows, 5.0), (Metric::Rows, 2.0)]);
        let line: Value = serde_json::from_str(&metrics.line(1_790_000_000_000)).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_790_000_000_000_u64);
        assert_eq!(directive["Metrics"], json!([{"Name": "Rows", "Unit": "Count"}]));
        assert_eq!(directive["Dimensions"], json!([["Stack"]]));
        assert_eq!((&line["Stack"], &line["Function"]), (&json!("hubspot"), &json!("deals")));
        assert_eq!(
            (&line["Rows"], &line["Calls"], &line["run_id"]),
            (&json!(7.0), &json!(0), &json!("run-1"))
        );
    }

    #[test]
    fn a_line_without_metrics_is_plain() {
        let mut metrics = Metrics::new("hubspot", "deals");
        metrics.field("outcome", "complete");
        assert!(!metrics.line(0).contains("_aws"));
    }

    #[test]
    fn each_metric_is_listed_once() {
        let names: std::collections::BTreeSet<&str> =
            Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}

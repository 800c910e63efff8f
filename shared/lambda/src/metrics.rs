//! One line for each invocation, from which CloudWatch makes metrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use serde_json::{Map, Value, json};

pub const NAMESPACE: &str = "HubspotSource";

/// <https://aws.amazon.com/lambda/pricing/>, us-east-1, the first tier: dollars for a gigabyte-second, and for a
/// request.
const ARM_DOLLARS: f64 = 0.000_013_333_4;
const X86_DOLLARS: f64 = 0.000_016_666_7;
const REQUEST_DOLLARS: f64 = 0.000_000_2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
    Bytes,
    Percent,
    None,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Seconds => "Seconds",
            Unit::Bytes => "Bytes",
            Unit::Percent => "Percent",
            Unit::None => "None",
        }
    }
}

/// The metrics of one invocation, under the dimensions `Stack` and `Function`.
#[derive(Debug)]
pub struct Metrics {
    definitions: Vec<Value>,
    root: Map<String, Value>,
}

impl Metrics {
    pub fn new(stack: &str, function: &str) -> Metrics {
        let root =
            Map::from_iter([("Stack".to_owned(), json!(stack)), ("Function".to_owned(), json!(function))]);
        Metrics { definitions: Vec::new(), root }
    }

    pub fn add(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        let name = name.into();
        self.definitions.push(json!({"Name": name, "Unit": unit.name()}));
        self.root.insert(name, json!(value));
    }

    /// A count; CloudWatch bills each metric of each hour, so zero, which says nothing, is left out.
    pub fn count(&mut self, name: impl Into<String>, value: u64) {
        if value > 0 {
            self.add(name, Unit::Count, value as f64);
        }
    }

    /// One where something was so; also zero, from which an alarm sees that it is over.
    pub fn flag(&mut self, name: &str, is_so: bool) {
        self.add(name, Unit::Count, f64::from(u8::from(is_so)));
    }

    /// Something that is in the line, but is no metric.
    pub fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.root.insert(name.to_owned(), value.into());
    }

    fn line(mut self, timestamp_ms: u64) -> String {
        let directive = json!({
            "Namespace": NAMESPACE,
            "Dimensions": [["Stack", "Function"]],
            "Metrics": self.definitions,
        });
        self.root
            .insert("_aws".to_owned(), json!({"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]}));
        Value::Object(self.root).to_string()
    }

    /// Writes the line to stdout, where the Lambda service finds it.
    #[allow(clippy::print_stdout, reason = "the line is read from stdout")]
    pub fn emit(self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        println!("{}", self.line(u64::try_from(now.as_millis()).unwrap_or(0)));
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
    fn a_line_defines_what_it_holds() {
        let mut metrics = Metrics::new("hubspot", "deals");
        metrics.add("Rows", Unit::Count, 7.0);
        metrics.note("run_id", "run-1");
        let line: Value = serde_json::from_str(&metrics.line(1_790_000_000_000)).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_790_000_000_000_u64);
        assert_eq!(directive["Metrics"], json!([{"Name": "Rows", "Unit": "Count"}]));
        for dimension in directive["Dimensions"][0].as_array().unwrap() {
            assert!(line[dimension.as_str().unwrap()].is_string());
        }
        assert_eq!((&line["Rows"], &line["run_id"]), (&json!(7.0), &json!("run-1")));
    }
}

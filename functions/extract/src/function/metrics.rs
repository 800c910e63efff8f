//! What one invocation measured, as CloudWatch metrics.

use extract::RunReport;
use lambda::{Invocation, Metrics, Unit, compute_dollars};

use super::Function;

impl Function {
    pub(super) fn metrics(&self, report: &RunReport, is_failed: bool, invocation: &Invocation) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, self.config.feed.name());
        let mut count = |name: &str, value: u64| metrics.add(name, Unit::Count, value as f64);
        let sum =
            |of: fn(&extract::CollectionRecord) -> u64| report.collections.values().map(of).sum::<u64>();
        count("Rows", sum(|collection| collection.rows));
        count("DeletedRows", sum(|collection| collection.deleted));
        count("UnparsedValues", sum(|collection| collection.unparsed_values));
        count("Files", sum(|collection| collection.files));
        for (name, collection) in &report.collections {
            count(&format!("Rows_{name}"), collection.rows);
        }
        count("Calls", report.api.values().map(|usage| usage.calls).sum());
        count("RefusedCalls", report.api.values().map(|usage| usage.rate_limited).sum());
        let is_incomplete = report.collections.iter().any(|(name, collection)| {
            self.config.collections.contains(name.as_str()) && collection.outcome == "skipped"
        });
        count("FailedRuns", u64::from(is_failed));
        count("IncompleteRuns", u64::from(is_incomplete));
        count("StoppedRuns", u64::from(report.outcome == "stopped"));
        metrics.add("StagedBytes", Unit::Bytes, sum(|collection| collection.bytes) as f64);
        if let Some(lag) = report.lag_seconds {
            metrics.add("LagSeconds", Unit::Seconds, lag);
        }
        if let Some((limit, left)) = report.daily
            && limit > 0
        {
            let used = limit.saturating_sub(left) as f64 / limit as f64;
            metrics.add("DailyCallsUsedPercent", Unit::Percent, used * 100.0);
        }
        let seconds = invocation.started.elapsed().as_secs_f64();
        metrics.add("CostDollars", Unit::None, compute_dollars(invocation.memory_mb, seconds));
        metrics.note("run_id", report.run_id.as_str());
        metrics.note("outcome", report.outcome.as_str());
        metrics.note("request_id", invocation.request_id.as_str());
        metrics
    }
}

//! Measurements of one invocation, as CloudWatch metrics.

use extract::{End, RunReport};
use lambda::{Invocation, Metrics, Unit, compute_dollars};

use super::Function;

impl Function {
    pub(super) fn metrics(&self, report: &RunReport, is_failed: bool, invocation: &Invocation) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, self.config.feed.name());
        let sum =
            |of: fn(&extract::CollectionRecord) -> u64| report.collections.values().map(of).sum::<u64>();
        if report.is_snapshot() {
            metrics.count("SnapshotIds", sum(|collection| collection.rows));
        } else {
            metrics.count("Rows", sum(|collection| collection.rows));
            metrics.count("DeletedRows", sum(|collection| collection.deleted));
            metrics.count("UnparsedValues", sum(|collection| collection.unparsed_values));
            for (name, collection) in &report.collections {
                metrics.count(format!("Rows_{name}"), collection.rows);
            }
        }
        metrics.count("Files", sum(|collection| collection.files));
        metrics.count("Calls", report.api.values().map(|usage| usage.calls).sum());
        metrics.count("RefusedCalls", report.api.values().map(|usage| usage.rate_limited).sum());
        metrics.count("QuarantinedThings", sum(|collection| collection.quarantined_count));
        let is_incomplete = |(name, collection): (&String, &extract::CollectionRecord)| {
            self.config.collections.contains(name.as_str())
                && matches!(collection.outcome, End::Skipped | End::Incomplete)
        };
        metrics.flag("FailedRuns", is_failed);
        metrics.flag("IncompleteRuns", report.collections.iter().any(is_incomplete));
        metrics.count("StoppedRuns", u64::from(report.outcome == End::Stopped));
        metrics.add("StagedBytes", Unit::Bytes, sum(|collection| collection.bytes) as f64);
        // A snapshot has no lag: what it shows is compared, and read by other runs.
        if let Some(lag) = report.lag_seconds.filter(|_| !report.is_snapshot()) {
            metrics.add("LagSeconds", Unit::Seconds, lag);
        }
        if let Some(newest) = report.newest_change_seconds.filter(|_| !report.is_snapshot()) {
            metrics.add("NewestChangeSeconds", Unit::Seconds, newest);
        }
        for (name, since_ms) in
            [("ReconciliationAgeSeconds", report.reconciled_ms), ("RefreshAgeSeconds", report.refreshed_ms)]
        {
            if let Some(since_ms) = since_ms {
                let age_ms = chrono::Utc::now().timestamp_millis() - since_ms;
                metrics.add(name, Unit::Seconds, age_ms.max(0) as f64 / 1000.0);
            }
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
        metrics.note("outcome", report.outcome.name());
        metrics.note("request_id", invocation.request_id.as_str());
        metrics
    }
}

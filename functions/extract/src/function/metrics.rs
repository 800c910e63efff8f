//! Measurements of one invocation, as CloudWatch metrics. CloudWatch bills each name by month, so the function that reads
//! many feeds has the same names for all of them: the runs count, and the run that starts them tells the worst.

use extract::{End, FurtherReport, RunReport};
use lambda::{Invocation, Metrics, Unit, compute_dollars};

use super::Function;

impl Function {
    /// Metrics of one feed's run.
    pub(super) fn metrics(&self, report: &RunReport, is_failed: bool, invocation: &Invocation) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, &self.config.name);
        counts(&mut metrics, report);
        if self.config.feed.is_some() {
            for (name, collection) in report.collections.iter().filter(|_| !report.is_snapshot()) {
                metrics.count(format!("Rows_{name}"), collection.rows);
            }
            let is_incomplete = |(name, collection): (&String, &extract::CollectionRecord)| {
                self.config.names.select(name) && matches!(collection.outcome, End::Skipped | End::Incomplete)
            };
            metrics.flag("FailedRuns", is_failed);
            metrics.flag("IncompleteRuns", report.collections.iter().any(is_incomplete));
            // A snapshot has no lag: what it shows is compared, and read by other runs.
            if let Some(lag) = report.lag_seconds.filter(|_| !report.is_snapshot()) {
                metrics.add("LagSeconds", Unit::Seconds, lag);
            }
            if let Some(newest) = report.newest_change_seconds.filter(|_| !report.is_snapshot()) {
                metrics.add("NewestChangeSeconds", Unit::Seconds, newest);
            }
            ages(&mut metrics, report.reconciled_ms, report.refreshed_ms);
        }
        cost(&mut metrics, invocation);
        metrics.note("run_id", report.run_id.as_str());
        metrics.note("feed", report.feed.as_str());
        metrics.note("outcome", report.outcome.name());
        metrics
    }

    /// Metrics of the run that starts the runs of many feeds: those that alarms watch, as the worst of them.
    pub(super) fn further_metrics(
        &self,
        report: &FurtherReport,
        is_failed: bool,
        invocation: &Invocation,
    ) -> Metrics {
        let standing = &report.standing;
        let mut metrics = Metrics::new(&self.config.stack, &self.config.name);
        metrics.flag("FailedRuns", is_failed || !standing.failed.is_empty());
        let is_incomplete = report.outcome == End::Incomplete || !standing.incomplete.is_empty();
        metrics.flag("IncompleteRuns", is_incomplete);
        metrics.count("StoppedRuns", u64::from(report.outcome == End::Stopped));
        // Where nothing is wanted, nothing is behind; without a value the alarm would take it for a week.
        metrics.add("LagSeconds", Unit::Seconds, standing.lag_seconds.unwrap_or(0.0));
        ages(&mut metrics, standing.reconciled_ms, standing.refreshed_ms);
        cost(&mut metrics, invocation);
        metrics.note("run_id", report.run_id.as_str());
        metrics.note("outcome", report.outcome.name());
        metrics
    }
}

/// Counts of one run.
fn counts(metrics: &mut Metrics, report: &RunReport) {
    let sum = |of: fn(&extract::CollectionRecord) -> u64| report.collections.values().map(of).sum::<u64>();
    if report.is_snapshot() {
        metrics.count("SnapshotIds", sum(|collection| collection.rows));
    } else {
        metrics.count("Rows", sum(|collection| collection.rows));
        metrics.count("DeletedRows", sum(|collection| collection.deleted));
        metrics.count("UnparsedValues", sum(|collection| collection.unparsed_values));
    }
    metrics.count("Files", sum(|collection| collection.files));
    metrics.count("Calls", report.api.values().map(|usage| usage.calls).sum());
    metrics.count("RefusedCalls", report.api.values().map(|usage| usage.rate_limited).sum());
    metrics.count("QuarantinedThings", sum(|collection| collection.quarantined_count));
    metrics.count("StoppedRuns", u64::from(report.outcome == End::Stopped));
    metrics.add("StagedBytes", Unit::Bytes, sum(|collection| collection.bytes) as f64);
    if let Some((limit, left)) = report.daily
        && limit > 0
    {
        let used = limit.saturating_sub(left) as f64 / limit as f64;
        metrics.add("DailyCallsUsedPercent", Unit::Percent, used * 100.0);
    }
}

/// Times since a table was found equal to HubSpot.
fn ages(metrics: &mut Metrics, reconciled_ms: Option<i64>, refreshed_ms: Option<i64>) {
    for (name, since_ms) in [("ReconciliationAgeSeconds", reconciled_ms), ("RefreshAgeSeconds", refreshed_ms)]
    {
        if let Some(since_ms) = since_ms {
            let age_ms = chrono::Utc::now().timestamp_millis() - since_ms;
            metrics.add(name, Unit::Seconds, age_ms.max(0) as f64 / 1000.0);
        }
    }
}

fn cost(metrics: &mut Metrics, invocation: &Invocation) {
    let seconds = invocation.started.elapsed().as_secs_f64();
    metrics.add("CostDollars", Unit::None, compute_dollars(invocation.memory_mb, seconds));
    metrics.note("request_id", invocation.request_id.as_str());
}

//! The line of one invocation: metrics of CloudWatch, and fields.
//!
//! CloudWatch bills each metric, so a stack has the same ones whatever the number of its feeds. What alarms watch tells
//! how all of them stand, and each run reports it anew: an alarm stays on while one of them is in trouble, whichever ran
//! last. Who it is stands in the fields.

use extract::{FurtherReport, RunReport, Standing};
use lambda::{Invocation, Metric, Metrics};
use serde_json::{Map, Value};

use super::Function;

impl Function {
    /// The line of one feed's run; `standing` is that of all feeds, if the run reports it.
    pub(super) fn metrics(
        &self,
        report: &RunReport,
        is_failed: bool,
        standing: Option<&anyhow::Result<Standing>>,
        invocation: &Invocation,
    ) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, &self.config.name);
        if let Some(standing) = standing {
            stand(&mut metrics, standing, is_failed);
        }
        counts(&mut metrics, report);
        metrics.field("feed", report.feed.as_str());
        metrics.field("outcome", report.outcome.name());
        metrics.field("run_id", report.run_id.as_str());
        cost(&mut metrics, invocation);
        metrics
    }

    /// The line of the run that starts the runs of many feeds.
    pub(super) fn further_metrics(
        &self,
        report: &FurtherReport,
        is_failed: bool,
        standing: &anyhow::Result<Standing>,
        invocation: &Invocation,
    ) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, &self.config.name);
        stand(&mut metrics, standing, is_failed);
        metrics.field("started", report.started.len());
        metrics.field("outcome", report.outcome.name());
        metrics.field("run_id", report.run_id.as_str());
        cost(&mut metrics, invocation);
        metrics
    }
}

/// Adds what alarms watch. A run that failed counts, whether or not the state could take its report.
fn stand(metrics: &mut Metrics, standing: &anyhow::Result<Standing>, is_failed: bool) {
    let standing = match standing {
        Ok(standing) => standing,
        // Nobody knows that any of them is well.
        Err(error) => {
            metrics.add(Metric::FailedFeeds, 1.0);
            metrics.field("reason", format!("{error:#}"));
            return;
        }
    };
    let failed = standing.failed.len().max(usize::from(is_failed));
    metrics.add(Metric::FailedFeeds, failed as f64);
    metrics.add(Metric::IncompleteCollections, standing.incomplete.len() as f64);
    // Where nothing is wanted, nothing is behind; without a value the alarm would take it for a week.
    metrics.add(Metric::LagSeconds, standing.lag_seconds.unwrap_or(0.0));
    let ages = [
        (Metric::ReconciliationAgeSeconds, standing.reconciled_ms),
        (Metric::RefreshAgeSeconds, standing.refreshed_ms),
    ];
    for (metric, since_ms) in ages {
        if let Some(since_ms) = since_ms {
            let age_ms = chrono::Utc::now().timestamp_millis() - since_ms;
            metrics.add(metric, age_ms.max(0) as f64 / 1000.0);
        }
    }
    let names = |map: &std::collections::BTreeMap<String, String>| -> Value { map.keys().cloned().collect() };
    metrics.field("failed", names(&standing.failed));
    metrics.field("incomplete", names(&standing.incomplete));
    metrics.field("furthest_behind", standing.furthest_behind.clone());
}

/// Counts of one run.
fn counts(metrics: &mut Metrics, report: &RunReport) {
    let sum = |of: fn(&extract::CollectionRecord) -> u64| report.collections.values().map(of).sum::<u64>();
    if report.is_snapshot() {
        metrics.field("SnapshotIds", sum(|collection| collection.rows));
    } else {
        let rows = report.collections.iter().map(|(name, collection)| (name.clone(), collection.rows));
        metrics.count_each(Metric::Rows, "collection", rows);
        let with_rows = report.collections.iter().filter(|(_, collection)| collection.rows > 0);
        let by_collection = with_rows.map(|(name, collection)| (name.clone(), collection.rows.into()));
        metrics.field("RowsOf", by_collection.collect::<Map<_, _>>());
        metrics.field("DeletedRows", sum(|collection| collection.deleted));
        metrics.field("UnparsedValues", sum(|collection| collection.unparsed_values));
        metrics.field("lag_seconds", report.lag_seconds);
        metrics.field("newest_change_seconds", report.newest_change_seconds);
    }
    let calls = report.api.values().map(|usage| usage.calls).sum();
    metrics.count_each(Metric::Calls, "feed", [(report.feed.clone(), calls)]);
    metrics.field("RefusedCalls", report.api.values().map(|usage| usage.rate_limited).sum::<u64>());
    metrics.field("Files", sum(|collection| collection.files));
    metrics.field("StagedBytes", sum(|collection| collection.bytes));
    metrics.field("QuarantinedThings", sum(|collection| collection.quarantined_count));
    if let Some((limit, left)) = report.daily
        && limit > 0
    {
        let used = limit.saturating_sub(left) as f64 / limit as f64;
        metrics.add(Metric::DailyCallsUsedPercent, used * 100.0);
    }
}

fn cost(metrics: &mut Metrics, invocation: &Invocation) {
    metrics.field("CostDollars", invocation.dollars());
    metrics.field("request_id", invocation.request_id.as_str());
}

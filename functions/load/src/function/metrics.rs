//! The line of one invocation: metrics of CloudWatch, and fields.

use lambda::{Invocation, Metric, Metrics};
use load::{LoadReport, Reconciled, TableReport};

use super::{Function, NAME};

impl Function {
    pub(super) fn metrics(&self, report: &LoadReport, invocation: &Invocation) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, NAME);
        let sum = |of: fn(&TableReport) -> u64| report.tables.values().map(of).sum::<u64>();
        let is_failed = report.outcome == "failed";
        metrics.add(Metric::FailedLoads, f64::from(u8::from(is_failed)));
        metrics.add(Metric::LoadLagSeconds, report.lag_seconds);
        let merged = report.tables.iter().map(|(name, table)| (name.clone(), table.merged_rows));
        metrics.count_each(Metric::MergedRows, "collection", merged);
        metrics.field("StagedRows", sum(|table| table.staged_rows));
        metrics.field("Files", sum(|table| table.files));
        metrics.field("Statements", sum(|table| table.statements));
        metrics.field("PendingFiles", report.pending_files);
        let differing = report.reconciled.iter().map(|(name, found)| (name, Reconciled::records(found)));
        let differing = differing.filter(|(_, records)| *records > 0);
        let differing = differing.map(|(name, records)| (name.clone(), records.into()));
        metrics.field("DifferingRecords", differing.collect::<serde_json::Map<_, _>>());
        metrics.field("CostDollars", invocation.dollars());
        metrics.field("run_id", report.run_id.as_str());
        metrics.field("outcome", report.outcome.as_str());
        metrics.field("request_id", invocation.request_id.as_str());
        metrics
    }
}

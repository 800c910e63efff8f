//! Measurements of one invocation, as CloudWatch metrics.

use lambda::{Invocation, Metrics, Unit, compute_dollars};
use load::{LoadReport, Reconciled, TableReport};

use super::{Function, NAME};

impl Function {
    pub(super) fn metrics(&self, report: &LoadReport, invocation: &Invocation) -> Metrics {
        let mut metrics = Metrics::new(&self.config.stack, NAME);
        let sum = |of: fn(&TableReport) -> u64| report.tables.values().map(of).sum::<u64>();
        metrics.count("StagedRows", sum(|table| table.staged_rows));
        metrics.count("MergedRows", sum(|table| table.merged_rows));
        metrics.count("Files", sum(|table| table.files));
        metrics.count("Statements", sum(|table| table.statements));
        metrics.count("PendingFiles", report.pending_files);
        metrics.count("DifferingRecords", report.reconciled.values().map(Reconciled::records).sum());
        // CloudWatch bills each name: an account may have any number of other objects.
        for (name, reconciled) in report.reconciled.iter().filter(|(name, _)| self.config.is_segments(name)) {
            metrics.count(format!("DifferingRecords_{name}"), reconciled.records());
        }
        metrics.flag("FailedRuns", report.outcome == "failed");
        metrics.count("StoppedRuns", u64::from(report.outcome == "stopped"));
        metrics.add("LagSeconds", Unit::Seconds, report.lag_seconds);
        let dollars = compute_dollars(invocation.memory_mb, invocation.started.elapsed().as_secs_f64());
        metrics.add("CostDollars", Unit::None, dollars);
        metrics.note("run_id", report.run_id.as_str());
        metrics.note("outcome", report.outcome.as_str());
        metrics.note("request_id", invocation.request_id.as_str());
        metrics
    }
}

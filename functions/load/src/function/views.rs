//! Views behind a load. They never make it fail: rows are where they belong.

use lambda::Invocation;
use load::LoadReport;
use warehouse::Warehouse;

use super::Function;

impl Function {
    /// Brings the views of another product to the tables, where that is wanted and something was merged.
    pub(super) async fn keep_views(
        &self,
        warehouse: &dyn Warehouse,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) {
        let has_merged = report.tables.values().any(|table| table.files > 0);
        if self.config.compat.is_none() || !has_merged {
            return;
        }
        let (url, schema) = (&self.config.warehouse_url, &self.config.schema);
        let kept = compat::keep(warehouse, url, schema, invocation.deadline).await;
        for text in kept.unwrap_or_else(|error| vec![format!("no views could be kept: {error:#}")]) {
            tracing::warn!("{text}");
            report.degraded.push(text);
        }
    }
}

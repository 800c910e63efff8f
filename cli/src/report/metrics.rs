//! The numbers of a sync for OpenTelemetry, under the names that a stack's have.

use extract::Outcome;
use lambda::{Metric, Metrics};

use super::{CollectionReport, Report};

impl Report {
    /// Returns the metrics of a sync into this schema, which stands in the place of a stack.
    pub(crate) fn metrics(&self, schema: &str) -> Metrics {
        let mut metrics = Metrics::new(schema, "sync");
        let of = |count: fn(&CollectionReport) -> u64| {
            self.collections.iter().map(move |(name, collection)| (name.clone(), count(collection)))
        };
        metrics.count_each(Metric::Rows, "collection", of(|collection| collection.rows));
        metrics.count_each(Metric::MergedRows, "collection", of(|collection| collection.merged_rows));
        let calls: u64 = self.api.values().map(|usage| usage.calls).sum();
        metrics.add(Metric::Calls, calls as f64);
        let incomplete =
            self.collections.values().filter(|collection| collection.outcome != Outcome::Complete);
        metrics.add(Metric::IncompleteCollections, incomplete.count() as f64);
        metrics
    }
}

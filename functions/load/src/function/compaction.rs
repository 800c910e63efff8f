//! Compaction behind a load. It never makes a load fail: rows are where they belong, and the next load tries again.

use std::collections::BTreeSet;

use lambda::{Failure, Invocation};
use load::{CompactOptions, LoadReport, is_compaction_due};
use warehouse::Warehouse;

use super::Function;

impl Function {
    pub(super) fn compact_options(&self, collection: &str, invocation: &Invocation) -> CompactOptions {
        CompactOptions {
            keeps_versions: self.config.modes.of(collection).history,
            retention: self.config.retention(),
            deadline: Some(invocation.deadline),
            ..CompactOptions::default()
        }
    }

    /// Returns the collections whose files may have been kept long enough, whether anything new was staged or not.
    pub(super) async fn of_retention(&self) -> BTreeSet<String> {
        if self.config.retention().is_none() {
            return BTreeSet::new();
        }
        let mut collections = self.state.collections().await.unwrap_or_else(|error| {
            tracing::warn!("it is not known which staged files were kept long enough: {error:#}");
            BTreeSet::new()
        });
        collections.retain(|name| self.config.is_wanted(name));
        collections
    }

    /// Compacts those of the collections that are due. Connects to the warehouse if that is not done yet.
    pub(super) async fn compact_due(
        &self,
        collections: BTreeSet<String>,
        connected: Option<&dyn Warehouse>,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> Result<(), Failure> {
        let mut own: Option<Box<dyn Warehouse>> = None;
        for collection in collections {
            let options = self.compact_options(&collection, invocation);
            match is_compaction_due(&collection, &self.state, &options).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    note(report, &collection, &error);
                    continue;
                }
            }
            if connected.is_none() && own.is_none() {
                own = Some(self.connect().await?);
            }
            let Some(warehouse) = connected.or(own.as_deref()) else { continue };
            match load::compact(&collection, &self.state, &self.bucket, warehouse, &options).await {
                Ok(done) if done.has_worked() => _ = report.compacted.insert(collection, done),
                Ok(_) => {}
                Err(error) => note(report, &collection, &error),
            }
        }
        Ok(())
    }
}

fn note(report: &mut LoadReport, collection: &str, error: &anyhow::Error) {
    tracing::warn!(collection.name = collection, "{error:#}");
    report.degraded.push(format!("{collection}: {error:#}"));
}

//! Staged files that somebody has removed. A load that needs one fails, until it is back or a run over everything has
//! read its rows again: that run strikes it off.

use staging::{Lease, StagedFile, Table};

use crate::Run;
use crate::report::FeedReport;

/// Strikes off what is gone of the files that were registered before the run over everything began. Whatever keeps it
/// from that is in the report, and the next such run does it.
pub(crate) async fn strike_off(
    run: &Run,
    lease: &Lease,
    tables: &[Table],
    whole_since_ms: i64,
    report: &mut FeedReport,
) {
    for table in tables {
        let text = match of_collection(run, lease, &table.collection, whole_since_ms).await {
            Ok(0) => continue,
            Ok(files) => format!(
                "{files} staged files had been removed, and loads do without them now: this run has read their rows \
                 again, as far as HubSpot shows them, and events of the past month (--since reads earlier ones)"
            ),
            Err(error) => format!("it is not known whether staged files were removed: {error:#}"),
        };
        tracing::warn!(collection.name = table.collection, "{text}");
        if let Some(of_table) = report.collections.iter_mut().find(|report| report.name == table.collection) {
            of_table.degraded.push(text);
        }
    }
}

async fn of_collection(
    run: &Run,
    lease: &Lease,
    collection: &str,
    whole_since_ms: i64,
) -> anyhow::Result<usize> {
    let is_shared = hubspot::feeds::is_shared(collection);
    let mut files = run.state.registered_by(lease, collection, is_shared).await?;
    files.retain(|file: &StagedFile| file.staged_at.timestamp_millis() < whole_since_ms);
    if files.is_empty() {
        return Ok(0);
    }
    let lost = run.bucket.lost(&files).await?;
    if !lost.is_empty() {
        run.state.strike_off(lease, &lost).await?;
    }
    Ok(lost.len())
}

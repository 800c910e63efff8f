//! Work and cost of each month.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::days::Days;
use super::sources::Sources;

/// Megabytes of the functions, as the template has them where nobody set its parameters.
const CONTACTS_MEMORY_MB: u32 = 256;
const EXTRACT_MEMORY_MB: u32 = 128;
const LOAD_MEMORY_MB: u32 = 512;

/// Work of one month.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Month {
    pub(super) reads: u64,
    pub(super) loads: u64,
    pub(super) read_seconds: f64,
    pub(super) load_seconds: f64,
    pub(super) calls: u64,
    pub(super) staged_bytes: u64,
    pub(super) merged_rows: u64,
    pub(super) statements: u64,
    /// Of AWS Lambda, in a stack.
    pub(super) dollars: f64,
}

/// Returns the months of these days, the latest first.
pub(super) fn months(sources: &Sources, days: &Days) -> Vec<(String, Month)> {
    let mut months: BTreeMap<String, Month> = BTreeMap::new();
    let of = |at: DateTime<Utc>| at.format("%Y-%m").to_string();
    for read in sources.reads.iter().filter(|read| read.at >= days.begin()) {
        let month = months.entry(of(read.at)).or_default();
        let report = &read.report;
        month.reads += 1;
        month.read_seconds += report.seconds;
        month.calls += report.api.values().map(|usage| usage.calls).sum::<u64>();
        month.staged_bytes += report.collections.values().map(|it| it.bytes).sum::<u64>();
        let memory_mb = if report.feed == "contacts" { CONTACTS_MEMORY_MB } else { EXTRACT_MEMORY_MB };
        month.dollars += lambda::compute_dollars(memory_mb, report.seconds);
    }
    for load in sources.loads.iter().filter(|load| load.at >= days.begin()) {
        let month = months.entry(of(load.at)).or_default();
        month.loads += 1;
        month.load_seconds += load.report.seconds;
        month.merged_rows += load.report.tables.values().map(|table| table.merged_rows).sum::<u64>();
        month.statements += load.report.tables.values().map(|table| table.statements).sum::<u64>();
        month.dollars += lambda::compute_dollars(LOAD_MEMORY_MB, load.report.seconds);
    }
    months.into_iter().rev().collect()
}

//! Reports of runs, from the state into the warehouse's `_runs`.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use staging::{RunRecord, State};
use warehouse::{RunRow, Warehouse};

/// Most runs of one feed that are read: more than there are between two loads that merge something.
const LATEST: usize = 100;

/// Adds the runs that the warehouse does not know yet, of all feeds and of `load`; answers with their number. To be
/// called after a load that has merged something: the runs of an account where nothing changes wait for the next one.
pub async fn record_runs(state: &State, warehouse: &dyn Warehouse) -> anyhow::Result<u64> {
    let mut rows = Vec::new();
    for name in state.recorded().await? {
        rows.extend(state.records(&name, LATEST).await?.iter().filter_map(row));
    }
    rows.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    warehouse.record_runs(&rows).await.context("the runs can't be recorded in the table _runs")
}

/// Makes the row of a report; `None` for one of another program.
fn row(record: &RunRecord) -> Option<RunRow> {
    let report = &record.report;
    let text = |name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
    let rows_of = |parts: &str, count: &str| -> u64 {
        let parts = report.get(parts).and_then(Value::as_object).into_iter().flat_map(|parts| parts.values());
        parts.filter_map(|part| part.get(count).and_then(Value::as_u64)).sum()
    };
    Some(RunRow {
        run_id: record.run_id.clone(),
        name: record.name.clone(),
        mode: text("mode"),
        outcome: text("outcome")?,
        reason: text("reason"),
        ended_at: DateTime::parse_from_rfc3339(&text("ended_at")?).ok()?.with_timezone(&Utc),
        seconds: report.get("seconds").and_then(Value::as_f64).filter(|seconds| seconds.is_finite())?,
        rows: rows_of("collections", "rows") + rows_of("tables", "merged_rows"),
        report: report.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_of_feeds_and_of_loads_become_rows() {
        let record = |report: Value| RunRecord { name: "deals".into(), run_id: "r1".into(), report };
        let read = json!({
            "mode": "backfill", "outcome": "stopped", "reason": "deadline", "ended_at": "2026-11-25T18:00:00.500Z",
            "seconds": 2.5, "collections": {"a": {"rows": 3}, "b": {"rows": 4}}
        });
        let row_of_read = row(&record(read)).unwrap();
        assert_eq!((row_of_read.rows, row_of_read.mode.as_deref()), (7, Some("backfill")));
        assert_eq!(row_of_read.ended_at.timestamp_millis() % 1000, 500);
        let load = json!({
            "outcome": "complete", "reason": null, "ended_at": "2026-11-25T18:00:00Z", "seconds": 1.0,
            "tables": {"a": {"merged_rows": 5, "staged_rows": 9}}
        });
        let row_of_load = row(&record(load)).unwrap();
        assert_eq!((row_of_load.rows, row_of_load.mode, row_of_load.reason), (5, None, None));
        assert_eq!(row(&record(json!({"outcome": "complete"}))), None);
    }
}

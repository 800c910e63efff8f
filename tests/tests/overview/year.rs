//! A year of runs in the table `_runs`, made from the reports of one real sync, and what is true of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use duckdb::Connection;
use duckdb::types::{TimeUnit, Value as Sql};
use serde_json::{Value, json};

pub(crate) const DAYS: u64 = 364;
/// Runs of a feed on a day, at equal distances.
const RUNS: u32 = 8;
/// Days ago on which deals fail all day.
pub(crate) const OUTAGE: u64 = 100;
/// Days ago on which contacts lack a record.
const QUARANTINE: u64 = 50;
/// Id of that record, and an address, which no page may show.
pub(crate) const RECORD: &str = "9021087";
pub(crate) const ADDRESS: &str = "ann.miller@example.com";

/// Figures of the page, by day.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Rows by day and table.
    pub(crate) rows: BTreeMap<NaiveDate, BTreeMap<String, u64>>,
    /// Calls by day and rate limit.
    pub(crate) calls: BTreeMap<NaiveDate, BTreeMap<String, u64>>,
    /// Runs by day and end.
    pub(crate) ends: BTreeMap<NaiveDate, BTreeMap<String, u64>>,
    pub(crate) unparsed: BTreeMap<NaiveDate, BTreeMap<String, u64>>,
    pub(crate) tables: BTreeSet<String>,
    pub(crate) runs: u64,
}

fn add<K: Ord>(of: &mut BTreeMap<NaiveDate, BTreeMap<K, u64>>, day: NaiveDate, key: K, number: u64) {
    *of.entry(day).or_default().entry(key).or_default() += number;
}

impl Truth {
    /// Reads the reports that the real sync left, and counts them.
    pub(crate) fn of_sync(database: &Connection) -> (Truth, Vec<Value>) {
        let mut truth = Truth::default();
        let mut query = database.prepare("SELECT report::VARCHAR FROM hubspot._runs").unwrap();
        let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let reports: Vec<Value> = rows.map(|text| serde_json::from_str(&text.unwrap()).unwrap()).collect();
        reports.iter().for_each(|report| truth.count(report));
        (truth, reports)
    }

    fn count(&mut self, report: &Value) {
        self.runs += 1;
        let Some(collections) = report["collections"].as_object() else { return };
        let ended: DateTime<Utc> = report["ended_at"].as_str().unwrap().parse().unwrap();
        let day = ended.date_naive();
        let mut is_degraded = false;
        for (name, collection) in collections {
            self.tables.insert(name.clone());
            add(&mut self.rows, day, name.clone(), collection["rows"].as_u64().unwrap());
            add(&mut self.unparsed, day, name.clone(), collection["unparsed_values"].as_u64().unwrap());
            is_degraded |= collection["degraded"].as_array().is_some_and(|texts| !texts.is_empty());
        }
        for (limit, usage) in report["api"].as_object().unwrap() {
            add(&mut self.calls, day, limit.clone(), usage["calls"].as_u64().unwrap());
        }
        let end = report["outcome"].as_str().unwrap();
        let end = if end == "complete" && is_degraded { "degraded" } else { end };
        add(&mut self.ends, day, end.to_owned(), 1);
    }
}

/// Adds a year of runs and loads behind those of the sync, as if they were recorded.
pub(crate) fn add_year(database: &Connection, reports: &[Value], truth: &mut Truth) {
    let today = Utc::now().date_naive();
    let feeds: Vec<&Value> = reports.iter().filter(|report| report["feed"].is_string()).collect();
    let mut appender = database.appender_to_catalog_and_db("_runs", &catalog(database), "hubspot").unwrap();
    for ago in (0..=DAYS).rev() {
        let day = today.checked_sub_days(Days::new(ago)).unwrap();
        for run in 0..RUNS {
            let at = day.and_hms_opt(run * 24 / RUNS, 10, 0).unwrap().and_utc();
            if at > Utc::now() - TimeDelta::hours(1) {
                break;
            }
            for (n, feed) in feeds.iter().enumerate() {
                let mut report = (*feed).clone();
                let ended = at + TimeDelta::seconds(n as i64);
                change(&mut report, ended, ago, n as u64);
                truth.count(&report);
                append(&mut appender, &report["feed"].clone(), &report, ended, n);
            }
            let ended = at + TimeDelta::minutes(5);
            let report = load(ended, ago, run);
            truth.count(&report);
            append(&mut appender, &json!("load"), &report, ended, feeds.len());
        }
    }
    appender.flush().unwrap();
}

/// Adds a day of runs of an object whose name is markup, and whose reasons are.
pub(crate) fn add_hostile(database: &Connection, reports: &[Value], name: &str) {
    let mut report = reports.iter().find(|report| report["feed"] == "deals").unwrap().clone();
    let ended = Utc::now() - TimeDelta::days(2);
    let mut collection = report["collections"]["deals"].clone();
    collection["degraded"] = json!([format!("column {name} has another type")]);
    collection["unparsed_values"] = json!(3);
    collection["rows"] = json!(1_000_000);
    (collection["outcome"], collection["reason"]) = (json!("failed"), json!(format!("HubSpot says {name}")));
    report["collections"] = json!({ name: collection });
    report["feed"] = json!(name);
    (report["outcome"], report["reason"]) = (json!("failed"), json!(format!("HubSpot says {name}")));
    stamp(&mut report, ended);
    let mut appender = database.appender_to_catalog_and_db("_runs", &catalog(database), "hubspot").unwrap();
    append(&mut appender, &json!(name), &report, ended, 99);
    let mut load = load(ended, 9, 0);
    load["tables"]["deals"]["columns"] = json!({ "new": [name] });
    append(&mut appender, &json!("load"), &load, ended, 98);
    appender.flush().unwrap();
}

fn catalog(database: &Connection) -> String {
    database.query_row("SELECT current_catalog()", [], |row| row.get(0)).unwrap()
}

fn stamp(report: &mut Value, ended: DateTime<Utc>) {
    report["ended_at"] = json!(ended.to_rfc3339());
    report["caught_up_ms"] = json!((ended - TimeDelta::minutes(1)).timestamp_millis());
}

/// Gives a run of `ago` days ago its figures.
fn change(report: &mut Value, ended: DateTime<Utc>, ago: u64, feed: u64) {
    stamp(report, ended);
    let run = u64::from(ended.hour()) / 3;
    let is_first = ago == DAYS && run == 0;
    let name = report["feed"].as_str().unwrap().to_owned();
    for (n, (_, collection)) in report["collections"].as_object_mut().unwrap().iter_mut().enumerate() {
        let mixed = (ago * 8 + run + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (feed * 64 + n as u64)) >> 33;
        let wave = mixed % 97;
        let weight = 3_u64.pow(((feed * 2 + n as u64 * 3) % 7) as u32);
        let is_weekend = matches!(ended.weekday(), Weekday::Sat | Weekday::Sun);
        let usual = (60 + wave) * weight / if is_weekend { 30 } else { 6 };
        collection["rows"] = json!(if is_first { 4_000 * weight + wave } else { usual });
        collection["unparsed_values"] = json!(u64::from(name == "contacts" && n == 0 && wave < 3));
        collection["degraded"] = json!([]);
    }
    report["seconds"] = json!(if is_first { 300.0 } else { 4.5 });
    report["api"] = json!({
        "general": { "calls": 40 + ago * ago * 7 % 23 + run, "retries": u64::from(ago.is_multiple_of(45)), "rate_limited": 0 },
        "search": { "calls": 4, "retries": 0, "rate_limited": 0 },
        "associations": { "calls": 2, "retries": 0, "rate_limited": 0 },
    });
    report["daily"] = json!([1_000_000, 1_000_000 - 12_000 - (ago % 30) * 900 - run * 300]);
    let mut end = |name: &str, outcome: &str, reason: String, rows: Option<u64>| {
        (report["outcome"], report["reason"]) = (json!(outcome), json!(reason));
        let collections = report["collections"].as_object_mut().unwrap();
        for (_, collection) in collections.iter_mut().filter(|(known, _)| rows.is_some() || *known == name) {
            (collection["outcome"], collection["reason"]) = (json!(outcome), json!(reason));
            if let Some(rows) = rows {
                (collection["rows"], collection["unparsed_values"]) = (json!(rows), json!(0));
            }
        }
    };
    match (ago, name.as_str()) {
        (OUTAGE, "deals") => {
            let reason = format!(
                "HubSpot answers 500 for record {RECORD} of \"{ADDRESS}\", {ADDRESS}, after 5 attempts"
            );
            end("deals", "failed", reason, Some(0));
            // It did not catch up.
            report["caught_up_ms"] = Value::Null;
        }
        (QUARANTINE, "contacts") => {
            let reason = format!("HubSpot answers badly for 1 of them: record {RECORD} (status 500)");
            end("contacts", "incomplete", reason, None);
        }
        (20..=22, "email_events") => {
            report["collections"]["email_events"]["degraded"] =
                json!(["sent_by is NULL: the scope content is missing"]);
        }
        _ => {}
    }
}

fn load(ended: DateTime<Utc>, ago: u64, run: u32) -> Value {
    let table = json!({
        "outcome": "complete", "reason": null, "files": 1, "staged_rows": 9, "merged_rows": 9, "bytes": 9_000,
        "statements": 4, "files_left": 0, "seconds": 1.0,
    });
    let mut report = json!({
        "run_id": "", "outcome": "complete", "reason": null, "ended_at": ended.to_rfc3339(), "seconds": 6.0,
        "tables": { "contacts": table, "deals": table }, "pending_files": 0, "lag_seconds": 0.0,
        "continuation": 0, "goes_on": false,
    });
    // A night's snapshot; each tenth before today's differs at first.
    let snapshot_ms = |days: u64| {
        let day = (Utc::now().date_naive() - Days::new(days)).and_hms_opt(1, 0, 0).unwrap();
        day.and_utc().timestamp_millis()
    };
    let found = |step: &str, differing: Value| json!({ "snapshot_ms": snapshot_ms(ago), "step": step, "differing": differing, "asked": 0, "is_whole": false });
    let differs = ago > 0 && ago.is_multiple_of(10);
    match run {
        1 if differs => {
            report["reconciled"] =
                json!({ "contacts": found("asked", json!({ "missing": 2, "outdated": 1 })) })
        }
        1 => report["reconciled"] = json!({ "contacts": found("equal", json!({})) }),
        2 if differs => report["reconciled"] = json!({ "contacts": found("equal", json!({})) }),
        _ => {}
    }
    report
}

fn append(appender: &mut duckdb::Appender<'_>, name: &Value, report: &Value, ended: DateTime<Utc>, n: usize) {
    let ms = ended.timestamp_millis();
    let run_id = format!("{:08x}-{:04x}-7000-8000-{n:012x}", ms >> 16, ms & 0xffff);
    let mut report = report.clone();
    report["run_id"] = json!(run_id);
    let text = |value: &Value| value.as_str().map_or(Sql::Null, |text| Sql::Text(text.to_owned()));
    let rows: u64 = report["collections"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, it)| it["rows"].as_u64().unwrap())
        .sum();
    let row = [
        Sql::Text(run_id),
        text(name),
        text(&report["mode"]),
        text(&report["outcome"]),
        text(&report["reason"]),
        Sql::Timestamp(TimeUnit::Microsecond, ended.timestamp_micros()),
        Sql::Double(report["seconds"].as_f64().unwrap()),
        Sql::BigInt(rows as i64),
        Sql::Text(report.to_string()),
    ];
    appender.append_row(duckdb::appender_params_from_iter(row)).unwrap();
}

//! The parameter `Freshness` at 5 minutes: how long an edit takes to its row, and what it costs in calls and dollars.

use std::time::Instant;

use fake_hubspot::{Account, Behaviour, Limits, ObjectType, Settings};
use hubspot::feeds::FEEDS;
use serde_json::{Value, json};
use tests::cloud::Cloud;
use tests::{Expectations, Sandbox, assert_objects_equal};

use super::event;

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Seconds between two runs, and runs in a month.
const EVERY: f64 = 300.0;
const RUNS_A_DAY: f64 = 86_400.0 / EVERY;
const DAYS: f64 = 30.0;
/// EventBridge Scheduler starts a target within a minute of its time:
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>.
const SCHEDULER_SECONDS: f64 = 60.0;
/// Calls of a day for an account of the tier Starter: shared/hubspot's README, from HubSpot's usage guidelines.
const DAILY_CALLS: f64 = 250_000.0;
const EDITS_A_DAY: f64 = 2_000.0;
const CONTACTS: f64 = 100_000.0;
/// What a call to HubSpot takes, and the start of a function.
const CALL_SECONDS: f64 = 0.25;
const START_SECONDS: f64 = 0.5;

/// Returns the number behind the first `key` in the template's event source mapping.
fn mapped(key: &str) -> f64 {
    let mapping = TEMPLATE.split_once("        OnStaged:\n").unwrap().1;
    let line = mapping.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {key}")).parse().unwrap()
}

/// `true`: a filter of Lambda lets the record pass
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>).
fn passes(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, pattern)| passes(pattern, &record[name])),
        Value::Array(allowed) => allowed.contains(record),
        other => panic!("{other} is no pattern"),
    }
}

/// The stream of the state's table, as far as Lambda has read it.
struct Mapping {
    pattern: Value,
    seen: usize,
}

impl Mapping {
    fn new() -> Mapping {
        let line = TEMPLATE.lines().find_map(|line| line.trim().strip_prefix("- Pattern: '"));
        let pattern = serde_json::from_str(line.unwrap().trim_end_matches('\'')).unwrap();
        Mapping { pattern, seen: 0 }
    }

    /// Returns the event of the records that came in and pass the filter; `None`: nothing is invoked.
    async fn event(&mut self, cloud: &Cloud) -> Option<Value> {
        let records = cloud.stream().await.split_off(self.seen);
        self.seen += records.len();
        let passing: Vec<Value> =
            records.into_iter().filter(|record| passes(&self.pattern, record)).collect();
        (!passing.is_empty()).then(|| json!({"Records": passing}))
    }
}

fn edit(account: &Account, edits: usize) {
    for id in account.live_ids(ObjectType::Contacts).into_iter().take(edits) {
        account.touch(ObjectType::Contacts, id).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_a_row_within_ten_minutes_for_a_twentieth_of_the_calls() {
    let behaviour =
        Behaviour { limits: Limits { daily: 250_000, ..Limits::default() }, ..Behaviour::default() };
    let cloud = Cloud::new(Sandbox::new(&Settings::default(), behaviour).await).await;
    let account = cloud.sandbox.account();
    let mut mapping = Mapping::new();
    for feed in FEEDS {
        cloud.invoke(feed.name(), &event("extract-schedule")).await.complete();
    }
    let staged = mapping.event(&cloud).await.expect("a first run stages files");
    cloud.invoke("load", &staged).await.complete();
    assert_objects_equal(
        &[ObjectType::Contacts],
        &cloud.sandbox.database(),
        account,
        &Expectations::default(),
    );

    // A run that finds nothing new invokes no load.
    for feed in FEEDS {
        cloud.invoke(feed.name(), &event("extract-schedule")).await.complete();
    }
    assert_eq!(mapping.event(&cloud).await, None);

    // One of the runs of a day with edits; the last reads came before them.
    let edits = (EDITS_A_DAY / RUNS_A_DAY).ceil() as usize;
    edit(account, edits);
    let started = Instant::now();
    let logs = cloud.log("contacts").len() + cloud.log("load").len();
    let before = (cloud.sandbox.server.log().len(), Requests::of(&cloud), logs);
    cloud.invoke("contacts", &event("extract-schedule")).await.complete();
    let of_edits = (cloud.sandbox.server.log().len() - before.0) as f64;
    let staged = mapping.event(&cloud).await.expect("edits are staged");
    let loaded = cloud.invoke("load", &staged).await.complete();
    assert_eq!(loaded["tables"]["contacts"]["outcome"], "complete", "{loaded:#}");
    let worked = started.elapsed().as_secs_f64();
    let requests = Requests::of(&cloud).since(&before.1);
    assert_objects_equal(
        &[ObjectType::Contacts],
        &cloud.sandbox.database(),
        account,
        &Expectations::default(),
    );

    let logged = (cloud.log("contacts").len() + cloud.log("load").len() - before.2) as f64;

    // The edit that comes right after a run waits for the next one.
    let calls_to_the_row = of_edits * CALL_SECONDS + 2.0 * START_SECONDS;
    let window = mapped("MaximumBatchingWindowInSeconds");
    let seconds = EVERY + SCHEDULER_SECONDS + worked + calls_to_the_row + window;
    assert!(seconds < 600.0, "{seconds} seconds from an edit to its row");

    // A day: most runs find edits of contacts, the others nothing.
    let (mut calls, mut unchanged) = (0.0, 0.0);
    let mut gigabyte_seconds = 0.0;
    for feed in FEEDS {
        let before = cloud.sandbox.server.log().len();
        cloud.invoke(feed.name(), &event("extract-schedule")).await.complete();
        let of_run = (cloud.sandbox.server.log().len() - before) as f64;
        let runs = if feed.is_full_refresh() { 8.0 } else { RUNS_A_DAY };
        unchanged += runs * of_run;
        let of_run = if feed.name() == "contacts" { of_edits } else { of_run };
        calls += runs * of_run;
        let gigabytes = if feed.name() == "contacts" { 0.25 } else { 0.125 };
        gigabyte_seconds += DAYS * runs * gigabytes * (START_SECONDS + of_run * CALL_SECONDS);
    }
    // Every id once a day, and once a week with a second call for the lists of contacts.
    calls += CONTACTS / 100.0 * (1.0 + 1.0 / 7.0);
    assert!(calls < 0.05 * DAILY_CALLS, "{calls} calls a day");

    let runs: f64 = FEEDS.iter().map(|feed| if feed.is_full_refresh() { 8.0 } else { RUNS_A_DAY }).sum();
    let loads = DAYS * RUNS_A_DAY;
    gigabyte_seconds += loads * 0.5 * (START_SECONDS + 2.0);
    // By run and load: Lambda's request, the schedule, a trace of X-Ray, and the secret, which is kept for 15 minutes.
    let of_each = 0.2e-6 + 1e-6 + 5e-6 + 5e-6 / 3.0;
    let dollars = gigabyte_seconds * 0.000_013_333_4
        + DAYS * runs * (requests.dollars() + logged * 0.5e-9)
        + (DAYS * runs + loads) * of_each;
    assert!(dollars < 5.0, "{dollars} dollars a month");

    // What `plan` says of this account, which has next to no records to compare.
    let plan = tests::ended(cloud.sandbox.subcommand("plan", &["--report", "json"])).await.report();
    let planned = plan["freshness"].as_array().unwrap().last().unwrap();
    assert_eq!(planned["every"], "5 minutes");
    let (of_plan, dollars_of_plan) =
        (planned["calls_a_day"].as_f64().unwrap(), planned["dollars_a_month"].as_f64().unwrap());
    assert!((of_plan / unchanged - 1.0).abs() < 0.1, "{planned:#} planned, {unchanged} counted");
    assert!((dollars_of_plan / dollars - 1.0).abs() < 0.3, "{planned:#} planned, {dollars} computed");
    println!("{} of requests, {logged} bytes logged", requests.dollars());
    println!("{seconds:.0} s, {calls:.0} calls a day, {dollars:.2} dollars a month");
}

/// Requests to AWS that cost something each.
struct Requests {
    reads: usize,
    writes: usize,
    transactions: usize,
    puts: usize,
    gets: usize,
}

impl Requests {
    fn of(cloud: &Cloud) -> Requests {
        let count = |operations: &[&str]| operations.iter().map(|name| cloud.gateway.count(name, "")).sum();
        Requests {
            reads: count(&["GetItem", "Query"]),
            writes: count(&["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"]),
            transactions: count(&["TransactWriteItems"]),
            puts: count(&["PutObject", "ListObjectsV2"]),
            gets: count(&["GetObject", "HeadObject"]),
        }
    }

    fn since(&self, before: &Requests) -> Requests {
        Requests {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            transactions: self.transactions - before.transactions,
            puts: self.puts - before.puts,
            gets: self.gets - before.gets,
        }
    }

    /// List prices of us-east-1. An item has up to 2 KB here, and each item of a transaction counts twice.
    fn dollars(&self) -> f64 {
        let (reads, writes) = (self.reads as f64, self.writes as f64 * 2.0 + self.transactions as f64 * 16.0);
        reads * 0.125e-6 + writes * 0.625e-6 + self.puts as f64 * 5e-6 + self.gets as f64 * 0.4e-6
    }
}

//! The deployed pipeline on emulators: the built functions under the runtime emulator, moto for AWS, the fake account,
//! DuckDB. The tables must equal the account, row by row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod adopt;
mod alarms;
mod alone;
mod answers;
mod compaction;
mod cursor;
mod freshness;
mod further;
mod page;
mod snapshots;
mod telemetry;
mod views;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fake_hubspot::{Behaviour, Limits, Marketing, ObjectType, PerType, Settings};
use hubspot::feeds::FEEDS;
use serde_json::{Value, json};
use tests::cloud::{Act, Cloud, Moment};
use tests::{Expectations, Sandbox, assert_all_equal, assert_equal, assert_objects_equal};

async fn cloud() -> Cloud {
    Cloud::new(Sandbox::new(&Settings::default(), Behaviour::default()).await).await
}

/// Invokes all feeds' functions at once, each until it is done.
async fn extract_all(cloud: &Cloud, event: &Value) {
    let runs = FEEDS.iter().map(|feed| async move { cloud.invoke(feed.name(), event).await });
    for invoked in futures::future::join_all(runs).await {
        assert!(!invoked.is_error, "{invoked:#?}");
    }
    cloud.settle().await;
    assert_eq!(cloud.gateway.dead_letters().len(), 0, "{:#?}", cloud.gateway.dead_letters());
}

fn event(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn rows(cloud: &Cloud, table: &str) -> u64 {
    let count = format!("SELECT count(*) FROM hubspot.{table}");
    cloud.sandbox.database().query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn every_event_is_one_of_a_function() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut parsed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let event = event(name.strip_suffix(".json").expect("only JSON"));
        if name.starts_with("extract-") {
            serde_json::from_value::<extract::Event>(event).unwrap().options().unwrap();
        } else {
            assert!(name.starts_with("load-"), "{name} is of no function");
            serde_json::from_value::<load::Event>(event).unwrap();
        }
        parsed += 1;
    }
    assert!(parsed >= 8, "{parsed} events");
}

/// Checks a snapshot, a comparison, a run that reads the differing records, and a comparison that finds no difference:
/// four invocations that know of each other by the state alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_compared_with_hubspot() {
    let cloud = cloud().await;
    // The schedule of a new stack comes before the first run: it waits for the next one.
    let early = cloud.invoke("contacts", &event("extract-reconcile")).await;
    assert!(!early.is_error && early.answer["outcome"] == "stopped", "{early:#?}");
    let refused = cloud.invoke("email_events", &event("extract-reconcile")).await;
    assert!(refused.is_error && refused.answer["errorType"] == "Event", "{refused:#?}");
    cloud.invoke("contacts", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let account = cloud.sandbox.account();
    let live = account.live_ids(ObjectType::Contacts);
    account.purge(ObjectType::Contacts, live[5]).unwrap();
    account.set_calculated(ObjectType::Contacts, live[6], "hubspotscore", Some("77")).unwrap();
    let by_hand = format!("DELETE FROM hubspot.contacts WHERE id = {}", live[7]);
    cloud.sandbox.database().execute_batch(&by_hand).unwrap();

    for (snapshot, differing) in
        [("extract-reconcile", json!({"gone": 1, "missing": 1})), ("extract-refresh", json!({"drifted": 1}))]
    {
        let report = cloud.invoke("contacts", &event(snapshot)).await.complete();
        assert_eq!(report["feed"], "snapshot-contacts");
        let step = async || {
            let report = cloud.invoke("load", &event("load-schedule")).await.complete();
            assert_eq!(report["pending_files"], 0, "{report:#}");
            report["reconciled"]["contacts"].clone()
        };
        let found = step().await;
        assert_eq!((&found["step"], &found["differing"]), (&json!("asked"), &differing), "{found:#}");
        // Nobody has read it yet: the warehouse is not asked again.
        assert_eq!(step().await, Value::Null);
        cloud.invoke("contacts", &event("extract-schedule")).await.complete();
        let found = step().await;
        assert_eq!((&found["step"], &found["differing"]), (&json!("equal"), &json!({})), "{found:#}");
        assert_eq!(step().await, Value::Null);
    }
    let expectations = Expectations {
        without: &[
            "companies",
            "deals",
            "contact_lists",
            "email_campaigns",
            "email_events",
            "email_subscriptions",
            "email_subscription_event_changes",
        ],
        is_reconciled: true,
        ..Expectations::default()
    };
    assert_all_equal(&cloud.sandbox.database(), account, &expectations);
    let metrics = cloud.metrics("contacts");
    assert!(metrics.last().unwrap()["ReconciliationAgeSeconds"].as_f64().unwrap() < 600.0, "{metrics:#?}");
    assert!(metrics[2]["SnapshotIds"].as_f64().unwrap() > 100.0 && metrics[2]["lag_seconds"].is_null());
}

/// Checks objects that somebody deleted: the way out that the load names, for rows and for a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_objects_are_struck_off() {
    let cloud = cloud().await;
    cloud.invoke("deals", &event("extract-schedule")).await.complete();
    assert_eq!(cloud.delete_objects("deals").await, 1);
    let lost = cloud.invoke("load", &event("load-schedule")).await;
    let said = lost.answer.to_string();
    assert!(lost.is_error && said.contains("is gone") && said.contains("--mode backfill"), "{said}");
    cloud.invoke("deals", &event("extract-backfill")).await.complete();
    let report = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(report["pending_files"], 0, "{report:#}");
    assert_objects_equal(
        &[ObjectType::Deals],
        &cloud.sandbox.database(),
        cloud.sandbox.account(),
        &Expectations::default(),
    );

    cloud.invoke("deals", &event("extract-reconcile")).await.complete();
    assert_eq!(cloud.delete_objects("_snapshot_deals").await, 1);
    let lost = cloud.invoke("load", &event("load-schedule")).await;
    let said = lost.answer.to_string();
    assert!(lost.is_error && said.contains("--mode reconcile"), "{said}");
    cloud.invoke("deals", &event("extract-reconcile")).await.complete();
    let report = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(report["reconciled"]["deals"]["step"], "equal", "{report:#}");
    assert_eq!(cloud.state().files("deals").await.unwrap().len(), 1);
    // What was compared is kept no longer.
    assert_eq!(cloud.state().files("_snapshot_deals").await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_its_effect() {
    let cloud = cloud().await;
    // The schedule: everything the first time, into S3 and the state; the warehouse knows nothing yet.
    for feed in FEEDS.iter().map(|feed| feed.name()) {
        let report = cloud.invoke(feed, &event("extract-schedule")).await.complete();
        assert_eq!(report["mode"], "backfill", "{feed}");
        assert!(report["lag_seconds"].as_f64().unwrap() < 120.0, "{report:#}");
    }
    let objects = cloud.objects().await;
    let pending = cloud.state().pending(None).await.unwrap();
    assert_eq!(objects.len(), pending.len());
    assert!(
        objects.iter().all(|(key, _)| key.starts_with("hubspot/") && key.contains("/dt=")),
        "{objects:?}"
    );
    assert!(!cloud.sandbox.path("warehouse.duckdb").exists());

    // One collection, then the rest, and a load with nothing to do asks the warehouse nothing.
    let report = cloud.invoke("load", &event("load-collection")).await.complete();
    assert_eq!(report["tables"].as_object().unwrap().keys().collect::<Vec<_>>(), ["deals"]);
    let report = cloud.invoke("load", &event("load-schedule")).await.complete();
    let collections: usize = FEEDS.iter().map(|feed| feed.collections().len()).sum();
    assert_eq!(report["tables"].as_object().unwrap().len(), collections - 1);
    assert_eq!(report["pending_files"], json!(0));
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &Expectations::default());
    let report = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(report["tables"], json!({}));

    // A second schedule reads what changed: nothing.
    for feed in FEEDS.iter().map(|feed| feed.name()) {
        let report = cloud.invoke(feed, &event("extract-schedule")).await.complete();
        assert_eq!(report["mode"], "incremental", "{feed}");
    }
    assert_eq!(cloud.objects().await.len(), objects.len());

    // By hand: everything again, a window of it, what changed since, and a pass over addresses. All of it merges
    // into itself.
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &Expectations::default());
    let whole = cloud.invoke("companies", &event("extract-backfill")).await.complete();
    let window = cloud.invoke("companies", &event("extract-backfill-window")).await.complete();
    let companies = |report: &Value| report["collections"]["companies"]["rows"].as_u64().unwrap();
    assert!(0 < companies(&window) && companies(&window) < companies(&whole), "{window:#} of {whole:#}");
    let since = cloud.invoke("email_events", &event("extract-incremental-since")).await.complete();
    assert_eq!(since["mode"], "incremental");
    let addresses = cloud.invoke("subscription_timeline", &event("extract-addresses")).await.complete();
    assert!(addresses["api"]["general"]["calls"].as_u64().unwrap() > 20, "{addresses:#}");
    cloud.invoke("load", &json!({})).await.complete();
    // What addresses say of themselves goes beyond the timeline, which is what the truth knows.
    let beyond = Expectations { without: &["email_subscriptions"], ..Expectations::default() };
    let subscriptions = rows(&cloud, "email_subscriptions");
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &beyond);

    // The warehouse is lost, and rebuilt from S3 without a call to HubSpot.
    std::fs::remove_file(cloud.sandbox.path("warehouse.duckdb")).unwrap();
    let calls = cloud.sandbox.server.log().len();
    assert_eq!(cloud.invoke("load", &event("load-schedule")).await.complete()["tables"], json!({}));
    cloud.invoke("load", &event("load-replay")).await.complete();
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &beyond);
    assert_eq!(rows(&cloud, "email_subscriptions"), subscriptions);
    assert_eq!(cloud.sandbox.server.log().len(), calls);

    // Each invocation left one line of metrics.
    let metrics = cloud.metrics("companies");
    assert_eq!(metrics.len(), 4);
    for line in metrics {
        assert_eq!((&line["Stack"], &line["Function"]), (&json!("hubspot"), &json!("companies")));
        assert_eq!((&line["FailedFeeds"], &line["IncompleteCollections"]), (&json!(0.0), &json!(0.0)));
    }
    assert!(!cloud.log("companies").contains("pat-na1-fake"), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_a_stable_type() {
    let cloud = cloud().await;
    let kind = |invoked: &tests::cloud::Invocation| invoked.answer["errorType"].as_str().unwrap().to_owned();
    let misspelt = cloud.invoke("deals", &json!({"sinse": "2026-01-01"})).await;
    assert_eq!(kind(&misspelt), "Event", "{misspelt:#?}");
    let no_day = cloud.invoke("deals", &json!({"since": "yesterday"})).await;
    assert_eq!(kind(&no_day), "Event", "{no_day:#?}");

    let put = |secret: &str| {
        cloud.aws.secrets.put_secret_value().secret_id("hubspot-credential").secret_string(secret).send()
    };
    // A secret that HubSpot does not know, and its replacement while the process lives: it is read again at once.
    put("pat-na1-unknown").await.unwrap();
    let refused = cloud.invoke("deals", &json!({})).await;
    assert_eq!(kind(&refused), "Unauthorized", "{refused:#?}");
    assert!(!refused.answer.to_string().contains("pat-na1-unknown"));
    put("pat-na1-fake\n").await.unwrap();
    cloud.invoke("deals", &json!({})).await.complete();

    // A credential of another account than the stack's.
    let other = Settings { account_id: 4_711_471, ..Settings::default() };
    let other = Sandbox::new(&other, Behaviour::default()).await;
    let url = other.server.url().to_owned();
    let cloud = cloud.with(&[("HUBSPOT_URL", &url)]);
    cloud.kill("deals");
    let refused = cloud.invoke("deals", &json!({})).await;
    assert_eq!(kind(&refused), "OtherAccount", "{refused:#?}");
    assert!(refused.answer["errorMessage"].as_str().unwrap().contains("4711471"), "{refused:#?}");

    // All variables that are missing, together.
    let cloud = cloud.with(&[("BUCKET", ""), ("STATE_TABLE", ""), ("RESERVE_PERCENT", "all")]);
    cloud.kill("deals");
    let refused = cloud.invoke("deals", &json!({})).await;
    assert_eq!(kind(&refused), "Configuration", "{refused:#?}");
    let message = refused.answer["errorMessage"].as_str().unwrap();
    for name in ["BUCKET", "STATE_TABLE", "RESERVE_PERCENT"] {
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(cloud.metrics("deals").last().unwrap()["FailedFeeds"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_invocations_of_one_feed_one_works_and_the_other_says_so() {
    let slow = Behaviour { latency: Duration::from_millis(150), ..Behaviour::default() };
    let cloud = Cloud::new(Sandbox::new(&Settings::default(), slow).await).await;
    // A second process under the name of another feed's function: the service runs as many as it likes.
    let cloud = Arc::new(cloud.with(&[("FEED", "deals")]));
    let due = json!({});
    let (one, other) = tokio::join!(cloud.invoke("deals", &due), cloud.invoke("companies", &due));
    let outcomes = [&one, &other].map(|invoked| invoked.answer["outcome"].as_str().unwrap().to_owned());
    assert!(
        outcomes.contains(&"complete".to_owned()) && outcomes.contains(&"stopped".to_owned()),
        "{outcomes:?}"
    );
    let busy = if outcomes[0] == "stopped" { &one } else { &other };
    assert!(busy.answer["reason"].as_str().unwrap().starts_with("busy: another run holds"), "{busy:#?}");

    // An owner that dies in the middle: others are refused until its lease is over, and then go on.
    let uploads = Arc::new(AtomicBool::new(false));
    let (seen, killed) = (Arc::clone(&uploads), Arc::downgrade(&cloud));
    cloud.gateway.set_hook(move |request, moment| {
        if request.operation == "PutObject" && moment == Moment::Arrived && !seen.swap(true, Ordering::SeqCst)
        {
            killed.upgrade().unwrap().kill(&request.function);
            return Act::Swallow;
        }
        Act::GoOn
    });
    let dies = {
        let cloud = Arc::clone(&cloud);
        tokio::spawn(async move { cloud.invoke("deals", &json!({"mode": "backfill"})).await })
    };
    while !uploads.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    dies.abort();
    cloud.gateway.clear_hook();
    let died = Instant::now();
    let mut refusals = 0;
    loop {
        let invoked = cloud.invoke("companies", &json!({})).await;
        assert!(!invoked.is_error, "{invoked:#?}");
        if invoked.answer["outcome"] == "complete" {
            break;
        }
        refusals += 1;
        assert!(died.elapsed() < Duration::from_secs(60), "{invoked:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(refusals > 0 && died.elapsed() > Duration::from_secs(15), "the lease was free at once");
    cloud.invoke("load", &json!({})).await.complete();
    let deals = cloud.sandbox.account().live_ids(fake_hubspot::ObjectType::Deals).len() as u64;
    assert!(rows(&cloud, "deals") >= deals);
}

/// Requests at which a process is killed, once, in the middle of a backfill.
const STEPS: [(&str, &str, Moment); 4] = [
    ("before the upload", "PutObject", Moment::Arrived),
    ("after the upload", "PutObject", Moment::Done),
    ("after the transaction", "TransactWriteItems", Moment::Done),
    ("before the lease is given back", "UpdateItem", Moment::Arrived),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_at_any_step_loses_nothing_and_doubles_nothing() {
    let steps = STEPS.map(|(name, operation, at)| async move {
        let cloud = Arc::new(cloud().await);
        let is_dead = Arc::new(AtomicBool::new(false));
        let (seen, killed) = (Arc::clone(&is_dead), Arc::downgrade(&cloud));
        cloud.gateway.set_hook(move |request, moment| {
            // Of the lease's updates, the one that gives it back.
            let is_release = request.operation != "UpdateItem"
                || String::from_utf8_lossy(&request.body).contains(r#"":free":{"N":"0"}"#);
            let is_step = request.operation == operation && moment == at && is_release;
            if is_step && !seen.swap(true, Ordering::SeqCst) {
                killed.upgrade().unwrap().kill(&request.function);
                return Act::Swallow;
            }
            Act::GoOn
        });
        for feed in ["contacts", "companies", "deals"] {
            is_dead.store(false, Ordering::SeqCst);
            let dies = {
                let cloud = Arc::clone(&cloud);
                tokio::spawn(async move { cloud.invoke(feed, &json!({})).await })
            };
            while !is_dead.load(Ordering::SeqCst) {
                assert!(!dies.is_finished(), "{feed} is not killed {name}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            dies.abort();
        }
        // Once the leases are over, the next runs go on from the last checkpoint.
        for feed in ["contacts", "companies", "deals"] {
            let died = Instant::now();
            while cloud.invoke(feed, &json!({})).await.answer["outcome"] != "complete" {
                assert!(died.elapsed() < Duration::from_secs(90), "{feed} does not go on, killed {name}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        cloud.invoke("load", &json!({})).await.complete();
        assert_equal(&cloud.sandbox.database(), cloud.sandbox.account());
    });
    futures::future::join_all(steps).await;
}

/// Runs a backfill with so many calls in ten seconds, in invocations that may take `timeout`. Returns their number.
async fn backfill_in_parts(records: PerType<usize>, calls: usize, timeout: Duration) -> usize {
    let settings = Settings { records, ..Settings::default() };
    let limits = Limits { general: calls, ..Limits::default() };
    let behaviour = Behaviour { latency: Duration::from_millis(100), limits, ..Behaviour::default() };
    let cloud = Cloud::new(Sandbox::with_limits(&settings, behaviour).await).await;
    cloud.gateway.set_timeout(timeout);
    let started = Instant::now();
    for feed in ["contacts", "companies", "deals"] {
        let first = cloud.invoke(feed, &json!({})).await;
        assert!(!first.is_error, "{first:#?}");
        cloud.settle().await;
    }
    assert_eq!(cloud.gateway.dead_letters().len(), 0);
    let invoked = cloud.gateway.invoked();
    let last = invoked.last().unwrap();
    assert_eq!(last.answer["outcome"], "complete", "{last:#?}");
    let continuations = invoked.iter().map(|invoked| invoked.answer["continuation"].as_u64().unwrap()).max();
    eprintln!("{:?}, {} continuations, {continuations:?} in a row", started.elapsed(), invoked.len());
    cloud.gateway.set_timeout(Duration::from_secs(900));
    cloud.invoke("load", &json!({})).await.complete();
    assert_equal(&cloud.sandbox.database(), cloud.sandbox.account());
    assert_eq!(cloud.unfinished_uploads().await, 0);
    invoked.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_on_past_its_deadline_until_it_is_done() {
    // Ten seconds for what takes over a minute at this latency and limit.
    let records = PerType { contacts: 24_000, companies: 6_000, deals: 4_000 };
    let continuations = backfill_in_parts(records, 100, Duration::from_secs(10)).await;
    assert!(continuations >= 5, "{continuations} continuations");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes"]
async fn ten_minutes_in_parts_of_sixty_seconds() {
    let records = PerType { contacts: 70_000, companies: 200, deals: 200 };
    let continuations = backfill_in_parts(records, 40, Duration::from_secs(60)).await;
    assert!(continuations >= 8, "{continuations} continuations");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_goes_on_past_its_deadline_too() {
    let cloud = cloud().await;
    for feed in ["companies", "deals"] {
        for _ in 0..3 {
            cloud.invoke(feed, &json!({"mode": "backfill"})).await.complete();
        }
    }
    // So little that it is over before the first merge.
    cloud.gateway.set_timeout(Duration::from_millis(1));
    let stopped = cloud.invoke("load", &json!({})).await;
    assert_eq!(stopped.answer["outcome"], "stopped", "{stopped:#?}");
    assert_eq!(stopped.answer["goes_on"], true);
    cloud.gateway.set_timeout(Duration::from_secs(900));
    cloud.settle().await;
    cloud.invoke("load", &json!({})).await.complete();
    assert!(cloud.state().pending(None).await.unwrap().is_empty());
    assert!(rows(&cloud, "companies") > 0 && rows(&cloud, "deals") > 0);
}

/// Returns the number of requests in each ten seconds, in order.
fn per_ten_seconds(cloud: &Cloud) -> Vec<usize> {
    let log = cloud.sandbox.server.log();
    let first = log.first().unwrap().at;
    let mut series = Vec::new();
    for request in &log {
        let window = ((request.at - first).num_milliseconds() / 10_000) as usize;
        series.resize(series.len().max(window + 1), 0);
        series[window] += 1;
    }
    series
}

#[tokio::test(flavor = "multi_thread")]
async fn all_functions_at_once_fill_the_limit_and_keep_it() {
    let settings = Settings {
        records: PerType { contacts: 40_000, companies: 15_000, deals: 10_000 },
        marketing: Marketing { email_events: 20_000, lists: 100, days: 29, ..Marketing::default() },
        ..Settings::default()
    };
    let limits = Limits { general: 190, search: 5, associations: 150, ..Limits::default() };
    let behaviour = Behaviour { latency: Duration::from_millis(100), limits, ..Behaviour::default() };
    let cloud = Cloud::new(Sandbox::with_limits(&settings, behaviour).await).await;
    let cloud = cloud.with(&[("RESERVE_PERCENT", "2")]);
    let started = Instant::now();
    extract_all(&cloud, &json!({})).await;
    let elapsed = started.elapsed();
    let counters = cloud.sandbox.server.counters();
    let series = per_ten_seconds(&cloud);
    let writes = cloud.gateway.count("PutItem", "\"limits\"");
    eprintln!("{elapsed:?}, calls in each ten seconds {series:?}, {writes} writes of limits, {counters:#?}");
    let refused = counters.general.refused + counters.search.refused + counters.associations.refused;
    assert!(refused * 100 <= counters.requests, "{refused} of {} calls were refused", counters.requests);
    // One for twenty calls; on a busy machine some are still unused when their time is over.
    assert!(writes as u64 * 18 <= counters.requests, "{writes} writes for {} calls", counters.requests);
    // From when all have begun to when only the last one has work.
    let busy = &series[1..series.len() - 1];
    let used = busy.iter().sum::<usize>() as f64 / (190 * busy.len()) as f64;
    assert!(used >= 0.9, "{used:.2} of the limit was used: {series:?}");
    for feed in ["contacts", "companies", "deals"] {
        let peak = cloud.peak_memory(feed) >> 20;
        eprintln!("{feed}: {peak} MiB at the most");
        assert!(peak < 100, "{feed} had {peak} MiB: it has to fit a function of 128 MB");
    }
    cloud.invoke("load", &json!({})).await.complete();
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_watched_and_backfilled_from_a_laptop() {
    let cloud = cloud().await;
    for function in ["deals", "load"] {
        cloud.start(function);
    }
    let never = cloud.cli(&["status", "--report", "json"]).await;
    assert_eq!(never.code, Some(0), "{never:#?}");
    assert_eq!(never.report()["collections"]["deals"]["outcome"], "never run");

    // A backfill of several invocations, followed to its end.
    cloud.gateway.set_timeout(Duration::from_secs(8));
    let backfill = cloud.cli(&["backfill", "deals", "--report", "json"]).await.complete();
    assert_eq!((&backfill["feed"], &backfill["outcome"]), (&json!("deals"), &json!("complete")));
    let status = cloud.cli(&["status", "--report", "json"]).await.complete();
    let deals = &status["collections"]["deals"];
    assert_eq!((&deals["outcome"], &deals["mode"]), (&json!("complete"), &json!("backfill")), "{status:#}");
    assert!(deals["pending_files"].as_u64().unwrap() > 0, "{status:#}");
    assert!(deals["lag_seconds"].as_f64().unwrap() < 60.0, "{status:#}");

    // What was staged is merged, and once more into a warehouse that was lost.
    cloud.gateway.set_timeout(Duration::from_secs(900));
    cloud.invoke("load", &json!({})).await.complete();
    let merged = rows(&cloud, "deals");
    std::fs::remove_file(cloud.sandbox.path("warehouse.duckdb")).unwrap();
    let calls = cloud.sandbox.server.log().len();
    let replay = cloud.cli(&["replay", "--report", "json"]).await.complete();
    assert_eq!(replay["tables"]["deals"]["outcome"], "complete", "{replay:#}");
    assert_eq!((rows(&cloud, "deals"), cloud.sandbox.server.log().len()), (merged, calls));
    let text = cloud.cli(&["status"]).await;
    assert!(text.stdout.contains("load: complete"), "{}", text.stdout);

    let page = cloud.cli(&["report", "--html", "-"]).await;
    assert_eq!(page.code, Some(0), "{page:#?}");
    for shown in ["from the state of the stack", "The table is complete", ">dollars<", "id=\"figures-rows\""]
    {
        assert!(page.stdout.contains(shown), "{shown}: {}", page.stdout);
    }

    // Bad input ends with a message that names the next step.
    for (arguments, says) in [
        (vec!["backfill", "deal"], "unknown collection \"deal\""),
        (vec!["backfill", "deals", "--since", "soon"], "since \"soon\" is neither"),
        (vec!["backfill", "deals", "--follow"], "no run of deals is under way"),
    ] {
        let ended = cloud.cli(&arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}

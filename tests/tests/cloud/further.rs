//! The function that reads all further feeds: objects beyond Segment's, and custom ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use extract::{FURTHER, FurtherFeeds};
use fake_hubspot::{Account, Behaviour, Further, ObjectType, PerType, Poison, PoisonEffect, Settings};
use serde_json::{Value, json};
use tests::cloud::Cloud;
use tests::{Expectations, Sandbox, assert_metadata_equal, assert_objects_equal, table_of};

use super::event;

const WITH_RECORDS: [ObjectType; 4] =
    [ObjectType::Tickets, ObjectType::Notes, ObjectType::OwnTickets, ObjectType::Rentals];

pub(super) fn settings() -> Settings {
    let records = PerType { contacts: 20, companies: 10, deals: 10 };
    let settings = Settings { records, wide_deals: 0, ..Settings::default() };
    let further = Further { records: 130, custom_properties: 3 };
    WITH_RECORDS.into_iter().fold(settings, |settings, object| settings.with(object, further))
}

/// `all`, but for those objects that have no records and show nothing that others don't.
pub(super) fn all_but_the_empty(kept: &[&str]) -> String {
    let tables = WITH_RECORDS.map(table_of);
    let is_empty = |name: &&str| !tables.contains(name) && !kept.contains(name);
    let empty = hubspot::feeds::further().flat_map(|feed| feed.collections()).copied().filter(is_empty);
    empty.fold("all".to_owned(), |all, name| format!("{all},-{name}"))
}

async fn cloud(settings: &Settings, collections: &str) -> Cloud {
    let cloud = Cloud::new(Sandbox::new(settings, Behaviour::default()).await).await;
    cloud.with(&[("COLLECTIONS", collections)])
}

fn further(account: &Account) -> Vec<ObjectType> {
    account.types().into_iter().filter(|object| !ObjectType::CORE.contains(object)).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value:#}"))
}

/// Starts the feeds and waits for their runs; returns the report, and by feed the answers of its invocations.
async fn run(cloud: &Cloud, event: &Value) -> (Value, BTreeMap<String, Vec<Value>>) {
    let before = cloud.gateway.invoked().len();
    let started = cloud.invoke(FURTHER, event).await;
    assert!(!started.is_error, "{started:#?}");
    cloud.settle().await;
    assert_eq!(cloud.gateway.dead_letters().len(), 0, "{:#?}", cloud.gateway.dead_letters());
    let mut runs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for invoked in cloud.gateway.invoked().split_off(before) {
        assert_eq!(invoked.function, "hubspot-objects");
        runs.entry(text(&invoked.event, "feed").to_owned()).or_default().push(invoked.answer);
    }
    (started.answer, runs)
}

async fn load(cloud: &Cloud) -> Value {
    cloud.invoke("load", &event("load-schedule")).await.complete()
}

/// Returns the metrics of the runs that start others, and those of feeds' runs.
fn metrics(cloud: &Cloud) -> (Vec<Value>, Vec<Value>) {
    cloud.metrics(FURTHER).into_iter().partition(|line| line.get("feed").is_none())
}

fn names(lines: &[Value]) -> BTreeSet<String> {
    let defined = lines.iter().filter(|line| line.get("_aws").is_some()).flat_map(|line| {
        assert_eq!((text(line, "Stack"), text(line, "Function")), ("hubspot", FURTHER));
        line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().clone()
    });
    defined.map(|metric| text(&metric, "Name").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_reads_whatever_the_account_has_and_what_is_new_without_a_deployment() {
    let cloud = cloud(&settings(), "all").await;
    let account = cloud.sandbox.account();
    let (report, runs) = run(&cloud, &event("extract-schedule")).await;
    let objects = further(account);
    let tables: BTreeSet<&str> = objects.iter().map(|object| table_of(*object)).collect();
    assert_eq!(report["started"].as_array().unwrap().len(), runs.len());
    for table in &tables {
        let [run] = &runs[*table][..] else { panic!("{table}: {:#?}", runs[*table]) };
        assert_eq!((text(run, "outcome"), text(run, "mode")), ("complete", "backfill"), "{run:#}");
    }
    load(&cloud).await;
    assert_objects_equal(&objects, &cloud.sandbox.database(), account, &Expectations::default());
    // The feed of metadata is one of them, and knows of the custom objects.
    let hubspots = ["deals", "tickets", "leads", "orders", "appointments", "courses", "listings", "services"];
    let has_pipelines = |object: &ObjectType| object.is_custom() || hubspots.contains(&table_of(*object));
    let with_pipelines: Vec<ObjectType> = account.types().into_iter().filter(has_pipelines).collect();
    assert_metadata_equal(&cloud.sandbox.database(), account, &with_pipelines);

    // What happens between two runs, a custom object that is made and one that is deleted among it.
    for object in WITH_RECORDS {
        let live = account.live_ids(object);
        account.touch(object, live[0]).unwrap();
        account.archive(object, live[1]).unwrap();
        account.add_property(object, "brand_new", fake_hubspot::Kind::Number).unwrap();
        account.create(object, &[("brand_new", Some("18"))]).unwrap();
    }
    account.create_custom_object(ObjectType::Cars, Further { records: 40, custom_properties: 1 });
    // What is empty is read, and needs no second look.
    cloud.kill(FURTHER);
    let cloud = cloud.with(&[("COLLECTIONS", &all_but_the_empty(&[]))]);
    let account = cloud.sandbox.account();
    let (_, runs) = run(&cloud, &event("extract-schedule")).await;
    assert_eq!(text(&runs["cars"][0], "mode"), "backfill");
    assert_eq!(text(&runs["tickets"][0], "mode"), "incremental");
    load(&cloud).await;
    assert_objects_equal(&further(account), &cloud.sandbox.database(), account, &Expectations::default());

    for id in account.live_ids(ObjectType::Cars) {
        account.archive(ObjectType::Cars, id).unwrap();
    }
    account.delete_custom_object(ObjectType::Cars).unwrap();
    let (report, runs) = run(&cloud, &event("extract-schedule")).await;
    assert!(!runs.contains_key("cars"));
    assert!(text(&report["incomplete"], "cars").contains("-cars in Collections"), "{report:#}");
    let (starts, _) = metrics(&cloud);
    let flags: Vec<&Value> = starts.iter().map(|line| &line["IncompleteCollections"]).collect();
    assert_eq!(flags, [&json!(0.0), &json!(0.0), &json!(1.0)]);
    // Nothing stands in the way of those that are left, and the rows stay.
    assert!(super::rows(&cloud, "cars") >= 40);
    let status = cloud.cli(&["status", "--report", "json"]).await;
    assert_eq!(status.code, Some(1));
    let status: Value = status.report();
    assert_eq!(text(&status["collections"]["cars"], "outcome"), "skipped", "{status:#}");
    assert_eq!(text(&status["collections"]["tickets"], "outcome"), "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshots_of_further_objects_are_compared() {
    let cloud = cloud(&settings(), "tickets,custom_tickets,contacts").await;
    run(&cloud, &event("extract-schedule")).await;
    load(&cloud).await;
    let account = cloud.sandbox.account();
    let live = account.live_ids(ObjectType::OwnTickets);
    account.purge(ObjectType::OwnTickets, live[3]).unwrap();
    let (_, runs) = run(&cloud, &event("extract-refresh")).await;
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["custom_tickets", "tickets"]);
    assert!(runs.values().flatten().all(|run| run["mode"] == "refresh"), "{runs:#?}");
    assert_eq!(load(&cloud).await["reconciled"]["custom_tickets"]["step"], "asked");
    run(&cloud, &event("extract-schedule")).await;
    let compared = load(&cloud).await;
    assert_eq!(compared["reconciled"]["custom_tickets"]["step"], "equal");
    assert_eq!(compared["reconciled"]["tickets"], Value::Null, "it was equal before");
    let reconciled = Expectations { is_reconciled: true, ..Expectations::default() };
    let objects = [ObjectType::Tickets, ObjectType::OwnTickets];
    assert_objects_equal(&objects, &cloud.sandbox.database(), account, &reconciled);

    // The ages are those of the table that was found equal the longest time ago.
    run(&cloud, &event("extract-schedule")).await;
    let (report, runs) = run(&cloud, &event("extract-schedule")).await;
    let oldest = runs.values().map(|runs| runs[0]["refreshed_ms"].as_i64().unwrap()).min();
    assert_eq!(report["refreshed_ms"].as_i64(), oldest);
    let (starts, _) = metrics(&cloud);
    assert!(starts.last().unwrap()["RefreshAgeSeconds"].as_f64().unwrap() < 600.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_metrics_do_not_grow_with_the_objects_and_tell_the_worst() {
    let small = cloud(&settings(), "tickets").await;
    run(&small, &event("extract-schedule")).await;
    let (starts, runs) = metrics(&small);
    let of_one = (names(&starts), names(&runs));

    let all = cloud(&settings(), &all_but_the_empty(&["calls", "tasks"])).await;
    run(&all, &event("extract-schedule")).await;
    let (starts, runs) = metrics(&all);
    assert_eq!(runs.len(), WITH_RECORDS.len() + 2);
    assert_eq!((names(&starts), names(&runs)), of_one);
    let of_starts = ["FailedFeeds", "IncompleteCollections", "LagSeconds"];
    assert!(of_starts.iter().all(|name| of_one.0.contains(*name) && !of_one.1.contains(*name)), "{of_one:?}");
    assert!(of_one.1.contains("Rows") && of_one.1.contains("Calls"));

    // One of them does not get on, and its run is given up: a newer version wrote its cursor.
    assert_eq!(starts[0]["FailedFeeds"], 0.0);
    let state = all.state();
    let cursor: Value = state.cursor("notes").await.unwrap().unwrap();
    let save = async |cursor: &Value| {
        let lease = state.lease("notes").await.unwrap();
        state.checkpoint(&lease, cursor, &[]).await.unwrap();
        state.release(lease).await;
    };
    save(&json!({"format": 999})).await;
    let start = async || {
        let started = all.invoke(FURTHER, &event("extract-schedule")).await;
        assert!(!started.is_error, "{started:#?}");
        all.settle().await;
        started.answer
    };
    let healthy = start().await;
    assert_eq!(healthy["failed"], json!({}), "its first run did not fail");
    let dead = all.gateway.dead_letters();
    assert_eq!(dead.iter().map(|dead| text(&dead.event, "feed")).collect::<Vec<_>>(), ["notes"]);
    let report = start().await;
    assert!(text(&report["failed"], "notes").contains("format 999"), "{report:#}");
    assert_eq!(report["failed"].as_object().unwrap().len(), 1);
    // The others were read meanwhile; nobody can tell up to when notes are, which were wanted from the start.
    let wanted_ms = FurtherFeeds::read(&state).await.unwrap().feeds["notes"].since_ms;
    let ended = chrono::DateTime::parse_from_rfc3339(text(&report, "ended_at")).unwrap();
    let longest = (ended.timestamp_millis() - wanted_ms) as f64 / 1000.0;
    let lag = report["lag_seconds"].as_f64().unwrap();
    assert!(longest - 2.0 < lag && lag <= longest, "{lag} of {longest}: {report:#}");
    let (starts, _) = metrics(&all);
    let last = starts.last().unwrap();
    assert_eq!((&last["FailedFeeds"], &last["IncompleteCollections"]), (&json!(1.0), &json!(0.0)));
    let reported = last["LagSeconds"].as_f64().unwrap();
    assert!((lag..lag + 10.0).contains(&reported), "{reported}, {lag}");
    save(&cursor).await;
    start().await;
    let report = start().await;
    assert_eq!(report["failed"], json!({}), "{report:#}");
    assert_eq!(metrics(&all).0.last().unwrap()["FailedFeeds"], 0.0);
}

/// No snapshot is compared with the members of lists: a refresh reads them whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_what_is_not_compared_reads_it_whole() {
    let cloud = cloud(&settings(), "companies,list_memberships").await;
    let members = json!({"feed": "list_members"});
    cloud.invoke(FURTHER, &members).await.complete();
    assert_eq!(text(&cloud.invoke(FURTHER, &members).await.complete(), "mode"), "incremental");
    let refresh = json!({"feed": "list_members", "mode": "refresh"});
    let report = cloud.invoke(FURTHER, &refresh).await.complete();
    assert_eq!((text(&report, "feed"), text(&report, "mode")), ("list_members", "backfill"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_as_a_whole_is_not_started_by_every_schedule() {
    let cloud = cloud(&settings(), "tickets,metadata").await;
    let cloud = cloud.with(&[("FULL_REFRESH_MINUTES", "150")]);
    let started = async |event: &Value| {
        let (report, _) = run(&cloud, event).await;
        report["started"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let scheduled = event("extract-schedule");
    let all: BTreeSet<String> = started(&scheduled).await;
    assert_eq!(all, ["metadata", "tickets"].map(str::to_owned).into());
    assert_eq!(started(&scheduled).await, BTreeSet::from(["tickets".to_owned()]));
    // Somebody who asks for it gets it.
    assert_eq!(started(&json!({})).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_credential_lacks_is_skipped_by_name_and_what_is_named_is_missed() {
    let settings = Settings { absent: [ObjectType::Projects].into(), ..settings() };
    let settings = settings.without_scope("tickets").without_scope("crm.schemas.custom");
    let all = all_but_the_empty(&["projects", "leads"]);
    let cloud = cloud(&settings, &format!("{all},deals,-leads")).await;
    let (first, runs) = run(&cloud, &event("extract-schedule")).await;
    assert!(text(&first["unavailable"], "custom objects").contains("crm.schemas.custom.read"), "{first:#}");
    assert!(!runs.contains_key("leads") && !runs.contains_key("deals"));
    assert_eq!(text(&runs["tickets"][0], "outcome"), "skipped");
    let (report, _) = run(&cloud, &event("extract-schedule")).await;
    assert!(text(&report["unavailable"], "tickets").contains("tickets"), "{report:#}");
    assert!(text(&report["unavailable"], "projects").contains("infer object type"), "{report:#}");
    assert_eq!((&report["incomplete"], &report["outcome"]), (&json!({}), &json!("complete")));
    load(&cloud).await;
    let status = cloud.cli(&["status", "--report", "json"]).await.complete();
    assert_eq!(text(&status["collections"]["tickets"], "outcome"), "skipped");
    assert_eq!(status["collections"]["tickets"]["is_available"], false);

    // Somebody who names it wants it, and a name that nobody knows stands in no other's way.
    cloud.kill(FURTHER);
    let cloud = cloud.with(&[("COLLECTIONS", "notes,tickets,kontakte")]);
    let (_, runs) = run(&cloud, &event("extract-schedule")).await;
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["notes", "tickets"]);
    let (report, _) = run(&cloud, &event("extract-schedule")).await;
    assert!(text(&report["incomplete"], "tickets").contains("tickets"), "{report:#}");
    assert!(text(&report, "reason").contains("\"kontakte\""), "{report:#}");
    // The second one is the name that nobody knows.
    assert_eq!(metrics(&cloud).0.last().unwrap()["IncompleteCollections"], 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_hubspot_fails_on_stop_no_other_feed() {
    let cloud = cloud(&settings(), &all_but_the_empty(&[])).await;
    run(&cloud, &event("extract-schedule")).await;
    cloud.sandbox.server.poison(Poison::new("schemas.list", "", PoisonEffect::Status(400)));
    let (report, runs) = run(&cloud, &event("extract-schedule")).await;
    assert_eq!(text(&report, "outcome"), "incomplete");
    assert!(text(&report["incomplete"], "custom objects").contains("the known ones are read"), "{report:#}");
    assert!(runs.contains_key("tickets") && runs.contains_key("custom_tickets"), "{:?}", runs.keys());
    assert!(runs.values().all(|answers| answers.len() == 1), "each is started once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_started_twice_is_one_and_goes_on_by_itself() {
    let cloud = cloud(&settings(), "tickets,custom_tickets").await;
    // Two processes: the service runs as many as it likes.
    let mut other = cloud.command(FURTHER);
    let mut other = other.spawn().unwrap();
    let slow = Behaviour { latency: Duration::from_millis(300), ..Behaviour::default() };
    cloud.sandbox.server.set_behaviour(slow);
    let of_tickets = json!({"feed": "tickets"});
    let (one, two) = tokio::join!(cloud.invoke(FURTHER, &of_tickets), cloud.invoke(FURTHER, &of_tickets));
    let mut outcomes = [&one, &two].map(|run| text(&run.answer, "outcome").to_owned());
    outcomes.sort();
    assert_eq!(outcomes, ["complete", "stopped"], "{one:#?} {two:#?}");
    other.kill().unwrap();
    other.wait().unwrap();

    // A run without enough time goes on in invocations that name its feed, and starts no other.
    cloud.gateway.set_timeout(Duration::from_secs(3));
    let account = cloud.sandbox.account();
    let first = cloud.invoke(FURTHER, &json!({"feed": "custom_tickets"})).await;
    assert!(!first.is_error, "{first:#?}");
    cloud.settle().await;
    let invoked = cloud.gateway.invoked();
    assert!(invoked.iter().all(|next| next.event["feed"] == "custom_tickets"), "{invoked:#?}");
    assert!(first.answer["outcome"] == "complete" || invoked.last().unwrap().answer["outcome"] == "complete");
    cloud.gateway.set_timeout(Duration::from_secs(900));
    cloud.sandbox.server.set_behaviour(Behaviour::default());
    load(&cloud).await;
    let objects = [ObjectType::Tickets, ObjectType::OwnTickets];
    assert_objects_equal(&objects, &cloud.sandbox.database(), account, &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_further_objects_are_started_by_hand() {
    let cloud = cloud(&settings(), "tickets,custom_tickets,deals").await;
    let objects = [ObjectType::Tickets, ObjectType::OwnTickets];
    cloud.start(FURTHER);
    // The example of an event: before any schedule.
    cloud.invoke(FURTHER, &event("extract-feed")).await.complete();
    run(&cloud, &event("extract-schedule")).await;
    load(&cloud).await;

    let report = cloud.cli(&["backfill", "custom_tickets", "--report", "json"]).await.complete();
    assert_eq!((text(&report, "feed"), text(&report, "mode")), ("custom_tickets", "backfill"));
    let report = cloud.cli(&["reconcile", "custom_tickets", "--report", "json"]).await.complete();
    assert_eq!(text(&report, "feed"), "snapshot-custom_tickets");
    load(&cloud).await;
    for (collection, said) in [
        ("notes", "parameter Collections"),
        ("kontakte", "unknown collection"),
        ("associations", "name one of these, such as deals"),
    ] {
        let refused = cloud.cli(&["backfill", collection]).await;
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        assert!(refused.stderr.contains(said), "{refused:#?}");
    }
    let refused = cloud.invoke(FURTHER, &json!({"feed": "notes"})).await;
    assert_eq!(text(&refused.answer, "errorType"), "Event", "{refused:#?}");
    let refused = cloud.invoke(FURTHER, &json!({"accept_removals": true})).await;
    assert!(text(&refused.answer, "errorMessage").contains("name it"), "{refused:#?}");
    let refused = cloud.invoke("deals", &json!({"feed": "tickets"})).await;
    assert!(text(&refused.answer, "errorMessage").contains("this function reads deals"), "{refused:#?}");

    // A lost table comes back from the staged files.
    cloud.sandbox.database().execute_batch("DROP TABLE hubspot.custom_tickets").unwrap();
    let replayed = cloud.cli(&["replay", "--collections", "custom_tickets,tickets", "--report", "json"]);
    cloud.start("load");
    let replayed = replayed.await.complete();
    assert_eq!(replayed["tables"].as_object().unwrap().len(), 2, "{replayed:#}");
    assert_objects_equal(
        &objects,
        &cloud.sandbox.database(),
        cloud.sandbox.account(),
        &Expectations::default(),
    );
    let status = cloud.cli(&["status", "--report", "json"]).await.complete();
    assert!(status["collections"]["custom_tickets"]["reconciled"].is_string(), "{status:#}");
    assert_eq!(status["collections"]["notes"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_names_what_its_configuration_names_in_vain() {
    let cloud = cloud(&settings(), "tickets,kontakte").await;
    let cloud = cloud.with(&[("HARD_DELETE", "tickets,boats"), ("HISTORY", "custom_tickets")]);
    run(&cloud, &event("extract-schedule")).await;
    let report = load(&cloud).await;
    let named = report["degraded"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let named: Vec<&str> = named.map(|text| text.split(',').next().unwrap()).collect();
    let expected = ["COLLECTIONS names kontakte", "HARD_DELETE names boats", "HISTORY names custom_tickets"];
    assert_eq!(named, expected);
    assert_eq!(load(&cloud).await["degraded"], Value::Null, "with nothing to do nothing is said");
}

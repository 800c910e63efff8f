//! A green run is complete: records that HubSpot leaves out, files that are lost, and deletions that HubSpot does not
//! show are either repaired or make the run red.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod by_hand;

use chrono::TimeDelta;
use std::process::{Command, Stdio};

use fake_hubspot::{
    Account, Behaviour, Kind, Limits, Marketing, ObjectType, Omission, PerType, Processing, Settings,
};
use hubspot::feeds::{FEEDS, Mode};
use load::Step;
use serde_json::Value;
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal, assert_equal, assert_equal_but_for};

const CONTACTS: ObjectType = ObjectType::Contacts;
const FOR_EVER: u32 = u32::MAX;
const RECORDS: [&str; 2] = ["--collections", "contacts,companies,deals"];

fn settings() -> Settings {
    Settings {
        records: PerType { contacts: 600, companies: 120, deals: 150 },
        marketing: Marketing { email_events: 200, subscription_changes: 50, ..Marketing::default() },
        ..Settings::default()
    }
}

fn records(contacts: usize) -> Settings {
    Settings { records: PerType { contacts, companies: 5, deals: 5 }, odd_values: 0.0, ..Settings::default() }
}

fn leave_out(sandbox: &Sandbox, endpoint: &'static str, id: u64, times: u32) {
    sandbox.server.leave_out(Omission { endpoint, object: CONTACTS, id, times });
}

fn of<'r>(report: &'r Value, collection: &str) -> &'r Value {
    &report["collections"][collection]
}

/// Returns the findings of a table's comparisons, in order.
fn compared(report: &Value, collection: &str) -> Vec<(String, Value)> {
    let found = of(report, collection)["reconciled"].as_array().cloned().unwrap_or_default();
    found
        .into_iter()
        .map(|one| (one["step"].as_str().unwrap().to_owned(), one["differing"].clone()))
        .collect()
}

fn reconciled() -> Expectations<'static> {
    Expectations { is_reconciled: true, ..Expectations::default() }
}

/// Checks a record that one page of the list leaves out, of 10,000: the count shows it, and the range is read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_one_page_left_out_is_read_again() {
    let sandbox = Sandbox::new(&records(10_000), Behaviour::default()).await;
    let lost = sandbox.account().live_ids(CONTACTS)[6_543];
    leave_out(&sandbox, "objects.list", lost, 1);
    let report = sandbox.sync(&RECORDS).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    assert_eq!(of(&report, "contacts")["counted"], sandbox.account().live_ids(CONTACTS).len());
}

/// Checks a record that only the search shows: it is read by its id.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_list_never_shows_is_read_by_its_id() {
    let sandbox = Sandbox::new(&records(1_000), Behaviour::default()).await;
    let lost = sandbox.account().live_ids(CONTACTS)[321];
    leave_out(&sandbox, "objects.list", lost, FOR_EVER);
    sandbox.sync(&RECORDS).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Checks a record that HubSpot counts and never shows. The run is incomplete and names the range, and so is the next
/// one, until the record is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_only_counted_makes_the_run_red() {
    let sandbox = Sandbox::new(&records(1_000), Behaviour::default()).await;
    let lost = sandbox.account().live_ids(CONTACTS)[321];
    leave_out(&sandbox, "objects.list", lost, FOR_EVER);
    leave_out(&sandbox, "objects.search", lost, FOR_EVER);
    let ended = sandbox.sync(&RECORDS).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    assert_eq!(of(&report, "contacts")["outcome"], "incomplete");
    assert_eq!(of(&report, "deals")["outcome"], "complete");
    let reason = of(&report, "contacts")["reason"].as_str().unwrap();
    let live = sandbox.account().live_ids(CONTACTS).len();
    assert!(reason.contains(&format!("HubSpot counts {live} contacts with ids 0 to ")), "{reason}");
    assert!(reason.contains(&format!("shows {}", live - 1)), "{reason}");

    sandbox.server.reset_counters();
    let ended = sandbox.sync(&RECORDS).await;
    assert_eq!(of(&ended.report(), "contacts")["quarantined"][0]["runs"], 2, "{ended:#?}");
    let searches = sandbox.server.counters().endpoints["objects.search"];
    assert!(searches < 12, "{searches} searches");
    sandbox.server.leave_nothing_out();
    sandbox.sync(&RECORDS).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Checks the searches and batch reads of an incremental run.
#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_run_counts_too() {
    let sandbox = Sandbox::new(&records(1_000), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    let touched = sandbox.account().touch_many_in_one_ms(CONTACTS, 500);
    for (endpoint, id) in [("objects.search", touched[77]), ("objects.batch_read", touched[300])] {
        leave_out(&sandbox, endpoint, id, 1);
    }
    sandbox.sync(&RECORDS).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());

    let touched = sandbox.account().touch_many_in_one_ms(CONTACTS, 30);
    leave_out(&sandbox, "objects.search", touched[7], FOR_EVER);
    let ended = sandbox.sync(&RECORDS).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    let reason = of(&report, "contacts")["reason"].as_str().unwrap();
    assert!(reason.contains("contacts that changed between"), "{reason}");
    // The window is behind the watermark, and asked about once more.
    let late = sandbox.account().touch_many_in_one_ms(CONTACTS, 3);
    let ended = sandbox.sync(&RECORDS).await;
    let report = ended.report();
    assert_eq!(of(&report, "contacts")["outcome"], "incomplete", "{report:#}");
    assert!(of(&report, "contacts")["rows"].as_u64().unwrap() >= late.len() as u64, "{report:#}");
    sandbox.server.leave_nothing_out();
    sandbox.sync(&RECORDS).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_is_lost_makes_the_run_red() {
    let sandbox = Sandbox::new(&records(300), Behaviour::default()).await;
    sandbox.sync(&[&RECORDS[..], &["--warehouse", "none"]].concat()).await.complete();
    let folder = sandbox.path("state/files/hubspot/contacts");
    let day = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        let ended = sandbox.sync(&RECORDS).await;
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let reason = ended.report()["collections"]["contacts"]["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(file.file_name().unwrap().to_str().unwrap()), "{reason}");
    }
}

/// Checks rows that somebody deleted, changed back, or marked as deleted.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_changed_by_hand_are_repaired() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let live = sandbox.account().live_ids(CONTACTS);
    let by_hand = format!(
        "DELETE FROM hubspot.contacts WHERE id IN ({}, {}); \
         UPDATE hubspot.contacts SET is_deleted = true WHERE id = {}; \
         UPDATE hubspot.contacts SET _source_updated_at = _source_updated_at - INTERVAL 1 DAY WHERE id = {}; \
         DELETE FROM hubspot.deals;",
        live[0], live[1], live[2], live[3]
    );
    sandbox.database().execute_batch(&by_hand).unwrap();
    let report = sandbox.sync(&["--mode", "reconcile"]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &reconciled());
    let expected = serde_json::json!({"missing": 2, "revived": 1, "stale": 1});
    let found = compared(&report, "contacts");
    assert_eq!(found, [("asked".to_owned(), expected), ("equal".to_owned(), serde_json::json!({}))]);
    assert_eq!(compared(&report, "companies").len(), 1, "{report:#}");

    // Nothing is left to do, and nothing is written.
    let report = sandbox.sync(&["--mode", "reconcile"]).await.complete();
    for name in ["contacts", "companies", "deals"] {
        assert_eq!(compared(&report, name), [("equal".to_owned(), serde_json::json!({}))], "{name}");
        assert_eq!(of(&report, name)["merged_rows"], 0, "{name}");
    }
}

/// Makes changes that no incremental run sees: privacy deletes of records in the table, of a merge's survivor, and of
/// an archived record, as HubSpot does after 90 days; a merge of merges; a restored record.
fn without_a_trace(account: &Account) {
    for object in ObjectType::CORE {
        let (live, archived) = (account.live_ids(object), account.archived_ids(object));
        account.purge(object, live[3]).unwrap();
        let survivor = account.merge(object, live[4], live[5]).unwrap();
        let survivor = account.merge(object, survivor, live[6]).unwrap();
        account.merge(object, live[7], live[8]).unwrap();
        account.purge(object, survivor).unwrap();
        account.archive(object, live[9]).unwrap();
        account.purge(object, live[9]).unwrap();
        account.restore(object, archived[0]).unwrap();
        account.purge(object, archived[1]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_hubspot_does_not_show_are_found_by_one_reconcile() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    without_a_trace(sandbox.account());
    let report = sandbox.sync(&["--mode", "refresh"]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &reconciled());
    let found = compared(&report, "contacts");
    assert!(found[0].1["gone"].as_u64().unwrap() >= 4, "{found:?}");
    assert_eq!(found.last().unwrap().0, "equal");
}

/// Checks a warehouse that is filled anew from all staged files in another order: deleted rows stay deleted.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_hold_in_whatever_order_files_arrive() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    without_a_trace(sandbox.account());
    sandbox.sync(&["--mode", "refresh"]).await.complete();
    for seed in 0..5 {
        let database = sandbox.path(&format!("warehouse-{seed}.duckdb"));
        tests::merge_in_any_order(&sandbox.path("state"), &database, seed).await;
        let database = duckdb::Connection::open(database).unwrap();
        assert_all_equal(&database, sandbox.account(), &reconciled());
    }
}

/// Checks calculated properties, associations and list memberships, which change without a new modified date.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_change_without_a_new_date_come_with_a_refresh() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let (contacts, deals) = (account.live_ids(CONTACTS), account.live_ids(ObjectType::Deals));
    account.set_calculated(CONTACTS, contacts[10], "hubspotscore", Some("77")).unwrap();
    account.set_calculated(CONTACTS, contacts[11], "hubspotscore", None).unwrap();
    account.set_calculated(ObjectType::Deals, deals[2], "hs_acv", Some("12.5")).unwrap();
    account
        .associate((ObjectType::Deals, deals[0]), (CONTACTS, contacts[12]), fake_hubspot::Label::Unlabeled)
        .unwrap();
    account.dissociate((ObjectType::Deals, deals[0]), (CONTACTS, contacts[12]));
    account
        .associate((ObjectType::Deals, deals[1]), (CONTACTS, contacts[13]), fake_hubspot::Label::Unlabeled)
        .unwrap();
    let list = account.create_list(CONTACTS, "late", Processing::Manual);
    account.add_to_list(list, contacts[14]).unwrap();

    let report = sandbox.sync(&["--mode", "refresh"]).await.complete();
    assert_all_equal(&sandbox.database(), account, &reconciled());
    let (contacts, deals) = (compared(&report, "contacts"), compared(&report, "deals"));
    assert!(contacts[0].1["drifted"].as_u64().unwrap() >= 3, "{contacts:?}");
    assert!(deals[0].1["drifted"].as_u64().unwrap() >= 2, "{deals:?}");
    // Only what differs is read whole, and merged.
    let merged = of(&report, "contacts")["merged_rows"].as_u64().unwrap();
    assert!(merged < 20, "{merged} rows are merged");
}

/// Checks a survivor that names a record no more, since that was merged elsewhere: without a new date, as far as is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_that_loses_a_merged_record_is_found_by_a_refresh() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    // Long before what an incremental run reads again.
    account.set_clock_offset(TimeDelta::hours(-3));
    for object in ObjectType::CORE {
        let live = account.live_ids(object);
        account.merge(object, live[0], live[1]).unwrap();
        account.undo_merge(object, live[1]).unwrap();
    }
    account.set_clock_offset(TimeDelta::zero());
    sandbox.sync(&[]).await.complete();
    for object in ObjectType::CORE {
        let record = account.unmerged_ids(object).into_iter().next().unwrap();
        let other = account.live_ids(object).into_iter().find(|id| *id != record).unwrap();
        account.merge(object, other, record).unwrap();
    }
    sandbox.sync(&[]).await.complete();
    sandbox.sync(&["--mode", "refresh"]).await.complete();
    assert_all_equal(&sandbox.database(), account, &reconciled());
}

/// Checks a property that appears with old values, one of them of a record that was in the recycle bin until now.
#[tokio::test(flavor = "multi_thread")]
async fn past_values_of_a_new_property_are_read() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    let account = sandbox.account();
    account.add_property(CONTACTS, "shoe_size", Kind::Number).unwrap();
    account.restore(CONTACTS, account.archived_ids(CONTACTS)[0]).unwrap();
    // Deals are associated with it again, without a trace in them.
    account.touch_many_in_one_ms(ObjectType::Deals, account.live_ids(ObjectType::Deals).len());
    let live = account.live_ids(CONTACTS);
    for (n, id) in live.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        account.set_calculated(CONTACTS, *id, "shoe_size", Some(&(35 + n % 12).to_string())).unwrap();
    }
    let report = sandbox.sync(&RECORDS).await.complete();
    assert_eq!(of(&report, "contacts")["mode"], "incremental");
    assert_equal_but_for(&[], &sandbox.database(), account);
    let rows = of(&report, "contacts")["rows"].as_u64().unwrap();
    assert!(rows < live.len() as u64 / 2 + 100, "{rows} rows are read for a third of {}", live.len());
    // It is new once.
    assert_eq!(of(&sandbox.sync(&RECORDS).await.complete(), "contacts")["rows"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_needs_a_first_run_and_a_table() {
    let sandbox = Sandbox::new(&records(100), Behaviour::default()).await;
    for (more, code, said) in [
        (&["--mode", "reconcile", "--warehouse", "none"][..], 2, "name a --warehouse"),
        (&["--mode", "refresh", "--since", "2026-01-01"][..], 2, "leave out --since"),
    ] {
        let ended = sandbox.sync(more).await;
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    // A first run is a part of it.
    let report = sandbox.sync(&[&RECORDS[..], &["--mode", "reconcile"]].concat()).await.complete();
    assert_eq!(compared(&report, "contacts").len(), 1);
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Variables by which [`a_million_ids_are_compared`] starts itself as a process that only reads the snapshot.
const SNAPSHOT_OF: [&str; 2] = ["SNAPSHOT_OF_URL", "SNAPSHOT_OF_FOLDER"];

#[tokio::test]
#[ignore = "a part of a_million_ids_are_compared, which starts it"]
async fn a_snapshot_of_companies_alone() {
    let [Ok(hubspot_url), Ok(folder)] = SNAPSHOT_OF.map(std::env::var) else { return };
    let world = tests::World { hubspot_url, folder: folder.into() };
    let feed = *FEEDS.iter().find(|feed| feed.name() == "companies").unwrap();
    let (report, calls) = world.extract(feed, Some(Mode::Reconcile)).await;
    println!("snapshot: {} {calls} {}", report.rows(), tests::most_memory_mib());
}

/// Checks that a snapshot of a million ids takes at most 10,100 calls and less than 100 MiB, with HubSpot's rate limit
/// as the bottleneck.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a million records take minutes, and some gigabytes for the account"]
async fn a_million_ids_are_compared() {
    let records = PerType { contacts: 10, companies: 1_000_000, deals: 10 };
    let sandbox = Sandbox::new(&Settings { records, ..settings() }, Behaviour::default()).await;
    let world = tests::World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("world") };
    let feed = *FEEDS.iter().find(|feed| feed.name() == "companies").unwrap();
    let (first, first_calls) = world.extract(feed, None).await;
    let limits = Limits { general: 2_500, search: 250, associations: 2_500, ..Limits::default() };
    sandbox.server.set_behaviour(Behaviour { limits, ..sandbox.server.behaviour() });
    let started = std::time::Instant::now();
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["a_snapshot_of_companies_alone", "--exact", "--ignored", "--nocapture"]);
    alone.env(SNAPSHOT_OF[0], &world.hubspot_url).env(SNAPSHOT_OF[1], &world.folder);
    alone.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tests::ended(alone).await;
    let told = ended.stdout.lines().find_map(|line| line.split_once("snapshot: ")).expect("a snapshot").1;
    let told: Vec<u64> = told.split(' ').map(|number| number.parse().unwrap()).collect();
    let [ids, calls, most] = told[..] else { panic!("{ended:#?}") };
    eprintln!(
        "{} rows in {first_calls} calls, then {ids} ids in {calls} calls, {:?} and {most} MiB",
        first.rows(),
        started.elapsed()
    );
    // Some were merged into others, and have no id any more.
    assert!(ids >= 980_000, "{ended:#?}");
    assert!(calls as f64 <= 10_100.0 / 1e6 * ids as f64, "{calls} calls for {ids} ids");
    assert!(most < 100, "{most} MiB");
    let started = std::time::Instant::now();
    world.load("companies").await;
    let loaded = started.elapsed();
    let started = std::time::Instant::now();
    let found = world.reconcile("companies").await.unwrap().unwrap();
    eprintln!("loaded in {loaded:?}, compared in {:?}: {found:?}", started.elapsed());
    assert_eq!(found.step, Step::Equal);
}

/// Checks an account without deals or forms: their tables exist, can be queried and can be compared.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_anything_has_every_table() {
    let marketing = Marketing {
        forms: 0,
        lists: 0,
        campaigns: 0,
        email_events: 0,
        subscription_changes: 0,
        ..Marketing::default()
    };
    let records = PerType { contacts: 0, companies: 0, deals: 0 };
    let sandbox =
        Sandbox::new(&Settings { records, marketing, ..Settings::default() }, Behaviour::default()).await;
    let first = sandbox.sync(&[]).await.complete();
    for collection in COLLECTIONS {
        assert_eq!(of(&first, collection)["files"], 1, "{collection}: {first:#}");
        let query = format!("SELECT count(*) FROM hubspot.{collection}");
        let rows: u64 = sandbox.database().query_row(&query, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{collection}");
    }
    let compared_with = sandbox.sync(&["--mode", "reconcile"]).await.complete();
    for collection in ["contacts", "companies", "deals"] {
        let found = compared(&compared_with, collection);
        assert!(matches!(&found[..], [(step, _)] if step == "equal"), "{collection}: {compared_with:#}");
    }
    let again = sandbox.sync(&[]).await.complete();
    assert!(COLLECTIONS.iter().all(|collection| of(&again, collection)["files"] == 0), "{again:#}");

    // The first record finds its table, with all its columns.
    let first_one = sandbox.account().create(ObjectType::Deals, &[("dealname", Some("the first"))]).unwrap();
    sandbox.sync(&[]).await.complete();
    let query = format!("SELECT dealname FROM hubspot.deals WHERE id = {first_one}");
    let name: String = sandbox.database().query_row(&query, [], |row| row.get(0)).unwrap();
    assert_eq!(name, "the first");
}

/// Checks that its staged files fill the table again, without a call to HubSpot.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_dropped_is_not_compared() {
    let sandbox = Sandbox::new(&records(10), Behaviour::default()).await;
    let world = tests::World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("world") };
    let feed = *FEEDS.iter().find(|feed| feed.name() == "deals").unwrap();
    world.extract(feed, None).await;
    world.load("deals").await;
    world.extract(feed, Some(Mode::Reconcile)).await;
    world.database().execute_batch("DROP TABLE hubspot.deals").unwrap();
    let refused = world.reconcile("deals").await.unwrap_err();
    assert!(refused.contains("its table is gone"), "{refused}");
    world.load("deals").await;
    assert_eq!(world.reconcile("deals").await.unwrap().unwrap().step, Step::Equal);
}

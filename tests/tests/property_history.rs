//! Past values of properties: read with the records, 50 to a call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use fake_hubspot::{
    Account, Behaviour, Churn, Further, InPart, Kind, Lack, ObjectType, PerType, RefusedBatches, Settings,
};
use serde_json::Value;
use tests::{Expectations, Sandbox, assert_history_equal, assert_objects_equal};

const DEALS: ObjectType = ObjectType::Deals;
/// Properties whose past the fake account is given.
const OF_DEALS: [&str; 3] = ["dealstage", "amount", "closedate"];
const LIST: &str = "deals:dealstage,amount,closedate";

fn deals(count: usize) -> Settings {
    let records = PerType { contacts: 0, companies: 0, deals: count };
    Settings { records, odd_values: 0.02, ..Settings::default() }
}

fn of_deals(names: &[&'static str]) -> Vec<(ObjectType, &'static str)> {
    names.iter().map(|name| (DEALS, *name)).collect()
}

fn calls(sandbox: &Sandbox) -> BTreeMap<&'static str, u64> {
    sandbox.server.counters().endpoints
}

fn report(report: &Value) -> &Value {
    &report["collections"]["property_history"]
}

/// Rows of a query of one number.
fn count(sandbox: &Sandbox, of: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM hubspot.property_history WHERE {of}");
    sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// The figures of the documentation, at a fiftieth of them: a call for each 50 deals, which brings values and past, and a
/// few besides; then a call for each 50 that changed.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_costs_a_call_for_each_fifty_records() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(2_000) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &OF_DEALS, 4).unwrap();
    let with = ["--collections", "deals", "--property-history", LIST];
    let first = sandbox.sync(&with).await.complete();
    assert_eq!(report(&first)["rows"], 2_000 * 3 * 4);
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
    assert_objects_equal(&[DEALS], &sandbox.database(), account, &Expectations::default());
    let made: u64 = calls(&sandbox).values().sum();
    eprintln!("2,000 deals: {made} calls, {:?}", calls(&sandbox));
    assert!((40..=40 + 60).contains(&made), "{:?}", calls(&sandbox));

    // Long enough ago for the search to have shown it for certain.
    account.set_clock_offset(TimeDelta::minutes(-30));
    for id in account.live_ids(DEALS).into_iter().step_by(20) {
        account.update(DEALS, id, &[("dealstage", Some("again")), ("amount", None)]).unwrap();
    }
    sandbox.server.reset_counters();
    sandbox.sync(&with).await.complete();
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
    eprintln!("100 of 2,000 changed: {:?}", calls(&sandbox));
    assert_eq!(calls(&sandbox)["objects.batch_read"], 2);
    assert!(calls(&sandbox)["objects.search"] <= 3, "{:?}", calls(&sandbox));

    sandbox.server.reset_counters();
    let idle = sandbox.sync(&with).await.complete();
    assert_eq!(report(&idle)["rows"], 0);
    assert_eq!(calls(&sandbox).get("objects.batch_read"), None);
}

/// Without a list, a page has a hundred records and no past, as it always had.
#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_history_pays_nothing() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(1_000) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let first = sandbox.sync(&["--collections", "deals"]).await.complete();
    assert!(report(&first).is_null());
    let log = sandbox.server.log();
    assert!(log.iter().all(|call| !call.target.contains("propertiesWithHistory")));
    let lists = log.iter().filter(|call| call.target.contains("limit=100"));
    assert!((10..40).contains(&lists.count()));
}

fn all() -> Settings {
    let further = Further { records: 40, custom_properties: 2 };
    let records = PerType { contacts: 160, companies: 50, deals: 130 };
    let settings = Settings { records, ..Settings::default() };
    settings.with(ObjectType::Tickets, further).with(ObjectType::Cars, further)
}

const OF_ALL: [(ObjectType, &str); 7] = [
    (ObjectType::Contacts, "lifecyclestage"),
    (ObjectType::Contacts, "firstname"),
    (ObjectType::Companies, "name"),
    (ObjectType::Deals, "dealstage"),
    (ObjectType::Deals, "amount"),
    (ObjectType::Tickets, "subject"),
    (ObjectType::Cars, "year"),
];
const LIST_OF_ALL: &str =
    "contacts:lifecyclestage,firstname;companies:name;deals:dealstage,amount;tickets:subject;cars:year";
const ALL: [&str; 4] =
    ["--collections", "contacts,companies,deals,tickets,cars", "--property-history", LIST_OF_ALL];
const OBJECTS: [ObjectType; 5] =
    [ObjectType::Contacts, ObjectType::Companies, ObjectType::Deals, ObjectType::Tickets, ObjectType::Cars];

fn churn(account: &Account, salt: u64) {
    for (seed, object) in OBJECTS.into_iter().enumerate() {
        Churn { per_second: 1.0, seed: salt + seed as u64 }.burst_of(object, account, 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_records_their_past_equals_the_account() {
    let sandbox = Sandbox::new(&all(), Behaviour::default()).await;
    let account = sandbox.account();
    for (object, name) in OF_ALL {
        account.give_past(object, &[name], 3).unwrap();
    }
    sandbox.sync(&ALL).await.complete();
    assert_history_equal(&OF_ALL, false, &sandbox.database(), account);
    for salt in [0, 100] {
        churn(account, salt);
        sandbox.sync(&ALL).await.complete();
    }
    // What HubSpot has erased without a word, a comparison finds.
    let erased = account.live_ids(ObjectType::Contacts)[7];
    account.purge(ObjectType::Contacts, erased).unwrap();
    let of_erased = format!("object = 'contacts' AND object_id = {erased}");
    assert!(count(&sandbox, &format!("{of_erased} AND NOT is_deleted")) > 0);
    sandbox.sync(&[&ALL[..], &["--mode", "refresh", "--accept-removals"]].concat()).await;
    sandbox.sync(&[&ALL[..], &["--mode", "reconcile", "--accept-removals"]].concat()).await.complete();
    assert_history_equal(&OF_ALL, true, &sandbox.database(), account);
    assert_eq!(count(&sandbox, &format!("{of_erased} AND NOT is_deleted")), 0);

    // The merged ones are gone, the archived ones are not.
    let archived = account.archived_ids(DEALS)[0];
    assert!(count(&sandbox, &format!("object = 'deals' AND object_id = {archived} AND NOT is_deleted")) > 0);
    let (merged, _) = account.merged_away(DEALS).into_iter().next().unwrap();
    assert_eq!(count(&sandbox, &format!("object = 'deals' AND object_id = {merged} AND NOT is_deleted")), 0);

    // A lost warehouse is filled again from the staged files.
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&ALL).await.complete();
    assert_history_equal(&OF_ALL, true, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_comes_on_the_list_is_read_of_all_records_and_one_that_goes_stays() {
    let sandbox = Sandbox::new(&deals(230), Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &OF_DEALS, 3).unwrap();
    sandbox.sync(&["--collections", "deals"]).await.complete();
    let with = async |list: &str| {
        let report = sandbox.sync(&["--collections", "deals", "--property-history", list]).await.complete();
        report["collections"]["property_history"]["rows"].as_u64().unwrap()
    };
    let update = |values: &[(&str, Option<&str>)]| {
        account.update(DEALS, account.live_ids(DEALS)[11], values).unwrap();
    };
    with("deals:dealstage").await;
    assert_history_equal(&of_deals(&["dealstage"]), true, &sandbox.database(), account);
    let records = account.live_ids(DEALS).len() + account.archived_ids(DEALS).len();
    with("deals:amount,dealstage").await;
    assert_eq!(count(&sandbox, "NOT is_deleted"), 2 * 3 * records as u64);
    assert_history_equal(&of_deals(&["dealstage", "amount"]), true, &sandbox.database(), account);
    assert_eq!(with("deals:amount,dealstage").await, 0);

    // Off the list, its rows stay; back on it, all records are read once more.
    with("deals:dealstage").await;
    assert_eq!(count(&sandbox, "property = 'amount' AND NOT is_deleted"), 3 * records as u64);
    update(&[("amount", Some("17"))]);
    with("deals:dealstage").await;
    assert_eq!(count(&sandbox, "property = 'amount' AND NOT is_deleted"), 3 * records as u64);
    assert!(with("deals:amount,dealstage").await > 3 * records as u64);
    assert_history_equal(&of_deals(&["dealstage", "amount"]), true, &sandbox.database(), account);

    // Of a record that is gone, nothing stays, on the list or not.
    let gone = account.live_ids(DEALS)[3];
    account.purge(DEALS, gone).unwrap();
    let list = ["--collections", "deals", "--property-history", "deals:dealstage", "--mode", "reconcile"];
    sandbox.sync(&list).await.complete();
    assert_eq!(count(&sandbox, &format!("object_id = {gone} AND NOT is_deleted")), 0);

    // Nor when nobody wanted the table as the record went.
    let gone = account.live_ids(DEALS)[3];
    account.purge(DEALS, gone).unwrap();
    sandbox.sync(&["--collections", "deals", "--mode", "reconcile"]).await.complete();
    with("deals:dealstage").await;
    assert_eq!(count(&sandbox, &format!("object_id = {gone} AND NOT is_deleted")), 0);

    // Made again under its name, a property has no past.
    account.add_property(DEALS, "tier", Kind::String).unwrap();
    for id in account.live_ids(DEALS).into_iter().take(9) {
        account.update(DEALS, id, &[("tier", Some("gold"))]).unwrap();
        account.update(DEALS, id, &[("tier", Some(""))]).unwrap();
    }
    with("deals:tier,dealstage").await;
    assert_history_equal(&of_deals(&["dealstage", "tier"]), true, &sandbox.database(), account);
    assert_eq!(count(&sandbox, "property = 'tier' AND NOT is_deleted"), 18);
    account.remake_property(DEALS, "tier").unwrap();
    with("deals:tier,dealstage").await;
    assert_history_equal(&of_deals(&["dealstage", "tier"]), true, &sandbox.database(), account);
    assert_eq!(count(&sandbox, "property = 'tier' AND NOT is_deleted"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_can_not_be_read_is_refused_or_named() {
    let sandbox = Sandbox::new(&deals(40), Behaviour::default()).await;
    let sync = async |list: &str| sandbox.sync(&["--collections", "deals", "--property-history", list]).await;
    for (list, why) in [
        ("deals", "names no object, or no property"),
        ("deals:*", "never read"),
        ("deal:amount", "history of properties of deal is wanted"),
        ("contacts:email;deals:amount", "history of properties of contacts is wanted"),
    ] {
        let refused = sync(list).await;
        assert!(refused.code != Some(0) && refused.stderr.contains(why), "{list}: {refused:#?}");
        assert!(!sandbox.path("state").exists() && !sandbox.path("warehouse.duckdb").exists());
    }
    let known = sync("deals:amount,no_such_property").await.complete();
    let degraded = report(&known)["degraded"].to_string();
    assert!(degraded.contains("deals have no property no_such_property"), "{degraded}");
    assert_history_equal(&of_deals(&["amount"]), true, &sandbox.database(), sandbox.account());
    // It is no reason to read everything again.
    let again = sync("deals:amount,no_such_property").await.complete();
    assert_eq!(report(&again)["rows"], 0);
}

/// By default, the table has what most reports ask for, as far as the account defines it.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_a_few_properties_of_each_object_are_read() {
    let sandbox = Sandbox::new(&all(), Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &["dealstage"], 3).unwrap();
    let with = ["--collections", "contacts,companies,deals,tickets,property_history"];
    let report_of = sandbox.sync(&with).await.complete();
    assert_eq!(report(&report_of)["degraded"].to_string(), "[]");
    let properties = [
        (DEALS, "dealstage"),
        (DEALS, "amount"),
        (DEALS, "hubspot_owner_id"),
        (ObjectType::Contacts, "lifecyclestage"),
        (ObjectType::Tickets, "hs_pipeline_stage"),
    ];
    assert_history_equal(&properties, true, &sandbox.database(), account);
    let alone = sandbox.sync(&["--collections", "property_history"]).await;
    assert!(alone.code != Some(0) && alone.stderr.contains("name the objects, too"), "{alone:#?}");
}

/// Names that don't fit a URL are read by id, and their past with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_wide_account_has_a_past_too() {
    let wide = PerType { contacts: 0, companies: 0, deals: 320 };
    let settings = Settings { custom_properties: wide, ..deals(260) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.account().give_past(DEALS, &OF_DEALS, 3).unwrap();
    sandbox.sync(&["--collections", "deals", "--property-history", LIST]).await.complete();
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), sandbox.account());
    let log = sandbox.server.log();
    assert!(log.iter().all(|call| !call.target.contains("propertiesWithHistory")));
    assert!(calls(&sandbox)["objects.batch_read"] >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_lacks_is_asked_for_again_then_named_and_never_lost() {
    let with = ["--collections", "deals", "--property-history", LIST];
    for (endpoint, lack) in [
        ("objects.list", Lack::Pastless),
        ("objects.list", Lack::Silent),
        ("objects.list", Lack::Odd),
        ("objects.batch_read", Lack::Pastless),
        ("objects.batch_read", Lack::Refused),
        ("objects.batch_read", Lack::Silent),
        ("objects.batch_read", Lack::Thin),
        ("objects.list", Lack::PastOfOne),
        ("objects.batch_read", Lack::PastOfOne),
    ] {
        let sandbox = Sandbox::new(&deals(120), Behaviour::default()).await;
        let account = sandbox.account();
        account.give_past(DEALS, &OF_DEALS, 3).unwrap();
        if endpoint == "objects.batch_read" {
            sandbox.sync(&with).await.complete();
            for id in account.live_ids(DEALS).into_iter().take(70) {
                account.update(DEALS, id, &[("amount", Some("12"))]).unwrap();
            }
        }
        sandbox.server.answer_in_part(InPart { endpoint, lack, ids: Vec::new(), times: 1 });
        let ended = sandbox.sync(&with).await;
        assert_eq!(ended.code, Some(0), "{endpoint} {lack:?}: {ended:#?}");
        assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
    }

    for lack in [Lack::Pastless, Lack::PastOfOne] {
        let sandbox = Sandbox::new(&deals(120), Behaviour::default()).await;
        let account = sandbox.account();
        account.give_past(DEALS, &OF_DEALS, 3).unwrap();
        sandbox.sync(&with).await.complete();
        let id = account.live_ids(DEALS)[5];
        account.update(DEALS, id, &[("amount", Some("12"))]).unwrap();
        let lacking = InPart { endpoint: "objects.batch_read", lack, ids: vec![id], times: 2 };
        sandbox.server.answer_in_part(lacking);
        let ended = sandbox.sync(&with).await;
        assert_eq!(ended.code, Some(1), "{lack:?}: {ended:#?}");
        let incomplete = ended.report();
        assert_eq!(report(&incomplete)["outcome"], "incomplete");
        assert_eq!(report(&incomplete)["degraded"].to_string(), "[]");
        assert_eq!(report(&incomplete)["quarantined"][0]["id"], id.to_string().as_str());
        assert_eq!(incomplete["collections"]["deals"]["outcome"], "complete");
        assert_objects_equal(&[DEALS], &sandbox.database(), account, &Expectations::default());
        // Nobody touches it: it is asked for because it was set aside.
        sandbox.sync(&with).await.complete();
        assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
    }
}

/// Before any answer has shown a past, one that leaves it out says nothing of HubSpot.
#[tokio::test(flavor = "multi_thread")]
async fn a_past_that_the_first_answer_leaves_out_is_asked_for_again_then_named() {
    const NOBODY: usize = 0;
    const ALL: usize = 40;
    let with = ["--collections", "deals", "--property-history", LIST];
    // An account whose names don't fit a URL is read by ids from the beginning on.
    let wide = PerType { contacts: 0, companies: 0, deals: 320 };
    let wide = Settings { custom_properties: wide, ..deals(ALL) };
    for (endpoint, settings) in [("objects.list", deals(ALL)), ("objects.batch_read", wide)] {
        let settings = Settings { archived: 0.0, merged: 0.0, ..settings };
        // So many records have no past in the first answer, and in the second.
        let spoiled = async |first: usize, second: usize| {
            let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
            let account = sandbox.account();
            account.give_past(DEALS, &OF_DEALS, 3).unwrap();
            // Of lists several are read, and of what one leaves out a batch.
            let times = if endpoint == "objects.list" { u32::MAX } else { 1 };
            let parts = [(endpoint, first, times), ("objects.batch_read", second, 1)];
            for (endpoint, count, times) in parts.into_iter().filter(|(_, count, _)| *count > NOBODY) {
                let ids = account.live_ids(DEALS)[..count].to_vec();
                sandbox.server.answer_in_part(InPart { endpoint, lack: Lack::Pastless, ids, times });
            }
            let ended = sandbox.sync(&with).await;
            let hint = format!("{endpoint}, first {first}, second {second}: {ended:#?}");
            (sandbox, ended, hint)
        };
        for first in [1, ALL] {
            let (sandbox, ended, hint) = spoiled(first, NOBODY).await;
            assert_eq!(ended.code, Some(0), "{hint}");
            assert_eq!(report(&ended.report())["degraded"].to_string(), "[]", "{hint}");
            assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), sandbox.account());

            // HubSpot shows the past of others: that of this one is missing.
            let (sandbox, ended, hint) = spoiled(first, 1).await;
            assert_eq!(ended.code, Some(1), "{hint}");
            let incomplete = ended.report();
            let quarantined = &report(&incomplete)["quarantined"];
            assert_eq!(quarantined.as_array().map(Vec::len), Some(1), "{hint}");
            let id = sandbox.account().live_ids(DEALS)[0];
            assert_eq!(quarantined[0]["id"], id.to_string().as_str(), "{hint}");
            sandbox.server.answer_whole();
            sandbox.sync(&with).await.complete();
            assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), sandbox.account());
        }

        // It shows that of nobody.
        let (sandbox, ended, hint) = spoiled(ALL, ALL).await;
        let degraded = report(&ended.report())["degraded"].to_string();
        assert!(degraded.contains("HubSpot shows no past of deals"), "{hint}");
        assert_eq!(count(&sandbox, "true"), 0, "{hint}");
    }
}

/// An empty list is a past; none is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_property_whose_past_is_never_shown_is_named() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(40) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    for endpoint in ["objects.list", "objects.batch_read"] {
        let ids = account.live_ids(DEALS);
        let lacking = InPart { endpoint, lack: Lack::PastOfOne, ids, times: u32::MAX };
        sandbox.server.answer_in_part(lacking);
    }
    let with = ["--collections", "deals", "--property-history", "deals:dealstage"];
    let named = sandbox.sync(&with).await.complete();
    let degraded = report(&named)["degraded"].to_string();
    const NAMED: &str = "values of dealstage in deals, and not their past";
    assert!(degraded.contains(NAMED), "{named:#}");
    // A run that meets none of the records, and one that meets all, whose past is shown by now.
    sandbox.server.answer_whole();
    let later = sandbox.sync(&with).await.complete();
    assert!(report(&later)["degraded"].to_string().contains(NAMED), "{later:#}");
    let whole = sandbox.sync(&[&with[..], &["--mode", "backfill"]].concat()).await.complete();
    assert_eq!(report(&whole)["degraded"].to_string(), "[]", "{whole:#}");
    let last = sandbox.sync(&with).await.complete();
    assert_eq!(report(&last)["degraded"].to_string(), "[]", "{last:#}");
}

/// HubSpot shows the past of some records alone: nobody waits for it for ever, and nothing is read again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_property_whose_past_many_records_lack_is_named() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(300) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let ids = sandbox.account().live_ids(DEALS)[50..].to_vec();
    for endpoint in ["objects.list", "objects.batch_read"] {
        let lacking = InPart { endpoint, lack: Lack::PastOfOne, ids: ids.clone(), times: u32::MAX };
        sandbox.server.answer_in_part(lacking);
    }
    let with = ["--collections", "deals", "--property-history", "deals:dealstage"];
    let first = sandbox.sync(&with).await.report();
    let of_history = report(&first);
    assert_eq!(of_history["quarantined"].as_array().map(Vec::len), Some(100), "{first:#}");
    let reason = of_history["quarantined"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("past of dealstage") && reason.contains("off the list"), "{reason}");
    assert!(of_history["degraded"].to_string().contains("values of dealstage"), "{first:#}");
    let second = sandbox.sync(&with).await.report();
    assert_eq!(second["collections"]["deals"]["mode"], "incremental", "{second:#}");
}

/// A batch with a record that HubSpot refuses is halved, with the past as without.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_costs_nobody_else_the_past() {
    let with = ["--collections", "deals", "--property-history", LIST];
    let sandbox = Sandbox::new(&deals(120), Behaviour::default()).await;
    let account = sandbox.account();
    sandbox.sync(&with).await.complete();
    let ids = account.live_ids(DEALS);
    for id in &ids[..60] {
        account.update(DEALS, *id, &[("amount", Some("12"))]).unwrap();
    }
    let ids: std::collections::BTreeSet<u64> = [ids[17]].into();
    let refused = RefusedBatches { endpoint: "objects.batch_read".to_owned(), ids, status: 400 };
    sandbox.server.set_behaviour(Behaviour { refused_batches: Some(refused), ..Behaviour::default() });
    assert_eq!(sandbox.sync(&with).await.code, Some(1));
    sandbox.server.set_behaviour(Behaviour::default());
    sandbox.sync(&with).await.complete();
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
}

/// The documented figures in full: two minutes, by hand.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes: cargo test --profile ci --workspace --test property_history -- --ignored"]
async fn a_hundred_thousand_deals_cost_two_thousand_calls() {
    let start = chrono::Utc::now() - TimeDelta::days(2);
    let settings = Settings { archived: 0.0, merged: 0.0, start, ..deals(100_000) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &OF_DEALS, 4).unwrap();
    let with = ["--collections", "deals", "--property-history", LIST];
    let first = sandbox.sync(&with).await.complete();
    assert_eq!(report(&first)["rows"], 1_200_000);
    eprintln!("first: {:?}, {} s", calls(&sandbox), first["seconds"]);
    let made: u64 = calls(&sandbox).values().sum();
    assert!((2_000..=2_060).contains(&made), "{made}");
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
    // The fake account has thousands of changes in its last hour, which the next search would show again.
    account.set_clock_offset(TimeDelta::hours(-3));
    account.touch(DEALS, account.live_ids(DEALS)[0]).unwrap();
    sandbox.sync(&with).await.complete();
    account.set_clock_offset(TimeDelta::minutes(-30));
    for id in account.live_ids(DEALS).into_iter().step_by(100) {
        account.update(DEALS, id, &[("dealstage", Some("again"))]).unwrap();
    }
    sandbox.server.reset_counters();
    let second = sandbox.sync(&with).await.complete();
    eprintln!("second: {:?}, {} s", calls(&sandbox), second["seconds"]);
    assert_eq!(calls(&sandbox)["objects.batch_read"], 20);
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
}

/// A merge leaves a deleted set with the survivor's version, and a merge that is undone leaves the record's own, older one.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_of_a_record_whose_merge_was_undone_while_nobody_wanted_it_is_read_later() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(60) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &OF_DEALS, 3).unwrap();
    let (with, without) =
        (["--collections", "deals", "--property-history", LIST], ["--collections", "deals"]);
    sandbox.sync(&with).await.complete();
    let live = account.live_ids(DEALS);
    let survivor = account.merge(DEALS, live[3], live[4]).unwrap();
    sandbox.sync(&with).await.complete();
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);

    // Nobody names it as merged any more.
    account.purge(DEALS, survivor).unwrap();
    account.undo_merge(DEALS, live[4]).unwrap();
    // The first comparison has it read, the second one finds nothing to read.
    for _ in 0..2 {
        sandbox.sync(&[&without[..], &["--mode", "reconcile"]].concat()).await.complete();
    }
    assert_objects_equal(&[DEALS], &sandbox.database(), account, &Expectations::default());
    sandbox.sync(&with).await.complete();
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
}

/// HubSpot shows a record that is archived just while everything is read in neither of its lists, and once it is restored
/// no change of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_past_of_a_record_that_a_read_of_everything_has_not_met_is_read_later() {
    let settings = Settings { archived: 0.0, merged: 0.0, ..deals(60) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(DEALS, &OF_DEALS, 3).unwrap();
    let with = ["--collections", "deals", "--property-history", LIST];
    sandbox.sync(&["--collections", "deals"]).await.complete();
    // Of the second page of the list.
    let absent = account.live_ids(DEALS)[58];
    sandbox.server.set_behaviour(Behaviour { latency: Duration::from_millis(300), ..Behaviour::default() });
    sandbox.server.reset_counters();
    let archived = async {
        while !sandbox.server.log().iter().any(|call| call.target.contains("archived=true")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        account.archive(DEALS, absent).unwrap();
    };
    let (read, ()) = tokio::join!(sandbox.sync(&with), archived);
    read.complete();
    account.restore(DEALS, absent).unwrap();
    sandbox.server.set_behaviour(Behaviour::default());
    sandbox.sync(&with).await.complete();
    assert_eq!(count(&sandbox, &format!("object_id = {absent}")), 0, "the run has met it");

    let compared = sandbox.sync(&[&with[..], &["--mode", "reconcile"]].concat()).await.complete();
    let steps = &compared["collections"]["deals"]["reconciled"];
    assert_eq!(steps[0]["differing"], serde_json::json!({"overlooked": 1}), "{compared:#}");
    assert_eq!(steps[1]["step"], "equal", "{compared:#}");
    assert_history_equal(&of_deals(&OF_DEALS), true, &sandbox.database(), account);
}

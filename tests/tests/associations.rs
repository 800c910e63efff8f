//! Associations: read with the records of each object, in one direction for each pair of objects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

use std::collections::BTreeMap;

use fake_hubspot::{
    Account, Behaviour, Churn, Further, InPart, Label, Lack, ObjectType, PerType, Poison, PoisonEffect,
    RefusedBatches, Settings,
};
use serde_json::Value;
use tests::{
    Expectations, Sandbox, assert_association_types_equal, assert_associations_equal, assert_objects_equal,
    table_of,
};

/// Types with records.
const OBJECTS: [ObjectType; 9] = [
    ObjectType::Contacts,
    ObjectType::Companies,
    ObjectType::Deals,
    ObjectType::Tickets,
    ObjectType::LineItems,
    ObjectType::Notes,
    ObjectType::Subscriptions,
    ObjectType::Cars,
    ObjectType::OwnTickets,
];

const BATCH_READ: &str = "associations.batch_read";

fn settings(records: usize) -> Settings {
    let further = Further { records, custom_properties: 1 };
    let core = PerType { contacts: 150, companies: 40, deals: 90 };
    let settings = Settings { records: core, wide_deals: 1, ..Settings::default() };
    OBJECTS[3..].iter().fold(settings, |settings, object| settings.with(*object, further))
}

fn named() -> String {
    let tables = OBJECTS.map(table_of).join(",");
    format!("{tables},associations,association_types")
}

fn outcome(report: &Value) -> &Value {
    &report["collections"]["associations"]["outcome"]
}

/// Changes records and links. What it does to links alone, no run over changes can see.
fn churn(account: &Account) {
    for (seed, object) in OBJECTS.into_iter().enumerate() {
        Churn { per_second: 1.0, seed: seed as u64 }.burst_of(object, account, 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_is_in_the_table_at_first_and_after_a_refresh() {
    let behaviour = Behaviour { associations_page: 7, inline_associations: 3, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(60), behaviour).await;
    let (account, named) = (sandbox.account(), named());
    let first = sandbox.sync(&["--collections", &named]).await.complete();
    assert_eq!(outcome(&first), "complete");
    assert!(first["collections"]["associations"]["rows"].as_u64().unwrap() > 500);
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);
    assert_association_types_equal(&OBJECTS, &sandbox.database(), account);
    for object in [ObjectType::Deals, ObjectType::Notes] {
        assert_objects_equal(&[object], &sandbox.database(), account, &Expectations::default());
    }

    churn(account);
    sandbox.sync(&["--collections", &named]).await.complete();
    let refresh = sandbox.sync(&["--collections", &named, "--mode", "refresh"]).await.complete();
    assert_eq!(outcome(&refresh), "complete");
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);

    // The account's labels have ids of their own in their category: none of them is lost to one of HubSpot's.
    let both = "SELECT count(*) FROM (SELECT 1 FROM hubspot.associations WHERE NOT is_deleted GROUP BY from_object, \
                from_id, to_object, to_id HAVING count(DISTINCT category) = 2)";
    assert!(sandbox.database().query_row(both, [], |row| row.get::<_, u64>(0)).unwrap() > 10);

    // A lost warehouse is filled again from the staged files.
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&["--collections", &named]).await.complete();
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_with_a_changed_record_is_exact() {
    let sandbox = Sandbox::new(&settings(40), Behaviour::default()).await;
    let (account, named) = (sandbox.account(), named());
    sandbox.sync(&["--collections", &named]).await.complete();
    let note = (ObjectType::Notes, account.live_ids(ObjectType::Notes)[3]);
    let deal = (ObjectType::Deals, account.live_ids(ObjectType::Deals)[5]);
    let others = [ObjectType::Tickets, ObjectType::Deals, ObjectType::Contacts, ObjectType::Companies];
    for other in others {
        for id in account.live_ids(other) {
            account.dissociate(note, (other, id));
        }
    }
    let companies = account.live_ids(ObjectType::Companies);
    account.associate(deal, (ObjectType::Companies, companies[0]), Label::DecisionMaker).unwrap();
    account.associate(deal, (ObjectType::Companies, companies[1]), Label::Primary).unwrap();
    account.touch(note.0, note.1).unwrap();
    account.touch(deal.0, deal.1).unwrap();
    let archived = account.live_ids(ObjectType::Tickets)[0];
    account.archive(ObjectType::Tickets, archived).unwrap();
    let restored = account.archived_ids(ObjectType::Notes)[0];
    account.restore(ObjectType::Notes, restored).unwrap();
    sandbox.server.reset_counters();
    sandbox.sync(&["--collections", &named]).await.complete();

    let database = sandbox.database();
    let live = |of: &str| -> u64 {
        let sql = format!("SELECT count(*) FROM hubspot.associations WHERE NOT is_deleted AND {of}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let to_core = "to_object IN ('tickets', 'deals', 'contacts', 'companies')";
    assert_eq!(live(&format!("from_object = 'notes' AND from_id = {} AND {to_core}", note.1)), 0);
    assert_eq!(live(&format!("from_object = 'tickets' AND from_id = {archived}")), 0);
    let links = |object, id, to| {
        let links = account.truth_links(object, to);
        links.into_iter().filter(|link| link.from_id == id).count() as u64
    };
    for to in [ObjectType::Contacts, ObjectType::Companies] {
        let of = format!("from_object = 'deals' AND from_id = {} AND to_object = '{}'", deal.1, table_of(to));
        assert_eq!(live(&of), links(deal.0, deal.1, to));
        let of = format!("from_object = 'notes' AND from_id = {restored} AND to_object = '{}'", table_of(to));
        assert_eq!(live(&of), links(ObjectType::Notes, restored, to));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_nothing_changed_asks_for_no_associations() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let with = ["--collections", &named()];
    let tables = OBJECTS.map(table_of).join(",");
    sandbox.sync(&with).await.complete();
    let mut calls = Vec::new();
    for collections in [&with, &["--collections", &tables]] {
        sandbox.server.reset_counters();
        let report = sandbox.sync(collections).await.complete();
        let rows = &report["collections"]["associations"]["rows"];
        assert!(rows.is_null() || rows == 0, "{rows}");
        calls.push(sandbox.server.counters().endpoints);
    }
    assert_eq!(calls[0].get(BATCH_READ), None);
    assert_eq!(calls[0], calls[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_label_comes_with_the_first_link_that_has_it() {
    const LABELS: &str = "associations.labels";
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let (account, named) = (sandbox.account(), named());
    sandbox.sync(&["--collections", &named]).await.complete();
    account.rename_label(["Chooses", "Chosen by"]);
    let deal = (ObjectType::Deals, account.live_ids(ObjectType::Deals)[2]);
    let contact = (ObjectType::Contacts, account.live_ids(ObjectType::Contacts)[1]);
    account.associate(deal, contact, Label::DecisionMaker).unwrap();
    account.touch(deal.0, deal.1).unwrap();
    sandbox.server.reset_counters();
    let report = sandbox.sync(&["--collections", &named]).await.complete();
    let calls = sandbox.server.counters().endpoints.get(LABELS).copied();
    assert_eq!(calls, Some(2), "only the pair whose links have a new label is asked for");
    assert!(report["collections"]["association_types"]["rows"].as_u64().unwrap() > 0);
    let labels = |from: &str| -> Vec<String> {
        let sql = format!(
            "SELECT label FROM hubspot.association_types WHERE category = 'USER_DEFINED' AND NOT is_deleted AND \
             from_object = '{from}' AND to_object IN ('deals', 'contacts')"
        );
        let database = sandbox.database();
        let mut statement = database.prepare(&sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert!(labels("contacts").contains(&"Chooses".to_owned()));
    assert!(labels("deals").contains(&"Chosen by".to_owned()));
    // A whole run reads all of them.
    sandbox.sync(&["--collections", &named, "--mode", "backfill"]).await.complete();
    assert_association_types_equal(&OBJECTS, &sandbox.database(), account);
}

/// A day is a day, however far our clock is behind HubSpot's.
#[tokio::test(flavor = "multi_thread")]
async fn types_are_asked_for_once_a_day_with_a_clock_that_is_behind() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let ahead = |hours: u64| {
        let clock_ahead = std::time::Duration::from_secs(hours * 3_600);
        sandbox.server.set_behaviour(Behaviour { clock_ahead, ..Behaviour::default() });
        sandbox.server.reset_counters();
    };
    let sync = async || {
        sandbox.sync(&["--collections", &named()]).await.complete();
        sandbox.server.counters().endpoints.get("associations.labels").copied()
    };
    ahead(48);
    assert!(sync().await.is_some());
    ahead(49);
    assert_eq!(sync().await, None, "an hour later");
    ahead(73);
    assert!(sync().await.is_some(), "the next day");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_cannot_be_read_are_named_and_read_later() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let named = named();
    let refused = Poison::new("associations.labels", "", PoisonEffect::Status(403));
    sandbox.server.poison(Poison { times: 1, ..refused });
    let report = sandbox.sync(&["--collections", &named]).await.complete();
    let degraded = &report["collections"]["association_types"]["degraded"];
    assert!(degraded.to_string().contains("types of associations with"), "{report}");
    // The next day, or by a run over everything.
    sandbox.server.reset_counters();
    sandbox.sync(&["--collections", &named]).await.complete();
    assert_eq!(sandbox.server.counters().endpoints.get("associations.labels"), None);
    sandbox.sync(&["--collections", &named, "--mode", "backfill"]).await.complete();
    assert_association_types_equal(&OBJECTS, &sandbox.database(), sandbox.account());
}

/// Deals with contacts and companies, at a tenth of the documented account: a call for each thousand deals and each of the
/// two objects, one that asks whether it answers, and one for what is left at the end.
#[tokio::test(flavor = "multi_thread")]
async fn deals_cost_a_call_for_each_thousand_and_each_object() {
    let records = PerType { contacts: 1_500, companies: 600, deals: 10_000 };
    let settings = Settings { records, wide_deals: 0, archived: 0.01, merged: 0.0, ..Settings::default() };
    let tables = "contacts,companies,deals";
    let mut calls: Vec<BTreeMap<&str, u64>> = Vec::new();
    for collections in [tables.to_owned(), format!("{tables},associations")] {
        let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
        let company = sandbox.account().live_ids(ObjectType::Companies)[7];
        for deal in sandbox.account().live_ids(ObjectType::Deals).into_iter().take(1_762) {
            let (deal, company) = ((ObjectType::Deals, deal), (ObjectType::Companies, company));
            sandbox.account().associate(deal, company, Label::Unlabeled).unwrap();
        }
        sandbox.server.reset_counters();
        sandbox.sync(&["--collections", &collections]).await.complete();
        let log = sandbox.server.log();
        let of_deals = log.iter().filter(|request| request.target.contains("/associations/2026-09/deals/"));
        calls.push(BTreeMap::from([("deals", of_deals.count() as u64)]));
        if collections != tables {
            assert_associations_equal(&ObjectType::CORE, &sandbox.database(), sandbox.account());
            let of_company = format!(
                "SELECT count(DISTINCT from_id) FROM hubspot.associations WHERE NOT is_deleted AND from_object = 'deals' \
                 AND to_object = 'companies' AND to_id = {company}"
            );
            let deals: u64 = sandbox.database().query_row(&of_company, [], |row| row.get(0)).unwrap();
            let expected = sandbox.account().truth_links(ObjectType::Companies, ObjectType::Deals);
            let mut expected: Vec<u64> =
                expected.into_iter().filter(|link| link.from_id == company).map(|link| link.to_id).collect();
            expected.dedup();
            assert!(deals >= 1_700 && deals == expected.len() as u64, "{deals}");
        }
    }
    let more = calls[1]["deals"] - calls[0]["deals"];
    eprintln!("associations of 10,000 deals with contacts and companies: {more} calls more");
    assert!((20..=22).contains(&more), "{calls:?}");
}

/// Records that an answer leaves out are asked for once more; if that does not help, they are named, and their sets stay as
/// they were.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_answered_badly_is_named_and_never_empty() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let (account, named) = (sandbox.account(), named());
    sandbox.sync(&["--collections", &named]).await.complete();
    let linked = account.truth_links(ObjectType::Notes, ObjectType::Contacts)[0].clone();
    let touch = || account.touch(ObjectType::Notes, linked.from_id).unwrap();

    touch();
    let refused =
        RefusedBatches { endpoint: BATCH_READ.to_owned(), ids: [linked.from_id].into(), status: 400 };
    sandbox.server.set_behaviour(Behaviour { refused_batches: Some(refused), ..Behaviour::default() });
    let ended = sandbox.sync(&["--collections", &named]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    assert_eq!(outcome(&report), "incomplete");
    let quarantined = report["collections"]["associations"]["quarantined"].as_array().unwrap().clone();
    assert!(!quarantined.is_empty());
    let id = linked.from_id.to_string();
    assert!(quarantined.iter().all(|thing| thing["id"] == id.as_str()), "{quarantined:?}");
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);

    sandbox.server.set_behaviour(Behaviour::default());
    account.dissociate((ObjectType::Notes, linked.from_id), (ObjectType::Contacts, linked.to_id));
    // Nobody touches it: it is asked for because it was set aside.
    sandbox.sync(&["--collections", &named]).await.complete();
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_part_are_asked_for_again() {
    for lack in [Lack::Refused, Lack::Nameless, Lack::Silent, Lack::Pending, Lack::NullResults, Lack::Odd] {
        let sandbox = Sandbox::new(&settings(20), Behaviour::default()).await;
        sandbox.server.answer_in_part(InPart { endpoint: BATCH_READ, lack, ids: Vec::new(), times: 2 });
        let ended = sandbox.sync(&["--collections", &named()]).await;
        assert_eq!(ended.code, Some(0), "{lack:?}: {ended:#?}");
        assert_associations_equal(&OBJECTS, &sandbox.database(), sandbox.account());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_refused_is_named_and_nothing_else_is_hurt() {
    let sandbox = Sandbox::new(&settings(30).without_scope("tickets"), Behaviour::default()).await;
    let all = ["--collections", "all"];
    let report = sandbox.sync(&all).await.complete();
    let degraded = report["collections"]["associations"]["degraded"].to_string();
    assert!(degraded.contains("associations with") && degraded.contains("tickets"), "{degraded}");
    let read: Vec<ObjectType> = OBJECTS.into_iter().filter(|object| *object != ObjectType::Tickets).collect();
    assert_associations_equal(&read, &sandbox.database(), sandbox.account());
    // It is not asked for again today.
    sandbox.server.reset_counters();
    sandbox.sync(&all).await.complete();
    assert_eq!(sandbox.server.counters().endpoints.get(BATCH_READ), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_and_is_refused_is_degraded_until_it_answers_again() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let account = sandbox.account();
    let few = ["--collections", "notes,contacts,companies,associations"];
    let read = [ObjectType::Notes, ObjectType::Contacts, ObjectType::Companies];
    sandbox.sync(&few).await.complete();
    let note = account.live_ids(ObjectType::Notes)[3];
    let contact = account.live_ids(ObjectType::Contacts)[3];
    account
        .associate((ObjectType::Notes, note), (ObjectType::Contacts, contact), Label::DecisionMaker)
        .unwrap();
    account.touch(ObjectType::Notes, note).unwrap();
    sandbox.server.poison(Poison::new(BATCH_READ, "", PoisonEffect::Status(403)));
    let report = sandbox.sync(&few).await.complete();
    let degraded = report["collections"]["associations"]["degraded"].to_string();
    assert!(degraded.contains("contacts") && degraded.contains("companies"), "{degraded}");
    sandbox.server.heal();
    let report = sandbox.sync(&few).await.complete();
    assert_eq!(report["collections"]["associations"]["degraded"].to_string(), "[]");
    assert_associations_equal(&read, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn associations_that_are_wanted_later_are_read_of_all_records() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let account = sandbox.account();
    let tables = OBJECTS.map(table_of);
    sandbox.sync(&["--collections", &tables[..4].join(",")]).await.complete();
    sandbox.sync(&["--collections", &format!("{},associations", tables[..5].join(","))]).await.complete();
    assert_associations_equal(&OBJECTS[..5], &sandbox.database(), account);
    // What changed while nobody wanted them is read once more.
    sandbox.sync(&["--collections", &tables[..5].join(",")]).await.complete();
    let deal = (ObjectType::Deals, account.live_ids(ObjectType::Deals)[7]);
    let contact = (ObjectType::Contacts, account.live_ids(ObjectType::Contacts)[9]);
    account.associate(deal, contact, Label::DecisionMaker).unwrap();
    account.touch(deal.0, deal.1).unwrap();
    sandbox.sync(&["--collections", &tables[..5].join(",")]).await.complete();
    sandbox.sync(&["--collections", &named()]).await.complete();
    assert_associations_equal(&OBJECTS, &sandbox.database(), account);
}

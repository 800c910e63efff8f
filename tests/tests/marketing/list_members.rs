//! Members of lists of other objects than contacts, in the table of list memberships.

use std::sync::Arc;

use extract::{Options, Outcome, Progress};
use fake_hubspot::{
    Account, Behaviour, Further, ObjectType, PerType, Poison, PoisonEffect, Processing, Settings, TruthList,
};
use serde_json::Value;
use tests::{Sandbox, World, assert_memberships_of_equal};

use crate::value;

const OBJECTS: [ObjectType; 3] = [ObjectType::Companies, ObjectType::Deals, ObjectType::Cars];
const WITH: [&str; 2] = ["--collections", "companies,deals,cars,list_memberships"];

async fn sandbox() -> Sandbox {
    let records = PerType { contacts: 20, companies: 40, deals: 600 };
    let settings = Settings { records, wide_deals: 0, ..Settings::default() };
    let settings = settings.with(ObjectType::Cars, Further { records: 30, custom_properties: 1 });
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    let large = account.create_list(ObjectType::Deals, "large", Processing::Manual);
    account.create_list(ObjectType::Deals, "empty", Processing::Manual);
    let of_cars = account.create_list(ObjectType::Cars, "cars", Processing::Manual);
    for deal in account.live_ids(ObjectType::Deals) {
        account.add_to_list(large, deal).unwrap();
    }
    for car in &account.live_ids(ObjectType::Cars)[..7] {
        account.add_to_list(of_cars, *car).unwrap();
    }
    sandbox
}

#[track_caller]
fn assert_equal(sandbox: &Sandbox) {
    assert_memberships_of_equal(&OBJECTS, &sandbox.database(), sandbox.account());
}

/// The list of an object that has the most members, and these.
fn largest(account: &Account, object: ObjectType) -> (u64, Vec<u64>) {
    let members = account.truth_memberships();
    let of =
        |list: u64| members.iter().filter(|one| one.list == list).map(|one| one.record).collect::<Vec<_>>();
    let lists = members.iter().filter(|one| one.object == object).map(|one| one.list);
    let list = lists.max_by_key(|list| of(*list).len()).unwrap();
    (list, of(list))
}

/// Members that a list has in the table.
fn live(sandbox: &Sandbox, list: u64) -> usize {
    let live =
        format!("SELECT count(*) FROM hubspot.list_memberships WHERE list_id = {list} AND NOT is_deleted");
    value(sandbox, &live).unwrap().parse().unwrap()
}

#[track_caller]
fn assert_names(report: &Value, list: &str) {
    let of_table = of_table(report);
    assert_eq!(of_table["outcome"], "incomplete", "{report:#}");
    let reason = of_table["reason"].as_str().unwrap();
    assert!(reason.contains(list), "{reason}");
}

fn of_table(report: &Value) -> &Value {
    &report["collections"]["list_memberships"]
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_other_objects_have_the_members_that_they_have_in_hubspot() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    let report = sandbox.sync(&WITH).await.complete();
    assert!(of_table(&report)["rows"].as_u64().unwrap() > 500, "{report:#}");
    assert_eq!(of_table(&report)["deleted"], 0, "{report:#}");
    assert_equal(&sandbox);
    sandbox.server.reset_counters();
    let again = sandbox.sync(&WITH).await.complete();
    assert_eq!(of_table(&again)["rows"], 0, "nothing has changed: {again:#}");
    assert_eq!(sandbox.server.counters().endpoints.get("lists.memberships"), None);

    // Some leave and some join, a record and a list are deleted, lists are new, and one is emptied.
    let (large, deals) = largest(account, ObjectType::Deals);
    for deal in deals.iter().step_by(3) {
        account.remove_from_list(large, *deal).unwrap();
    }
    account.archive(ObjectType::Deals, deals[1]).unwrap();
    let new = account.create_list(ObjectType::Companies, "new", Processing::Manual);
    for company in &account.live_ids(ObjectType::Companies)[..9] {
        account.add_to_list(new, *company).unwrap();
    }
    let (of_cars, cars) = largest(account, ObjectType::Cars);
    for car in cars {
        account.remove_from_list(of_cars, car).unwrap();
    }
    let others: Vec<u64> = account
        .truth_lists()
        .iter()
        .filter(|list| list.object == ObjectType::Companies && list.size > 0)
        .map(|list| list.id)
        .collect();
    account.delete_list(others[0]).unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
    let left =
        value(&sandbox, "SELECT count(*) FROM hubspot.list_memberships WHERE is_deleted AND record_id > 0");
    assert_ne!(left.as_deref(), Some("0"), "who has left is there as deleted");

    account.restore_list(others[0]).unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_deletes_nothing_and_is_named() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let (large, deals) = largest(account, ObjectType::Deals);
    for deal in &deals[..100] {
        account.remove_from_list(large, *deal).unwrap();
    }
    let poison = Poison::new("lists.memberships", "", PoisonEffect::Status(500));
    let in_request = format!("/{large}/memberships?limit=250&after=");
    sandbox.server.poison(Poison { in_request, ..poison });
    let stopped = sandbox.sync(&WITH).await.report();
    assert_names(&stopped, &format!("list {large} of deals"));
    assert_eq!(live(&sandbox, large), deals.len(), "nobody is gone yet");

    // The table is filled again from what was staged, a part of a reading among it.
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    assert_eq!(of_table(&sandbox.sync(&WITH).await.report())["outcome"], "incomplete");
    assert_eq!(live(&sandbox, large), deals.len(), "nor in a table that is filled anew");

    sandbox.server.heal();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lacks_members_is_asked_again_and_then_named() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let (large, deals) = largest(account, ObjectType::Deals);
    account.remove_from_list(large, deals[0]).unwrap();
    let odd = |times| Poison {
        times,
        ..Poison::new("lists.memberships", format!("\"recordId\":\"{}\"", deals[300]), PoisonEffect::Null)
    };
    sandbox.server.poison(odd(1));
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

/// A member that two pages show says that pages moved, where no number says that nobody is missing.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_two_pages_show_are_named_where_no_number_tells_how_many_there_are() {
    let sandbox = sandbox().await;
    sandbox.server.set_behaviour(Behaviour { members_overlap: true, ..Behaviour::default() });
    let (large, _) = largest(sandbox.account(), ObjectType::Deals);
    let report = sandbox.sync(&WITH).await.complete();
    let degraded = of_table(&report)["degraded"].to_string();
    for words in [&format!("list {large} of deals")[..], "shows 2 members again", "time and again"] {
        assert!(degraded.contains(words), "{report:#}");
    }
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_an_id_removes_nobody_however_often_it_is_shown() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let (large, deals) = largest(account, ObjectType::Deals);
    account.remove_from_list(large, deals[0]).unwrap();
    let shown = format!("\"recordId\":\"{}\"", deals[300]);
    sandbox.server.poison(Poison::new("lists.memberships", shown, PoisonEffect::Null));
    assert_names(&sandbox.sync(&WITH).await.report(), &format!("list {large} of deals"));
    assert_eq!(live(&sandbox, large), deals.len());
    sandbox.server.heal();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_the_listing_leaves_out_is_read_all_the_same() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let (large, deals) = largest(account, ObjectType::Deals);
    let unlisted = [large].into();
    sandbox.server.set_behaviour(Behaviour { unlisted, ..sandbox.server.behaviour() });
    account.remove_from_list(large, deals[0]).unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_list_that_is_shown_by_its_id_is_closed() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    sandbox.server.set_behaviour(Behaviour { shows_deleted_lists: true, ..sandbox.server.behaviour() });
    account.delete_list(largest(account, ObjectType::Deals).0).unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_asked_for_stops_no_other() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let (large, deals) = largest(account, ObjectType::Deals);
    let of_deals = |list: &&TruthList| list.object == ObjectType::Deals && list.size == 0;
    let empty = account.truth_lists().iter().find(of_deals).unwrap().id;
    let unlisted = [empty].into();
    sandbox.server.set_behaviour(Behaviour { unlisted, ..sandbox.server.behaviour() });
    let poison = Poison::new("lists.get", "", PoisonEffect::Status(500));
    sandbox.server.poison(Poison { in_request: format!("/{empty}"), ..poison });
    account.remove_from_list(large, deals[0]).unwrap();
    assert_names(&sandbox.sync(&WITH).await.report(), &format!("list {empty} of deals"));
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_shown_any_more_is_missed_where_its_lists_were_read() {
    let sandbox = sandbox().await;
    sandbox.sync(&WITH).await.complete();
    sandbox.server.poison(Poison::new("schemas.list", "", PoisonEffect::Status(403)));
    let world = World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("") };
    let run = world.begin().await;
    let collections = Some(Arc::new(["companies", "cars", "list_memberships"].into()));
    let feed = hubspot::feeds::known().find(|feed| feed.name() == "list_members").unwrap();
    let options = Options { collections, ..Options::default() };
    let report = extract::extract(feed, &run, &options, &Progress::default()).await;
    let [memberships] = &report.collections[..] else { panic!("{report:#?}") };
    assert!(matches!(&memberships.outcome, Outcome::Incomplete(reason) if reason.contains("lists of cars")));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_lists_are_skipped_by_name_and_read_later() {
    let sandbox = sandbox().await;
    for endpoint in ["lists.all", "lists.search"] {
        sandbox.server.poison(Poison::new(endpoint, "", PoisonEffect::Status(403)));
    }
    let report = sandbox.sync(&WITH).await.report();
    assert_eq!(of_table(&report)["outcome"], "skipped", "{report:#}");
    assert!(of_table(&report)["reason"].to_string().contains("crm.lists.read"), "{report:#}");
    assert_eq!(report["collections"]["companies"]["outcome"], "complete", "{report:#}");
    sandbox.server.heal();
    sandbox.sync(&WITH).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_other_objects_share_the_table() {
    let sandbox = sandbox().await;
    let account = sandbox.account();
    let with = ["--collections", "contacts,companies,deals,cars,list_memberships"];
    let all = [&OBJECTS[..], &[ObjectType::Contacts]].concat();
    sandbox.sync(&with).await.complete();
    assert_memberships_of_equal(&all, &sandbox.database(), account);
    let (list, members) = largest(account, ObjectType::Contacts);
    account.remove_from_list(list, members[0]).unwrap();
    account.update(ObjectType::Contacts, members[0], &[("jobtitle", Some("edited"))]).unwrap();
    let (list, members) = largest(account, ObjectType::Companies);
    account.remove_from_list(list, members[0]).unwrap();
    sandbox.sync(&with).await.complete();
    assert_memberships_of_equal(&all, &sandbox.database(), account);
}

//! Tables after a first sync, and after the next one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod compaction;
mod lost_files;
mod meaning;

use chrono::TimeDelta;
use fake_hubspot::{Account, Behaviour, IndexLag, Kind, ObjectType, PerType, Settings};
use tests::{Sandbox, assert_equal};

/// Edits all deals. A deal's associations change when a contact is archived or merged, without a new modified date; an
/// edit makes them be read again.
fn touch_all_deals(account: &Account) {
    let deals = account.live_ids(ObjectType::Deals).len();
    account.touch_many_in_one_ms(ObjectType::Deals, deals);
}

/// Returns the default account: archived, merged, odd values, bulk edits, deals with hundreds of contacts.
fn settings() -> Settings {
    Settings::default()
}

fn merged_rows(report: &serde_json::Value) -> u64 {
    report["collections"].as_object().unwrap().values().map(|c| c["merged_rows"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_equals_the_account_and_a_second_one_writes_nothing() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let first = sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    assert!(merged_rows(&first) > 1_000, "{first:#}");
    let before = std::fs::metadata(sandbox.path("warehouse.duckdb")).unwrap().modified().unwrap();

    let second = sandbox.sync(&[]).await.complete();
    for (name, collection) in second["collections"].as_object().unwrap() {
        assert_eq!(collection["mode"], "incremental", "{name}");
        assert_eq!(
            (&collection["rows"], &collection["merged_rows"], &collection["files"]),
            (&0.into(), &0.into(), &0.into()),
            "{name}"
        );
    }
    assert_eq!(std::fs::metadata(sandbox.path("warehouse.duckdb")).unwrap().modified().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_arrives() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    for object in ObjectType::CORE {
        let live = account.live_ids(object);
        let archived = account.archived_ids(object);
        account.archive(object, live[3]).unwrap();
        account.restore(object, archived[0]).unwrap();
        let survivor = account.merge(object, live[4], live[5]).unwrap();
        account.merge(object, survivor, live[6]).unwrap();
        account.purge(object, live[7]).unwrap();
        account.create(object, &[]).unwrap();
    }
    account
        .update(ObjectType::Contacts, account.live_ids(ObjectType::Contacts)[0], &[("firstname", None)])
        .unwrap();
    let deal = account.live_ids(ObjectType::Deals)[0];
    account.update(ObjectType::Deals, deal, &[("amount", Some("N/A"))]).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_come_go_and_change_their_type() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let contacts = account.live_ids(ObjectType::Contacts);
    account.add_property(ObjectType::Contacts, "shoe_size", Kind::Number).unwrap();
    account.add_property(ObjectType::Contacts, "hobby", Kind::String).unwrap();
    account
        .update(ObjectType::Contacts, contacts[0], &[("shoe_size", Some("42")), ("hobby", Some("chess"))])
        .unwrap();
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);

    account.change_property_type(ObjectType::Contacts, "shoe_size", Kind::String).unwrap();
    account.archive_property(ObjectType::Contacts, "hobby").unwrap();
    account.add_property(ObjectType::Contacts, "birthplace", Kind::String).unwrap();
    account
        .update(
            ObjectType::Contacts,
            contacts[1],
            &[("shoe_size", Some("EU 43")), ("birthplace", Some("Ulm"))],
        )
        .unwrap();
    sandbox.sync(&[]).await.complete();

    let text = |id: u64, column: &str| -> Option<String> {
        let query = format!("SELECT CAST({column} AS VARCHAR) FROM hubspot.contacts WHERE id = {id}");
        sandbox.database().query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(text(contacts[1], "properties_shoe_size_value").as_deref(), Some("EU 43"));
    assert_eq!(text(contacts[0], "properties_shoe_size_value").unwrap().parse(), Ok(42.0));
    assert_eq!(text(contacts[0], "properties_hobby_value").as_deref(), Some("chess"));
    assert_eq!(text(contacts[1], "properties_birthplace_value").as_deref(), Some("Ulm"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_too_wide_for_a_url_is_read_by_batches() {
    let settings = Settings {
        records: PerType { contacts: 1_500, companies: 60, deals: 60 },
        custom_properties: PerType { contacts: 1_500, companies: 400, deals: 400 },
        ..settings()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    let account = sandbox.account();
    account.archive(ObjectType::Contacts, account.live_ids(ObjectType::Contacts)[9]).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
    assert_eq!(sandbox.server.counters().statuses.get(&414), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_changes_in_one_millisecond_all_arrive() {
    let settings = Settings { records: PerType { contacts: 13_000, companies: 20, deals: 20 }, ..settings() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let touched = sandbox.account().touch_many_in_one_ms(ObjectType::Contacts, 12_000);
    let report = sandbox.sync(&[]).await.complete();
    let rows = report["collections"]["contacts"]["rows"].as_u64().unwrap();
    assert!(touched.len() == 12_000 && rows >= 12_000, "{rows} rows for {} changes", touched.len());
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_takes_no_ids_as_positions_is_read_in_sequence() {
    let behaviour = Behaviour { after_is_lower_bound: false, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(), behaviour).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Returns the `after` of the calls for archived contacts, in their order.
fn archived_positions(sandbox: &Sandbox) -> Vec<u64> {
    let log = sandbox.server.log();
    let archived = log.iter().filter(|request| {
        request.target.starts_with("/crm/objects/2026-09/contacts?")
            && request.target.contains("archived=true")
    });
    archived
        .map(|request| request.target.split_once("&after=").map_or(0, |(_, id)| id.parse().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_archived_records_is_read_in_parts_where_it_goes_by_id() {
    let settings = Settings {
        records: PerType { contacts: 5_400, companies: 20, deals: 20 },
        archived: 0.5,
        ..settings()
    };
    for archived_after_is_lower_bound in [true, false] {
        let latency = std::time::Duration::from_millis(20);
        let behaviour = Behaviour { latency, archived_after_is_lower_bound, ..Behaviour::default() };
        let sandbox = Sandbox::new(&settings, behaviour).await;
        let account = sandbox.account();
        for is_first in [true, false] {
            let pages = account.archived_ids(ObjectType::Contacts).len().div_ceil(100);
            sandbox.server.reset_counters();
            sandbox.sync(&[]).await.complete();
            assert_equal(&sandbox.database(), account);

            let positions = archived_positions(&sandbox);
            let from_the_start = positions.iter().filter(|position| **position == 0).count();
            let is_in_parts = !positions.is_sorted();
            if archived_after_is_lower_bound {
                // Where an earlier run has shown how the ids lie, a part costs a page at the most; else cuts may hit a
                // gap.
                let more = if is_first { 30 } else { 3 };
                assert!(is_in_parts && from_the_start == 1, "{positions:?}");
                assert!(positions.len() <= pages + more, "{pages} pages: {positions:?}");
            } else {
                // It is cut once, which shows that it can't be, and read from the start.
                assert_eq!(
                    (is_in_parts, from_the_start),
                    (is_first, if is_first { 2 } else { 1 }),
                    "{positions:?}"
                );
            }
            if is_first {
                let (live, archived) =
                    (account.live_ids(ObjectType::Contacts), account.archived_ids(ObjectType::Contacts));
                for n in 0..40 {
                    account.archive(ObjectType::Contacts, live[n * 60]).unwrap();
                    account.restore(ObjectType::Contacts, archived[n * 60]).unwrap();
                }
                touch_all_deals(account);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_pages_are_no_end() {
    let behaviour = Behaviour { short_pages: 0.5, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(), behaviour).await;
    sandbox.sync(&[]).await.complete();
    sandbox.account().touch_many_in_one_ms(ObjectType::Contacts, 700);
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_index_shows_late_are_not_lost() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let late = std::time::Duration::from_secs(3);
    sandbox.server.set_behaviour(Behaviour {
        index_lag: IndexLag { most: late, ..IndexLag::none() },
        ..sandbox.server.behaviour()
    });
    let contacts = account.live_ids(ObjectType::Contacts);
    for &id in &contacts[..50] {
        account.update(ObjectType::Contacts, id, &[("jobtitle", Some("late"))]).unwrap();
    }
    sandbox.sync(&[]).await.complete();
    tokio::time::sleep(late + std::time::Duration::from_millis(500)).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
}

/// Checks an index that stands still for longer than runs look back. The records that it shows last are a crowd of one
/// millisecond, and one that is newer by the time it is read.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_stands_still_for_hours_loses_nothing() {
    let settings = Settings { records: PerType { contacts: 3_000, companies: 20, deals: 20 }, ..settings() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contacts = account.live_ids(ObjectType::Contacts);
    let edit = |id: u64, ago: TimeDelta| {
        account.set_clock_offset(-ago);
        account.update(ObjectType::Contacts, id, &[("jobtitle", Some("edited"))]).unwrap();
    };
    account.set_clock_offset(-TimeDelta::hours(6));
    let crowd = account.touch_many_in_one_ms(ObjectType::Contacts, 2_100);
    let last = contacts.iter().find(|id| !crowd.contains(id)).unwrap();
    edit(*last, TimeDelta::hours(5));
    let stands_still = std::time::Duration::from_millis(2_500);
    sandbox.server.set_behaviour(Behaviour {
        index_lag: IndexLag { least: stands_still, most: stands_still, ..IndexLag::none() },
        ..sandbox.server.behaviour()
    });
    for (id, hours) in contacts.iter().rev().zip([4, 3, 2]) {
        edit(*id, TimeDelta::hours(hours));
    }
    edit(*last, TimeDelta::zero());
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    tokio::time::sleep(stands_still).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
}

/// Checks that a run remembers all versions that it has read, however many, and reads none of them again.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_changes_is_read_once() {
    let settings = Settings { records: PerType { contacts: 3_000, companies: 20, deals: 20 }, ..settings() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    sandbox.account().set_clock_offset(-TimeDelta::minutes(20));
    sandbox.account().touch_many_in_one_ms(ObjectType::Contacts, 2_500);
    assert!(merged_rows(&sandbox.sync(&[]).await.complete()) >= 2_500);
    for _ in 0..2 {
        let again = sandbox.sync(&[]).await.complete();
        assert_eq!(again["collections"]["contacts"]["rows"], 0, "{again:#}");
    }
    assert_equal(&sandbox.database(), sandbox.account());
}

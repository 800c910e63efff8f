//! An account of a real size: 100,000 contacts of 60 properties, 20,000 companies, 20,000 deals; 2 % archived, 1 %
//! merged, 2 % changed in one millisecond. The first sync has 30,000 e-mail events, 3,000 items of the subscription
//! timeline, 200 campaigns and 300 lists to read, too. The account that changes meanwhile has a fifth of the records.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use fake_hubspot::{Account, Behaviour, Churn, Marketing, ObjectType, Operation, PerType, Settings};
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal, assert_equal_but_for};

fn settings() -> Settings {
    Settings {
        records: PerType { contacts: 100_000, companies: 20_000, deals: 20_000 },
        archived: 0.02,
        merged: 0.01,
        bulk_edited: 0.02,
        ..Settings::default()
    }
}

fn marketing() -> Marketing {
    Marketing {
        email_events: 30_000,
        subscription_changes: 3_000,
        campaigns: 200,
        lists: 300,
        // All of it lies within the month that is read: the account is made as of last midnight.
        days: 29,
        ..Marketing::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_equals_the_account() {
    let settings = Settings { marketing: marketing(), ..settings() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let report = sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &Expectations::default());
    let cost = |name: &str| report[name].as_f64().unwrap();
    eprintln!(
        "first sync: {:.1} s, {:.1} CPU s, {:.0} MiB",
        cost("seconds"),
        cost("cpu_seconds"),
        cost("peak_memory_bytes") / f64::from(1 << 20)
    );
    let second = sandbox.sync(&[]).await.complete();
    for name in COLLECTIONS {
        let collection = &second["collections"][name];
        assert_eq!((&collection["rows"], &collection["merged_rows"]), (&0.into(), &0.into()), "{name}");
    }
}

/// Edits restored records. One that is archived after the list of archived ones has passed it, and restored after the
/// list of live ones has, is in neither list and has its old modified date: only a comparison of all ids or its next
/// edit reveals it.
fn touch_restored(account: &Account, operations: &[Operation]) {
    for operation in operations {
        let Operation::Restore { object, id } = operation else { continue };
        let is_archive =
            |other: &Operation| matches!(other, Operation::Archive { id: archived, .. } if archived == id);
        if operations.iter().any(is_archive) {
            // It may be gone by now.
            let _ = account.update(*object, *id, &[("hubspot_owner_id", Some("1"))]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_changes_a_second_are_caught_up_with() {
    // As slow as HubSpot's limit makes it, nearly: the account has time to change.
    let behaviour = Behaviour { latency: Duration::from_millis(100), ..Behaviour::default() };
    let records = PerType { contacts: 20_000, companies: 4_000, deals: 4_000 };
    let sandbox = Sandbox::new(&Settings { records, ..settings() }, behaviour).await;
    let churn = Churn { per_second: 50.0, seed: 11 }.start(Arc::clone(sandbox.server.account()));
    sandbox.sync(&[]).await.complete();
    let operations = churn.stop();
    touch_restored(sandbox.account(), &operations);
    // Associations change without a trace in the deal; an edit makes them be read again. What HubSpot calculates
    // changes without a trace as well, and is left out.
    let account = sandbox.account();
    account.touch_many_in_one_ms(ObjectType::Deals, account.live_ids(ObjectType::Deals).len());
    sandbox.sync(&[]).await.complete();
    eprintln!("{} changes while the first sync ran", operations.len());
    let calculated = ["num_associated_contacts", "num_associated_deals", "hubspotscore", "hs_acv"];
    assert_equal_but_for(&calculated, &sandbox.database(), account);
}

/// Checks that events of the last day, which each run reads again, are staged once.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_events_in_a_day_are_staged_once() {
    let events = 100_000;
    let settings = Settings {
        records: PerType { contacts: 1_000, companies: 10, deals: 10 },
        marketing: Marketing { email_events: events, days: 1, ..Marketing::default() },
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let more = ["--collections", "email_events", "--warehouse", "none"];
    let rows = async || sandbox.sync(&more).await.complete()["collections"]["email_events"]["rows"].as_u64();
    assert!(rows().await >= Some(events as u64));
    let again = rows().await.unwrap();
    assert!(again < events as u64 / 100, "{again} rows are staged again");
    let size = std::fs::metadata(sandbox.path("state/feeds/email_events.json")).map(|file| file.len());
    eprintln!("{again} rows are staged again; the cursor has {size:?} bytes");
}

/// Checks the memory of a run over long lists: a function of 128 MB reads them page by page, with the filters of as
/// many as fit.
#[tokio::test(flavor = "multi_thread")]
async fn eighteen_thousand_lists_with_long_filters_take_little_memory() {
    let settings = Settings {
        records: PerType { contacts: 10, companies: 10, deals: 10 },
        // Of these, 18,400 are lists of contacts that are not deleted.
        marketing: Marketing { lists: 24_000, filter_values: 500, ..Marketing::default() },
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let more = ["--collections", "contact_lists", "--warehouse", "none"];
    for least in [18_000, 0] {
        sandbox.server.reset_counters();
        let report = sandbox.sync(&more).await.complete();
        let rows = report["collections"]["contact_lists"]["rows"].as_u64().unwrap();
        assert!(rows >= least && (least > 0 || rows == 0), "{report:#}");
        let peak = report["peak_memory_bytes"].as_u64().unwrap();
        let calls = sandbox.server.counters().endpoints;
        eprintln!("{rows} lists staged with {} MiB at the most; {calls:?}", peak >> 20);
        assert!(peak < 100 << 20, "{peak} bytes");
    }
}

//! Tables that somebody else writes to, and credentials that see less than before.

use fake_hubspot::{Behaviour, ObjectType};
use hubspot::feeds::{FEEDS, Mode};
use serde_json::Value;
use tests::{Expectations, Sandbox, assert_all_equal, assert_equal};

use super::{RECORDS, compared, of, reconciled, settings};

fn execute(sandbox: &Sandbox, sql: &str) {
    sandbox.database().execute_batch(sql).unwrap();
}

/// Checks dropped columns of records and of events: the next load fills them from the staged files.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_dropped_is_filled_again() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let drop = "ALTER TABLE hubspot.contacts DROP COLUMN properties_lastname_value; \
                ALTER TABLE hubspot.email_events DROP COLUMN recipient; \
                ALTER TABLE hubspot.contact_identities DROP COLUMN is_primary;";
    execute(&sandbox, drop);
    // A comparison does not call the table equal meanwhile.
    let world = tests::World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("") };
    let contacts = *FEEDS.iter().find(|feed| feed.name() == "contacts").unwrap();
    world.extract(contacts, Some(Mode::Reconcile)).await;
    let refused = world.reconcile("contacts").await.unwrap_err();
    assert!(refused.contains("properties_lastname_value") && refused.contains("replay"), "{refused}");

    let report = sandbox.sync(&[]).await.complete();
    assert_eq!(compared(&report, "contacts"), [("equal".to_owned(), serde_json::json!({}))]);
    assert_all_equal(&sandbox.database(), sandbox.account(), &reconciled());
    let merged = |report: &Value| of(report, "email_events")["merged_rows"].as_u64().unwrap();
    assert!(merged(&report) > 0);
    assert_eq!(merged(&sandbox.sync(&[]).await.complete()), 0);

    // Rows that have lost their key are nobody's any more.
    execute(&sandbox, "ALTER TABLE hubspot.contact_identities DROP COLUMN value");
    let ended = sandbox.sync(&[]).await;
    let reason = of(&ended.report(), "contact_identities")["reason"].as_str().unwrap().to_owned();
    assert!(ended.code == Some(1) && reason.contains("drop the table"), "{reason}");
    execute(&sandbox, "DROP TABLE hubspot.contact_identities");
    sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &reconciled());
}

/// Checks deleted rows of a table that is not compared with HubSpot, and each remedy that the message names.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_deleted_by_hand_are_missed() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let is_red = async || {
        let ended = sandbox.sync(&[]).await;
        let report = ended.report();
        assert_eq!((ended.code, of(&report, "email_events")["outcome"].as_str()), (Some(1), Some("failed")));
        assert_eq!(of(&report, "deals")["outcome"], "complete");
        let reason = of(&report, "email_events")["reason"].as_str().unwrap().to_owned();
        assert!(
            reason.contains("rows that loads had put into the table of email_events are gone"),
            "{reason}"
        );
    };
    execute(&sandbox, "DELETE FROM hubspot.email_events WHERE type = 'SENT'");
    is_red().await;
    is_red().await;
    // It is made anew from the staged files.
    execute(&sandbox, "DROP TABLE hubspot.email_events");
    sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &Expectations::default());

    execute(&sandbox, "DELETE FROM hubspot.email_events");
    is_red().await;
    sandbox.sync(&["--accept-removals"]).await.complete();
    sandbox.sync(&[]).await.complete();
    let left: u64 = sandbox
        .database()
        .query_row("SELECT count(*) FROM hubspot.email_events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

/// Checks deleted rows of a table that is compared with HubSpot.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_by_hand_come_back_with_a_comparison() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    execute(&sandbox, "DELETE FROM hubspot.deals");
    assert_eq!(sandbox.sync(&RECORDS).await.code, Some(1));
    sandbox.sync(&[&RECORDS[..], &["--mode", "reconcile"]].concat()).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    sandbox.sync(&RECORDS).await.complete();
}

/// Checks rows that no load wrote: they are named, and hold only values that HubSpot shows.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_inserted_by_hand_are_named() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    execute(&sandbox, "INSERT INTO hubspot.companies (id, name) VALUES (77, 'Foreign')");
    let report = sandbox.sync(&[&RECORDS[..], &["--mode", "reconcile"]].concat()).await.complete();
    let found = compared(&report, "companies");
    let foreign = ("asked".to_owned(), serde_json::json!({"foreign": 1}));
    assert_eq!(found, [foreign, ("equal".to_owned(), serde_json::json!({}))]);
    let is_deleted: bool = sandbox
        .database()
        .query_row("SELECT is_deleted FROM hubspot.companies WHERE id = 77", [], |row| row.get(0))
        .unwrap();
    assert!(is_deleted);
    // Nobody has ever known it.
    execute(&sandbox, "DELETE FROM hubspot.companies WHERE id = 77");
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Checks that a comparison reports only the records that it has seen as equal.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_says_what_it_compared() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    let columns = |report: &Value| of(report, "deals")["reconciled"][0]["compared_columns"].clone();
    let report = sandbox.sync(&[&RECORDS[..], &["--mode", "reconcile"]].concat()).await.complete();
    assert_eq!(columns(&report), serde_json::json!([]));
    let report = sandbox.sync(&[&RECORDS[..], &["--mode", "refresh"]].concat()).await.complete();
    let compared_columns = columns(&report);
    assert!(compared_columns.to_string().contains("hs_acv"), "{compared_columns}");
    // A value among them that somebody changes is HubSpot's again after the next.
    execute(&sandbox, "UPDATE hubspot.deals SET hs_acv = 99.5 WHERE NOT is_deleted");
    let report = sandbox.sync(&[&RECORDS[..], &["--mode", "refresh"]].concat()).await.complete();
    assert!(compared(&report, "deals")[0].1["drifted"].as_u64().unwrap() > 0, "{report:#}");
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Checks a credential that sees few records: the others are not taken for removed without a confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn most_records_are_not_taken_for_removed_without_a_confirmation() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&RECORDS).await.complete();
    let account = sandbox.account();
    let live = account.live_ids(ObjectType::Deals);
    for id in &live[..live.len() * 2 / 3] {
        account.purge(ObjectType::Deals, *id).unwrap();
    }
    let reconcile = [&RECORDS[..], &["--mode", "reconcile"]].concat();
    for _ in 0..2 {
        let ended = sandbox.sync(&reconcile).await;
        let report = ended.report();
        let reason = of(&report, "deals")["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(&format!("of the {} live records", live.len())), "{reason}");
        assert!(reason.contains("accept-removals"), "{reason}");
        assert_eq!((ended.code, &of(&report, "contacts")["outcome"]), (Some(1), &"complete".into()));
    }
    sandbox.sync(&[&reconcile[..], &["--accept-removals"]].concat()).await.complete();
    let left: usize = sandbox
        .database()
        .query_row("SELECT count(*) FROM hubspot.deals WHERE NOT is_deleted", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, account.live_ids(ObjectType::Deals).len());
}

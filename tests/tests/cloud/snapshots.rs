//! Schedules of snapshots in a stack.

use fake_hubspot::ObjectType;
use serde_json::{Value, json};
use staging::{RefreshDue, Shared};

use super::{cloud, event, rows};

/// Checks both schedules at once: the refresh finds the lease taken, and the comparison that comes next does its work.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_meets_a_comparison_stays_due() {
    let cloud = cloud().await;
    let due = async || {
        let due: Shared<RefreshDue> = cloud.state().shared(&RefreshDue::document("companies")).await.unwrap();
        due.value.since_ms
    };
    let status = async || {
        cloud.cli(&["status", "--report", "json"]).await.complete()["collections"]["companies"].clone()
    };
    cloud.invoke("companies", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(due().await, None);

    let at_work = cloud.state().lease("snapshot-companies").await.unwrap();
    let met = cloud.invoke("companies", &event("extract-refresh")).await;
    assert!(met.answer["reason"].as_str().unwrap().starts_with("busy"), "{met:#?}");
    cloud.state().release(at_work).await;
    let since = due().await;
    assert!(since.is_some());
    assert_eq!(
        (&status().await["refreshed"], status().await["refresh_due"].is_string()),
        (&Value::Null, true)
    );
    // It ages from when it was due.
    let report = cloud.invoke("companies", &event("extract-schedule")).await.complete();
    assert_eq!(report["refreshed_ms"].as_i64(), since);
    assert!(cloud.metrics("companies").last().unwrap()["RefreshAgeSeconds"].is_number());

    let report = cloud.invoke("companies", &event("extract-reconcile")).await.complete();
    assert_eq!(report["mode"], "refresh");
    assert_eq!(due().await, None);
    let loaded = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(loaded["reconciled"]["companies"]["step"], "equal", "{loaded:#}");
    assert!(status().await["refreshed"].is_string() && status().await["reconciled"].is_string());
    // The next comparison is one of ids again, and leaves the refresh where it was.
    let refreshed = cloud.invoke("companies", &json!({})).await.complete()["refreshed_ms"].clone();
    let report = cloud.invoke("companies", &event("extract-reconcile")).await.complete();
    assert_eq!(report["mode"], "reconcile");
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let report = cloud.invoke("companies", &json!({})).await.complete();
    assert_eq!(report["refreshed_ms"], refreshed);
    assert!(report["reconciled_ms"].as_i64() > refreshed.as_i64());
}

/// Checks rows that somebody deleted from a table: each load that has new files is red until the rows are back, or
/// their deletion is confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_deleted_are_put_back_by_a_replay() {
    let cloud = cloud().await;
    cloud.invoke("email_events", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let before = rows(&cloud, "email_events");
    let delete = || {
        let by_hand =
            "DELETE FROM hubspot.email_events WHERE id IN (SELECT id FROM hubspot.email_events LIMIT 7)";
        cloud.sandbox.database().execute_batch(by_hand).unwrap();
    };
    let load_more = async || {
        cloud.invoke("email_events", &event("extract-backfill")).await.complete();
        cloud.invoke("load", &event("load-schedule")).await
    };
    delete();
    for _ in 0..2 {
        // A backfill of events reads them once more, which does not tell whether all of them are there.
        let red = load_more().await;
        let message = red.answer["errorMessage"].as_str().unwrap().to_owned();
        assert!(message.contains("7 rows that loads had put into the table of email_events"), "{red:#?}");
    }
    cloud.invoke("load", &event("load-replay")).await.complete();
    assert_eq!(rows(&cloud, "email_events"), before);
    load_more().await.complete();

    delete();
    cloud.invoke("load", &event("load-accept-removals")).await.complete();
    assert_eq!(rows(&cloud, "email_events"), before - 7);
    load_more().await.complete();
}

/// Checks a credential that sees few records: the comparison wants a confirmation, once for a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_shows_far_less_is_believed_when_somebody_says_so() {
    let cloud = cloud().await;
    cloud.invoke("deals", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let account = cloud.sandbox.account();
    let live = account.live_ids(ObjectType::Deals);
    for id in &live[..live.len() * 2 / 3] {
        account.purge(ObjectType::Deals, *id).unwrap();
    }
    cloud.invoke("deals", &event("extract-reconcile")).await.complete();
    for _ in 0..2 {
        let refused = cloud.invoke("load", &event("load-schedule")).await;
        let message = refused.answer["errorMessage"].as_str().unwrap().to_owned();
        assert!(message.contains("not taken for removed"), "{message}");
    }
    let accepted = cloud.invoke("load", &event("load-accept-removals")).await.complete();
    assert_eq!(accepted["reconciled"]["deals"]["step"], "asked", "{accepted:#}");
    cloud.invoke("deals", &event("extract-schedule")).await.complete();
    let loaded = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(loaded["reconciled"]["deals"]["step"], "equal", "{loaded:#}");
}

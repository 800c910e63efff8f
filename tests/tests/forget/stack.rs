//! A stack forgets a person: its load function does it, in the bucket with all versions, and in the state table.

use fake_hubspot::{Behaviour, EventType};
use serde_json::json;
use tests::Sandbox;
use tests::cloud::Cloud;

use super::places::{in_columns, in_files};
use super::{FIRST, SECOND, make_ada, note_event, rows, settings};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_left_in_a_stack() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let cloud = Cloud::new(sandbox).await;
    cloud.keep_versions().await;
    let ada = make_ada(cloud.sandbox.account());
    let feeds = ["contacts", "deals", "email_events", "subscription_timeline"];
    let read = async || {
        for feed in feeds {
            cloud.invoke(feed, &json!({})).await.complete();
        }
    };
    read().await;
    cloud.invoke("load", &json!({})).await.complete();
    note_event(cloud.sandbox.account(), SECOND, EventType::Click);
    // These wait for a load.
    read().await;
    let needles = ada.needles();
    assert!(!in_columns(&cloud.sandbox.database(), &needles).is_empty());
    let before = cloud.sandbox.path("before");
    cloud.download_versions(&before).await;
    assert!(!in_files(&before, &needles).is_empty());
    std::fs::remove_dir_all(&before).unwrap();

    for id in &ada.ids {
        cloud.sandbox.account().purge(super::CONTACTS, *id).unwrap();
    }
    let arguments = ["forget", "--email", FIRST, "--email", SECOND, "--yes", "--report", "json"];
    let forgotten = cloud.cli(&arguments).await;
    let report = forgotten.complete();
    assert_eq!(report["outcome"], "forgotten", "{report:#}");
    assert!(rows(&report, "email_events") >= 4 && rows(&report, "contacts") >= 2, "{report:#}");
    let nothing = Vec::<String>::new();
    assert_eq!(in_columns(&cloud.sandbox.database(), &needles), nothing);
    let after = cloud.sandbox.path("after");
    assert_eq!(cloud.download_versions(&after).await, 0, "marks of deleted objects are left");
    assert_eq!(in_files(cloud.sandbox.path("").as_path(), &needles), nothing, "files, versions, logs");
    let items = cloud.items().await;
    let named: Vec<_> =
        items.iter().filter(|item| needles.iter().any(|needle| item.contains(needle))).collect();
    assert!(named.is_empty(), "{named:#?}");
    assert_eq!(cloud.gateway.dead_letters().len(), 0);

    // What waited is merged, and a late event stays out.
    note_event(cloud.sandbox.account(), FIRST, EventType::Click);
    read().await;
    cloud.invoke("load", &json!({"replay": true})).await.complete();
    assert_eq!(in_columns(&cloud.sandbox.database(), &needles), nothing);

    let wrong = cloud.invoke("load", &json!({"forget": {"emails": ["lovelace"]}})).await;
    assert!(wrong.is_error && !wrong.answer.to_string().contains("lovelace"), "{wrong:#?}");
}

/// The load function forgets by itself, behind the second comparison, in the bucket with all versions.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_forgets_a_contact_that_hubspot_shows_nowhere() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let cloud = Cloud::new(sandbox).await.with(&[("HARD_DELETE", "contacts"), ("FORGET_DELETED", "0")]);
    cloud.keep_versions().await;
    let account = cloud.sandbox.account();
    let email = [("email", Some(FIRST)), ("lastname", Some(super::NAME))];
    let id = account.create(super::CONTACTS, &email).unwrap();
    note_event(account, FIRST, EventType::Click);
    let needles = [FIRST.to_owned(), super::NAME.to_owned(), id.to_string()];
    let round = async |event: serde_json::Value| {
        cloud.invoke("contacts", &event).await.complete();
        cloud.invoke("load", &json!({})).await.complete()
    };
    for feed in ["email_events", "subscription_timeline"] {
        cloud.invoke(feed, &json!({})).await.complete();
    }
    round(json!({})).await;
    assert!(!in_columns(&cloud.sandbox.database(), &needles).is_empty());
    account.purge(super::CONTACTS, id).unwrap();
    round(json!({"mode": "reconcile"})).await;
    let report = round(json!({})).await;
    assert_eq!(report["reconciled"]["contacts"]["step"], "equal", "{report:#}");
    assert_eq!(report["forgotten"], serde_json::Value::Null, "{report:#}");
    let running = cloud.state().lease("email_events").await.unwrap();
    let report = round(json!({"mode": "reconcile"})).await;
    assert_eq!(report["forgotten"]["outcome"], "left", "{report:#}");
    cloud.state().release(running).await;
    // The next load goes on, though nothing is staged for it.
    let report = cloud.invoke("load", &json!({})).await.complete();
    assert_eq!((&report["tables"], &report["reconciled"]), (&json!({}), &json!(null)), "{report:#}");
    assert_eq!(report["forgotten"]["outcome"], "forgotten", "{report:#}");
    assert_eq!((&report["forgotten"]["ids"], &report["forgotten"]["addresses"]), (&json!(1), &json!(1)));
    let nothing = Vec::<String>::new();
    assert_eq!(in_columns(&cloud.sandbox.database(), &needles), nothing);
    cloud.download_versions(&cloud.sandbox.path("after")).await;
    assert_eq!(in_files(cloud.sandbox.path("").as_path(), &needles), nothing, "files, versions, logs");
    let items = cloud.items().await;
    assert!(!items.iter().any(|item| needles.iter().any(|needle| item.contains(needle))), "{items:#?}");

    let named = ["forget", "--lift", "--email", FIRST, "--contact", &id.to_string(), "--report", "json"];
    assert_eq!(cloud.cli(&named).await.complete(), json!({"named": 2, "lifted": 2}));
    assert_eq!(cloud.cli(&named).await.complete(), json!({"named": 2, "lifted": 0}));
}

//! Answers of AWS that never arrive: the SDK retries, and the first try has had its effect.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use fake_hubspot::{Behaviour, PerType, Settings, V1Contacts};
use serde_json::json;
use staging::{Bucket, Column, ColumnType, FileWriter, Finished, Shared, Table};
use tests::cloud::{Act, Cloud, Moment};
use tests::{Expectations, Sandbox, assert_all_equal};

use super::cloud;

/// Loses the first answer to this operation.
fn lose_an_answer(cloud: &Cloud, operation: &'static str) {
    let is_lost = AtomicBool::new(false);
    cloud.gateway.set_hook(move |request, moment| {
        let is_it = request.operation == operation && moment == Moment::Done;
        if is_it && !is_lost.swap(true, Ordering::SeqCst) { Act::Fail } else { Act::GoOn }
    });
}

/// Makes a file of so many rows of random text, for the key `run-1-<name>`.
fn finished(bucket: &Bucket, folder: &Path, name: &str, rows: usize, seed: u64) -> Finished {
    let columns = vec![Column::new("id", ColumnType::BigInt), Column::new("text", ColumnType::Text)];
    let table = Table::new("deals", &["id"], columns).unwrap();
    let key = bucket.key("deals", &format!("run-1-{name}"), Utc::now());
    let scratch = folder.join(format!("{name}-{seed}"));
    let mut writer = FileWriter::create(&scratch, &key, 1, "run-1", &table).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    for id in 0..rows {
        let text: String = (0..100).map(|_| random.alphanumeric()).collect();
        writer.rows().cell(0).unwrap().bigint(id as i64);
        writer.rows().cell(1).unwrap().text(&text);
        writer.rows().finish_row();
        if id % 1_000 == 0 {
            writer.page_done().unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Checks uploads in one request and in parts.
#[tokio::test(flavor = "multi_thread")]
async fn a_staged_object_is_created_once_and_never_replaced() {
    let cloud = cloud().await;
    let bucket = cloud.bucket_of("deals").await;
    let folder = cloud.sandbox.path("");
    for (name, operation, rows) in [("small", "PutObject", 10), ("large", "CompleteMultipartUpload", 90_000)]
    {
        lose_an_answer(&cloud, operation);
        let file = bucket.put(finished(&bucket, &folder, name, rows, 1), Utc::now()).await.unwrap();
        assert_eq!(file.rows, rows as u64);
        cloud.gateway.clear_hook();
        let refused = cloud.gateway.refused(operation, 412);
        // moto answers a completion once more, as S3 does for a while.
        assert!(refused == 1 || operation != "PutObject", "{refused} {operation} were refused");

        // Another file of the same name: whoever comes second is refused, and nothing changes.
        let other = bucket.put(finished(&bucket, &folder, name, rows, 2), Utc::now()).await;
        let error = format!("{:#}", other.unwrap_err());
        assert!(error.contains("not overwritten"), "{error}");
        assert_eq!(cloud.gateway.refused(operation, 412), refused + 1);
        let kept = bucket.locate(&file).await.unwrap();
        assert_eq!(kept.bytes, file.bytes);
        // The same one again is the same one.
        let mut again = finished(&bucket, &folder, name, rows, 1);
        again.key.clone_from(&file.key);
        bucket.put(again, Utc::now()).await.unwrap();
        assert_eq!(cloud.gateway.refused(operation, 412), refused + 2);
        bucket.fetch(&file).await.unwrap();
    }
    assert_eq!(cloud.unfinished_uploads().await, 0);
    assert_eq!(cloud.objects().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_answer_is_lost_is_held_by_who_asked_for_it() {
    let cloud = cloud().await;
    let state = cloud.state_of("deals").await;
    lose_an_answer(&cloud, "UpdateItem");
    let lease = state.lease("deals").await.unwrap();
    assert_eq!(cloud.gateway.refused("UpdateItem", 400), 1);
    // It is held, and a checkpoint under it counts.
    let refused = cloud.state().lease("deals").await.unwrap_err();
    assert_eq!(refused.kind(), staging::ErrorKind::Busy);
    lose_an_answer(&cloud, "TransactWriteItems");
    state.checkpoint(&lease, &7_u64, &[]).await.unwrap();
    assert_eq!(state.cursor::<u64>("deals").await.unwrap(), Some(7));
    state.release(lease).await;
    cloud.state().lease("deals").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_document_whose_answer_is_lost_is_swapped() {
    let cloud = cloud().await;
    let state = cloud.state_of("deals").await;
    lose_an_answer(&cloud, "PutItem");
    assert!(state.swap_shared("limits", &Shared { version: 0, value: 1_u64 }).await.unwrap());
    let held = state.shared::<u64>("limits").await.unwrap();
    assert_eq!(held, Shared { version: 1, value: 1 });
    // Somebody else was first.
    assert!(cloud.state().swap_shared("limits", &Shared { version: 1, value: 2_u64 }).await.unwrap());
    lose_an_answer(&cloud, "PutItem");
    assert!(!state.swap_shared("limits", &Shared { version: 1, value: 3_u64 }).await.unwrap());
    assert_eq!(state.shared::<u64>("limits").await.unwrap(), Shared { version: 2, value: 2 });
}

/// Checks contacts v1 ending in the middle of a run, when some submissions are registered and merged already.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_lost_in_the_middle_of_a_run_overwrites_no_file() {
    // So slow that there are checkpoints while archived contacts are read, which have no submissions.
    let slow = Behaviour { latency: Duration::from_secs(6), ..Behaviour::default() };
    let records = PerType { contacts: 2_500, companies: 5, deals: 5 };
    let settings = Settings { records, ..Settings::default() };
    let cloud = Arc::new(Cloud::new(Sandbox::new(&settings, slow).await).await);
    let (registered, is_merged) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (stack, merged) = (Arc::downgrade(&cloud), Arc::clone(&is_merged));
    cloud.gateway.set_hook(move |request, moment| {
        let is_registration = request.function == "contacts"
            && request.operation == "TransactWriteItems"
            && String::from_utf8_lossy(&request.body).contains("form_submissions#");
        let Some(cloud) = stack.upgrade().filter(|_| is_registration) else { return Act::GoOn };
        if moment == Moment::Done && !registered.swap(true, Ordering::SeqCst) {
            let server = &cloud.sandbox.server;
            let (v1_contacts, latency) = (V1Contacts::Gone, Duration::ZERO);
            server.set_behaviour(Behaviour { v1_contacts, latency, ..server.behaviour() });
        } else if moment == Moment::Arrived
            && registered.load(Ordering::SeqCst)
            && !merged.swap(true, Ordering::SeqCst)
        {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(cloud.invoke("load", &json!({})))
            })
            .complete();
        }
        Act::GoOn
    });
    cloud.invoke("contacts", &json!({})).await.complete();
    assert!(is_merged.load(Ordering::SeqCst), "nothing was registered after contacts v1 had ended");
    cloud.gateway.clear_hook();
    cloud.invoke("load", &json!({})).await.complete();
    assert_eq!(cloud.gateway.refused("PutObject", 412), 0);

    // Each registered file is there as it was registered.
    let submissions = |cloud: &Cloud| super::rows(cloud, "form_submissions");
    let before = submissions(&cloud);
    std::fs::remove_file(cloud.sandbox.path("warehouse.duckdb")).unwrap();
    cloud.invoke("load", &json!({"replay": true})).await.complete();
    assert_eq!(submissions(&cloud), before);

    let server = &cloud.sandbox.server;
    server.set_behaviour(Behaviour { v1_contacts: V1Contacts::Alive, ..server.behaviour() });
    cloud.invoke("contacts", &json!({})).await.complete();
    cloud.invoke("load", &json!({})).await.complete();
    let of_contacts = ["contacts", "contact_identity_profiles", "contact_identities", "form_submissions"];
    let others = tests::COLLECTIONS.into_iter().filter(|name| !of_contacts.contains(name));
    let others: Vec<&str> = others.collect();
    let expectations = Expectations { without: &others, ..Expectations::default() };
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &expectations);
}

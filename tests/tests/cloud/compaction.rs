//! Staged files of a stack that become few, and those that were kept long enough.

use chrono::{TimeDelta, Utc};
use fake_hubspot::ObjectType;
use serde_json::json;
use staging::{Replacement, StagedFile};
use tests::{Expectations, assert_objects_equal};

use super::{cloud, event};

#[tokio::test(flavor = "multi_thread")]
async fn files_in_the_bucket_become_few_and_fill_a_warehouse_again() {
    let cloud = cloud().await;
    for name in ["one", "two", "three"] {
        let account = cloud.sandbox.account();
        for id in account.live_ids(ObjectType::Deals).into_iter().take(7) {
            account.update(ObjectType::Deals, id, &[("dealname", Some(name))]).unwrap();
        }
        cloud.invoke("deals", &event("extract-schedule")).await.complete();
    }
    let waiting = cloud.state().files("deals").await.unwrap();
    let report = cloud.invoke("load", &event("load-compact")).await.complete();
    assert_eq!(report["compacted"]["deals"]["files_before"], 0, "nothing is merged yet: {report:#}");
    assert_eq!(cloud.state().files("deals").await.unwrap(), waiting);
    cloud.invoke("load", &event("load-schedule")).await.complete();

    let report = cloud.invoke("load", &event("load-compact")).await.complete();
    assert_eq!(report["compacted"]["deals"]["files_before"], waiting.len(), "{report:#}");
    let files = cloud.state().files("deals").await.unwrap();
    assert_eq!(files.len(), 1);
    let keys: Vec<String> = cloud.objects().await.into_iter().map(|(key, _)| key).collect();
    assert!(keys.contains(&files[0].key));
    // For a while they stay, for whoever reads the bucket.
    assert!(waiting.iter().all(|file| keys.contains(&file.key)));
    assert_eq!(cloud.state().retired("deals").await.unwrap().len(), waiting.len());
    let report = cloud.invoke("load", &event("load-schedule")).await.complete();
    assert_eq!(report["tables"], json!({}), "{report:#}");

    std::fs::remove_file(cloud.sandbox.path("warehouse.duckdb")).unwrap();
    cloud.invoke("load", &event("load-replay")).await.complete();
    let (database, account) = (cloud.sandbox.database(), cloud.sandbox.account());
    assert_objects_equal(&[ObjectType::Deals], &database, account, &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_replaces_more_files_than_a_transaction_takes() {
    let cloud = cloud().await;
    let state = cloud.state();
    let now = Utc::now();
    let file = |n: i64| StagedFile {
        key: format!("hubspot/deals/dt=2026-09-01/{n:03}.parquet"),
        collection: "deals".to_owned(),
        run_id: "run-1".to_owned(),
        rows: 1,
        bytes: 1,
        staged_at: now + TimeDelta::milliseconds(n),
        snapshot: None,
        oldest_staged_at: None,
        is_expired: false,
    };
    let files: Vec<StagedFile> = (0..80).map(file).collect();
    let lease = state.lease("deals").await.unwrap();
    for files in files.chunks(20) {
        state.checkpoint(&lease, &1_u64, files).await.unwrap();
    }
    let load = state.lease("load-deals").await.unwrap();
    let keys: Vec<String> = files.iter().map(|file| file.key.clone()).collect();
    state.set_merged(&load, "deals", &keys[..75]).await.unwrap();
    let new = StagedFile { key: "hubspot/deals/dt=2026-09-01/new.parquet".to_owned(), ..files[69].clone() };
    let replacement = Replacement {
        collection: "deals",
        feed: "deals",
        load: &load,
        old: &files[..70],
        new: std::slice::from_ref(&new),
    };
    for _ in 0..2 {
        state.replace_files(&replacement).await.unwrap();
        let left = state.files_by_feed("deals").await.unwrap();
        assert_eq!(left["deals"].len(), 11);
        assert!(left["deals"].contains(&new) && left["deals"][1..] == files[70..]);
    }
    assert_eq!(state.pending(Some("deals")).await.unwrap(), files[75..]);
    assert_eq!(state.retired("deals").await.unwrap().len(), 70);
    state.set_removed("deals", &keys[..69]).await.unwrap();
    assert_eq!(state.retired("deals").await.unwrap().len(), 1);
}

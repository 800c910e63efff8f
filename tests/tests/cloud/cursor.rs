//! A cursor of the greatest size, in a table with DynamoDB's limits.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::engine::general_purpose::STANDARD_NO_PAD as UNPADDED;
use hubspot::feeds::Cursor;
use serde_json::{Value, json};
use staging::Pairs;
use staging::pairs::{put_varint, zigzag};
use tests::cloud::{Act, Cloud, Moment};

use super::cloud;

/// Most versions that a cursor keeps.
const RECENT: usize = 400_000;
const ARCHIVED: usize = 200_000;
/// DynamoDB's limit: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const ITEM_BYTES: usize = 400 << 10;
const MOST_TRANSACTION_BYTES: usize = 3_000_000;

fn random_bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.u8(..)).collect()
}

/// Makes so many versions of records, as a cursor writes them.
fn recent(count: usize, seed: u64) -> Value {
    UNPADDED.encode(random_bytes(count * 8, seed)).into()
}

/// Makes so many archived records.
fn archived(count: usize, seed: u64) -> Value {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut id = 0;
    let pairs = (0..count).map(|_| {
        id += random.u64(1..5_000);
        (id, 1_760_000_000_000 + random.i64(0..7_776_000_000))
    });
    let mut bytes = Vec::new();
    put_varint(&mut bytes, zigzag(i64::MIN));
    bytes.extend(Pairs(pairs.collect()).to_bytes());
    UNPADDED.encode(bytes).into()
}

fn full(seed: u64) -> Cursor {
    let ids: Vec<usize> = (0..ARCHIVED).map(|n| 10_000_000_000 + n * 7_919).collect();
    let cursor = json!({
        "watermark_ms": 1_760_000_000_000_i64,
        "caught_up_ms": 1_760_000_000_000_i64,
        "recent": recent(RECENT, seed),
        "archived": archived(ARCHIVED, seed),
        "run": {
            "mode": "incremental", "started_ms": 1_760_000_000_000_i64, "moves_watermark": true,
            "archived": archived(ARCHIVED, seed + 1),
            "slices": [{"kind": "named", "ids": ids}]
        }
    });
    serde_json::from_value(cursor).unwrap()
}

/// Sizes of requests, counted as DynamoDB's limits count them.
#[derive(Debug, Default)]
struct Sizes {
    /// Bytes of each transaction, all items together.
    transactions: Vec<usize>,
    largest_item: usize,
    most_items: usize,
    /// Bytes of items outside of transactions.
    beside: usize,
}

fn item_bytes(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    let bytes = |(name, value): (&String, &Value)| {
        let text = |kind: &str| value.get(kind).and_then(Value::as_str);
        let blob = text("B").map_or(0, |blob| BASE64.decode(blob).unwrap().len());
        name.len() + blob + text("S").or(text("N")).map_or(0, str::len)
    };
    attributes.map(bytes).sum()
}

fn measure(cloud: &Cloud) -> Arc<Mutex<Sizes>> {
    let sizes = Arc::new(Mutex::new(Sizes::default()));
    let counted = Arc::clone(&sizes);
    cloud.gateway.set_hook(move |request, moment| {
        if moment != Moment::Arrived {
            return Act::GoOn;
        }
        let mut sizes = counted.lock().unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let items: Vec<usize> = match request.operation.as_str() {
            "TransactWriteItems" => {
                let items = body["TransactItems"].as_array().unwrap();
                items.iter().map(|item| item_bytes(&item["Put"]["Item"])).collect()
            }
            "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().unwrap();
                let requests = tables.values().flat_map(|requests| requests.as_array().unwrap());
                requests.map(|request| item_bytes(&request["PutRequest"]["Item"])).collect()
            }
            _ => return Act::GoOn,
        };
        let sum = items.iter().sum();
        match request.operation.as_str() {
            "TransactWriteItems" => sizes.transactions.push(sum),
            _ => sizes.beside += sum,
        }
        sizes.largest_item = sizes.largest_item.max(items.iter().copied().max().unwrap_or(0));
        sizes.most_items = sizes.most_items.max(items.len());
        Act::GoOn
    });
    sizes
}

async fn items_of(cloud: &Cloud, prefix: &str) -> usize {
    let scan = cloud.aws.dynamodb.scan().table_name("hubspot-state");
    let items = scan.into_paginator().items().send();
    let items = items.try_collect().await.unwrap();
    items.iter().filter(|item| item["sk"].as_s().unwrap().starts_with(prefix)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_with_all_that_it_may_remember_is_saved() {
    let cloud = cloud().await;
    let sizes = measure(&cloud);
    let state = cloud.state_of("deals").await;
    let lease = state.lease("deals").await.unwrap();
    let mut cursor = full(1);
    state.checkpoint(&lease, &cursor, &[]).await.unwrap();
    assert_eq!(state.cursor::<Cursor>("deals").await.unwrap().as_ref(), Some(&cursor));
    let parts = items_of(&cloud, "part#").await;
    let first = std::mem::take(&mut *sizes.lock().unwrap());
    assert!(first.beside > 3_500_000, "{first:?}");

    // What did not change is not written again.
    cursor.watermark_ms = Some(7);
    state.checkpoint(&lease, &cursor, &[]).await.unwrap();
    let second = std::mem::take(&mut *sizes.lock().unwrap());
    assert_eq!(second.beside, 0, "{second:?}");
    // Another run, which knows what the table says, changes all of it: what nothing refers to any more goes.
    let other = cloud.state_of("deals").await;
    state.release(lease).await;
    let lease = other.lease("deals").await.unwrap();
    assert_eq!(other.cursor::<Cursor>("deals").await.unwrap().as_ref(), Some(&cursor));
    cursor = full(3);
    other.checkpoint(&lease, &cursor, &[]).await.unwrap();
    assert_eq!(cloud.state().cursor::<Cursor>("deals").await.unwrap().as_ref(), Some(&cursor));
    let now = items_of(&cloud, "part#").await;
    assert!(now.abs_diff(parts) < 2, "{now} items, {parts} before");
    let third = std::mem::take(&mut *sizes.lock().unwrap());
    for sizes in [&first, &second, &third] {
        assert!(sizes.transactions.iter().all(|bytes| *bytes < MOST_TRANSACTION_BYTES), "{sizes:?}");
        assert!(sizes.largest_item < ITEM_BYTES && sizes.most_items <= 25, "{sizes:?}");
    }
    eprintln!("{first:?}, {second:?}, {third:?}");

    // A small one has no parts.
    other.checkpoint(&lease, &Cursor::default(), &[]).await.unwrap();
    assert_eq!(items_of(&cloud, "part#").await, 0);
}

/// Checks a run that ends after its parts and before its transaction: the cursor stays as it was, and the next run
/// removes the parts.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_checkpoint_that_was_not_saved_are_removed() {
    let cloud = cloud().await;
    let state = cloud.state_of("deals").await;
    let lease = state.lease("deals").await.unwrap();
    let saved: Cursor = serde_json::from_value(json!({"recent": recent(9_000, 1)})).unwrap();
    state.checkpoint(&lease, &saved, &[]).await.unwrap();
    let parts = items_of(&cloud, "part#").await;

    cloud.gateway.set_hook(|request, moment| {
        let is_it = request.operation == "TransactWriteItems" && moment == Moment::Arrived;
        if is_it { Act::Fail } else { Act::GoOn }
    });
    let lost: Cursor = serde_json::from_value(json!({"recent": recent(9_000, 2)})).unwrap();
    state.checkpoint(&lease, &lost, &[]).await.unwrap_err();
    cloud.gateway.clear_hook();
    assert_eq!(items_of(&cloud, "part#").await, 2 * parts);
    assert_eq!(state.cursor::<Cursor>("deals").await.unwrap(), Some(saved.clone()));

    // In the same process, and in another one that has read nothing.
    state.checkpoint(&lease, &saved, &[]).await.unwrap();
    assert_eq!(items_of(&cloud, "part#").await, parts);
    state.release(lease).await;
    let other = cloud.state();
    let lease = other.lease("deals").await.unwrap();
    other.checkpoint(&lease, &lost, &[]).await.unwrap();
    assert_eq!(items_of(&cloud, "part#").await, parts);
    assert_eq!(state.cursor::<Cursor>("deals").await.unwrap(), Some(lost));
}

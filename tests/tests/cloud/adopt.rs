//! Moving a stack over from Segment: rows go through its bucket, and its load brings them in.

use serde_json::{Value, json};
use tests::cloud::{BUCKET, Cloud};

use super::{cloud, event};

/// Contacts that HubSpot shows no more.
const GONE: u64 = 77;
const FORGOTTEN: u64 = 78;

fn count(cloud: &Cloud, condition: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM hubspot.contacts WHERE {condition}");
    cloud.sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_segment_come_in_with_the_load_of_the_stack() {
    let cloud = cloud().await;
    let warehouse = format!("duckdb:{}", cloud.sandbox.path("warehouse.duckdb").display());
    let adopt = async |bucket: &str| {
        cloud.cli(&["adopt", "--report", "json", "--warehouse", &warehouse, "--bucket", bucket]).await
    };
    let contacts = async || -> Value { adopt(BUCKET).await.complete()["contacts"].clone() };
    let load = async || cloud.invoke("load", &event("load-schedule")).await.complete();

    let live = cloud.sandbox.account().live_ids(fake_hubspot::ObjectType::Contacts)[0];
    let segments = format!(
        "CREATE SCHEMA hubspot; CREATE TABLE hubspot.contacts (id VARCHAR, email VARCHAR); INSERT INTO hubspot.contacts \
         VALUES ('{GONE}', 'ada@example.com'), ('{FORGOTTEN}', 'ben@example.com'), ('{live}', 'x'), (NULL, 'y')"
    );
    cloud.sandbox.database().execute_batch(&segments).unwrap();

    let aside = contacts().await;
    assert_eq!((&aside["step"], &aside["renamed_to"]), (&json!("waiting"), &json!("contacts_of_segment")));
    cloud.invoke("contacts", &event("extract-schedule")).await.complete();
    load().await;
    let forgotten = cloud.cli(&["forget", "--contact", &FORGOTTEN.to_string(), "--yes"]).await;
    assert_eq!(forgotten.code, Some(0), "{forgotten:#?}");

    // Its load would look for the rows in its own bucket.
    cloud.aws.s3.create_bucket().bucket("another").send().await.unwrap();
    let another = adopt("another").await;
    assert_eq!(another.code, Some(2), "{another:#?}");
    assert!(another.stderr.contains("output Bucket"), "{another:#?}");

    let staged = contacts().await;
    assert_eq!((&staged["step"], &staged["drop"]), (&json!("staged"), &Value::Null), "{staged:#}");
    assert_eq!((&staged["brought_in"], &staged["without_key"]), (&json!(1), &json!(1)), "{staged:#}");
    assert_eq!(contacts().await, staged, "twice is once");
    assert_eq!(count(&cloud, &format!("id = {GONE}")), 0);

    load().await;
    assert_eq!(count(&cloud, &format!("id = {GONE} AND is_deleted AND email = 'ada@example.com'")), 1);
    assert_eq!(count(&cloud, &format!("id = {FORGOTTEN}")), 0);
    assert_eq!(count(&cloud, "NOT is_deleted AND email = 'x'"), 0, "HubSpot's row wins");
    let done = contacts().await;
    assert_eq!((&done["step"], &done["brought_in"]), (&json!("brought_in"), &json!(1)), "{done:#}");
    assert_eq!(done["drop"], "DROP TABLE hubspot.contacts_of_segment");

    // The stack has them for good: a table that is filled again has them, too.
    let refill = async || {
        cloud.sandbox.database().execute_batch("DROP TABLE hubspot.contacts").unwrap();
        cloud.invoke("load", &event("load-replay")).await
    };
    refill().await.complete();
    assert_eq!(count(&cloud, &format!("id = {GONE} AND is_deleted")), 1);
    let status = cloud.cli(&["status"]).await;
    assert!(!status.stdout.contains("adopt-"), "a feed that nobody knows: {}", status.stdout);

    // Nobody needs files that were merged, as long as the table is there.
    cloud.invoke("companies", &event("extract-schedule")).await.complete();
    load().await;
    assert!(cloud.delete_objects("contacts").await > 1);
    assert_eq!(contacts().await, done);
    let missed = refill().await;
    let reason = missed.answer["errorMessage"].to_string();
    assert!(reason.contains("are gone"), "{missed:#?}");
    cloud.invoke("contacts", &event("extract-backfill")).await.complete();
    let missed = cloud.invoke("load", &event("load-schedule")).await;
    let reason = missed.answer["errorMessage"].to_string();
    assert!(reason.contains("adopt --stack NAME --bucket NAME"), "{missed:#?}");
    assert_eq!(contacts().await["step"], "waiting", "ours is not there");
    load().await;
    assert_eq!(count(&cloud, &format!("id = {GONE}")), 0);
    assert_eq!(contacts().await["step"], "staged");
    load().await;
    assert_eq!(count(&cloud, &format!("id = {GONE} AND is_deleted")), 1);
}

/// Another stack's load would never find the rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_another_stack_loads_is_refused() {
    let cloud = cloud().await;
    cloud.invoke("companies", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let others = "UPDATE hubspot._loaded_files SET file_key = 'of another stack'";
    cloud.sandbox.database().execute_batch(others).unwrap();
    let warehouse = format!("duckdb:{}", cloud.sandbox.path("warehouse.duckdb").display());
    let refused = cloud.cli(&["adopt", "--warehouse", &warehouse, "--bucket", BUCKET]).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("that belong together"), "{refused:#?}");
}

//! The deployed pipeline on emulators: the built functions under the runtime emulator, moto for AWS, the fake account,
//! DuckDB. What comes out must be the account, row by row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use fake_hubspot::{Behaviour, Settings};
use serde_json::json;
use tests::cloud::Cloud;
use tests::{Expectations, Sandbox, assert_all_equal};

const FEEDS: [&str; 7] = [
    "contacts",
    "companies",
    "deals",
    "contact_lists",
    "email_campaigns",
    "email_events",
    "subscription_timeline",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_fills_the_warehouse() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let cloud = Cloud::new(sandbox).await;
    for feed in FEEDS {
        let report = cloud.invoke(feed, &json!({"trigger": "schedule"})).await.complete();
        eprintln!("{feed}: {}", report["seconds"]);
    }
    let report = cloud.invoke("load", &json!({})).await.complete();
    eprintln!("{report:#}");
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &Expectations::default());
}

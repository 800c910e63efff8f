//! Rate limits and their headers.

use std::time::{Duration, Instant};

use fake_hubspot::{Behaviour, Limits, Settings};
use serde_json::json;

use crate::client::{Fake, TOKEN, read, small};

fn limited(limits: Limits) -> Behaviour {
    Behaviour { limits, ..Behaviour::default() }
}

#[tokio::test]
async fn headers_count_down() {
    let fake = Fake::start(&small(), Behaviour::default()).await;
    let first = fake.get("/crm/objects/2026-09/contacts").await;
    let second = fake.get("/crm/objects/2026-09/contacts").await;
    for (name, one, two) in [
        ("x-hubspot-ratelimit-max", 190, 190),
        ("x-hubspot-ratelimit-remaining", 189, 188),
        ("x-hubspot-ratelimit-interval-milliseconds", 10_000, 10_000),
        ("x-hubspot-ratelimit-secondly", 19, 19),
        ("x-hubspot-ratelimit-daily", 625_000, 625_000),
        ("x-hubspot-ratelimit-daily-remaining", 624_999, 624_998),
    ] {
        assert_eq!((first.header(name), second.header(name)), (Some(one), Some(two)), "{name}");
    }
    assert!(first.headers.contains_key("x-hubspot-correlation-id"));
}

#[tokio::test]
async fn the_request_over_the_limit_is_refused() {
    let fake =
        Fake::start(&small(), limited(Limits { general: 3, retry_after: 1.0, ..Limits::default() })).await;
    for _ in 0..3 {
        assert_eq!(fake.get("/crm/objects/2026-09/contacts").await.status, 200);
    }
    let refused = fake.get("/crm/objects/2026-09/contacts").await;
    assert_eq!((refused.status, &refused.json()["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
    assert!((9..=10).contains(&refused.header("retry-after").unwrap()));
    let counters = fake.server.counters();
    assert_eq!(
        (counters.general.requests, counters.general.refused, counters.general.busiest_window),
        (4, 1, 4)
    );
}

#[tokio::test]
async fn searches_are_limited_by_the_second_and_have_no_headers() {
    let fake = Fake::start(&small(), limited(Limits { general: 0, ..Limits::default() })).await;
    let started = Instant::now();
    for object in ["contacts", "companies", "deals", "contacts", "deals"] {
        let found = fake.search(object, &json!({})).await;
        assert_eq!((found.status, found.header("x-hubspot-ratelimit-max")), (200, None));
    }
    let refused = fake.search("contacts", &json!({})).await;
    assert!(started.elapsed() < Duration::from_secs(1), "too slow to tell");
    assert_eq!((refused.status, &refused.json()["policyName"]), (429, &json!("SECONDLY")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fake.search("contacts", &json!({})).await.status, 200);
}

#[tokio::test]
async fn associations_have_a_window_of_their_own() {
    let fake =
        Fake::start(&small(), limited(Limits { general: 0, associations: 1, ..Limits::default() })).await;
    let path = "/crm/associations/2026-09/deals/contacts/batch/read";
    assert_eq!(fake.post(path, &json!({"inputs": []})).await.status, 200);
    assert_eq!(fake.post(path, &json!({"inputs": []})).await.status, 429);
}

#[tokio::test]
async fn the_day_has_a_limit_too() {
    let limits = Limits { daily: 2, retry_after: 0.0, ..Limits::default() };
    let fake = Fake::start(&Settings::default(), limited(limits)).await;
    let usage = fake.get("/account-info/2026-09/api-usage/daily/private-apps").await.json();
    assert_eq!(
        (&usage["results"][0]["usageLimit"], &usage["results"][0]["currentUsage"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(fake.search("contacts", &json!({})).await.status, 200);
    let refused = fake.get("/crm/objects/2026-09/contacts").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    assert_eq!(refused.json()["policyName"], "DAILY");
    assert_eq!(refused.json()["message"], "You have reached your daily limit.");
}

#[tokio::test]
async fn oauth_apps_see_no_daily_headers() {
    let fake = Fake::start(&small(), Behaviour::default()).await;
    let url = format!("{}/crm/objects/2026-09/contacts", fake.server.url());
    let oauth = read(fake.http.get(&url).bearer_auth(fake.server.mint_token())).await.unwrap();
    assert_eq!((oauth.status, oauth.header("x-hubspot-ratelimit-daily")), (200, None));
    assert_eq!(oauth.header("x-hubspot-ratelimit-max"), Some(190));
    let fixed = read(fake.http.get(&url).bearer_auth(TOKEN)).await.unwrap();
    assert!(fixed.header("x-hubspot-ratelimit-daily").is_some());
}

#[tokio::test]
async fn limits_change_at_run_time() {
    let fake = Fake::start(&small(), limited(Limits { general: 0, ..Limits::default() })).await;
    assert_eq!(fake.get("/crm/objects/2026-09/contacts").await.status, 429);
    let changed = fake.post("/_fake/behaviour", &json!({"limits": {"enabled": false}, "latency": 40})).await;
    assert_eq!((changed.status, &changed.json()["limits"]["general"]), (200, &json!(0)), "the rest stays");
    let started = Instant::now();
    assert_eq!(fake.get("/crm/objects/2026-09/contacts").await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(40));
    assert_eq!(fake.post("/_fake/behaviour", &json!({"latnecy": 1})).await.status, 400);
}

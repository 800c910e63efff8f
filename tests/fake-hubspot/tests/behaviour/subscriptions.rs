//! Subscriptions, their timeline, and communication preferences.

use chrono::{DateTime, TimeDelta, Utc};
use fake_hubspot::{Behaviour, EventType, SubscriptionChange};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small};

const TIMELINE: &str = "/email/public/v1/subscriptions/timeline";

/// Returns the changes as the timeline shows them, newest item first.
fn expected(fake: &Fake) -> Vec<Vec<Value>> {
    let mut items: Vec<Vec<Value>> = Vec::new();
    for truth in fake.account().truth_subscription_changes() {
        let mut change = json!({
            "change": truth.change, "source": truth.source, "portalId": truth.portal_id,
            "changeType": truth.change_type,
        });
        if let Some(id) = truth.subscription_id {
            change["subscriptionId"] = id.into();
        }
        if let Some(event) = truth.caused_by_event {
            change["causedByEvent"] = json!(event);
        }
        if let Some(timestamp) = truth.timestamp {
            change["timestamp"] = timestamp.into();
        }
        if truth.change_number == 0 {
            items.push(Vec::new());
        }
        items.last_mut().unwrap().push(change);
    }
    items.reverse();
    items
}

#[tokio::test]
async fn the_timeline_holds_every_change_newest_first() {
    let fake = Fake::calm().await;
    let items = fake.read_all(&format!("{TIMELINE}?limit=40"), "timeline").await;
    assert!(items.is_sorted_by(|one, next| one["timestamp"].as_i64() >= next["timestamp"].as_i64()));
    let changes: Vec<Vec<Value>> =
        items.iter().map(|item| item["changes"].as_array().unwrap().clone()).collect();
    assert_eq!(changes, expected(&fake));
    assert!(changes.iter().any(|changes| changes.len() > 1));
    for change in changes.iter().flatten() {
        assert!(change.get("causedByEvent").is_some() != change.get("timestamp").is_some());
    }
    assert!(items[0].get("snapshot").is_none());
}

#[tokio::test]
async fn causes_are_events_that_exist() {
    let fake = Fake::calm().await;
    let caused =
        fake.account().truth_subscription_changes().into_iter().find_map(|one| one.caused_by_event).unwrap();
    let event = fake.get(&format!("/email/public/v1/events/{}/{}", caused.created, caused.id)).await;
    assert_eq!(event.status, 200);
}

#[tokio::test]
async fn windows_and_filters_narrow_the_timeline() {
    let fake = Fake::calm().await;
    let all = fake.read_all(&format!("{TIMELINE}?limit=1000"), "timeline").await;
    let (last, first) = (&all[10]["timestamp"], &all[30]["timestamp"]);
    let path = format!("{TIMELINE}?limit=7&startTimestamp={first}&endTimestamp={last}");
    assert_eq!(fake.read_all(&path, "timeline").await, all[10..=30]);
    let bounces = fake.read_all(&format!("{TIMELINE}?changeType=PORTAL_BOUNCE"), "timeline").await;
    let is_bounce = |item: &&Value| item.to_string().contains("PORTAL_BOUNCE");
    assert_eq!(bounces.len(), all.iter().filter(is_bounce).count());
    assert!(!bounces.is_empty() && bounces.len() < all.len());
    let page = fake.get(&format!("{TIMELINE}?limit=2")).await.json();
    let foreign = format!("{TIMELINE}?startTimestamp=1&offset={}", page["offset"].as_str().unwrap());
    assert_eq!(fake.get(&foreign).await.status, 400);
}

#[tokio::test]
async fn the_newest_snapshot_is_the_status() {
    let fake = Fake::calm().await;
    let items = fake.read_all(&format!("{TIMELINE}?limit=100&includeSnapshots=true"), "timeline").await;
    let truth = fake.account().truth_subscriptions();
    for truth in truth.iter().filter(|one| one.is_in_timeline) {
        let newest = items.iter().find(|item| item["recipient"] == truth.email).unwrap();
        let status = fake.get(&format!("/email/public/v1/subscriptions/{}", truth.email)).await.json();
        assert_eq!(newest["snapshot"], status);
        assert_eq!((&status["status"], &status["bounced"]), (&json!(truth.status), &json!(truth.bounced)));
        assert_eq!(status["markedAsSpam"], truth.marked_as_spam);
        assert_eq!(status["subscriptionStatuses"].as_array().unwrap().len(), truth.subscribed_to.len());
    }
    assert!(truth.iter().any(|one| !one.is_in_timeline), "some changed long ago");
}

#[tokio::test]
async fn an_unknown_address_is_subscribed() {
    let fake = Fake::calm().await;
    let status = fake.get("/email/public/v1/subscriptions/who%2Bever%40example.com").await.json();
    assert_eq!(
        (&status["email"], &status["subscribed"], &status["unsubscribeFromPortal"]),
        (&json!("who+ever@example.com"), &json!(true), &json!(false))
    );
    let fake = Fake::start(&small(), Behaviour { shows_unsubscribe_from_portal: false, ..calm() }).await;
    let status = fake.get("/email/public/v1/subscriptions/a@example.com").await.json();
    assert!(status.get("unsubscribeFromPortal").is_none());
}

#[tokio::test]
async fn a_late_change_takes_its_place() {
    let fake = Fake::calm().await;
    let (account, now) = (fake.account(), Utc::now());
    let change =
        |what, at: DateTime<Utc>| account.change_subscriptions("x@example.com", &[what], None, at).unwrap();
    change(SubscriptionChange::SubscribeToPortal, now);
    change(SubscriptionChange::UnsubscribeFromPortal, now - TimeDelta::hours(1));
    assert!(account.truth_subscription("x@example.com").subscribed, "the later change stands");
    let path = format!("{TIMELINE}?recipient=x@example.com&includeSnapshots=true");
    let items = fake.read_all(&path, "timeline").await;
    let subscribed: Vec<&Value> = items.iter().map(|item| &item["snapshot"]["subscribed"]).collect();
    assert_eq!(subscribed, [&json!(true), &json!(false)]);
}

#[tokio::test]
async fn a_caused_change_happens_with_its_event() {
    let fake = Fake::calm().await;
    let account = fake.account();
    let campaign = account.campaign_ids()[0];
    let created = Utc::now() - TimeDelta::minutes(9);
    let event = account.record_email_event(EventType::Bounce, "b@example.com", campaign, created).unwrap();
    account
        .change_subscriptions("b@example.com", &[SubscriptionChange::Bounce], Some(&event), Utc::now())
        .unwrap();
    let items = fake.read_all(&format!("{TIMELINE}?recipient=b@example.com"), "timeline").await;
    assert_eq!(items[0]["timestamp"], event.created);
    assert_eq!(items[0]["changes"][0]["causedByEvent"], json!(event));
    let unknown = fake_hubspot::EmailEventId { id: "no".to_owned(), created: 1 };
    assert!(account.change_subscriptions("b@example.com", &[], Some(&unknown), Utc::now()).is_err());
}

#[tokio::test]
async fn definitions_have_three_shapes() {
    let fake = Fake::calm().await;
    let ids = fake.account().subscription_type_ids();
    for (path, key) in [
        ("/email/public/v1/subscriptions", "subscriptionDefinitions"),
        ("/communication-preferences/v3/definitions", "subscriptionDefinitions"),
        ("/communication-preferences/2026-09/definitions", "results"),
    ] {
        let shown = fake.get(path).await.json();
        let shown: Vec<String> =
            shown[key].as_array().unwrap().iter().map(|one| one["id"].to_string().replace('"', "")).collect();
        assert_eq!(shown, ids.iter().map(u64::to_string).collect::<Vec<_>>(), "{path}");
    }
}

#[tokio::test]
async fn preferences_tell_what_v1_tells() {
    let fake = Fake::calm().await;
    let truth = fake.account().truth_subscriptions();
    let truth = truth.iter().find(|one| !one.subscribed_to.is_empty() && !one.subscribed).unwrap();
    let base = "/communication-preferences/2026-09/statuses";
    let single = fake.get(&format!("{base}/{}?channel=EMAIL", truth.email)).await.json();
    let body = json!({"inputs": [truth.email, "new@example.com"]});
    let batch = fake.post(&format!("{base}/batch/read?channel=EMAIL"), &body).await.json();
    assert_eq!(batch["results"][0]["statuses"], single["results"]);
    for status in single["results"].as_array().unwrap() {
        let expected = match truth.subscribed_to.get(&status["subscriptionId"].as_u64().unwrap()) {
            Some(true) => "SUBSCRIBED",
            Some(false) => "UNSUBSCRIBED",
            None => "NOT_SPECIFIED",
        };
        assert_eq!(status["status"], expected);
    }
    let wide = fake.post(&format!("{base}/batch/unsubscribe-all/read?channel=EMAIL"), &body).await.json();
    let wide = |index: usize| &wide["results"][index]["wideStatuses"][0]["status"];
    assert_eq!((wide(0), wide(1)), (&json!("UNSUBSCRIBED"), &json!("SUBSCRIBED")));
    assert_eq!(fake.post(&format!("{base}/batch/read"), &body).await.status, 400, "the channel is missing");
}

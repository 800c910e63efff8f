//! E-mail events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fake_hubspot::{Behaviour, EventType, Marketing, Settings};
use serde_json::Value;

use crate::client::{Fake, calm, small};

const EVENTS: &str = "/email/public/v1/events";

fn busy(email_events: usize, burst_in_one_ms: usize) -> Settings {
    Settings {
        marketing: Marketing { email_events, burst_in_one_ms, days: 30, ..Marketing::default() },
        ..small()
    }
}

fn keys(event: &Value) -> BTreeSet<&str> {
    event.as_object().unwrap().keys().map(String::as_str).collect()
}

fn truth(fake: &Fake) -> Vec<Value> {
    fake.account().truth_email_events().map(|event| event.body).collect()
}

#[tokio::test]
async fn all_pages_hold_every_event_newest_first() {
    let fake = Fake::calm().await;
    let events = fake.read_all(&format!("{EVENTS}?limit=100"), "events").await;
    let created: Vec<i64> = events.iter().map(|event| event["created"].as_i64().unwrap()).collect();
    assert!(created.is_sorted_by(|one, next| one >= next));
    let mut expected = truth(&fake);
    expected.reverse();
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_page_holds_ten_unless_asked() {
    let fake = Fake::calm().await;
    assert_eq!(fake.get(EVENTS).await.json()["events"].as_array().unwrap().len(), 10);
    assert_eq!(fake.get(&format!("{EVENTS}?limit=1000")).await.status, 200);
    for limit in ["0", "1001", "many"] {
        assert_eq!(fake.get(&format!("{EVENTS}?limit={limit}")).await.status, 400, "{limit}");
    }
}

#[tokio::test]
async fn both_ends_of_a_window_belong_to_it() {
    let fake = Fake::calm().await;
    let all = truth(&fake);
    let (first, last) = (&all[200]["created"], &all[300]["created"]);
    let path = format!("{EVENTS}?limit=100&startTimestamp={first}&endTimestamp={last}");
    let read = fake.read_all(&path, "events").await;
    let of = |event: &&Value| (first.as_i64()..=last.as_i64()).contains(&event["created"].as_i64());
    assert!(read.len() > 100 && read.len() == all.iter().filter(of).count());
    let backwards = fake.get(&format!("{EVENTS}?startTimestamp={last}&endTimestamp={first}")).await.json();
    assert_eq!((&backwards["hasMore"], &backwards["events"]), (&false.into(), &Value::Array(Vec::new())));
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let fake = Fake::calm().await;
    let all = truth(&fake);
    let click = all.iter().find(|event| event["type"] == "CLICK").unwrap();
    let text = |name: &str| click[name].to_string().replace('"', "");
    for (parameter, name) in [
        ("eventType", "type"),
        ("recipient", "recipient"),
        ("campaignId", "emailCampaignId"),
        ("appId", "appId"),
    ] {
        let path = format!("{EVENTS}?limit=1000&{parameter}={}", text(name));
        let read = fake.read_all(&path, "events").await;
        let expected = all.iter().filter(|event| event[name] == click[name]).count();
        assert_eq!((read.len(), expected < all.len()), (expected, true), "{parameter}");
    }
    assert!(fake.read_all(&format!("{EVENTS}?eventType=click"), "events").await.is_empty(), "case matters");
    let path = format!("{EVENTS}?limit=1000&excludeFilteredEvents=true");
    let unfiltered = fake.read_all(&path, "events").await;
    assert!(unfiltered.len() < all.len() && unfiltered.iter().all(|event| event["filteredEvent"] != true));
}

#[tokio::test]
async fn every_type_has_its_keys() {
    let fake = Fake::calm().await;
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in truth(&fake) {
        let name = event["type"].as_str().unwrap_or("UNBOUNCE").to_owned();
        seen.entry(name).or_default().extend(keys(&event).into_iter().map(str::to_owned));
    }
    let names: BTreeSet<&str> = EventType::ALL.map(EventType::name).into();
    assert_eq!(seen.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for (name, some) in [
        ("SENT", ["subject", "from", "replyTo"]),
        ("DROPPED", ["dropReason", "dropMessage", "subject"]),
        ("DEFERRED", ["response", "attempt", "sentBy"]),
        ("DELIVERED", ["response", "obsoletedBy", "smtpId"]),
        ("BOUNCE", ["category", "response", "status"]),
        ("OPEN", ["browser", "location", "duration"]),
        ("CLICK", ["url", "referer", "linkId"]),
        ("STATUSCHANGE", ["source", "subscriptions", "causedBy"]),
    ] {
        assert!(some.iter().all(|key| seen[name].contains(*key)), "{name}: {:?}", seen[name]);
    }
}

#[tokio::test]
async fn an_unbounce_has_few_fields() {
    let fake = Fake::calm().await;
    let events = fake.read_all(&format!("{EVENTS}?eventType=UNBOUNCE"), "events").await;
    assert!(!events.is_empty());
    for event in &events {
        for missing in ["type", "recipient", "portalId", "appId", "appName", "emailCampaignId"] {
            assert!(!keys(event).contains(missing), "{missing}");
        }
    }
}

#[tokio::test]
async fn a_single_event_is_found_by_both_parts_of_its_id() {
    let fake = Fake::calm().await;
    let event = fake.account().truth_email_events().nth(77).unwrap();
    let (id, created) = (&event.id.id, event.id.created);
    assert_eq!(fake.get(&format!("{EVENTS}/{created}/{id}")).await.json(), event.body);
    assert_eq!(fake.get(&format!("{EVENTS}/{}/{id}", created + 1)).await.status, 404);
}

#[tokio::test]
async fn an_offset_is_bound_to_its_filters() {
    let fake = Fake::calm().await;
    let page = fake.get(&format!("{EVENTS}?limit=5&startTimestamp=1")).await.json();
    let offset = page["offset"].as_str().unwrap();
    let status = async |query: &str| fake.get(&format!("{EVENTS}?{query}&offset={offset}")).await.status;
    assert_eq!(status("startTimestamp=1").await, 200);
    assert_eq!(status("limit=7&startTimestamp=1").await, 200, "the limit may change");
    assert_eq!(status("startTimestamp=2").await, 400);
    assert_eq!(status("startTimestamp=1&eventType=OPEN").await, 400);
    assert_eq!(fake.get(&format!("/email/public/v1/campaigns?offset={offset}")).await.status, 400);
    assert_eq!(fake.get(&format!("{EVENTS}?offset=12345")).await.status, 400);
}

#[tokio::test]
async fn an_offset_expires() {
    let offset_lifetime = Duration::from_millis(40);
    let fake = Fake::start(&small(), Behaviour { offset_lifetime, ..calm() }).await;
    let page = fake.get(EVENTS).await.json();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let expired = fake.get(&format!("{EVENTS}?offset={}", page["offset"].as_str().unwrap())).await;
    assert_eq!((expired.status, &expired.json()["category"]), (400, &"VALIDATION_ERROR".into()));
}

#[tokio::test]
async fn a_late_event_lies_in_the_past() {
    let fake = Fake::calm().await;
    let page = fake.get(&format!("{EVENTS}?limit=20")).await.json();
    let last = page["events"][19]["created"].as_i64().unwrap();
    let (campaign, created) =
        (fake.account().campaign_ids()[0], |ms| DateTime::from_timestamp_millis(ms).unwrap());
    let record = |at| {
        fake.account().record_email_event(EventType::Open, "late@example.com", campaign, created(at)).unwrap()
    };
    let (passed, ahead) = (record(last + 1), record(last - 1));
    let offset = page["offset"].as_str().unwrap();
    let rest = fake.get(&format!("{EVENTS}?limit=1000&offset={offset}")).await.json();
    let ids: Vec<&str> =
        rest["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&ahead.id.as_str()) && !ids.contains(&passed.id.as_str()));
}

#[tokio::test]
async fn a_bounce_makes_the_delivery_obsolete() {
    let fake = Fake::calm().await;
    let (account, now) = (fake.account(), Utc::now());
    let campaign = account.campaign_ids()[1];
    let record = |kind, at| account.record_email_event(kind, "new@example.com", campaign, at).unwrap();
    let sent = record(EventType::Sent, now - TimeDelta::minutes(3));
    let delivered = record(EventType::Delivered, now - TimeDelta::minutes(2));
    let path = format!("{EVENTS}/{}/{}", delivered.created, delivered.id);
    let before = fake.get(&path).await.json();
    assert_eq!((&before["sentBy"]["id"], keys(&before).contains("obsoletedBy")), (&sent.id.into(), false));
    let bounce = record(EventType::Bounce, now - TimeDelta::minutes(1));
    let after = fake.get(&path).await.json();
    assert_eq!(after["obsoletedBy"], serde_json::json!({"id": bounce.id, "created": bounce.created}));
    assert!(account.record_email_event(EventType::Open, "a@example.com", 1, now).is_err());
}

#[tokio::test]
async fn thousands_of_events_share_a_millisecond() {
    let fake = Fake::start(&busy(500, 5_000), calm()).await;
    let mut by_ms: BTreeMap<i64, usize> = BTreeMap::new();
    for event in fake.account().truth_email_events() {
        *by_ms.entry(event.id.created).or_default() += 1;
    }
    let (burst, count) = by_ms.into_iter().max_by_key(|(_, count)| *count).unwrap();
    assert_eq!(count, 5_000);
    let path = format!("{EVENTS}?limit=999&startTimestamp={burst}&endTimestamp={burst}");
    let read = fake.read_all(&path, "events").await;
    let ids: BTreeSet<&str> = read.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!((read.len(), ids.len()), (5_000, 5_000));
}

#[tokio::test]
async fn two_hundred_thousand_events_are_no_burden() {
    let started = Instant::now();
    let fake = Fake::start(&busy(200_000, 0), calm()).await;
    let mut offset = String::new();
    let mut count = 0;
    loop {
        let page = fake.get(&format!("{EVENTS}?limit=1000&offset={offset}")).await;
        count += page.text.matches("\"created\":").count();
        let page: BTreeMap<&str, &serde_json::value::RawValue> = serde_json::from_str(&page.text).unwrap();
        serde_json::from_str::<String>(page["offset"].get()).unwrap().clone_into(&mut offset);
        if page["hasMore"].get() == "false" {
            break;
        }
    }
    assert!(count >= 200_000 && fake.account().email_event_count() >= 200_000);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn generated_events_lie_within_their_days_and_not_in_the_last_hours() {
    let settings = busy(2_000, 100);
    let fake = Fake::start(&settings, calm()).await;
    let newest = (settings.start - settings.newest).timestamp_millis();
    let oldest = newest - TimeDelta::days(30).num_milliseconds();
    let created: Vec<i64> = fake.account().truth_email_events().map(|event| event.id.created).collect();
    assert!(created.iter().all(|created| (oldest..=newest).contains(created)));
    assert!(created.is_sorted());
}

/// Checks that events come in the order of their arrival.
#[tokio::test]
async fn events_may_be_out_of_order() {
    let jitter = Duration::from_secs(30);
    let fake = Fake::start(&busy(400, 0), Behaviour { arrival_jitter: jitter, ..calm() }).await;
    let events = fake.read_all(&format!("{EVENTS}?limit=7"), "events").await;
    let created: Vec<i64> = events.iter().map(|event| event["created"].as_i64().unwrap()).collect();
    let mut newest = i64::MAX;
    let most_ahead = created.iter().map(|at| {
        let ahead = at - newest;
        newest = newest.min(*at);
        ahead
    });
    let most_ahead = most_ahead.skip(1).max().unwrap();
    assert!((1..=jitter.as_millis() as i64).contains(&most_ahead), "{most_ahead} ms");
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    let (shown, all): (BTreeSet<_>, BTreeSet<_>) =
        (events.iter().map(id).collect(), truth(&fake).iter().map(id).collect());
    assert_eq!((events.len(), shown), (all.len(), all));
}

#[tokio::test]
async fn offsets_may_lead_back_and_windows_be_ignored() {
    let fake = Fake::start(&small(), Behaviour { offsets_lead_back: true, ..calm() }).await;
    let path = format!("{EVENTS}?limit=10&startTimestamp=0&endTimestamp={}", i64::MAX);
    let first = fake.get(&path).await.json();
    let second = fake.get(&format!("{path}&offset={}", first["offset"].as_str().unwrap())).await.json();
    assert_eq!((&second["events"], &second["hasMore"]), (&first["events"], &true.into()));

    let fake = Fake::start(&small(), Behaviour { windows_are_ignored: true, ..calm() }).await;
    let nothing = format!("{EVENTS}?limit=10&startTimestamp=0&endTimestamp=1");
    assert_eq!(fake.get(&nothing).await.json()["events"].as_array().unwrap().len(), 10);
}

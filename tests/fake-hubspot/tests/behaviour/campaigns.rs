//! E-mail campaigns and marketing e-mails.

use std::collections::BTreeSet;

use chrono::Utc;
use fake_hubspot::EventType;
use serde_json::{Value, json};

use crate::client::Fake;

const CAMPAIGNS: &str = "/email/public/v1/campaigns";

fn ids(campaigns: &[Value]) -> Vec<u64> {
    campaigns.iter().map(|campaign| campaign["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn ids_come_in_no_order() {
    let fake = Fake::calm().await;
    let read = ids(&fake.read_all(&format!("{CAMPAIGNS}/by-id?limit=5"), "campaigns").await);
    let expected = fake.account().campaign_ids();
    assert_eq!(read.iter().collect::<BTreeSet<_>>(), expected.iter().collect());
    assert!(!read.is_sorted() && read.len() == expected.len());
}

#[tokio::test]
async fn recent_activity_comes_first() {
    let fake = Fake::calm().await;
    let read = async || fake.read_all(&format!("{CAMPAIGNS}?limit=5"), "campaigns").await;
    let before = read().await;
    let times: Vec<i64> =
        before.iter().map(|campaign| campaign["lastUpdatedTime"].as_i64().unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next));
    let last = *ids(&before).last().unwrap();
    fake.account().record_email_event(EventType::Open, "a@example.com", last, Utc::now()).unwrap();
    assert_eq!(ids(&read().await)[0], last);
}

#[tokio::test]
async fn counters_count_and_are_missing_before_that() {
    let fake = Fake::calm().await;
    for truth in fake.account().truth_campaigns() {
        let path = format!("{CAMPAIGNS}/{}?appId={}", truth.id, truth.app_id);
        let shown = fake.get(&path).await.json();
        assert_eq!(shown, serde_json::to_value(&truth).unwrap());
        let opens = fake.account().truth_email_events();
        let opens =
            opens.filter(|event| event.body["type"] == "OPEN" && event.body["emailCampaignId"] == truth.id);
        assert_eq!(truth.counters.get("open").copied().unwrap_or(0), opens.count() as u64);
    }
    let all = fake.account().truth_campaigns();
    assert!(
        all.iter().any(|one| !one.counters.contains_key("print"))
            && all.iter().any(|one| one.sub_type.is_none())
    );
    assert_eq!(fake.get(&format!("{CAMPAIGNS}/{}?appId=1", all[0].id)).await.status, 404);
    assert_eq!(fake.get(&format!("{CAMPAIGNS}/77")).await.status, 404);
}

#[tokio::test]
async fn an_email_may_own_several_campaigns() {
    let fake = Fake::calm().await;
    for path in ["/marketing/emails/2026-09", "/marketing/v3/emails"] {
        // The list with statistics leaves some out.
        let counted = fake.get(&format!("{path}?limit=300&includeStats=true")).await.json();
        let counted = counted["results"].as_array().unwrap().clone();
        let all = fake.get(&format!("{path}?limit=300")).await.json();
        let emails = all["results"].as_array().unwrap();
        assert!(counted.len() < emails.len());
        let owned: Vec<&Value> =
            emails.iter().flat_map(|one| one["allEmailCampaignIds"].as_array().unwrap()).collect();
        assert_eq!(owned.len(), fake.account().campaign_ids().len());
        assert!(emails.len() < owned.len() && all["total"] == emails.len());
        assert!(counted[0]["stats"]["counters"]["sent"].is_u64());
        let left_out = emails
            .iter()
            .find(|one| counted.iter().all(|other| other["id"] != one["id"]) && one["isPublished"] == true);
        if let Some(id) = left_out.and_then(|one| one["id"].as_str()) {
            let alone = fake.get(&format!("{path}/{id}?includeStats=true")).await.json();
            assert!(alone["stats"]["counters"].is_object(), "{alone}");
        }
        let page = fake.get(&format!("{path}?limit=2")).await.json();
        let after = page["paging"]["next"]["after"].as_str().unwrap();
        assert_eq!(
            fake.get(&format!("{path}?limit=1&after={after}")).await.json()["results"][0]["id"],
            emails[2]["id"]
        );
        assert!(page["results"][0].get("stats").is_none());
        assert_eq!(fake.get(&format!("{path}?archived=true")).await.json()["results"], json!([]));
    }
}

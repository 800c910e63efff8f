//! Common behaviour of forms, lists, e-mails and subscriptions: scopes, products, limits, churn, administration.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use fake_hubspot::{Account, Behaviour, Limits, Marketing, MarketingChurn, ObjectType, Operation, Settings};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small};

/// One call of each family: its scope, and the name of the family.
const CALLS: [(&str, &str, &str); 10] = [
    ("/marketing/v3/forms", "forms", "forms"),
    ("/form-integrations/v1/submissions/forms/1", "forms", "form_submissions"),
    ("/crm/lists/2026-09?listIds=1", "crm.lists.read", "lists"),
    ("/email/public/v1/events", "content", "email_events"),
    ("/email/public/v1/campaigns", "content", "campaigns"),
    ("/marketing/emails/2026-09", "content", "marketing_emails"),
    ("/email/public/v1/subscriptions/timeline", "content", "subscriptions"),
    ("/email/public/v1/subscriptions/a@b.example", "content", "subscriptions"),
    ("/communication-preferences/2026-09/definitions", "communication_preferences.read", "preferences"),
    ("/contacts/v1/contact/vids/batch", "c", "contacts_v1"),
];

#[tokio::test]
async fn each_family_has_its_scope() {
    for (path, scope, _) in CALLS {
        let fake = Fake::start(&small().without_scope(scope), calm()).await;
        let refused = fake.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains(scope), "{path}");
        assert_ne!(Fake::calm().await.get(path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn one_of_three_scopes_opens_v1_contacts() {
    let fake = Fake::start(&small().without_scope("crm.objects.contacts"), calm()).await;
    assert_eq!(fake.get("/contacts/v1/contact/vids/batch?vid=1").await.status, 200);
    let fake = Fake::start(&small().without_scope("content"), calm()).await;
    assert_eq!(fake.get("/contacts/v1/contact/vids/batch?vid=1").await.status, 200);
}

#[tokio::test]
async fn batches_of_preferences_need_enterprise_and_a_scope() {
    let path = "/communication-preferences/2026-09/statuses/batch/read?channel=EMAIL";
    let body = json!({"inputs": []});
    let marketing = Marketing { is_enterprise: false, ..Marketing::default() };
    let professional = Settings { marketing, ..small() };
    let without = small().without_scope("communication_preferences.statuses.batch.read");
    for (settings, status) in [(small(), 200), (professional, 403), (without, 403)] {
        let fake = Fake::start(&settings, calm()).await;
        assert_eq!(fake.post(path, &body).await.status, status);
        assert_eq!(fake.get("/communication-preferences/2026-09/definitions").await.status, 200);
    }
}

#[tokio::test]
async fn a_family_can_be_missing_from_the_product() {
    let fake = Fake::calm().await;
    for (path, _, family) in CALLS {
        fake.post("/_fake/behaviour", &json!({"not_in_product": [family]})).await;
        assert_eq!(fake.get(path).await.status, 403, "{path}");
        for (other, _, _) in CALLS.iter().filter(|(_, _, other)| *other != family) {
            assert_ne!(fake.get(other).await.status, 403, "{other} without {family}");
        }
    }
}

#[tokio::test]
async fn limits_and_short_pages_hold_for_all() {
    let limits = Limits { general: 1, ..Limits::default() };
    for (path, _, _) in CALLS {
        let fake = Fake::start(&small(), Behaviour { limits, ..Behaviour::default() }).await;
        assert_ne!(fake.get(path).await.status, 429, "{path}");
        assert_eq!(fake.get(path).await.status, 429, "{path}");
    }
    let fake = Fake::start(&small(), Behaviour { short_pages: 1.0, ..calm() }).await;
    let page = fake.get("/email/public/v1/events?limit=100").await.json();
    assert!(page["events"].as_array().unwrap().len() < 100 && page["hasMore"] == true);
    let all = fake.read_all("/email/public/v1/events?limit=500", "events").await;
    assert_eq!(all.len(), fake.account().email_event_count());
}

fn everything(settings: &Settings) -> Vec<String> {
    let account = Account::generate(settings);
    let mut all = Vec::new();
    all.extend(account.truth_forms().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_form_submissions().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_lists().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_memberships().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_campaigns().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_email_events().map(|one| format!("{one:?}")));
    all.extend(account.truth_subscriptions().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_subscription_changes().iter().map(|one| format!("{one:?}")));
    all.extend(account.truth_v1_contacts().map(|one| format!("{one:?}")));
    all
}

fn fixed(seed: u64) -> Settings {
    Settings { seed, start: DateTime::UNIX_EPOCH + TimeDelta::days(20_000), ..small() }
}

#[test]
fn the_same_seed_makes_the_same_marketing() {
    assert!(everything(&fixed(1)) == everything(&fixed(1)));
    assert!(everything(&fixed(1)) != everything(&fixed(2)));
}

#[test]
fn records_do_not_depend_on_it() {
    let none = Marketing { email_events: 0, subscription_changes: 0, lists: 0, ..Marketing::default() };
    let ids = |settings: &Settings| Account::generate(settings).live_ids(ObjectType::Contacts);
    assert_eq!(ids(&fixed(1)), ids(&Settings { marketing: none, ..fixed(1) }));
}

#[tokio::test]
async fn an_account_without_marketing_is_an_account() {
    let marketing = Marketing {
        forms: 0,
        lists: 0,
        campaigns: 0,
        subscription_types: 0,
        burst_in_one_ms: 3,
        ..Marketing::default()
    };
    let fake = Fake::start(&Settings { marketing, ..small() }, calm()).await;
    assert!(fake.read_all("/email/public/v1/events?limit=9", "events").await.is_empty());
    assert!(fake.read_all("/email/public/v1/campaigns?limit=9", "campaigns").await.is_empty());
    assert_eq!(fake.get("/marketing/v3/forms").await.json(), json!({"results": []}));
    assert_eq!(fake.post("/crm/lists/2026-09/search", &json!({})).await.json()["total"], 0);
}

#[test]
fn churn_of_marketing_leaves_nothing_still() {
    let changes = |seed| MarketingChurn { per_second: 1.0, seed }.burst(&Account::generate(&fixed(1)), 400);
    let done = changes(5);
    assert_eq!(done, changes(5));
    assert_ne!(done, changes(6));
    let kinds: BTreeSet<String> = done
        .iter()
        .map(|operation| serde_json::to_value(operation).unwrap()["do"].as_str().unwrap().to_owned())
        .collect();
    for kind in
        ["record_email_events", "change_subscriptions", "submit_form", "add_to_list", "remove_from_list"]
    {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn changes_of_churn_can_be_replayed() {
    let fake = Fake::start(&fixed(1), calm()).await;
    let done = MarketingChurn { per_second: 1.0, seed: 9 }.burst(&Account::generate(&fixed(1)), 60);
    let again = fake.post("/_fake/mutate", &serde_json::to_value(&done).unwrap()).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let lists = done.iter().filter(|one| matches!(one, Operation::CreateList { .. })).count();
    assert!(fake.account().truth_lists().len() >= 15 + lists);
}

#[tokio::test]
async fn the_truth_can_be_read_from_outside() {
    let fake = Fake::calm().await;
    let account = fake.account();
    for (family, count) in [
        ("v1_contacts", account.truth_v1_contacts().count()),
        ("forms", account.truth_forms().len()),
        ("form_submissions", account.truth_form_submissions().len()),
        ("lists", account.truth_lists().len()),
        ("memberships", account.truth_memberships().len()),
        ("campaigns", account.truth_campaigns().len()),
        ("email_events", account.email_event_count()),
        ("subscriptions", account.truth_subscriptions().len()),
        ("subscription_changes", account.truth_subscription_changes().len()),
    ] {
        let truth = fake.get(&format!("/_fake/truth/{family}")).await;
        assert!(truth.text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        assert_eq!((truth.text.lines().count(), count > 0), (count, true), "{family}");
    }
    assert_eq!(fake.get("/_fake/truth/unicorns").await.status, 400);
    fake.post("/_fake/churn/marketing", &json!({"per_second": 200.0, "seed": 1})).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let stopped =
        fake.http.delete(format!("{}/_fake/churn/marketing", fake.server.url())).send().await.unwrap();
    let stopped: Value = serde_json::from_str(&stopped.text().await.unwrap()).unwrap();
    assert!(stopped["done"].as_array().unwrap().len() > 5);
}

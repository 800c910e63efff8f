//! Tokens and scopes.

use std::time::Duration;

use fake_hubspot::{Behaviour, ObjectType};

use crate::client::{Answer, Fake, TOKEN, calm, read, small};

async fn list(fake: &Fake, token: &str) -> Answer {
    let url = format!("{}/crm/objects/2026-09/contacts?limit=1", fake.server.url());
    read(fake.http.get(url).header("authorization", format!("Bearer {token}"))).await.unwrap()
}

async fn refresh(fake: &Fake, path: &str, refresh_token: &str) -> Answer {
    let form = format!(
        "grant_type=refresh_token&client_id=fake-client&client_secret=fake-secret&refresh_token={refresh_token}"
    );
    let request = fake.http.post(format!("{}{path}", fake.server.url())).body(form);
    let answer = read(request.header("content-type", "application/x-www-form-urlencoded")).await.unwrap();
    fake.expect_schema("POST", path, &answer);
    answer
}

#[tokio::test]
async fn unknown_tokens_are_refused() {
    let fake = Fake::calm().await;
    let refused = list(&fake, "pat-na1-other").await;
    assert_eq!((refused.status, &refused.json()["category"]), (401, &"INVALID_AUTHENTICATION".into()));
    let none = read(fake.http.get(format!("{}/crm/objects/2026-09/deals", fake.server.url()))).await.unwrap();
    assert_eq!(none.status, 401);
}

#[tokio::test]
async fn malformed_tokens_can_get_a_page_of_the_network_in_front() {
    let fake = Fake::start(&small(), Behaviour { malformed_token_is_530: true, ..calm() }).await;
    let page = list(&fake, "two words").await;
    assert_eq!((page.status, page.text.contains("<html>")), (530, true));
    assert_eq!(list(&fake, "pat-na1-other").await.status, 401);
}

#[tokio::test]
async fn a_refresh_token_buys_access() {
    let fake = Fake::calm().await;
    for path in ["/oauth/2026-09/token", "/oauth/2026-03/token", "/oauth/v3/token"] {
        let answer = refresh(&fake, path, "fake-refresh").await.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&"bearer".into(), &1_800.into()));
        let token = answer["access_token"].as_str().unwrap();
        assert!(token.len() > 250, "tokens are opaque and long");
        assert_eq!(list(&fake, token).await.status, 200);
    }
    let refused = refresh(&fake, "/oauth/2026-09/token", "stolen").await;
    assert_eq!((refused.status, &refused.json()["status"]), (400, &"BAD_REFRESH_TOKEN".into()));
}

#[tokio::test]
async fn oauth_tokens_die_earlier_than_they_say() {
    let expire_tokens_after = Some(Duration::from_millis(50));
    let fake = Fake::start(&small(), Behaviour { expire_tokens_after, ..calm() }).await;
    let answer = refresh(&fake, "/oauth/2026-09/token", "fake-refresh").await.json();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let refused = list(&fake, answer["access_token"].as_str().unwrap()).await;
    assert_eq!((refused.status, &refused.json()["category"]), (401, &"EXPIRED_AUTHENTICATION".into()));
}

#[tokio::test]
async fn a_missing_scope_is_named_one_way_or_another() {
    let mut shapes = std::collections::BTreeSet::new();
    for object in ObjectType::CORE {
        for scope in
            [format!("crm.objects.{}.read", object.plural()), format!("crm.schemas.{}.read", object.plural())]
        {
            let fake = Fake::start(&small().without_scope(&scope), calm()).await;
            let path = if scope.contains("schemas") {
                format!("/crm/properties/2026-09/{}", object.plural())
            } else {
                format!("/crm/objects/2026-09/{}", object.plural())
            };
            let refused = fake.get(&path).await;
            assert_eq!(refused.status, 403);
            assert!(refused.text.contains(&scope));
            let keys: Vec<_> = refused.json().as_object().unwrap().keys().cloned().collect();
            shapes.insert(keys);
        }
    }
    assert!(shapes.len() > 1, "several shapes exist");
}

#[tokio::test]
async fn associations_need_the_scopes_of_both_ends() {
    let fake = Fake::start(&small().without_scope("crm.objects.companies.read"), calm()).await;
    let body = serde_json::json!({"inputs": []});
    assert_eq!(fake.post("/crm/v4/associations/deals/companies/batch/read", &body).await.status, 403);
    assert_eq!(fake.post("/crm/v4/associations/deals/contacts/batch/read", &body).await.status, 200);
}

#[tokio::test]
async fn bodies_must_say_what_they_are() {
    let fake = Fake::calm().await;
    for path in ["/crm/objects/2026-09/contacts/search", "/oauth/2026-09/token"] {
        let request = fake.http.post(format!("{}{path}", fake.server.url())).bearer_auth(TOKEN).body("{}");
        assert_eq!(read(request).await.unwrap().status, 415, "{path}");
    }
}

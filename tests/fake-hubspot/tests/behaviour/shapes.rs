//! Each endpoint's answers by HubSpot's schemas, in each form that it has: ordinary, incomplete, refused, archived.
//! All other tests here check their answers by the schemas, too.

use std::collections::BTreeSet;

use fake_hubspot::{Behaviour, ObjectType, endpoint_of};
use serde_json::{Value, json};

use crate::client::{Fake, TOKEN, calm, filters, small};
use crate::schema;

/// A call: its expected status, its path, and the body if it is a POST.
type ExpectedCall = (u16, String, Option<Value>);

fn get(status: u16, path: impl Into<String>) -> ExpectedCall {
    (status, path.into(), None)
}

fn post(status: u16, path: impl Into<String>, body: Value) -> ExpectedCall {
    (status, path.into(), Some(body))
}

async fn account() -> Fake {
    let mut settings = small();
    settings.marketing.is_enterprise = true;
    Fake::start(&settings, Behaviour { inline_associations: 1, associations_page: 1, ..calm() }).await
}

/// Returns a call for each form that each endpoint's answers have.
fn calls(fake: &Fake) -> Vec<ExpectedCall> {
    let account = fake.account();
    let now = account.now();
    let contacts = account.live_ids(ObjectType::Contacts);
    let archived = account.archived_ids(ObjectType::Contacts);
    let form = &account.truth_forms()[0].id;
    let (list, campaign) = (account.list_ids()[0], account.campaign_ids()[0]);
    let event = account.truth_email_events().next().unwrap().id;
    let address = &account.truth_subscriptions()[0].email;
    let inputs = |ids: &[u64]| {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id.to_string()})).collect();
        json!({"inputs": inputs, "properties": ["email"], "propertiesWithHistory": []})
    };
    let record = |id: u64| json!({"objectTypeId": "0-1", "recordId": id.to_string()});
    let of_addresses = json!({"inputs": [address]});
    let (v1, mail) = ("/contacts/v1", "/email/public/v1");
    let preferences = "/communication-preferences";
    let a_month_ago = (now - chrono::TimeDelta::days(31)).timestamp_millis();
    let mut calls = Vec::new();
    for object in ObjectType::CORE {
        let path = format!("/crm/objects/2026-09/{}", object.plural());
        let others = "associations=contacts,companies,deals";
        calls.extend([
            get(200, format!("{path}?limit=100&{others}")),
            get(200, format!("{path}?limit=50&propertiesWithHistory=createdate")),
            get(200, format!("{path}?limit=100&archived=true")),
            get(400, format!("{path}?limit=1000")),
            post(200, format!("{path}/search"), filters(&[])),
            post(400, format!("{path}/search"), json!({"limit": 1_000})),
            get(200, format!("/crm/properties/2026-09/{}", object.plural())),
            get(200, format!("/crm/properties/2026-09/{}?archived=true", object.plural())),
        ]);
        for version in ["v4", "2026-09"] {
            let deals = account.live_ids(ObjectType::Deals);
            let all =
                json!({"inputs": deals.iter().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()});
            let path = match version {
                "v4" => format!("/crm/v4/associations/deals/{}/batch/read", object.plural()),
                _ => format!("/crm/associations/2026-09/deals/{}/batch/read", object.plural()),
            };
            calls.push(post(207, path.clone(), all));
            calls.push(post(400, path, json!([])));
        }
    }
    let with_company = account
        .truth(ObjectType::Deals)
        .find(|deal| !deal.associations.companies.is_empty() && deal.archived_at.is_none())
        .unwrap()
        .id;
    calls.extend([
        post(200, "/crm/associations/2026-09/deals/companies/batch/read", inputs(&[with_company])),
        get(200, format!("/crm/objects/2026-09/deals/{with_company}/associations/companies")),
        get(404, "/crm/objects/2026-09/deals/123456789/associations/companies"),
        get(200, "/crm/associations/2026-09/deals/companies/labels"),
        get(200, format!("/crm/objects/2026-09/contacts/{}", contacts[0])),
        get(200, format!("/crm/objects/2026-09/contacts/{}?archived=true", archived[0])),
        get(404, "/crm/objects/2026-09/contacts/123456789"),
        post(200, "/crm/objects/2026-09/contacts/batch/read", inputs(&contacts[..3])),
        post(207, "/crm/objects/2026-09/contacts/batch/read", inputs(&[contacts[0], 123_456_789])),
        post(200, "/crm/objects/2026-09/contacts/batch/read?archived=true", inputs(&archived[..2])),
        get(200, "/crm/properties/2026-09/contacts/email"),
        get(404, "/crm/properties/2026-09/contacts/no_such_property"),
        get(200, "/account-info/2026-09/details"),
        get(200, "/account-info/2026-09/api-usage/daily/private-apps"),
        get(404, "/account-info/2026-09/nothing"),
        get(200, format!("{v1}/contact/vids/batch?vid={}&vid={}&vid=123456789", contacts[0], contacts[1])),
        get(200, format!("{v1}/lists/all/contacts/all?count=100&formSubmissionMode=all")),
        get(200, format!("{v1}/contact/vid/{}/profile?propertyMode=value_and_history", contacts[2])),
        get(404, format!("{v1}/contact/vid/123456789/profile")),
        get(200, "/marketing/v3/forms?formTypes=all&limit=3"),
        get(200, "/marketing/v3/forms?formTypes=all&limit=100&archived=true"),
        get(400, "/marketing/v3/forms?limit=1000"),
        get(200, format!("/form-integrations/v1/submissions/forms/{form}?limit=3")),
        get(404, "/form-integrations/v1/submissions/forms/none"),
        post(
            200,
            "/crm/lists/2026-09/search",
            json!({"count": 500, "additionalProperties": ["hs_list_size"]}),
        ),
        post(400, "/crm/lists/2026-09/search", Value::Null),
        post(200, "/crm/lists/2026-09/all", json!({"count": 2, "additionalProperties": ["hs_list_size"]})),
        post(400, "/crm/lists/2026-09/all", json!({"after": "none"})),
        post(200, "/oauth/v2/private-apps/get/access-token-info", json!({"tokenKey": TOKEN})),
        post(404, "/oauth/v2/private-apps/get/access-token-info", json!({"tokenKey": "another"})),
        get(200, format!("/crm/lists/2026-09?listIds={list}&listIds=1&includeFilters=true")),
        get(200, "/crm/lists/2026-09"),
        get(200, format!("/crm/lists/2026-09/{list}?includeFilters=true")),
        get(404, "/crm/lists/2026-09/1000000"),
        get(200, format!("/crm/lists/2026-09/{list}/memberships?limit=2")),
        get(200, format!("/crm/lists/2026-09/{list}/memberships/join-order")),
        get(200, format!("/crm/lists/2026-09/records/0-1/{}/memberships", contacts[0])),
        post(
            200,
            "/crm/lists/2026-09/records/memberships/batch/read",
            json!({"inputs": contacts[..50].iter().map(|id| record(*id)).collect::<Vec<_>>()}),
        ),
        get(200, "/crm-object-schemas/2026-09/schemas"),
        get(404, "/crm/lists/2026-09/idmapping?legacyListId=77000"),
        post(200, "/crm/lists/2026-09/idmapping", json!(["1", "2", "77000"])),
        get(200, format!("{mail}/events?limit=1000&startTimestamp={a_month_ago}")),
        get(400, format!("{mail}/events?offset=none")),
        get(200, format!("{mail}/events/{}/{}", event.created, event.id)),
        get(404, format!("{mail}/events/1/none")),
        get(200, format!("{mail}/campaigns/by-id?limit=3")),
        get(200, format!("{mail}/campaigns?limit=3")),
        get(200, format!("{mail}/campaigns/{campaign}")),
        get(404, format!("{mail}/campaigns/1")),
        get(200, "/marketing/emails/2026-09?includeStats=true&limit=2"),
        get(200, "/marketing/emails/2026-09/2451001031?includeStats=true"),
        get(200, format!("{mail}/subscriptions")),
        get(200, format!("{mail}/subscriptions/{address}")),
        get(200, format!("{mail}/subscriptions/timeline?limit=100&includeSnapshots=true")),
        get(200, format!("{mail}/subscriptions/timeline?limit=1000")),
        get(200, format!("{preferences}/2026-09/definitions")),
        get(200, format!("{preferences}/v3/definitions")),
        get(200, format!("{preferences}/2026-09/statuses/{address}?channel=EMAIL")),
        get(400, format!("{preferences}/2026-09/statuses/{address}?channel=FAX")),
        get(200, format!("{preferences}/v3/status/email/{address}")),
        post(200, format!("{preferences}/2026-09/statuses/batch/read?channel=EMAIL"), of_addresses.clone()),
        post(
            200,
            format!("{preferences}/2026-09/statuses/batch/unsubscribe-all/read?channel=EMAIL"),
            of_addresses,
        ),
    ]);
    calls
}

#[tokio::test]
async fn each_endpoint_answers_by_its_schema() {
    let fake = account().await;
    let mut tried = BTreeSet::new();
    for (status, path, body) in calls(&fake) {
        let (method, answer) = match body {
            None => ("GET", fake.get(&path).await),
            Some(body) => ("POST", fake.post(&path, &body).await),
        };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        tried.extend(endpoint_of(method, &path).filter(|_| matches!(status, 200 | 207)));
    }
    // The token endpoint takes a form, and has a test of its own in `auth`.
    tried.insert("oauth.token");
    assert_eq!(tried, served(), "an endpoint has no call here");
}

/// Fails for a new endpoint until it has a schema, and a call above.
#[test]
fn each_endpoint_has_a_schema_and_each_schema_an_endpoint() {
    let mut schemas: BTreeSet<String> = schema::schemas().into_keys().collect();
    schemas.retain(|name| name != "problem" && !name.ends_with(".207"));
    assert_eq!(schemas, served().into_iter().map(str::to_owned).collect());
}

/// Returns the names of endpoints in the source: `family.call`.
fn served() -> BTreeSet<&'static str> {
    let mut named = BTreeSet::new();
    for source in [
        include_str!("../../src/endpoints/account_info.rs"),
        include_str!("../../src/endpoints/associations.rs"),
        include_str!("../../src/endpoints/batch_read.rs"),
        include_str!("../../src/endpoints/campaigns.rs"),
        include_str!("../../src/endpoints/contacts_v1.rs"),
        include_str!("../../src/endpoints/email_events.rs"),
        include_str!("../../src/endpoints/forms.rs"),
        include_str!("../../src/endpoints/lists.rs"),
        include_str!("../../src/endpoints/lists/memberships.rs"),
        include_str!("../../src/endpoints/oauth.rs"),
        include_str!("../../src/endpoints/objects.rs"),
        include_str!("../../src/endpoints/preferences.rs"),
        include_str!("../../src/endpoints/properties.rs"),
        include_str!("../../src/endpoints/schemas.rs"),
        include_str!("../../src/endpoints/search.rs"),
        include_str!("../../src/endpoints/subscriptions.rs"),
    ] {
        let is_of_a_name = |letter: char| letter.is_ascii_lowercase() || "_1".contains(letter);
        let is_name = |text: &&str| {
            let parts: Vec<&str> = text.split('.').collect();
            parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.chars().all(is_of_a_name))
        };
        named.extend(source.split('"').filter(is_name));
    }
    // These are scopes.
    named.retain(|name| !name.starts_with("communication_preferences."));
    named
}

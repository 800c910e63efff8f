//! A server for each test, and the calls that all tests make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, Once};

use fake_hubspot::endpoint_of;
use fake_hubspot::{Account, Behaviour, Limits, ObjectType, PerType, Server, Settings};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::schema;

pub(crate) const TOKEN: &str = "pat-na1-fake";

/// A fake account, all of whose answers are checked by HubSpot's schemas.
pub(crate) struct Fake {
    pub(crate) server: Server,
    pub(crate) http: reqwest::Client,
    /// Violations of the schemas: those that a test expects, and those that were seen.
    deviations: Mutex<Deviations>,
}

#[derive(Debug, Default)]
struct Deviations {
    expected: BTreeSet<&'static str>,
    seen: BTreeSet<String>,
}

static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(schema::schemas);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<u64> {
        self.headers.get(name).map(|value| value.to_str().unwrap().parse().unwrap())
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        ids(&self.json())
    }
}

/// Returns settings of a small account that has everything in it.
pub(crate) fn small() -> Settings {
    Settings { records: PerType { contacts: 350, companies: 60, deals: 90 }, ..Settings::default() }
}

pub(crate) fn calm() -> Behaviour {
    Behaviour { limits: Limits::off(), ..Behaviour::default() }
}

impl Fake {
    pub(crate) async fn start(settings: &Settings, behaviour: Behaviour) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let account = Arc::new(Account::generate(settings));
        let server = Server::start(account, behaviour).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { server, http, deviations: Mutex::default() }
    }

    /// Expects answers that violate their schema on purpose, each as [`schema::violations`] writes it.
    pub(crate) fn deviates(&self, violations: &[&'static str]) {
        self.deviations.lock().unwrap().expected.extend(violations);
    }

    /// Checks an answer by the schema of its endpoint, or by that of refusals.
    pub(crate) fn expect_schema(&self, method: &str, target: &str, answer: &Answer) {
        let name = match (endpoint_of(method, target), answer.status) {
            (Some(endpoint), 200) => endpoint.to_owned(),
            (Some(endpoint), 207) => format!("{endpoint}.207"),
            _ => "problem".to_owned(),
        };
        if target.starts_with("/_fake") || (name == "problem" && answer.text.starts_with("<!DOCTYPE")) {
            return;
        }
        let schema = SCHEMAS.get(&name).unwrap_or_else(|| panic!("{name} has no schema"));
        let found = match serde_json::from_str(&answer.text) {
            Ok(value) => schema::violations(schema, &value),
            Err(_) => vec!["is no JSON".to_owned()],
        };
        let found: BTreeSet<String> = found.into_iter().collect();
        let mut deviations = self.deviations.lock().unwrap();
        let is_meant = |violation: &&String| deviations.expected.contains(violation.as_str());
        let wrong: Vec<&String> = found.iter().filter(|violation| !is_meant(violation)).collect();
        assert!(wrong.is_empty(), "{method} {target}, {}: by {name}.json, {wrong:#?}", answer.status);
        deviations.seen.extend(found);
    }

    pub(crate) async fn calm() -> Self {
        Self::start(&small(), calm()).await
    }

    pub(crate) fn account(&self) -> &Account {
        self.server.account()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        let answer = read(self.http.get(format!("{}{path}", self.server.url())).bearer_auth(TOKEN)).await?;
        self.expect_schema("GET", path, &answer);
        Ok(answer)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.server.url())).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = read(request).await.unwrap();
        self.expect_schema("POST", path, &answer);
        answer
    }

    pub(crate) async fn search(&self, object: &str, body: &Value) -> Answer {
        self.post(&format!("/crm/objects/2026-09/{object}/search"), body).await
    }

    /// Returns the rows under `key` of all pages of a call with an `offset`.
    pub(crate) async fn read_all(&self, path: &str, key: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut offset = String::new();
        loop {
            let page = self.get(&format!("{path}&offset={offset}")).await.json();
            all.extend(page[key].as_array().unwrap_or_else(|| panic!("no {key}: {page}")).iter().cloned());
            if page["hasMore"] == false {
                return all;
            }
            page["offset"].as_str().unwrap().clone_into(&mut offset);
        }
    }

    /// Returns the ids of all pages in their order.
    pub(crate) async fn list_all(&self, object: &str, query: &str) -> Vec<u64> {
        let mut all = Vec::new();
        let mut after = "0".to_owned();
        loop {
            let path = format!("/crm/objects/2026-09/{object}?limit=100&after={after}&{query}");
            let page = self.get(&path).await.json();
            all.extend(ids(&page));
            match page["paging"]["next"]["after"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => return all,
            }
        }
    }
}

/// Fails if an expected violation was not seen.
impl Drop for Deviations {
    fn drop(&mut self) {
        let unseen: Vec<_> =
            self.expected.iter().filter(|expected| !self.seen.contains(**expected)).collect();
        assert!(std::thread::panicking() || unseen.is_empty(), "no answer deviates so: {unseen:?}");
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

pub(crate) fn ids(page: &Value) -> Vec<u64> {
    let results = page["results"].as_array().unwrap_or_else(|| panic!("no results: {page}"));
    results.iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// Makes a search body with one group of filters.
pub(crate) fn filters(filters: &[(&str, &str, &str)]) -> Value {
    let filters: Vec<_> = filters
        .iter()
        .map(|(name, operator, value)| json!({"propertyName": name, "operator": operator, "value": value}))
        .collect();
    json!({"filterGroups": [{"filters": filters}], "limit": 200})
}

/// Returns the id of a live record, somewhere in the middle.
pub(crate) fn some_id(fake: &Fake, object: ObjectType) -> u64 {
    let ids = fake.account().live_ids(object);
    ids[ids.len() / 2]
}

//! A server of its own for each test, and the few calls they all make.

use std::sync::{Arc, Once};

use fake_hubspot::{Account, Behaviour, Limits, ObjectType, PerType, Server, Settings};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "pat-na1-fake";

pub(crate) struct Fake {
    pub(crate) server: Server,
    pub(crate) http: reqwest::Client,
}

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

/// Quick to make, with everything in it.
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
        Self { server, http: reqwest::Client::builder().no_proxy().build().unwrap() }
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
        read(self.http.get(format!("{}{path}", self.server.url())).bearer_auth(TOKEN)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.server.url())).bearer_auth(TOKEN);
        read(request.header("content-type", "application/json").body(body.to_string())).await.unwrap()
    }

    pub(crate) async fn search(&self, object: &str, body: &Value) -> Answer {
        self.post(&format!("/crm/objects/2026-09/{object}/search"), body).await
    }

    /// The rows under `key` of all pages of a call with an `offset`.
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

    /// Ids of all pages in the order they came.
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

pub(crate) async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

pub(crate) fn ids(page: &Value) -> Vec<u64> {
    let results = page["results"].as_array().unwrap_or_else(|| panic!("no results: {page}"));
    results.iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// A search body with one group of filters.
pub(crate) fn filters(filters: &[(&str, &str, &str)]) -> Value {
    let filters: Vec<_> = filters
        .iter()
        .map(|(name, operator, value)| json!({"propertyName": name, "operator": operator, "value": value}))
        .collect();
    json!({"filterGroups": [{"filters": filters}], "limit": 200})
}

/// A live record, somewhere in the middle.
pub(crate) fn some_id(fake: &Fake, object: ObjectType) -> u64 {
    let ids = fake.account().live_ids(object);
    ids[ids.len() / 2]
}

//! Administration of the fake account by tests in other languages; HubSpot has none of it. No token, no limits, no
//! faults, no counting.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::churn::{Churn, MarketingChurn, RunningChurn};
use crate::http::payload::Payload;
use crate::http::request::Request;
use crate::http::server::Site;
use crate::operation::Operation;
use crate::{Account, Behaviour, ObjectType};

/// First segment of these paths.
pub(crate) const PREFIX: &str = "_fake";
/// Bytes of truth that are sent at a time.
const CHUNK: usize = 256 << 10;

type Outcome = Result<Payload, String>;

pub(crate) fn answer(site: &Arc<Site>, request: &Request) -> Response<Payload> {
    let segments: Vec<&str> = request.segments.iter().skip(1).map(String::as_str).collect();
    let outcome = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["truth", object]) => truth(site, object),
        (&Method::GET, ["truth", object, "gone"]) => gone(site, object),
        (&Method::POST, ["mutate"]) => mutate(site, request),
        (&Method::GET, ["requests"]) => Ok(requests(site, request)),
        (&Method::DELETE, ["requests"]) => {
            site.recorder().reset();
            Ok(json_payload(&json!({})))
        }
        (&Method::GET, ["behaviour"]) => Ok(json_payload(&*site.behaviour())),
        (&Method::POST, ["behaviour"]) => change_behaviour(site, request),
        (&Method::POST, ["churn"]) => start_churn(site, request),
        (&Method::DELETE, ["churn"]) => Ok(stop_churn(&mut site.churn())),
        (&Method::POST, ["churn", "marketing"]) => start_marketing_churn(site, request),
        (&Method::DELETE, ["churn", "marketing"]) => Ok(stop_churn(&mut site.marketing_churn())),
        _ => Err(format!("no such path: {} {}", request.method, request.target)),
    };
    let (status, payload) = match outcome {
        Ok(payload) => (StatusCode::OK, payload),
        Err(error) => (StatusCode::BAD_REQUEST, json_payload(&json!({"error": error}))),
    };
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn json_payload(body: &impl serde::Serialize) -> Payload {
    Payload::whole(serde_json::to_vec(body).unwrap_or_default())
}

type Write = Box<dyn FnOnce(&Account, &Lines) + Send>;

/// Answers the truth, one line for each thing; see the functions of [`Account`] for their order.
fn truth(site: &Arc<Site>, family: &str) -> Outcome {
    let write: Write = match family {
        "v1_contacts" => Box::new(|account, lines| lines.send(account.truth_v1_contacts())),
        "forms" => Box::new(|account, lines| lines.send(account.truth_forms())),
        "form_submissions" => Box::new(|account, lines| lines.send(account.truth_form_submissions())),
        "lists" => Box::new(|account, lines| lines.send(account.truth_lists())),
        "memberships" => Box::new(|account, lines| lines.send(account.truth_memberships())),
        "campaigns" => Box::new(|account, lines| lines.send(account.truth_campaigns())),
        "email_events" => Box::new(|account, lines| lines.send(account.truth_email_events())),
        "subscriptions" => Box::new(|account, lines| lines.send(account.truth_subscriptions())),
        "subscription_changes" => Box::new(|account, lines| lines.send(account.truth_subscription_changes())),
        object => {
            let object: ObjectType = object.parse().map_err(text)?;
            if !site.account.has(object) {
                return Err(format!("the account has no {}", object.plural()));
            }
            Box::new(move |account, lines| lines.send(account.truth(object)))
        }
    };
    let (sender, chunks) = mpsc::channel(4);
    let account = Arc::clone(&site.account);
    tokio::task::spawn_blocking(move || write(&account, &Lines(sender)));
    Ok(Payload::Stream(chunks))
}

struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    fn send(&self, rows: impl IntoIterator<Item = impl Serialize>) {
        let mut chunk = Vec::with_capacity(CHUNK * 2);
        for row in rows {
            chunk.extend(serde_json::to_vec(&row).unwrap_or_default());
            chunk.push(b'\n');
            if chunk.len() >= CHUNK && self.0.blocking_send(std::mem::take(&mut chunk).into()).is_err() {
                return;
            }
        }
        // Nobody listens any more if this fails.
        let _ = self.0.blocking_send(chunk.into());
    }
}

fn gone(site: &Site, object: &str) -> Outcome {
    let object: ObjectType = object.parse().map_err(text)?;
    let (merged, purged) = (site.account.merged_away(object), site.account.purged_ids(object));
    Ok(json_payload(&json!({"merged": merged, "purged": purged})))
}

/// Applies one operation or a list of them, and stops at the first that fails.
fn mutate(site: &Site, request: &Request) -> Outcome {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Operation>),
        One(Operation),
    }
    let operations = match serde_json::from_slice(&request.body).map_err(text)? {
        OneOrMany::Many(operations) => operations,
        OneOrMany::One(operation) => vec![operation],
    };
    let applied: Result<Vec<_>, _> =
        operations.iter().map(|operation| operation.apply(&site.account)).collect();
    Ok(json_payload(&json!({"results": applied.map_err(text)?})))
}

/// Answers the counters; `?log=true` adds the latest requests.
fn requests(site: &Site, request: &Request) -> Payload {
    let recorder = site.recorder();
    let mut answer = json!({"counters": recorder.counters()});
    if request.flag("log") {
        answer["log"] = json!(recorder.log());
    }
    json_payload(&answer)
}

/// Changes the named fields of the behaviour, and leaves the rest.
fn change_behaviour(site: &Site, request: &Request) -> Outcome {
    let change: Value = serde_json::from_slice(&request.body).map_err(text)?;
    let mut behaviour = serde_json::to_value(&*site.behaviour()).map_err(text)?;
    merge(&mut behaviour, change);
    let behaviour: Behaviour = serde_json::from_value(behaviour).map_err(text)?;
    site.set_behaviour(behaviour.clone());
    Ok(json_payload(&behaviour))
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

/// Starts the churn anew, and answers the changes made before.
fn start_churn(site: &Site, request: &Request) -> Outcome {
    let churn: Churn = serde_json::from_slice(&request.body).map_err(text)?;
    let done = stop_churn(&mut site.churn());
    *site.churn() = Some(churn.start(Arc::clone(&site.account)));
    Ok(done)
}

fn start_marketing_churn(site: &Site, request: &Request) -> Outcome {
    let churn: MarketingChurn = serde_json::from_slice(&request.body).map_err(text)?;
    let done = stop_churn(&mut site.marketing_churn());
    *site.marketing_churn() = Some(churn.start(Arc::clone(&site.account)));
    Ok(done)
}

/// Stops the churn, and answers its changes, in order.
fn stop_churn(running: &mut Option<RunningChurn>) -> Payload {
    json_payload(&json!({"done": running.take().map(RunningChurn::stop)}))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

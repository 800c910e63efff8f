//! Communication preferences, the successor of v1's subscriptions. Batches need a product and a scope of their own.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, Reply, Route};
use crate::account::{Definition, Standing};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::time;

/// Greatest number of inputs of a batch. HubSpot documents no number.
const MOST_INPUTS: usize = 100;
const READS: [&str; 2] = ["communication_preferences.read", "communication_preferences.read_write"];
const BATCHES: &str = "communication_preferences.statuses.batch.read";

#[derive(Debug, Deserialize)]
struct BatchRead {
    inputs: Vec<String>,
}

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let ["communication-preferences", version, rest @ ..] = segments.as_slice() else { return None };
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    let batch = |endpoint, answer| general(endpoint, answer).requires(BATCHES).requires_enterprise();
    let is_batch = rest.get(1) == Some(&"batch");
    let of_email = |email: &str, answer: fn(&Call<'_>, &str) -> Answer| {
        let email = email.to_owned();
        Route::new("preferences.get", Bucket::General, move |call| answer(call, &email))
    };
    let route = match (&request.method, *version, rest) {
        (&Method::GET, "v3", ["definitions"]) => general("preferences.definitions", definitions_v3),
        (&Method::GET, "v3", ["status", "email", email]) => of_email(email, status_v3),
        (_, "v3", _) => return None,
        (method, "v4" | "2026-03" | "2026-09", rest) => match (method, rest) {
            (&Method::GET, ["definitions"]) => general("preferences.definitions", definitions),
            (&Method::POST, ["statuses", "batch", "read"]) => batch("preferences.batch_read", batch_read),
            (&Method::POST, ["statuses", "batch", "unsubscribe-all", "read"]) => {
                batch("preferences.batch_unsubscribe_all", batch_unsubscribe_all)
            }
            (&Method::GET, ["statuses", email]) => of_email(email, status),
            _ => return None,
        },
        _ => return None,
    };
    Some(if is_batch { route } else { route.requires_one_of(&READS) })
}

fn definition_body(definition: &Definition) -> Value {
    json!({
        "id": definition.id.to_string(),
        "name": definition.name,
        "description": definition.description,
        "purpose": "Marketing",
        "communicationMethod": "Email",
        "isActive": definition.is_active,
        "isDefault": false,
        "isInternal": false,
        "createdAt": time::text(definition.created_at),
        "updatedAt": time::text(definition.created_at),
    })
}

fn definition_bodies(call: &Call<'_>) -> Vec<Value> {
    call.account().read().subscriptions.definitions.iter().map(definition_body).collect()
}

fn definitions(call: &Call<'_>) -> Answer {
    Ok(complete(definition_bodies(call)))
}

fn definitions_v3(call: &Call<'_>) -> Answer {
    Ok(Reply::json(&json!({"subscriptionDefinitions": definition_bodies(call)})))
}

fn complete(results: Vec<Value>) -> Reply {
    let now = time::text(time::now());
    Reply::json(&json!({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}))
}

fn channel(request: &Request) -> Result<(), Problem> {
    match request.parameter("channel") {
        Some("EMAIL") => Ok(()),
        other => Err(Problem::validation(format!("Invalid channel: {}", other.unwrap_or_default()))),
    }
}

fn status(call: &Call<'_>, email: &str) -> Answer {
    channel(call.request)?;
    Ok(complete(statuses(call, email)))
}

fn statuses(call: &Call<'_>, email: &str) -> Vec<Value> {
    let state = call.account().read();
    let standing = state.subscriptions.standing(email);
    let status = |definition: &Definition| {
        let (status, at) = match standing.types.get(&definition.id) {
            Some((true, at)) => ("SUBSCRIBED", *at),
            Some((false, at)) => ("UNSUBSCRIBED", *at),
            None => ("NOT_SPECIFIED", definition.created_at.timestamp_millis()),
        };
        json!({
            "channel": "EMAIL",
            "subscriberIdString": email,
            "subscriptionId": definition.id,
            "subscriptionName": definition.name,
            "status": status,
            "source": "SOURCE_RECIPIENT",
            "timestamp": text(at),
        })
    };
    state.subscriptions.definitions.iter().map(status).collect()
}

fn text(milliseconds: i64) -> String {
    chrono::DateTime::from_timestamp_millis(milliseconds).map(time::text).unwrap_or_default()
}

/// Answers an address's subscriptions as v3 does. The overall state comes before that of the subscription type.
fn status_v3(call: &Call<'_>, email: &str) -> Answer {
    let state = call.account().read();
    let standing = state.subscriptions.standing(email);
    let status = |definition: &Definition| {
        let is_subscribed =
            standing.types.get(&definition.id).is_some_and(|(is_subscribed, _)| *is_subscribed);
        let (is_subscribed, source) = if standing.is_unsubscribed {
            (false, "PORTAL_WIDE_STATUS")
        } else {
            (is_subscribed, "SUBSCRIPTION_STATUS")
        };
        json!({
            "id": definition.id.to_string(),
            "name": definition.name,
            "description": definition.description,
            "status": if is_subscribed { "SUBSCRIBED" } else { "NOT_SUBSCRIBED" },
            "sourceOfStatus": source,
        })
    };
    let statuses: Vec<Value> = state.subscriptions.definitions.iter().map(status).collect();
    Ok(Reply::json(&json!({"recipient": email, "subscriptionStatuses": statuses})))
}

fn inputs(call: &Call<'_>) -> Result<Vec<String>, Problem> {
    channel(call.request)?;
    let BatchRead { inputs } = call.request.json()?;
    if inputs.len() > MOST_INPUTS {
        return Err(Problem::validation(format!(
            "{} inputs are too many, the maximum is {MOST_INPUTS}",
            inputs.len()
        )));
    }
    Ok(inputs)
}

fn batch_read(call: &Call<'_>) -> Answer {
    let emails = inputs(call)?;
    let of_email = |email: &String| json!({"subscriberIdString": email, "statuses": statuses(call, email)});
    Ok(complete(emails.iter().map(of_email).collect()))
}

fn batch_unsubscribe_all(call: &Call<'_>) -> Answer {
    let emails = inputs(call)?;
    let state = call.account().read();
    let of_email = |email: &String| {
        let standing = state.subscriptions.standing(email);
        json!({"subscriberIdString": email, "wideStatuses": [wide_status(email, &standing)]})
    };
    Ok(complete(emails.iter().map(of_email).collect()))
}

fn wide_status(email: &str, standing: &Standing) -> Value {
    json!({
        "channel": "EMAIL",
        "subscriberIdString": email,
        "wideStatusType": "PORTAL_WIDE",
        "status": if standing.is_unsubscribed { "UNSUBSCRIBED" } else { "SUBSCRIBED" },
        "timestamp": text(standing.portal_changed_at),
    })
}

//! Subscriptions in v1: those of one address, and the timeline of changes, the last one to arrive first.

use hyper::Method;
use serde_json::{Value, json};

use super::email_events::window;
use super::{Answer, Call, Reply, Route, limit, offsets};
use crate::account::{Arrived, Place, Standing, SubscriptionChange, TimelineItem};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::request::Request;

/// Greatest page size. HubSpot documents no number; connectors ask for up to 1,000.
const MOST: usize = 1_000;
const BY_DEFAULT: usize = 10;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    let route = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["email", "public", "v1", "subscriptions"]) => {
            general("subscriptions.definitions", definitions)
        }
        (&Method::GET, ["email", "public", "v1", "subscriptions", "timeline"]) => {
            general("subscriptions.timeline", timeline)
        }
        (&Method::GET, ["email", "public", "v1", "subscriptions", email]) => {
            let email = email.to_lowercase();
            Route::new("subscriptions.get", Bucket::General, move |call| get(call, &email))
        }
        _ => return None,
    };
    Some(route.requires("content"))
}

fn definitions(call: &Call<'_>) -> Answer {
    let state = call.account().read();
    let account = call.account().settings().account_id;
    let definitions = state.subscriptions.definitions.iter().enumerate();
    let shown = definitions.map(|(order, definition)| {
        json!({
            "id": definition.id,
            "portalId": account,
            "name": definition.name,
            "description": definition.description,
            "active": definition.is_active,
            "internal": false,
            "order": order,
            "channel": "EMAIL",
        })
    });
    Ok(Reply::json(&json!({"subscriptionDefinitions": shown.collect::<Vec<_>>()})))
}

/// Answers the subscriptions of an address. An unknown address is subscribed to everything.
fn get(call: &Call<'_>, email: &str) -> Answer {
    let standing = call.account().read().subscriptions.standing(email);
    Ok(Reply::json(&body(call, email, &standing)))
}

fn body(call: &Call<'_>, email: &str, standing: &Standing) -> Value {
    let statuses = standing.types.iter().map(|(id, (is_subscribed, updated_at))| {
        let mut status = json!({
            "id": id,
            "updatedAt": updated_at,
            "subscribed": is_subscribed,
            "optState": if *is_subscribed { "OPT_IN" } else { "OPT_OUT" },
        });
        if *is_subscribed && updated_at % 2 == 0 {
            status["legalBasis"] = "CONSENT_WITH_NOTICE".into();
            status["legalBasisExplanation"] = "She asked \"for it\"".into();
        }
        status
    });
    let mut body = json!({
        "subscribed": !standing.is_unsubscribed,
        "markedAsSpam": standing.is_spam_reporter,
        "portalId": call.account().settings().account_id,
        "bounced": standing.is_bounced,
        "email": email,
        "subscriptionStatuses": statuses.collect::<Vec<_>>(),
        "status": standing.status(),
    });
    if call.behaviour.shows_unsubscribe_from_portal {
        body["unsubscribeFromPortal"] = standing.is_unsubscribed.into();
    }
    body
}

fn timeline(call: &Call<'_>) -> Answer {
    let request = call.request;
    let limit = limit(request.parameter("limit"), BY_DEFAULT, MOST)?;
    let (from, to) = window(call)?;
    let (change_type, recipient) = (request.parameter("changeType"), request.parameter("recipient"));
    let before = offsets::take(call)?.filter(|_| !call.behaviour.offsets_lead_back);
    let state = call.account().read();
    // What one address did in one moment stays in its order, which nothing else tells.
    let delay = |(at, _): Place, item: &TimelineItem| {
        let of_recipient = item.recipient.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        call.delay_ms(at as u64 ^ of_recipient)
    };
    let timeline = &state.subscriptions.timeline;
    let items = timeline.last_arrived_first((from, to), before, call.most_delay_ms(), delay);
    let matching = items.filter(|Arrived { entry: item, .. }| {
        let has_type = |kind| item.changes.iter().any(|change| change.change_type() == kind);
        change_type.is_none_or(has_type)
            && recipient.is_none_or(|recipient| recipient.eq_ignore_ascii_case(&item.recipient))
    });
    let (rows, has_more) = call.page(matching, limit);
    let last = rows.last().map(|item| item.arrival).or(before).unwrap_or((from, 0));
    let shown: Vec<Value> = rows.iter().map(|item| item_body(call, item.at, item.entry)).collect();
    Ok(Reply::json(&json!({"hasMore": has_more, "offset": offsets::give(call, last), "timeline": shown})))
}

fn item_body(call: &Call<'_>, at: i64, item: &TimelineItem) -> Value {
    let account = call.account().settings().account_id;
    let change = |change: &SubscriptionChange| {
        let mut shown = json!({
            "change": change.change(),
            "source": change.source(),
            "portalId": account,
            "changeType": change.change_type(),
        });
        if let Some(id) = change.subscription_type() {
            shown["subscriptionId"] = id.into();
        }
        match item.cause {
            Some(event) => shown["causedByEvent"] = json!(event),
            None => shown["timestamp"] = at.into(),
        }
        shown
    };
    let mut body = json!({
        "timestamp": at,
        "portalId": account,
        "recipient": &*item.recipient,
        "changes": item.changes.iter().map(change).collect::<Vec<_>>(),
    });
    if call.request.flag("includeSnapshots") {
        body["snapshot"] = self::body(call, &item.recipient, &item.snapshot);
    }
    body
}

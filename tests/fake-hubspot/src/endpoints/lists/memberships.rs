//! Memberships: the members of a list, and the lists of a record.

use chrono::{DateTime, Utc};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Answer, Call, Reply, Route, limit};
use crate::account::{Membership, State};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::{ObjectType, time};

const MOST: usize = 250;
const BY_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
struct BatchRead {
    inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    object_type_id: String,
    record_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Record,
    Joined,
}

pub(super) fn route(method: &Method, rest: &[&str]) -> Option<Route> {
    let of_list = |id: &str, order| {
        let id = id.to_owned();
        Route::new("lists.memberships", Bucket::General, move |call| of_list(call, &id, order))
    };
    match (method, rest) {
        (&Method::GET, [id, "memberships"]) => Some(of_list(id, Order::Record)),
        (&Method::GET, [id, "memberships", "join-order"]) => Some(of_list(id, Order::Joined)),
        (&Method::GET, ["records", object, record, "memberships"]) => {
            let (object, record) = ((*object).to_owned(), (*record).to_owned());
            Some(Route::new("lists.memberships_of_record", Bucket::General, move |call| {
                of_record(call, &object, &record)
            }))
        }
        (&Method::POST, ["records", "memberships", "batch", "read"]) => {
            Some(Route::new("lists.batch_memberships", Bucket::General, batch_read))
        }
        _ => None,
    }
}

/// Answers a page of members. `after` is the last record of the page before, with its time where that leads the order.
fn of_list(call: &Call<'_>, id: &str, order: Order) -> Answer {
    let limit = limit(call.request.parameter("limit"), BY_DEFAULT, MOST)?;
    let after = call.request.parameter("after").filter(|after| !after.is_empty()).map(read).transpose()?;
    let state = call.account().read();
    let list = id.parse().ok().and_then(|id| state.lists.find(id));
    let list = list.ok_or_else(|| Problem::list_not_found(id))?;
    let key = |(record, membership): &(u64, Membership)| match order {
        Order::Record => (0, *record),
        Order::Joined => (membership.last_added_at.timestamp_millis(), *record),
    };
    let mut members: Vec<_> = list.members(&state).collect();
    let total = members.len();
    members.sort_by_key(key);
    let overlaps = call.behaviour.members_overlap;
    let is_behind = |key, after| key > after || (overlaps && key == after);
    let rest = members.into_iter().filter(|member| after.is_none_or(|after| is_behind(key(member), after)));
    let (page, has_more) = call.page(rest, limit);
    let results: Vec<Value> = page
        .iter()
        .map(|(record, membership)| {
            json!({"recordId": record.to_string(), "membershipTimestamp": text(membership.last_added_at)})
        })
        .collect();
    let mut answer = json!({"results": results});
    if !overlaps {
        answer["total"] = total.into();
    }
    if let Some(last) = page.last().filter(|_| has_more) {
        let (at, record) = key(last);
        let after = format!("{at}-{record}");
        let link = format!("https://api.hubapi.com/crm/lists/v3/{id}/memberships?after={after}");
        answer["paging"] = json!({"next": {"after": after, "link": link}});
    }
    Ok(Reply::json(&answer))
}

fn read(after: &str) -> Result<(i64, u64), Problem> {
    let parts = after.split_once('-').and_then(|(at, record)| Some((at.parse().ok()?, record.parse().ok()?)));
    parts.ok_or_else(|| Problem::validation(format!("Invalid paging cursor: {after}")))
}

fn of_record(call: &Call<'_>, object: &str, record: &str) -> Answer {
    let object: ObjectType = object.parse().map_err(|_| Problem::unknown_object_type(object))?;
    let record = record.parse().map_err(|_| Problem::record_not_found())?;
    let results = memberships(&call.account().read(), object, record);
    Ok(Reply::json(&json!({"total": results.len(), "results": results})))
}

/// Answers the lists of several records. Records that don't exist are in no list.
fn batch_read(call: &Call<'_>) -> Answer {
    let started_at = time::now();
    let batch: BatchRead = call.request.json()?;
    let most = call.behaviour.most_memberships;
    if batch.inputs.len() > most {
        let count = batch.inputs.len();
        return Err(Problem::validation(format!("{count} inputs are too many, the maximum is {most}")));
    }
    let state = call.account().read();
    let mut results = Vec::new();
    for Input { object_type_id, record_id } in &batch.inputs {
        let unknown = || Problem::unknown_object_type(object_type_id);
        let object: ObjectType = object_type_id.parse().map_err(|_| unknown())?;
        let lists =
            record_id.parse().map_or_else(|_| Vec::new(), |record| memberships(&state, object, record));
        results.push(json!({
            "objectTypeId": object_type_id, "recordId": record_id, "recordListMemberships": lists,
        }));
    }
    Ok(Reply::json(&json!({
        "status": "COMPLETE",
        "results": results,
        "startedAt": time::text(started_at),
        "completedAt": time::text(time::now()),
    })))
}

fn memberships(state: &State, object: ObjectType, record: u64) -> Vec<Value> {
    if !state.objects[object].live.contains_key(&record) {
        return Vec::new();
    }
    let of_type = state.lists.current().filter(|list| list.object == object);
    let memberships = of_type.filter_map(|list| Some((list, list.membership(record)?)));
    let shown = memberships.map(|(list, membership)| {
        json!({
            "listId": list.id.to_string(),
            "listVersion": list.version,
            "firstAddedTimestamp": text(membership.first_added_at),
            "lastAddedTimestamp": text(membership.last_added_at),
        })
    });
    shown.collect()
}

fn text(at: DateTime<Utc>) -> String {
    time::text(at)
}

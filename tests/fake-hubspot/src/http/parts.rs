//! Incomplete answers, and other spellings of the fields for paging. The endpoints make HubSpot's complete answers;
//! this file changes them.

use std::collections::BTreeSet;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::request::Request;
use super::server::Site;
use crate::Behaviour;
use crate::dice::Dice;
use crate::endpoints::{Answer, Reply};

/// A way in which an answer is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// 207: some records are not in the results, and an error other than "not found" names them.
    Refused,
    /// 207: some records are not in the results, and the error names none.
    Nameless,
    /// 207: some records are not in the results, and only `numErrors` shows it.
    Counted,
    /// 200: some records are not in the results, and nothing shows it.
    Silent,
    /// The status is PENDING, and some records are not in the results yet.
    Pending,
    /// 200 without `results`, or the field that holds the list in this endpoint.
    NoResults,
    /// The list is null.
    NullResults,
    /// The records are shown but not readable: an id that is no number, a null.
    Odd,
    /// The records are shown without content: by their ids alone, or as an entry without a field.
    Hollow,
    /// One field is missing: a property of a record, the counters of a campaign.
    Thin,
    /// The modified date is missing.
    Undated,
    /// The past of properties is missing, though it was asked for.
    Pastless,
    /// The past of one property is missing.
    PastOfOne,
}

impl Lack {
    /// Those that an answer of any endpoint may have.
    pub const ALL: [Lack; 11] = [
        Lack::Refused,
        Lack::Nameless,
        Lack::Counted,
        Lack::Silent,
        Lack::Pending,
        Lack::NoResults,
        Lack::NullResults,
        Lack::Odd,
        Lack::Hollow,
        Lack::Thin,
        Lack::Undated,
    ];
}

/// Incomplete answers of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPart {
    /// The endpoint's name in the counters, such as `associations.batch_read`.
    pub endpoint: &'static str,
    pub lack: Lack,
    /// The missing records; empty: the last one of each answer.
    pub ids: Vec<u64>,
    /// Number of answers that are incomplete.
    pub times: u32,
}

/// Spelling of v1's `hasMore`, and of `paging` on a last page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingWords {
    #[default]
    AsDocumented,
    /// `has-more`; `paging: {}`.
    Dashed,
    /// `has_more`; `paging: null`.
    Underscored,
    /// No field for more, the offset alone; `paging: {next: null}`.
    Missing,
}

/// Batch reads.
const BATCHES: [&str; 4] =
    ["objects.batch_read", "associations.batch_read", "lists.batch_memberships", "contacts_v1.batch"];
/// Reads of a single thing.
const SINGLES: [&str; 2] = ["campaigns.get", "subscriptions.get"];
const LISTS: [&str; 5] = ["results", "lists", "campaigns", "events", "timeline"];
/// Seed of the choice of batch answers that are incomplete, see [`Behaviour::parts`].
const PARTS: u64 = 0x0070_6172_7473;

/// Changes an answer as the behaviour says.
pub(crate) fn made_over(
    site: &Site,
    behaviour: &Behaviour,
    (endpoint, number): (&'static str, u64),
    request: &Request,
    answer: Answer,
) -> Answer {
    if let Some(problem) = refusal(behaviour, endpoint, request) {
        return Err(problem);
    }
    let mut reply = answer?;
    // What a page of a list shows is nobody's choice.
    let is_list = !BATCHES.contains(&endpoint) && !SINGLES.contains(&endpoint);
    let is_about = |ids: &[u64]| is_list || ids.is_empty() || mentions(request, ids);
    if let Some((lack, ids)) =
        site.lack(endpoint, is_about).or_else(|| by_chance(behaviour, endpoint, number))
    {
        reply = in_part(reply, endpoint, lack, &ids);
    }
    if behaviour.paging_words != PagingWords::AsDocumented && !BATCHES.contains(&endpoint) {
        reply = in_other_words(reply, behaviour.paging_words);
    }
    Ok(reply)
}

/// Returns the refusal of a batch that has a poisoned record in it.
fn refusal(behaviour: &Behaviour, endpoint: &str, request: &Request) -> Option<Problem> {
    let poison = behaviour.refused_batches.as_ref().filter(|poison| poison.endpoint == endpoint)?;
    let ids: Vec<u64> = poison.ids.iter().copied().collect();
    (ids.is_empty() || mentions(request, &ids)).then(|| match poison.status {
        400 => Problem::validation("One or more inputs are invalid".to_owned()),
        _ => Problem::internal_error(),
    })
}

fn mentions(request: &Request, ids: &[u64]) -> bool {
    let text = format!("{} {}", request.target, String::from_utf8_lossy(&request.body));
    text.split(|c: char| !c.is_ascii_digit()).any(|id| id.parse().is_ok_and(|id| ids.contains(&id)))
}

/// A batch endpoint that refuses each batch with one of these records in it; without any, all batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBatches {
    pub endpoint: String,
    pub ids: BTreeSet<u64>,
    /// Status of the refusal: 400 or 500.
    pub status: u16,
}

fn by_chance(behaviour: &Behaviour, endpoint: &str, number: u64) -> Option<(Lack, Vec<u64>)> {
    let mut dice = Dice::nth(behaviour.seed ^ PARTS, number);
    // Of what nothing tells, nobody can know.
    let lacks =
        [Lack::Refused, Lack::Nameless, Lack::Counted, Lack::Pending, Lack::NoResults, Lack::NullResults];
    let is_due = BATCHES[..3].contains(&endpoint) && dice.chance(behaviour.parts);
    is_due.then(|| (lacks[dice.below(lacks.len() as u64) as usize], Vec::new()))
}

fn in_part(reply: Reply, endpoint: &str, lack: Lack, ids: &[u64]) -> Reply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    if endpoint == "contacts_v1.batch" {
        return v1_in_part(reply, body, lack, ids);
    }
    if SINGLES.contains(&endpoint) {
        return single_in_part(reply, body, lack);
    }
    let Some(list) = LISTS.into_iter().find(|list| body.get(*list).is_some_and(Value::is_array)) else {
        return reply;
    };
    let items = body.get_mut(list).and_then(Value::as_array_mut);
    let Some(items) = items else { return reply };
    let last = items.last().cloned();
    let is_last = |item: &Value| ids.is_empty() && last.as_ref() == Some(item);
    let ids = match ids {
        [] => last.as_ref().and_then(id_of).into_iter().collect(),
        ids => ids.to_vec(),
    };
    let is_about = |item: &Value| is_last(item) || id_of(item).is_some_and(|id| ids.contains(&id));
    // Nobody of the answer is concerned.
    let is_batch = BATCHES.contains(&endpoint);
    if is_batch && !items.iter().any(is_about) {
        return reply;
    }
    let spoil = match lack {
        Lack::Odd => Some(make_odd as fn(&mut Value)),
        Lack::Hollow => Some(make_hollow as fn(&mut Value)),
        Lack::Thin => Some(make_thin as fn(&mut Value)),
        Lack::Undated => Some(make_undated as fn(&mut Value)),
        Lack::Pastless => Some(make_pastless as fn(&mut Value)),
        Lack::PastOfOne => Some(leave_out_past_of_one as fn(&mut Value)),
        _ => None,
    };
    if let Some(spoil) = spoil {
        let mut spoiled: Vec<&mut Value> = items.iter_mut().filter(|item| is_about(item)).collect();
        match spoiled.is_empty() {
            true => items.last_mut().into_iter().for_each(spoil),
            false => spoiled.iter_mut().for_each(|item| spoil(item)),
        }
    } else if is_batch {
        items.retain(|item| !is_about(item));
    } else {
        items.pop();
    }
    let names: Vec<String> = ids.iter().map(u64::to_string).collect();
    let mut status = reply.status;
    let mut add = |error: Value| {
        let errors = body.entry("errors").or_insert_with(|| json!([]));
        errors.as_array_mut().into_iter().for_each(|errors| errors.push(error.clone()));
        let count = body.get("numErrors").and_then(Value::as_u64).unwrap_or(0);
        body.insert("numErrors".to_owned(), json!(count + 1));
        status = StatusCode::MULTI_STATUS;
    };
    let error = json!({"status": "error", "category": "INTERNAL_ERROR", "message": "internal error"});
    match lack {
        Lack::Refused => {
            let mut named = error;
            named["context"] = match endpoint {
                "associations.batch_read" => json!({"fromObjectId": names}),
                _ => json!({"ids": names}),
            };
            add(named);
        }
        Lack::Nameless => add(error),
        Lack::Counted => {
            let count = body.get("numErrors").and_then(Value::as_u64).unwrap_or(0);
            body.insert("numErrors".to_owned(), json!(count + ids.len().max(1) as u64));
            status = StatusCode::MULTI_STATUS;
        }
        Lack::Silent
        | Lack::Odd
        | Lack::Hollow
        | Lack::Thin
        | Lack::Undated
        | Lack::Pastless
        | Lack::PastOfOne => {}
        Lack::Pending => _ = body.insert("status".to_owned(), json!("PENDING")),
        Lack::NoResults => _ = body.remove(list),
        Lack::NullResults => _ = body.insert(list.to_owned(), Value::Null),
    }
    Reply { status, body: Value::Object(body).to_string().into_bytes() }
}

/// Makes a batch of contacts v1 incomplete, an object with a field for each contact: one field is missing, null, or has
/// no content.
fn v1_in_part(reply: Reply, mut body: Map<String, Value>, lack: Lack, ids: &[u64]) -> Reply {
    let ids: Vec<String> = match ids {
        [] => body.keys().next_back().cloned().into_iter().collect(),
        ids => ids.iter().map(u64::to_string).collect(),
    };
    for id in &ids {
        let Some(contact) = body.get_mut(id) else { continue };
        match lack {
            Lack::NullResults => *contact = Value::Null,
            Lack::Odd => contact["identity-profiles"] = json!([{"vid": "x", "identities": [null]}]),
            Lack::Hollow => *contact = json!({"vid": contact["vid"]}),
            Lack::Thin | Lack::Undated | Lack::Pastless | Lack::PastOfOne => {}
            _ => _ = body.remove(id),
        }
    }
    Reply { status: reply.status, body: Value::Object(body).to_string().into_bytes() }
}

/// Makes the answer to a read of a single thing incomplete: it has no content, its list is missing or null, or it is
/// no object.
fn single_in_part(reply: Reply, mut body: Map<String, Value>, lack: Lack) -> Reply {
    let list = "subscriptionStatuses";
    let body = match lack {
        Lack::NoResults if body.remove(list).is_some() => Value::Object(body),
        Lack::NullResults if body.insert(list.to_owned(), Value::Null).is_some() => Value::Object(body),
        Lack::NoResults | Lack::Hollow => json!({}),
        Lack::NullResults | Lack::Odd => Value::Null,
        Lack::Pending => json!({"status": "PENDING"}),
        Lack::Thin => {
            body.remove("counters");
            Value::Object(body)
        }
        _ => Value::Object(body),
    };
    Reply { status: reply.status, body: body.to_string().into_bytes() }
}

/// Returns the record's id in a batch's result or a list's item.
fn id_of(item: &Value) -> Option<u64> {
    let id = item.pointer("/from/id").or_else(|| item.get("recordId")).or_else(|| item.get("id"));
    match id.or_else(|| item.get("listId"))? {
        Value::String(id) => id.parse().ok(),
        id => id.as_u64(),
    }
}

/// Makes an entry of a list unreadable.
fn make_odd(item: &mut Value) {
    if let Some(ends) = item.get_mut("to").and_then(Value::as_array_mut) {
        ends.push(json!({"toObjectId": "x", "associationTypes": []}));
    } else if item.get("recordListMemberships").is_some() {
        item["recordListMemberships"] = Value::Null;
    } else {
        *item = Value::Null;
    }
}

fn make_hollow(item: &mut Value) {
    let Some(fields) = item.as_object_mut() else { return };
    let told = ["to", "recordListMemberships", "properties"].map(|name| fields.remove(name).is_some());
    if !told.contains(&true) {
        fields.clear();
    }
}

/// Leaves out the first property with a value, other than those that HubSpot sets itself.
fn make_thin(item: &mut Value) {
    let of_all = ["hs_object_id", "createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_createdate"];
    let Some(properties) = item.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let chosen = properties.iter().find(|(name, value)| !value.is_null() && !of_all.contains(&name.as_str()));
    if let Some(name) = chosen.map(|(name, _)| name.clone()) {
        properties.remove(&name);
    }
}

fn make_undated(item: &mut Value) {
    item["updatedAt"] = Value::Null;
    let Some(properties) = item.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for name in ["lastmodifieddate", "hs_lastmodifieddate"] {
        properties.entry(name).and_modify(|date| *date = Value::Null);
    }
}

fn make_pastless(item: &mut Value) {
    item.as_object_mut().map(|fields| fields.remove("propertiesWithHistory"));
}

/// Leaves out the past of the first property that has one and a value.
fn leave_out_past_of_one(item: &mut Value) {
    let properties = item["properties"].clone();
    let Some(pasts) = item.get_mut("propertiesWithHistory").and_then(Value::as_object_mut) else { return };
    let has_value = |name: &str| properties[name].as_str().is_some_and(|value| !value.is_empty());
    let has_past = |past: &Value| past.as_array().is_some_and(|entries| !entries.is_empty());
    let chosen = pasts.iter().find(|(name, past)| has_past(past) && has_value(name));
    if let Some(name) = chosen.map(|(name, _)| name.clone()) {
        pasts.remove(&name);
    }
}

fn in_other_words(reply: Reply, words: PagingWords) -> Reply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    let is_last = body.contains_key("results") && !body.contains_key("paging");
    if !is_last && !body.contains_key("hasMore") {
        return reply;
    }
    let (more, last) = match words {
        PagingWords::AsDocumented => return reply,
        PagingWords::Dashed => (Some("has-more"), json!({})),
        PagingWords::Underscored => (Some("has_more"), Value::Null),
        PagingWords::Missing => (None, json!({"next": null})),
    };
    match (body.remove("hasMore"), more) {
        (Some(value), Some(more)) => _ = body.insert(more.to_owned(), value),
        (Some(_), None) => {}
        (None, _) => _ = body.insert("paging".to_owned(), last),
    }
    Reply { status: reply.status, body: Value::Object(body).to_string().into_bytes() }
}

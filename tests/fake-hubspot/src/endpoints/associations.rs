//! Links between records: in batches, for one record, and within the records of a list. A link has one entry for each
//! of its types. Besides, the types between two objects, with their labels.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::unknown_type;
use super::{Answer, Call, Reply, Route, limit};
use crate::account::{LabelName, Link, State};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::json::{write_joined, write_number};
use crate::{Behaviour, ObjectType, time};

const MOST_INPUTS: usize = 1_000;
const MOST_LINKS: usize = 500;

#[derive(Debug, Deserialize)]
struct BatchRead {
    inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
struct Input {
    id: String,
    after: Option<String>,
}

pub(super) fn route(request: &Request) -> Option<Route> {
    batch_route(request).or_else(|| labels_route(request)).or_else(|| single_route(request))
}

/// Returns the route of the labels between two types
/// (developers.hubspot.com/docs/api-reference/latest/crm/associations/associations-schema/guide).
fn labels_route(request: &Request) -> Option<Route> {
    let (version, rest) = request.resource("crm", "associations")?;
    let (&Method::GET, [from, to, "labels"], Version::V4 | Version::Dated) =
        (&request.method, rest.as_slice(), version)
    else {
        return None;
    };
    let endpoint = "associations.labels";
    Some(match (from.parse::<ObjectType>(), to.parse::<ObjectType>()) {
        (Ok(from), Ok(to)) => {
            let route = Route::new(endpoint, Bucket::General, move |call| {
                let names = call.account().read().label_names(from, to);
                let results: Vec<Value> = names.map(|label| json_of(&label)).collect();
                Ok(Reply::json(&json!({"results": results})))
            });
            route.reads(from).reads(to)
        }
        (Err(_), _) => unknown_type(endpoint, from),
        (_, Err(_)) => unknown_type(endpoint, to),
    })
}

/// Returns the route of a batch. The v3 path, which shows the primary company only, is not imitated.
fn batch_route(request: &Request) -> Option<Route> {
    let (version, rest) = request.resource("crm", "associations")?;
    let (&Method::POST, [from, to, "batch", "read"], Version::V4 | Version::Dated) =
        (&request.method, rest.as_slice(), version)
    else {
        return None;
    };
    let endpoint = "associations.batch_read";
    Some(match (from.parse::<ObjectType>(), to.parse::<ObjectType>()) {
        (Ok(from), Ok(to)) => {
            let route =
                Route::new(endpoint, Bucket::Associations, move |call| batch_read(call, from, to, version));
            route.reads(from).reads(to)
        }
        (Err(_), _) => unknown_type(endpoint, from),
        (_, Err(_)) => unknown_type(endpoint, to),
    })
}

fn single_route(request: &Request) -> Option<Route> {
    let (version, rest) = request.resource("crm", "objects")?;
    let (&Method::GET, [from, id, "associations", to]) = (&request.method, rest.as_slice()) else {
        return None;
    };
    let endpoint = "associations.of_record";
    let id = (*id).to_owned();
    Some(match (from.parse::<ObjectType>(), to.parse::<ObjectType>()) {
        (Ok(from), Ok(to)) => {
            let route = Route::new(endpoint, Bucket::Associations, move |call| {
                of_record(call, (from, &id), to, version)
            });
            route.reads(from).reads(to)
        }
        (Err(_), _) => unknown_type(endpoint, from),
        (_, Err(_)) => unknown_type(endpoint, to),
    })
}

fn batch_read(call: &Call<'_>, from: ObjectType, to: ObjectType, version: Version) -> Answer {
    let started_at = time::now();
    let batch: BatchRead = call.request.json()?;
    if batch.inputs.len() > MOST_INPUTS {
        let count = batch.inputs.len();
        return Err(Problem::validation(format!(
            "Batch size {count} is too large, the maximum is {MOST_INPUTS}"
        )));
    }
    let state = call.account().read();
    let mut results = Vec::new();
    let mut errors = Vec::new();
    for input in &batch.inputs {
        let links: Vec<_> =
            input.id.parse().map_or_else(|_| Vec::new(), |id| state.links(from, id, to).collect());
        if links.is_empty() {
            errors.push(no_associations(&input.id, from, to));
            continue;
        }
        let after = input.after.as_deref().filter(|_| !call.behaviour.ignores_association_after);
        let page = Page::of(&links, after, call.behaviour.associations_page);
        let mut result = json!({"from": {"id": input.id}, "to": entries(&state, page.links, from, to, version, call.behaviour)});
        if let Some(after) = page.next {
            result["paging"] = paging(after, from, &input.id, to);
        }
        results.push(result);
    }
    let has_errors = !errors.is_empty();
    let mut answer = json!({
        "status": "COMPLETE",
        "results": results,
        "startedAt": time::text(started_at),
        "completedAt": time::text(time::now()),
    });
    if has_errors {
        answer["numErrors"] = errors.len().into();
        answer["errors"] = errors.into();
    }
    Ok(Reply::batch(answer.to_string().into_bytes(), has_errors))
}

fn of_record(call: &Call<'_>, (from, id): (ObjectType, &str), to: ObjectType, version: Version) -> Answer {
    let request = call.request;
    let number: u64 = id.parse().map_err(|_| Problem::record_not_found())?;
    let limit = limit(request.parameter("limit"), MOST_LINKS, MOST_LINKS)?;
    let state = call.account().read();
    let survivor = state.objects[from].survivor(number);
    if !state.objects[from].live.contains_key(&survivor) {
        return Err(Problem::record_not_found());
    }
    let links: Vec<_> = state.links(from, survivor, to).collect();
    let page = Page::of(&links, request.parameter("after"), limit);
    let results: Vec<Value> = if version == Version::V3 {
        let labels =
            page.links.iter().flat_map(|link| state.labels(from, to, link).map(|label| (link.to, label)));
        labels.map(|(to, label)| json!({"id": to.to_string(), "type": label.name})).collect()
    } else {
        entries(&state, page.links, from, to, version, call.behaviour)
    };
    let mut answer = json!({"results": results});
    if let Some(after) = page.next {
        answer["paging"] = paging(after, from, id, to);
    }
    Ok(Reply::json(&answer))
}

/// Writes `,"associations":{...}`, or nothing when the record has none of them.
pub(super) fn write_inline(
    out: &mut Vec<u8>,
    state: &State,
    (from, id): (ObjectType, u64),
    to: &[ObjectType],
    behaviour: &Behaviour,
) {
    let mut opening = ",\"associations\":{";
    for to in to {
        let links: Vec<_> = state.links(from, id, *to).collect();
        if links.is_empty() {
            continue;
        }
        out.extend_from_slice(opening.as_bytes());
        opening = ",";
        out.extend_from_slice(format!("\"{}\":{{\"results\":[", to.plural()).as_bytes());
        let page = Page::of(&links, None, behaviour.inline_associations);
        let named = page
            .links
            .iter()
            .flat_map(|link| state.labels(from, *to, link).map(|label| (link.to, label.name)));
        write_joined(out, named, |out, (to, name)| {
            out.extend_from_slice(b"{\"id\":\"");
            write_number(out, to);
            out.extend_from_slice(format!("\",\"type\":\"{name}\"}}").as_bytes());
        });
        out.push(b']');
        if let Some(after) = page.next {
            out.extend_from_slice(
                format!(",\"paging\":{}", paging(after, from, &id.to_string(), *to)).as_bytes(),
            );
        }
        out.push(b'}');
    }
    if opening == "," {
        out.push(b'}');
    }
}

struct Page<'a> {
    links: &'a [&'a Link],
    /// First id of the next page.
    next: Option<u64>,
}

impl<'a> Page<'a> {
    /// Cuts a page out of links that ascend by id; `after` is the first id of the page.
    fn of(links: &'a [&'a Link], after: Option<&str>, limit: usize) -> Self {
        let from = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let links = &links[links.partition_point(|link| link.to < from)..];
        let (page, rest) = links.split_at(limit.min(links.len()));
        Self { links: page, next: rest.first().map(|link| link.to) }
    }
}

fn paging(after: u64, from: ObjectType, id: &str, to: ObjectType) -> Value {
    let (from, to) = (from.plural(), to.plural());
    let link = format!("https://api.hubapi.com/crm/v4/objects/{from}/{id}/associations/{to}?after={after}");
    json!({"next": {"after": after.to_string(), "link": link}})
}

fn entries(
    state: &State,
    links: &[&Link],
    from: ObjectType,
    to: ObjectType,
    version: Version,
    behaviour: &Behaviour,
) -> Vec<Value> {
    let entry = |link: &Link, labels: Vec<Value>| {
        let id: Value = if version == Version::V4 { link.to.into() } else { link.to.to_string().into() };
        json!({"toObjectId": id, "associationTypes": labels})
    };
    let all = links.iter().flat_map(|link| {
        let labels: Vec<Value> = state.labels(from, to, link).map(|label| json_of(&label)).collect();
        if behaviour.repeat_associations_per_label {
            labels.into_iter().map(|label| entry(link, vec![label])).collect()
        } else {
            vec![entry(link, labels)]
        }
    });
    all.collect()
}

fn no_associations(id: &str, from: ObjectType, to: ObjectType) -> Value {
    let (from, to) = (from.singular(), to.singular());
    json!({
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": format!("No {to} is associated with {from} {id}."),
        "context": {"fromObjectId": [id], "fromObjectType": [from], "toObjectType": [to]},
    })
}

fn json_of(label: &LabelName) -> Value {
    json!({"category": label.category, "typeId": label.type_id, "label": label.label})
}

//! Values of up to a hundred records by their ids. The answer keeps no order, and ids that were merged away are
//! unknown here, though a single read still knows them.

use std::collections::BTreeSet;

use hyper::Method;
use serde::Deserialize;

use super::objects::{MOST_WITH_HISTORY, unknown_type};
use super::records::Selection;
use super::{Answer, Call, Reply, Route};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::json::write_joined;
use crate::{ObjectType, time};

const MOST: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchRead {
    inputs: Vec<Input>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Input {
    id: String,
}

pub(super) fn route(request: &Request) -> Option<Route> {
    let (Version::V3 | Version::Dated, rest) = request.resource("crm", "objects")? else { return None };
    match (&request.method, rest.as_slice()) {
        (&Method::POST, [object, "batch", "read"]) => Some(match object.parse::<ObjectType>() {
            Ok(object) => Route::new("objects.batch_read", Bucket::General, move |call| read(call, object))
                .reads(object),
            Err(_) => unknown_type("objects.batch_read", object),
        }),
        _ => None,
    }
}

fn read(call: &Call<'_>, object: ObjectType) -> Answer {
    let started_at = time::now();
    let batch: BatchRead = call.request.json()?;
    let most = if batch.properties_with_history.is_empty() { MOST } else { MOST_WITH_HISTORY };
    if batch.inputs.len() > most {
        let count = batch.inputs.len();
        return Err(Problem::validation(format!("Batch size {count} is too large, the maximum is {most}")));
    }
    let state = call.account().read();
    let objects = &state.objects[object];
    let list = objects.list(call.request.flag("archived"));
    let asked: BTreeSet<&str> = batch.inputs.iter().map(|input| input.id.as_str()).collect();
    let found = |id: &str| list.get(&id.parse().ok()?);
    let missing: Vec<&str> = asked.iter().copied().filter(|id| found(id).is_none()).collect();
    let mut records: Vec<_> = asked.iter().filter_map(|id| found(id)).collect();
    records.retain(|record| !call.site.leaves_out("objects.batch_read", object, record.id));
    records.sort_by_key(|record| mix(record.id));

    let selection =
        Selection::new(call, object, &objects.catalog, &batch.properties, &batch.properties_with_history);
    let mut out = Vec::with_capacity(records.len() * 2_500 + 200);
    out.extend_from_slice(b"{\"status\":\"COMPLETE\",\"results\":[");
    write_joined(&mut out, &records, |out, record| selection.write(out, record, |_| ()));
    out.push(b']');
    if !missing.is_empty() {
        let errors = errors(object, &missing);
        out.extend_from_slice(format!(",\"numErrors\":1,\"errors\":{errors}").as_bytes());
    }
    let (started_at, completed_at) = (time::text(started_at), time::text(time::now()));
    let times = format!(r#","startedAt":"{started_at}","completedAt":"{completed_at}"}}"#);
    out.extend_from_slice(times.as_bytes());
    Ok(Reply::batch(out, !missing.is_empty()))
}

/// Makes one error for all missing ids, as HubSpot counts them.
fn errors(object: ObjectType, missing: &[&str]) -> serde_json::Value {
    let kind = object.singular().to_uppercase();
    serde_json::json!([{
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": format!("Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid."),
        "context": {"ids": missing},
    }])
}

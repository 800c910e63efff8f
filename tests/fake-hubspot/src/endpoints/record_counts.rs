//! Number of records of each object
//! (developers.hubspot.com/docs/api-reference/latest/crm/limits-tracking/guide), and which of the objects that can be
//! activated are (developers.hubspot.com/docs/api-reference/latest/crm/crm-data-model/guide).

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Reply, Route};
use crate::ObjectType;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;

const LIMIT: usize = 1_000_000;
/// The objects that an account has only once somebody has activated them.
const ACTIVATABLE: [ObjectType; 4] =
    [ObjectType::Listings, ObjectType::Appointments, ObjectType::Services, ObjectType::Courses];

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let route = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["crm", "limits", "2026-03" | "2026-09", "records"]) => {
            Route::new("limits.records", Bucket::General, records)
        }
        (&Method::GET, ["crm", "object-library", "2026-03" | "2026-09", "enablement"]) => {
            Route::new("object_library.enablement", Bucket::General, enablement)
        }
        _ => return None,
    };
    // The right to read the records of any one object is enough.
    let of_objects = ObjectType::all().flat_map(ObjectType::scopes).flat_map(|row| row.iter());
    Some(route.requires_one_of(&of_objects.copied().collect::<Vec<_>>()))
}

fn records(call: &Call<'_>) -> Answer {
    let behaviour = call.behaviour;
    if !behaviour.counts_records {
        return Err(Problem::unknown_path());
    }
    let state = call.account().read();
    let count = |object: &ObjectType| state.objects[*object].live.len();
    let is_listed = |object: &ObjectType| {
        !behaviour.uncounted.contains(object) && (behaviour.counts_empty || count(object) > 0)
    };
    let listed: Vec<ObjectType> = state.types().into_iter().filter(is_listed).collect();
    let (custom, own): (Vec<ObjectType>, Vec<ObjectType>) =
        listed.into_iter().partition(|object| object.is_custom());
    let head = |object: &ObjectType| {
        json!({
            "objectTypeId": object.id(),
            "singularLabel": object.singular(),
            "pluralLabel": object.plural(),
            "usage": count(object),
        })
    };
    let percentage = |usage: usize| usage as f64 * 100.0 / LIMIT as f64;
    let with_limit = |object: &ObjectType| {
        let mut shown = head(object);
        shown["limit"] = LIMIT.into();
        shown["percentage"] = percentage(count(object)).into();
        shown
    };
    let of_custom: usize = custom.iter().map(count).sum();
    Ok(Reply::json(&json!({
        "hubspotDefinedObjectTypes": own.iter().map(with_limit).collect::<Vec<Value>>(),
        "customObjectTypes": {
            "overallUsage": of_custom,
            "overallLimit": LIMIT,
            "overallPercentage": percentage(of_custom),
            "byObjectType": custom.iter().map(head).collect::<Vec<Value>>(),
        },
    })))
}

fn enablement(call: &Call<'_>) -> Answer {
    let state = call.account().read();
    let types = state.types();
    let by_type: Map<String, Value> =
        ACTIVATABLE.iter().map(|object| (object.id().to_owned(), types.contains(object).into())).collect();
    Ok(Reply::json(&json!({ "enablementByObjectTypeId": by_type })))
}

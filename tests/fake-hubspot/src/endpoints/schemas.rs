//! Schemas of custom objects, all in one answer: those in use, or the deleted ones
//! (developers.hubspot.com/docs/api-reference/latest/crm/object-schemas/guide). For a minute after a schema was changed,
//! the call for a single one may answer the old version; nobody asks for it here, and it is not imitated.

use hyper::Method;
use serde_json::{Value, json};

use super::properties::definitions;
use super::{Answer, Call, Reply, Route};
use crate::ObjectType;
use crate::account::State;
use crate::http::limits::Bucket;
use crate::http::request::Request;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match (&request.method, segments.as_slice()) {
        (&Method::GET, ["crm-object-schemas", "v3" | "2026-03" | "2026-09", "schemas"]) => {
            Some(Route::new("schemas.list", Bucket::General, list).requires("crm.schemas.custom.read"))
        }
        _ => None,
    }
}

fn list(call: &Call<'_>) -> Answer {
    let archived = call.request.flag("archived");
    let includes = |name: &str| call.request.parameter(name) != Some("false");
    let state = call.account().read();
    let custom: Vec<ObjectType> = match archived {
        true => state.former_objects.iter().copied().collect(),
        false => state.types().into_iter().filter(|object| object.is_custom()).collect(),
    };
    let schema = |object: ObjectType| {
        let mut schema = head(call, object, archived);
        if includes("includePropertyDefinitions") && !archived {
            schema["properties"] = properties(&state, object);
        }
        if includes("includeAssociationDefinitions") {
            schema["associations"] = json!([]);
        }
        schema
    };
    Ok(Reply::json(&json!({ "results": custom.into_iter().map(schema).collect::<Vec<Value>>() })))
}

fn head(call: &Call<'_>, object: ObjectType, archived: bool) -> Value {
    let account_id = call.account().settings().account_id;
    json!({
        "id": object.id(),
        "objectTypeId": object.id(),
        "name": object.singular(),
        "fullyQualifiedName": format!("p{account_id}_{}", object.singular()),
        "labels": {"singular": object.singular(), "plural": object.plural()},
        "primaryDisplayProperty": "name",
        "requiredProperties": ["name"],
        "searchableProperties": ["name"],
        "secondaryDisplayProperties": [],
        "allowsSensitiveProperties": true,
        "archived": archived,
        "createdAt": "2026-02-01T10:00:00.000Z",
        "updatedAt": "2026-02-01T10:00:00.000Z",
    })
}

fn properties(state: &State, object: ObjectType) -> Value {
    json!(definitions(&state.objects[object].catalog, object))
}

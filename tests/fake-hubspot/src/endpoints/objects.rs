//! Lists of records, and single records. Lists ascend by id, and `after` is the id to go on from.

use hyper::Method;

use super::records::Selection;
use super::{Answer, Call, Reply, Route, associations, limit};
use crate::ObjectType;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::json::write_joined;

const MOST: usize = 100;
pub(super) const MOST_WITH_HISTORY: usize = 50;
const BY_DEFAULT: usize = 10;

pub(super) fn route(request: &Request) -> Option<Route> {
    let (Version::V3 | Version::Dated, rest) = request.resource("crm", "objects")? else { return None };
    match (&request.method, rest.as_slice()) {
        (&Method::GET, [object]) => Some(match object.parse::<ObjectType>() {
            Ok(object) => {
                Route::new("objects.list", Bucket::General, move |call| list(call, object)).reads(object)
            }
            Err(_) => unknown_type("objects.list", object),
        }),
        (&Method::GET, [object, id]) => Some(match object.parse::<ObjectType>() {
            Ok(object) => {
                let id = (*id).to_owned();
                Route::new("objects.get", Bucket::General, move |call| get(call, object, &id)).reads(object)
            }
            Err(_) => unknown_type("objects.get", object),
        }),
        _ => None,
    }
}

pub(super) fn unknown_type(endpoint: &'static str, name: &str) -> Route {
    let name = name.to_owned();
    Route::new(endpoint, Bucket::General, move |_| Err(Problem::unknown_object_type(&name)))
}

fn list(call: &Call<'_>, object: ObjectType) -> Answer {
    let request = call.request;
    let with_history = request.list("propertiesWithHistory");
    let most = if with_history.is_empty() { MOST } else { MOST_WITH_HISTORY };
    let limit = limit(request.parameter("limit"), BY_DEFAULT, most)?;
    let archived = request.flag("archived");
    let from = first_id(call, object, archived)?;
    let linked = linked_types(request)?;

    let state = call.account().read();
    let objects = &state.objects[object];
    let selection =
        Selection::new(call, object, &objects.catalog, &request.list("properties"), &with_history);
    let mut rows: Vec<_> =
        objects.list(archived).range(from..).map(|(_, record)| record).take(limit + 1).collect();
    let on_page = call.shown(rows.len().min(limit));
    let has_more = rows.len() > on_page;
    rows.truncate(on_page);
    let last_id = rows.last().map(|record| record.id);
    rows.retain(|record| !call.site.leaves_out("objects.list", object, record.id));

    let mut out = Vec::with_capacity(rows.len() * 2_500 + 200);
    out.extend_from_slice(b"{\"results\":[");
    write_joined(&mut out, &rows, |out, record| {
        let links = |out: &mut Vec<u8>| {
            associations::write_inline(out, &state, (object, record.id), &linked, call.behaviour);
        };
        selection.write(out, record, links);
    });
    out.push(b']');
    if let Some(last_id) = last_id.filter(|_| has_more) {
        write_paging(&mut out, call, object, archived, last_id + 1);
    }
    out.push(b'}');
    Ok(Reply::ok(out))
}

/// Returns the first id that the page may have. HubSpot's own `after` is the last id of a page plus one, whether there
/// is such a record or not.
fn first_id(call: &Call<'_>, object: ObjectType, archived: bool) -> Result<u64, Problem> {
    let Some(after) = call.request.parameter("after") else { return Ok(0) };
    let after = after.parse().map_err(|_| Problem::validation(format!("Invalid paging cursor: {after}")))?;
    let is_known =
        call.behaviour.takes_any_after(archived) || call.site.cursors().contains(&(object, archived, after));
    Ok(if is_known { after } else { 0 })
}

fn write_paging(out: &mut Vec<u8>, call: &Call<'_>, object: ObjectType, archived: bool, after: u64) {
    if !call.behaviour.takes_any_after(archived) {
        call.site.cursors().insert((object, archived, after));
    }
    // Not a path that answers, in HubSpot's documentation neither.
    let link = format!("https://api.hubapi.com/crm/objects/v3/{}?after={after}", object.plural());
    let paging = format!(r#","paging":{{"next":{{"after":"{after}","link":"{link}"}}}}"#);
    out.extend_from_slice(paging.as_bytes());
}

fn get(call: &Call<'_>, object: ObjectType, id: &str) -> Answer {
    let request = call.request;
    let id: u64 = id.parse().map_err(|_| Problem::record_not_found())?;
    let linked = linked_types(request)?;
    let state = call.account().read();
    let objects = &state.objects[object];
    let record = objects.list(request.flag("archived")).get(&objects.survivor(id));
    let record = record.ok_or_else(Problem::record_not_found)?;
    let (named, with_history) = (request.list("properties"), request.list("propertiesWithHistory"));
    let selection = Selection::new(call, object, &objects.catalog, &named, &with_history);
    let mut out = Vec::new();
    selection.write(&mut out, record, |out| {
        associations::write_inline(out, &state, (object, record.id), &linked, call.behaviour);
    });
    Ok(Reply::ok(out))
}

fn linked_types(request: &Request) -> Result<Vec<ObjectType>, Problem> {
    let names = request.list("associations");
    names.iter().map(|name| name.parse().map_err(|_| Problem::unknown_object_type(name))).collect()
}

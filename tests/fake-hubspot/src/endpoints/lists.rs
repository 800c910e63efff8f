//! Lists and their members. The search pages by offset, `/all` by ids, and both show no filters. The call that shows
//! them takes ids, and answers an empty list when it gets none.

mod all;
mod memberships;

use std::collections::BTreeSet;

use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Answer, Call, Reply, Route};
use crate::account::{List, Processing, State};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::time;

const MOST: usize = 500;
const BY_DEFAULT: usize = 20;
/// Number of results that can be paged through.
const MOST_RESULTS: usize = 10_000;
const MOST_LEGACY_IDS: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Search {
    list_ids: Vec<String>,
    query: String,
    processing_types: Vec<Processing>,
    additional_properties: Vec<String>,
    object_type_id: Option<String>,
    offset: usize,
    count: usize,
    sort: Option<String>,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            list_ids: Vec::new(),
            query: String::new(),
            processing_types: Vec::new(),
            additional_properties: Vec::new(),
            object_type_id: None,
            offset: 0,
            count: BY_DEFAULT,
            sort: None,
        }
    }
}

pub(super) fn route(request: &Request) -> Option<Route> {
    let (Version::V3 | Version::Dated, rest) = request.resource("crm", "lists")? else { return None };
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    let route = match (&request.method, rest.as_slice()) {
        (&Method::POST, ["search"]) => general("lists.search", search),
        (&Method::POST, ["all"]) => general("lists.all", all::all),
        (&Method::GET, []) => general("lists.list", by_ids),
        (&Method::GET, ["idmapping"]) => general("lists.id_mapping", map_one),
        (&Method::POST, ["idmapping"]) => general("lists.id_mapping", map_many),
        (&Method::GET, [id]) => {
            let id = (*id).to_owned();
            Route::new("lists.get", Bucket::General, move |call| get(call, &id))
        }
        (method, rest) => memberships::route(method, rest)?,
    };
    Some(route.requires_one_of(&["crm.lists.read", "crm.segments.read"]))
}

fn search(call: &Call<'_>) -> Answer {
    let body = call.request.body.trim_ascii();
    if body.is_empty() || body == b"null" {
        return Err(Problem::null_body());
    }
    let mut search: Search = call.request.json()?;
    search.object_type_id.take_if(|_| call.behaviour.ignores_list_type);
    if !(1..=MOST).contains(&search.count) {
        return Err(Problem::validation(format!("count must be between 1 and {MOST}, not {}", search.count)));
    }
    if search.offset > MOST_RESULTS {
        return Err(Problem::validation(format!(
            "offset can't be greater than {MOST_RESULTS}, not {}",
            search.offset
        )));
    }
    let state = call.account().read();
    let is_found = |list: &&List| search.matches(list) && call.is_listed(list.id);
    let mut found: Vec<&List> = state.lists.current().filter(is_found).collect();
    sort(&mut found, search.sort.as_deref())?;
    let total = found.len();
    let (lists, has_more) = call.page(found.into_iter().skip(search.offset), search.count);
    let shown = with_properties(&lists, &state, &search.additional_properties);
    Ok(Reply::json(&json!({
        "offset": search.offset + shown.len(),
        "hasMore": has_more,
        "total": total,
        "lists": shown,
    })))
}

fn with_properties(lists: &[&List], state: &State, names: &[String]) -> Vec<Value> {
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let shown = |list: &&List| {
        let mut shown = json!(Shown::new(list));
        shown["additionalProperties"] = additional_properties(list, state, &names).into();
        shown
    };
    lists.iter().map(shown).collect()
}

impl Search {
    fn matches(&self, list: &List) -> bool {
        let name = self.query.to_lowercase();
        (self.list_ids.is_empty() || self.list_ids.contains(&list.id.to_string()))
            && (self.processing_types.is_empty() || self.processing_types.contains(&list.processing))
            && self.object_type_id.as_deref().is_none_or(|id| id == list.object.id())
            && list.name.to_lowercase().contains(&name)
    }
}

fn sort(lists: &mut [&List], order: Option<&str>) -> Result<(), Problem> {
    let (descends, key) = match order.map(|order| order.strip_prefix('-').ok_or(order)) {
        None => (false, "HS_LIST_ID"),
        Some(Ok(key)) => (true, key),
        Some(Err(key)) => (false, key),
    };
    match key {
        "HS_LIST_ID" => lists.sort_by_key(|list| list.id),
        "HS_UPDATED_AT" => lists.sort_by_key(|list| list.updated_at),
        "HS_CREATED_AT" => lists.sort_by_key(|list| list.created_at),
        _ => return Err(Problem::validation(format!("Unknown sort: {key}"))),
    }
    if descends {
        lists.reverse();
    }
    Ok(())
}

/// Returns the additional properties that have a value; all values are text, dates are milliseconds.
fn additional_properties(list: &List, state: &State, names: &BTreeSet<&str>) -> Map<String, Value> {
    let date = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis().to_string();
    let value = |name| match name {
        "hs_list_size" => Some(list.members(state).count().to_string()),
        "hs_last_record_added_at" => list.last_added_at.map(date),
        "hs_last_record_removed_at" => list.last_removed_at.map(date),
        "hs_lastmodifieddate" => Some(date(list.updated_at)),
        "hs_list_reference_count" => Some(list.reference_count().to_string()),
        "hs_folder_name" => list.folder.map(str::to_owned),
        _ => None,
    };
    names.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?.into()))).collect()
}

fn by_ids(call: &Call<'_>) -> Answer {
    let ids = call.request.list("listIds");
    let state = call.account().read();
    let seen = ids.iter().filter_map(|id| id.parse().ok()).filter(|id| !call.is_hidden(*id));
    let lists = seen.filter_map(|id| state.lists.find(id));
    let lists: Vec<Value> =
        lists.map(|list| whole(list, &state, call.request.flag("includeFilters"))).collect();
    Ok(Reply::json(&json!({"lists": lists})))
}

fn get(call: &Call<'_>, id: &str) -> Answer {
    let state = call.account().read();
    let is_shown = |list: &&List| list.deleted_at.is_none() || call.behaviour.shows_deleted_lists;
    let list = id.parse().ok().and_then(|id| state.lists.current_or_deleted(id)).filter(is_shown);
    let list = list.filter(|list| !call.is_hidden(list.id)).ok_or_else(|| Problem::list_not_found(id))?;
    let mut shown = whole(list, &state, call.request.flag("includeFilters"));
    if let Some(at) = list.deleted_at {
        shown["deletedAt"] = time::text(at).into();
    }
    Ok(Reply::json(&json!({"list": shown})))
}

fn whole(list: &List, state: &State, with_filters: bool) -> Value {
    let mut shown = json!(Shown::new(list));
    shown["size"] = list.members(state).count().into();
    shown["listPermissions"] = json!({"usersWithEditAccess": [], "teamsWithEditAccess": []});
    shown["membershipSettings"] = json!({"includeUnassigned": null, "membershipTeamId": null});
    if let Some(branch) = list.filter_branch().filter(|_| with_filters) {
        shown["filterBranch"] = branch;
    }
    shown
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    list_id: String,
    list_version: u64,
    name: &'a str,
    object_type_id: &'static str,
    processing_type: Processing,
    processing_status: &'static str,
    created_at: String,
    updated_at: String,
    filters_updated_at: String,
    created_by_id: String,
    updated_by_id: String,
}

impl<'a> Shown<'a> {
    fn new(list: &'a List) -> Self {
        Self {
            list_id: list.id.to_string(),
            list_version: list.version,
            name: &list.name,
            object_type_id: list.object.id(),
            processing_type: list.processing,
            processing_status: list.processing_status(),
            created_at: time::text(list.created_at),
            updated_at: time::text(list.updated_at),
            filters_updated_at: time::text(list.filters_updated_at),
            created_by_id: list.created_by.to_string(),
            updated_by_id: list.updated_by.to_string(),
        }
    }
}

fn map_one(call: &Call<'_>) -> Answer {
    let legacy = call.request.parameter("legacyListId").unwrap_or_default();
    let state = call.account().read();
    let list = mapped(&state, legacy).ok_or_else(|| Problem::list_not_found(legacy))?;
    Ok(Reply::json(&json!({"legacyListId": legacy, "listId": list.to_string()})))
}

fn map_many(call: &Call<'_>) -> Answer {
    let legacy: Vec<String> = call.request.json()?;
    if legacy.len() > MOST_LEGACY_IDS {
        return Err(Problem::validation(format!(
            "{} ids are too many, the maximum is {MOST_LEGACY_IDS}",
            legacy.len()
        )));
    }
    let state = call.account().read();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for legacy in legacy {
        match mapped(&state, &legacy) {
            Some(list) => found.push(json!({"legacyListId": legacy, "listId": list.to_string()})),
            None => missing.push(legacy),
        }
    }
    Ok(Reply::json(&json!({"legacyListIdsToIdsMapping": found, "missingLegacyListIds": missing})))
}

fn mapped(state: &State, legacy: &str) -> Option<u64> {
    let legacy: u64 = legacy.parse().ok()?;
    state.lists.current().find(|list| list.legacy_id == Some(legacy)).map(|list| list.id)
}

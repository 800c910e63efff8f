//! Searches. They see the index, not the records; they page by offset, to 10,000 and no further; records with equal
//! sort values come in an order that nobody can rely on.

use std::cmp::Ordering;

use hyper::Method;
use serde::Deserialize;

use super::filters::{Comparable, Condition, Filter, Operand, value};
use super::objects::unknown_type;
use super::records::Selection;
use super::{Answer, Call, Reply, Route};
use crate::account::{Catalog, Objects, Record};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::json::write_joined;
use crate::{Behaviour, ObjectType};

const MOST: u64 = 200;
const BY_DEFAULT: u64 = 10;
/// Number of results that can be paged through.
const MOST_RESULTS: u64 = 10_000;
const MOST_GROUPS: usize = 5;
const MOST_FILTERS_IN_GROUP: usize = 6;
const MOST_FILTERS: usize = 18;

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Search {
    filter_groups: Vec<FilterGroup>,
    sorts: Vec<Sort>,
    properties: Vec<String>,
    limit: Option<u64>,
    after: Option<Operand>,
    query: Option<String>,
}

impl Default for Search {
    fn default() -> Self {
        let (filter_groups, sorts, properties) = (Vec::new(), Vec::new(), Vec::new());
        Self { filter_groups, sorts, properties, limit: None, after: None, query: None }
    }
}

#[derive(Debug, Deserialize)]
struct FilterGroup {
    filters: Vec<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sort {
    /// A property's name; `-name` descends.
    Short(String),
    #[serde(rename_all = "camelCase")]
    Long { property_name: String, direction: Option<Direction> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Direction {
    Ascending,
    Descending,
}

pub(super) fn route(request: &Request) -> Option<Route> {
    let (Version::V3 | Version::Dated, rest) = request.resource("crm", "objects")? else { return None };
    match (&request.method, rest.as_slice()) {
        (&Method::POST, [object, "search"]) => Some(match object.parse::<ObjectType>() {
            Ok(object) => {
                Route::new("objects.search", Bucket::Search, move |call| search(call, object)).reads(object)
            }
            Err(_) => unknown_type("objects.search", object),
        }),
        _ => None,
    }
}

fn search(call: &Call<'_>, object: ObjectType) -> Answer {
    let behaviour = call.behaviour;
    if call.request.body.len() > behaviour.longest_search {
        let most = behaviour.longest_search;
        return Err(Problem::validation(format!(
            "The search request body is too long, the maximum is {most}"
        )));
    }
    let search: Search = call.request.json()?;
    let (limit, offset) = page(&search)?;
    let state = call.account().read();
    let objects = &state.objects[object];
    let groups = conditions(&search, &objects.catalog, behaviour)?;
    let found = matching(&search, objects, object, &groups);
    if found.iter().any(|record| behaviour.unsearchable.contains(&record.id)) {
        return Err(Problem::internal_error());
    }
    let total = found.len() as u64;
    let first = first_sorted(found, (offset + limit) as usize, &search, &objects.catalog)?;
    let rows = first.get(offset as usize..).unwrap_or_default();
    let rows = &rows[..call.shown(rows.len())];
    let next = offset + rows.len() as u64;
    let rows: Vec<_> =
        rows.iter().filter(|record| !call.site.leaves_out("objects.search", object, record.id)).collect();
    let selection = Selection::new(call, object, &objects.catalog, &search.properties, &[]);
    let mut out = Vec::with_capacity(rows.len() * 500 + 200);
    out.extend_from_slice(format!("{{\"total\":{total},\"results\":[").as_bytes());
    write_joined(&mut out, &rows, |out, record| selection.write(out, record, |_| ()));
    out.push(b']');
    if next < total {
        out.extend_from_slice(format!(r#","paging":{{"next":{{"after":"{next}"}}}}"#).as_bytes());
    }
    out.push(b'}');
    Ok(Reply::ok(out))
}

fn page(search: &Search) -> Result<(u64, u64), Problem> {
    let limit = search.limit.unwrap_or(BY_DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::validation(format!("Invalid limit: {limit}. It must be between 1 and {MOST}")));
    }
    let offset = match &search.after {
        None => 0,
        Some(Operand::Text(text)) if text.is_empty() => 0,
        Some(Operand::Text(text)) => {
            text.parse().map_err(|_| Problem::validation(format!("Invalid paging offset: {text}")))?
        }
        Some(Operand::Number(number)) => number.as_u64().unwrap_or(u64::MAX),
    };
    if offset.saturating_add(limit) > MOST_RESULTS {
        return Err(Problem::validation(format!(
            "Paging beyond {MOST_RESULTS} results is not possible: {offset}"
        )));
    }
    Ok((limit, offset))
}

fn conditions<'a>(
    search: &Search,
    catalog: &'a Catalog,
    behaviour: &Behaviour,
) -> Result<Vec<Vec<Condition<'a>>>, Problem> {
    let sizes = search.filter_groups.iter().map(|group| group.filters.len());
    let is_too_much = search.filter_groups.len() > MOST_GROUPS
        || sizes.clone().any(|size| size > MOST_FILTERS_IN_GROUP)
        || sizes.sum::<usize>() > MOST_FILTERS;
    if is_too_much {
        return Err(Problem::validation(format!(
            "At most {MOST_GROUPS} filterGroups with {MOST_FILTERS_IN_GROUP} filters each, {MOST_FILTERS} in all"
        )));
    }
    let mut groups = Vec::new();
    for group in &search.filter_groups {
        let conditions: Result<Vec<_>, _> =
            group.filters.iter().map(|filter| Condition::new(filter, catalog)).collect();
        groups.push(conditions?);
    }
    if behaviour.search_from_zero_fails && groups.iter().flatten().any(Condition::starts_at_zero) {
        return Err(Problem::internal_error());
    }
    Ok(groups)
}

/// Returns the records that the filters match: all conditions of at least one group hold.
fn matching<'a>(
    search: &Search,
    objects: &'a Objects,
    object: ObjectType,
    groups: &[Vec<Condition<'_>>],
) -> Vec<&'a Record> {
    let query = search.query.as_deref().filter(|query| !query.is_empty()).map(str::to_lowercase);
    let searched: Vec<_> =
        object.shown_by_default().iter().filter_map(|name| objects.catalog.find(name)).collect();
    let contains = |record: &Record, query: &str| {
        searched.iter().any(|(index, property)| {
            property.value_of(*index, record).is_some_and(|value| value.to_lowercase().contains(query))
        })
    };
    objects
        .searchable()
        .map(|record| &**record)
        .filter(|record| {
            let holds = |group: &Vec<Condition<'_>>| group.iter().all(|condition| condition.matches(record));
            groups.is_empty() || groups.iter().any(holds)
        })
        .filter(|record| query.as_ref().is_none_or(|query| contains(record, query)))
        .collect()
}

/// Returns the first `count` of the found records. Records without the value come last, whatever the direction.
/// Without a sort rule the oldest come first.
fn first_sorted<'a>(
    found: Vec<&'a Record>,
    count: usize,
    search: &Search,
    catalog: &Catalog,
) -> Result<Vec<&'a Record>, Problem> {
    if search.sorts.len() > 1 {
        return Err(Problem::validation("Only one sort is supported"));
    }
    let (name, direction) = match search.sorts.first() {
        None => ("hs_object_id", Direction::Ascending),
        Some(Sort::Short(name)) => match name.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (name.as_str(), Direction::Ascending),
        },
        Some(Sort::Long { property_name, direction }) => {
            (property_name.as_str(), direction.unwrap_or(Direction::Ascending))
        }
    };
    let (index, property) = catalog
        .find(name)
        .ok_or_else(|| Problem::validation(format!("There is no property named {name}")))?;
    let key = |record: &Record| SortKey {
        value: value(property, index, record),
        descends: direction == Direction::Descending,
        tie: mix(record.id),
    };
    let mut keyed: Vec<_> = found.into_iter().map(|record| (key(record), record)).collect();
    // Sorting all of a large account for each page would make the fake the slow side.
    if count < keyed.len() {
        keyed.select_nth_unstable_by(count, |(one, _), (two, _)| one.cmp(two));
        keyed.truncate(count);
    }
    keyed.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
    Ok(keyed.into_iter().map(|(_, record)| record).collect())
}

#[derive(Debug, PartialEq)]
struct SortKey {
    value: Option<Comparable>,
    descends: bool,
    tie: u64,
}

impl Eq for SortKey {}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = match (&self.value, &other.value) {
            (Some(one), Some(two)) => {
                let order = one.partial_cmp(two).unwrap_or(Ordering::Equal);
                if self.descends { order.reverse() } else { order }
            }
            (one, two) => two.is_some().cmp(&one.is_some()),
        };
        by_value.then(self.tie.cmp(&other.tie))
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

//! Filters of a search, by the ids of records.

use serde_json::{Value, json};

/// The property that is a record's id.
pub(in crate::feeds::objects) const ID: &str = "hs_object_id";

/// The groups of a search that all of these filters hold for.
pub(in crate::feeds::objects) fn groups(filters: Vec<Value>) -> Value {
    if filters.is_empty() { json!([]) } else { json!([{ "filters": filters }]) }
}

/// Filters for ids from `from` up to and without `below`.
pub(in crate::feeds::objects) fn id_filters(from: u64, below: Option<u64>) -> impl Iterator<Item = Value> {
    let from = (from > 0).then(|| id_filter("GT", from - 1));
    from.into_iter().chain(below.map(|below| id_filter("LT", below)))
}

fn id_filter(operator: &str, id: u64) -> Value {
    json!({ "propertyName": ID, "operator": operator, "value": id.to_string() })
}

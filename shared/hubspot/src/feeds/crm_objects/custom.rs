//! Custom objects: an account defines them, with a name and properties of its own. Each run asks which there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use super::super::{Feed, SHARED, known};
use super::record_feed;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::objects::ObjectType;
use crate::version;

/// The custom objects of an account.
#[derive(Debug, Default)]
pub struct CustomObjects {
    /// In the order in which they were defined.
    pub feeds: Vec<&'static dyn Feed>,
    /// HubSpot's `objectTypeId` of each, by its collection.
    pub type_ids: BTreeMap<&'static str, String>,
    /// Collections of those that were deleted.
    pub former: Vec<String>,
    /// Schemas without a name or an id, which can't be read.
    pub nameless: usize,
}

/// Asks which custom objects the account has.
///
/// # Errors
/// [`ErrorKind::MissingScope`] where the credential may not see them, or the account's product has none.
pub async fn custom_objects(client: &Client) -> Result<CustomObjects> {
    let schemas = |archived: bool| async move {
        // Without definitions: each object's feed reads its own.
        let path = format!(
            "/crm-object-schemas/{}/schemas?archived={archived}&includePropertyDefinitions=false\
             &includeAssociationDefinitions=false&includeAuditMetadata=false",
            version::SCHEMAS
        );
        client.send_for_list(&Call::get(path), "results").await
    };
    let (present, archived) = futures::future::try_join(schemas(false), schemas(true)).await?;
    let Found { objects, former, nameless } = found(&parsed(&present)?, &parsed(&archived)?);
    let type_ids = objects.iter().map(|object| (object.name, object.path.to_owned())).collect();
    let feeds = objects.into_iter().map(|object| object as &dyn Feed).collect();
    Ok(CustomObjects { feeds, type_ids, former, nameless })
}

/// Returns the custom objects in two answers with schemas: of those in use, and of the deleted ones.
pub(in crate::feeds) fn of_schemas(present: &str, archived: &str) -> Result<Vec<&'static ObjectType>> {
    Ok(found(&parsed(present)?, &parsed(archived)?).objects)
}

fn parsed(answer: &str) -> Result<Vec<Value>> {
    let answer: Result<Schemas, _> = serde_json::from_str(answer);
    answer.map(|answer| answer.results).map_err(|source| {
        Error::new(ErrorKind::Malformed, "the schemas of custom objects do not parse").caused_by(source)
    })
}

/// [`CustomObjects`], by their types.
#[derive(Debug)]
struct Found {
    objects: Vec<&'static ObjectType>,
    former: Vec<String>,
    nameless: usize,
}

/// Returns the feed of a custom object that [`custom_objects`] found before, without asking HubSpot.
pub fn custom_object(type_id: &str, collection: &str) -> &'static dyn Feed {
    kept(type_id.to_owned(), collection)
}

/// Names of functions of a stack, under which they keep their reports: no feed may have them, nor the name of another.
const RESERVED: [&str; 2] = ["load", "objects"];

#[derive(Debug, Deserialize)]
struct Schemas {
    results: Vec<Value>,
}

/// Number in a custom object's `objectTypeId`: `3444025` of `2-3444025`.
fn number(type_id: &str) -> Option<u64> {
    type_id.strip_prefix("2-")?.parse().ok()
}

/// A deleted object keeps the name of its table.
fn found(present: &[Value], archived: &[Value]) -> Found {
    let read = |schema: &Value| {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        let number = number(text("objectTypeId")?)?;
        let name = text("name").map(table_name).filter(|name| !name.is_empty())?;
        Some((number, name))
    };
    let live: BTreeMap<u64, String> = present.iter().filter_map(read).collect();
    let nameless = present.len() - present.iter().filter_map(read).count();
    let all: BTreeMap<u64, String> =
        archived.iter().filter_map(read).chain(live.iter().map(|(n, name)| (*n, name.clone()))).collect();
    let own = known().flat_map(|feed| feed.collections().iter().copied().chain([feed.name()]));
    let own: Vec<&str> = own.chain(RESERVED).chain(SHARED.iter().copied()).collect();
    let mut taken: BTreeSet<String> = own.iter().map(|name| (*name).to_owned()).collect();
    let (mut objects, mut former) = (Vec::new(), Vec::new());
    for (number, name) in all {
        let mut table = name.clone();
        if own.contains(&name.as_str()) {
            table = format!("custom_{name}");
        }
        // The one that was defined first has the plain name.
        if !taken.insert(table.clone()) {
            table = format!("{table}_{number}");
            taken.insert(table.clone());
        }
        if live.contains_key(&number) {
            objects.push(kept(format!("2-{number}"), &table));
        } else {
            former.push(table);
        }
    }
    Found { objects, former, nameless }
}

/// Returns the name of the table: the object's name in lower case, with `_` for all that is no letter or digit.
fn table_name(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    name.trim().chars().map(letter).collect()
}

/// Returns the feed of a custom object. Feeds live as long as the process, as HubSpot's own do: each is made once.
fn kept(type_id: String, table: &str) -> &'static ObjectType {
    static KEPT: Mutex<BTreeMap<(String, String), &'static ObjectType>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry((type_id, table.to_owned())).or_insert_with_key(|(type_id, table)| {
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let snapshot = leak(staging::snapshot_name(table));
        let about = "records of a custom object";
        Box::leak(Box::new(record_feed(leak(table.clone()), leak(type_id.clone()), snapshot, about)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(present: &[Value], archived: &[Value]) -> Vec<&'static str> {
        found(present, archived).objects.iter().map(|object| object.name).collect()
    }

    fn schema(number: u64, name: &str) -> Value {
        json!({ "objectTypeId": format!("2-{number}"), "name": name })
    }

    #[test]
    fn an_object_has_a_table_of_its_name() {
        let present = [schema(9, "Car_Rentals"), schema(3, "cars"), schema(7, "tickets"), schema(8, "Groß")];
        assert_eq!(names(&present, &[]), ["cars", "custom_tickets", "gro_", "car_rentals"]);
        let functions = [schema(1, "load"), schema(2, "Objects"), schema(3, "metadata")];
        assert_eq!(names(&functions, &[]), ["custom_load", "custom_objects", "custom_metadata"]);
    }

    #[test]
    fn a_later_object_does_not_get_the_table_of_an_earlier_one() {
        assert_eq!(names(&[schema(5, "Cars"), schema(4, "cars")], &[]), ["cars", "cars_5"]);
        assert_eq!(names(&[schema(5, "Cars")], &[schema(4, "cars")]), ["cars_5"]);
        assert_eq!(found(&[schema(5, "Cars")], &[schema(4, "cars")]).former, ["cars"]);
    }

    #[test]
    fn a_schema_without_a_name_or_an_id_is_counted() {
        let found = found(&[schema(5, ""), json!({ "name": "cars" }), json!(null), schema(6, "cars")], &[]);
        assert_eq!((found.objects.len(), found.nameless), (1, 3));
    }

    #[test]
    fn a_feed_is_made_once() {
        let (first, again) = (kept("2-9".to_owned(), "boats"), kept("2-9".to_owned(), "boats"));
        assert!(std::ptr::eq(first, again));
        assert_eq!(custom_object("2-9", "boats").name(), "boats");
    }
}

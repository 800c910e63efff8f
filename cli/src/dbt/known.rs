//! The tables of a warehouse, and what their columns mean: from the tables of definitions, which hold HubSpot's own words,
//! and from the dictionary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use compat::{Naming, Table, Tables, Words, views};
use hubspot::feeds::{CollectionEntry, DEFINITIONS, known, shared};
use warehouse::Warehouse;

/// Tables and definitions of one schema.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) tables: Tables,
    /// The dictionary's part about a table. A custom object of the account has none.
    entries: BTreeMap<String, CollectionEntry>,
    /// Names and words of properties, by collection and name.
    definitions: HashMap<(String, String), String>,
}

impl Known {
    /// Looks into a warehouse. Nothing is changed.
    pub(crate) async fn of(warehouse: &dyn Warehouse) -> warehouse::Result<Known> {
        let entries: BTreeMap<String, CollectionEntry> = known()
            .flat_map(|feed| feed.dictionary())
            .chain(shared())
            .map(|entry| (entry.name.to_owned(), entry))
            .collect();
        let mut definitions = HashMap::new();
        let mut names: BTreeSet<String> = entries.keys().cloned().collect();
        // Those that views know of, and the dictionary does not yet.
        names.extend(
            views().flat_map(|view| view.ways).flat_map(|way| way.parts).map(|part| part.table.to_owned()),
        );
        let columns = ["object", "name", "label", "description"];
        for row in warehouse.texts(DEFINITIONS[0], &columns).await? {
            let Ok([Some(object), Some(name), label, description]) = <[Option<String>; 4]>::try_from(row)
            else {
                continue;
            };
            names.insert(object.clone());
            if let Some(words) = words(&name, label, description) {
                definitions.insert((object, name), words);
            }
        }
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let shapes = warehouse.shapes(&wanted).await?;
        let tables = names
            .iter()
            .zip(shapes)
            .filter_map(|(name, shape)| Some((name.clone(), Table::new(naming(entries.get(name)), shape?))));
        Ok(Known { tables: Tables(tables.collect()), entries, definitions })
    }

    pub(crate) fn table(&self, collection: &str) -> Option<&Table> {
        self.tables.get(collection)
    }

    pub(crate) fn entry(&self, collection: &str) -> Option<&CollectionEntry> {
        self.entries.get(collection)
    }
}

impl Words for Known {
    /// HubSpot's words, if it has any.
    fn property(&self, collection: &str, property: &str) -> String {
        let words = self.definitions.get(&(collection.to_owned(), property.to_owned()));
        words.cloned().unwrap_or_else(|| format!("HubSpot's property `{property}`"))
    }

    fn column(&self, collection: &str, column: &str) -> String {
        let Some(table) = self.table(collection) else { return format!("`{column}`") };
        if let Some(own) = table.stands_beside(column) {
            return format!("all values of `{own}`, whose type could not be changed");
        }
        if let Some(property) = table.property_in(column) {
            return self.property(collection, &property);
        }
        let of_entry = self.entry(collection).into_iter().flat_map(|entry| &entry.columns);
        match { of_entry }.find(|known| known.name.eq_ignore_ascii_case(column)) {
            Some(known) => {
                match known.origin.strip_prefix("property `").and_then(|rest| rest.strip_suffix('`')) {
                    Some(property) => self.property(collection, property),
                    None if is_a_name(&known.origin) => format!("HubSpot's {}", known.origin),
                    None => known.origin.clone(),
                }
            }
            None if column.eq_ignore_ascii_case("_overflow") => {
                "a JSON object of the values that the row, or the table, has no room for".to_owned()
            }
            None => format!("`{column}`, which is neither HubSpot's nor ours"),
        }
    }
}

/// Returns the naming of a table's columns. A custom object is a record like all others.
fn naming(entry: Option<&CollectionEntry>) -> Naming {
    let Some(entry) = entry else { return Naming::of_records() };
    let own = entry.columns.iter().filter(|column| !column.origin.starts_with("property `"));
    Naming {
        pattern: entry.properties.map(|pattern| pattern.trim_matches('`')),
        own: own.map(|column| column.name.clone()).collect(),
    }
}

/// `true` for a name of HubSpot and nothing else: `` `name` ``.
fn is_a_name(origin: &str) -> bool {
    let inner = origin.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    inner.is_some_and(|inner| !inner.contains('`'))
}

/// Returns the words of a property's definition. `None`: they say no more than the name does.
fn words(name: &str, label: Option<String>, description: Option<String>) -> Option<String> {
    let is_said = |text: &String| !text.trim().is_empty();
    match (label.filter(is_said), description.filter(is_said)) {
        (Some(label), Some(description)) => Some(format!("{label}: {description}")),
        (Some(label), None) => Some(format!("{label} (HubSpot's property `{name}`)")),
        (None, description) => description,
    }
}

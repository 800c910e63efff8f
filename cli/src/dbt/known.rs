//! The tables of a warehouse, and what their columns mean: from the tables of definitions, which hold HubSpot's own words,
//! and from the dictionary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hubspot::feeds::{CollectionEntry, DEFINITIONS, known, shared};
use staging::{Column, ColumnType};
use warehouse::{Shape, Warehouse};

use super::views::views;

/// Tables and definitions of one schema.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) tables: BTreeMap<String, Table>,
    /// Names and words of properties, by collection and name.
    definitions: HashMap<(String, String), String>,
}

/// A table that is there.
#[derive(Debug)]
pub(crate) struct Table {
    /// `None` for a custom object of the account.
    pub(crate) entry: Option<CollectionEntry>,
    pub(crate) columns: Vec<Column>,
    /// Columns that hold the values of others, by those, in lower case.
    beside: HashMap<String, String>,
    /// The name of a property's column, with `<name>` in it.
    pattern: Option<&'static str>,
}

impl Known {
    /// Looks into a warehouse. Nothing is changed.
    pub(crate) async fn of(warehouse: &dyn Warehouse) -> warehouse::Result<Known> {
        let mut entries: BTreeMap<&'static str, CollectionEntry> = known()
            .flat_map(|feed| feed.dictionary())
            .chain(shared())
            .map(|entry| (entry.name, entry))
            .collect();
        let mut definitions = HashMap::new();
        let mut names: BTreeSet<String> = entries.keys().map(|name| (*name).to_owned()).collect();
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
        let tables = names.iter().zip(shapes).filter_map(|(name, shape)| {
            Some((name.clone(), Table::new(entries.remove(name.as_str()), shape?)))
        });
        Ok(Known { tables: tables.collect(), definitions })
    }

    pub(crate) fn table(&self, collection: &str) -> Option<&Table> {
        self.tables.get(collection)
    }

    /// Describes a property of a collection: HubSpot's words, if it has any.
    pub(crate) fn described(&self, collection: &str, property: &str) -> String {
        let words = self.definitions.get(&(collection.to_owned(), property.to_owned()));
        words.cloned().unwrap_or_else(|| format!("HubSpot's property `{property}`"))
    }

    /// Describes a column of a collection's table.
    pub(crate) fn column(&self, collection: &str, column: &str) -> String {
        let Some(table) = self.table(collection) else { return format!("`{column}`") };
        if let Some((own, _)) = table.beside.iter().find(|(_, beside)| beside.eq_ignore_ascii_case(column)) {
            return format!("all values of `{own}`, whose type could not be changed");
        }
        if let Some(property) = table.property_in(column) {
            return self.described(collection, &property);
        }
        let of_entry = table.entry.iter().flat_map(|entry| &entry.columns);
        match of_entry.into_iter().find(|known| known.name.eq_ignore_ascii_case(column)) {
            Some(known) => {
                match known.origin.strip_prefix("property `").and_then(|rest| rest.strip_suffix('`')) {
                    Some(property) => self.described(collection, property),
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

impl Table {
    pub(super) fn new(entry: Option<CollectionEntry>, shape: Shape) -> Table {
        // A custom object is a record like all others.
        let pattern = match &entry {
            Some(entry) => entry.properties,
            None => Some("`<name>`"),
        };
        let pattern = pattern.map(|pattern| pattern.trim_matches('`'));
        let beside = shape.beside.into_iter().map(|(own, beside)| (own.to_lowercase(), beside)).collect();
        Table { entry, columns: shape.columns, beside, pattern }
    }

    fn find(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the name of the column that holds the values of this one, as the warehouse spells it.
    pub(crate) fn spelled<'a>(&'a self, name: &'a str) -> &'a str {
        let beside = self.beside.get(&name.to_lowercase()).map(String::as_str);
        beside.or(self.find(name).map(|column| column.name.as_str())).unwrap_or(name)
    }

    pub(crate) fn type_of(&self, name: &str) -> ColumnType {
        self.find(self.spelled(name)).map_or(ColumnType::Text, |column| column.column_type)
    }

    /// Returns the name of a property's column.
    pub(crate) fn column_of(&self, property: &str) -> String {
        self.pattern.unwrap_or("<name>").replace("<name>", property)
    }

    /// Returns the properties that have a column, with that.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (String, &Column)> {
        self.columns.iter().filter_map(|column| Some((self.property_in(&column.name)?, column)))
    }

    /// Returns the property whose values a column holds.
    fn property_in(&self, column: &str) -> Option<String> {
        let (before, after) = self.pattern?.split_once("<name>")?;
        let folded = column.to_lowercase();
        let property = folded.strip_prefix(before)?.strip_suffix(after)?;
        let is_beside = self.beside.values().any(|beside| beside.eq_ignore_ascii_case(column));
        // No property is called like this: a column of somebody's, and a template for dbt.
        let is_own =
            property.starts_with('_') || property.contains('{') || self.own().any(|own| own == folded);
        (!is_own && !is_beside && !property.is_empty()).then(|| property.to_owned())
    }

    /// Returns the columns that hold no property.
    fn own(&self) -> impl Iterator<Item = &str> {
        let of_entry = self.entry.iter().flat_map(|entry| &entry.columns);
        let of_entry = of_entry.filter(|column| !column.origin.starts_with("property `"));
        of_entry
            .map(|column| column.name.as_str())
            .chain(RECORD.iter().copied().filter(|_| self.entry.is_none()))
    }
}

/// Columns of a record that are no properties.
const RECORD: [&str; 6] = ["id", "portal_id", "merged_into_id", "is_deleted", "deleted_at", "deleted_reason"];

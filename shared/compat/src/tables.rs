//! The tables that are there, as views see them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use staging::{Column, ColumnType, READ_AT};
use warehouse::{Shape, Warehouse};

use crate::fivetran::views;

/// Tables by the names of their collections.
#[derive(Debug, Default)]
pub struct Tables(pub BTreeMap<String, Table>);

/// A table that is there.
#[derive(Debug)]
pub struct Table {
    pub columns: Vec<Column>,
    /// Columns that hold the values of others, by those, in lower case.
    beside: HashMap<String, String>,
    naming: Naming,
}

/// Naming of a table's columns for properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// A column's name with `<name>` for the property's. `None`: the table has no such columns.
    pub pattern: Option<&'static str>,
    /// Columns that are called as properties could be, and hold none.
    pub own: BTreeSet<String>,
}

/// Columns of every table of records that hold no property.
const RECORD: [&str; 7] =
    ["id", "portal_id", "merged_into_id", "is_deleted", "deleted_at", "deleted_reason", "received_at"];
/// Further ones.
const OF_DEALS: [&str; 3] = ["associated_company_ids", "associated_vids", "vid"];

impl Naming {
    /// Returns that of a table of records: of any object that has no naming of its own.
    pub fn of_records() -> Naming {
        Naming { pattern: Some("<name>"), own: RECORD.map(str::to_owned).into() }
    }

    /// Returns that of a collection which a view reads.
    pub(crate) fn of(collection: &str) -> Naming {
        match collection {
            "contacts" => Naming { pattern: Some("properties_<name>_value"), own: BTreeSet::new() },
            "deals" => {
                let mut naming = Naming::of_records();
                naming.own.extend(OF_DEALS.map(str::to_owned));
                naming
            }
            _ if is_of_properties(collection) => Naming::of_records(),
            _ => Naming::default(),
        }
    }
}

/// `true`: a view reads properties of the collection.
fn is_of_properties(collection: &str) -> bool {
    views().any(|view| {
        let mut parts = view.ways.iter().flat_map(|way| way.parts);
        view.reads_properties() && parts.any(|part| part.table == collection)
    })
}

impl Tables {
    /// Looks for the tables that views read. Nothing is changed.
    pub(crate) async fn of(warehouse: &dyn Warehouse) -> warehouse::Result<Tables> {
        let names: BTreeSet<&str> =
            views().flat_map(|view| view.ways).flat_map(|way| way.parts).map(|part| part.table).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let shapes = warehouse.shapes(&names).await?;
        // One that another program made, such as Segment, has the name alone.
        let is_ours =
            |shape: &Shape| shape.columns.iter().any(|column| column.name.eq_ignore_ascii_case(READ_AT));
        let found = names.into_iter().zip(shapes).filter_map(|(name, shape)| {
            let shape = shape.filter(is_ours)?;
            Some((name.to_owned(), Table::new(Naming::of(name), shape)))
        });
        Ok(Tables(found.collect()))
    }

    pub fn get(&self, collection: &str) -> Option<&Table> {
        self.0.get(collection)
    }
}

impl Table {
    pub fn new(naming: Naming, shape: Shape) -> Table {
        let beside = shape.beside.into_iter().map(|(own, beside)| (own.to_lowercase(), beside)).collect();
        Table { columns: shape.columns, beside, naming }
    }

    fn find(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the name of the column that holds the values of this one, as the warehouse spells it.
    pub fn spelled<'a>(&'a self, name: &'a str) -> &'a str {
        let beside = self.beside.get(&name.to_lowercase()).map(String::as_str);
        beside.or(self.find(name).map(|column| column.name.as_str())).unwrap_or(name)
    }

    pub(crate) fn type_of(&self, name: &str) -> ColumnType {
        self.find(self.spelled(name)).map_or(ColumnType::Text, |column| column.column_type)
    }

    /// Returns the column whose values this one holds, since that one's type could not be changed.
    pub fn stands_beside(&self, column: &str) -> Option<&str> {
        let mut beside = self.beside.iter();
        beside.find(|(_, beside)| beside.eq_ignore_ascii_case(column)).map(|(own, _)| own.as_str())
    }

    /// Returns the name of a property's column.
    pub(crate) fn column_of(&self, property: &str) -> String {
        self.naming.pattern.unwrap_or("<name>").replace("<name>", property)
    }

    /// Returns the properties that have a column, with that.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (String, &Column)> {
        self.columns.iter().filter_map(|column| Some((self.property_in(&column.name)?, column)))
    }

    /// Returns the property whose values a column holds.
    pub fn property_in(&self, column: &str) -> Option<String> {
        let (before, after) = self.naming.pattern?.split_once("<name>")?;
        let folded = column.to_lowercase();
        let property = folded.strip_prefix(before)?.strip_suffix(after)?;
        // No property is called like this: a column of somebody's, and a template for dbt.
        let is_own = property.starts_with('_') || property.contains('{') || self.naming.own.contains(&folded);
        let is_property = !is_own && self.stands_beside(column).is_none() && !property.is_empty();
        is_property.then(|| property.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the names of a collection's columns are those of the code that fills them.
    #[test]
    fn properties_are_named_as_the_dictionary_says() {
        let dictionary: Vec<_> = hubspot::feeds::known().flat_map(|feed| feed.dictionary()).collect();
        let mut with_properties = 0;
        for entry in dictionary {
            let naming = Naming::of(entry.name);
            let Some(pattern) = naming.pattern else { continue };
            with_properties += 1;
            assert_eq!(
                entry.properties.map(|pattern| pattern.trim_matches('`')),
                Some(pattern),
                "{}",
                entry.name
            );
            let table = Table::new(naming, Shape { columns: Vec::new(), beside: Vec::new() });
            for column in &entry.columns {
                let (before, after) = pattern.split_once("<name>").unwrap();
                let is_called_so = column.name.starts_with(before) && column.name.ends_with(after);
                let holds_one = column.origin.starts_with("property `");
                let taken = table.property_in(&column.name).is_some();
                assert_eq!(taken, is_called_so && holds_one, "{}.{}", entry.name, column.name);
            }
        }
        assert_eq!(with_properties, 10);
    }
}

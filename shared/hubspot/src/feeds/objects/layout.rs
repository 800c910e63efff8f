//! The layout of one object's table for one run: which columns there are, and where each property's value goes. Made
//! from the account's property definitions, so custom properties come by themselves.

use std::collections::{HashMap, HashSet};

use staging::{Column, ColumnType, MERGED_INTO_ID, Table, TableError};

use super::{Fixed, ObjectType};
use crate::feeds::cursor::Mode;
use crate::feeds::lineage::{Deletes, Lineage};
use crate::properties::Property;

/// Properties whose texts are needed apart from their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feeds) enum Held {
    /// Ids that were merged into a record, `;`-joined. `hs_calculated_merged_vids` misses chained merges.
    MergedIds,
    Created,
    Email,
    AdditionalEmails,
}

impl Held {
    pub(super) const COUNT: usize = 4;
    const NAMES: [(&str, Held); Held::COUNT] = [
        ("hs_merged_object_ids", Held::MergedIds),
        ("createdate", Held::Created),
        ("email", Held::Email),
        ("hs_additional_emails", Held::AdditionalEmails),
    ];

    fn named(property: &str) -> Option<Held> {
        Held::NAMES.iter().find(|(name, _)| *name == property).map(|&(_, held)| held)
    }
}

/// Where one property's value goes.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) property: Box<str>,
    pub(super) target: Target,
    /// A seed column that repeats the property.
    pub(super) copy: Option<Target>,
    pub(super) held: Option<Held>,
}

/// A column by its place, with its name ready to stand in a JSON object.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) column: usize,
    pub(super) column_type: ColumnType,
    pub(super) json_name: Box<str>,
}

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: Table,
    pub(super) slots: Vec<Slot>,
    by_property: HashMap<Box<str>, usize>,
    pub(super) id: usize,
    pub(super) merged_into_id: usize,
    pub(super) deletes: Deletes,
    pub(super) lineage: Lineage,
    /// In a snapshot: where the time goes that is a row's version elsewhere.
    pub(super) shown_updated_at: Option<usize>,
    /// Columns from [`ObjectType::fixed`] that don't repeat a property.
    pub(super) fixed: Vec<(usize, Fixed)>,
}

/// What is read of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Everything,
    /// That it is there, and which version.
    Ids,
    /// The same, with what changes without a new modified date.
    Drifting,
}

impl Show {
    pub(super) fn in_mode(mode: Mode) -> Show {
        match mode {
            Mode::Backfill | Mode::Incremental => Show::Everything,
            Mode::Reconcile => Show::Ids,
            Mode::Refresh => Show::Drifting,
        }
    }

    fn is_wanted(self, is_drifting: bool) -> bool {
        self == Show::Everything || (self == Show::Drifting && is_drifting)
    }
}

impl Layout {
    /// `without` names fixed columns that this run can't fill: a file that lacks a column leaves the table's values
    /// alone, where NULL would clear them.
    ///
    /// A column has the same name whatever else is shown.
    pub(super) fn new(
        object: &'static ObjectType,
        properties: &[Property],
        without: &[&str],
        show: Show,
    ) -> Result<Layout, TableError> {
        let mut columns = Columns::default();
        let id = columns.add("id", ColumnType::BigInt);
        let mut fixed = Vec::new();
        for &(name, column_type, source) in object.fixed.iter().filter(|(name, _, _)| !without.contains(name))
        {
            let free = columns.reserve(name);
            if show.is_wanted(object.drifting.contains(&name)) {
                fixed.push((columns.push(free, column_type), column_type, source));
            }
        }
        let deletes = Deletes::new(|name, column_type| columns.add(name, column_type));
        let merged_into_id = columns.add(MERGED_INTO_ID, ColumnType::BigInt);
        let lineage = Lineage::new(|name, column_type| columns.add(name, column_type));
        let is_snapshot = show != Show::Everything;
        let shown_updated_at =
            is_snapshot.then(|| columns.add(staging::SHOWN_UPDATED_AT, ColumnType::Timestamp));
        let mut slots = Vec::with_capacity(properties.len());
        let calculated: HashSet<&str> = properties
            .iter()
            .filter(|property| property.is_calculated())
            .map(|property| property.name.as_str())
            .collect();
        for (property, column_type) in wanted(object, properties) {
            let name = columns.reserve(&object.column_name(&property));
            if !show.is_wanted(calculated.contains(property.as_str())) {
                continue;
            }
            let column = columns.push(name, column_type);
            let copy = fixed.iter().find(|(_, _, fixed)| fixed.copies(&property));
            let copy = copy.map(|&(column, column_type, _)| columns.target(column, column_type));
            slots.push(Slot {
                target: columns.target(column, column_type),
                copy,
                held: Held::named(&property),
                property: property.into(),
            });
        }
        let by_property =
            slots.iter().enumerate().map(|(index, slot)| (slot.property.clone(), index)).collect();
        let fixed = fixed
            .into_iter()
            .filter(|(_, _, fixed)| !matches!(fixed, Fixed::CopyOf(_) | Fixed::Unavailable(_)))
            .map(|(column, _, fixed)| (column, fixed))
            .collect();
        let name = if is_snapshot { object.snapshot } else { object.name };
        let table = Table::new(name, &["id"], columns.list)?;
        Ok(Layout {
            table,
            slots,
            by_property,
            id,
            merged_into_id,
            deletes,
            lineage,
            shown_updated_at,
            fixed,
        })
    }

    pub(super) fn slot(&self, property: &str) -> Option<usize> {
        self.by_property.get(property).copied()
    }

    /// Names to ask HubSpot for.
    pub(super) fn property_names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| &*slot.property)
    }
}

/// The account's properties, those that the seed's columns and the merges need even if the account does not define
/// them (an unknown name is ignored by HubSpot), by name.
fn wanted(object: &ObjectType, properties: &[Property]) -> Vec<(String, ColumnType)> {
    let needed = [("hs_merged_object_ids", ColumnType::Text), (object.modified, ColumnType::Timestamp)];
    let copied = object.fixed.iter().filter_map(|&(_, column_type, fixed)| match fixed {
        Fixed::CopyOf(property) => Some((property, column_type)),
        _ => None,
    });
    let mut wanted: Vec<(String, ColumnType)> =
        properties.iter().map(|property| (property.name.clone(), property.column_type())).collect();
    let defined: HashSet<&str> = properties.iter().map(|property| property.name.as_str()).collect();
    let mut added = HashSet::new();
    for (name, column_type) in object.seed_properties.iter().copied().chain(needed).chain(copied) {
        if !defined.contains(name) && added.insert(name) {
            wanted.push((name.to_owned(), column_type));
        }
    }
    wanted.sort();
    wanted
}

/// Columns in the making. A property whose column would be named like another one, even if only case tells them
/// apart, gets its name with `property_` before it, and `_2`, `_3`... behind it for as long as that is taken too.
/// Fixed columns come first and properties come sorted, so a name does not change from run to run for as long as the
/// properties before it stay.
#[derive(Default)]
struct Columns {
    list: Vec<Column>,
    taken: HashSet<String>,
}

impl Columns {
    fn add(&mut self, name: &str, column_type: ColumnType) -> usize {
        let free = self.reserve(name);
        self.push(free, column_type)
    }

    fn push(&mut self, free: String, column_type: ColumnType) -> usize {
        self.list.push(Column::new(free, column_type));
        self.list.len() - 1
    }

    /// The name that a column gets, whether it is there or not.
    fn reserve(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut attempt = 1;
        while !self.taken.insert(free.to_lowercase()) {
            free =
                if attempt == 1 { format!("property_{name}") } else { format!("property_{name}_{attempt}") };
            attempt += 1;
        }
        free
    }

    fn target(&self, column: usize, column_type: ColumnType) -> Target {
        let json_name = serde_json::Value::from(self.list[column].name.as_str()).to_string();
        Target { column, column_type, json_name: json_name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{companies::COMPANIES, contacts::CONTACT_OBJECTS};
    use super::*;

    fn property(name: &str, property_type: &str) -> Property {
        serde_json::from_value(serde_json::json!({ "name": name, "type": property_type })).unwrap()
    }

    fn names(layout: &Layout) -> Vec<&str> {
        layout.table.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn seed_columns_exist_whatever_the_account_defines() {
        let layout = Layout::new(&CONTACT_OBJECTS, &[], &[], Show::Everything).unwrap();
        let names = names(&layout);
        for column in
            ["added_at", "email", "properties_company_value", "properties_lastmodifieddate_value", "id"]
        {
            assert!(names.contains(&column), "{column} in {names:?}");
        }
    }

    #[test]
    fn the_definition_decides_the_type() {
        let layout = Layout::new(
            &COMPANIES,
            &[property("country", "enumeration"), property("size", "number")],
            &[],
            Show::Everything,
        )
        .unwrap();
        let size = layout.table.position("size").unwrap();
        assert_eq!(layout.table.columns[size].column_type, ColumnType::Double);
        assert_eq!(
            layout.slot("size"),
            Some(layout.slots.iter().position(|slot| &*slot.property == "size").unwrap())
        );
    }

    #[test]
    fn a_property_named_like_a_fixed_column_keeps_its_values() {
        let properties =
            [property("is_deleted", "string"), property("ID", "string"), property("Name", "string")];
        let layout = Layout::new(&COMPANIES, &properties, &[], Show::Everything).unwrap();
        let names = names(&layout);
        for column in ["property_is_deleted", "property_ID", "Name", "property_name"] {
            assert!(names.contains(&column), "{column} in {names:?}");
        }
    }
}

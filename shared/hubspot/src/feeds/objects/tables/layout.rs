//! The layout of one object's table for one run: which columns there are, and where each property's value goes. Made
//! from the account's property definitions, so custom properties come by themselves.

use std::collections::{HashMap, HashSet};

use staging::{Column, ColumnType, Holds, MERGED_INTO_ID, Table, TableError};

use super::named_properties::NamedProperties;
use crate::feeds::lineage::{Deletes, Lineage};
use crate::feeds::objects::object_type::{Fixed, ObjectType};
use crate::feeds::objects::state::owners::ColumnOwners;
use crate::feeds::persons::person_columns;
use crate::feeds::unfinished::Mode;
use crate::properties::Property;

/// The property that names the records which were merged into a record.
const MERGED_IDS: &str = "hs_merged_object_ids";

/// Properties whose texts are needed apart from their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feeds) enum Held {
    /// Ids that were merged into a record, `;`-joined. `hs_calculated_merged_vids` misses chained merges.
    MergedIds,
    Created,
    Email,
    AdditionalEmails,
    /// When the record last changed; `updatedAt` may stay behind.
    Modified,
}

impl Held {
    pub(in crate::feeds::objects) const COUNT: usize = 5;

    fn of(object: &ObjectType, property: &str) -> Option<Held> {
        Some(match property {
            MERGED_IDS => Held::MergedIds,
            "createdate" => Held::Created,
            "email" => Held::Email,
            "hs_additional_emails" => Held::AdditionalEmails,
            modified if modified == object.modified => Held::Modified,
            _ => return None,
        })
    }
}

/// The place of one property's value.
#[derive(Debug)]
pub(in crate::feeds::objects) struct Slot {
    pub(in crate::feeds::objects) property: Box<str>,
    /// `None` where the value is needed, and is not shown.
    pub(in crate::feeds::objects) target: Option<Target>,
    /// A seed column that repeats the property.
    pub(in crate::feeds::objects) copy: Option<Target>,
    pub(in crate::feeds::objects) held: Option<Held>,
}

/// A column by its place, with its name ready to stand in a JSON object.
#[derive(Debug, Clone)]
pub(in crate::feeds::objects) struct Target {
    pub(in crate::feeds::objects) column: usize,
    pub(in crate::feeds::objects) column_type: ColumnType,
    pub(in crate::feeds::objects) json_name: Box<str>,
}

#[derive(Debug)]
pub(in crate::feeds::objects) struct Layout {
    pub(in crate::feeds::objects) table: Table,
    pub(in crate::feeds::objects) slots: Vec<Slot>,
    by_property: HashMap<Box<str>, usize>,
    pub(in crate::feeds::objects) named: NamedProperties,
    pub(in crate::feeds::objects) id: usize,
    pub(in crate::feeds::objects) merged_into_id: usize,
    pub(in crate::feeds::objects) deletes: Deletes,
    pub(in crate::feeds::objects) lineage: Lineage,
    /// In a snapshot: where the time goes that is a row's version elsewhere.
    pub(in crate::feeds::objects) shown_updated_at: Option<usize>,
    /// Columns from [`ObjectType::fixed`] that don't repeat a property.
    pub(in crate::feeds::objects) fixed: Vec<(usize, Fixed)>,
}

/// The part of each record that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feeds::objects) enum Show {
    Everything,
    /// That it is there, and which version.
    Ids,
    /// The same, with what changes without a new modified date.
    Drifting,
}

impl Show {
    pub(in crate::feeds::objects) fn in_mode(mode: Mode) -> Show {
        match mode {
            Mode::Backfill | Mode::Incremental => Show::Everything,
            Mode::Reconcile => Show::Ids,
            Mode::Refresh => Show::Drifting,
        }
    }

    fn is_snapshot(self) -> bool {
        self != Show::Everything
    }

    fn is_wanted(self, is_drifting: bool) -> bool {
        self == Show::Everything || (self == Show::Drifting && is_drifting)
    }
}

/// `true`: by this property alone a record's person is known, as an e-mail's is, which has no column with a contact's id.
fn tells_whose(object: &ObjectType, property: &str) -> bool {
    let known = person_columns().iter().find(|columns| columns.collection == object.name);
    known.is_some_and(|known| {
        let is_by_id = known.columns.iter().any(|column| matches!(column.holds, Holds::Id | Holds::Ids));
        !is_by_id && known.columns.iter().any(|column| column.holds.names() && column.name == property)
    })
}

impl Layout {
    /// `without` names fixed columns that this run can't fill: a file that lacks a column leaves the table's values
    /// alone, where NULL would clear them. `owners` says whose the columns are, and learns of new ones.
    ///
    /// A column has the same name whatever else is shown.
    pub(in crate::feeds::objects) fn new(
        object: &'static ObjectType,
        properties: &[Property],
        without: &[&str],
        show: Show,
        owners: &mut ColumnOwners,
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
        let is_snapshot = show.is_snapshot();
        let shown_updated_at =
            is_snapshot.then(|| columns.add(staging::SHOWN_UPDATED_AT, ColumnType::Timestamp));
        let calculated = properties.iter().filter(|property| property.is_calculated());
        let mut drifting: HashSet<&str> = calculated.map(|property| property.name.as_str()).collect();
        // A survivor may lose a record to another one.
        drifting.insert(MERGED_IDS);
        let wanted = wanted(object, properties);
        let names = columns.named(object, wanted.iter().map(|(property, _)| property.as_str()), owners);
        let mut slots = Vec::with_capacity(wanted.len());
        for ((property, column_type), name) in wanted.into_iter().zip(names) {
            // A snapshot follows no merges: it needs nothing but the date.
            let held = Held::of(object, &property).filter(|held| !is_snapshot || *held == Held::Modified);
            // A snapshot leaves out persons who are forgotten, so it shows whose a record is.
            let is_of_person = is_snapshot && tells_whose(object, &property);
            let is_shown = is_of_person || show.is_wanted(drifting.contains(property.as_str()));
            if !is_shown && held.is_none() {
                continue;
            }
            let target = is_shown.then(|| {
                let column = columns.push(name, column_type);
                columns.target(column, column_type)
            });
            let copy = fixed.iter().find(|(_, _, fixed)| fixed.copies(&property));
            let copy = copy.map(|&(column, column_type, _)| columns.target(column, column_type));
            slots.push(Slot { target, copy, held, property: property.into() });
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
            named: NamedProperties::default(),
            id,
            merged_into_id,
            deletes,
            lineage,
            shown_updated_at,
            fixed,
        })
    }

    pub(in crate::feeds::objects) fn slot(&self, property: &str) -> Option<usize> {
        self.by_property.get(property).copied()
    }

    /// Names to ask HubSpot for.
    pub(in crate::feeds::objects) fn property_names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| &*slot.property)
    }
}

/// The account's properties, those that the seed's columns and the merges need even if the account does not define
/// them (an unknown name is ignored by HubSpot), by name.
fn wanted(object: &ObjectType, properties: &[Property]) -> Vec<(String, ColumnType)> {
    let needed = [(MERGED_IDS, ColumnType::Text), (object.modified, ColumnType::Timestamp)];
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
/// Fixed columns come first, then the properties that have a column already.
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

    /// A column for each property. New ones take what belongs to nobody, not even to a property that is gone.
    fn named<'p>(
        &mut self,
        object: &ObjectType,
        properties: impl Iterator<Item = &'p str> + Clone,
        owners: &mut ColumnOwners,
    ) -> Vec<String> {
        let own = |owners: &ColumnOwners, property| owners.column(object, property);
        let is_free = |taken: &HashSet<String>, column: &String| !taken.contains(&column.to_lowercase());
        let known: Vec<Option<String>> = properties
            .clone()
            .map(|property| own(owners, property).filter(|column| is_free(&self.taken, column)))
            .collect();
        self.taken.extend(owners.taken(object));
        let named = properties.zip(known).map(|(property, known)| {
            known.unwrap_or_else(|| {
                let column = self.reserve(&object.column_name(property));
                owners.remember(object, property, &column);
                column
            })
        });
        named.collect()
    }

    fn target(&self, column: usize, column_type: ColumnType) -> Target {
        let json_name = serde_json::Value::from(self.list[column].name.as_str()).to_string();
        Target { column, column_type, json_name: json_name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::{companies::COMPANIES, contacts::CONTACT_OBJECTS};

    fn property(name: &str, property_type: &str) -> Property {
        Property::of_type(name, property_type)
    }

    fn layout(object: &'static ObjectType, properties: &[Property], show: Show) -> Layout {
        Layout::new(object, properties, &[], show, &mut ColumnOwners::default()).unwrap()
    }

    /// The column of each property, for one run after the other.
    fn columns_of<'p>(
        owners: &mut ColumnOwners,
        object: &'static ObjectType,
        names: &[&'p str],
    ) -> Vec<(&'p str, String)> {
        let properties: Vec<Property> = names.iter().map(|name| property(name, "string")).collect();
        let layout = Layout::new(object, &properties, &[], Show::Everything, owners).unwrap();
        let column = |name: &&'p str| {
            let target = layout.slots[layout.slot(name).unwrap()].target.as_ref().unwrap();
            (*name, layout.table.columns[target.column].name.clone())
        };
        names.iter().map(column).collect()
    }

    fn names(layout: &Layout) -> Vec<&str> {
        layout.table.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn seed_columns_exist_whatever_the_account_defines() {
        let layout = layout(&CONTACT_OBJECTS, &[], Show::Everything);
        let names = names(&layout);
        for column in
            ["added_at", "email", "properties_company_value", "properties_lastmodifieddate_value", "id"]
        {
            assert!(names.contains(&column), "{column} in {names:?}");
        }
    }

    #[test]
    fn the_definition_decides_the_type() {
        let properties = [property("country", "enumeration"), property("size", "number")];
        let layout = layout(&COMPANIES, &properties, Show::Everything);
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
        let layout = layout(&COMPANIES, &properties, Show::Everything);
        let names = names(&layout);
        for column in ["property_is_deleted", "property_ID", "Name", "property_name"] {
            assert!(names.contains(&column), "{column} in {names:?}");
        }
    }

    #[test]
    fn a_column_belongs_to_the_property_that_had_it_first() {
        let mut owners = ColumnOwners::default();
        let usual = |name: &'static str| (name, name.to_owned());
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["region"]), [usual("region")]);
        let twins = [("Region", "property_Region".to_owned()), usual("region")];
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["Region", "region"]), twins);
        // Deleted, and made again.
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["Region"]), twins[..1]);
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["region"]), twins[1..]);
        let third = ("REGION", "property_REGION_2".to_owned());
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["REGION", "Region"]), [third, twins[0].clone()]);

        let text = serde_json::to_string(&owners).unwrap();
        let mut owners: ColumnOwners = serde_json::from_str(&text).unwrap();
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["Region", "region"]), twins);
    }

    #[test]
    fn what_flattens_to_a_name_that_is_taken_gets_another_one() {
        let mut owners = ColumnOwners::default();
        let names = ["Size", "property_size"];
        let before = columns_of(&mut owners, &COMPANIES, &names);
        assert_eq!(before, names.map(|name| (name, name.to_owned())));
        let both = columns_of(&mut owners, &COMPANIES, &["Size", "property_size", "size"]);
        assert_eq!(both[..2], before);
        assert_eq!(both[2], ("size", "property_size_2".to_owned()));
        let people =
            columns_of(&mut ColumnOwners::default(), &CONTACT_OBJECTS, &["A", "a", "properties_a_value"]);
        let people: HashSet<String> = people.into_iter().map(|(_, column)| column.to_lowercase()).collect();
        assert_eq!(people.len(), 3);
    }

    #[test]
    fn a_column_that_becomes_ours_is_taken_from_its_property() {
        let mut owners = ColumnOwners::default();
        owners.remember(&COMPANIES, "portal_id", "portal_id");
        let columns = columns_of(&mut owners, &COMPANIES, &["portal_id"]);
        assert_eq!(columns, [("portal_id", "property_portal_id".to_owned())]);
        assert_eq!(columns_of(&mut owners, &COMPANIES, &["portal_id"]), columns);
    }

    #[test]
    fn a_snapshot_asks_for_the_date_that_tells_versions_and_shows_no_column_of_it() {
        for object in [&COMPANIES, &CONTACT_OBJECTS] {
            let layout = layout(object, &[property("tier", "string")], Show::Ids);
            assert_eq!(layout.property_names().collect::<Vec<_>>(), [object.modified]);
            assert_eq!(layout.table.position(&object.column_name(object.modified)), None);
        }
    }
}

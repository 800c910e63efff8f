//! What a collection is, as data: its key, and the columns it has whatever the account defines. Tables are made from
//! it, and so is the dictionary for people who query them.

use staging::ColumnType;

use super::lineage;

/// A collection whose columns are all known beforehand.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) name: &'static str,
    /// What a row is.
    pub(super) about: &'static str,
    pub(super) primary_key: &'static [&'static str],
    /// Why that key, and what keeps it stable.
    pub(super) key_reason: &'static str,
    /// See [`staging::Table::set_key`]; empty where rows are not read in sets.
    pub(super) set_key: &'static [&'static str],
    /// Rows can be tombstones.
    pub(super) is_deletable: bool,
    /// Calls that a run costs in which nothing has changed.
    pub(super) calls: &'static str,
    pub(super) columns: &'static [Column],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) column_type: ColumnType,
    pub(super) origin: Origin,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This field of HubSpot's object, by the keys on the way to it, joined with dots.
    Field(&'static str),
    /// Made by us, as the text says.
    Made(&'static str),
    /// NULL in every row, for this reason.
    Never(&'static str),
}

/// A column that holds a field.
pub(super) const fn field(name: &'static str, column_type: ColumnType, path: &'static str) -> Column {
    Column { name, column_type, origin: Origin::Field(path) }
}

pub(super) const fn made(name: &'static str, column_type: ColumnType, how: &'static str) -> Column {
    Column { name, column_type, origin: Origin::Made(how) }
}

pub(super) const fn never(name: &'static str, column_type: ColumnType, why: &'static str) -> Column {
    Column { name, column_type, origin: Origin::Never(why) }
}

/// A collection as the dictionary shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionEntry {
    pub name: &'static str,
    pub about: &'static str,
    pub primary_key: &'static [&'static str],
    pub key_reason: &'static str,
    pub calls: &'static str,
    /// How the account's properties are named as columns, where it has them.
    pub properties: Option<&'static str>,
    pub columns: Vec<ColumnEntry>,
}

/// A column as the dictionary shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnEntry {
    pub name: String,
    pub column_type: ColumnType,
    /// Where its value comes from, or why it is NULL.
    pub origin: String,
}

impl Collection {
    pub(super) fn entry(&self) -> CollectionEntry {
        let own = self
            .columns
            .iter()
            .map(|column| ColumnEntry::new(column.name, column.column_type, column.origin));
        CollectionEntry {
            name: self.name,
            about: self.about,
            primary_key: self.primary_key,
            key_reason: self.key_reason,
            calls: self.calls,
            properties: None,
            columns: own.chain(lineage::entries(self.is_deletable, true)).collect(),
        }
    }
}

impl ColumnEntry {
    pub(super) fn new(name: &str, column_type: ColumnType, origin: Origin) -> ColumnEntry {
        let origin = match origin {
            Origin::Field(path) => format!("`{path}`"),
            Origin::Made(how) => how.to_owned(),
            Origin::Never(why) => format!("NULL: {why}"),
        };
        ColumnEntry { name: name.to_owned(), column_type, origin }
    }
}

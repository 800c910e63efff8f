//! Description of a collection: its key, and the columns it has whatever the account defines. Tables are made from
//! it, and so is the dictionary.

use staging::ColumnType;

/// A collection whose columns are all known beforehand.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) name: &'static str,
    /// One row, in words.
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

/// Source of a column's value.
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

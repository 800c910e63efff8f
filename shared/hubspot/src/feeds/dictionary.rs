//! Collections and columns for people who query the tables, from what the tables are made of.

use staging::ColumnType;

use super::collection::{Collection, Origin};
use super::lineage;

/// A collection as the dictionary shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionEntry {
    pub name: &'static str,
    pub about: &'static str,
    pub primary_key: &'static [&'static str],
    /// See [`staging::Table::set_key`]; empty where rows are not read in sets.
    pub set_key: &'static [&'static str],
    pub key_reason: &'static str,
    pub calls: &'static str,
    /// Naming of the account's properties as columns, where it has them.
    pub properties: Option<&'static str>,
    pub columns: Vec<ColumnEntry>,
}

/// A column as the dictionary shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnEntry {
    pub name: String,
    pub column_type: ColumnType,
    /// Source of its value, or the reason why it is NULL.
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
            set_key: self.set_key,
            key_reason: self.key_reason,
            calls: self.calls,
            properties: None,
            columns: own.chain(lineage_entries(self.is_deletable, true)).collect(),
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

/// The columns that every row has.
pub(super) fn lineage_entries(is_deletable: bool, has_extra: bool) -> impl Iterator<Item = ColumnEntry> {
    let deletes = lineage::DELETES.iter().filter(move |_| is_deletable);
    let extra = std::iter::once(&lineage::REST).filter(move |_| has_extra);
    deletes
        .chain(extra)
        .chain(&lineage::LINEAGE)
        .map(|&(name, column_type, how)| ColumnEntry::new(name, column_type, Origin::Made(how)))
}

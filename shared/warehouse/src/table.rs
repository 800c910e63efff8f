//! A table's columns, as a warehouse has them.

use staging::ColumnType;

/// A column as the warehouse reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) type_name: String,
}

/// A column that gets a wider type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Widening {
    pub(crate) column: String,
    pub(crate) from: ColumnType,
    pub(crate) to: ColumnType,
}

/// Returns the folded name: names that fold to the same are one column, as in [`staging::Table`].
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

pub(crate) fn same_names(a: &[String], b: &[String]) -> bool {
    a.iter().map(|name| folded(name)).eq(b.iter().map(|name| folded(name)))
}

//! Columns beside one whose type can't be changed, since something that nobody may drop depends on it. A property has
//! then several columns: its own, and one for each wider type that it came to have. The last of them holds all values.

use std::collections::HashSet;

use staging::ColumnType;

use crate::dialect::Dialect;

/// Types that others are widened to, narrowest first.
const WIDER: [ColumnType; 4] =
    [ColumnType::BigInt, ColumnType::Double, ColumnType::Timestamp, ColumnType::Text];

/// The columns of one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    /// The name of its own column, which may have been dropped.
    pub(crate) own: String,
    /// The others, the widest last. Never empty.
    pub(crate) beside: Vec<String>,
}

impl Columns {
    /// Returns the column that holds all values.
    pub(crate) fn widest(&self) -> &str {
        self.beside.last().unwrap_or(&self.own)
    }
}

/// Returns the properties that have columns beside their own, from the names of a table's columns.
pub(crate) fn find<'a>(dialect: &Dialect, names: impl IntoIterator<Item = &'a str>) -> Vec<Columns> {
    let names: Vec<&str> = names.into_iter().collect();
    let known: HashSet<&str> = names.iter().copied().collect();
    // The property's own column may be gone.
    let dropped = names.iter().filter_map(|name| Some(name.rsplit_once('$')?.0));
    let mut seen = HashSet::new();
    let of_property = |own: &str| {
        let beside = WIDER.into_iter().filter_map(|wider| (dialect.beside)(own, wider));
        let beside: Vec<String> = beside.filter(|name| known.contains(name.as_str())).collect();
        (!beside.is_empty()).then(|| Columns { own: own.to_owned(), beside })
    };
    names.iter().copied().chain(dropped).filter(|own| seen.insert(*own)).filter_map(of_property).collect()
}

/// In a dialect whose engine changes the type of any column.
pub(crate) fn no_column_beside(_column: &str, _wider: ColumnType) -> Option<String> {
    None
}

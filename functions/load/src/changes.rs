//! Changes of a table's columns in a load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use warehouse::Extent;

/// Most columns of a table that a report names.
const MAX_LISTED: usize = 50;

/// A column whose type became another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retyped {
    pub column: String,
    /// Types, as the warehouse names them.
    pub from: String,
    pub to: String,
}

/// Changes of a table that was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnChanges {
    /// New columns, 50 at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new: Vec<String>,
    /// Columns with a new type, 50 at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retyped: Vec<Retyped>,
    /// Number of changes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ColumnChanges {
    pub(crate) fn between(before: &Extent, after: &Extent) -> ColumnChanges {
        let types: BTreeMap<&str, &str> = columns(before).collect();
        let mut changes = ColumnChanges::default();
        for (column, to) in columns(after) {
            let column = column.to_owned();
            match types.get(column.as_str()) {
                Some(from) if *from == to => {}
                Some(from) if changes.retyped.len() < MAX_LISTED => {
                    let (from, to) = ((*from).to_owned(), to.to_owned());
                    changes.retyped.push(Retyped { column, from, to });
                }
                None if changes.new.len() < MAX_LISTED => changes.new.push(column),
                _ => changes.more += 1,
            }
        }
        changes
    }

    pub fn is_empty(&self) -> bool {
        *self == ColumnChanges::default()
    }

    /// Adds the changes of a later load of the same table.
    pub fn absorb(&mut self, later: ColumnChanges) {
        self.new.extend(later.new);
        self.retyped.extend(later.retyped);
        self.more += later.more;
    }
}

fn columns(extent: &Extent) -> impl Iterator<Item = (&str, &str)> {
    extent.columns.iter().map(String::as_str).zip(extent.types.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(columns: &[(&str, &str)]) -> Extent {
        let (columns, types) =
            columns.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).unzip();
        Extent { columns, types, rows: 1, beside: Vec::new() }
    }

    #[test]
    fn new_columns_and_new_types_are_told_apart() {
        let before = extent(&[("id", "BIGINT"), ("amount", "BIGINT"), ("gone", "TEXT")]);
        let after = extent(&[("id", "BIGINT"), ("amount", "DOUBLE"), ("hobby", "TEXT")]);
        let changes = ColumnChanges::between(&before, &after);
        let retyped = Retyped { column: "amount".into(), from: "BIGINT".into(), to: "DOUBLE".into() };
        assert_eq!(changes, ColumnChanges { new: vec!["hobby".into()], retyped: vec![retyped], more: 0 });
        assert!(ColumnChanges::between(&before, &before).is_empty());
    }

    #[test]
    fn a_report_names_a_few_and_counts_the_others() {
        let names: Vec<String> = (0..70).map(|n| format!("c{n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "TEXT")).collect();
        let changes = ColumnChanges::between(&extent(&[]), &extent(&many));
        assert_eq!((changes.new.len(), changes.more), (50, 20));
    }
}

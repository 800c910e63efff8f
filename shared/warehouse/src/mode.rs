//! The ways to keep a table: with its deleted rows or without them, with its past or without it.

use staging::Column;

use crate::dialect::Dialect;
use crate::table::{TableColumn, Widening, folded};

/// A way to keep a collection's table. It may change from one merge to the next: the table follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableMode {
    /// Rows that are deleted in HubSpot leave the table. What is left of them is in `_deleted_<collection>`: key,
    /// version and reason, without which an older file that arrives later would bring them back.
    pub hard_delete: bool,
    /// Every version of a row is kept in `<collection>_history`, with the time from which and until which it held.
    pub history: bool,
}

/// The table beside `collection` that remembers what was deleted from it.
pub(crate) fn deleted_table(collection: &str) -> String {
    format!("_deleted_{collection}")
}

/// The table beside `collection` that has all versions of its rows.
pub(crate) fn history_table(collection: &str) -> String {
    format!("{collection}_history")
}

/// Changes that bring a table beside the collection's to these columns and their types.
pub(crate) fn follow(
    dialect: &Dialect,
    table: &[TableColumn],
    beside: &[TableColumn],
) -> (Vec<Column>, Vec<Widening>) {
    let (mut add, mut widen) = (Vec::new(), Vec::new());
    for column in table {
        let to = (dialect.column_type)(&column.type_name);
        match beside.iter().find(|other| folded(&other.name) == folded(&column.name)) {
            Some(other) => {
                let from = (dialect.column_type)(&other.type_name);
                if from.widened(to) != from {
                    widen.push(Widening { column: other.name.clone(), from, to: from.widened(to) });
                }
            }
            None => add.push(Column::new(column.name.clone(), to)),
        }
    }
    (add, widen)
}

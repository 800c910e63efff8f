//! Modes of a table: with deleted rows or hard deletes, with a history or without.

use staging::Column;

use crate::dialect::Dialect;
use crate::table::{TableColumn, Widening, folded};

/// The mode of a collection's table. It may change from one merge to the next: the table follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableMode {
    /// Rows that are deleted in HubSpot are removed from the table. `_deleted_<collection>` keeps their key, version
    /// and reason, without which an older file that arrives later would bring them back.
    pub hard_delete: bool,
    /// The versions of a row are kept in `<collection>_history`, with the time from which and until which it held.
    pub history: bool,
}

/// Returns the name of the companion table with the deleted rows of `collection`.
pub(crate) fn deleted_table(collection: &str) -> String {
    format!("_deleted_{collection}")
}

/// Returns the name of the companion table with the versions of the rows of `collection`.
pub(crate) fn history_table(collection: &str) -> String {
    format!("{collection}_history")
}

/// Returns the changes that bring a companion table to these columns and their types.
pub(crate) fn follow(
    dialect: &Dialect,
    table: &[TableColumn],
    companion: &[TableColumn],
) -> (Vec<Column>, Vec<Widening>) {
    let (mut add, mut widen) = (Vec::new(), Vec::new());
    for column in table {
        let to = (dialect.column_type)(&column.type_name);
        match companion.iter().find(|other| folded(&other.name) == folded(&column.name)) {
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

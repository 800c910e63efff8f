//! The extent of a table, and merging its files once more: how it is seen, and mended, that somebody else has changed
//! it.

use staging::{IS_DELETED, RUN_ID};

use crate::dialect::{Dialect, quote_identifier};
use crate::table::TableColumn;

/// The columns and rows that a table has, whoever made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// In the table's order and spelling.
    pub columns: Vec<String>,
    /// Deleted ones that are kept included.
    pub rows: u64,
}

impl Extent {
    pub(crate) fn new(columns: Vec<TableColumn>, rows: u64) -> Extent {
        Extent { columns: columns.into_iter().map(|column| column.name).collect(), rows }
    }
}

/// `table` is quoted, in this and the others.
pub(crate) fn count(table: &str) -> String {
    format!("SELECT count(*) AS n FROM {table}")
}

/// Counts the rows that are not deleted; all rows, where none ever is.
pub(crate) fn count_live(dialect: &Dialect, table: &str, present: &[TableColumn]) -> String {
    match dialect.find(present, IS_DELETED) {
        Some(column) => {
            format!("{} WHERE NOT coalesce({}, false)", count(table), quote_identifier(&column.name))
        }
        None => count(table),
    }
}

/// Makes each row older, by a tie, than the very version of it that is staged: the run that comes first of all is none.
/// `None` where nothing is to be done, since the table has no such column.
pub(crate) fn outdate(dialect: &Dialect, table: &str, present: &[TableColumn]) -> Option<String> {
    let run_id = dialect.find(present, RUN_ID)?;
    Some(format!("UPDATE {table} SET {} = ''", quote_identifier(&run_id.name)))
}

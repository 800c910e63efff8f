//! The extent of a table, by which a load notices that somebody else changed it, and the statements to merge its files
//! once more.

use staging::{IS_DELETED, RUN_ID};

use crate::beside;
use crate::dialect::{Dialect, quote_identifier};
use crate::table::TableColumn;

/// Columns and number of rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Columns in the table's order and spelling.
    pub columns: Vec<String>,
    /// Their types, as the warehouse names them.
    pub types: Vec<String>,
    /// Number of rows, including deleted ones that are kept.
    pub rows: u64,
    /// Columns whose type could not be changed, and those beside them that hold all their values.
    pub beside: Vec<(String, String)>,
}

impl Extent {
    pub(crate) fn new(dialect: &Dialect, columns: Vec<TableColumn>, rows: u64) -> Extent {
        let (columns, types): (Vec<String>, Vec<String>) =
            columns.into_iter().map(|column| (column.name, column.type_name)).unzip();
        let found = beside::find(dialect, columns.iter().map(String::as_str));
        let beside = found.iter().map(|it| (it.own.clone(), it.widest().to_owned())).collect();
        Extent { columns, types, rows, beside }
    }
}

/// Counts the rows. `table` is quoted, here and below.
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

/// Removes the run id of each row, so that the same version in a staged file wins the tie. `None`: the table has no
/// such column, and nothing is to be done.
pub(crate) fn outdate(dialect: &Dialect, table: &str, present: &[TableColumn]) -> Option<String> {
    let run_id = dialect.find(present, RUN_ID)?;
    Some(format!("UPDATE {table} SET {} = ''", quote_identifier(&run_id.name)))
}

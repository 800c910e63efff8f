//! The shape of a table, for those who write queries over it.

use staging::{Column, IS_DELETED};

use crate::beside;
use crate::dialect::{Dialect, quote_identifier};
use crate::table::TableColumn;

/// Columns of a table, as they are there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// In the table's order and spelling. JSON is text.
    pub columns: Vec<Column>,
    /// Columns whose type could not be changed, and those beside them that hold all their values.
    pub beside: Vec<(String, String)>,
}

impl Shape {
    pub(crate) fn new(dialect: &Dialect, columns: Vec<TableColumn>) -> Shape {
        let found = beside::find(dialect, columns.iter().map(|column| column.name.as_str()));
        let beside = found.iter().map(|it| (it.own.clone(), it.widest().to_owned())).collect();
        let typed = |column: TableColumn| Column::new(column.name, (dialect.column_type)(&column.type_name));
        Shape { columns: columns.into_iter().map(typed).collect(), beside }
    }
}

/// Selects columns of the rows that are not deleted. `None`: the table lacks one of them. `table` is quoted.
pub(crate) fn select_texts(
    dialect: &Dialect,
    table: &str,
    present: &[TableColumn],
    wanted: &[&str],
) -> Option<String> {
    let quoted = |name: &str| dialect.find(present, name).map(|column| quote_identifier(&column.name));
    let columns: Vec<String> = wanted.iter().map(|name| quoted(name)).collect::<Option<_>>()?;
    let live = quoted(IS_DELETED).map(|deleted| format!(" WHERE NOT coalesce({deleted}, false)"));
    Some(format!("SELECT {} FROM {table}{}", columns.join(", "), live.unwrap_or_default()))
}

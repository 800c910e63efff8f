//! A row's values as one text, for two rows of one version and one run: the greater text wins, which is as good as any
//! other rule, but the same one every time.

use staging::{ColumnType, REMOVED};

use super::value::text_of;
use crate::dialect::quote_literal;

/// A column's two sides.
#[derive(Debug, Clone)]
pub(super) struct ColumnSql {
    /// Its quoted name in the table.
    pub(super) name: String,
    /// The expression that reads it from the files, in the table's type.
    pub(super) staged: String,
    pub(super) column_type: ColumnType,
}

impl ColumnSql {
    pub(super) fn in_table(&self) -> String {
        format!("t.{}", self.name)
    }
}

/// The columns that a sweep of sets changes.
#[derive(Debug)]
pub(super) struct DeletionSql {
    pub(super) is_deleted: ColumnSql,
    pub(super) deleted_reason: ColumnSql,
    pub(super) deleted_at: Option<ColumnSql>,
}

/// The columns are in the order of their names.
pub(super) fn content<'a>(
    columns: impl IntoIterator<Item = &'a ColumnSql>,
    side: impl Fn(&ColumnSql) -> String,
) -> String {
    let texts = columns.into_iter().map(|column| text_of(&side(column), column.column_type));
    format!("md5(CAST(to_json([{}]) AS VARCHAR))", texts.collect::<Vec<_>>().join(", "))
}

/// The winner is the same whether it is found before a sweep or after it. So what a sweep changes counts last, and
/// there a swept row comes after all live ones and before all tombstones but those that look like it.
pub(super) fn content_but_for_sweeps(
    columns: &[ColumnSql],
    deletion: &DeletionSql,
    side: impl Fn(&ColumnSql) -> String,
) -> String {
    let swept = deletion.columns();
    let others = columns.iter().filter(|column| swept.iter().all(|other| other.name != column.name));
    format!(
        "{} || {} || {}",
        content(others, &side),
        deletion.rank(&side),
        content(swept.iter().copied(), &side)
    )
}

impl DeletionSql {
    fn columns(&self) -> Vec<&ColumnSql> {
        [&self.is_deleted, &self.deleted_reason].into_iter().chain(&self.deleted_at).collect()
    }

    fn rank(&self, side: impl Fn(&ColumnSql) -> String) -> String {
        let reason = text_of(&side(&self.deleted_reason), self.deleted_reason.column_type);
        let no_time = self.deleted_at.iter().map(|column| format!(" AND {} IS NULL", side(column)));
        format!(
            "CASE WHEN {} IS NOT TRUE THEN '0' WHEN {reason} = {}{} THEN '1' ELSE '2' END",
            side(&self.is_deleted),
            quote_literal(REMOVED),
            no_time.collect::<String>()
        )
    }
}

//! A group's columns as SQL, and a row's values as one text: of two rows of one version and one run the greater text
//! wins, which is as good as any other rule, but the same one every time.

use staging::{ColumnType, READ_AT, REMOVED, RUN_ID, SOURCE_UPDATED_AT};

use crate::dialect::{Dialect, quote_identifier, quote_literal};
use crate::plan::{Field, Group, Plan, Sets};

/// A column's two sides.
#[derive(Debug, Clone)]
pub(crate) struct ColumnSql {
    /// Its quoted name in the table.
    pub(crate) name: String,
    /// The expression that reads it from the staged rows, in the table's type.
    pub(crate) staged: String,
    pub(crate) column_type: ColumnType,
}

impl ColumnSql {
    pub(crate) fn in_table(&self) -> String {
        format!("t.{}", self.name)
    }
}

/// What a merge of one group works with.
#[derive(Debug)]
pub(crate) struct GroupColumns {
    /// In the order of their names.
    pub(crate) columns: Vec<ColumnSql>,
    pub(crate) keys: Vec<ColumnSql>,
    pub(crate) updated_at: ColumnSql,
    pub(crate) read_at: ColumnSql,
    pub(crate) run_id: ColumnSql,
    /// How many of the columns tell rows of one version and one run apart: all, unless a statement has no room for that.
    compared: usize,
    /// `None` if the files have no set key.
    deletion: Option<DeletionSql>,
}

impl GroupColumns {
    /// `staged` is the expression that reads a column from the staged rows, in the file's type. A column of the group
    /// that has none is the error.
    pub(crate) fn new(
        dialect: &Dialect,
        plan: &Plan<'_>,
        group: &Group<'_>,
        staged: impl Fn(&Field) -> Option<String>,
    ) -> Result<GroupColumns, String> {
        let column = |field: &Field| match staged(field) {
            Some(staged) => Ok(ColumnSql {
                name: quote_identifier(&field.target),
                staged: dialect.converted(&staged, field.from, field.to),
                column_type: field.to,
            }),
            None => Err(field.source.clone()),
        };
        let named = |is_it: &dyn Fn(&Field) -> bool, name: &str| match group.fields.iter().find(|f| is_it(f))
        {
            Some(field) => column(field),
            None => Err(name.to_owned()),
        };
        let of_source = |name: &str| named(&|field| field.source == name, name);
        let of_target = |name: &str| named(&|field| field.target == name, name);
        let deletion = |sets: &Sets| {
            Ok::<_, String>(DeletionSql {
                is_deleted: of_target(&sets.is_deleted)?,
                deleted_reason: of_target(&sets.deleted_reason)?,
                deleted_at: sets.deleted_at.as_deref().and_then(|name| of_target(name).ok()),
            })
        };
        Ok(GroupColumns {
            compared: group.fields.len(),
            columns: group.fields.iter().map(column).collect::<Result<_, _>>()?,
            keys: plan.primary_key.iter().map(|key| of_target(key)).collect::<Result<_, _>>()?,
            updated_at: of_source(SOURCE_UPDATED_AT)?,
            read_at: of_source(READ_AT)?,
            run_id: of_source(RUN_ID)?,
            deletion: plan.sets.as_ref().filter(|_| group.has_sets).map(deletion).transpose()?,
        })
    }

    /// Leaves out of the content the columns that would make it longer than `bytes`, both sides together.
    pub(crate) fn compare_within(&mut self, dialect: &Dialect, bytes: usize) {
        let bytes_of = |column: &ColumnSql| {
            let sides = [column.staged.clone(), column.in_table()];
            sides.map(|side| (dialect.md5_of)(&[(dialect.text_of)(&side, column.column_type)]).len())
        };
        let mut taken = 0;
        let fits = |column: &&ColumnSql| {
            taken += bytes_of(column).iter().sum::<usize>();
            taken <= bytes
        };
        self.compared = self.columns.iter().take_while(fits).count();
    }

    /// What two rows of one version and one run are told apart by.
    pub(crate) fn content(&self, dialect: &Dialect, side: impl Fn(&ColumnSql) -> String) -> String {
        let compared = self.columns.get(..self.compared).unwrap_or(&self.columns);
        match &self.deletion {
            Some(deletion) => content_but_for_sweeps(dialect, compared, deletion, side),
            None => content(dialect, compared, side),
        }
    }
}

/// The columns that a sweep of sets changes.
#[derive(Debug)]
struct DeletionSql {
    is_deleted: ColumnSql,
    deleted_reason: ColumnSql,
    deleted_at: Option<ColumnSql>,
}

fn content<'a>(
    dialect: &Dialect,
    columns: impl IntoIterator<Item = &'a ColumnSql>,
    side: impl Fn(&ColumnSql) -> String,
) -> String {
    let text = |column: &ColumnSql| (dialect.text_of)(&side(column), column.column_type);
    (dialect.md5_of)(&columns.into_iter().map(text).collect::<Vec<_>>())
}

/// The winner is the same whether it is found before a sweep or after it. So what a sweep changes counts last, and
/// there a swept row comes after all live ones and before all tombstones but those that look like it.
fn content_but_for_sweeps(
    dialect: &Dialect,
    columns: &[ColumnSql],
    deletion: &DeletionSql,
    side: impl Fn(&ColumnSql) -> String,
) -> String {
    let swept = deletion.columns();
    let others = columns.iter().filter(|column| swept.iter().all(|other| other.name != column.name));
    format!(
        "{} || {} || {}",
        content(dialect, others, &side),
        deletion.rank(dialect, &side),
        content(dialect, swept.iter().copied(), &side)
    )
}

impl DeletionSql {
    fn columns(&self) -> Vec<&ColumnSql> {
        [&self.is_deleted, &self.deleted_reason].into_iter().chain(&self.deleted_at).collect()
    }

    fn rank(&self, dialect: &Dialect, side: impl Fn(&ColumnSql) -> String) -> String {
        let reason = (dialect.text_of)(&side(&self.deleted_reason), self.deleted_reason.column_type);
        let no_time = self.deleted_at.iter().map(|column| format!(" AND {} IS NULL", side(column)));
        format!(
            "CASE WHEN NOT coalesce({}, false) THEN '0' WHEN {reason} = {}{} THEN '1' ELSE '2' END",
            side(&self.is_deleted),
            quote_literal(REMOVED),
            no_time.collect::<String>()
        )
    }
}

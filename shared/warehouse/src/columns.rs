//! A group's columns as SQL, and a row's values as one text: of two rows of one version and one run the greater text
//! wins, an arbitrary rule that is the same each time.

use staging::{ColumnType, READ_AT, REMOVED, RUN_ID, SOURCE_UPDATED_AT};

use crate::dialect::{Dialect, quote_identifier, quote_literal};
use crate::in_parts::{InParts, divided};
use crate::plan::{Field, Group, Plan, Sets};

/// A column in the table and in the staged rows.
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

/// The columns that a merge of one group works with.
#[derive(Debug)]
pub(crate) struct GroupColumns {
    dialect: &'static Dialect,
    /// Columns in the order of their names.
    pub(crate) columns: Vec<ColumnSql>,
    pub(crate) keys: Vec<ColumnSql>,
    pub(crate) updated_at: ColumnSql,
    pub(crate) read_at: ColumnSql,
    pub(crate) run_id: ColumnSql,
    /// Number of columns by which rows of one version and one run are distinguished: all, unless a statement has no
    /// room for that.
    compared: usize,
    /// `None` if the files have no set key.
    deletion: Option<DeletionSql>,
}

impl GroupColumns {
    /// `staged` is the expression that reads a column from the staged rows, in the file's type. A column of the group
    /// that has none is the error.
    pub(crate) fn new(
        dialect: &'static Dialect,
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
            dialect,
            compared: group.fields.len(),
            columns: group.fields.iter().map(column).collect::<Result<_, _>>()?,
            keys: plan.primary_key.iter().map(|key| of_target(key)).collect::<Result<_, _>>()?,
            updated_at: of_source(SOURCE_UPDATED_AT)?,
            read_at: of_source(READ_AT)?,
            run_id: of_source(RUN_ID)?,
            deletion: plan.sets.as_ref().filter(|_| group.has_sets).map(deletion).transpose()?,
        })
    }

    /// Limits the content to columns that fit into `bytes`, both sides together.
    pub(crate) fn compare_within(&mut self, bytes: usize) {
        let dialect = self.dialect;
        let bytes_of = |column: &ColumnSql| {
            let sides = [column.staged.clone(), column.in_table()];
            sides.map(|side| (dialect.md5_of)(&[(dialect.hashed_text_of)(&side, column.column_type)]).len())
        };
        let mut taken = 0;
        let fits = |column: &&ColumnSql| {
            taken += bytes_of(column).iter().sum::<usize>();
            taken <= bytes
        };
        self.compared = self.columns.iter().take_while(fits).count();
    }

    /// Returns a text by which two rows of one version and one run are distinguished.
    pub(crate) fn content(&self, side: impl Fn(&ColumnSql) -> String) -> String {
        let compared = self.columns.get(..self.compared).unwrap_or(&self.columns);
        match &self.deletion {
            Some(deletion) => content_but_for_sweeps(self.dialect, compared, deletion, side),
            None => content(self.dialect, compared, side),
        }
    }

    /// Returns [`GroupColumns::content`] of the rows of a subquery `alias`, in columns whose names begin with `name` where
    /// it is in parts.
    pub(crate) fn content_in_parts(
        &self,
        alias: &str,
        name: &str,
        side: impl Fn(&ColumnSql) -> String,
    ) -> InParts {
        let compared = self.columns.get(..self.compared).unwrap_or(&self.columns);
        let swept = self.deletion.as_ref().map(DeletionSql::columns).unwrap_or_default();
        let is_other = |column: &&ColumnSql| swept.iter().all(|other| other.name != column.name);
        let text = |column: &ColumnSql| (self.dialect.hashed_text_of)(&side(column), column.column_type);
        let others: Vec<String> = compared.iter().filter(is_other).map(text).collect();
        let divided = divided(self.dialect, &others);
        let (Some(divided), Some(small)) = (divided, &self.dialect.small_expressions) else {
            return InParts::whole(self.content(side));
        };
        let mut parts: Vec<String> = divided.into_iter().map(small.digests).collect();
        let digests = parts.len();
        parts.extend(self.deletion.as_ref().map(|deletion| deletion.content(self.dialect, &side)));
        InParts::new(alias, name, parts, |parts| {
            let (digests, deletion) = parts.split_at(digests);
            let digest = (small.md5)(&digests.join(" || "));
            [digest].into_iter().chain(deletion.iter().cloned()).collect::<Vec<_>>().join(" || ")
        })
    }

    /// A list of the keys: the n-th is `k{n}` in scratch tables.
    pub(crate) fn keys(&self, separator: &str, item: impl Fn(usize, &ColumnSql) -> String) -> String {
        let items = self.keys.iter().enumerate().map(|(n, key)| item(n, key));
        items.collect::<Vec<_>>().join(separator)
    }

    /// Compares the keys of a row of the table, `t`, and of one of a scratch table, `n`.
    pub(crate) fn same_key(&self) -> String {
        self.keys(" AND ", |n, key| format!("{} = n.k{n}", key.in_table()))
    }

    /// Returns the times at which HubSpot changed the staged row, and at which it was read.
    pub(crate) fn version_staged(&self) -> (String, String) {
        (self.dialect.or_lowest(&self.updated_at.staged), self.read_at.staged.clone())
    }

    pub(crate) fn version_in_table(&self) -> (String, String) {
        let lowest = |column: &ColumnSql| self.dialect.or_lowest(&column.in_table());
        (lowest(&self.updated_at), lowest(&self.read_at))
    }

    /// Returns the condition under which the staged one of two rows of one version wins.
    pub(crate) fn wins_tie(&self, run_id: impl Fn(&str) -> String, [staged, now]: [&str; 2]) -> String {
        let runs = [&self.run_id.staged, &self.run_id.in_table()].map(|side| run_id(side));
        wins_by(runs.each_ref().map(String::as_str), [staged, now])
    }

    /// Counts the rows of the table that hold a key of a scratch table in its version or a newer one.
    pub(crate) fn count_arrived(&self, newest: &str, table: &str) -> String {
        let (updated_at, read_at) = self.version_in_table();
        format!(
            "SELECT count(*) FROM {newest} AS n JOIN {table} AS t ON {} WHERE {updated_at} > n.updated_at \
             OR ({updated_at} = n.updated_at AND {read_at} >= n.read_at)",
            self.same_key()
        )
    }
}

/// Returns the condition under which the first of two rows of one version wins, by their runs and their contents.
pub(crate) fn wins_by([run, other_run]: [&str; 2], [content, other]: [&str; 2]) -> String {
    format!("({run} > {other_run} OR ({run} = {other_run} AND {content} > {other}))")
}

/// Returns the run's id, or one that sorts first where there is none, as in older files.
pub(crate) fn or_first(run_id: &str) -> String {
    format!("coalesce({run_id}, '')")
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
    let text = |column: &ColumnSql| (dialect.hashed_text_of)(&side(column), column.column_type);
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
    format!("{} || {}", content(dialect, others, &side), deletion.content(dialect, &side))
}

impl DeletionSql {
    fn columns(&self) -> Vec<&ColumnSql> {
        [&self.is_deleted, &self.deleted_reason].into_iter().chain(&self.deleted_at).collect()
    }

    fn content(&self, dialect: &Dialect, side: impl Fn(&ColumnSql) -> String) -> String {
        format!("{} || {}", self.rank(dialect, &side), content(dialect, self.columns(), &side))
    }

    fn rank(&self, dialect: &Dialect, side: impl Fn(&ColumnSql) -> String) -> String {
        let reason = (dialect.hashed_text_of)(&side(&self.deleted_reason), self.deleted_reason.column_type);
        let no_time = self.deleted_at.iter().map(|column| format!(" AND {} IS NULL", side(column)));
        format!(
            "CASE WHEN NOT coalesce({}, false) THEN '0' WHEN {reason} = {}{} THEN '1' ELSE '2' END",
            side(&self.is_deleted),
            quote_literal(REMOVED),
            no_time.collect::<String>()
        )
    }
}

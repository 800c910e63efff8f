//! The statements of a merge into DuckDB, as plain functions of their arguments.
//!
//! Columns of staged files are called `c0`, `c1`, ... after their position in the Parquet file, because a column
//! named like one of the reader's own (`file_index`, `file_row_number`) would hide it.

use super::dialect::DUCKDB;
use crate::columns::{ColumnSql, GroupColumns, or_first};
use crate::dialect::{quote_identifier, quote_literal};
use crate::plan::{Field, Group, Plan};

/// Every staged row's key and version: narrow, whatever the table's width.
pub(super) const STAGED: &str = "temp.main.staged_rows";
/// The newest of them per key. Only made when a key occurs twice.
pub(super) const NEWEST: &str = "temp.main.newest_rows";
/// The rows to write, and the row of the table that each of them replaces.
pub(super) const CHANGED: &str = "temp.main.changed_rows";
/// Values that replaced rows keep, because the files lack the column.
pub(super) const KEPT: &str = "temp.main.kept_values";

/// Joins the reader's rows to those of a scratch table `n`.
const SAME_STAGED_ROW: &str =
    "n.file_index = staged.file_index AND n.file_row_number = staged.file_row_number";

pub(super) fn count_newest() -> String {
    format!("SELECT count(*) FROM {NEWEST}")
}

/// Counts the changed rows that have the version that the table has.
pub(super) fn count_ties() -> String {
    format!("SELECT count(*) FROM {CHANGED} WHERE is_tie")
}

/// Per file: its position, how many of its rows are to be written, and how many of those replace a row.
pub(super) fn count_changed() -> String {
    format!("SELECT CAST(file_index AS BIGINT), count(*), count(old_row) FROM {CHANGED} GROUP BY file_index")
}

pub(super) fn drop_scratch() -> String {
    [STAGED, NEWEST, CHANGED, KEPT].map(|table| format!("DROP TABLE IF EXISTS {table};")).concat()
}

/// The names and types of the columns of the files, in the order in which DuckDB reads them.
pub(super) fn describe(paths: &[String]) -> String {
    format!("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {})", read_parquet(paths))
}

fn read_parquet(paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| quote_literal(path)).collect();
    // Without the option, a folder called `a=b` would add a column `a`.
    format!("read_parquet([{}], hive_partitioning = false)", paths.join(", "))
}

/// One group's merge into one table.
#[derive(Debug)]
pub(super) struct GroupMerge {
    table: String,
    /// Reads the staged rows.
    pub(super) source: String,
    pub(super) columns: GroupColumns,
    kept: Vec<String>,
}

impl GroupMerge {
    /// `table` is quoted and qualified; `columns_read` are the names that [`describe`] reports. A column of the group
    /// that is not among them is the error.
    pub(super) fn new(
        table: &str,
        plan: &Plan<'_>,
        group: &Group<'_>,
        paths: &[String],
        columns_read: &[String],
    ) -> Result<GroupMerge, String> {
        let position = |field: &Field| columns_read.iter().position(|name| *name == field.source);
        let staged = |field: &Field| position(field).map(|position| format!("staged.c{position}"));
        let aliases: Vec<String> = (0..columns_read.len()).map(|n| format!("c{n}")).collect();
        Ok(GroupMerge {
            table: table.to_owned(),
            source: format!("{} AS staged({})", read_parquet(paths), aliases.join(", ")),
            columns: GroupColumns::new(&DUCKDB, plan, group, staged)?,
            kept: group.kept.iter().map(|name| quote_identifier(name)).collect(),
        })
    }

    pub(super) fn keeps_values(&self) -> bool {
        !self.kept.is_empty()
    }

    pub(super) fn stage(&self) -> String {
        let keys = self.columns.keys(", ", |n, key| format!("{} AS k{n}", key.staged));
        let (updated_at, read_at) = self.columns.version_staged();
        format!(
            "CREATE OR REPLACE TEMP TABLE staged_rows AS SELECT file_index, file_row_number, {keys}, \
             {updated_at} AS updated_at, {read_at} AS read_at FROM {}",
            self.source
        )
    }

    /// Per file: its position, its rows, and how many lack a primary key or a time of reading.
    pub(super) fn count_staged(&self) -> String {
        let missing = self.columns.keys("", |n, _| format!("k{n} IS NULL OR "));
        format!(
            "SELECT CAST(file_index AS BIGINT), count(*), count(*) FILTER ({missing}read_at IS NULL) \
             FROM {STAGED} GROUP BY file_index"
        )
    }

    pub(super) fn count_keys(&self) -> String {
        format!("SELECT count(*) FROM (SELECT DISTINCT {} FROM {STAGED})", self.key_list())
    }

    /// All newest rows of a key: several of them if their versions are equal.
    pub(super) fn keep_newest(&self) -> String {
        format!(
            "CREATE OR REPLACE TEMP TABLE newest_rows AS SELECT * FROM {STAGED} \
             QUALIFY rank() OVER (PARTITION BY {} ORDER BY updated_at DESC, read_at DESC) = 1",
            self.key_list()
        )
    }

    /// Leaves one row per key where [`Self::keep_newest`] left several.
    pub(super) fn break_ties_in_files(&self) -> String {
        let keys = self.key_list();
        format!(
            "DELETE FROM {NEWEST} WHERE (file_index, file_row_number) IN (\
             SELECT (n.file_index, n.file_row_number) FROM {} JOIN {NEWEST} AS n ON {SAME_STAGED_ROW} \
             WHERE ({keys}) IN (SELECT ({keys}) FROM {NEWEST} GROUP BY {keys} HAVING count(*) > 1) \
             QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {} DESC, {} DESC, \
             n.file_index, n.file_row_number) > 1)",
            self.source,
            or_first(&self.columns.run_id.staged),
            self.columns.content(|column| column.staged.clone())
        )
    }

    /// The staged rows that the table lacks, has in an older version, or has in the same version (`is_tie`).
    /// `newest` is the scratch table with one row per key, here and below.
    pub(super) fn find_changed(&self, newest: &str) -> String {
        let (updated_at, read_at) = self.columns.version_in_table();
        format!(
            "CREATE OR REPLACE TEMP TABLE changed_rows AS \
             SELECT n.file_index, n.file_row_number, t.rowid AS old_row, \
             t.rowid IS NOT NULL AND n.updated_at = {updated_at} AND n.read_at = {read_at} AS is_tie \
             FROM {newest} AS n LEFT JOIN {} AS t ON {} WHERE t.rowid IS NULL OR n.updated_at > {updated_at} \
             OR (n.updated_at = {updated_at} AND n.read_at >= {read_at})",
            self.table,
            self.columns.same_key()
        )
    }

    /// Leaves of the ties those that win over the table's row. A row that is in the table already does not.
    pub(super) fn break_ties_with_table(&self) -> String {
        let contents =
            [self.columns.content(|column| column.staged.clone()), self.columns.content(ColumnSql::in_table)];
        format!(
            "DELETE FROM {CHANGED} WHERE is_tie AND (file_index, file_row_number) NOT IN (\
             SELECT (n.file_index, n.file_row_number) FROM {} JOIN {CHANGED} AS n ON {SAME_STAGED_ROW} \
             JOIN {} AS t ON t.rowid = n.old_row WHERE n.is_tie AND {})",
            self.source,
            self.table,
            self.columns.wins_tie(or_first, contents.each_ref().map(String::as_str))
        )
    }

    pub(super) fn keep_values(&self) -> String {
        let values: String =
            self.kept.iter().enumerate().map(|(n, name)| format!(", {name} AS v{n}")).collect();
        format!(
            "CREATE OR REPLACE TEMP TABLE kept_values AS SELECT rowid AS old_row{values} FROM {} \
             WHERE rowid IN (SELECT old_row FROM {CHANGED})",
            self.table
        )
    }

    pub(super) fn delete_replaced(&self) -> String {
        format!("DELETE FROM {} WHERE rowid IN (SELECT old_row FROM {CHANGED})", self.table)
    }

    /// Every staged row; for when all of them are changed rows and none has values to keep.
    pub(super) fn insert_all(&self) -> String {
        self.insert(&[], &[], "")
    }

    /// The changed rows; for when none has values to keep.
    pub(super) fn insert_changed(&self) -> String {
        self.insert(&[], &[], &format!(" JOIN {CHANGED} AS n ON {SAME_STAGED_ROW}"))
    }

    /// The changed rows that replace none: columns that the files lack get their default.
    pub(super) fn insert_new(&self) -> String {
        self.insert(&[], &[], &format!(" JOIN {CHANGED} AS n ON {SAME_STAGED_ROW} WHERE n.old_row IS NULL"))
    }

    /// The changed rows that replace one, with the values it keeps.
    pub(super) fn insert_replacing(&self) -> String {
        let values: Vec<String> = (0..self.kept.len()).map(|n| format!("kept.v{n}")).collect();
        let joins = format!(
            " JOIN {CHANGED} AS n ON {SAME_STAGED_ROW} JOIN {KEPT} AS kept ON kept.old_row = n.old_row"
        );
        self.insert(&self.kept, &values, &joins)
    }

    fn insert(&self, more_names: &[String], more_values: &[String], joins: &str) -> String {
        let columns = &self.columns.columns;
        let names = columns.iter().map(|column| &column.name).chain(more_names);
        let values = columns.iter().map(|column| &column.staged).chain(more_values);
        let [names, values] = [names.cloned().collect::<Vec<_>>(), values.cloned().collect()];
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {}{joins}",
            self.table,
            names.join(", "),
            values.join(", "),
            self.source
        )
    }

    pub(super) fn count_arrived(&self, newest: &str) -> String {
        self.columns.count_arrived(newest, &self.table)
    }

    fn key_list(&self) -> String {
        self.columns.keys(", ", |n, _| format!("k{n}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::companion_tables::Shaping;
    use crate::conformance::torture_file;
    use crate::dialect::{ACCOUNT, LEDGER};
    use crate::plan::{TableChange, plan};
    use crate::table::TableColumn;

    #[test]
    fn merge_of_a_torture_table() {
        let (file, table) = (torture_file(), "\"cat\".\"hub\"\"spot\".\"con\"\"tacts\"");
        let present =
            |name: &str, type_name: &str| TableColumn { name: name.into(), type_name: type_name.into() };
        // Another spelling, narrower types, and a column that the file lacks.
        let present = [
            present("VID", "BIGINT"),
            present("a\"key\"", "INTEGER"),
            present("it's", "BIGINT"),
            present("file_index", "DATE"),
            present("my \"note\"", "VARCHAR"),
        ];
        let mut statements = DUCKDB.create_bookkeeping(ACCOUNT, LEDGER).to_vec();
        if let TableChange::Create(columns) = plan(&DUCKDB, None, vec![&file]).unwrap().change {
            statements.push(DUCKDB.create_table(table, &columns));
        }
        let plan = plan(&DUCKDB, Some(&present), vec![&file]).unwrap();
        if let TableChange::Alter { add, widen: widenings } = &plan.change {
            let actions = DUCKDB.alteration(table, add, widenings).concat();
            statements.extend(actions.into_iter().map(|statement| statement.sql));
        }
        let paths = [file.path().unwrap().to_str().unwrap().to_owned()];
        let read: Vec<String> =
            file.description.table.columns.iter().map(|column| column.name.clone()).collect();
        let merge = GroupMerge::new(table, &plan, &plan.groups[0], &paths, &read).unwrap();
        statements.extend([
            describe(&paths),
            merge.stage(),
            merge.count_staged(),
            merge.count_keys(),
            merge.keep_newest(),
            count_newest(),
            merge.break_ties_in_files(),
            merge.find_changed(NEWEST),
            count_ties(),
            merge.break_ties_with_table(),
            count_changed(),
            merge.keep_values(),
            merge.delete_replaced(),
            merge.insert_all(),
            merge.insert_changed(),
            merge.insert_new(),
            merge.insert_replacing(),
            merge.count_arrived(NEWEST),
            drop_scratch(),
        ]);
        insta::assert_snapshot!(statements.join(";\n\n"));
    }
}

//! Sets: a row that a newer read of its set does not show becomes deleted. The table alone decides that, once a merge's
//! rows are all in it, so files may come in any order.

use staging::REMOVED;

use super::dialect::DUCKDB;
use super::session::Session;
use super::sql::STAGED;
use crate::checks::check_deleted;
use crate::dialect::{quote_identifier, quote_literal};
use crate::error::Result;
use crate::plan::{Plan, Sets};

/// The sets of which the merged files have rows.
const TOUCHED: &str = "temp.main.touched_sets";
/// The rows that are to become deleted.
const GONE: &str = "temp.main.gone_rows";

/// Deletes what is gone from its set, over all groups of a merge.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    table: &'a str,
    sets: &'a Sets,
    /// Scratch tables' names of the set key, and the table's, quoted.
    key: Vec<(String, String)>,
}

impl<'a> Sweep<'a> {
    /// `table` is quoted and qualified. `None` if no file has a set key.
    pub(super) fn new(table: &'a str, plan: &'a Plan<'_>) -> Option<Sweep<'a>> {
        let sets = plan.sets.as_ref()?;
        let in_set_key = |(_, name): &(usize, &String)| sets.key.contains(name);
        let names = plan.primary_key.iter().enumerate().filter(in_set_key);
        let key = names.map(|(n, name)| (format!("k{n}"), quote_identifier(name))).collect();
        Some(Sweep { table, sets, key })
    }

    /// To be called before the first group is merged.
    pub(super) fn begin(&self, session: &Session<'_>) -> Result<()> {
        session.scratch(&self.create_touched())
    }

    /// To be called while the staged rows of a group are there.
    pub(super) fn touch(&self, session: &Session<'_>) -> Result<()> {
        session.scratch(&self.insert_touched())
    }

    /// To be called after the last group; answers with the number of rows that became deleted.
    pub(super) fn end(&self, session: &mut Session<'_>) -> Result<u64> {
        session.scratch(&self.find_gone())?;
        let gone = session.count(&count_gone())?;
        let deleted = if gone > 0 { session.write(&self.delete_gone(), [])? } else { 0 };
        session.scratch(&drop_scratch())?;
        check_deleted(self.table, gone, deleted)?;
        Ok(deleted)
    }

    /// Without rows; it has the types that the table has after its columns were changed.
    fn create_touched(&self) -> String {
        let columns = self.list(", ", |staged, name| format!("{name} AS {staged}"));
        format!("CREATE OR REPLACE TEMP TABLE touched_sets AS SELECT {columns} FROM {} LIMIT 0", self.table)
    }

    fn insert_touched(&self) -> String {
        let columns = self.list(", ", |staged, _| staged.to_owned());
        format!("INSERT INTO {TOUCHED} SELECT DISTINCT {columns} FROM {STAGED}")
    }

    /// All rows of the touched sets but those of the newest version and tombstones.
    fn find_gone(&self) -> String {
        let Sets { source_updated_at, read_at, is_deleted, .. } = self.sets;
        let in_table = |name: &str| format!("t.{}", quote_identifier(name));
        format!(
            "CREATE OR REPLACE TEMP TABLE gone_rows AS SELECT t.rowid AS old_row FROM {} AS t \
             SEMI JOIN {TOUCHED} AS s ON {} QUALIFY rank() OVER (PARTITION BY {} ORDER BY {} DESC, {} DESC) > 1 \
             AND {} IS NOT TRUE",
            self.table,
            self.list(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
            self.list(", ", |_, name| format!("t.{name}")),
            DUCKDB.or_lowest(&in_table(source_updated_at)),
            DUCKDB.or_lowest(&in_table(read_at)),
            in_table(is_deleted)
        )
    }

    /// In place: the version and all other values stay, and so does the row's place in the tie-break.
    fn delete_gone(&self) -> String {
        let Sets { is_deleted, deleted_reason, deleted_at, .. } = self.sets;
        let deleted_at = deleted_at.iter().map(|name| format!(", {} = NULL", quote_identifier(name)));
        format!(
            "UPDATE {} SET {} = true, {} = {}{} WHERE rowid IN (SELECT old_row FROM {GONE})",
            self.table,
            quote_identifier(is_deleted),
            quote_identifier(deleted_reason),
            quote_literal(REMOVED),
            deleted_at.collect::<String>()
        )
    }

    fn list(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        self.key.iter().map(|(staged, name)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }
}

fn count_gone() -> String {
    format!("SELECT count(*) FROM {GONE}")
}

fn drop_scratch() -> String {
    [TOUCHED, GONE].map(|table| format!("DROP TABLE IF EXISTS {table};")).concat()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use staging::{
        Column, ColumnType, DELETED_REASON, Description, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT,
        Table,
    };

    use super::*;
    use crate::duckdb::sql::GroupMerge;
    use crate::plan::{TableColumn, plan};
    use crate::{LocatedFile, Location};

    #[test]
    fn sweep_of_a_torture_table() {
        use ColumnType::{BigInt, Boolean, Text, Timestamp};
        let columns = [
            ("vid", BigInt),
            ("a\"key\"", Text),
            ("it's", Text),
            (IS_DELETED, Boolean),
            (DELETED_REASON, Text),
            (SOURCE_UPDATED_AT, Timestamp),
            (READ_AT, Timestamp),
            (RUN_ID, Text),
        ];
        let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).to_vec();
        let table = Table::new("con\"tacts", &["vid", "it's", "a\"key\""], columns).unwrap();
        let table = table.with_set_key(&["a\"key\"", "vid"]).unwrap();
        let description = Description::new(42, "run-1", &table, 3);
        let file = LocatedFile {
            key: "key".to_owned(),
            location: Location::Local(PathBuf::from("/x.parquet")),
            description,
        };
        // Another spelling, and a column that the file lacks.
        let present = [
            ("VID", "BIGINT"),
            ("Is_Deleted", "BOOLEAN"),
            ("Deleted_At", "DATE"),
            ("A\"Key\"", "VARCHAR"),
            ("it's", "VARCHAR"),
        ];
        let present =
            present.map(|(name, type_name)| TableColumn { name: name.into(), type_name: type_name.into() });
        let plan = plan(&DUCKDB, Some(&present), vec![&file]).unwrap();
        let read: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let quoted = "\"cat\".\"hub\"\"spot\".\"con\"\"tacts\"";
        let paths = ["/x.parquet".to_owned()];
        let merge = GroupMerge::new(quoted, &plan, &plan.groups[0], &paths, &read).unwrap();
        let sweep = Sweep::new(quoted, &plan).unwrap();
        let statements = [
            sweep.create_touched(),
            sweep.insert_touched(),
            merge.break_ties_in_files(),
            merge.break_ties_with_table(),
            sweep.find_gone(),
            count_gone(),
            sweep.delete_gone(),
            drop_scratch(),
        ];
        insta::assert_snapshot!(statements.join(";\n\n"));
    }
}

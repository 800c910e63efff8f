//! Hard deletes, around a merge that knows nothing of them: what was deleted from the table before comes back into it
//! as bare tombstones as far as the staged rows have to do with it, the merge decides as in any other table, and then
//! all that is deleted leaves again. So the table does not depend on the order in which files arrive.

use staging::{ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT};

use crate::dialect::{Dialect, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, TableColumn, folded};

/// The statements for one table and what was deleted from it. Both names are quoted and qualified.
#[derive(Debug)]
pub(crate) struct HardDelete {
    table: String,
    deleted: String,
    /// Quoted.
    key: Vec<String>,
    /// The part of the key that a staged row is about: all of it, or the set key.
    reach: Vec<String>,
    /// What is kept of a deleted row: key, version, and the columns about deletion.
    columns: Vec<String>,
}

impl HardDelete {
    /// `None` if no row of the table is ever deleted. `present` are the table's columns after they were changed.
    pub(crate) fn new(
        dialect: &Dialect,
        table: &str,
        deleted: &str,
        plan: &Plan<'_>,
        present: &[TableColumn],
    ) -> Result<Option<HardDelete>> {
        let named = |name: &str| present.iter().find(|column| folded(&column.name) == folded(name));
        let Some(is_deleted) = named(IS_DELETED) else { return Ok(None) };
        if (dialect.column_type)(&is_deleted.type_name) != ColumnType::Boolean {
            let message =
                format!("column {IS_DELETED} of table {table} is not a boolean, but rows are deleted by it");
            return Err(Error::new(Kind::Unsupported, message));
        }
        let others = [SOURCE_UPDATED_AT, READ_AT, RUN_ID, FILE, IS_DELETED, DELETED_AT, DELETED_REASON];
        let others = others.iter().filter_map(|name| named(name)).map(|column| &column.name);
        let is_other = |name: &&String| !plan.primary_key.contains(name);
        let quoted = |name: &String| quote_identifier(name);
        let reach = plan.sets.as_ref().map_or(&plan.primary_key, |sets| &sets.key);
        Ok(Some(HardDelete {
            table: table.to_owned(),
            deleted: deleted.to_owned(),
            key: plan.primary_key.iter().map(quoted).collect(),
            reach: reach.iter().map(quoted).collect(),
            columns: plan.primary_key.iter().chain(others.filter(is_other)).map(quoted).collect(),
        }))
    }

    pub(crate) fn key(&self) -> &[String] {
        &self.key
    }

    pub(crate) fn create(&self) -> String {
        format!(
            "CREATE TABLE {} AS SELECT {} FROM {} LIMIT 0",
            self.deleted,
            self.columns.join(", "),
            self.table
        )
    }

    /// Before a group is merged: brings back what its rows may be about. `source` reads the staged rows, and `staged`
    /// the n-th column of their primary key.
    pub(crate) fn bring_back(&self, source: &str, staged: impl Fn(usize) -> String) -> [String; 2] {
        let keys = self.key.iter().enumerate().filter(|(_, key)| self.reach.contains(key));
        let equal: Vec<String> = keys.map(|(n, key)| format!("d.{key} = {}", staged(n))).collect();
        let is_staged = format!(" WHERE EXISTS (SELECT 1 FROM {source} WHERE {})", equal.join(" AND "));
        [self.insert_back(&is_staged), format!("DELETE FROM {} AS d{is_staged}", self.deleted)]
    }

    /// When deleted rows are to stay in the table from now on.
    pub(crate) fn bring_all_back(&self) -> [String; 2] {
        [self.insert_back(""), format!("DROP TABLE {}", self.deleted)]
    }

    fn insert_back(&self, condition: &str) -> String {
        let (names, values) = (self.columns.join(", "), self.listed("d."));
        format!("INSERT INTO {} ({names}) SELECT {values} FROM {} AS d{condition}", self.table, self.deleted)
    }

    /// After the merge: what is deleted leaves the table, and its past with it.
    pub(crate) fn take_out(&self, history: Option<&str>) -> Vec<String> {
        let is_deleted = quote_identifier(IS_DELETED);
        let equal: Vec<String> = self.key.iter().map(|key| format!("t.{key} = h.{key}")).collect();
        let past = history.map(|history| {
            format!(
                "DELETE FROM {history} AS h WHERE EXISTS (SELECT 1 FROM {} AS t WHERE t.{is_deleted} AND {})",
                self.table,
                equal.join(" AND ")
            )
        });
        let keep = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS t WHERE t.{is_deleted}",
            self.deleted,
            self.columns.join(", "),
            self.listed("t."),
            self.table
        );
        let delete = format!("DELETE FROM {} WHERE {is_deleted}", self.table);
        past.into_iter().chain([keep, delete]).collect()
    }

    fn listed(&self, of: &str) -> String {
        self.columns.iter().map(|column| format!("{of}{column}")).collect::<Vec<_>>().join(", ")
    }
}

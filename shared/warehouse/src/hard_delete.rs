//! Hard deletes, around a merge that does not know of them. Before it, deleted rows with the keys of staged rows come
//! back into the table as bare tombstones; the merge decides as in any other table; after it, all deleted rows are
//! removed again. So the table does not depend on the order in which files arrive.

use staging::{ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT};

use crate::dialect::{Dialect, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::table::{TableColumn, folded};

/// The statements for one table and the table of its deleted rows. Where they are not one transaction, a row may be in
/// both tables for a while, but never in neither: each statement checks the other table.
#[derive(Debug)]
pub(crate) struct HardDelete {
    dialect: &'static Dialect,
    table: TableName,
    pub(crate) deleted: TableName,
    /// Quoted.
    key: Vec<String>,
    /// The part of the key by which a staged row can bring rows back: all of it, or the set key.
    reach: Vec<String>,
    /// Columns that are kept of a deleted row: key, version, and the columns about deletion.
    columns: Vec<TableColumn>,
    /// Quoted.
    is_deleted: String,
    version: [String; 2],
}

impl HardDelete {
    /// `None` if no row of the table is ever deleted. `present` are the table's columns after they were changed.
    pub(crate) fn new(
        dialect: &'static Dialect,
        table: &TableName,
        deleted: &TableName,
        plan: &Plan<'_>,
        present: &[TableColumn],
    ) -> Result<Option<HardDelete>> {
        let named = |name: &str| present.iter().find(|column| folded(&column.name) == folded(name));
        let Some(is_deleted) = named(IS_DELETED) else { return Ok(None) };
        if (dialect.column_type)(&is_deleted.type_name) != ColumnType::Boolean {
            let message = format!(
                "column {IS_DELETED} of table {} is not a boolean, but rows are deleted by it",
                table.qualified
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
        let others = [SOURCE_UPDATED_AT, READ_AT, RUN_ID, FILE, IS_DELETED, DELETED_AT, DELETED_REASON];
        let others = others.iter().filter_map(|name| named(name));
        let others = others.filter(|column| !plan.primary_key.contains(&column.name));
        let keys = plan.primary_key.iter().filter_map(|key| named(key));
        let quoted = |name: &str| quote_identifier(named(name).map_or(name, |column| &column.name));
        let reach = plan.sets.as_ref().map_or(&plan.primary_key, |sets| &sets.key);
        Ok(Some(HardDelete {
            dialect,
            table: table.clone(),
            deleted: deleted.clone(),
            key: plan.primary_key.iter().map(|key| quote_identifier(key)).collect(),
            reach: reach.iter().map(|key| quote_identifier(key)).collect(),
            columns: keys.chain(others).cloned().collect(),
            is_deleted: quoted(IS_DELETED),
            version: [SOURCE_UPDATED_AT, READ_AT].map(quoted),
        }))
    }

    pub(crate) fn key(&self) -> &[String] {
        &self.key
    }

    /// The column by which rows are deleted, quoted.
    pub(crate) fn is_deleted(&self) -> &str {
        &self.is_deleted
    }

    /// Columns that the table of deleted rows has, or is to have.
    pub(crate) fn columns(&self) -> &[TableColumn] {
        &self.columns
    }

    /// Returns the statements that come before the merge of a group, and bring back the deleted rows with its keys.
    /// `source` reads the staged rows, and `staged` are the columns of their primary key.
    pub(crate) fn bring_back(&self, source: &str, staged: &[String]) -> [String; 2] {
        let is_staged = |deleted: &str| {
            let keys = self.key.iter().zip(staged).filter(|(key, _)| self.reach.contains(key));
            let equal: Vec<String> =
                keys.map(|(key, staged)| format!("{deleted}.{key} = {staged}")).collect();
            format!("EXISTS (SELECT 1 FROM {source} WHERE {})", equal.join(" AND "))
        };
        [self.insert_back(Some(is_staged("d"))), self.forget(Some(is_staged(&self.deleted.alone)))]
    }

    /// Returns the statements that bring all deleted rows back, when hard deletes end. The table of deleted rows has
    /// to be dropped then.
    pub(crate) fn bring_all_back(&self) -> [String; 2] {
        [self.insert_back(None), self.forget(None)]
    }

    fn insert_back(&self, condition: Option<String>) -> String {
        let (names, values) = (self.listed(""), self.listed("d."));
        let insert = format!("INSERT INTO {} ({names}) SELECT {values} FROM", self.table.qualified);
        let deleted = format!("{} AS d{}", self.deleted.qualified, where_all(condition));
        if self.dialect.is_transactional {
            return format!("{insert} {deleted}");
        }
        // Two merges at once may both have remembered a row.
        let newest = self
            .version
            .iter()
            .map(|column| format!("{} DESC", self.dialect.or_lowest(&format!("d.{column}"))));
        format!(
            "{insert} (SELECT {values}, row_number() OVER (PARTITION BY {} ORDER BY {}) AS place FROM {deleted}) AS d \
             WHERE d.place = 1 AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.key.iter().map(|key| format!("d.{key}")).collect::<Vec<_>>().join(", "),
            newest.collect::<Vec<_>>().join(", "),
            self.table.qualified,
            self.same_key("t", "d")
        )
    }

    /// Removes rows from the table of deleted rows that are in the table again.
    fn forget(&self, condition: Option<String>) -> String {
        let is_back = (!self.dialect.is_transactional).then(|| {
            let deleted = &self.deleted.alone;
            format!(
                "EXISTS (SELECT 1 FROM {} AS t WHERE {} AND {})",
                self.table.qualified,
                self.same_key("t", deleted),
                self.is_no_older("t", deleted)
            )
        });
        format!("DELETE FROM {}{}", self.deleted.qualified, where_all(condition.into_iter().chain(is_back)))
    }

    /// Returns the statements that come after the merge, and remove deleted rows from the table and its history.
    pub(crate) fn take_out(&self, history: Option<&TableName>) -> Vec<String> {
        let HardDelete { table, deleted, is_deleted, .. } = self;
        let is_unknown = (!self.dialect.is_transactional).then(|| {
            format!(
                "NOT EXISTS (SELECT 1 FROM {} AS d WHERE {} AND {})",
                deleted.qualified,
                self.same_key("d", "t"),
                self.is_no_older("d", "t")
            )
        });
        let is_gone = Some(format!("t.{is_deleted}")).into_iter().chain(is_unknown);
        let keep = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS t{}",
            deleted.qualified,
            self.listed(""),
            self.listed("t."),
            table.qualified,
            where_all(is_gone)
        );
        let past = history.map(|history| self.forget_past(history));
        match self.dialect.is_transactional {
            true => past.into_iter().chain([keep, self.delete()]).collect(),
            false => [keep, self.delete()].into_iter().chain(past).collect(),
        }
    }

    /// Removes deleted rows from the history. Where another merge may come in between, they are known only when they
    /// have left the table.
    fn forget_past(&self, history: &TableName) -> String {
        let HardDelete { table, deleted, is_deleted, .. } = self;
        let of = |table: &TableName, row: &str| {
            format!("EXISTS (SELECT 1 FROM {} AS {row} WHERE ", table.qualified)
        };
        let is_gone = match self.dialect.is_transactional {
            true => format!("{}t.{is_deleted} AND {})", of(table, "t"), self.same_key("t", &history.alone)),
            false => format!(
                "{}{}) AND NOT {}{})",
                of(deleted, "d"),
                self.same_key("d", &history.alone),
                of(table, "t"),
                self.same_key("t", &history.alone)
            ),
        };
        format!("DELETE FROM {} WHERE {is_gone}", history.qualified)
    }

    /// Removes the deleted rows from the table. Where another merge may come in between: those that are in the table
    /// of deleted rows, and those that came back although they are.
    fn delete(&self) -> String {
        let HardDelete { table, deleted, is_deleted, .. } = self;
        if self.dialect.is_transactional {
            return format!("DELETE FROM {} WHERE {is_deleted}", table.qualified);
        }
        format!(
            "DELETE FROM {} WHERE EXISTS (SELECT 1 FROM {} AS d WHERE {} AND {} AND ({}.{is_deleted} OR NOT {}))",
            table.qualified,
            deleted.qualified,
            self.same_key("d", &table.alone),
            self.is_no_older("d", &table.alone),
            table.alone,
            self.is_no_older(&table.alone, "d")
        )
    }

    fn same_key(&self, one: &str, other: &str) -> String {
        let equal = |key: &String| format!("{one}.{key} = {other}.{key}");
        self.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// Compares two rows by their versions.
    fn is_no_older(&self, one: &str, other: &str) -> String {
        let [updated, read] = &self.version;
        let of = |row: &str, column: &str| self.dialect.or_lowest(&format!("{row}.{column}"));
        format!(
            "({} > {} OR ({} = {} AND {} >= {}))",
            of(one, updated),
            of(other, updated),
            of(one, updated),
            of(other, updated),
            of(one, read),
            of(other, read)
        )
    }

    fn listed(&self, of: &str) -> String {
        let columns = self.columns.iter().map(|column| format!("{of}{}", quote_identifier(&column.name)));
        columns.collect::<Vec<_>>().join(", ")
    }
}

fn where_all(conditions: impl IntoIterator<Item = String>) -> String {
    match conditions.into_iter().collect::<Vec<_>>().join(" AND ") {
        none if none.is_empty() => none,
        all => format!(" WHERE {all}"),
    }
}

//! Companion tables of a collection's table: its deleted rows, and its history. Every engine keeps them by the same
//! statements. Those that begin a history of a table with rows, or end hard deletes, come before the merge's own.
//!
//! In an engine where DDL commits, a table can exist before its rows do. So the last column of a history is added when
//! its first rows, which do not need it, are in: a history without it has not begun.

use staging::{Column, ColumnType};

use crate::TableMode;
use crate::catalog::{Present, SchemaName};
use crate::columns::GroupColumns;
use crate::dialect::{Dialect, TableName};
use crate::error::Result;
use crate::hard_delete::HardDelete;
use crate::history::{History, Place, StagedRows, VALID_TO, check_history};
use crate::mode::{deleted_table, follow, history_table};
use crate::plan::{Plan, TableChange};
use crate::statement::Statement;
use crate::table::{TableColumn, Widening};

/// An engine's statements that create tables and change their columns. Statements that belong together are one item.
pub(crate) trait Shaping {
    /// `key` are the columns of the primary key.
    fn creation(&self, table: &str, key: &[String], columns: &[Column]) -> Vec<Vec<Statement>>;

    fn alteration(&self, table: &str, add: &[Column], widen: &[Widening]) -> Vec<Vec<Statement>>;

    fn shapes(&self, table: &str, key: &[String], change: &TableChange) -> Vec<Vec<Statement>> {
        match change {
            TableChange::Create(columns) => self.creation(table, key, columns),
            TableChange::Alter { add, widen } => self.alteration(table, add, widen),
        }
    }

    /// Returns the statement that drops the table if it exists.
    fn removal(&self, table: &str) -> Statement;
}

/// The companion tables of one collection's table, over all groups of a merge.
#[derive(Debug)]
pub(crate) struct CompanionTables {
    dialect: &'static Dialect,
    table: TableName,
    deleted: TableName,
    key: Vec<String>,
    pub(crate) hard_delete: Option<HardDelete>,
    pub(crate) history: Option<History>,
    /// Columns of the collection's table after the merge.
    pub(crate) columns: Vec<TableColumn>,
}

/// Statements that come before a merge.
#[derive(Debug)]
pub(crate) struct Preparation {
    /// Statements that belong together.
    pub(crate) together: Vec<Vec<Statement>>,
    /// Statements that come after those.
    pub(crate) then: Vec<Statement>,
}

impl CompanionTables {
    pub(crate) fn new(
        schema: &SchemaName,
        collection: &str,
        present: &Present,
        plan: &Plan<'_>,
        mode: TableMode,
    ) -> Result<CompanionTables> {
        let dialect = schema.dialect;
        let columns = plan.change.columns_after(dialect, present.columns.as_deref().unwrap_or_default());
        let mut companions = CompanionTables {
            dialect,
            table: schema.table_name(collection),
            deleted: schema.table_name(&deleted_table(collection)),
            key: plan.primary_key.clone(),
            hard_delete: None,
            history: None,
            columns,
        };
        if mode.hard_delete {
            companions.hard_delete = companions.hard_delete_of(plan, &companions.columns)?;
        }
        if mode.history {
            check_history(collection, plan)?;
            let history = schema.table_name(&history_table(collection));
            let history =
                History::new(dialect, &companions.table, &history, plan, present.history.as_deref());
            companions.history = Some(history);
        }
        Ok(companions)
    }

    fn hard_delete_of(&self, plan: &Plan<'_>, table: &[TableColumn]) -> Result<Option<HardDelete>> {
        HardDelete::new(self.dialect, &self.table, &self.deleted, plan, table)
    }

    /// `true`: rows that were deleted before are compared with staged ones.
    pub(crate) fn brings_back(&self) -> bool {
        self.hard_delete.is_some()
    }

    /// Returns the statements that bring deleted rows back into the table, which has these columns. `now` are the
    /// columns of the table of deleted rows. `None` if the table's rows are never deleted.
    pub(crate) fn end_of_hard_deletes(
        &self,
        engine: &impl Shaping,
        plan: &Plan<'_>,
        table: &[TableColumn],
        now: &[TableColumn],
    ) -> Result<Option<Preparation>> {
        let Some(it) = self.hard_delete_of(plan, table)? else { return Ok(None) };
        let mut together = self.to_columns(engine, &self.deleted, Some(now), it.columns());
        together.push(it.bring_all_back().map(Statement::write).to_vec());
        Ok(Some(Preparation { together, then: vec![engine.removal(&self.deleted.qualified)] }))
    }

    /// Returns the statements that begin a history with the present rows of the table, which has these columns. `None`
    /// if it has begun, or none is wanted.
    pub(crate) fn beginning_of_history(
        &self,
        engine: &impl Shaping,
        table: &[TableColumn],
        now: Option<&[TableColumn]>,
    ) -> Option<Preparation> {
        let last = (self.dialect.column_name)(VALID_TO);
        let has_begun = now.is_some_and(|columns| columns.iter().any(|column| column.name == last));
        let it = self.history.as_ref().filter(|_| !has_begun)?;
        let [content, from, last_read_at, to] = it.own_columns();
        let columns = [table, &[content, from, last_read_at]].concat();
        let mut together = self.to_columns(engine, &it.history, now, &columns);
        together.push(vec![Statement::write(it.begin(table))]);
        let then = engine.alteration(&it.history.qualified, &[defined(self.dialect, &to)], &[]);
        Some(Preparation { together, then: then.concat() })
    }

    /// Returns the statements that bring the tables to their columns; `present` are those that they have now.
    pub(crate) fn shapes(&self, engine: &impl Shaping, present: &Present) -> Vec<Vec<Statement>> {
        let deleted = self
            .hard_delete
            .iter()
            .flat_map(|it| self.to_columns(engine, &it.deleted, present.deleted.as_deref(), it.columns()));
        let history = self.history.iter().zip(self.history_columns()).flat_map(|(it, columns)| {
            self.to_columns(engine, &it.history, present.history.as_deref(), &columns)
        });
        deleted.chain(history).collect()
    }

    fn to_columns(
        &self,
        engine: &impl Shaping,
        table: &TableName,
        now: Option<&[TableColumn]>,
        columns: &[TableColumn],
    ) -> Vec<Vec<Statement>> {
        match now {
            Some(now) => {
                let (add, widen) = follow(self.dialect, columns, now);
                engine.alteration(&table.qualified, &add, &widen)
            }
            None => {
                let columns: Vec<Column> =
                    columns.iter().map(|column| defined(self.dialect, column)).collect();
                engine.creation(&table.qualified, &self.key, &columns)
            }
        }
    }

    /// Returns the columns of the history after the merge.
    pub(crate) fn history_columns(&self) -> Option<Vec<TableColumn>> {
        self.history.as_ref().map(|it| [self.columns.as_slice(), &it.own_columns()].concat())
    }

    /// Returns the columns of the scratch tables [`StagedRows::scratch`]; `None` if they are not needed.
    pub(crate) fn scratch(
        &self,
        columns: &GroupColumns,
        place: &Place,
    ) -> Option<[Vec<(String, ColumnType)>; 2]> {
        self.history.as_ref().map(|it| it.scratch(columns, place))
    }

    /// Returns the statements for a group whose rows are staged, to be run before the search for rows that change the
    /// table.
    pub(crate) fn staged(&self, columns: &GroupColumns, rows: &StagedRows<'_>) -> Vec<Statement> {
        let (keys, key) = rows.keys;
        let back = self.hard_delete.iter().flat_map(|it| it.bring_back(keys, key)).map(Statement::write);
        let hard_delete = self.hard_delete.as_ref();
        let added = self.history.iter().flat_map(|it| it.add(columns, rows, &self.columns, hard_delete));
        back.chain(added).collect()
    }

    /// Returns the statements to be run after the last group.
    pub(crate) fn end(&self) -> Vec<Statement> {
        let history = self.history.as_ref().map(|it| &it.history);
        self.hard_delete.iter().flat_map(|it| it.take_out(history)).map(Statement::write).collect()
    }
}

fn defined(dialect: &Dialect, column: &TableColumn) -> Column {
    Column::new(column.name.clone(), (dialect.column_type)(&column.type_name))
}

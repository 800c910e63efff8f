//! The tables beside a collection's: what was deleted from it, and its past. Every engine keeps them by the same
//! statements. Those that begin a history of a table that has rows, or end hard deletes, come before the merge's own.
//!
//! Where DDL commits, a table can be there before its rows are. So the column of a history that its first rows do not
//! need comes last, when they are in it: a history without it has not begun.

use staging::Column;

use crate::TableMode;
use crate::catalog::{Present, SchemaName};
use crate::columns::GroupColumns;
use crate::dialect::{Dialect, TableName};
use crate::error::Result;
use crate::hard_delete::HardDelete;
use crate::history::{History, VALID_TO, check_history};
use crate::mode::{deleted_table, follow, history_table};
use crate::plan::{Plan, TableChange};
use crate::statement::Statement;
use crate::table::{TableColumn, Widening};

/// Makes tables and changes their columns. Statements that belong together are one item.
pub(crate) trait Shaping {
    fn creation(&self, table: &str, columns: &[Column]) -> Vec<Vec<Statement>>;

    fn alteration(&self, table: &str, add: &[Column], widen: &[Widening]) -> Vec<Vec<Statement>>;

    fn shapes(&self, table: &str, change: &TableChange) -> Vec<Vec<Statement>> {
        match change {
            TableChange::Create(columns) => self.creation(table, columns),
            TableChange::Alter { add, widen } => self.alteration(table, add, widen),
        }
    }

    /// If it is there.
    fn removal(&self, table: &str) -> Statement;
}

/// The tables beside one collection's, over all groups of a merge.
#[derive(Debug)]
pub(crate) struct Beside {
    dialect: &'static Dialect,
    table: TableName,
    deleted: TableName,
    pub(crate) hard_delete: Option<HardDelete>,
    pub(crate) history: Option<History>,
    /// The table's, after the merge.
    pub(crate) columns: Vec<TableColumn>,
}

/// Statements that come before a merge.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Statements that belong together.
    pub(crate) together: Vec<Vec<Statement>>,
    /// When all of those are done.
    pub(crate) then: Vec<Statement>,
}

impl Beside {
    pub(crate) fn new(
        schema: &SchemaName,
        collection: &str,
        present: &Present,
        plan: &Plan<'_>,
        mode: TableMode,
    ) -> Result<Beside> {
        let dialect = schema.dialect;
        let columns = plan.change.columns_after(dialect, present.columns.as_deref().unwrap_or_default());
        let mut beside = Beside {
            dialect,
            table: schema.table_name(collection),
            deleted: schema.table_name(&deleted_table(collection)),
            hard_delete: None,
            history: None,
            columns,
        };
        if mode.hard_delete {
            beside.hard_delete = beside.hard_delete_of(plan, &beside.columns)?;
        }
        if mode.history {
            check_history(collection, plan)?;
            let history = schema.table_name(&history_table(collection));
            let history = History::new(dialect, &beside.table, &history, plan, present.history.as_deref());
            beside.history = Some(history);
        }
        Ok(beside)
    }

    fn hard_delete_of(&self, plan: &Plan<'_>, table: &[TableColumn]) -> Result<Option<HardDelete>> {
        HardDelete::new(self.dialect, &self.table, &self.deleted, plan, table)
    }

    /// Says whether rows that were deleted before are compared with staged ones.
    pub(crate) fn brings_back(&self) -> bool {
        self.hard_delete.is_some()
    }

    /// Brings back into the table, which has these columns, what was deleted from it. `now` are the columns of the
    /// table of deleted rows. `None` if the table's rows are never deleted.
    pub(crate) fn end_of_hard_deletes(
        &self,
        engine: &impl Shaping,
        plan: &Plan<'_>,
        table: &[TableColumn],
        now: &[TableColumn],
    ) -> Result<Option<Ahead>> {
        let Some(it) = self.hard_delete_of(plan, table)? else { return Ok(None) };
        let mut together = self.to_columns(engine, &self.deleted, Some(now), it.columns());
        together.push(it.bring_all_back().map(Statement::write).to_vec());
        Ok(Some(Ahead { together, then: vec![engine.removal(&self.deleted.qualified)] }))
    }

    /// Begins a history with the rows that the table, which has these columns, has now. `None` if it has begun, or
    /// none is wanted.
    pub(crate) fn beginning_of_history(
        &self,
        engine: &impl Shaping,
        table: &[TableColumn],
        now: Option<&[TableColumn]>,
    ) -> Option<Ahead> {
        let last = (self.dialect.column_name)(VALID_TO);
        let has_begun = now.is_some_and(|columns| columns.iter().any(|column| column.name == last));
        let it = self.history.as_ref().filter(|_| !has_begun)?;
        let [content, from, to] = it.own_columns();
        let columns = [table, &[content, from]].concat();
        let mut together = self.to_columns(engine, &it.history, now, &columns);
        together.push(vec![Statement::write(it.begin(table))]);
        let then = engine.alteration(&it.history.qualified, &[defined(self.dialect, &to)], &[]);
        Some(Ahead { together, then: then.concat() })
    }

    /// Brings the tables to their columns; `present` says which these are now.
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
                engine.creation(&table.qualified, &columns)
            }
        }
    }

    /// The columns of the history, after the merge.
    pub(crate) fn history_columns(&self) -> Option<Vec<TableColumn>> {
        self.history.as_ref().map(|it| [self.columns.as_slice(), &it.own_columns()].concat())
    }

    /// To be run when a group's rows are staged, before it is found which of them change the table. `rows` reads all
    /// that is staged of them; `keys` reads what has at least the expressions of their primary key.
    pub(crate) fn staged(
        &self,
        columns: &GroupColumns,
        rows: &str,
        (keys, key): (&str, &[String]),
    ) -> Vec<Statement> {
        let back = self.hard_delete.iter().flat_map(|it| it.bring_back(keys, key));
        let added = self.history.iter().map(|it| it.add(columns, rows));
        back.chain(added).map(Statement::write).collect()
    }

    /// To be run after the last group.
    pub(crate) fn end(&self) -> Vec<Statement> {
        let times = self.history.iter().map(History::set_times);
        let history = self.history.as_ref().map(|it| &it.history);
        let out = self.hard_delete.iter().flat_map(|it| it.take_out(history));
        times.chain(out).map(Statement::write).collect()
    }
}

fn defined(dialect: &Dialect, column: &TableColumn) -> Column {
    Column::new(column.name.clone(), (dialect.column_type)(&column.type_name))
}

//! The tables beside a collection's: what was deleted from it, and its past. A merge keeps them in its script; what it
//! takes to begin one that is to hold rows of the table, or to end one, is done ahead, in scripts of its own.
//!
//! Where DDL commits, a table can be there before its rows are. So the column of a history that its first rows do not
//! need comes last, when they are in it: a history without it has not begun.

use staging::{Column, ColumnType};

use super::engine::{Engine, Statement};
use super::merge::Target;
use super::schema::{Present, Schema};
use super::sql::GroupMerge;
use crate::TableMode;
use crate::dialect::{Dialect, TableName};
use crate::error::Result;
use crate::hard_delete::HardDelete;
use crate::history::{History, VALID_TO, check_history};
use crate::mode::{deleted_table, follow, history_table};
use crate::plan::{Plan, TableColumn, folded};

/// What a merge does besides, over all groups of a script.
#[derive(Debug)]
pub(super) struct Beside {
    hard_delete: Option<(HardDelete, TableName)>,
    history: Option<History>,
    /// A scratch table for [`History::find_times`], and its columns.
    times: Option<(String, Vec<(String, ColumnType)>)>,
    /// The table's, after the merge.
    columns: Vec<TableColumn>,
}

impl Beside {
    pub(super) fn of<E: Engine>(
        schema: &Schema<E>,
        collection: &str,
        present: &Present,
        plan: &Plan<'_>,
        mode: TableMode,
        times: String,
    ) -> Result<Beside> {
        let (engine, table) = (&schema.engine, schema.table_name(collection));
        let dialect = engine.dialect();
        let columns = plan.change.columns_after(dialect, present.columns.as_deref().unwrap_or_default());
        let mut beside = Beside { hard_delete: None, history: None, times: None, columns };
        if mode.hard_delete {
            let deleted = schema.table_name(&deleted_table(collection));
            let is_alone = engine.is_transactional();
            let it = HardDelete::new(dialect, &table, &deleted, plan, &beside.columns, is_alone)?;
            beside.hard_delete = it.map(|it| (it, deleted));
        }
        if mode.history {
            check_history(collection, plan)?;
            let history = schema.table_name(&history_table(collection));
            let history = History::new(dialect, &table, &history, plan);
            let key_type = |n: usize| {
                let named = |column: &&TableColumn| plan.primary_key.get(n) == Some(&column.name);
                let column = beside.columns.iter().find(named);
                column.map_or(ColumnType::Text, |column| (dialect.column_type)(&column.type_name))
            };
            beside.times = Some((times, history.times(key_type)));
            beside.history = Some(history);
        }
        Ok(beside)
    }

    /// Whether rows that were deleted before are compared with staged ones.
    pub(super) fn brings_back(&self) -> bool {
        self.hard_delete.is_some()
    }

    pub(super) fn scratch_table(&self) -> Option<&String> {
        self.times.as_ref().map(|(table, _)| table)
    }

    /// The scratch tables, and their columns.
    pub(super) fn scratch(&self) -> impl Iterator<Item = (&str, &[(String, ColumnType)])> {
        self.times.iter().map(|(table, columns)| (table.as_str(), columns.as_slice()))
    }

    /// To be run before it is found which rows of a group change the table.
    pub(super) fn staged(&self, merge: &GroupMerge<'_>) -> Vec<Statement> {
        let back = self.hard_delete.iter().flat_map(|(it, _)| merge.bring_back(it));
        let added = self.history.iter().map(|it| merge.add_to(it));
        back.chain(added).map(Statement::write).collect()
    }

    /// To be run after the last group.
    pub(super) fn end(&self, is_alone: bool) -> Vec<Statement> {
        let mut statements = Vec::new();
        if let (Some(it), Some((times, _))) = (&self.history, &self.times) {
            statements.push(Statement::scratch(it.find_times(times)));
            statements.push(Statement::write(it.merge_times(times, is_alone)));
        }
        if let Some((it, _)) = &self.hard_delete {
            let out = it.take_out(self.history.as_ref().map(|history| &history.history));
            statements.extend(out.into_iter().map(Statement::write));
        }
        statements
    }
}

impl<E: Engine> Target<'_, E> {
    pub(super) fn shapes_beside(&self) -> Vec<Vec<Statement>> {
        let Beside { hard_delete, history, columns, .. } = &self.beside;
        let deleted = hard_delete.iter().flat_map(|(it, deleted)| {
            self.to_columns(deleted, self.present.deleted.as_deref(), it.columns())
        });
        let history = history.iter().flat_map(|it| {
            let columns = [columns.as_slice(), &it.own_columns()].concat();
            self.to_columns(&it.history, self.present.history.as_deref(), &columns)
        });
        deleted.chain(history).collect()
    }

    fn to_columns(
        &self,
        table: &TableName,
        now: Option<&[TableColumn]>,
        columns: &[TableColumn],
    ) -> Vec<Vec<Statement>> {
        let dialect = self.schema.engine.dialect();
        match now {
            Some(now) => {
                let (add, widen) = follow(dialect, columns, now);
                self.alteration(&table.qualified, &add, &widen)
            }
            None => {
                let columns: Vec<Column> = columns.iter().map(|column| defined(dialect, column)).collect();
                self.creation(&table.qualified, &columns)
            }
        }
    }

    /// What has to be done ahead where the table was kept otherwise before: the number of statements, or `None` if it
    /// is nothing.
    pub(super) async fn change_mode(&self) -> Result<Option<u64>> {
        if let Some(deleted) = self.present.deleted.as_deref().filter(|_| !self.mode.hard_delete) {
            return self.end_hard_deletes(deleted).await;
        }
        let has_begun = |columns: &Vec<TableColumn>| {
            let to = (self.schema.engine.dialect().column_name)(VALID_TO);
            columns.iter().any(|column| folded(&column.name) == folded(&to))
        };
        match (&self.beside.history, &self.present.columns) {
            (Some(it), Some(table)) if !self.present.history.as_ref().is_some_and(has_begun) => {
                self.begin_history(it, table).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Brings back into the table what was deleted from it.
    async fn end_hard_deletes(&self, now: &[TableColumn]) -> Result<Option<u64>> {
        let engine = &self.schema.engine;
        let deleted = self.schema.table_name(&deleted_table(self.collection));
        let of = |columns: &[TableColumn]| {
            HardDelete::new(
                engine.dialect(),
                &self.table,
                &deleted,
                &self.plan,
                columns,
                engine.is_transactional(),
            )
        };
        if of(&self.beside.columns)?.is_none() {
            return Ok(None);
        }
        let present = self.present.columns.as_deref().map(of).transpose()?.flatten();
        let Some(it) = present else {
            // The table is not there, or was made anew by hand.
            return self.shape_ahead().await.map(Some);
        };
        let mut together = self.to_columns(&deleted, Some(now), it.columns());
        together.push(it.bring_all_back().map(Statement::write).to_vec());
        let written = self.run_apart(together).await?;
        self.schema.run(&[Statement::shape(engine.drop_table(&deleted.qualified))]).await?;
        Ok(Some(written + 1))
    }

    /// With the rows that the table has now.
    async fn begin_history(&self, it: &History, table: &[TableColumn]) -> Result<u64> {
        let engine = &self.schema.engine;
        let [content, from, to] = it.own_columns();
        let columns = [table, &[content, from]].concat();
        let mut together = self.to_columns(&it.history, self.present.history.as_deref(), &columns);
        together.push(vec![Statement::write(it.begin(table))]);
        let written = self.run_apart(together).await?;
        let last = engine.add_columns(&it.history.qualified, &[defined(engine.dialect(), &to)]);
        let last: Vec<Statement> = last.into_iter().map(Statement::shape).collect();
        self.schema.run(&last).await?;
        Ok(written + last.len() as u64)
    }
}

fn defined(dialect: &Dialect, column: &TableColumn) -> Column {
    Column::new(column.name.clone(), (dialect.column_type)(&column.type_name))
}

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
use crate::plan::{Plan, TableColumn};

/// What a merge does besides, over all groups of a script.
#[derive(Debug)]
pub(super) struct Beside {
    hard_delete: Option<HardDelete>,
    history: Option<History>,
    /// A scratch table for [`History::find_times`], and its columns, where the engine needs one.
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
            beside.hard_delete = HardDelete::new(dialect, &table, &deleted, plan, &beside.columns)?;
        }
        if mode.history {
            check_history(collection, plan)?;
            let history = schema.table_name(&history_table(collection));
            let history = History::new(dialect, &table, &history, plan, present.history.as_deref());
            let key_type = |n: usize| {
                let named = |column: &&TableColumn| plan.primary_key.get(n) == Some(&column.name);
                let column = beside.columns.iter().find(named);
                column.map_or(ColumnType::Text, |column| (dialect.column_type)(&column.type_name))
            };
            beside.times = (!dialect.is_transactional).then(|| (times, history.times(key_type)));
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
        let back = self.hard_delete.iter().flat_map(|it| merge.bring_back(it));
        let added = self.history.iter().map(|it| merge.add_to(it));
        back.chain(added).map(Statement::write).collect()
    }

    /// To be run after the last group.
    pub(super) fn end(&self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if let Some(it) = &self.history {
            statements.extend(match &self.times {
                Some((times, _)) => {
                    vec![Statement::scratch(it.find_times(times)), Statement::write(it.merge_times(times))]
                }
                None => vec![Statement::write(it.set_times())],
            });
        }
        if let Some(it) = &self.hard_delete {
            let out = it.take_out(self.history.as_ref().map(|history| &history.history));
            statements.extend(out.into_iter().map(Statement::write));
        }
        statements
    }
}

impl<E: Engine> Target<'_, E> {
    pub(super) fn shapes_beside(&self) -> Vec<Vec<Statement>> {
        let Beside { hard_delete, history, columns, .. } = &self.beside;
        let deleted = hard_delete
            .iter()
            .flat_map(|it| self.to_columns(&it.deleted, self.present.deleted.as_deref(), it.columns()));
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

    /// Does ahead what [`Self::mode_change`] says; the number of statements, or `None` if it is nothing.
    pub(super) async fn change_mode(&self) -> Result<Option<u64>> {
        let Some(Ahead { together, then }) = self.mode_change()? else { return Ok(None) };
        let written = self.run_apart(together).await?;
        self.schema.run(&then).await?;
        Ok(Some(written + then.len() as u64))
    }

    /// What has to be done ahead where the table was kept otherwise before.
    pub(super) fn mode_change(&self) -> Result<Option<Ahead>> {
        if let Some(deleted) = self.present.deleted.as_deref().filter(|_| !self.mode.hard_delete) {
            return self.end_of_hard_deletes(deleted);
        }
        let to = (self.schema.engine.dialect().column_name)(VALID_TO);
        let has_begun = |columns: &Vec<TableColumn>| columns.iter().any(|column| column.name == to);
        Ok(match (&self.beside.history, &self.present.columns) {
            (Some(it), Some(table)) if !self.present.history.as_ref().is_some_and(has_begun) => {
                Some(self.beginning_of_history(it, table))
            }
            _ => None,
        })
    }

    /// Brings back into the table what was deleted from it. `now` are the columns of the table of deleted rows.
    fn end_of_hard_deletes(&self, now: &[TableColumn]) -> Result<Option<Ahead>> {
        let (engine, deleted) =
            (&self.schema.engine, self.schema.table_name(&deleted_table(self.collection)));
        let dialect = engine.dialect();
        let of =
            |columns: &[TableColumn]| HardDelete::new(dialect, &self.table, &deleted, &self.plan, columns);
        if of(&self.beside.columns)?.is_none() {
            return Ok(None);
        }
        let Some(it) = self.present.columns.as_deref().map(of).transpose()?.flatten() else {
            // The table is not there, or was made anew by hand.
            return Ok(Some(Ahead { together: self.shapes(), then: Vec::new() }));
        };
        let mut together = self.to_columns(&deleted, Some(now), it.columns());
        together.push(it.bring_all_back().map(Statement::write).to_vec());
        Ok(Some(Ahead { together, then: vec![Statement::shape(engine.drop_table(&deleted.qualified))] }))
    }

    /// With the rows that the table has now.
    fn beginning_of_history(&self, it: &History, table: &[TableColumn]) -> Ahead {
        let engine = &self.schema.engine;
        let [content, from, to] = it.own_columns();
        let columns = [table, &[content, from]].concat();
        let mut together = self.to_columns(&it.history, self.present.history.as_deref(), &columns);
        together.push(vec![Statement::write(it.begin(table))]);
        let then = engine.add_columns(&it.history.qualified, &[defined(engine.dialect(), &to)]);
        Ahead { together, then: then.into_iter().map(Statement::shape).collect() }
    }
}

/// Scripts of their own.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Statements that belong together.
    pub(super) together: Vec<Vec<Statement>>,
    /// When all of those are done.
    pub(super) then: Vec<Statement>,
}

fn defined(dialect: &Dialect, column: &TableColumn) -> Column {
    Column::new(column.name.clone(), (dialect.column_type)(&column.type_name))
}

//! Changes of a schema and of tables' columns, before rows are written.

use staging::ColumnType;

use super::engine::Engine;
use super::target::Target;
use crate::companion_tables::{Preparation, Shaping};
use crate::dialect::{ACCOUNT, LEDGER};
use crate::error::{Error, Kind, Result};
use crate::statement::{Purpose, Statement, check};
use crate::table::TableColumn;

impl<E: Engine> Target<'_, E> {
    /// Nobody else has merged since this merge looked, and nobody will until it is done.
    pub(super) fn begin(&self) -> Vec<Statement> {
        let engine = &self.schema.engine;
        let (account, ledger) = (self.schema.name.table(ACCOUNT), self.schema.name.table(LEDGER));
        let mut script = Vec::new();
        if self.present.account.is_none() || !self.present.has_ledger {
            script.push(Statement::shape(engine.create_schema(&self.schema.name.quoted())));
            let bookkeeping = engine.create_bookkeeping(&account, &ledger);
            script.extend(bookkeeping.map(Statement::shape));
            script.extend(engine.prepare_schema(&self.schema.name.quoted()).map(Statement::shape));
        }
        script.extend(engine.lock(&ledger).map(Statement::scratch));
        let condition = format!(
            "(SELECT count(DISTINCT file_key) FROM {ledger} WHERE collection = {}) = {} \
             AND (SELECT count(DISTINCT account_id) FROM {account}) = {}",
            (engine.dialect().literal)(self.collection),
            self.present.ledger.files,
            u8::from(self.present.account.is_some())
        );
        script.push(Statement::new(
            Purpose::Unchanged,
            check(engine.dialect(), &condition, "changed meanwhile"),
        ));
        script
    }

    pub(super) fn bind(&self) -> Option<Statement> {
        if self.present.account.is_some() {
            return None;
        }
        let files = self.plan.groups.iter().flat_map(|group| &group.files);
        let account = files.map(|file| file.description.account_id).next().unwrap_or_default();
        let insert =
            format!("INSERT INTO {} VALUES ({account}, {})", self.schema.name.table(ACCOUNT), self.now());
        Some(Statement::write(insert))
    }

    /// This machine's time: engines differ in what they call theirs.
    pub(super) fn now(&self) -> String {
        let dialect = self.schema.engine.dialect();
        let now = (dialect.literal)(&(dialect.time_text)(self.moment.now));
        format!("CAST({now} AS {})", (dialect.type_name)(ColumnType::Timestamp))
    }

    /// Changes of the tables' columns: statements that belong together, in order.
    pub(super) fn shapes(&self) -> Vec<Vec<Statement>> {
        let engine = &self.schema.engine;
        let mut shapes = engine.shapes(&self.table.qualified, &self.plan.primary_key, &self.plan.change);
        shapes.extend(self.companions.shapes(engine, self.present));
        shapes
    }

    /// Forgets the files of a table that was dropped. This comes before the table is made, in a script of its own:
    /// where DDL commits, a crash in between would leave an empty table whose files count as loaded.
    pub(super) async fn forget(&self) -> Result<u64> {
        let mut script = self.begin();
        script.push(Statement::write(self.schema.name.forget(self.collection)));
        let mut session = E::Session::default();
        let written = self.run_ahead(&mut session, &script).await;
        self.schema.engine.end(session, &[]).await;
        written
    }

    /// Does ahead what [`Self::mode_change`] says; the number of statements, or `None` if it is nothing.
    pub(super) async fn change_mode(&self) -> Result<Option<u64>> {
        let Some(Preparation { together, then }) = self.mode_change()? else { return Ok(None) };
        let written = self.run_apart(together).await?;
        self.schema.run(&then).await?;
        Ok(Some(written + then.len() as u64))
    }

    /// Statements that come ahead where the table was kept otherwise before.
    pub(super) fn mode_change(&self) -> Result<Option<Preparation>> {
        let (engine, companions, table) =
            (&self.schema.engine, &self.companions, self.present.columns.as_deref());
        let Some(deleted) = self.present.deleted.as_deref().filter(|_| !self.mode.hard_delete) else {
            let history = self.present.history.as_deref();
            return Ok(table.and_then(|table| companions.beginning_of_history(engine, table, history)));
        };
        let end = |table: &[TableColumn]| companions.end_of_hard_deletes(engine, &self.plan, table, deleted);
        if end(&companions.columns)?.is_none() {
            return Ok(None);
        }
        // If the table is not there, or was made anew by hand, it gets its columns first.
        let first = Preparation { together: self.shapes(), then: Vec::new() };
        Ok(Some(table.map(end).transpose()?.flatten().unwrap_or(first)))
    }

    /// Changes the columns in scripts of their own; answers with the number of statements.
    pub(super) async fn shape_ahead(&self) -> Result<u64> {
        let shapes = self.shapes();
        if shapes.is_empty() {
            let message =
                format!("a merge into {} needs more statements than a script has", self.table.qualified);
            return Err(Error::new(Kind::Unsupported, message));
        }
        self.run_apart(shapes).await
    }

    /// In scripts of their own, as few as there is room in; answers with the number of statements.
    pub(super) async fn run_apart(&self, together: Vec<Vec<Statement>>) -> Result<u64> {
        let mut session = E::Session::default();
        let written = self.run_in_parts(&mut session, together).await;
        self.schema.engine.end(session, &[]).await;
        written
    }

    async fn run_in_parts(&self, session: &mut E::Session, shapes: Vec<Vec<Statement>>) -> Result<u64> {
        let limit = self.schema.engine.limits().statements;
        let mut script = self.begin();
        script.extend(self.bind());
        let mut written = 0;
        for shape in shapes {
            if script.len() + shape.len() > limit {
                written += self.run_ahead(session, &std::mem::take(&mut script)).await?;
            }
            script.extend(shape);
        }
        Ok(written + self.run_ahead(session, &script).await?)
    }

    async fn run_ahead(&self, session: &mut E::Session, script: &[Statement]) -> Result<u64> {
        self.check_bytes(script)?;
        self.run(session, script).await?;
        Ok(script.iter().filter(|statement| statement.writes()).count() as u64)
    }
}

//! A schema of an engine: what is read of it and changed in it outside of merges.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use async_trait::async_trait;
use staging::StagedFile;

use super::engine::{Engine, Limits};
use crate::adopt::{is_to_be_renamed, renamed_by_hand};
use crate::catalog::{Catalog, Rows, SchemaName};
use crate::dialect::{LEDGER, RUNS};
use crate::error::Result;
use crate::statement::Statement;
use crate::table::TableColumn;
use crate::{Erase, Erased, Maintained, RunRow, erase, extent};

#[derive(Debug)]
pub(super) struct Schema<E> {
    pub(super) engine: E,
    pub(super) name: SchemaName,
}

#[async_trait]
impl<E: Engine> Catalog for &Schema<E> {
    fn schema(&self) -> &SchemaName {
        &self.name
    }

    async fn columns(&mut self, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        self.engine.columns(&self.name.name, tables).await
    }

    async fn views(&mut self, names: &[&str]) -> Result<HashSet<String>> {
        self.engine.views(&self.name.name, names).await
    }

    async fn query(&mut self, sql: &str) -> Result<Rows> {
        self.engine.query(sql).await
    }
}

impl<E: Engine> Schema<E> {
    pub(super) fn new(engine: E, name: &str) -> Schema<E> {
        Schema { name: SchemaName::new(engine.dialect(), name), engine }
    }

    /// The beginning of a script that is alone in changing the schema.
    fn locked(&self) -> Vec<Statement> {
        self.engine.lock(&self.name.table(LEDGER)).map(Statement::scratch).into_iter().collect()
    }

    /// [`crate::Warehouse::forget`]. Where nothing joins the two statements, the first one may be the last: then it is
    /// done once more.
    pub(super) async fn forget(&self, collection: &str) -> Result<()> {
        let mut this = self;
        let Some(columns) = this.columns_of_table(collection).await? else { return Ok(()) };
        let mut script = self.locked();
        script.push(Statement::write(self.name.forget(collection)));
        let outdate = extent::outdate(self.engine.dialect(), &self.name.table(collection), &columns);
        script.extend(outdate.map(Statement::write));
        self.run(&script).await
    }

    /// [`crate::Warehouse::erase`]. Twice is once, so where nothing joins the statements, each may be the last.
    pub(super) async fn erase(&self, erase: &Erase) -> Result<Vec<Erased>> {
        let mut this = self;
        let (mut script, mut erased) = (Vec::new(), Vec::new());
        for table in erase::look(&mut this, erase).await? {
            let mut counts = Vec::new();
            for [write, count] in table.pairs() {
                let count = this.count(count).await?;
                script.extend((count > 0).then(|| Statement::write(write.as_str())));
                counts.push(count);
            }
            erased.push(table.erased(&counts));
        }
        if !erase.is_dry_run {
            for part in in_scripts(&script, self.engine.limits()) {
                self.run(&[self.locked().as_slice(), part].concat()).await?;
            }
        }
        Ok(erased)
    }

    /// [`crate::Warehouse::replace_in_ledger`].
    pub(super) async fn replace_in_ledger(
        &self,
        collection: &str,
        old: &[&str],
        new: Option<&StagedFile>,
    ) -> Result<bool> {
        let mut this = self;
        if this.ledger(collection, old).await?.held.len() < old.len() {
            return Ok(false);
        }
        let mut script = self.locked();
        script.extend(self.name.replace_in_ledger(collection, old, new).into_iter().map(Statement::write));
        self.run(&script).await?;
        Ok(true)
    }

    /// [`crate::Warehouse::put_aside`]. Of two at once, the second one finds the new name taken.
    pub(super) async fn put_aside(&self, table: &str, to: &str) -> Result<()> {
        let mut this = self;
        if !is_to_be_renamed([table, to], &this.makers(&[table, to]).await?)? {
            return Ok(());
        }
        let sql = self.engine.rename_table(&self.name.table_name(table), &self.name.table_name(to))?;
        self.run(&[Statement::shape(sql)]).await.map_err(|error| renamed_by_hand(error, table, to))
    }

    /// Adds the runs that the schema does not hold yet, once it is bound to an account.
    pub(super) async fn record_runs(&self, rows: &[RunRow]) -> Result<u64> {
        let mut this = self;
        let (new, has_table) = this.unrecorded(rows).await?;
        if new.is_empty() {
            return Ok(0);
        }
        let (table, dialect) = (self.name.table(RUNS), self.engine.dialect());
        let mut script = self.locked();
        if !has_table {
            script.push(Statement::shape(self.engine.create_runs(&table)));
        }
        let limits = self.engine.limits();
        for statement in dialect.insert_runs(&table, &new, limits.statement_bytes) {
            script.push(Statement::write(statement));
            if script.len() == limits.statements {
                self.run(&std::mem::take(&mut script)).await?;
            }
        }
        self.run(&script).await?;
        Ok(new.len() as u64)
    }

    pub(super) async fn maintain(&self, until: Instant) -> Result<Maintained> {
        self.engine.maintain(&self.name.name, until).await
    }

    pub(super) async fn run(&self, script: &[Statement]) -> Result<()> {
        if script.is_empty() {
            return Ok(());
        }
        let mut session = E::Session::default();
        let ran = self.engine.run(&mut session, script).await;
        self.engine.end(session, &[]).await;
        ran.map(drop).map_err(|failed| failed.error)
    }
}

/// Divides statements, so that each part and a lock are a script.
fn in_scripts(statements: &[Statement], limits: Limits) -> Vec<&[Statement]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (n, statement) in statements.iter().enumerate() {
        let length = statement.sql.len();
        if n > begin && (n - begin + 1 >= limits.statements || bytes + length > limits.script_bytes / 2) {
            parts.push(&statements[begin..n]);
            (begin, bytes) = (n, 0);
        }
        bytes += length;
    }
    parts.extend((begin < statements.len()).then(|| &statements[begin..]));
    parts
}

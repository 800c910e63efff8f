//! The contract of an engine: all that it does in its own way.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Instant;

use async_trait::async_trait;
use staging::{Column, ColumnType};

use crate::adopt::rename;
use crate::catalog::{Rows, SchemaName};
use crate::companion_tables::Shaping;
use crate::dialect::{Dialect, TableName, quote_identifier};
use crate::error::{Error, Result};
use crate::statement::Statement;
use crate::table::{TableColumn, Widening};
use crate::{LocatedFile, Maintained, Reads};

/// A warehouse that takes SQL text.
#[async_trait]
pub(crate) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Keeps scratch tables between the scripts of one merge.
    type Session: Default + Send + Sync;

    fn dialect(&self) -> &'static Dialect;

    fn limits(&self) -> Limits;

    /// The place of the files that [`Engine::prepare`] and [`Engine::stage`] take.
    fn reads(&self) -> Reads {
        Reads::S3
    }

    /// A scratch table's name as SQL needs it. `schema` is quoted; `name` is not used twice.
    fn scratch(&self, schema: &str, name: &str) -> String;

    /// Makes a scratch table.
    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String;

    /// Makes the scratch table [`Staging::table`].
    fn create_staged(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        self.create_scratch(table, columns)
    }

    /// Tells the planner what is in a scratch table, where it does not see that by itself.
    fn analyze(&self, _table: &str) -> Option<Statement> {
        None
    }

    /// `schema` is quoted.
    fn create_schema(&self, schema: &str) -> String {
        format!("CREATE SCHEMA IF NOT EXISTS {schema}")
    }

    /// `key` are the columns of the primary key.
    fn create_table(&self, table: &str, _key: &[String], columns: &[Column]) -> String {
        self.dialect().create_table(table, columns)
    }

    /// The account's table and the ledger, unless they are there.
    fn create_bookkeeping(&self, account: &str, ledger: &str) -> [String; 2] {
        self.dialect().create_bookkeeping(account, ledger)
    }

    fn create_runs(&self, runs: &str) -> String {
        self.dialect().create_runs(runs)
    }

    fn add_columns(&self, table: &str, columns: &[Column]) -> Vec<String> {
        columns
            .iter()
            .map(|column| format!("ALTER TABLE {table} {}", self.dialect().add_column(column)))
            .collect()
    }

    /// If it is there.
    fn drop_table(&self, table: &str) -> String {
        format!("DROP TABLE IF EXISTS {table}")
    }

    /// Puts in place what the statements of [`Engine::stage`] need besides.
    async fn prepare(&self, _helper: &str, _files: &[&LocatedFile]) -> Result<()> {
        Ok(())
    }

    /// Fills the scratch table [`Staging::table`] from the files of a group.
    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>>;

    /// Makes what the engine needs in a schema besides its tables, unless it is there.
    fn prepare_schema(&self, _schema: &str) -> Option<String> {
        None
    }

    /// Makes other merges into the schema wait until the end of the script. `ledger` is there.
    fn lock(&self, ledger: &str) -> Option<String>;

    /// Statements that give a column another type: together or not at all, or such that [`Engine::mend`] knows what to
    /// do about the rest.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String>;

    /// Statements that end, or undo, what [`Engine::widen`] began.
    fn mend(&self, _table: &str, _columns: &[TableColumn]) -> Vec<String> {
        Vec::new()
    }

    /// The columns of those of the tables that exist, in order, by the table's name. Types are spelled as
    /// [`Dialect::type_name`] spells them.
    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>>;

    /// Reads, outside of any merge.
    async fn query(&self, sql: &str) -> Result<Rows>;

    /// What tells views from tables, in the columns of the standard's `tables`.
    fn all_tables(&self) -> &'static str {
        "information_schema.tables"
    }

    /// Those of the names that are of views.
    async fn views(&self, schema: &str, names: &[&str]) -> Result<HashSet<String>> {
        let found = self.query(&views(self, schema, names)).await?;
        Ok(found.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The statement that gives a table another name.
    fn rename_table(&self, table: &TableName, to: &TableName) -> Result<String> {
        Ok(rename(table, to))
    }

    /// `true`: views are kept.
    fn keeps_views(&self) -> bool {
        true
    }

    /// The name of a table in the query of a view.
    fn in_view(&self, schema: &SchemaName, table: &str) -> String {
        schema.in_view(table)
    }

    /// Makes another schema of the same database, unless it is there.
    async fn make_schema(&self, schema: &SchemaName) -> Result<()> {
        let mut session = Self::Session::default();
        let script = [Statement::shape(self.create_schema(&schema.quoted()))];
        let made = self.run(&mut session, &script).await;
        self.end(session, &[]).await;
        made.map(drop).map_err(|failed| failed.error)
    }

    /// The statement that makes a view, or puts it in the place of one that is there.
    fn create_view(&self, view: &str, query: &str) -> String {
        format!("CREATE OR REPLACE VIEW {view} AS {query}")
    }

    /// The statement that puts a view in the place of one that is there.
    fn replace_view(&self, view: &str, query: &str) -> String {
        self.create_view(view, query)
    }

    /// The statement after which none of the same transaction waits long for readers of a view, where they hold it up.
    fn patience_with_readers(&self) -> Option<String> {
        None
    }

    /// Statements of one transaction that drop a view and make it anew, where the other one does not take all columns.
    fn drop_and_create_view(&self, _view: &str, _query: &str) -> Option<Vec<String>> {
        None
    }

    /// Runs statements in one transaction, if the engine has any, and answers with the rows of those that count. What
    /// makes tables comes before what fills them, so an engine whose DDL commits can run it ahead. After a failure, the
    /// session is not used again.
    async fn run(&self, session: &mut Self::Session, script: &[Statement]) -> Result<Vec<Rows>, Failed>;

    /// [`crate::Warehouse::maintain`].
    async fn maintain(&self, _schema: &str, _until: Instant) -> Result<Maintained> {
        Ok(Maintained::default())
    }

    /// A sentence about what the warehouse keeps of deleted rows, and for how long.
    fn kept_after_deletion(&self) -> &'static str;

    /// Tidies up after a merge, whatever came of it. `scratch` are the tables that it may have left.
    async fn end(&self, _session: Self::Session, _scratch: &[String]) {}
}

/// The query for those of the names that are of views.
pub(super) fn views<E: Engine + ?Sized>(engine: &E, schema: &str, names: &[&str]) -> String {
    let literal = engine.dialect().literal;
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!(
        "SELECT table_name FROM {} WHERE table_schema = {} AND table_name IN ({}) AND table_type <> 'BASE TABLE'",
        engine.all_tables(),
        literal(schema),
        names.join(", ")
    )
}

/// The most that one script may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) statements: usize,
    pub(crate) statement_bytes: usize,
    /// All statements together.
    pub(crate) script_bytes: usize,
    /// Columns of a table, scratch tables included.
    pub(crate) columns: usize,
    /// Columns of a table that a `MERGE` may insert into and update at once.
    pub(crate) merged_columns: usize,
}

impl Limits {
    /// Columns of the files, which become rows of a scratch table that also has [`Staging::table`]'s two.
    pub(crate) fn staged_columns(&self) -> usize {
        self.columns.saturating_sub(2)
    }
}

/// The way of a group's files into a scratch table.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    /// Columns `file_no` and `row_no`, which together tell rows apart, then `c0`, `c1`, ... : the files' columns in
    /// their order and types. It is there already.
    pub(crate) table: &'a str,
    /// A scratch name for whatever else is needed; not there yet.
    pub(crate) helper: &'a str,
    /// In the order of the files' columns.
    pub(crate) types: &'a [ColumnType],
    /// Their `file_no` is their place here.
    pub(crate) files: &'a [&'a LocatedFile],
}

/// A script that failed, and left nothing where it is a transaction.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Which of its statements did, if the engine says.
    pub(crate) statement: Option<usize>,
    pub(crate) error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { statement: None, error }
    }
}

/// Statements are no longer than the engine takes.
impl<E: Engine> Shaping for E {
    fn creation(&self, table: &str, key: &[String], columns: &[Column]) -> Vec<Vec<Statement>> {
        let limit = self.limits().statement_bytes;
        let mut first = columns.len();
        while first > 1 && self.create_table(table, key, &columns[..first]).len() > limit {
            first /= 2;
        }
        let (first, later) = columns.split_at(first);
        let create = vec![Statement::shape(self.create_table(table, key, first))];
        [create].into_iter().chain(self.alteration(table, later, &[])).collect()
    }

    fn alteration(&self, table: &str, add: &[Column], widen: &[Widening]) -> Vec<Vec<Statement>> {
        let dialect = self.dialect();
        let add = self.add_columns(table, add).into_iter().map(|statement| vec![Statement::shape(statement)]);
        let widen = widen.iter().map(|widening| {
            let column = quote_identifier(&widening.column);
            let converted = dialect.converted(&column, widening.from, widening.to);
            let type_name = (dialect.type_name)(widening.to);
            let statements = self.widen(table, &widening.column, type_name, &converted);
            statements.into_iter().map(Statement::shape).collect()
        });
        add.chain(widen).collect()
    }

    fn removal(&self, table: &str) -> Statement {
        Statement::shape(self.drop_table(table))
    }
}

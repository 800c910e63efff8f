//! Running statements: a transaction that knows what it wrote, and errors that know the statement.

use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;

use async_trait::async_trait;
use duckdb::Connection;
use duckdb::types::ValueRef;

use super::budget::Budget;
use super::dialect::DUCKDB;
use crate::catalog::{Catalog, Rows, SchemaName, counts};
use crate::dialect::quote_identifier;
use crate::error::{Error, Kind, Result};
use crate::statement::Statement;
use crate::table::TableColumn;

/// Part of DuckDB's message when the type of a column is to change that has an index.
const INDEX_DEPENDS: &str = "an index depends on it";
const INDEX_ADVICE: &str = ": a property has another type in HubSpot now, and DuckDB changes no column that has an index. \
                            List the indexes (SELECT index_name, sql FROM duckdb_indexes()), drop those of the column \
                            (DROP INDEX), load, and create them again with that SQL";

/// A transaction that counts what it writes. Dropped without a commit, it rolls back. DuckDB's calls block, so nothing
/// of it ever waits as a future.
pub(super) struct Session<'a> {
    connection: &'a mut Connection,
    schema: SchemaName,
    writes: u64,
}

impl<'a> Session<'a> {
    pub(super) fn begin(connection: &'a mut Connection, schema: &str) -> Result<Session<'a>> {
        run(connection, "BEGIN TRANSACTION")?;
        // The database's own name, without which `hubspot.contacts` is ambiguous in a file called `hubspot.duckdb`.
        let database = rows(connection, "SELECT current_database()");
        let schema = SchemaName::new(&DUCKDB, schema);
        let mut session = Session { connection, schema, writes: 0 };
        let database = database?.into_iter().flatten().flatten().next().unwrap_or_default();
        session.schema = session.schema.clone().in_database(database);
        Ok(session)
    }

    /// Number of statements that wrote.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// Changes the warehouse; answers with the number of rows.
    pub(super) fn execute(&mut self, sql: &str) -> Result<u64> {
        self.writes += 1;
        let rows = self.connection.execute(sql, []).map(|rows| rows as u64).map_err(failed(sql))?;
        #[cfg(test)]
        crate::conformance::writes::note(sql, rows);
        Ok(rows)
    }

    pub(super) fn execute_all(&mut self, statements: impl IntoIterator<Item = Statement>) -> Result<()> {
        statements.into_iter().try_for_each(|statement| match statement.writes() {
            true => self.execute(&statement.sql).map(drop),
            false => self.run(&statement.sql),
        })
    }

    /// Changes nothing but this transaction's scratch tables.
    pub(super) fn run(&self, sql: &str) -> Result<()> {
        run(self.connection, sql)
    }

    pub(super) fn rows(&self, sql: &str) -> Result<Rows> {
        rows(self.connection, sql)
    }

    /// One number.
    pub(super) fn number(&self, sql: &str) -> Result<u64> {
        let [number] = counts(&self.rows(sql)?)?;
        Ok(number)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing to roll back, and DuckDB says so.
        let _ = self.connection.execute_batch("ROLLBACK");
    }
}

#[async_trait]
impl Catalog for Session<'_> {
    fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// DuckDB's own table of columns lists those of every table there is, which takes longer than a small merge.
    async fn columns(&mut self, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let is_missing =
            |message: &str| message.starts_with("Catalog Error") && message.contains("does not exist");
        let mut found = HashMap::new();
        for table in tables {
            let sql = format!("DESCRIBE {}.{}", self.schema.quoted(), quote_identifier(table));
            let described = match self.rows(&sql) {
                Err(error) if says(&error, is_missing) => continue,
                described => described?,
            };
            let column = |row: Vec<Option<String>>| {
                let mut row = row.into_iter().map(Option::unwrap_or_default);
                Some(TableColumn { name: row.next()?, type_name: row.next()? })
            };
            found.insert((*table).to_owned(), described.into_iter().filter_map(column).collect());
        }
        Ok(found)
    }

    /// DuckDB's names are equal in any case.
    async fn views(&mut self, names: &[&str]) -> Result<HashSet<String>> {
        let sql = format!(
            "SELECT lower(view_name) FROM duckdb_views() WHERE database_name = current_database() \
             AND lower(schema_name) = lower({})",
            (DUCKDB.literal)(&self.schema.name)
        );
        let views = self.texts(&sql).await?;
        Ok(names
            .iter()
            .filter(|name| views.contains(&name.to_lowercase()))
            .map(|&name| name.to_owned())
            .collect())
    }

    async fn query(&mut self, sql: &str) -> Result<Rows> {
        self.rows(sql)
    }
}

/// Sets what a transaction may take.
pub(super) fn limit(connection: &Connection, Budget { memory_mib, threads }: Budget) -> Result<()> {
    run(connection, &format!("SET memory_limit = '{memory_mib}MiB'; SET threads = {threads}"))
}

pub(super) fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.execute_batch(sql).map_err(failed(sql))
}

/// All rows of a query of numbers and texts.
pub(super) fn rows(connection: &Connection, sql: &str) -> Result<Rows> {
    let read = || -> duckdb::Result<Rows> {
        let mut statement = connection.prepare(sql)?;
        let mut found = statement.query([])?;
        let mut rows = Rows::new();
        while let Some(row) = found.next()? {
            let columns = row.as_ref().column_count();
            rows.push((0..columns).map(|n| Ok(text(row.get_ref(n)?))).collect::<duckdb::Result<_>>()?);
        }
        Ok(rows)
    };
    read().map_err(failed(sql))
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Int(number) => Some(number.to_string()),
        ValueRef::BigInt(number) => Some(number.to_string()),
        ValueRef::HugeInt(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        other => Some(format!("{other:?}")),
    }
}

const OUT_OF_MEMORY: &str = "Out of Memory Error";

/// Values of rows are never part of a statement's text, so its beginning is safe to show.
fn failed(sql: &str) -> impl FnOnce(duckdb::Error) -> Error {
    let beginning: String = sql.chars().take(80).collect();
    move |source| {
        let words = source.to_string();
        let (kind, advice) = match words.as_str() {
            words if words.contains(INDEX_DEPENDS) => (Kind::Unsupported, INDEX_ADVICE),
            words if words.contains(OUT_OF_MEMORY) => (Kind::TooLarge, ""),
            _ => (Kind::Engine, ""),
        };
        let error = Error::new(kind, format!("duckdb failed to run {beginning:?}{advice}"));
        match values_quoted(&words) {
            Some(class) => error.because(format!("{class}, whose words may quote values")),
            None => error.because(source),
        }
    }
}

/// Returns the class of an error about a value, as of a constraint or a generated column that somebody added.
fn values_quoted(words: &str) -> Option<&'static str> {
    let classes = ["Conversion Error", "Constraint Error", "constraint violation", "Out of Range Error"];
    classes.into_iter().find(|class| words.contains(class))
}

pub(super) fn is_out_of_memory(error: &Error) -> bool {
    error.kind() == Kind::TooLarge
}

/// DuckDB has no error codes.
fn says(error: &Error, is_it: impl FnOnce(&str) -> bool) -> bool {
    StdError::source(error).is_some_and(|source| is_it(&source.to_string()))
}

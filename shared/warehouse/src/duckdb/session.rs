//! Running statements: a transaction that knows what it wrote, and errors that know the statement.

use std::error::Error as StdError;

use duckdb::{Connection, Params, Row, Transaction};

use crate::error::{Error, Kind, Result};

/// A transaction that counts what it writes. Dropped without a commit, it rolls back.
pub(super) struct Session<'a> {
    transaction: Transaction<'a>,
    writes: u64,
}

impl<'a> Session<'a> {
    pub(super) fn begin(connection: &'a mut Connection) -> Result<Session<'a>> {
        let transaction = connection.transaction().map_err(failed("begin a transaction"))?;
        Ok(Session { transaction, writes: 0 })
    }

    /// What is read through it is what this transaction sees.
    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    pub(super) fn commit(self) -> Result<u64> {
        self.transaction.commit().map_err(failed("commit"))?;
        Ok(self.writes)
    }

    /// Changes the warehouse; answers with the number of rows.
    pub(super) fn write(&mut self, sql: &str, params: impl Params) -> Result<u64> {
        self.writes += 1;
        self.transaction.execute(sql, params).map(|rows| rows as u64).map_err(failed(sql))
    }

    /// Changes nothing but this transaction's scratch tables.
    pub(super) fn scratch(&self, sql: &str) -> Result<()> {
        self.transaction.execute_batch(sql).map_err(failed(sql))
    }

    pub(super) fn count(&self, sql: &str) -> Result<u64> {
        count(&self.transaction, sql)
    }

    pub(super) fn counts(&self, sql: &str) -> Result<Vec<[u64; 3]>> {
        self.rows(sql, |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        row: impl FnMut(&Row<'_>) -> duckdb::Result<T>,
    ) -> Result<Vec<T>> {
        rows(&self.transaction, sql, [], row)
    }
}

/// One number.
pub(super) fn count(connection: &Connection, sql: &str) -> Result<u64> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(failed(sql))
}

/// All rows of a query.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnMut(&Row<'_>) -> duckdb::Result<T>,
) -> Result<Vec<T>> {
    let read = || -> duckdb::Result<Vec<T>> { connection.prepare(sql)?.query_map(params, row)?.collect() };
    read().map_err(failed(sql))
}

/// Values are never part of a statement's text, so its beginning is safe to show.
pub(super) fn failed(sql: &str) -> impl FnOnce(duckdb::Error) -> Error {
    let beginning: String = sql.chars().take(80).collect();
    move |source| Error::new(Kind::Engine, format!("duckdb failed to run {beginning:?}")).because(source)
}

/// Like [`rows`]; `None` if there is no such table, or no such schema.
pub(super) fn rows_if_any<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnMut(&Row<'_>) -> duckdb::Result<T>,
) -> Result<Option<Vec<T>>> {
    let is_missing =
        |message: &str| message.starts_with("Catalog Error") && message.contains("does not exist");
    match rows(connection, sql, params, row) {
        Err(error) if says(&error, is_missing) => Ok(None),
        found => found.map(Some),
    }
}

pub(super) fn is_out_of_memory(error: &Error) -> bool {
    says(error, |message| message.contains("Out of Memory Error"))
}

/// DuckDB has no error codes.
fn says(error: &Error, is_it: impl FnOnce(&str) -> bool) -> bool {
    StdError::source(error).is_some_and(|source| is_it(&source.to_string()))
}

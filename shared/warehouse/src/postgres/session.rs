//! Connections, transactions that count their writes, and errors that name the statement.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, CopyInSink, Row, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::dialect::{BESIDE, POSTGRES};
use super::tls::client_config;
use super::url;
use crate::catalog::{Catalog, Rows, SchemaName};
use crate::error::{Error, Kind, Result};
use crate::table::TableColumn;

const OLDEST_VERSION: i32 = 130_000;
/// A server of version 14 or newer then notices within seconds that this program is gone, and rolls back; else its
/// statement would work on to its end, with all its locks.
const NOTICE_LOST_CLIENTS: &str = "SET client_connection_check_interval = '2s'";

/// Opens a connection, and refuses a server that a merge can't work with.
pub(super) async fn open(target: &url::Target) -> Result<Client> {
    let tls = MakeRustlsConnect::new(client_config(target)?);
    let (client, mut connection) =
        target.config.connect(tls).await.map_err(|source| unreachable(target, source))?;
    tokio::spawn(async move {
        // Awaited as a whole, it would log notices, in which somebody's trigger may show values.
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            // Every statement that it fails says so itself.
            if let Err(error) = message {
                tracing::debug!(error = %Failure::of(error), "a postgres connection ended");
                break;
            }
        }
    });
    let sql = "SELECT CAST(current_setting('server_version_num') AS integer), current_setting('server_encoding'), \
               current_setting('client_connection_check_interval', true) = '0'";
    let row = client.query_one(sql, &[]).await.map_err(failed(sql))?;
    let (version, encoding) = (get::<i32>(&row, 0)?, get::<String>(&row, 1)?);
    if version < OLDEST_VERSION {
        let message = format!("{} is of version {}: 13 or newer is needed", target.name, version / 10_000);
        return Err(Error::new(Kind::Unsupported, message));
    }
    if encoding != "UTF8" {
        let message = format!("{} is encoded as {encoding}: create one with ENCODING 'UTF8'", target.name);
        return Err(Error::new(Kind::Unsupported, message));
    }
    if get::<Option<bool>>(&row, 2)? == Some(true)
        && let Err(error) = client.batch_execute(NOTICE_LOST_CLIENTS).await
    {
        // Not every system can do it.
        tracing::debug!(%error, "this server does not notice lost clients by itself");
    }
    Ok(client)
}

fn unreachable(target: &url::Target, source: tokio_postgres::Error) -> Error {
    let why = match source.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD => "refuses the user or the password",
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "refuses the user from this address: see pg_hba.conf, and sslmode"
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => "does not exist: create it",
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => "has no connection left: try later",
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => "is starting or stopping: try later",
        _ => "can't be reached",
    };
    Error::new(Kind::Unreachable, format!("{} {why}", target.name)).because(Failure::of(source))
}

/// A transaction that counts what it writes. The connection of one that has not ended is not to be used again, and
/// then the server rolls it back.
pub(super) struct Session<'a> {
    client: &'a Client,
    schema: SchemaName,
    is_open: bool,
    writes: u64,
}

impl<'a> Session<'a> {
    /// Waits no longer than `patience` for each lock.
    pub(super) async fn begin(
        client: &'a Client,
        schema: SchemaName,
        patience: Duration,
    ) -> Result<Session<'a>> {
        // Texts that a merge makes and compares must not depend on settings of the server or the user; what it reads
        // and sorts should not be done in the 4 MB that servers allow if nobody says more.
        let begin = format!(
            "BEGIN; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 1; \
             SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = {}; \
             SET LOCAL statement_timeout = 0; SET LOCAL jit = off; \
             SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL work_mem = '64MB'",
            patience.as_millis()
        );
        client.batch_execute(&begin).await.map_err(failed("BEGIN"))?;
        Ok(Session { client, schema, is_open: true, writes: 0 })
    }

    /// Changes the warehouse. Returns the number of rows.
    pub(super) async fn write(&mut self, sql: &str) -> Result<u64> {
        self.writes += 1;
        let answer = self.client.simple_query(sql).await.map_err(failed(sql))?;
        let rows = |message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(rows),
            _ => None,
        };
        let rows = answer.into_iter().find_map(rows).unwrap_or_default();
        #[cfg(test)]
        crate::conformance::writes::note(sql, rows);
        Ok(rows)
    }

    /// Runs statements that change the warehouse, and waits for their locks until this moment.
    pub(super) async fn write_until(&mut self, sql: &str, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now()).as_millis().max(10);
        self.writes += 1;
        let within = format!("SET LOCAL lock_timeout = {left}; {sql}");
        self.client.batch_execute(&within).await.map_err(failed(sql))
    }

    /// Changes nothing but this transaction's scratch tables and settings.
    pub(super) async fn scratch(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(failed(sql))
    }

    /// Commits. Returns the number of statements that wrote.
    pub(super) async fn commit(&mut self) -> Result<u64> {
        self.client.batch_execute("COMMIT").await.map_err(failed("COMMIT"))?;
        self.is_open = false;
        Ok(self.writes)
    }

    /// Rolls back what was not committed.
    pub(super) async fn end(self) -> Result<()> {
        match self.is_open {
            true => self.client.batch_execute("ROLLBACK").await.map_err(failed("ROLLBACK")),
            false => Ok(()),
        }
    }

    /// Rolls back a transaction that failed.
    pub(super) async fn abandon(client: &Client) -> Result<()> {
        client.batch_execute("ROLLBACK").await.map_err(failed("ROLLBACK"))
    }

    pub(super) async fn copy_in(&self, sql: &str) -> Result<CopyInSink<Bytes>> {
        self.client.copy_in(sql).await.map_err(failed(sql))
    }

    /// Returns the `FROM` that finds a relation by schema and name, exactly as spelled.
    pub(super) fn relation(&self, tables: &[&str]) -> String {
        let literal = POSTGRES.literal;
        let names: Vec<String> = tables.iter().map(|table| literal(table)).collect();
        format!(
            "FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname IN ({}) AND c.relkind IN ('r', 'p')",
            literal(&self.schema.name),
            names.join(", ")
        )
    }
}

#[async_trait]
impl Catalog for Session<'_> {
    fn schema(&self) -> &SchemaName {
        &self.schema
    }

    async fn columns(&mut self, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let sql = format!(
            "SELECT t.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL) \
             FROM (SELECT c.oid, c.relname {}) AS t JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT starts_with(CAST(a.attname AS text), {}) \
             ORDER BY t.relname, a.attnum",
            self.relation(tables),
            (POSTGRES.literal)(BESIDE)
        );
        let mut found: HashMap<String, Vec<TableColumn>> = HashMap::new();
        for row in self.query(&sql).await? {
            if let Ok([Some(table), Some(name), Some(type_name)]) = <[Option<String>; 3]>::try_from(row) {
                found.entry(table).or_default().push(TableColumn { name, type_name });
            }
        }
        Ok(found)
    }

    async fn views(&mut self, names: &[&str]) -> Result<HashSet<String>> {
        let literal = POSTGRES.literal;
        let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
        let sql = format!(
            "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname IN ({}) AND c.relkind IN ('v', 'm', 'f')",
            literal(&self.schema.name),
            names.join(", ")
        );
        self.texts(&sql).await
    }

    /// Runs a simple query, whose values come as texts.
    async fn query(&mut self, sql: &str) -> Result<Rows> {
        let answer = self.client.simple_query(sql).await.map_err(failed(sql))?;
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

/// Returns a value of a row that our own statement selects.
fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    row.try_get(column)
        .map_err(|source| Error::new(Kind::Engine, "postgres answered something else").because(source))
}

/// Makes the error of a statement. Its text never has values of rows, so its beginning is safe to show.
pub(super) fn failed(sql: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let beginning: String = sql.chars().take(80).collect();
    move |source| {
        let (kind, why) = diagnosis(source.code());
        Error::new(kind, format!("postgres failed to run {beginning:?}{why}")).because(Failure::of(source))
    }
}

fn diagnosis(code: Option<&SqlState>) -> (Kind, &'static str) {
    let Some(code) = code else { return (Kind::Engine, "") };
    match *code {
        SqlState::LOCK_NOT_AVAILABLE => {
            (Kind::Locked, ": another load or another program holds the table, try again when it has ended")
        }
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            (Kind::Locked, ": another program changed the table at the same time, try again")
        }
        SqlState::UNIQUE_VIOLATION => {
            (Kind::RowCount, ": rows of the table share a primary key, remove them")
        }
        SqlState::INSUFFICIENT_PRIVILEGE => (
            Kind::Unsupported,
            ": the user may not do this, grant it CREATE and TEMPORARY on the database and make it the tables' owner",
        ),
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            (Kind::Unsupported, ": the server takes no changes, name the primary one")
        }
        SqlState::FEATURE_NOT_SUPPORTED
        | SqlState::DEPENDENT_OBJECTS_STILL_EXIST
        | SqlState::DATATYPE_MISMATCH
        | SqlState::UNDEFINED_FUNCTION
        | SqlState::INVALID_TABLE_DEFINITION => (
            Kind::Unsupported,
            ": something depends on a column whose type has to change, drop it and create it again afterwards",
        ),
        SqlState::TOO_MANY_COLUMNS => {
            (Kind::Unsupported, ": dropped columns count too, copy the table into a new one")
        }
        SqlState::PROGRAM_LIMIT_EXCEEDED => {
            (Kind::Unsupported, ": a row or a primary key is larger than postgres allows")
        }
        SqlState::OUT_OF_MEMORY | SqlState::DISK_FULL => {
            (Kind::TooLarge, ": the server has too little memory or disk for it")
        }
        _ => (Kind::Engine, ""),
    }
}

/// The server's words, without the detail, which holds values, and without words that may quote one.
#[derive(Debug)]
struct Failure {
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    fn of(error: tokio_postgres::Error) -> Failure {
        let Some(said) = error.as_db_error() else {
            return Failure { message: error.to_string(), source: error.into_source() };
        };
        let code = said.code().code();
        if may_quote_values(said) {
            let message = format!("the words may quote values: the server's log has them ({code})");
            return Failure { message, source: None };
        }
        let mut message = format!("{} ({code})", said.message());
        // Here it names what depends on the column.
        if [SqlState::FEATURE_NOT_SUPPORTED, SqlState::DEPENDENT_OBJECTS_STILL_EXIST].contains(said.code())
            && let Some(detail) = said.detail()
        {
            message = format!("{message}: {detail}");
        }
        Failure { message, source: None }
    }
}

/// `true` for words about a value, for those of somebody's function or trigger, which may be anything, and for those
/// about a name that is not at a place of our statement: a view may cast texts to names.
fn may_quote_values(said: &DbError) -> bool {
    let code = said.code();
    let is_of_a_function = said.where_().is_some();
    let is_about_a_name = [
        SqlState::SYNTAX_ERROR,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::UNDEFINED_OBJECT,
        SqlState::WRONG_OBJECT_TYPE,
        SqlState::INVALID_NAME,
        SqlState::INVALID_SCHEMA_NAME,
    ]
    .contains(code);
    let is_of_the_server =
        ["08", "0A", "23", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"]
            .iter()
            .any(|class| code.code().starts_with(class));
    is_of_a_function || !is_of_the_server || (is_about_a_name && said.position().is_none())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

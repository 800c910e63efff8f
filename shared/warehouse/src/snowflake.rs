//! Snowflake by its SQL API: no connection, no driver. It reads staged files from S3 by `COPY`, through a stage.
//!
//! A request is a session of its own, so scratch tables are transient ones in the schema itself, dropped at the end of
//! a merge; those that a crash leaves behind are dropped by a later merge. DDL commits, so statements that make tables
//! or change columns come before the transaction, in the same request. Each of them leaves a valid table: empty, or
//! with a column more, or with a wider one.
//!
//! Snowflake does not let DDL wait for transactions on the same table. A merge that makes a table anew to widen a
//! column would lose rows that another one writes meanwhile; so it waits until no other is in its transaction, and
//! writes a claim into the table `_lock`, which later merges respect. A claim that a crash leaves behind expires.

mod api;
mod dialect;
mod failure;
mod key;
#[cfg(test)]
mod tests;
pub(crate) mod url;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use staging::ColumnType;
use uuid::Uuid;

use self::api::{Api, STATEMENT_TIMEOUT};
use self::dialect::{SNOWFLAKE, identifier, reported};
use self::failure::IS_WIDENED;
use self::key::Key;
use self::url::Files;
use crate::LocatedFile;
use crate::catalog::Rows;
use crate::dialect::{Dialect, TableName, escaped_literal as literal, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{Engine, Failed, Limits, SqlOverHttp, Staging};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;

/// Limits of a request: 1 MB of text. The number of statements is not limited, nor that of columns; Snowflake advises
/// to stay below some thousands.
const LIMITS: Limits = Limits {
    statements: 100,
    statement_bytes: 250_000,
    script_bytes: 900_000,
    columns: 2_000,
    merged_columns: usize::MAX,
};
/// Table of one row, which each merge changes first.
const LOCK: &str = "_lock";
/// Prefix of scratch tables.
const SCRATCH: &str = "_MERGE_";
/// The beginning of a statement that makes a table anew.
const REPLACE: &str = "CREATE OR REPLACE TABLE";
/// The first statement of each session. Times are in UTC, a failure ends the transaction at once, and names are as
/// they are written, whatever the account's settings. [The API wants] `AUTOCOMMIT` to be true in each request: without
/// it, what is outside of a transaction would be undone at the request's end.
///
/// [The API wants]: https://docs.snowflake.com/en/developer-guide/sql-api/intro
const SETTINGS: &str = "ALTER SESSION SET AUTOCOMMIT = TRUE, TIMEZONE = 'UTC', TRANSACTION_ABORT_ON_ERROR = TRUE, \
                        LOCK_TIMEOUT = 60, QUOTED_IDENTIFIERS_IGNORE_CASE = FALSE";

#[derive(Debug)]
pub(crate) struct Snowflake {
    api: Api,
    files: Files,
    /// The schema's name.
    schema: String,
    /// The lock's name in SQL.
    lock: String,
    is_schema_there: AtomicBool,
    is_tidy: AtomicBool,
}

pub(crate) fn connect(url: &str, schema: &str, key: Option<&SecretString>) -> Result<SqlOverHttp<Snowflake>> {
    Ok(SqlOverHttp::new(engine(url, schema, key)?, schema))
}

fn engine(url: &str, schema: &str, key: Option<&SecretString>) -> Result<Snowflake> {
    let target = url::target(url)?;
    let key = Key::new(&target, key)?;
    let name = identifier(schema);
    let lock = format!("{}.{}", quote_identifier(&name), quote_identifier(&identifier(LOCK)));
    Ok(Snowflake {
        files: target.files.clone(),
        api: Api::new(target, key)?,
        schema: name,
        lock,
        is_schema_there: AtomicBool::new(false),
        is_tidy: AtomicBool::new(false),
    })
}

#[async_trait]
impl Engine for Snowflake {
    type Session = ();

    fn dialect(&self) -> &'static Dialect {
        &SNOWFLAKE
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn scratch(&self, schema: &str, name: &str) -> String {
        format!("{schema}.{}", quote_identifier(&identifier(&format!("_{name}"))))
    }

    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        let column = |(name, column_type): &(String, ColumnType)| {
            format!("{name} {}", (SNOWFLAKE.type_name)(*column_type))
        };
        let columns: Vec<String> = columns.iter().map(column).collect();
        format!("CREATE TRANSIENT TABLE {table} ({}) DATA_RETENTION_TIME_IN_DAYS = 0", columns.join(", "))
    }

    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>> {
        let Staging { table, helper, types, files } = staging;
        let Some((first, others)) = files.split_first() else { return Ok(Vec::new()) };
        let (bucket, _) = first.object()?;
        let (mut statements, stage) = match &self.files {
            Files::Stage(stage) => (Vec::new(), stage.as_str()),
            Files::Integration(integration) => {
                let create = format!(
                    "CREATE TEMPORARY STAGE {helper} URL = {} STORAGE_INTEGRATION = {integration}",
                    literal(&format!("s3://{bucket}/"))
                );
                (vec![Statement::create_scratch(create)], *helper)
            }
        };
        let what = match others.len() {
            0 => first.key.clone(),
            more => format!("{}, or one of the {more} that are read with it,", first.key),
        };
        statements.push(Statement::new(Purpose::Read(what), copy(table, stage, bucket, types, files)?));
        Ok(statements)
    }

    fn prepare_schema(&self, _schema: &str) -> Option<String> {
        Some(format!(
            "CREATE TABLE IF NOT EXISTS {} AS SELECT current_timestamp() AS TAKEN_AT, CAST(NULL AS VARCHAR) AS WIDENED_BY, \
             current_timestamp() AS WIDENED_UNTIL",
            self.lock
        ))
    }

    fn lock(&self, _ledger: &str) -> Option<String> {
        Some(format!("UPDATE {} SET TAKEN_AT = current_timestamp()", self.lock))
    }

    /// Makes the table anew, since `ALTER COLUMN` changes no types.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String> {
        let column = quote_identifier(column);
        vec![format!(
            "{REPLACE} {table} COPY GRANTS AS SELECT * REPLACE (CAST({converted} AS {type_name}) AS {column}) FROM {table}"
        )]
    }

    fn create_view(&self, view: &str, query: &str) -> String {
        format!("CREATE OR REPLACE VIEW {view} COPY GRANTS AS {query}")
    }

    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let names: Vec<String> = tables.iter().map(|table| literal(table)).collect();
        let sql = format!(
            "SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale \
             FROM information_schema.columns WHERE table_schema = {} AND table_name IN ({}) \
             ORDER BY table_name, ordinal_position",
            literal(schema),
            names.join(", ")
        );
        let mut found: HashMap<String, Vec<TableColumn>> = HashMap::new();
        for row in self.query(&sql).await? {
            if let [Some(table), Some(name), Some(type_name), length, precision, scale] = row.as_slice() {
                let type_name =
                    reported(type_name, length.as_deref(), precision.as_deref(), scale.as_deref());
                found.entry(table.clone()).or_default().push(TableColumn { name: name.clone(), type_name });
            }
        }
        self.is_schema_there.fetch_or(!found.is_empty(), Ordering::Relaxed);
        Ok(found)
    }

    /// A name without a schema would be in the session's, which nobody sets.
    fn rename_table(&self, table: &TableName, to: &TableName) -> Result<String> {
        Ok(format!("ALTER TABLE {} RENAME TO {}", table.qualified, to.qualified))
    }

    async fn query(&self, sql: &str) -> Result<Rows> {
        let rows = self.api.run(&[sql], &[0]).await.map_err(|failed| failed.error)?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    fn kept_after_deletion(&self) -> &'static str {
        "Snowflake keeps deleted rows for its Time Travel (DATA_RETENTION_TIME_IN_DAYS, 1 day by default) and then 7 days of \
         Fail-safe"
    }

    async fn run(&self, _session: &mut (), script: &[Statement]) -> Result<Vec<Rows>, Failed> {
        let request = self.request(script, &Uuid::now_v7().simple().to_string());
        let texts: Vec<&str> = request.texts.iter().map(|(text, _)| text.as_str()).collect();
        let counted = |(_, statement): &(String, Option<usize>)| {
            let statement = statement.and_then(|position| script.get(position));
            statement.is_some_and(|statement| statement.purpose == Purpose::Count)
        };
        let wanted: Vec<usize> =
            (0..texts.len()).filter(|n| request.texts.get(*n).is_some_and(counted)).collect();
        match self.api.run(&texts, &wanted).await {
            Ok(rows) => Ok(rows),
            Err(failed) => {
                if let Some(release) = &request.release {
                    self.tidied("a claim", &[release]).await;
                }
                let statement = failed.statement.and_then(|position| request.texts.get(position)?.1);
                Err(Failed { statement, error: failed.error })
            }
        }
    }

    async fn end(&self, _session: (), scratch: &[String]) {
        if scratch.is_empty() {
            return;
        }
        let mut tables = scratch.to_vec();
        if !self.is_tidy.swap(true, Ordering::Relaxed) {
            match self.left_behind().await {
                Ok(left) => tables.extend(left),
                Err(error) => tracing::warn!("scratch tables of crashed merges can't be listed: {error}"),
            }
        }
        let drops: Vec<String> = tables.iter().map(|table| format!("DROP TABLE IF EXISTS {table}")).collect();
        self.tidied("scratch tables", &drops.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

/// The request that is sent for a script.
#[derive(Debug, Default)]
struct Request {
    /// Texts of statements, each with its index in the script, if it is from there.
    texts: Vec<(String, Option<usize>)>,
    /// Statement that ends the claim of a request that failed.
    release: Option<String>,
}

impl Request {
    fn own(&mut self, text: impl Into<String>) {
        self.texts.push((text.into(), None));
    }
}

impl Snowflake {
    /// Makes the request: DDL first, then the rest as a transaction, if it writes. `id` is new.
    fn request(&self, script: &[Statement], id: &str) -> Request {
        let is_ddl =
            |statement: &Statement| matches!(statement.purpose, Purpose::Shape | Purpose::CreateScratch);
        let is_widening = |statement: &Statement| is_ddl(statement) && statement.sql.starts_with(REPLACE);
        let numbered = || script.iter().enumerate();
        let of_script = |(position, statement): (usize, &Statement)| (statement.sql.clone(), Some(position));

        let mut request = Request::default();
        request.own(SETTINGS);
        if script.iter().any(is_ddl) && !self.is_schema_there.load(Ordering::Relaxed) {
            request.own(format!("CREATE SCHEMA IF NOT EXISTS {}", quote_identifier(&self.schema)));
        }
        request.texts.extend(numbered().filter(|(_, it)| is_ddl(it) && !is_widening(it)).map(of_script));
        if script.iter().any(is_widening) {
            request.own("BEGIN TRANSACTION");
            request.own(format!("UPDATE {} SET TAKEN_AT = current_timestamp()", self.lock));
            request.own(self.check_claims());
            let unchanged = numbered().filter(|(_, it)| it.purpose == Purpose::Unchanged);
            request.texts.extend(unchanged.map(of_script));
            request.own(format!(
                "UPDATE {} SET WIDENED_BY = {}, WIDENED_UNTIL = dateadd(second, {}, current_timestamp())",
                self.lock,
                literal(id),
                2 * STATEMENT_TIMEOUT.as_secs()
            ));
            request.own("COMMIT");
            request.texts.extend(numbered().filter(|(_, it)| is_widening(it)).map(of_script));
            request.release = Some(format!(
                "UPDATE {} SET WIDENED_BY = NULL WHERE WIDENED_BY = {}",
                self.lock,
                literal(id)
            ));
        }
        let is_transaction =
            script.iter().any(|it| matches!(it.purpose, Purpose::Write | Purpose::Unchanged));
        if is_transaction {
            request.own("BEGIN TRANSACTION");
        }
        let lock = self.lock(&self.lock);
        // Its own claim is over as soon as it has the lock again.
        let mut release = request.release.clone();
        for (position, statement) in numbered().filter(|(_, it)| !is_ddl(it)) {
            request.texts.push(of_script((position, statement)));
            if lock.as_ref() == Some(&statement.sql) {
                request.texts.extend(release.take().map(|release| (release, None)));
                request.own(self.check_claims());
            }
        }
        request.texts.extend(release.map(|release| (release, None)));
        if is_transaction {
            request.own("COMMIT");
        }
        request
    }

    /// Returns a statement that fails while another merge widens a column.
    fn check_claims(&self) -> String {
        let claims = format!(
            "SELECT count(*) FROM {} WHERE WIDENED_BY IS NOT NULL AND WIDENED_UNTIL > current_timestamp()",
            self.lock
        );
        format!("SELECT CAST(CASE WHEN ({claims}) = 0 THEN '1' ELSE '{IS_WIDENED}' END AS NUMBER(38,0))")
    }

    /// Returns scratch tables that are more than a day old.
    async fn left_behind(&self) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND is_transient = 'YES' \
             AND startswith(table_name, {}) AND created < dateadd(day, -1, current_timestamp())",
            literal(&self.schema),
            literal(SCRATCH)
        );
        let names = self.query(&sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten());
        let is_ours = |name: &String| {
            let id = name.strip_prefix(SCRATCH).and_then(|name| name.split('_').next());
            id.is_some_and(|id| Uuid::try_parse(id).is_ok())
        };
        let qualified =
            |name: String| format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&name));
        Ok(names.filter(is_ours).map(qualified).collect())
    }

    /// Runs statements whose failure is only logged.
    async fn tidied(&self, what: &str, statements: &[&str]) {
        if let Err(failed) = self.api.run(statements, &[]).await {
            tracing::warn!("{what} of a merge stay for now: {}", failed.error);
        }
    }
}

/// Reads files column by column, by name. A column that a file lacks is NULL.
fn copy(
    table: &str,
    stage: &str,
    bucket: &str,
    types: &[ColumnType],
    files: &[&LocatedFile],
) -> Result<String> {
    let mut keys = Vec::with_capacity(files.len());
    for file in files {
        let (other, key) = file.object()?;
        if other != bucket {
            let message =
                format!("staged files are in the buckets {bucket} and {other}: merge them one by one");
            return Err(Error::new(Kind::Unsupported, message));
        }
        keys.push(literal(key));
    }
    let columns = files.first().map(|file| file.description.table.columns.as_slice()).unwrap_or_default();
    let value = |(column, column_type): (&staging::Column, &ColumnType)| {
        format!("CAST(get($1, {}) AS {})", literal(&column.name), (SNOWFLAKE.type_name)(*column_type))
    };
    let values: Vec<String> = columns.iter().zip(types).map(value).collect();
    let number = |(n, key): (usize, &String)| format!("WHEN {key} THEN {n}");
    let numbers: Vec<String> = keys.iter().enumerate().map(number).collect();
    Ok(format!(
        "COPY INTO {table} FROM (SELECT CASE METADATA$FILENAME {} END, METADATA$FILE_ROW_NUMBER, {} FROM @{stage}) \
         FILES = ({}) FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE NULL_IF = ()) ON_ERROR = ABORT_STATEMENT",
        numbers.join(" "),
        values.join(", "),
        keys.join(", ")
    ))
}

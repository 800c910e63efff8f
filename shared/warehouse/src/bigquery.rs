//! BigQuery by its API. It can't read S3: staged files are sent to it, each into a scratch table of its own, from which
//! one statement fills the group's.
//!
//! A script is one job. Scratch tables are tables of the dataset itself that expire after a day; a merge deletes its
//! own. DDL on tables that stay can't be in a transaction, so statements that make tables or change columns are a job
//! of their own, ahead of it. Each of them leaves a valid table: empty, or with a column more, or with a wider one.
//! Counts are asked when the transaction is over, of scratch tables that nobody else writes.
//!
//! Transactions don't wait for each other: of two that change rows of one table, the second one is aborted. Each merge
//! changes the row of the table `_lock`. A merge that makes a table anew to widen a column would lose rows that another
//! one writes meanwhile; so it first writes a claim into that row, which aborts those that run, and later ones respect
//! it. A claim that a crash leaves behind expires.
//!
//! <https://cloud.google.com/bigquery/docs/transactions>

mod api;
mod auth;
mod dialect;
mod failure;
mod footer;
mod jobs;
#[cfg(test)]
mod tests;
mod upload;
pub(crate) mod url;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use secrecy::SecretString;
use serde_json::Value;
use staging::{Column, ColumnType};
use uuid::Uuid;

use self::api::Api;
use self::auth::Auth;
use self::dialect::{BIGQUERY, identifier, loaded, reported, spelled};
use self::jobs::{Jobs, Lock, REPLACE, failed_check, jobs, with_functions};
use crate::catalog::{Rows, SchemaName};
use crate::dialect::{Dialect, quote_identifier};
use crate::error::Result;
use crate::sql_over_http::{Engine, Failed, Limits, SqlOverHttp, Staging};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;
use crate::{LocatedFile, Reads};

/// <https://cloud.google.com/bigquery/quotas>: 1,024 K characters in the text of a query, which is a whole script, and
/// 10,000 columns in a table; some room is left for what comes around the statements. A transaction changes 100 tables
/// at the most (<https://cloud.google.com/bigquery/docs/transactions#limitations>), and so many statements change fewer.
const LIMITS: Limits = Limits {
    statements: 100,
    statement_bytes: 900_000,
    script_bytes: 950_000,
    columns: 10_000,
    merged_columns: usize::MAX,
};
/// Table of one row, which each merge changes first.
const LOCK: &str = "_lock";
/// Calls that are made at once: <https://cloud.google.com/bigquery/quotas#api_request_quotas> has 100 in a second.
const AT_ONCE: usize = 8;
/// The life of a scratch table.
const SCRATCH_MS: i64 = 86_400_000;
/// A table is clustered by so many columns at the most:
/// <https://cloud.google.com/bigquery/docs/clustered-tables#limitations>.
const MAX_CLUSTERING: usize = 4;
/// Rows are numbered in so many parts, so that no machine has to have all of them.
const PARTS: i64 = 4_096;

#[derive(Debug)]
pub(crate) struct BigQuery {
    api: Api,
    dataset: String,
    /// The lock's name in SQL.
    lock: String,
    is_dataset_there: AtomicBool,
    /// The columns by which tables are clustered, as they were read last, by the table's quoted name.
    clustering: Mutex<HashMap<String, Vec<String>>>,
    /// Tables of single files, which are still there.
    files: Mutex<Vec<String>>,
}

pub(crate) fn connect(
    url: &str,
    schema: &str,
    credential: Option<&SecretString>,
) -> Result<SqlOverHttp<BigQuery>> {
    let target = url::target(url)?;
    let schema = target.dataset.clone().unwrap_or_else(|| schema.to_owned());
    Ok(SqlOverHttp::new(engine(target, &schema, credential)?, &schema))
}

fn engine(target: url::Target, schema: &str, credential: Option<&SecretString>) -> Result<BigQuery> {
    let auth = Auth::new(credential, url::is_local(&target.endpoint))?;
    let dataset = identifier(schema);
    let lock = format!("{}.{}", quote_identifier(&dataset), quote_identifier(LOCK));
    Ok(BigQuery {
        api: Api::new(target, auth)?,
        dataset,
        lock,
        is_dataset_there: AtomicBool::new(false),
        clustering: Mutex::default(),
        files: Mutex::default(),
    })
}

impl BigQuery {
    /// Makes the jobs of a script. `id` is new.
    fn jobs(&self, script: &[Statement], id: &str) -> Jobs {
        let statement = self.lock(&self.lock);
        jobs(script, id, Lock { table: &self.lock, statement: statement.as_deref() })
    }
}

#[async_trait]
impl Engine for BigQuery {
    type Session = ();

    fn dialect(&self) -> &'static Dialect {
        &BIGQUERY
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn reads(&self) -> Reads {
        Reads::Local
    }

    fn scratch(&self, schema: &str, name: &str) -> String {
        format!("{schema}.{}", quote_identifier(&format!("_{name}")))
    }

    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        let column = |(name, column_type): &(String, ColumnType)| {
            format!("{name} {}", (BIGQUERY.type_name)(*column_type))
        };
        let columns: Vec<String> = columns.iter().map(column).collect();
        format!(
            "CREATE TABLE {table} ({}) OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))",
            columns.join(", ")
        )
    }

    fn create_table(&self, table: &str, key: &[String], columns: &[Column]) -> String {
        let is_clustered = |name: &&String| {
            let column = columns.iter().find(|column| column.name == **name);
            // Any of our types but this one: <https://cloud.google.com/bigquery/docs/clustered-tables#limitations>.
            column.is_some_and(|column| column.column_type != ColumnType::Double)
        };
        let key: Vec<String> = key.iter().filter(is_clustered).cloned().collect();
        BIGQUERY.create_table(table, columns) + &clustered(&key)
    }

    /// One statement, since a table may be changed five times in ten seconds:
    /// <https://cloud.google.com/bigquery/quotas#standard_tables>.
    fn add_columns(&self, table: &str, columns: &[Column]) -> Vec<String> {
        let actions: Vec<String> = columns.iter().map(|column| BIGQUERY.add_column(column)).collect();
        match actions.is_empty() {
            true => Vec::new(),
            false => BIGQUERY.alter_table(table, &actions),
        }
    }

    /// Sends the files.
    async fn prepare(&self, helper: &str, files: &[&LocatedFile]) -> Result<()> {
        if !self.is_dataset_there.load(Ordering::Relaxed) {
            self.api.create_dataset(&self.dataset, None).await?;
            self.is_dataset_there.store(true, Ordering::Relaxed);
        }
        let expires_ms = Utc::now().timestamp_millis() + SCRATCH_MS;
        let tables: Vec<String> = (0..files.len()).map(|n| of_file(helper, n)).collect();
        self.files.lock().unwrap_or_else(PoisonError::into_inner).extend(tables.iter().cloned());
        let load = |(table, file): (&String, &&LocatedFile)| {
            let (table, file) = (bare(table).to_owned(), (*file).clone());
            async move { self.api.load(&self.dataset, &table, &file, expires_ms).await }
        };
        let loads: Vec<_> = tables.iter().zip(files).map(load).collect();
        stream::iter(loads).buffer_unordered(AT_ONCE).try_collect().await
    }

    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>> {
        let Staging { table, helper, types, files } = staging;
        let Some(first) = files.first() else { return Ok(Vec::new()) };
        let described = &first.description.table;
        let key = described.primary_key.first().and_then(|key| described.position(key)).unwrap_or_default();
        let names: Vec<String> = (0..types.len()).map(|n| format!("c{n}")).collect();
        let values: Vec<String> = names.iter().zip(*types).map(|(name, is)| loaded(name, *is)).collect();
        let file = |n: usize| format!("SELECT {n} AS file_no, * FROM {}", of_file(helper, n));
        let rows: Vec<String> = (0..files.len()).map(file).collect();
        // A part's number lies between -4,095 and 4,095.
        let insert = format!(
            "INSERT INTO {table} (file_no, row_no, {}) SELECT file_no, \
             ROW_NUMBER() OVER (PARTITION BY part) * {} + part, {} FROM (SELECT f.*, \
             MOD(FARM_FINGERPRINT(COALESCE(CAST(c{key} AS STRING), '')), {PARTS}) AS part FROM ({}) AS f) AS f",
            names.join(", "),
            2 * PARTS,
            values.join(", "),
            rows.join(" UNION ALL ")
        );
        Ok(vec![Statement::scratch(insert)])
    }

    fn prepare_schema(&self, _schema: &str) -> Option<String> {
        Some(format!(
            "CREATE TABLE IF NOT EXISTS {} AS SELECT CURRENT_TIMESTAMP() AS taken_at, CAST(NULL AS STRING) AS widened_by, \
             CURRENT_TIMESTAMP() AS widened_until",
            self.lock
        ))
    }

    fn lock(&self, _ledger: &str) -> Option<String> {
        Some(format!("UPDATE {} SET taken_at = CURRENT_TIMESTAMP() WHERE true", self.lock))
    }

    /// Makes the table anew: a column that is clustered by, or becomes text, can't be changed in place.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String> {
        let clustering = self.clustering.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = clustering.get(table).cloned().unwrap_or_default();
        if type_name == (BIGQUERY.type_name)(ColumnType::Double) {
            key.retain(|name| name != column);
        }
        let column = quote_identifier(column);
        vec![format!(
            "{REPLACE} {table}{} AS SELECT * REPLACE (CAST({converted} AS {type_name}) AS {column}) FROM {table}",
            clustered(&key)
        )]
    }

    /// A view and its tables are in one location: <https://cloud.google.com/bigquery/docs/views#view_limitations>.
    async fn make_schema(&self, schema: &SchemaName) -> Result<()> {
        let location = self.api.location(&self.dataset).await?;
        self.api.create_dataset(&schema.name, location.as_deref()).await
    }

    /// With the project, which a reader of the view may not work in.
    fn in_view(&self, schema: &SchemaName, table: &str) -> String {
        format!("{}.{}", quote_identifier(self.api.project()), schema.in_view(table))
    }

    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let mut columns = HashMap::new();
        for (table, description) in self.described(schema, tables).await? {
            let quoted = format!("{}.{}", quote_identifier(schema), quote_identifier(&table));
            let mut clustering = self.clustering.lock().unwrap_or_else(PoisonError::into_inner);
            clustering.insert(quoted, clustering_of(&description));
            columns.insert(table, columns_of(&description));
        }
        self.is_dataset_there.fetch_or(!columns.is_empty(), Ordering::Relaxed);
        Ok(columns)
    }

    async fn views(&self, schema: &str, names: &[&str]) -> Result<HashSet<String>> {
        let found = self.described(schema, names).await?.into_iter();
        let is_view = |(_, description): &(String, Value)| {
            description.get("type").and_then(Value::as_str).is_some_and(|is| is != "TABLE")
        };
        Ok(found.filter(is_view).map(|(name, _)| name).collect())
    }

    async fn query(&self, sql: &str) -> Result<Rows> {
        self.api.rows(&with_functions(&spelled(sql))).await
    }

    fn kept_after_deletion(&self) -> &'static str {
        "BigQuery keeps deleted rows for its time travel (7 days by default) and then 7 days of fail-safe storage"
    }

    async fn run(&self, _session: &mut (), script: &[Statement]) -> Result<Vec<Rows>, Failed> {
        let jobs = self.jobs(script, &Uuid::now_v7().simple().to_string());
        for sql in &jobs.all {
            if let Err(error) = self.api.run(sql).await {
                if let Some(release) = &jobs.release
                    && let Err(error) = self.api.run(release).await
                {
                    tracing::warn!("a claim of a merge stays for now: {error}");
                }
                return Err(Failed { statement: failed_check(script, &error), error });
            }
        }
        let counts = script.iter().filter(|it| it.purpose == Purpose::Count).map(|it| self.query(&it.sql));
        Ok(futures::future::try_join_all(counts).await?)
    }

    async fn end(&self, _session: (), scratch: &[String]) {
        if scratch.is_empty() {
            return;
        }
        let files = std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner));
        // Another merge of this handle has its own.
        let (own, others): (Vec<String>, Vec<String>) =
            files.into_iter().partition(|file| scratch.iter().any(|table| is_file_of(file, table)));
        self.files.lock().unwrap_or_else(PoisonError::into_inner).extend(others);
        let delete = |table: String| async move {
            if let Err(error) = self.api.delete_table(&self.dataset, bare(&table)).await {
                tracing::warn!("a scratch table stays until it expires: {error}");
            }
        };
        stream::iter(scratch.iter().cloned().chain(own).map(delete))
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }
}

impl BigQuery {
    /// Returns those of the tables that are there, as the API describes them.
    async fn described(&self, dataset: &str, tables: &[&str]) -> Result<Vec<(String, Value)>> {
        let described = tables.iter().map(|table| async move {
            let description = self.api.table(dataset, table).await?;
            Ok::<_, crate::Error>(description.map(|description| ((*table).to_owned(), description)))
        });
        let described: Vec<_> = described.collect();
        let found: Vec<Option<(String, Value)>> =
            stream::iter(described).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn clustered(key: &[String]) -> String {
    let names: Vec<String> = key.iter().take(MAX_CLUSTERING).map(|name| quote_identifier(name)).collect();
    if names.is_empty() { String::new() } else { format!(" CLUSTER BY {}", names.join(", ")) }
}

/// The table for one file of those that are read together.
fn of_file(helper: &str, n: usize) -> String {
    format!("{}_{n}\"", helper.strip_suffix('"').unwrap_or(helper))
}

fn is_file_of(file: &str, helper: &str) -> bool {
    let helper = helper.strip_suffix('"').unwrap_or(helper);
    file.strip_prefix(helper).is_some_and(|rest| rest.starts_with('_'))
}

/// A table's name without its dataset and without quotes.
fn bare(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table).trim_matches('"')
}

fn columns_of(description: &Value) -> Vec<TableColumn> {
    let fields = description.pointer("/schema/fields").and_then(Value::as_array);
    let column = |field: &Value| {
        let text = |name: &str| field.get(name).and_then(Value::as_str);
        // An array, or a value that must be there, is a user's.
        let type_name = match text("mode") {
            Some("REPEATED") => format!("ARRAY<{}>", text("type")?),
            _ => reported(text("type")?),
        };
        Some(TableColumn { name: text("name")?.to_owned(), type_name })
    };
    fields.map(Vec::as_slice).unwrap_or_default().iter().filter_map(column).collect()
}

fn clustering_of(description: &Value) -> Vec<String> {
    let fields = description.pointer("/clustering/fields").and_then(Value::as_array);
    let fields = fields.map(Vec::as_slice).unwrap_or_default();
    fields.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

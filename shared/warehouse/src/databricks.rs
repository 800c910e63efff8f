//! Databricks by its SQL Statement Execution API, over managed Delta tables in Unity Catalog. It reads staged files from S3
//! by itself, through an external location.
//!
//! There are no transactions: each statement is a commit of its own, to one table. The `MERGE` compares versions itself,
//! and the ledger is written last, as in [`crate::athena`].
//!
//! No call can be told from one that was sent before. A statement whose answer is lost may be executed now, later or not
//! at all; the merge begins anew, with other scratch tables, when the old ones are gone and the properties of the table
//! have changed, which ends all commits that began before. `docs/warehouses/databricks.md` says what that leaves open.

mod api;
mod auth;
mod dialect;
mod failure;
#[cfg(test)]
mod tests;
pub(crate) mod url;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use secrecy::SecretString;
use staging::{Column, ColumnType};
use uuid::Uuid;

use self::api::Api;
use self::dialect::DATABRICKS;
use self::failure::is_of_purpose;
use crate::catalog::Rows;
use crate::dialect::{ACCOUNT_COLUMNS, Dialect, LEDGER_COLUMNS, TableName, in_backticks, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{
    AT_ONCE, Engine, Failed, Limits, SqlOverHttp, Staging, WIDENED, left_behind, mend, run_in_order, tables,
    tables_of_merges,
};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;
use crate::{LocatedFile, Maintained, runs};

/// <https://docs.databricks.com/api/workspace/statementexecution/executestatement>: "The maximum query text size is 16
/// MiB". Nothing is documented about the columns of a table.
const LIMITS: Limits = Limits {
    statements: usize::MAX,
    statement_bytes: 16 << 20,
    script_bytes: usize::MAX,
    columns: usize::MAX,
    merged_columns: usize::MAX,
};
/// Files that one statement reads.
const FILES_AT_ONCE: usize = 10;
/// Characters of a path that is a pattern.
const PATTERN: [char; 8] = ['*', '?', '[', ']', '{', '}', '\\', '\n'];
/// Columns can be dropped and renamed only with this mapping:
/// <https://docs.databricks.com/aws/en/delta/column-mapping>. Writes that read a table never pass each other by at this
/// level: <https://docs.databricks.com/aws/en/optimizations/isolation-level>.
const PROPERTIES: &str =
    "TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable')";

#[derive(Debug)]
pub(crate) struct Databricks {
    api: Api,
}

pub(crate) fn connect(
    url: &str,
    schema: &str,
    secret: Option<&SecretString>,
) -> Result<SqlOverHttp<Databricks>> {
    let target = url::target(url)?;
    let schema = target.schema.clone().unwrap_or_else(|| schema.to_owned());
    Ok(SqlOverHttp::new(Databricks { api: Api::new(target, secret)? }, &schema))
}

#[async_trait]
impl Engine for Databricks {
    /// No session: nothing is kept between statements.
    type Session = ();

    fn dialect(&self) -> &'static Dialect {
        &DATABRICKS
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn scratch(&self, schema: &str, name: &str) -> String {
        format!("{schema}.{}", quote_identifier(name))
    }

    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        let columns = columns.iter().map(|(name, is)| (name.as_str(), *is));
        format!("CREATE TABLE IF NOT EXISTS {table} ({}) USING DELTA", definitions(columns))
    }

    fn create_table(&self, table: &str, _key: &[String], columns: &[Column]) -> String {
        delta(table, columns.iter().map(|column| (column.name.as_str(), column.column_type)))
    }

    fn create_bookkeeping(&self, account: &str, ledger: &str) -> [String; 2] {
        [delta(account, ACCOUNT_COLUMNS), delta(ledger, LEDGER_COLUMNS)]
    }

    fn create_runs(&self, table: &str) -> String {
        delta(table, runs::COLUMNS)
    }

    /// One statement, which is one commit.
    fn add_columns(&self, table: &str, columns: &[Column]) -> Vec<String> {
        let named = columns.iter().map(|column| (column.name.as_str(), column.column_type));
        if columns.is_empty() { Vec::new() } else { vec![add_columns(table, named)] }
    }

    /// Reads files by the names of their columns. Values are converted by nobody: a file with other types than its
    /// description is refused.
    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>> {
        let Staging { table, files, .. } = staging;
        let Some(first) = files.first() else { return Ok(Vec::new()) };
        let columns = &first.description.table.columns;
        let names: Vec<String> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
        let read = |(n, file): (usize, &&LocatedFile)| {
            let from = quote_identifier(&path(file)?);
            Ok(format!("SELECT {n}, monotonically_increasing_id(), {} FROM parquet.{from}", names.join(", ")))
        };
        let selects = files.iter().enumerate().map(read).collect::<Result<Vec<String>>>()?;
        let statements =
            selects.chunks(FILES_AT_ONCE).zip(files.chunks(FILES_AT_ONCE)).map(|(selects, files)| {
                let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
                let insert = format!("INSERT INTO {table} {}", selects.join(" UNION ALL "));
                Statement::new(Purpose::Read(keys.join(" or ")), insert)
            });
        Ok(statements.collect())
    }

    /// Returns no lock. Two loads exclude each other by their lease; if that fails, each `MERGE` compares versions.
    fn lock(&self, _ledger: &str) -> Option<String> {
        None
    }

    /// Makes a new column: types become wider in place in other ways than ours
    /// (<https://docs.databricks.com/aws/en/delta/type-widening>). Between the last two statements, the table lacks the
    /// column.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String> {
        let new = format!("{WIDENED}{column}");
        vec![
            add_columns(table, [(new.as_str(), (DATABRICKS.column_type)(type_name))]),
            format!("UPDATE {table} SET {} = {converted}", quote_identifier(&new)),
            drop_column(table, column),
            rename_column(table, &new, column),
        ]
    }

    fn mend(&self, table: &str, columns: &[TableColumn]) -> Vec<String> {
        let rename = |new: &TableColumn, column: &str| rename_column(table, &new.name, column);
        mend(columns, |column| drop_column(table, column), rename)
    }

    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let sql = format!(
            "SELECT table_name, column_name, full_data_type FROM information_schema.columns WHERE {} \
             ORDER BY table_name, ordinal_position",
            of_tables(schema, tables)
        );
        let mut found: HashMap<String, Vec<TableColumn>> = HashMap::new();
        for row in self.query(&sql).await? {
            if let [Some(table), Some(name), Some(type_name)] = row.as_slice() {
                let column = TableColumn { name: name.clone(), type_name: type_name.to_uppercase() };
                found.entry(table.clone()).or_default().push(column);
            }
        }
        Ok(found)
    }

    /// Unity Catalog has other words than the standard:
    /// <https://docs.databricks.com/aws/en/sql/language-manual/information-schema/tables>.
    async fn views(&self, schema: &str, names: &[&str]) -> Result<HashSet<String>> {
        let found = self.query(&views(schema, names)).await?;
        Ok(found.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// A name without a schema would be in the session's.
    /// "Equivalent to a CREATE OR REPLACE VIEW statement on an existing view except that privileges granted on the view are
    /// preserved": <https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-alter-view>.
    fn replace_view(&self, view: &str, query: &str) -> String {
        format!("ALTER VIEW {view} AS {query}")
    }

    fn rename_table(&self, table: &TableName, to: &TableName) -> Result<String> {
        Ok(format!("ALTER TABLE {} RENAME TO {}", table.qualified, to.qualified))
    }

    async fn query(&self, sql: &str) -> Result<Rows> {
        self.api.query(&in_backticks(sql)).await
    }

    fn kept_after_deletion(&self) -> &'static str {
        "Delta keeps deleted rows in the files of older versions until VACUUM removes them, after 7 days by default: the \
         load function does that with {\"maintain\": true}"
    }

    async fn run(&self, _session: &mut (), script: &[Statement]) -> Result<Vec<Rows>, Failed> {
        let failed = |position: usize, error: Error| {
            let of_it = script.get(position).filter(|statement| is_of_purpose(&statement.purpose, &error));
            Failed { statement: of_it.map(|_| position), error }
        };
        run_in_order(script, |statement| self.answer(statement), failed).await
    }

    async fn maintain(&self, schema: &str, until: Instant) -> Result<Maintained> {
        let present = tables(self, schema).await?;
        self.drop_scratch(&left_behind(schema, &present)).await;
        let mut maintained = Maintained::default();
        for table in tables_of_merges(self, schema, &present).await? {
            let table = format!("{}.{}", quote_identifier(schema), quote_identifier(&table));
            if Instant::now() >= until {
                maintained.tables_left += 1;
                continue;
            }
            for statement in ["OPTIMIZE", "VACUUM"] {
                self.api.execute(&in_backticks(&format!("{statement} {table}"))).await?;
            }
            maintained.tables += 1;
        }
        Ok(maintained)
    }

    async fn end(&self, _session: (), scratch: &[String]) {
        self.drop_scratch(scratch).await;
        let scratch: Vec<String> = scratch.iter().map(|table| in_backticks(table)).collect();
        for table in self.api.take_unanswered() {
            if !scratch.contains(&table) {
                self.end_commits(&table).await;
            }
        }
    }
}

impl Databricks {
    async fn answer(&self, statement: &Statement) -> Result<Option<Rows>> {
        // Whoever may not make schemas may use one that is there.
        if let Some(schema) = statement.sql.strip_prefix("CREATE SCHEMA IF NOT EXISTS ")
            && self.has_schema(schema).await?
        {
            return Ok(None);
        }
        let done = self.api.execute(&in_backticks(&statement.sql)).await?;
        match statement.purpose {
            Purpose::Count => Ok(Some(self.api.rows(done).await?)),
            _ => Ok(None),
        }
    }

    async fn has_schema(&self, quoted: &str) -> Result<bool> {
        let name = (DATABRICKS.literal)(quoted.trim_matches('"'));
        let sql = format!("SELECT schema_name FROM information_schema.schemata WHERE schema_name = {name}");
        Ok(!self.query(&sql).await?.is_empty())
    }

    async fn drop_scratch(&self, tables: &[String]) {
        let drop = |table: String| async move {
            if let Err(error) = self.api.execute(&in_backticks(&self.drop_table(&table))).await {
                tracing::warn!(table, "a scratch table is left until the next maintenance: {error}");
            }
        };
        stream::iter(tables.iter().cloned().map(drop)).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// Makes all commits to a table fail that began before: "Metadata changes cause all concurrent write operations to
    /// fail" (<https://docs.databricks.com/aws/en/optimizations/isolation-level>).
    async fn end_commits(&self, table: &str) {
        let id = Uuid::now_v7().simple();
        let sql = format!("ALTER TABLE {table} SET TBLPROPERTIES ('hubspot.merge_begun_anew' = '{id}')");
        if let Err(error) = self.api.execute(&sql).await {
            tracing::warn!(table, "a statement whose answer was lost may still change a table: {error}");
        }
    }
}

fn delta<'a>(table: &str, columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> String {
    format!("CREATE TABLE IF NOT EXISTS {table} ({}) USING DELTA {PROPERTIES}", definitions(columns))
}

fn add_columns<'a>(table: &str, columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> String {
    format!("ALTER TABLE {table} ADD COLUMNS ({})", definitions(columns))
}

fn drop_column(table: &str, column: &str) -> String {
    format!("ALTER TABLE {table} DROP COLUMN {}", quote_identifier(column))
}

fn rename_column(table: &str, from: &str, to: &str) -> String {
    format!("ALTER TABLE {table} RENAME COLUMN {} TO {}", quote_identifier(from), quote_identifier(to))
}

fn definitions<'a>(columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> String {
    let column =
        |(name, is): (&str, ColumnType)| format!("{} {}", quote_identifier(name), (DATABRICKS.type_name)(is));
    columns.into_iter().map(column).collect::<Vec<_>>().join(", ")
}

fn of_tables(schema: &str, tables: &[&str]) -> String {
    let names: Vec<String> = tables.iter().map(|table| (DATABRICKS.literal)(table)).collect();
    format!("table_schema = {} AND table_name IN ({})", (DATABRICKS.literal)(schema), names.join(", "))
}

/// The query for those of the names that are of no plain table.
fn views(schema: &str, names: &[&str]) -> String {
    let of_names = of_tables(schema, names);
    format!(
        "SELECT table_name FROM information_schema.tables WHERE {of_names} AND table_type NOT IN ('MANAGED', 'EXTERNAL')"
    )
}

/// The place of a file, which must not be a pattern to Databricks.
fn path(file: &LocatedFile) -> Result<String> {
    let (bucket, key) = file.object()?;
    if key.contains(PATTERN) {
        let message =
            format!("staged file {key} has a character in its key that databricks takes for a pattern");
        return Err(Error::new(Kind::Unsupported, message));
    }
    Ok(format!("s3://{bucket}/{key}"))
}

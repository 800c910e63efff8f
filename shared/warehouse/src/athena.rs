//! Athena (engine version 3) over Iceberg tables in the Glue catalog. It reads staged files from S3 by an external
//! table over a manifest: a small object that lists them.
//!
//! There are no transactions: each statement is a commit of its own, to one table. The `MERGE` compares versions
//! itself, and the ledger is written last. After a crash in between, the files are not in the ledger, and merging them
//! again makes the changes that are left. `docs/warehouses/athena.md` describes what a reader may see meanwhile.

mod api;
mod dialect;
mod maintain;
#[cfg(test)]
mod tests;
pub(crate) mod url;

use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::error::DisplayErrorContext;
use staging::{Column, ColumnType};
use uuid::Uuid;

use self::api::Api;
pub(crate) use self::dialect::ATHENA;
use self::dialect::{defined_type, in_ddl, reported};
use self::url::Folder;
use crate::catalog::Rows;
use crate::dialect::{ACCOUNT_COLUMNS, Dialect, LEDGER_COLUMNS, TableName, quote_identifier, quote_literal};
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{
    AT_ONCE, Engine, Failed, Limits, SqlOverHttp, Staging, WIDENED, left_behind, mend, run_in_order, tables,
    tables_of_merges,
};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;
use crate::{LocatedFile, Maintained, runs};

/// <https://docs.aws.amazon.com/athena/latest/ug/service-limits.html>: 262,144 bytes in a query. A script has no end,
/// and no number of columns is documented.
const LIMITS: Limits = Limits {
    statements: usize::MAX,
    statement_bytes: 262_144,
    script_bytes: usize::MAX,
    columns: usize::MAX,
    // Versions of Trino before 461 fail above some 295: https://github.com/trinodb/trino/issues/15848.
    merged_columns: 200,
};
/// Folder for scratch tables, below that of the tables.
const SCRATCH: &str = "_merges";
const HELPER: &str = "_helper";

#[derive(Debug)]
pub(crate) struct Athena {
    api: Api,
    s3: aws_sdk_s3::Client,
    location: Folder,
}

pub(crate) fn connect(url: &str, schema: &str, aws: Option<&SdkConfig>) -> Result<SqlOverHttp<Athena>> {
    let target = url::target(url)?;
    let Some(aws) = aws else {
        return Err(Error::new(Kind::Unsupported, "athena is called by AWS credentials, and there are none"));
    };
    let location = target.location.clone();
    let engine = Athena { api: Api::new(aws, target), s3: aws_sdk_s3::Client::new(aws), location };
    Ok(SqlOverHttp::new(engine, schema))
}

#[async_trait]
impl Engine for Athena {
    /// No session: nothing is kept between statements.
    type Session = ();

    fn dialect(&self) -> &'static Dialect {
        &ATHENA
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn scratch(&self, schema: &str, name: &str) -> String {
        format!("{schema}.{}", quote_identifier(name))
    }

    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        iceberg(table, &self.scratch_folder(table), columns.iter().map(|(name, is)| (name.as_str(), *is)))
    }

    fn create_schema(&self, schema: &str) -> String {
        format!("CREATE DATABASE IF NOT EXISTS {}", in_ddl(schema))
    }

    fn create_table(&self, table: &str, _key: &[String], columns: &[Column]) -> String {
        let columns = columns.iter().map(|column| (column.name.as_str(), column.column_type));
        iceberg(table, &self.table_folder(table), columns)
    }

    fn create_bookkeeping(&self, account: &str, ledger: &str) -> [String; 2] {
        [
            iceberg(account, &self.table_folder(account), ACCOUNT_COLUMNS),
            iceberg(ledger, &self.table_folder(ledger), LEDGER_COLUMNS),
        ]
    }

    fn create_runs(&self, table: &str) -> String {
        iceberg(table, &self.table_folder(table), runs::COLUMNS)
    }

    /// Returns as few statements as the columns fit in.
    fn add_columns(&self, table: &str, columns: &[Column]) -> Vec<String> {
        let statement =
            add_columns(table, columns.iter().map(|column| (column.name.as_str(), column.column_type)));
        match columns {
            [] => Vec::new(),
            [_, _, ..] if statement.len() > LIMITS.statement_bytes => {
                let (first, then) = columns.split_at(columns.len() / 2);
                [self.add_columns(table, first), self.add_columns(table, then)].concat()
            }
            _ => vec![statement],
        }
    }

    fn drop_table(&self, table: &str) -> String {
        format!("DROP TABLE IF EXISTS {}", in_ddl(table))
    }

    /// Makes a table whose columns are read by position: names in a file may have characters that Hive does not allow.
    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>> {
        let Staging { table, helper, types, files } = staging;
        let columns: Vec<String> =
            types.iter().enumerate().map(|(n, is)| format!("`c{n}` {}", defined_type(*is))).collect();
        let create = format!(
            "CREATE EXTERNAL TABLE {} ({}) ROW FORMAT SERDE \
             'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe' \
             WITH SERDEPROPERTIES ('parquet.column.index.access'='true') \
             STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat' \
             OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat' LOCATION {}",
            in_ddl(helper),
            columns.join(", "),
            quote_literal(&self.scratch_folder(helper).url())
        );
        let mut numbers = String::new();
        for (n, url) in urls(files)?.iter().enumerate() {
            numbers.push_str(&format!(" WHEN {} THEN {n}", quote_literal(url)));
        }
        let values: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(n, is)| format!("CAST(c{n} AS {})", (ATHENA.type_name)(*is)))
            .collect();
        let read = format!(
            "INSERT INTO {table} SELECT CAST(CASE \"$path\"{numbers} END AS BIGINT), \
             row_number() OVER (PARTITION BY \"$path\"), {} FROM {helper}",
            values.join(", ")
        );
        let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
        Ok(vec![Statement::create_scratch(create), Statement::new(Purpose::Read(keys.join(" or ")), read)])
    }

    /// Writes the manifest.
    async fn prepare(&self, helper: &str, files: &[&LocatedFile]) -> Result<()> {
        let Folder { bucket, prefix } = self.scratch_folder(helper);
        let list = urls(files)?.join("\n");
        let put =
            self.s3.put_object().bucket(&bucket).key(manifest(&prefix)).body(list.into_bytes().into()).send();
        put.await.map(drop).map_err(|error| {
            let message = format!("the url's location s3://{bucket} can't be written: allow the caller to");
            Error::new(Kind::Unreachable, message).because(DisplayErrorContext(&error).to_string())
        })
    }

    /// Returns no lock. Two loads exclude each other by their lease; if that fails, each `MERGE` compares versions.
    fn lock(&self, _ledger: &str) -> Option<String> {
        None
    }

    /// Makes a new column, since Athena can't change a type into any that we need. Between the last two statements,
    /// the table lacks the column.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String> {
        let (new, column_type) = (format!("{WIDENED}{column}"), (ATHENA.column_type)(type_name));
        vec![
            add_columns(table, [(new.as_str(), column_type)]),
            format!("UPDATE {table} SET {} = {converted}", quote_identifier(&new)),
            drop_column(table, column),
            rename_column(table, &new, column, column_type),
        ]
    }

    fn mend(&self, table: &str, columns: &[TableColumn]) -> Vec<String> {
        let rename = |new: &TableColumn, column: &str| {
            rename_column(table, &new.name, column, (ATHENA.column_type)(&new.type_name))
        };
        mend(columns, |column| drop_column(table, column), rename)
    }

    /// No package reads them there.
    fn keeps_views(&self) -> bool {
        false
    }

    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let names: Vec<String> = tables.iter().map(|table| quote_literal(table)).collect();
        let sql = format!(
            "SELECT table_name, column_name, data_type FROM information_schema.columns \
             WHERE table_schema = {} AND table_name IN ({}) ORDER BY table_name, ordinal_position",
            quote_literal(schema),
            names.join(", ")
        );
        let mut found: HashMap<String, Vec<TableColumn>> = HashMap::new();
        for row in self.query(&sql).await? {
            if let [Some(table), Some(name), Some(type_name)] = row.as_slice() {
                let column = TableColumn { name: name.clone(), type_name: reported(type_name) };
                found.entry(table.clone()).or_default().push(column);
            }
        }
        Ok(found)
    }

    fn rename_table(&self, table: &TableName, _: &TableName) -> Result<String> {
        let message = format!(
            "table {} was made by another program, and Athena renames no tables: use another schema (--schema)",
            table.alone
        );
        Err(Error::new(Kind::Unsupported, message))
    }

    async fn query(&self, sql: &str) -> Result<Rows> {
        self.api.query(sql).await
    }

    fn kept_after_deletion(&self) -> &'static str {
        "Iceberg keeps deleted rows in older snapshots until they are expired: the load function does that with \
         {\"maintain\": true}, for snapshots of 5 days by default"
    }

    async fn run(&self, _session: &mut (), script: &[Statement]) -> Result<Vec<Rows>, Failed> {
        let failed = |position, error| failed(position, script, error);
        run_in_order(script, |statement| self.answer(statement), failed).await
    }

    async fn maintain(&self, schema: &str, until: Instant) -> Result<Maintained> {
        let present = tables(self, schema).await?;
        for table in left_behind(schema, &present) {
            self.drop_scratch(&table).await;
        }
        let ours = tables_of_merges(self, schema, &present).await?;
        maintain::maintain(&self.api, schema, &ours, until).await
    }

    async fn end(&self, _session: (), scratch: &[String]) {
        for together in scratch.chunks(AT_ONCE) {
            futures::future::join_all(together.iter().map(|table| self.drop_scratch(table))).await;
        }
    }
}

impl Athena {
    async fn answer(&self, statement: &Statement) -> Result<Option<Rows>> {
        let id = self.api.execute(&statement.sql, None).await?;
        match statement.purpose {
            Purpose::Count => Ok(Some(self.api.rows(&id).await?)),
            _ => Ok(None),
        }
    }

    /// Drops a scratch table. Iceberg tables go with their data; of a table over a manifest, the manifest is left.
    async fn drop_scratch(&self, table: &str) {
        if let Err(error) = self.api.execute(&self.drop_table(table), None).await {
            tracing::warn!(table, "a scratch table is left until the next maintenance: {error}");
        }
        if table.trim_end_matches('"').ends_with(HELPER) {
            let Folder { bucket, prefix } = self.scratch_folder(table);
            let deleted = self.s3.delete_object().bucket(&bucket).key(manifest(&prefix)).send().await;
            if let Err(error) = deleted {
                tracing::warn!(table, "a manifest is left: {}", DisplayErrorContext(&error));
            }
        }
    }

    /// Returns a new folder each time, so that files of an earlier table of this name are not read.
    fn table_folder(&self, table: &str) -> Folder {
        self.folder(&format!("{}-{}", path(table), Uuid::now_v7().simple()))
    }

    /// Returns the folder of a scratch table, whose name is used once.
    fn scratch_folder(&self, table: &str) -> Folder {
        self.folder(&format!("{SCRATCH}/{}", path(table)))
    }

    fn folder(&self, path: &str) -> Folder {
        let Folder { bucket, prefix } = &self.location;
        Folder { bucket: bucket.clone(), prefix: format!("{prefix}{path}/") }
    }
}

/// Returns a quoted and qualified name as a part of keys.
fn path(table: &str) -> String {
    table.replace('"', "").replace('.', "/")
}

fn manifest(prefix: &str) -> String {
    format!("{prefix}files.txt")
}

fn urls(files: &[&LocatedFile]) -> Result<Vec<String>> {
    files.iter().map(|file| file.object().map(|(bucket, key)| format!("s3://{bucket}/{key}"))).collect()
}

/// Returns the error of a failed script. A failure while files are read need not be the fault of a file, and a check
/// that did not run is not one that failed.
fn failed(position: usize, script: &[Statement], error: Error) -> Failed {
    let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let says_so = match script.get(position).map(|statement| &statement.purpose) {
        Some(Purpose::Read(_)) => words.contains("HIVE_"),
        Some(Purpose::Unchanged | Purpose::Arrived | Purpose::Swept) => {
            words.contains("INVALID_CAST_ARGUMENT")
        }
        _ => true,
    };
    Failed { statement: says_so.then_some(position), error }
}

fn iceberg<'a>(
    table: &str,
    folder: &Folder,
    columns: impl IntoIterator<Item = (&'a str, ColumnType)>,
) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) LOCATION {} TBLPROPERTIES ('table_type'='ICEBERG', \
         'format'='parquet', 'write_compression'='zstd', 'vacuum_max_snapshot_age_seconds'='432000')",
        in_ddl(table),
        definitions(columns),
        quote_literal(&folder.url())
    )
}

fn add_columns<'a>(table: &str, columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> String {
    format!("ALTER TABLE {} ADD COLUMNS ({})", in_ddl(table), definitions(columns))
}

fn drop_column(table: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {}", in_ddl(table), in_ddl(&quote_identifier(column)))
}

fn rename_column(table: &str, from: &str, to: &str, column_type: ColumnType) -> String {
    let [from, to] = [from, to].map(|name| in_ddl(&quote_identifier(name)));
    format!("ALTER TABLE {} CHANGE COLUMN {from} {to} {}", in_ddl(table), defined_type(column_type))
}

fn definitions<'a>(columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> String {
    let column =
        |(name, is): (&str, ColumnType)| format!("{} {}", in_ddl(&quote_identifier(name)), defined_type(is));
    columns.into_iter().map(column).collect::<Vec<_>>().join(", ")
}

//! Redshift, serverless or provisioned, by its Data API: the caller needs no connection, no driver and no VPC. It
//! reads staged files from S3 by `COPY`, with a role of its own.
//!
//! Scratch tables are temporary and live in a session of the Data API; a script is one `BatchExecuteStatement`, which
//! is a transaction. `COPY` says neither which file a row is from nor what its columns are called, so each file is
//! copied by itself, column by column in the file's order.
//!
//! The SQL comes from three files: this one (`COPY`, changes of columns), `redshift/dialect.rs` (names, types, values)
//! and `sql_over_http/sql.rs` (the merge, which is the same for other engines).

mod api;
mod dialect;
#[cfg(test)]
mod tests;
pub(crate) mod url;

use std::collections::HashMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use staging::ColumnType;

use self::api::{Api, Session};
use self::dialect::{REDSHIFT, identifier, reported};
use crate::catalog::Rows;
use crate::dialect::{Dialect, quote_identifier, quote_literal};
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{Engine, Failed, Limits, SqlOverHttp, Staging};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;

/// <https://docs.aws.amazon.com/redshift/latest/mgmt/data-api.html>: 40 statements in a batch, 100 KB in each. Some
/// room is left for whatever they count besides. A table has 1,600 columns, and what is past them can't be put into
/// one of them here: `COPY` takes all columns of a Parquet file or fails, and so the file has to fit into a scratch
/// table.
const LIMITS: Limits = Limits {
    statements: 40,
    statement_bytes: 99_000,
    script_bytes: usize::MAX,
    columns: 1_600,
    merged_columns: usize::MAX,
};

#[derive(Debug)]
pub(crate) struct Redshift {
    api: Api,
    /// The role that reads the bucket, as `COPY` names it.
    role: String,
}

pub(crate) fn connect(url: &str, schema: &str, aws: Option<&SdkConfig>) -> Result<SqlOverHttp<Redshift>> {
    let target = url::target(url)?;
    let Some(aws) = aws else {
        return Err(Error::new(
            Kind::Unsupported,
            "redshift is called by AWS credentials, and there are none",
        ));
    };
    let role = match target.role.as_str() {
        "default" => "default".to_owned(),
        arn => quote_literal(arn),
    };
    Ok(SqlOverHttp::new(Redshift { api: Api::new(aws, target), role }, schema))
}

#[async_trait]
impl Engine for Redshift {
    type Session = Session;

    fn dialect(&self) -> &'static Dialect {
        &REDSHIFT
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn scratch(&self, _schema: &str, name: &str) -> String {
        quote_identifier(name)
    }

    fn create_scratch(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        let create = create_temp_table(table, columns, REDSHIFT.type_name);
        match columns.iter().any(|(name, _)| name == "k0") {
            true => format!("{create} DISTKEY (k0) SORTKEY (k0)"),
            false => create,
        }
    }

    /// Rows are numbered as they come in: a window function would sort them, and sort no rows that are as wide as ours.
    fn create_staged(&self, table: &str, columns: &[(String, ColumnType)]) -> String {
        let create = create_temp_table(table, columns, REDSHIFT.type_name);
        let numbered = create.replacen("row_no BIGINT", "row_no BIGINT IDENTITY(0, 1)", 1);
        format!("{numbered} DISTKEY (row_no) SORTKEY (row_no)")
    }

    fn analyze(&self, table: &str) -> Option<Statement> {
        Some(Statement::scratch(format!("ANALYZE {table}")))
    }

    fn stage(&self, staging: &Staging<'_>) -> Result<Vec<Statement>> {
        let Staging { table, helper, types, files } = staging;
        let column = |(n, column_type): (usize, &ColumnType)| (format!("c{n}"), *column_type);
        let columns: Vec<(String, ColumnType)> = types.iter().enumerate().map(column).collect();
        let create = create_temp_table(helper, &columns, dialect::copied_type);
        let mut statements = vec![Statement::create_scratch(create)];
        let values: Vec<String> =
            columns.iter().map(|(name, column_type)| dialect::copied(name, *column_type)).collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        for (n, file) in files.iter().enumerate() {
            let (bucket, key) = file.object()?;
            let object = (REDSHIFT.literal)(&format!("s3://{bucket}/{key}"));
            let copy = format!("COPY {helper} FROM {object} IAM_ROLE {} FORMAT AS PARQUET", self.role);
            statements.push(Statement::new(Purpose::Read(file.key.clone()), copy));
            statements.push(Statement::scratch(format!(
                "INSERT INTO {table} (file_no, {}) SELECT {n}, {} FROM {helper}",
                names.join(", "),
                values.join(", ")
            )));
            if n + 1 < files.len() {
                statements.push(Statement::scratch(format!("DELETE FROM {helper}")));
            }
        }
        Ok(statements)
    }

    fn lock(&self, ledger: &str) -> Option<String> {
        Some(format!("LOCK TABLE {ledger}"))
    }

    /// `ALTER COLUMN` changes nothing but the length of texts.
    fn widen(&self, table: &str, column: &str, type_name: &str, converted: &str) -> Vec<String> {
        let (old, new) =
            (quote_identifier(column), quote_identifier(&identifier(&format!("_widened_{column}"))));
        vec![
            format!("ALTER TABLE {table} ADD COLUMN {new} {type_name}"),
            format!("UPDATE {table} SET {new} = {converted}"),
            format!("ALTER TABLE {table} DROP COLUMN {old}"),
            format!("ALTER TABLE {table} RENAME COLUMN {new} TO {old}"),
        ]
    }

    fn all_tables(&self) -> &'static str {
        "svv_tables"
    }

    /// Bound to no table: a column that becomes wider is dropped, which a view that is bound to it would not let happen.
    fn create_view(&self, view: &str, query: &str) -> String {
        format!("CREATE OR REPLACE VIEW {view} AS {query} WITH NO SCHEMA BINDING")
    }

    /// A view is replaced when nobody reads it, and whoever comes to read it waits behind that: milliseconds, of each
    /// statement.
    fn patience_with_readers(&self) -> Option<String> {
        Some("SET statement_timeout TO 15000".to_owned())
    }

    /// "You can only replace a view with a new query that generates the identical set of columns":
    /// <https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_VIEW.html>.
    fn drop_and_create_view(&self, view: &str, query: &str) -> Option<Vec<String>> {
        Some(vec![format!("DROP VIEW IF EXISTS {view}"), self.create_view(view, query)])
    }

    async fn columns(&self, schema: &str, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        let names: Vec<String> = tables.iter().map(|table| (REDSHIFT.literal)(table)).collect();
        let sql = format!(
            "SELECT table_name, column_name, data_type, character_maximum_length FROM svv_columns \
             WHERE table_schema = {} AND table_name IN ({}) ORDER BY table_name, ordinal_position",
            (REDSHIFT.literal)(schema),
            names.join(", ")
        );
        let mut found: HashMap<String, Vec<TableColumn>> = HashMap::new();
        for row in self.query(&sql).await? {
            if let [Some(table), Some(name), Some(type_name), length] = row.as_slice() {
                let type_name = reported(type_name, length.as_deref());
                found.entry(table.clone()).or_default().push(TableColumn { name: name.clone(), type_name });
            }
        }
        Ok(found)
    }

    async fn query(&self, sql: &str) -> Result<Rows> {
        let script = [Statement::count(sql)];
        let rows = self.api.run(&mut Session::default(), &script, false).await;
        Ok(rows.map_err(|failed| failed.error)?.into_iter().next().unwrap_or_default())
    }

    fn kept_after_deletion(&self) -> &'static str {
        "Redshift keeps deleted rows until its next vacuum, which it does by itself (VACUUM DELETE ONLY does it at once), and \
         its snapshots as long as they are kept"
    }

    async fn run(&self, session: &mut Session, script: &[Statement]) -> Result<Vec<Rows>, Failed> {
        self.api.run(session, script, true).await
    }
}

fn create_temp_table(
    table: &str,
    columns: &[(String, ColumnType)],
    type_name: fn(ColumnType) -> &'static str,
) -> String {
    let columns: Vec<String> =
        columns.iter().map(|(column, column_type)| format!("{column} {}", type_name(*column_type))).collect();
    format!("CREATE TEMP TABLE {table} ({})", columns.join(", "))
}

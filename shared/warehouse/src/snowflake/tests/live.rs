//! The conformance suite on an account that one has, in schemas that it makes and drops; see the README.

use std::path::Path;
use std::process::Command;

use async_trait::async_trait;
use secrecy::SecretString;
use tempfile::TempDir;
use uuid::Uuid;

use super::super::dialect::{SNOWFLAKE, identifier};
use super::super::{Snowflake, engine};
use super::NOT_RUN;
use crate::conformance::{Bench, CASES, Cell, Row, is_wanted};
use crate::sql_over_http::Engine;
use crate::{LocatedFile, Location, Warehouse, connect, quote_identifier};

struct Live {
    url: String,
    key: SecretString,
    bucket: String,
    schema: String,
    engine: Snowflake,
    staged: TempDir,
}

impl Live {
    fn new(url: &str) -> Live {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let (key, bucket) =
            (SecretString::from(variable("WAREHOUSE_PASSWORD")), variable("WAREHOUSE_TEST_BUCKET"));
        let schema = format!("conformance_{}", Uuid::now_v7().simple());
        let engine = engine(url, &schema, Some(&key)).unwrap();
        Live { url: url.to_owned(), key, bucket, schema, engine, staged: TempDir::new().unwrap() }
    }
}

#[async_trait]
impl Bench for Live {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url, &self.schema, Some(self.key.clone()), None).await.unwrap()
    }

    fn digits_of_doubles(&self) -> usize {
        super::DIGITS
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let name = identifier(table);
        let mut found = self.engine.columns(&identifier(&self.schema), &[&name]).await.unwrap();
        let columns = found.remove(&name).unwrap();
        let text = |name: &str, type_name: &str| match (quote_identifier(name), type_name) {
            (column, "TIMESTAMP_TZ(3)") => format!("CAST(date_part(epoch_millisecond, {column}) AS VARCHAR)"),
            (column, "DATE") => {
                format!("CAST(datediff(day, CAST('1970-01-01' AS DATE), {column}) AS VARCHAR)")
            }
            (column, _) => format!("CAST({column} AS VARCHAR)"),
        };
        let texts: Vec<String> = columns.iter().map(|column| text(&column.name, &column.type_name)).collect();
        let sql = format!("SELECT {} FROM {}", texts.join(", "), self.quoted(table));
        let cell = |text: Option<String>, type_name: &str| match (text, type_name) {
            (None, _) => Cell::Null,
            (Some(text), "TIMESTAMP_TZ(3)") => Cell::Timestamp(text.parse().unwrap()),
            (Some(text), "DATE") => Cell::Date(text.parse().unwrap()),
            (Some(text), "FLOAT") => Cell::Double(text.parse().unwrap()),
            (Some(text), "BOOLEAN") => Cell::Boolean(text == "true"),
            (Some(text), number) if number.starts_with("NUMBER") => Cell::BigInt(text.parse().unwrap()),
            (Some(text), _) => Cell::Text(text),
        };
        let row = |row: Vec<Option<String>>| {
            let cells = columns.iter().zip(row);
            cells.map(|(column, text)| (column.name.clone(), cell(text, &column.type_name))).collect()
        };
        self.engine.query(&sql).await.unwrap().into_iter().map(row).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        !self.engine.columns(&identifier(&self.schema), &[&identifier(table)]).await.unwrap().is_empty()
    }

    async fn execute(&self, sql: &str) {
        self.engine.query(sql).await.unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&identifier(&self.schema)), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    /// Uploads it, unless it is there no more.
    fn located(&self, file: LocatedFile) -> LocatedFile {
        let path = file.path().unwrap();
        let key = format!("{}/{}", self.schema, path.file_name().unwrap().to_str().unwrap());
        let target = format!("s3://{}/{key}", self.bucket);
        let status =
            Command::new("aws").args(["s3", "cp", "--quiet"]).arg(path).arg(target).status().unwrap();
        assert!(status.success(), "{key} is not uploaded");
        LocatedFile { location: Location::S3 { bucket: self.bucket.clone(), key, bytes: 0 }, ..file }
    }

    fn column(&self, name: &str) -> String {
        (SNOWFLAKE.column_name)(name)
    }
}

/// Cases that change a file after it was staged, or a column as Snowflake lets nobody do it.
const NOT_LIVE: &[&str] = &["files that are no staged files", "two set keys"];

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_an_account() {
    let Some(url) = std::env::var("WAREHOUSE_TEST_URL").ok().filter(|url| url.starts_with("snowflake:"))
    else {
        eprintln!("skipped: WAREHOUSE_TEST_URL names no account");
        return;
    };
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        if NOT_RUN.iter().any(|(not_run, _)| not_run == name) || NOT_LIVE.contains(name) {
            continue;
        }
        eprintln!("case: {name}");
        let live = Live::new(&url);
        case(&live).await;
        live.execute(&format!("DROP SCHEMA {}", quote_identifier(&identifier(&live.schema)))).await;
    }
}

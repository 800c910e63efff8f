//! The conformance suite on a Redshift that one has: `WAREHOUSE_TEST_URL=redshift://...`, AWS credentials and a region
//! as every AWS program takes them, and `WAREHOUSE_TEST_BUCKET`, which the url's role may read. It makes and drops
//! schemas, and leaves its files in the bucket, below `warehouse-test/`.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use chrono::{DateTime, NaiveDate, NaiveTime};
use staging::ColumnType;
use tempfile::TempDir;

use super::super::dialect::{REDSHIFT, identifier};
use super::super::{Redshift, api::Api, url};
use super::{NOT_RUN, twin};
use crate::conformance::{Bench, CASES, Cell, Row, is_wanted};
use crate::sql_over_http::Engine;
use crate::table::TableColumn;
use crate::{LocatedFile, Location, Warehouse, connect, quote_identifier};

/// Cases that reach past the API, and why.
const NOT_RUN_HERE: &[(&str, &str)] = &[
    ("two set keys", "a user can't change a column to text in place"),
    (
        "files that are no staged files",
        "it removes files of this machine, and copies of them stay in the bucket",
    ),
    (
        "every type keeps its values",
        "what becomes of NUL and of times past its range is not known: see the README",
    ),
];

struct AccountBench {
    url: String,
    aws: SdkConfig,
    engine: Redshift,
    s3: aws_sdk_s3::Client,
    bucket: String,
    schema: String,
    staged: TempDir,
}

impl AccountBench {
    async fn new(url: &str, number: usize) -> AccountBench {
        let aws =
            aws_config::defaults(BehaviorVersion::latest()).http_client(twin::http_client()).load().await;
        let s3 = aws_sdk_s3::config::Builder::from(&aws).force_path_style(aws.endpoint_url().is_some());
        AccountBench {
            url: url.to_owned(),
            engine: Redshift { api: Api::new(&aws, url::target(url).unwrap()), role: String::new() },
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            aws,
            bucket: std::env::var("WAREHOUSE_TEST_BUCKET")
                .expect("WAREHOUSE_TEST_BUCKET: where staged files go"),
            schema: format!("warehouse \"test\" {} {number}", std::process::id()),
            staged: TempDir::new().unwrap(),
        }
    }

    async fn columns(&self, table: &str) -> Option<Vec<TableColumn>> {
        let table = identifier(table);
        let mut found: HashMap<_, _> = self.engine.columns(&self.schema, &[&table]).await.unwrap();
        found.remove(&table)
    }

    /// A failed test's schema stays, to be looked at.
    async fn close(self) {
        self.execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", quote_identifier(&self.schema))).await;
    }
}

#[async_trait]
impl Bench for AccountBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url, &self.schema, None, Some(&self.aws)).await.unwrap()
    }

    fn digits_of_doubles(&self) -> usize {
        super::DIGITS
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let columns = self.columns(table).await.expect("the table");
        let column_type = |column: &TableColumn| (REDSHIFT.column_type)(&column.type_name);
        let text = |column: &TableColumn| {
            let name = quote_identifier(&column.name);
            match column_type(column) {
                ColumnType::Double | ColumnType::Boolean => name,
                other => (REDSHIFT.text_of)(&name, other),
            }
        };
        let texts: Vec<String> = columns.iter().map(text).collect();
        let sql = format!("SELECT {} FROM {}", texts.join(", "), self.quoted(table));
        let mut rows: Vec<Vec<Option<String>>> = self.engine.query(&sql).await.unwrap();
        rows.sort();
        let cell = |(column, text): (&TableColumn, Option<String>)| {
            let cell = text.map_or(Cell::Null, |text| cell(column_type(column), text));
            (column.name.clone(), cell)
        };
        rows.into_iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        self.columns(table).await.is_some()
    }

    async fn execute(&self, sql: &str) {
        self.engine.query(sql).await.unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    fn located(&self, file: LocatedFile) -> LocatedFile {
        let body = std::fs::read(file.path().unwrap()).unwrap();
        let bytes = body.len() as u64;
        // A name is not used twice, as in a bucket of ours.
        let key = format!("warehouse-test/{}.parquet", uuid::Uuid::now_v7());
        let put = async {
            self.s3.put_object().bucket(&self.bucket).key(&key).body(body.into()).send().await.unwrap();
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put));
        LocatedFile { location: Location::S3 { bucket: self.bucket.clone(), key, bytes }, ..file }
    }

    fn column(&self, name: &str) -> String {
        (REDSHIFT.column_name)(name)
    }
}

/// From texts as [`REDSHIFT`] writes them.
fn cell(column_type: ColumnType, text: String) -> Cell {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    match column_type {
        ColumnType::Boolean => Cell::Boolean(text == "true"),
        ColumnType::BigInt => Cell::BigInt(text.parse().unwrap()),
        ColumnType::Double => Cell::Double(text.parse().unwrap()),
        ColumnType::Date => Cell::Date(day(&text).to_epoch_days()),
        ColumnType::Timestamp => Cell::Timestamp(match text.contains('T') {
            true => text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis(),
            false => day(&text).and_time(NaiveTime::MIN).and_utc().timestamp_millis(),
        }),
        ColumnType::Text | ColumnType::Json => Cell::Text(text),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redshift_that_one_has_conforms() {
    let url = std::env::var("WAREHOUSE_TEST_URL").unwrap_or_default();
    if !url.starts_with("redshift:") {
        eprintln!("skipped: WAREHOUSE_TEST_URL names no redshift");
        return;
    }
    for (number, (name, case)) in CASES.iter().enumerate().filter(|(_, (name, _))| is_wanted(name)) {
        if let Some((_, reason)) = NOT_RUN.iter().chain(NOT_RUN_HERE).find(|(not_run, _)| not_run == name) {
            eprintln!("not run: {name}: {reason}");
            continue;
        }
        eprintln!("case: {name}");
        let bench = AccountBench::new(&url, number).await;
        case(&bench).await;
        bench.close().await;
    }
}

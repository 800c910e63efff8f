//! The conformance suite on a twin of Redshift: its SQL is parsed as Redshift's and executed as what it means in DuckDB.
//! What the twin can't tell is whether Redshift itself would take it.

mod faults;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use aws_config::SdkConfig;
use staging::ColumnType;
use tempfile::TempDir;

use super::dialect::{REDSHIFT, identifier};
use crate::twin::{self, Twin};
use crate::conformance::{Bench, CASES, Cell, Row, contact, contacts, is_wanted, stage};
use crate::{Kind, LocatedFile, Location, Warehouse, connect, quote_identifier};

/// Cases of the suite that say nothing here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("a text of 100,000 bytes", "Redshift has no type for it; what happens instead has a test of its own"),
    (
        "a description that is not the file's",
        "COPY goes by position and sees no names: whoever reads the footer compares them (staging::describe)",
    ),
];

struct RedshiftBench {
    twin: &'static Twin,
    aws: SdkConfig,
    name: String,
    staged: TempDir,
}

const SCHEMA: &str = "Warehouse \"test\"";

impl RedshiftBench {
    /// `None` if tests are to go on without twins.
    async fn new() -> Option<RedshiftBench> {
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let twin = twin::of("redshift")?;
        let name = format!("bench{}", BENCHES.fetch_add(1, Ordering::Relaxed));
        let staged = TempDir::new().unwrap();
        twin.call("open", &serde_json::json!({"database": name, "bucket": name, "folder": staged.path()}));
        Some(RedshiftBench { twin, aws: twin.aws().await, name, staged })
    }

    fn call(&self, what: &str, mut body: serde_json::Value) -> serde_json::Value {
        body["database"] = self.name.as_str().into();
        self.twin.call(what, &body)
    }

    fn url(&self) -> String {
        format!("redshift://workgroup/{}?role=arn:aws:iam::123456789012:role/reader", self.name)
    }

    fn close(self) {
        self.call("close", serde_json::json!({}));
    }
}

#[async_trait]
impl Bench for RedshiftBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url(), SCHEMA, None, Some(&self.aws)).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let answer =
            self.call("rows", serde_json::json!({"sql": format!("SELECT * FROM {}", self.quoted(table))}));
        let columns: Vec<(String, String)> = serde_json::from_value(answer["columns"].clone()).unwrap();
        let rows: Vec<Vec<Option<String>>> = serde_json::from_value(answer["rows"].clone()).unwrap();
        let cell = |((name, type_name), text): (&(String, String), Option<String>)| {
            (name.clone(), text.map_or(Cell::Null, |text| cell(type_name, text)))
        };
        rows.into_iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        let sql = format!(
            "SELECT 1 FROM duckdb_tables() WHERE schema_name = '{}' AND table_name = '{}'",
            identifier(SCHEMA),
            identifier(table)
        );
        !self.call("rows", serde_json::json!({"sql": sql}))["rows"].as_array().unwrap().is_empty()
    }

    async fn execute(&self, sql: &str) {
        self.call("sql", serde_json::json!({"sql": sql}));
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&identifier(SCHEMA)), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    fn located(&self, file: LocatedFile) -> LocatedFile {
        let name = file.path().unwrap().file_name().unwrap().to_str().unwrap();
        let location = Location::S3 { bucket: self.name.clone(), key: name.to_owned(), bytes: 0 };
        LocatedFile { location, ..file }
    }

    fn column(&self, name: &str) -> String {
        (REDSHIFT.column_name)(name)
    }
}

/// From the twin's texts: times are milliseconds, days are since 1970.
fn cell(type_name: &str, text: String) -> Cell {
    match type_name {
        "BOOLEAN" => Cell::Boolean(text == "true"),
        "BIGINT" | "INTEGER" => Cell::BigInt(text.parse().unwrap()),
        "DOUBLE" => Cell::Double(text.parse().unwrap()),
        "DATE" => Cell::Date(text.parse().unwrap()),
        "TIMESTAMP WITH TIME ZONE" => Cell::Timestamp(text.parse().unwrap()),
        "VARCHAR" => Cell::Text(text),
        other => panic!("no cell for {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (name, _) in NOT_RUN {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no case {name}");
    }
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        if let Some((_, reason)) = NOT_RUN.iter().find(|(not_run, _)| not_run == name) {
            eprintln!("not run: {name}: {reason}");
            continue;
        }
        eprintln!("case: {name}");
        let Some(bench) = RedshiftBench::new().await else { return };
        case(&bench).await;
        bench.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_too_long_is_refused() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let long = contacts(
        "a",
        &[("text", ColumnType::Text)],
        vec![contact(1, 1, 1, &[Cell::text("é".repeat(40_000))])],
    );
    let error = bench.warehouse().await.merge(&stage(&bench, &[long])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadFile, "{error:?}");
    assert!(error.to_string().contains("65,535 bytes"), "{error}");
    assert!(!bench.has_table("contacts").await);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_type_than_it_says_is_refused() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let mut files = stage(&bench, &[contacts("a", &[("name", ColumnType::Text)], vec![])]);
    files[0].description.table.columns[4].column_type = ColumnType::Date;
    let error = bench.warehouse().await.merge(&files).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadFile, "{error:?}");
    assert!(error.to_string().contains("staged file a"), "{error}");
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_this_machine_are_refused() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let local = contacts("a", &[], vec![]).stage(bench.folder());
    let error = bench.warehouse().await.merge(&[local]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("not in S3"), "{error}");
    bench.close();
}

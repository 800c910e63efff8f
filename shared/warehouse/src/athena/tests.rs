//! The conformance suite on a twin of Athena: its SQL is parsed as Athena's, Hive's and Trino's by turns, and executed
//! as what it means in DuckDB, one statement at a time. What the twin can't tell is whether Athena itself would take it.

mod account;
mod faults;
mod golden;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_config::SdkConfig;
use serde_json::json;
use staging::ColumnType;
use tempfile::TempDir;

use self::account::AccountBench;
use super::dialect::{ATHENA, identifier};
use crate::conformance::{Bench, CASES, Cell, File, Row, contact, contacts, is_wanted, merge, read, stage};
use crate::twin::{self, Twin};
use crate::{Kind, LocatedFile, Location, Maintained, Warehouse, connect, quote_identifier};

const MODES: &str = "hard deletes and history are refused: a warehouse of the script core has neither yet";
/// Cases of the suite that say nothing here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "a description that is not the file's",
        "columns are read by their places and nothing sees names: whoever reads the footer compares them \
         (staging::describe)",
    ),
    (
        "two merges of the same files at once",
        "without a lock both may merge and count them; that the table is right has a test of its own",
    ),
    ("deleted rows leave in every order", MODES),
    ("members of sets leave in every order", MODES),
    ("the mode may change", MODES),
    ("history does not depend on order", MODES),
    ("history may begin late", MODES),
    ("history follows the columns", MODES),
    ("hard deletes leave no past", MODES),
    ("sets have no history", MODES),
];

/// And on Athena itself.
const NOT_RUN_THERE: &[(&str, &str)] = &[
    ("a user's columns stay", "Iceberg tables of version 2 have no defaults"),
    ("two set keys", "a user can't change a column to text in place"),
    ("files that are no staged files", "they are in S3 already when they are removed"),
    ("every type keeps its values", "what becomes of NUL and of times past its range is not known"),
];

struct AthenaBench {
    twin: &'static Twin,
    aws: SdkConfig,
    name: String,
    staged: TempDir,
}

const SCHEMA: &str = "Warehouse \"test\"";

impl AthenaBench {
    /// `None` if tests are to go on without twins.
    async fn new() -> Option<AthenaBench> {
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let twin = twin::of("athena")?;
        let name = format!("bench{}", BENCHES.fetch_add(1, Ordering::Relaxed));
        let staged = TempDir::new().unwrap();
        twin.call("open", &json!({"database": name, "bucket": name, "folder": staged.path()}));
        Some(AthenaBench { twin, aws: twin.aws().await, name, staged })
    }

    fn call(&self, what: &str, mut body: serde_json::Value) -> serde_json::Value {
        body["database"] = self.name.as_str().into();
        self.twin.call(what, &body)
    }

    fn url(&self) -> String {
        format!("athena://{0}/?location=s3://{0}/lake&results=s3://{0}/answers/", self.name)
    }

    fn executed(&self, prefix: &str) -> u64 {
        self.call("executed", json!({"prefix": prefix}))["count"].as_u64().unwrap()
    }

    /// Of a query in DuckDB's SQL.
    fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.call("rows", json!({"sql": sql}))["rows"].clone();
        let rows: Vec<Vec<String>> = serde_json::from_value(rows).unwrap();
        rows.into_iter().flatten().collect()
    }

    fn scratch_tables(&self) -> Vec<String> {
        self.texts("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'merge_%'")
    }

    fn close(self) {
        self.call("close", json!({}));
    }
}

#[async_trait]
impl Bench for AthenaBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url(), SCHEMA, None, Some(&self.aws)).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let answer = self.call("rows", json!({"sql": format!("SELECT * FROM {}", self.quoted(table))}));
        let columns: Vec<(String, String)> = serde_json::from_value(answer["columns"].clone()).unwrap();
        let rows: Vec<Vec<Option<String>>> = serde_json::from_value(answer["rows"].clone()).unwrap();
        let cell = |((name, type_name), text): (&(String, String), Option<String>)| {
            (name.clone(), text.map_or(Cell::Null, |text| cell(type_name, text)))
        };
        rows.into_iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        let sql = format!(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = '{}' AND table_name = '{}'",
            identifier(SCHEMA),
            identifier(table)
        );
        !self.texts(&sql).is_empty()
    }

    async fn execute(&self, sql: &str) {
        self.call("sql", json!({"sql": sql}));
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
        (ATHENA.column_name)(name)
    }
}

/// From the twin's texts: times are milliseconds, days are since 1970.
fn cell(type_name: &str, text: String) -> Cell {
    match type_name {
        "BOOLEAN" => Cell::Boolean(text == "true"),
        "BIGINT" | "INTEGER" => Cell::BigInt(text.parse().unwrap()),
        "DOUBLE" => Cell::Double(text.parse().unwrap()),
        "DATE" => Cell::Date(text.parse().unwrap()),
        "TIMESTAMP" => Cell::Timestamp(text.parse().unwrap()),
        "VARCHAR" => Cell::Text(text),
        other => panic!("no cell for {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (name, _) in NOT_RUN.iter().chain(NOT_RUN_THERE) {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no case {name}");
    }
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        let account = AccountBench::new().await;
        let not_run_there = if account.is_some() { NOT_RUN_THERE } else { &[] };
        if let Some((_, reason)) = NOT_RUN.iter().chain(not_run_there).find(|(not_run, _)| not_run == name) {
            eprintln!("not run: {name}: {reason}");
            continue;
        }
        eprintln!("case: {name}");
        if let Some(bench) = account {
            case(&bench).await;
            bench.close().await;
            continue;
        }
        let Some(bench) = AthenaBench::new().await else { return };
        case(&bench).await;
        assert!(bench.scratch_tables().is_empty(), "{name}: {:?}", bench.scratch_tables());
        bench.close();
    }
}

fn named(key: &str, id: i64, updated: i64, name: &str) -> File {
    contacts(key, &[("name", ColumnType::Text)], vec![contact(id, updated, updated, &[Cell::text(name)])])
}

/// Columns are read by their places, which need not be the same in all files of one merge.
#[tokio::test(flavor = "multi_thread")]
async fn files_may_have_their_columns_in_another_order() {
    let Some(bench) = AthenaBench::new().await else { return };
    let texts = |key: &str, id, first: &str, second: &str| {
        let columns = [(first, ColumnType::Text), (second, ColumnType::Text)];
        contacts(key, &columns, vec![contact(id, 1, 1, &[Cell::text(first), Cell::text(second)])])
    };
    let merged = merge(&bench, &[texts("a", 1, "city", "name"), texts("b", 2, "name", "city")]).await;
    assert_eq!((merged.files, merged.inserted), (2, 2));
    for row in read(&bench, "contacts", &["city", "name"]).await {
        assert_eq!(row, [Cell::text("city"), Cell::text("name")]);
    }
    bench.close();
}

/// Without a lock, files may be merged twice and counted twice. The table is that of one merge.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_at_once_are_one_table() {
    let Some(bench) = AthenaBench::new().await else { return };
    let files: Vec<File> = (0..4).map(|n| named(&format!("f{n}"), n % 2, n, &format!("{n}"))).collect();
    let staged = stage(&bench, &files);
    let (one, two) = (bench.warehouse().await, bench.warehouse().await);
    let (first, second) = tokio::join!(one.merge(&staged), two.merge(&staged));
    for merged in [first, second] {
        assert!(merged.unwrap().files <= 4);
    }
    let rows = [(0, "2"), (1, "3")].map(|(id, name)| vec![Cell::BigInt(id), Cell::text(name)]);
    assert_eq!(read(&bench, "contacts", &["id", "name"]).await, rows);
    assert_eq!(bench.warehouse().await.loaded("contacts").await.unwrap().len(), 4);
    // Rows of the ledger or the account that are there twice stop nothing.
    assert_eq!(merge(&bench, &[named("g", 1, 9, "nine")]).await.updated, 1);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_rewrites_what_merges_fill_and_drops_what_they_left() {
    let Some(bench) = AthenaBench::new().await else { return };
    let warehouse = bench.warehouse().await;
    let hour = || Instant::now() + Duration::from_secs(3600);
    assert_eq!(warehouse.maintain(hour()).await.unwrap(), Maintained::default());
    merge(&bench, &[named("a", 1, 1, "Ada")]).await;
    let old = "merge_0190a0b0c0d070008000000000000000_0_staged";
    bench.execute(&format!("CREATE TABLE {} (x BIGINT)", bench.quoted(old))).await;
    bench.execute(&format!("CREATE TABLE {} (x BIGINT)", bench.quoted("mine"))).await;

    assert_eq!(warehouse.maintain(Instant::now()).await.unwrap(), Maintained { tables: 0, tables_left: 3 });
    let maintained = warehouse.maintain(hour()).await.unwrap();
    assert_eq!(maintained, Maintained { tables: 3, tables_left: 0 });
    // What says that there is more is run again.
    assert_eq!((bench.executed("OPTIMIZE"), bench.executed("VACUUM")), (3, 3));
    assert!(bench.scratch_tables().is_empty());
    assert!(bench.has_table("mine").await);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_too_long_is_refused() {
    let Some(bench) = AthenaBench::new().await else { return };
    let names: Vec<String> = (0..1_500).map(|n| format!("{n}{}", "x".repeat(100))).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let error = bench.warehouse().await.merge(&stage(&bench, &[contacts("a", &columns, vec![])])).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("the warehouse takes 262144"), "{error}");
    assert!(!bench.has_table("contacts").await);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_this_machine_are_refused() {
    let Some(bench) = AthenaBench::new().await else { return };
    let local = contacts("a", &[], vec![]).stage(bench.folder());
    let error = bench.warehouse().await.merge(&[local]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("not in S3"), "{error}");
    bench.close();
}

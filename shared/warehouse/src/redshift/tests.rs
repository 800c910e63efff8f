//! The conformance suite on a twin of Redshift: its SQL is parsed as Redshift's and executed as what it means in DuckDB.
//! What the twin can't tell is whether Redshift itself would take it.

mod account;
mod faults;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use aws_config::SdkConfig;
use staging::ColumnType;
use tempfile::TempDir;

use super::dialect::{REDSHIFT, identifier};
use crate::conformance::{
    Bench, CASES, Cell, File, Row, contact, contacts, identities, is_wanted, merge, read, stage, torture_file,
};
use crate::twin::{self, Twin};
use crate::{Kind, LocatedFile, Location, Merged, Warehouse, connect, quote_identifier};

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

#[tokio::test]
async fn merge_of_a_torture_table() {
    let url = "redshift://workgroup/dev?role=arn:aws:iam::123456789012:role/reader";
    let warehouse = super::connect(url, SCHEMA, Some(&SdkConfig::builder().build())).unwrap();
    let location =
        Location::S3 { bucket: "staged".to_owned(), key: "it's/a=b/1.parquet".to_owned(), bytes: 1 };
    let file = LocatedFile { location: location.clone(), ..torture_file() };
    // Another spelling, narrower types, and a column that the file lacks.
    let present = [
        ("vid", "BIGINT"),
        ("a\"key\"", "INTEGER"),
        ("it's", "BIGINT"),
        ("file_index", "DATE"),
        ("_source_updated_at", "TIMESTAMPTZ"),
        ("_read_at", "TIMESTAMPTZ"),
        ("my \"note\"", "VARCHAR(256)"),
    ];
    let sets = LocatedFile { location, ..identities("sets", vec![]).stage(TempDir::new().unwrap().path()) };
    insta::assert_snapshot!(
        [
            warehouse.statements(&file, None),
            warehouse.statements(&file, Some(&present)),
            warehouse.statements(&sets, None)
        ]
        .join(";\n\n-- \n\n")
    );
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
    assert!(
        error.to_string().contains("staged file a") && error.to_string().contains("65,535 bytes"),
        "{error}"
    );
    assert!(!bench.has_table("contacts").await);
    bench.close();
}

/// The table is made in parts, and its rows are written in parts.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_would_be_too_long_become_several() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let names: Vec<String> = (0..1_200).map(|n| format!("{n}_{}", "x".repeat(75))).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let row = |id: i64, version: i64| {
        let cells: Vec<Cell> = (0..names.len()).map(|n| Cell::text(format!("{id} {version} {n}"))).collect();
        contact(id, version, version, &cells)
    };
    let merged = merge(&bench, &[contacts("a", &columns, vec![row(1, 10), row(2, 10)])]).await;
    assert_eq!((merged.inserted, merged.updated), (2, 0));
    let newer = contacts("b", &columns, vec![row(2, 11), row(2, 11), row(3, 11)]);
    let merged = merge(&bench, std::slice::from_ref(&newer)).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(merge(&bench, &[newer.named("c")]).await.merged_rows, 0);
    let wanted: Vec<&str> = ["id"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let expected = [(1, 10), (2, 11), (3, 11)]
        .map(|(id, version)| [vec![Cell::BigInt(id)], row(id, version)[4..].to_vec()].concat());
    assert!(read(&bench, "contacts", &wanted).await == expected, "other values");
    assert!(bench.call("executed", serde_json::json!({"prefix": "UPDATE"}))["count"].as_u64() > Some(3));
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_too_many_columns_is_refused() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let names: Vec<String> = (0..1_600).map(|n| format!("property_{n}")).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let files = stage(&bench, &[contacts("a", &columns, vec![])]);
    let error = bench.warehouse().await.merge(&files).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("it can have 1600 columns"), "{error}");
    bench.close();
}

/// More than one script has room for: each is whole, and all of them come.
#[tokio::test(flavor = "multi_thread")]
async fn many_sets_of_columns_become_several_scripts() {
    let Some(bench) = RedshiftBench::new().await else { return };
    let file = |n: i64| {
        let name = format!("property_{n}");
        let rows = vec![contact(1, n, n, &[Cell::BigInt(n)]), contact(10 + n, n, n, &[Cell::BigInt(n)])];
        contacts(&format!("file-{n}"), &[(name.as_str(), ColumnType::BigInt)], rows)
            .of_run(&format!("run-{n}"))
    };
    let files: Vec<File> = (0..9).map(file).collect();
    let merged = merge(&bench, &files).await;
    // A row that is written in two scripts is inserted by one and updated by the other.
    assert_eq!((merged.files, merged.staged_rows, merged.inserted, merged.updated), (9, 18, 10, 8));
    let table = read(&bench, "contacts", &["id", "property_0", "property_8"]).await;
    assert_eq!(table[0], [Cell::BigInt(1), Cell::BigInt(0), Cell::BigInt(8)]);
    assert_eq!(merge(&bench, &files).await, Merged::default());
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

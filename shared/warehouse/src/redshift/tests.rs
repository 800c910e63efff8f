//! The conformance suite on a twin of Redshift: its SQL is parsed as Redshift's and executed in DuckDB with the same
//! meaning. Only Redshift itself can show that it accepts the SQL.

mod account;
mod faults;

use aws_config::SdkConfig;
use staging::ColumnType;
use tempfile::TempDir;

use super::dialect::{REDSHIFT, identifier};
use crate::conformance::modes::{BOTH, deletable};
use crate::conformance::{
    Bench, Cell, File, contact, contacts, identities, merge, read, stage, torture_file,
};
use crate::twin::{self, SCHEMA, TwinBench, wide_contacts_are_merged};
use crate::{Kind, LocatedFile, Location, Merged, TableMode};

/// Cases of the suite that do not apply here, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("a text of 100,000 bytes", "Redshift has no type for it; what happens instead has a test of its own"),
    (
        "a description that is not the file's",
        "COPY goes by position and sees no names: whoever reads the footer compares them (staging::describe)",
    ),
];

/// Digits that Redshift writes of a double, unless a session says otherwise:
/// <https://docs.aws.amazon.com/redshift/latest/dg/r_extra_float_digits.html>.
const DIGITS: usize = 15;

/// Starts a twin; `None` if tests are to go on without twins.
async fn bench() -> Option<TwinBench> {
    let twin = twin::of("redshift")?;
    let mut bench = TwinBench::open(twin, [identifier, REDSHIFT.column_name], serde_json::json!({}));
    bench.digits = DIGITS;
    bench.url = format!("redshift://workgroup/{}?role=arn:aws:iam::123456789012:role/reader", bench.name);
    bench.aws = Some(twin.aws().await);
    Some(bench)
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    twin::conforms(NOT_RUN, bench).await;
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

#[tokio::test]
async fn merge_into_a_table_without_deleted_rows_and_with_its_past() {
    let url = "redshift://workgroup/dev?role=arn:aws:iam::123456789012:role/reader";
    let warehouse = super::connect(url, SCHEMA, Some(&SdkConfig::builder().build())).unwrap();
    let file = deletable().stage(TempDir::new().unwrap().path());
    let present = [
        ("id", "BIGINT"),
        ("_source_updated_at", "TIMESTAMPTZ"),
        ("_read_at", "TIMESTAMPTZ"),
        ("is_deleted", "BOOLEAN"),
    ];
    insta::assert_snapshot!(warehouse.mode_statements(&file, &present));
}

#[tokio::test]
async fn adoption_of_a_table() {
    let url = "redshift://workgroup/dev?role=arn:aws:iam::123456789012:role/reader";
    let warehouse = super::connect(url, SCHEMA, Some(&SdkConfig::builder().build())).unwrap();
    let types = [
        "VARCHAR(256)",
        "TIMESTAMP WITHOUT TIME ZONE",
        "TIMESTAMPTZ",
        "BIGINT",
        "DOUBLE PRECISION",
        "BOOLEAN",
    ];
    insta::assert_snapshot!(warehouse.adopt_statements(&types));
}

#[tokio::test]
async fn views_are_kept() {
    let url = "redshift://workgroup/dev?role=arn:aws:iam::123456789012:role/reader";
    let warehouse = super::connect(url, SCHEMA, Some(&SdkConfig::builder().build())).unwrap();
    insta::assert_snapshot!(warehouse.view_statements());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_too_long_is_refused() {
    let Some(bench) = bench().await else { return };
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

/// Checks a table that is created, and whose rows are written, by several statements.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_would_be_too_long_become_several() {
    let Some(bench) = bench().await else { return };
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
    let Some(bench) = bench().await else { return };
    let merge_with = async |count: usize| {
        // Besides the key and what a merge decides by.
        let names: Vec<String> = (4..count).map(|n| format!("property_{n}")).collect();
        let columns: Vec<(&str, ColumnType)> =
            names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
        let rows = vec![contact(1, 1, 1, &vec![Cell::text("x"); columns.len()])];
        bench.warehouse().await.merge(&stage(&bench, &[contacts(&count.to_string(), &columns, rows)])).await
    };
    let error = merge_with(1_599).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    for part in ["the column property_1598", "it can have 1598 columns", "archive properties in HubSpot"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!bench.has_table("contacts").await);
    assert_eq!(merge_with(1_598).await.unwrap().inserted, 1);
    bench.close();
}

/// Checks that a file is refused before anything is created for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_too_many_columns_is_refused() {
    let Some(bench) = bench().await else { return };
    let merge_with = async |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("property_{n:016}")).collect();
        let columns: Vec<(&str, ColumnType)> =
            names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
        let file = contacts("a", &columns, vec![]).of_collection(&format!("with_{count}"));
        bench.warehouse().await.merge_as(&stage(&bench, &[file]), BOTH).await
    };
    merge_with(900).await.unwrap();
    let error = merge_with(1_100).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("or keep no history of it"), "{error}");
    assert!(!bench.has_table("with_1100").await && !bench.has_table("with_1100_history").await);
    bench.close();
}

/// Checks runs that need several scripts: each is complete, and all runs are recorded.
#[tokio::test(flavor = "multi_thread")]
async fn many_sets_of_columns_become_several_scripts() {
    let Some(bench) = bench().await else { return };
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
    let Some(bench) = bench().await else { return };
    let mut files = stage(&bench, &[contacts("a", &[("name", ColumnType::Text)], vec![])]);
    files[0].description.table.columns[4].column_type = ColumnType::Date;
    let error = bench.warehouse().await.merge(&files).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadFile, "{error:?}");
    assert!(error.to_string().contains("staged file a"), "{error}");
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_this_machine_are_refused() {
    let Some(bench) = bench().await else { return };
    let local = contacts("a", &[], vec![]).stage(bench.folder());
    let error = bench.warehouse().await.merge(&[local]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("not in S3"), "{error}");
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_of_700_columns_are_merged() {
    for mode in [TableMode::default(), BOTH] {
        let Some(bench) = bench().await else { return };
        wide_contacts_are_merged(&bench, mode).await;
        bench.close();
    }
}

#[tokio::test]
async fn persons_are_forgotten() {
    let url = "redshift://workgroup/dev?role=arn:aws:iam::123456789012:role/reader";
    let warehouse = super::connect(url, SCHEMA, Some(&SdkConfig::builder().build())).unwrap();
    let types = [
        "BIGINT",
        "VARCHAR(65535)",
        "VARCHAR(65535)",
        "VARCHAR(256)",
        "VARCHAR(65535)",
        "VARCHAR(65535)",
        "VARCHAR(65535)",
    ];
    insta::assert_snapshot!(warehouse.erase_statements(&types));
}

//! The conformance suite on a twin of Redshift: its SQL is parsed as Redshift's and executed as what it means in DuckDB.
//! What the twin can't tell is whether Redshift itself would take it.

mod faults;

use staging::ColumnType;

use super::dialect::{REDSHIFT, identifier};
use crate::Kind;
use crate::conformance::{Bench, Cell, contact, contacts, stage};
use crate::twin::{self, TwinBench};

/// Cases of the suite that say nothing here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("a text of 100,000 bytes", "Redshift has no type for it; what happens instead has a test of its own"),
    (
        "a description that is not the file's",
        "COPY goes by position and sees no names: whoever reads the footer compares them (staging::describe)",
    ),
];

/// `None` if tests are to go on without twins.
async fn bench() -> Option<TwinBench> {
    let twin = twin::redshift()?;
    let mut bench = TwinBench::open(twin, [identifier, REDSHIFT.column_name], serde_json::json!({}));
    bench.url = format!("redshift://workgroup/{}?role=arn:aws:iam::123456789012:role/reader", bench.name);
    bench.aws = Some(twin.aws().await);
    Some(bench)
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    twin::conforms(NOT_RUN, bench).await;
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
    assert!(error.to_string().contains("65,535 bytes"), "{error}");
    assert!(!bench.has_table("contacts").await);
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

//! The conformance suite on a twin of Databricks: its SQL is parsed as Databricks' and executed in DuckDB with the same
//! meaning, one statement at a time. Only Databricks itself can show that it accepts the SQL.

mod faults;
mod golden;
mod judges;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use staging::ColumnType;

use super::dialect::{DATABRICKS, identifier};
use crate::conformance::modes::BOTH;
use crate::conformance::{Bench, contacts, merge, stage};
use crate::twin::one_by_one::{self, named};
use crate::twin::{self, SCHEMA, Twin, TwinBench, wide_contacts_are_merged};
use crate::{Kind, LocatedFile, Location, Maintained, connect};

/// Cases of the suite that do not apply here, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "a description that is not the file's",
        "Databricks says in words of its own what a file lacks; that it is the file has a test of its own",
    ),
    (
        "two merges of the same files at once",
        "without a lock both may merge and count them; that the table is right has a test of its own",
    ),
];

const CLIENT_ID: &str = "5b1f0c1e-0000-4000-8000-000000000001";
const SECRET: &str = "dose0123456789abcdef";
const TOKEN: &str = "dapi0123456789abcdef";

/// Starts a twin; `None` if tests are to go on without twins.
async fn bench() -> Option<TwinBench> {
    twin::of("databricks").map(bench_of)
}

fn bench_of(twin: &'static Twin) -> TwinBench {
    let more = json!({"client_id": CLIENT_ID, "secret": SECRET, "token": TOKEN});
    let mut bench = TwinBench::open(twin, [identifier, DATABRICKS.column_name], more);
    bench.url = url(&bench, &format!("{CLIENT_ID}@"), "main");
    bench.key = Some(SECRET.to_owned().into());
    bench
}

fn url(bench: &TwinBench, user: &str, path: &str) -> String {
    let endpoint = bench.twin.endpoint();
    format!("databricks://{user}h.example/{path}?warehouse={}&endpoint={endpoint}", bench.name)
}

/// Scratch tables that are there.
fn scratch(bench: &TwinBench) -> Value {
    let sql = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'merge\\_%' ESCAPE '\\'";
    bench.call("rows", json!({"sql": sql}))["rows"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    twin::conforms(NOT_RUN, bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_other_columns_than_its_description_is_refused() {
    let Some(bench) = bench().await else { return };
    let mut renamed = stage(&bench, &[named("a", 1, 1, "Ada")]);
    renamed[0].description.table.columns[4].name = "surname".to_owned();
    let mut retyped = stage(&bench, &[named("b", 1, 1, "Ada")]);
    retyped[0].description.table.columns[4].column_type = ColumnType::Date;
    for files in [renamed, retyped] {
        let error = bench.warehouse().await.merge(&files).await.unwrap_err();
        assert_eq!(error.kind(), Kind::BadFile, "{error:?}");
        assert!(error.to_string().contains(&format!("staged file {}", files[0].key)), "{error}");
        assert!(!bench.has_table("contacts").await);
    }
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_may_be_in_the_url() {
    let Some(mut bench) = bench().await else { return };
    bench.url = url(&bench, &format!("{CLIENT_ID}@"), "main.Crm-raw");
    merge(&bench, &[named("a", 1, 1, "Ada")]).await;
    let rows = bench.call("rows", json!({"sql": "SELECT name FROM \"crm-raw\".contacts"}));
    assert_eq!(rows["rows"], json!([["Ada"]]));
    assert_eq!(scratch(&bench), json!([]));
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_at_once_are_one_table() {
    one_by_one::the_same_files_at_once_are_one_table(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_rewrites_what_merges_fill_and_drops_what_they_left() {
    let Some(bench) = bench().await else { return };
    let warehouse = bench.warehouse().await;
    let hour = || Instant::now() + Duration::from_secs(3600);
    assert_eq!(warehouse.maintain(hour()).await.unwrap(), Maintained::default());
    merge(&bench, &[named("a", 1, 1, "Ada")]).await;
    let old = "merge_0190a0b0c0d070008000000000000000_0_staged";
    for table in [old, "mine"] {
        bench.execute(&format!("CREATE TABLE {} (x BIGINT)", bench.quoted(table))).await;
    }
    assert_eq!(warehouse.maintain(Instant::now()).await.unwrap(), Maintained { tables: 0, tables_left: 3 });
    assert_eq!(warehouse.maintain(hour()).await.unwrap(), Maintained { tables: 3, tables_left: 0 });
    let executed = |prefix: &str| bench.call("executed", json!({"prefix": prefix}))["count"].clone();
    assert_eq!((executed("OPTIMIZE"), executed("VACUUM")), (json!(3), json!(3)));
    assert_eq!(scratch(&bench), json!([]));
    assert!(bench.has_table("mine").await);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_of_700_columns_are_merged() {
    let Some(bench) = bench().await else { return };
    wide_contacts_are_merged(&bench, BOTH).await;
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_databricks_does_not_read_are_refused() {
    let Some(bench) = bench().await else { return };
    let local = contacts("a", &[], vec![]).stage(bench.folder());
    let location = Location::S3 { bucket: "b".to_owned(), key: "a[1].parquet".to_owned(), bytes: 1 };
    let pattern = LocatedFile { location, ..local.clone() };
    for (file, words) in [(local, "not in S3"), (pattern, "takes for a pattern")] {
        let error = bench.warehouse().await.merge(&[file]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains(words), "{error}");
    }
    bench.close();
}

/// Checks tokens: one that is given for a secret, another when it is over, and one that is the secret.
#[tokio::test(flavor = "multi_thread")]
async fn principals_and_tokens_are_let_in() {
    let Some(mut bench) = bench().await else { return };
    let warehouse = bench.warehouse().await;
    let [first, second] = ["a", "b"].map(|key| stage(&bench, &[named(key, 1, 1, "Ada")]));
    warehouse.merge(&first).await.unwrap();
    bench.call("expire", json!({}));
    warehouse.merge(&second).await.unwrap();
    bench.url = url(&bench, "", "main");
    bench.key = Some(TOKEN.to_owned().into());
    assert_eq!(bench.warehouse().await.loaded("contacts").await.unwrap().len(), 2);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_learns_why() {
    let Some(bench) = bench().await else { return };
    let staged = stage(&bench, &[named("a", 1, 1, "Ada")]);
    let (own, other) = (format!("{CLIENT_ID}@"), "dapi-other");
    for (url, secret, words, source) in [
        (bench.url.clone(), other, "the workspace does not take this one", "Client authentication failed"),
        (url(&bench, "", "main"), other, "check the secret", "Invalid access token"),
        (url(&bench, &own, "other"), SECRET, "does not know the catalog", "NO_SUCH_CATALOG"),
        (bench.url.replace(&bench.name, "0"), SECRET, "does not know the SQL warehouse", "does not exist"),
    ] {
        let warehouse = connect(&url, SCHEMA, Some(secret.to_owned().into()), None).await.unwrap();
        let error = warehouse.merge(&staged).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error:?}");
        let shown = format!("{error:?}");
        assert!(shown.contains(words) && shown.contains(source), "{shown}");
        assert!(!shown.contains(secret), "{shown}");
    }
    let nothing = connect(&bench.url, SCHEMA, None, None).await.unwrap_err();
    assert!(nothing.to_string().contains("and there is none"), "{nothing}");
    bench.close();
}

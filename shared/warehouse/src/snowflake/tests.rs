//! The conformance suite on a twin of Snowflake: its SQL is parsed as Snowflake's and executed in DuckDB with the same
//! meaning. Only Snowflake itself can show that it accepts the SQL.

mod faults;
mod live;
mod requests;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use staging::ColumnType;

use super::dialect::{SNOWFLAKE, identifier};
use crate::conformance::{Bench, Cell, contact, contacts, merge, read, stage};
use crate::twin::{self, SCHEMA, TwinBench};
use crate::{Kind, connect};

/// Cases of the suite that do not apply here, with the reason.
const NOT_RUN: &[(&str, &str)] = &[(
    "a description that is not the file's",
    "COPY goes by name, and what a file lacks is NULL: whoever reads the footer compares them (staging::describe)",
)];

const KEY: &str = include_str!("tests/key.pem");
const PUBLIC_KEY: &str = include_str!("tests/key.pub");
const STAGE: &str = "stage=raw.public.staged";

/// Digits that Snowflake has of a double, as far as is documented:
/// <https://docs.snowflake.com/en/sql-reference/data-types-numeric>.
const DIGITS: usize = 15;

/// Starts a twin; `None` if tests are to go on without twins. `files` is the URL's parameter for the way to read
/// files.
fn bench_with(files: &str) -> Option<TwinBench> {
    let twin = twin::of("snowflake")?;
    let key: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(BASE64_STANDARD.decode(&key).is_ok());
    let more = json!({"subject": "ORG-ACC.LOADER", "key": key});
    let mut bench = TwinBench::open(twin, [identifier, SNOWFLAKE.column_name], more);
    bench.digits = DIGITS;
    bench.url = url(&bench, files);
    bench.key = Some(KEY.to_owned().into());
    Some(bench)
}

fn url(bench: &TwinBench, more: &str) -> String {
    let endpoint = bench.twin.endpoint();
    format!(
        "snowflake://loader@org-acc/{}?warehouse=loading&role=loader&endpoint={endpoint}&{more}",
        bench.name
    )
}

async fn bench() -> Option<TwinBench> {
    bench_with(STAGE)
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    twin::conforms(NOT_RUN, bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_need_no_quotes() {
    let Some(bench) = bench().await else { return };
    let file =
        contacts("a", &[("First_Name", ColumnType::Text)], vec![contact(1, 1, 1, &[Cell::text("Ada")])]);
    merge(&bench, &[file]).await;
    bench
        .execute("CREATE TABLE main.seen AS SELECT first_name AS n FROM \"warehouse \"\"test\"\"\".contacts")
        .await;
    let rows = bench.call("rows", json!({"sql": "SELECT * FROM main.\"SEEN\""}));
    assert_eq!(rows["rows"], json!([["Ada"]]));
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_through_an_integration() {
    let Some(bench) = bench_with("storage_integration=s3_reader") else { return };
    let file = |key: &str, id| {
        contacts(key, &[("n", ColumnType::Text)], vec![contact(id, 1, 1, &[Cell::text("x")])])
    };
    assert_eq!(merge(&bench, &[file("a", 1), file("b", 2)]).await.inserted, 2);
    assert_eq!(read(&bench, "contacts", &["id"]).await, [[Cell::BigInt(1)], [Cell::BigInt(2)]]);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_scratch_table_is_left() {
    let Some(bench) = bench().await else { return };
    let scratch = |bench: &TwinBench| {
        let sql = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '\\_MERGE%' ESCAPE '\\'";
        bench.call("rows", json!({"sql": sql}))["rows"].as_array().unwrap().len()
    };
    merge(&bench, &[contacts("a", &[], vec![contact(1, 1, 1, &[])])]).await;
    assert_eq!(scratch(&bench), 0);
    // What a crash left, of today and of the day before yesterday; and what is none of ours.
    let schema = crate::quote_identifier(&identifier(SCHEMA));
    let names =
        [("0190aaaa00007000800000000000aaaa", 0), ("0190bbbb00007000800000000000bbbb", 2), ("mine", 2)];
    for (id, days) in names {
        let table = format!("_MERGE_{}_0_STAGED", id.to_uppercase());
        bench.execute(&format!("CREATE TABLE {schema}.\"{table}\" (c0 VARCHAR)")).await;
        let row = format!("'{}', '{table}', current_timestamp - INTERVAL '{days} days'", identifier(SCHEMA));
        bench.execute(&format!("INSERT INTO \"main\".\"transient\" SELECT {row}")).await;
    }
    merge(&bench, &[contacts("b", &[], vec![contact(2, 1, 1, &[])])]).await;
    assert_eq!(scratch(&bench), 2);
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
async fn a_file_of_another_type_than_it_says_is_refused() {
    let Some(bench) = bench().await else { return };
    let rows = vec![contact(1, 1, 1, &[Cell::text("Ada")])];
    let mut files = stage(&bench, &[contacts("a", &[("name", ColumnType::Text)], rows)]);
    files[0].description.table.columns[4].column_type = ColumnType::Date;
    let error = bench.warehouse().await.merge(&files).await.unwrap_err();
    assert_eq!(error.kind(), Kind::BadFile, "{error:?}");
    assert!(error.to_string().contains("staged file a"), "{error}");
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_learns_why() {
    let Some(bench) = bench().await else { return };
    let staged = stage(&bench, &[contacts("a", &[], vec![contact(1, 1, 1, &[])])]);
    let own = url(&bench, STAGE);
    for (url, words, source) in [
        (
            own.replace("loader@", "somebody@"),
            "does not take the key of user SOMEBODY in account ORG-ACC",
            "390144",
        ),
        (own.replace("=loading", "=other"), "grant USAGE on warehouse", "No active warehouse"),
        (
            own.replace("role=loader", "role=other"),
            "check database, warehouse, role and stage",
            "not authorized",
        ),
        (own.replace("public.staged", "public.other"), "check database, warehouse, role and stage", "OTHER"),
    ] {
        let warehouse = connect(&url, SCHEMA, bench.key.clone(), None).await.unwrap();
        let error = warehouse.merge(&staged).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(format!("{error:?}").contains(source), "{error:?}");
    }
    bench.close();
}

//! The conformance suite on a twin of Athena: its SQL is parsed as Athena's, Hive's and Trino's by turns, and executed
//! in DuckDB with the same meaning, one statement at a time. Only Athena itself can show that it accepts the SQL.

mod account;
mod faults;
mod golden;
mod modes;

use std::time::{Duration, Instant};

use serde_json::json;
use staging::ColumnType;

use self::account::AccountBench;
use super::dialect::{ATHENA, identifier};
use crate::conformance::modes::BOTH;
use crate::conformance::{Bench, CASES, Cell, contact, contacts, is_wanted, merge, merge_as, read, stage};
use crate::twin::one_by_one::{self, named};
use crate::twin::{self, TwinBench, wide_contacts_are_merged};
use crate::{Kind, Maintained, Maker, TableMode};

/// Cases of the suite that do not apply here, with the reason.
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
    ("tables of others are put aside", "Athena renames no tables; that it says so has a test of its own"),
    ("views and taken names are refused", "the same"),
];

/// Further cases that do not apply on Athena itself.
const NOT_RUN_THERE: &[(&str, &str)] = &[
    ("a user's columns stay", "Iceberg tables of version 2 have no defaults"),
    ("two set keys", "a user can't change a column to text in place"),
    ("files that are no staged files", "they are in S3 already when they are removed"),
    ("every type keeps its values", "what becomes of NUL and of times past its range is not known"),
];

/// Starts a twin; `None` if tests are to go on without twins.
async fn bench() -> Option<TwinBench> {
    let twin = twin::of("athena")?;
    let mut bench = TwinBench::open(twin, [identifier, ATHENA.column_name], json!({}));
    bench.url = format!("athena://{0}/?location=s3://{0}/lake&results=s3://{0}/answers/", bench.name);
    bench.aws = Some(twin.aws().await);
    Some(bench)
}

/// Returns the number of executed statements that begin with `prefix`.
fn executed(bench: &TwinBench, prefix: &str) -> u64 {
    bench.call("executed", json!({"prefix": prefix}))["count"].as_u64().unwrap()
}

/// Returns the rows of a query in DuckDB's SQL, as texts.
fn texts(bench: &TwinBench, sql: &str) -> Vec<String> {
    let rows = bench.call("rows", json!({"sql": sql}))["rows"].clone();
    let rows: Vec<Vec<String>> = serde_json::from_value(rows).unwrap();
    rows.into_iter().flatten().collect()
}

fn scratch_tables(bench: &TwinBench) -> Vec<String> {
    texts(bench, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'merge_%'")
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
        let Some(bench) = bench().await else { return };
        case(&bench).await;
        assert!(scratch_tables(&bench).is_empty(), "{name}: {:?}", scratch_tables(&bench));
        bench.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_program_stays_and_another_schema_is_named() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[named("a", 1, 10, "Ada")]).await;
    bench.call("sql", json!({"sql": format!("CREATE TABLE {} (id VARCHAR)", bench.quoted("deals"))}));
    let warehouse = bench.warehouse().await;
    let makers = warehouse.makers(&["contacts", "deals", "companies"]).await.unwrap();
    assert_eq!(makers, [Some(Maker::Load), Some(Maker::Another), None]);
    let refused = warehouse.put_aside("deals", "deals_of_another").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(refused.to_string().contains("--schema"), "{refused}");
    assert_eq!(warehouse.makers(&["deals"]).await.unwrap(), [Some(Maker::Another)]);
    bench.close();
}

/// Checks columns that are read by position, in files of one merge whose columns have other positions.
#[tokio::test(flavor = "multi_thread")]
async fn files_may_have_their_columns_in_another_order() {
    let Some(bench) = bench().await else { return };
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
    bench.execute(&format!("CREATE TABLE {} (x BIGINT)", bench.quoted(old))).await;
    bench.execute(&format!("CREATE TABLE {} (x BIGINT)", bench.quoted("mine"))).await;

    assert_eq!(warehouse.maintain(Instant::now()).await.unwrap(), Maintained { tables: 0, tables_left: 3 });
    let maintained = warehouse.maintain(hour()).await.unwrap();
    assert_eq!(maintained, Maintained { tables: 3, tables_left: 0 });
    // What says that there is more is run again.
    assert_eq!((executed(&bench, "OPTIMIZE"), executed(&bench, "VACUUM")), (3, 3));
    assert!(scratch_tables(&bench).is_empty());
    assert!(bench.has_table("mine").await);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_too_long_is_refused() {
    let Some(bench) = bench().await else { return };
    let names: Vec<String> = (0..2_500).map(|n| format!("{n}{}", "x".repeat(100))).collect();
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

/// Checks versions whose values are hashed in parts: with numbers and times, whose texts are long expressions, in a
/// history that begins with them, and the same values in few columns.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_does_not_depend_on_the_number_of_columns() {
    let Some(bench) = bench().await else { return };
    let types = [ColumnType::Text, ColumnType::Double, ColumnType::Timestamp, ColumnType::BigInt];
    let names: Vec<String> = (0..700).map(|n| format!("property_{n}")).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().zip(types.into_iter().cycle()).map(|(name, is)| (name.as_str(), is)).collect();
    let values = |n: usize| match n % 4 {
        0 => Cell::text("text"),
        1 => Cell::Double(0.5),
        2 => Cell::Timestamp(1_700_000_000_123),
        _ => Cell::BigInt(7),
    };
    let file = |key: &str, shown: usize, has: usize, read: i64| {
        let cells: Vec<Cell> = (0..has).map(|n| if n < shown { values(n) } else { Cell::Null }).collect();
        contacts(key, &columns[..has], vec![contact(1, 10, read, &cells)])
    };
    let history = TableMode { hard_delete: false, history: true };
    let versions = async || read(&bench, "contacts_history", &["id", "_content"]).await;
    // Few columns and then all, of which only the first ones have a value.
    merge(&bench, &[file("few", 4, 4, 11)]).await;
    for (n, has) in [4, 700, 100].into_iter().enumerate() {
        merge_as(&bench, &[file(&format!("null-{n}"), 4, has, 12 + n as i64)], history).await;
        assert_eq!(versions().await.len(), 1, "{has} columns");
    }
    merge_as(&bench, &[file("all", 700, 700, 20)], history).await;
    assert_eq!(versions().await.len(), 2);
    // The history begins once more, with wide rows.
    bench.execute(&format!("DROP TABLE {}", bench.quoted("contacts_history"))).await;
    merge_as(&bench, &[file("again", 700, 700, 21)], history).await;
    assert_eq!(versions().await.len(), 1);
    bench.close();
}

//! Statements that fail in the middle of a merge, answers that are lost, and jobs that end after whoever asked is gone.

use std::time::Duration;

use serde_json::{Value, json};
use staging::ColumnType;

use super::bench;
use crate::conformance::{Bench, Cell, File, contact, contacts, crash_points, merge, read, stage};
use crate::twin::{TwinBench, a_lost_answer_adds_no_version, crashes_while_the_mode_changes_are_mended};
use crate::{Kind, connect};

fn valued(key: &str, updated: i64, column_type: ColumnType, value: Cell) -> File {
    let rows = vec![contact(1, updated, updated, &[value]), contact(updated, 5, 5, &[Cell::Null])];
    contacts(key, &[("v", column_type)], rows)
}

async fn version_of_rows(bench: &TwinBench) -> Vec<Vec<Cell>> {
    read(bench, "contacts", &["id", "_source_updated_at", "_run_id"]).await
}

/// Checks jobs that end after any of their statements: rows and ledger are as they were, the DDL that ran has left valid
/// tables, and the next merge writes all rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_statements_leaves_no_rows() {
    // The jobs of a merge: DDL, the claim, the wider column, and the transaction.
    let mut statements = 0;
    for words in ["_1_changed", "SET widened_by = '", "CREATE OR REPLACE", "MERGE INTO"] {
        for at in crash_points() {
            let Some(bench) = bench().await else { return };
            let is_over = crash_is_mended(&bench, words, at).await;
            bench.close();
            if is_over {
                statements += at;
                break;
            }
        }
    }
    assert!(statements > 45, "only {statements} statements");
}

/// `true`: the job has not so many statements.
async fn crash_is_mended(bench: &TwinBench, words: &str, at: usize) -> bool {
    merge(bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
    let before = version_of_rows(bench).await;
    // A wider column, a new one, and two sets of columns: everything that a script can have.
    let wider = valued("b", 20, ColumnType::Double, Cell::Double(0.5));
    let newer = contacts("c", &[("city", ColumnType::Text)], vec![contact(1, 30, 30, &[Cell::text("Ulm")])]);
    let files = stage(bench, &[wider, newer.of_run("run-2")]);
    bench.call("fail", json!({"containing": words, "at": at}));
    let merged = bench.warehouse().await.merge(&files).await;
    let is_left = bench.call("fault", json!({}))["is_left"] == json!(true);
    let when = format!("{words}, statement {at}");
    if let Err(error) = &merged {
        assert!(matches!(error.kind(), Kind::Engine | Kind::RowCount | Kind::BadFile), "{when}: {error:?}");
        assert_eq!(version_of_rows(bench).await, before, "{when}");
        assert_eq!(bench.rows("_loaded_files").await.len(), 1, "{when}");
        let values = read(bench, "contacts", &["v"]).await;
        let seven = [Cell::BigInt(7), Cell::Double(7.0)];
        assert!(values.iter().any(|row| seven.contains(&row[0])), "{when}: {values:?}");
        bench.call("fail", json!({"containing": "what no statement has", "at": 0}));
        bench.warehouse().await.merge(&files).await.expect("merged again");
    }
    let rows = read(bench, "contacts", &["id", "v", "city"]).await;
    assert_eq!(rows.len(), 3, "{when}");
    assert_eq!(rows[0], [Cell::BigInt(1), Cell::Double(0.5), Cell::text("Ulm")], "{when}");
    assert_eq!(bench.rows("_loaded_files").await.len(), 3, "{when}");
    is_left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_mode_changes_is_mended() {
    let Some(bench) = bench().await else { return };
    crashes_while_the_mode_changes_are_mended(&bench).await;
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_writes_no_version_twice() {
    let Some(bench) = bench().await else { return };
    a_lost_answer_adds_no_version(&bench).await;
    bench.close();
}

/// Checks calls whose answers are lost, each once: of the dataset, of a scratch table, of an upload's beginning and its
/// end, of jobs.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_done_once() {
    let Some(bench) = bench().await else { return };
    let lost = [
        "datasetReference",
        "expirationTime",
        "sourceFormat",
        "bytes 0-",
        "row_no",
        "MERGE INTO",
        "is_changed GROUP BY",
    ];
    for words in lost {
        bench.twin.call("lose", &json!({"containing": words, "at": format!("/{}/", bench.name)}));
    }
    let files = [valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))];
    let merged = merge(&bench, &files).await;
    assert_eq!((merged.files, merged.inserted, merged.updated), (1, 2, 0));
    assert_eq!(bench.call("faults", json!({}))["left"], json!(0));
    assert_eq!(bench.rows("_loaded_files").await.len(), 1);
    assert_eq!(bench.rows("contacts").await.len(), 2);
    bench.close();
}

/// Checks a transaction that is executed when whoever sent it is gone, before or after somebody else has merged the same
/// files: nothing is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_end_after_its_caller_gave_up() {
    for is_first in [true, false] {
        let Some(bench) = bench().await else { return };
        merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
        let files = stage(&bench, &[valued("b", 20, ColumnType::BigInt, Cell::BigInt(8))]);
        bench.call("late", json!({"containing": "MERGE INTO"}));
        // The one that gives up has a runtime of its own, which ends in the middle of its merge.
        let (url, key, given) = (bench.url.clone(), bench.key.clone(), files.clone());
        let gone = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        gone.spawn(async move {
            let warehouse = connect(&url, crate::twin::SCHEMA, key, None).await.unwrap();
            let _ = warehouse.merge(&given).await;
        });
        while bench.call("is_late", json!({}))["is_late"] != json!(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gone.shutdown_background();

        let end_late = || bench.call("end_late", json!({}))["failures"].clone();
        if is_first {
            assert_eq!(end_late(), json!([Value::Null]));
        }
        let merged = bench.warehouse().await.merge(&files).await.unwrap();
        assert_eq!((merged.inserted, merged.updated), if is_first { (0, 0) } else { (1, 1) });
        if !is_first {
            let failures = end_late().to_string();
            assert!(failures.contains("changed meanwhile"), "{failures}");
        }
        assert_eq!(bench.rows("_loaded_files").await.len(), 2);
        assert_eq!(
            read(&bench, "contacts", &["id", "v"]).await,
            [
                [Cell::BigInt(1), Cell::BigInt(8)],
                [Cell::BigInt(10), Cell::Null],
                [Cell::BigInt(20), Cell::Null],
            ]
        );
        bench.close();
    }
}

/// Checks transactions that are aborted since another one changed the same tables: the merge is tried again, and fails
/// as locked when that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_transaction_is_tried_again() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
    bench.call("conflict", json!({"containing": "SET taken_at", "times": 2}));
    let merged = merge(&bench, &[valued("b", 20, ColumnType::BigInt, Cell::BigInt(8))]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(bench.call("faults", json!({}))["left"], json!(0));
    bench.close();
}

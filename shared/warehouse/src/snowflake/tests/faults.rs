//! Statements that fail in the middle of a merge, and requests that are sent twice.

use serde_json::json;
use staging::ColumnType;

use super::{bench, url};
use crate::conformance::{Bench, Cell, File, contact, contacts, merge, read, stage};
use crate::twin::{self, SCHEMA, TwinBench, crashes_while_the_mode_changes_are_mended};
use crate::{Kind, connect};

fn valued(key: &str, updated: i64, column_type: ColumnType, value: Cell) -> File {
    let rows = vec![contact(1, updated, updated, &[value]), contact(updated, 5, 5, &[Cell::Null])];
    contacts(key, &[("v", column_type)], rows)
}

async fn version_of_rows(bench: &TwinBench) -> Vec<Vec<Cell>> {
    read(bench, "contacts", &["id", "_source_updated_at", "_run_id"]).await
}

/// Checks a request that ends after any of its statements: rows and ledger are as they were, the DDL that ran has left
/// valid tables, and the next merge writes all rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_statements_leaves_no_rows() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
    let before = version_of_rows(&bench).await;
    // A wider column, a new one, and two sets of columns: everything that a script can have.
    let wider = valued("b", 20, ColumnType::Double, Cell::Double(0.5));
    let newer = contacts("c", &[("city", ColumnType::Text)], vec![contact(1, 30, 30, &[Cell::text("Ulm")])]);
    let files = stage(&bench, &[wider, newer.of_run("run-2")]);
    for at in 0..60 {
        bench.call("fail", json!({"containing": "MERGE INTO", "at": at}));
        match bench.warehouse().await.merge(&files).await {
            Ok(merged) => {
                if bench.call("fault", json!({}))["is_left"] == json!(false) {
                    // A check that fails says that somebody else came first, and the merge is tried again.
                    bench
                        .execute(&format!(
                            "DELETE FROM {} WHERE file_key <> 'a'",
                            bench.quoted("_loaded_files")
                        ))
                        .await;
                    bench.execute(&format!("DROP TABLE {}", bench.quoted("contacts"))).await;
                    merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
                    continue;
                }
                assert!(at > 20, "only {at} statements");
                assert_eq!((merged.files, merged.inserted, merged.updated), (2, 1, 2));
                let rows = read(&bench, "contacts", &["id", "v", "city"]).await;
                assert_eq!(rows[0], [Cell::BigInt(1), Cell::Double(0.5), Cell::text("Ulm")]);
                bench.close();
                return;
            }
            Err(error) => assert!(matches!(error.kind(), Kind::Engine | Kind::RowCount), "{at}: {error:?}"),
        }
        assert_eq!(version_of_rows(&bench).await, before, "after statement {at}");
        assert_eq!(bench.rows("_loaded_files").await.len(), 1, "after statement {at}");
        let values = read(&bench, "contacts", &["v"]).await;
        assert!(
            [Cell::BigInt(7), Cell::Double(7.0)]
                .iter()
                .any(|seven| values.iter().any(|row| row[0] == *seven)),
            "after statement {at}: {values:?}"
        );
    }
    panic!("a request without an end");
}

/// Checks a table that has its columns and no rows: the files that were in the ledger are merged again.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_made_anew_in_vain_is_loaded_again() {
    let Some(bench) = bench().await else { return };
    let files = [valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))];
    merge(&bench, &files).await;
    for at in 0..20 {
        bench.execute(&format!("DROP TABLE IF EXISTS {}", bench.quoted("contacts"))).await;
        bench.call("fail", json!({"containing": "MERGE INTO", "at": at}));
        let _ = bench.warehouse().await.merge(&stage(&bench, &files)).await;
        merge(&bench, &files).await;
        assert_eq!(bench.rows("contacts").await.len(), 2, "after statement {at}");
        assert_eq!(bench.rows("_loaded_files").await.len(), 1, "after statement {at}");
    }
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_mode_changes_is_mended() {
    let Some(bench) = bench().await else { return };
    crashes_while_the_mode_changes_are_mended(&bench).await;
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_adds_no_version() {
    let Some(bench) = bench().await else { return };
    twin::a_lost_answer_adds_no_version(&bench).await;
    bench.close();
}

/// Checks a request that is sent again: it has the same id and is not executed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
    bench.twin.call("lose", &json!({"containing": "MERGE INTO"}));
    let executed = || bench.call("executed", json!({"prefix": "MERGE"}))["count"].as_u64().unwrap();
    let before = executed();
    let merged = merge(&bench, &[valued("b", 20, ColumnType::BigInt, Cell::BigInt(8))]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(executed(), before + 1);
    assert_eq!(bench.rows("_loaded_files").await.len(), 2);
    bench.close();
}

/// Checks that a merge waits for another one that widens a column, unless that one ended long ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_respected_until_it_ends() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[valued("a", 10, ColumnType::BigInt, Cell::BigInt(7))]).await;
    let claim = |until: &str| {
        format!("UPDATE {} SET widened_by = 'other', widened_until = {until}", bench.quoted("_lock"))
    };
    bench.execute(&claim("current_timestamp + INTERVAL '3 seconds'")).await;
    let file = valued("b", 20, ColumnType::Double, Cell::Double(0.5));
    let warehouse = connect(&url(&bench, super::STAGE), SCHEMA, bench.key.clone(), None).await.unwrap();
    let began = std::time::Instant::now();
    let merged = warehouse.merge(&stage(&bench, &[file])).await.unwrap();
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert!(began.elapsed() >= std::time::Duration::from_millis(2_500), "{:?}", began.elapsed());
    assert_eq!(read(&bench, "_lock", &["widened_by"]).await, [[Cell::Null]]);
    bench.close();
}

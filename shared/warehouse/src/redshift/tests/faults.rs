//! Statements that fail in the middle of a merge, and calls that are sent twice.

use serde_json::json;
use staging::ColumnType;

use super::bench;
use crate::Kind;
use crate::conformance::{Bench, Cell, File, contact, contacts, merge, read, stage};
use crate::twin::{self, crashes_while_the_mode_changes_are_mended};

fn named(key: &str, updated: i64, name: &str) -> File {
    let rows = vec![contact(1, updated, updated, &[Cell::text(name)]), contact(updated, 5, 5, &[Cell::Null])];
    contacts(key, &[("name", ColumnType::Text)], rows)
}

/// Checks a script that ends after any of its statements: the table is as it was, and the next merge writes all rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_statements_leaves_nothing() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[named("a", 10, "Ada")]).await;
    let tables = ["contacts", "_loaded_files", "_account"];
    let mut before = Vec::new();
    for table in tables {
        before.push(bench.rows(table).await);
    }
    // One more column, one of another type, and two sets of columns: everything that a script can have.
    let mut wider = named("b", 20, "Ada L.");
    wider.table.columns[4].column_type = ColumnType::Double;
    wider.rows.iter_mut().for_each(|row| row[4] = Cell::Double(0.5));
    let newer = contacts("c", &[("city", ColumnType::Text)], vec![contact(1, 30, 30, &[Cell::text("Ulm")])]);
    let files = stage(&bench, &[wider, newer.of_run("run-2")]);
    // The second one says that somebody else came first: whatever it fails of, the merge is tried again.
    for at in (0..40).filter(|at| *at != 1) {
        bench.call("fail", json!({"containing": "MERGE", "at": at}));
        match bench.warehouse().await.merge(&files).await {
            Ok(merged) => {
                assert_eq!((merged.files, merged.inserted, merged.updated), (2, 1, 2));
                assert!(at > 15, "only {at} statements");
                assert_eq!(
                    read(&bench, "contacts", &["id", "city"]).await[0],
                    [Cell::BigInt(1), Cell::text("Ulm")]
                );
                bench.close();
                return;
            }
            Err(error) => assert!(matches!(error.kind(), Kind::Engine | Kind::RowCount), "{at}: {error:?}"),
        }
        for (table, before) in tables.iter().zip(&before) {
            assert_eq!(bench.rows(table).await, *before, "{table} after statement {at}");
        }
    }
    panic!("a script without an end");
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

/// Checks a call that is sent again: it has the same token and is not executed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[named("a", 10, "Ada")]).await;
    bench.twin.call("lose", &json!({"containing": "MERGE"}));
    let before = bench.call("executed", json!({"prefix": "MERGE"}))["count"].as_u64().unwrap();
    let merged = merge(&bench, &[named("b", 20, "Ada L.")]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    let after = bench.call("executed", json!({"prefix": "MERGE"}))["count"].as_u64().unwrap();
    assert_eq!(after, before + 1);
    assert_eq!(bench.rows("_loaded_files").await.len(), 2);
    bench.close();
}

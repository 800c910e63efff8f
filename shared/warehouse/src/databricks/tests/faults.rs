//! Merges that end in the middle, answers that are lost, statements that are executed when whoever sent them is gone, and
//! changes by other loads meanwhile.

use std::time::Duration;

use serde_json::json;

use super::{bench, scratch};
use crate::conformance::{Bench, Cell, merge, read, stage};
use crate::connect;
use crate::twin::one_by_one::{self, numbered};
use crate::twin::{SCHEMA, TwinBench};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_statement_is_mended_by_the_next_merge() {
    one_by_one::a_crash_after_any_statement_is_mended_by_the_next_merge(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_first_merge_is_mended() {
    one_by_one::a_crash_of_the_first_merge_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_dropped_table_is_made_anew_is_mended() {
    one_by_one::a_crash_while_a_dropped_table_is_made_anew_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_rows_and_their_sets_is_mended() {
    one_by_one::a_crash_between_rows_and_their_sets_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_mode_changes_is_mended() {
    one_by_one::a_crash_while_the_mode_changes_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_deleted_rows_come_back_is_mended() {
    one_by_one::a_crash_while_deleted_rows_come_back_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_all_tables_are_made_is_mended() {
    one_by_one::a_crash_while_all_tables_are_made_is_mended(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_no_end_of_a_run() {
    one_by_one::a_crash_loses_no_end_of_a_run(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_another_one_came_before_is_tried_again() {
    one_by_one::a_commit_that_another_one_came_before_is_tried_again(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_comes_late_replaces_nothing_newer() {
    one_by_one::a_merge_that_comes_late_replaces_nothing_newer(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_comes_late_deletes_nothing_newer() {
    one_by_one::a_sweep_that_comes_late_deletes_nothing_newer(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_does_not_come_back_between_two_loads() {
    one_by_one::a_deleted_row_does_not_come_back_between_two_loads(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_twice_does_no_harm() {
    one_by_one::what_is_there_twice_does_no_harm(bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_commits_that_come_late_change_nothing() {
    let in_json = |sql: &str| sql.replace('"', "`");
    one_by_one::lost_answers_and_commits_that_come_late_change_nothing(bench, in_json).await;
}

fn executed(bench: &TwinBench, prefix: &str) -> u64 {
    bench.call("executed", json!({"prefix": prefix}))["count"].as_u64().unwrap()
}

/// Checks what may be executed twice, which is sent again, and what may not, whose merge begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_no_row_twice() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
    for words in ["SELECT file_no, count(*)", "CREATE TABLE IF NOT EXISTS", "DROP TABLE IF EXISTS"] {
        bench.lose(words);
    }
    let before = executed(&bench, "MERGE");
    let merged = merge(&bench, &[numbered("b", &[(1, 20, 2), (2, 20, 2)])]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(executed(&bench, "MERGE"), before + 1);

    bench.lose("MERGE INTO");
    let merged = merge(&bench, &[numbered("c", &[(2, 30, 3), (3, 30, 3)])]).await;
    // The rows are there by then: the second attempt finds nothing to do, and counts nothing.
    assert_eq!((merged.files, merged.inserted, merged.updated), (1, 0, 0));
    bench.lose("INSERT INTO `");
    let merged = merge(&bench, &[numbered("d", &[(3, 40, 4)])]).await;
    assert_eq!((merged.inserted, merged.updated), (0, 1));
    assert_eq!(bench.call("faults", json!({}))["left"], 0);
    assert_eq!(bench.rows("_loaded_files").await.len(), 4);
    let rows = [(1, 2), (2, 3), (3, 4)].map(|(id, number)| vec![Cell::BigInt(id), Cell::BigInt(number)]);
    assert_eq!(read(&bench, "contacts", &["id", "number"]).await, rows);
    assert_eq!(scratch(&bench), json!([]));
    bench.close();
}

/// Checks a statement whose answer is lost while it runs: the merge that begins anew ends it, and it changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_answer_is_lost_is_over_when_the_merge_begins_anew() {
    for words in ["MERGE INTO", "_loaded_files\" SELECT"] {
        let Some(bench) = bench().await else { return };
        merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
        bench.call("late", json!({"containing": words}));
        let in_json = words.replace('"', "`");
        bench.lose(&in_json);
        let merged = merge(&bench, &[numbered("b", &[(1, 20, 2), (2, 20, 2)])]).await;
        assert_eq!(merged.files, 1);
        let failures = bench.call("end_late", json!({}))["failures"].to_string();
        assert!(failures.contains("DELTA_METADATA_CHANGED"), "{failures}");
        assert_eq!(bench.rows("_loaded_files").await.len(), 2);
        assert_eq!(read(&bench, "contacts", &["id"]).await.len(), 2);
        bench.close();
    }
}

/// Checks a statement that is executed when whoever sent it is gone, before or after somebody else has merged the same
/// files: nothing is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_may_end_after_its_caller_gave_up() {
    for is_first in [true, false] {
        let Some(bench) = bench().await else { return };
        merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
        let files = stage(&bench, &[numbered("b", &[(1, 20, 2), (2, 20, 2)])]);
        bench.call("late", json!({"containing": "MERGE INTO"}));
        // The one that gives up has a runtime of its own, which ends in the middle of its merge.
        let (url, key, given) = (bench.url.clone(), bench.key.clone(), files.clone());
        let gone = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        gone.spawn(async move {
            let warehouse = connect(&url, SCHEMA, key, None).await.unwrap();
            let _ = warehouse.merge(&given).await;
        });
        while bench.call("is_late", json!({}))["is_late"] != json!(true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gone.shutdown_background();

        let end_late = || bench.call("end_late", json!({}))["failures"].clone();
        if is_first {
            assert_eq!(end_late(), json!([null]));
        }
        let merged = bench.warehouse().await.merge(&files).await.unwrap();
        assert_eq!((merged.inserted, merged.updated), if is_first { (0, 0) } else { (1, 1) });
        if !is_first {
            assert_eq!(end_late(), json!([null]), "it finds its rows in the table");
        }
        assert_eq!(bench.rows("_loaded_files").await.len(), 2);
        let rows = [1, 2].map(|id| vec![Cell::BigInt(id), Cell::BigInt(2)]);
        assert_eq!(read(&bench, "contacts", &["id", "number"]).await, rows);
        bench.close();
    }
}

//! Merges that end in the middle, calls that are sent twice, and changes by other loads meanwhile.

use serde_json::json;

use super::{bench, executed};
use crate::conformance::{Bench, merge};
use crate::twin::one_by_one::{self, numbered};

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

/// Checks a call that is sent again: it has the same token and is not executed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again() {
    let Some(bench) = bench().await else { return };
    merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
    let before = executed(&bench, "MERGE");
    bench.twin.call("lose", &json!({"containing": "MERGE"}));
    let merged = merge(&bench, &[numbered("b", &[(1, 20, 2), (2, 20, 2)])]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(executed(&bench, "MERGE"), before + 1);
    assert_eq!(bench.rows("_loaded_files").await.len(), 2);
    bench.close();
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

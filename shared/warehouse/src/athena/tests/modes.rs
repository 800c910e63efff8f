//! The same of a table that is kept without its deleted rows and with its past.

use std::time::{Duration, Instant};

use super::bench;
use crate::Maintained;
use crate::conformance::Bench;
use crate::twin::one_by_one::{self, otherwise};

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
async fn lost_answers_and_commits_that_come_late_change_nothing() {
    let in_json = |sql: &str| sql.replace('"', "\\\"");
    one_by_one::lost_answers_and_commits_that_come_late_change_nothing(bench, in_json).await;
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
async fn maintenance_takes_the_tables_beside() {
    let Some(bench) = bench().await else { return };
    otherwise(&bench).await;
    let until = Instant::now() + Duration::from_secs(600);
    let maintained = bench.warehouse().await.maintain(until).await.unwrap();
    assert_eq!(maintained, Maintained { tables: 5, tables_left: 0 });
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_no_end_of_a_run() {
    one_by_one::a_crash_loses_no_end_of_a_run(bench).await;
}

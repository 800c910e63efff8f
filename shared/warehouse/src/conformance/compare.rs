//! Tables and snapshots of them.

use staging::{
    ColumnType, DELETED_REASON, IS_DELETED, MERGED_INTO_ID, SHOWN_UPDATED_AT, SnapshotPart, snapshot_name,
};

use super::{Bench, Cell, File, contact, contacts, merge, merge_as};
use crate::{Compare, Comparison, Difference, Kind, TableMode, quote_identifier};

use ColumnType::{BigInt, Boolean, Double, Text, Timestamp};
use Difference::{Absorbed, Archived, Drifted, Foreign, Gone, Missing, Overlooked, Revived, Stale, Unread};

/// The snapshot began at 1,000, and changes up to 900 are read.
const SNAPSHOT: SnapshotPart = SnapshotPart {
    began_ms: 1_000,
    caught_up_ms: 900,
    is_last: false,
    is_refresh: false,
    whole_since_ms: None,
};

const COLUMNS: &[(&str, ColumnType)] =
    &[("score", Double), ("tier", Text), (IS_DELETED, Boolean), (DELETED_REASON, Text)];
const SHOWN: &[(&str, ColumnType)] =
    &[(SHOWN_UPDATED_AT, Timestamp), (IS_DELETED, Boolean), ("score", Double), ("tier", Text)];

fn held(id: i64, updated: impl Into<Option<i64>>, read: i64, is_deleted: bool) -> Vec<Cell> {
    let reason = if is_deleted { Cell::text("archived") } else { Cell::Null };
    contact(id, updated, read, &[Cell::Double(1.5), Cell::text("a"), Cell::Boolean(is_deleted), reason])
}

fn shown(id: i64, updated: impl Into<Option<i64>>, read: i64, is_deleted: bool) -> Vec<Cell> {
    let updated = updated.into().map_or(Cell::Null, Cell::Timestamp);
    let cells = [updated, Cell::Boolean(is_deleted), Cell::Double(1.5), Cell::text("a")];
    contact(id, None, read, &cells)
}

fn snapshot(key: &str, rows: Vec<Vec<Cell>>) -> File {
    contacts(key, SHOWN, rows).of_collection(&snapshot_name("contacts"))
}

async fn compare(bench: &dyn Bench, columns: &[&str], most: u64) -> Comparison {
    compare_with(bench, SNAPSHOT, columns, most).await
}

async fn compare_with(bench: &dyn Bench, snapshot: SnapshotPart, columns: &[&str], most: u64) -> Comparison {
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    let compare = Compare { collection: "contacts".to_owned(), snapshot, columns, most };
    bench.warehouse().await.compare(&compare).await.expect("comparison")
}

/// Returns id, difference, and the version in the table.
fn found(comparison: &Comparison) -> Vec<(i64, Difference, Option<i64>)> {
    comparison.records.iter().map(|record| (record.id, record.difference, record.updated_ms)).collect()
}

pub(super) async fn every_difference_is_found(bench: &dyn Bench) {
    let table = vec![
        held(1, 100, 500, false),
        held(2, 100, 500, false),
        held(3, 100, 500, true),
        held(4, 100, 500, false),
        held(5, 100, 500, true),
        held(6, 100, 500, false),
        held(7, None, 500, false),
        held(11, 100, 500, false),
        // Read after the snapshot began, so that it says nothing of them.
        held(21, 990, 1_001, false),
        held(22, 990, 1_001, true),
        held(23, 100, 1_300, false),
        held(24, 100, 1_300, true),
    ];
    let rows = vec![
        shown(1, 100, 1_100, false),
        shown(2, 100, 1_100, true),
        shown(3, 100, 1_100, false),
        // 4 is gone, and 5 was deleted anyway.
        shown(6, 200, 1_100, false),
        shown(7, 100, 1_100, false),
        shown(8, 100, 1_100, false),
        // Changed after what is read.
        shown(9, 950, 1_100, false),
        shown(10, 100, 1_100, true),
        // There, and not read.
        shown(11, None, 1_100, false),
        shown(23, 200, 1_200, true),
        shown(24, 200, 1_200, false),
    ];
    merge(bench, &[contacts("table", COLUMNS, table)]).await;
    // Of a snapshot before: it showed what is gone now.
    merge(bench, &[snapshot("before", vec![shown(4, 100, 600, false), shown(1, 100, 600, false)])]).await;
    merge(bench, &[snapshot("now", rows)]).await;
    let comparison = compare(bench, &[], 100).await;
    let expected = [
        (2, Archived, Some(100)),
        (3, Revived, Some(100)),
        (4, Gone, Some(100)),
        (6, Stale, Some(100)),
        (7, Stale, None),
        (8, Missing, None),
        (10, Missing, None),
        (11, Unread, Some(100)),
    ];
    assert_eq!(found(&comparison), expected);
    let counts = [(Missing, 2), (Stale, 2), (Archived, 1), (Revived, 1), (Gone, 1), (Unread, 1)];
    assert_eq!(comparison.counts, counts);
    assert_eq!(compare(bench, &[], 1).await.records.len(), 6);
    assert_eq!(compare(bench, &[], 1).await.counts, counts);
}

pub(super) async fn values_that_drift_are_found(bench: &dyn Bench) {
    let with = |mut row: Vec<Cell>, score: Cell, tier: Cell, at: usize| {
        (row[at], row[at + 1]) = (score, tier);
        row
    };
    let table = vec![
        held(1, 100, 500, false),
        held(2, 100, 500, false),
        with(held(3, 100, 500, false), Cell::Null, Cell::Null, 4),
        with(held(4, 100, 500, false), Cell::Null, Cell::text("a"), 4),
        held(5, 100, 1_500, false),
        held(6, 100, 500, true),
    ];
    let number = |score: i64| Cell::BigInt(score);
    let columns: &[(&str, ColumnType)] = &[
        (SHOWN_UPDATED_AT, Timestamp),
        (IS_DELETED, Boolean),
        ("score", BigInt),
        ("tier", Text),
        ("x", Text),
    ];
    let row = |id: i64, is_deleted: bool, score: Cell, tier: Cell| {
        let cells = [Cell::Timestamp(100), Cell::Boolean(is_deleted), score, tier, Cell::text("x")];
        contact(id, None, 1_100, &cells)
    };
    let rows = vec![
        with(row(1, false, number(2), Cell::text("a")), number(2), Cell::text("a"), 6),
        row(2, false, number(2), Cell::text("b")),
        row(3, false, Cell::Null, Cell::Null),
        row(4, false, number(1), Cell::text("a")),
        row(5, false, number(7), Cell::text("b")),
        row(6, true, number(7), Cell::text("b")),
    ];
    let mut table = contacts("table", COLUMNS, table);
    // As its column's type, which the snapshot's is narrower than.
    table.rows[0][4] = Cell::Double(2.0);
    merge(bench, &[table]).await;
    merge(bench, &[contacts("now", columns, rows).of_collection(&snapshot_name("contacts"))]).await;
    let comparison = compare(bench, &["score", "tier", "x", "none"], 100).await;
    assert_eq!(found(&comparison), [(2, Drifted, Some(100)), (4, Drifted, Some(100))]);
    assert_eq!(found(&compare(bench, &["score"], 100).await), found(&comparison));
    assert_eq!(found(&compare(bench, &["tier"], 100).await), [(2, Drifted, Some(100))]);
    assert_eq!(compare(bench, &[], 100).await, Comparison::default());
}

/// Checks rows that no load wrote, whether HubSpot shows their records or not.
pub(super) async fn foreign_rows_are_found(bench: &dyn Bench) {
    merge(bench, &[contacts("table", COLUMNS, vec![held(1, 100, 500, false), held(2, 100, 500, true)])])
        .await;
    let table = bench.quoted("contacts");
    let [id, is_deleted, read_at] =
        ["id", IS_DELETED, "_read_at"].map(|name| quote_identifier(&bench.column(name)));
    for id_of_none in [3, 4] {
        bench.execute(&format!("INSERT INTO {table} ({id}) VALUES ({id_of_none})")).await;
    }
    bench.execute(&format!("INSERT INTO {table} ({id}, {is_deleted}) VALUES (5, false)")).await;
    merge(bench, &[snapshot("now", vec![shown(1, 100, 1_100, false), shown(4, 100, 1_100, false)])]).await;
    let foreign = |id: i64| (id, Foreign, None);
    assert_eq!(found(&compare(bench, &[], 100).await), [foreign(3), foreign(4), foreign(5)]);
    assert_eq!(bench.warehouse().await.live_rows("contacts").await.expect("rows"), 4);
    bench.execute(&format!("UPDATE {table} SET {read_at} = NULL WHERE {id} = 2")).await;
    assert_eq!(compare(bench, &[], 100).await.counts, [(Foreign, 4)]);
    assert_eq!(bench.warehouse().await.live_rows("none").await.expect("rows"), 0);
}

/// Checks live rows that are older than the last read of everything.
pub(super) async fn what_a_whole_read_has_not_met_is_found(bench: &dyn Bench) {
    let table = vec![
        held(1, 100, 500, false),
        held(2, 100, 400, false),
        held(3, 100, 400, true),
        held(4, 100, 400, false),
        held(5, 100, 1_200, false),
    ];
    merge(bench, &[contacts("table", COLUMNS, table)]).await;
    let now = vec![
        shown(1, 100, 1_100, false),
        shown(2, 100, 1_100, false),
        shown(3, 100, 1_100, true),
        shown(4, 200, 1_100, false),
        shown(5, 100, 1_100, false),
    ];
    merge(bench, &[snapshot("now", now)]).await;
    let snapshot = SnapshotPart { whole_since_ms: Some(500), ..SNAPSHOT };
    let comparison = compare_with(bench, snapshot, &["score"], 100).await;
    assert_eq!(found(&comparison), [(2, Overlooked, Some(100)), (4, Stale, Some(100))]);
}

/// Checks records that were merged into one that is gone: they are read again with it.
pub(super) async fn what_was_absorbed_goes_along(bench: &dyn Bench) {
    let columns: &[(&str, ColumnType)] = &[(IS_DELETED, Boolean), (MERGED_INTO_ID, BigInt)];
    let row = |id: i64, read: i64, survivor: Option<i64>| {
        let survivor = survivor.map_or(Cell::Null, Cell::BigInt);
        contact(id, 100, read, &[Cell::Boolean(survivor != Cell::Null), survivor])
    };
    let rows = vec![
        row(1, 500, None),
        row(2, 500, Some(1)),
        row(3, 1_500, Some(1)),
        row(4, 500, None),
        row(5, 500, Some(4)),
    ];
    merge(bench, &[contacts("table", columns, rows)]).await;
    merge(bench, &[snapshot("now", vec![shown(4, 100, 1_100, false)])]).await;
    let comparison = compare(bench, &[], 100).await;
    assert_eq!(found(&comparison), [(1, Gone, Some(100)), (2, Absorbed, Some(100))]);
}

/// Checks that rows removed by a hard delete are not reported as missing.
pub(super) async fn what_left_the_table_is_known(bench: &dyn Bench) {
    let hard = TableMode { hard_delete: true, history: false };
    let rows = vec![held(1, 100, 500, false), held(2, 100, 500, true), held(3, 100, 500, true)];
    merge_as(bench, &[contacts("table", COLUMNS, rows)], hard).await;
    let rows = vec![shown(1, 100, 1_100, false), shown(2, 100, 1_100, false), shown(3, 100, 1_100, true)];
    merge(bench, &[snapshot("now", rows)]).await;
    assert_eq!(found(&compare(bench, &["score"], 100).await), [(2, Revived, Some(100))]);
}

/// Checks a table that does not exist, as of an account without such records, or one whose first read is a comparison.
pub(super) async fn a_table_that_is_not_there_is_empty(bench: &dyn Bench) {
    merge(bench, &[snapshot("before", Vec::new())]).await;
    assert_eq!(compare(bench, &["score"], 100).await, Comparison::default());
    merge(bench, &[snapshot("now", vec![shown(1, 100, 1_100, false), shown(2, 950, 1_100, false)])]).await;
    assert_eq!(found(&compare(bench, &["score"], 100).await), [(1, Missing, None)]);
}

pub(super) async fn a_comparison_needs_a_snapshot(bench: &dyn Bench) {
    let compare = Compare { collection: "contacts".into(), snapshot: SNAPSHOT, columns: Vec::new(), most: 1 };
    let refused = async || bench.warehouse().await.compare(&compare).await.unwrap_err();
    assert_eq!(refused().await.kind(), Kind::Unsupported);
    merge(bench, &[contacts("table", COLUMNS, vec![held(1, 100, 500, false)])]).await;
    assert_eq!(refused().await.kind(), Kind::Unsupported);
    merge(
        bench,
        &[contacts("bare", &[], vec![contact(1, 1, 1, &[])]).of_collection(&snapshot_name("contacts"))],
    )
    .await;
    assert!(
        refused().await.to_string().contains(SHOWN_UPDATED_AT)
            || refused().await.to_string().contains(IS_DELETED)
    );
}

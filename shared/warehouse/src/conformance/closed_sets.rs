//! Sets that are read in many answers: what a newer read does not show is deleted once a row closes it, and not before.

use staging::{ColumnType, DELETED_REASON, IS_DELETED, READ_AT, Table};

use super::turns::tried;
use super::versions::permutations;
use super::{Bench, Cell, File, contact, contacts, merge, merge_as, read, stage};
use crate::{TableMode, by_sets};

use ColumnType::{BigInt, Boolean, Text};

const COLUMNS: &[(&str, ColumnType)] =
    &[("object", Text), ("list", BigInt), (IS_DELETED, Boolean), (DELETED_REASON, Text)];

/// Makes a file with rows of one list, of a read at that time: records, the one with the id 0 closes the list.
fn members(key: &str, records: &[i64], list: i64, read: i64) -> File {
    let row = |&record: &i64| {
        let reason = if record == 0 { Cell::text("removed") } else { Cell::Null };
        let cells = [Cell::text("deals"), Cell::BigInt(list), Cell::Boolean(record == 0), reason];
        contact(record, None, read, &cells)
    };
    let file = contacts(key, COLUMNS, records.iter().map(row).collect());
    let table = Table::new("members", &["object", "id", "list"], file.table.columns).expect("table");
    let table = table.with_set_key(&["object", "list"]).expect("set key");
    File { table: table.with_sets_closed_by("id").expect("number"), ..file }
}

/// Returns the live records of each list.
async fn live(bench: &dyn Bench, table: &str) -> Vec<(i64, i64)> {
    let rows = read(bench, table, &["list", "id", IS_DELETED]).await.into_iter();
    let row = |row: Vec<Cell>| match <[Cell; 3]>::try_from(row).expect("three cells") {
        [Cell::BigInt(list), Cell::BigInt(record), Cell::Boolean(false)] => Some((list, record)),
        _ => None,
    };
    rows.filter_map(row).collect()
}

pub(super) async fn only_a_closed_set_loses_rows(bench: &dyn Bench) {
    merge(bench, &[members("a", &[1, 2], 7, 10), members("b", &[3, 0], 7, 10), members("c", &[1], 8, 10)])
        .await;
    // A read that was broken off.
    merge(bench, &[members("d", &[2, 4], 7, 20)]).await;
    assert_eq!(live(bench, "members").await, [(7, 1), (7, 2), (7, 3), (7, 4), (8, 1)]);
    merge(bench, &[members("e", &[1, 5], 7, 30)]).await;
    let merged = merge(bench, &[members("f", &[0], 7, 30)]).await;
    // The row that closes the list, and three that left it.
    assert_eq!((merged.inserted, merged.updated), (0, 4));
    assert_eq!(live(bench, "members").await, [(7, 1), (7, 5), (8, 1)]);
    merge(bench, &[members("g", &[0], 7, 40)]).await;
    assert_eq!(live(bench, "members").await, [(8, 1)], "a list that is deleted is closed empty");
}

pub(super) async fn closed_sets_do_not_depend_on_order(bench: &dyn Bench) {
    let files = [
        members("first", &[1, 2, 0], 7, 10),
        members("broken-off", &[2, 3], 7, 20),
        members("third", &[3, 4], 7, 30),
        members("third-ends", &[0], 7, 30),
    ];
    let columns = ["object", "id", "list", IS_DELETED, DELETED_REASON, READ_AT];
    let hard_delete = TableMode { hard_delete: true, history: false };
    for (mode, sizes) in [(TableMode::default(), &[1, 3][..]), (hard_delete, &[1])] {
        let mut first = None;
        for (n, order) in tried(bench, permutations(files.len())) {
            for &size in sizes {
                let collection = format!("order_{}_{n}_{size}", mode.hard_delete);
                let arriving: Vec<File> =
                    order.iter().map(|&at| files[at].clone().of_collection(&collection)).collect();
                for batch in arriving.chunks(size) {
                    merge_as(bench, batch, mode).await;
                }
                assert_eq!(live(bench, &collection).await, [(7, 3), (7, 4)], "{order:?} by {size}");
                let table = read(bench, &collection, &columns).await;
                assert_eq!(*first.get_or_insert_with(|| table.clone()), table, "{order:?} by {size}");
            }
        }
    }
}

/// Checks rows of one table that are read in sets of another key: each merge is of one, and sweeps its own.
pub(super) async fn closed_sets_beside_others(bench: &dyn Bench) {
    let of_record = |key: &str, lists: &[i64], read: i64| {
        let of_list = |list: &i64| {
            let cells = [Cell::text("contacts"), Cell::BigInt(*list), Cell::Boolean(false), Cell::Null];
            contact(1, None, read, &cells)
        };
        let file = members(key, &[], 0, 0);
        let table =
            Table::new("members", &["object", "id", "list"], file.table.columns.clone()).expect("table");
        let table = table.with_set_key(&["object", "id"]).expect("set key");
        File { table, rows: lists.iter().map(of_list).collect(), ..file }
    };
    let files = [
        of_record("a", &[7, 9], 10),
        members("b", &[1, 2, 0], 7, 10),
        of_record("c", &[9], 20),
        members("d", &[2, 0], 7, 20),
    ];
    let merges = by_sets(stage(bench, &files));
    let keys =
        |files: &Vec<crate::LocatedFile>| files.iter().map(|file| file.key.clone()).collect::<Vec<_>>();
    assert_eq!(merges.iter().map(keys).collect::<Vec<_>>(), [["a", "c"], ["b", "d"]]);
    for files in merges {
        bench.warehouse().await.merge(&files).await.expect("merge");
    }
    assert_eq!(live(bench, "members").await, [(7, 2), (9, 1)]);
}

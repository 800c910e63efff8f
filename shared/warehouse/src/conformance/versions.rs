//! Versions of a row, of which the table keeps the newest.

use std::collections::BTreeMap;

use staging::{ColumnType, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT, Table};

use super::turns::tried;
use super::{Bench, Cell, File, contact, contacts, merge, read};
use crate::Merged;

const NAME: &[(&str, ColumnType)] = &[("name", ColumnType::Text)];

fn named(id: i64, updated: impl Into<Option<i64>>, read: i64, name: &str) -> Vec<Cell> {
    contact(id, updated, read, &[Cell::text(name)])
}

pub(super) async fn merging_twice_is_merging_once(bench: &dyn Bench) {
    let files = [
        contacts("a", NAME, vec![named(1, 10, 11, "Ada"), named(2, 10, 11, "Bo")]),
        contacts("b", NAME, vec![named(2, 12, 13, "Bob")]),
    ];
    let first = merge(bench, &files).await;
    assert_eq!((first.files, first.staged_rows, first.merged_rows), (2, 3, 2));
    let (table, ledger) = (bench.rows("contacts").await, bench.rows("_loaded_files").await);

    assert_eq!(merge(bench, &files).await, Merged::default());
    assert_eq!(merge(bench, &files[1..]).await, Merged::default());
    assert_eq!(bench.rows("contacts").await, table);
    assert_eq!(bench.rows("_loaded_files").await, ledger);
}

pub(super) async fn same_rows_change_nothing(bench: &dyn Bench) {
    let file = contacts("a", NAME, vec![named(1, 10, 11, "Ada"), named(2, None, 11, "Bo")]);
    merge(bench, std::slice::from_ref(&file)).await;
    let table = bench.rows("contacts").await;

    let again = merge(bench, &[file.named("b")]).await;
    assert_eq!((again.files, again.staged_rows, again.merged_rows), (1, 2, 0));
    assert_eq!(bench.rows("contacts").await, table);
}

/// Checks every order of arrival, one by one, in one batch, and in one file.
pub(super) async fn newest_wins_in_every_order(bench: &dyn Bench) {
    let versions = [
        named(1, None, 99, "no source time"),
        named(1, 9, 99, "read late"),
        named(1, 10, 1, "older read"),
        named(1, 10, 2, "newest"),
    ];
    for (n, order) in tried(bench, permutations(versions.len())) {
        let rows: Vec<Vec<Cell>> = order.iter().map(|&version| versions[version].clone()).collect();
        for (way, batches) in ways(&rows).into_iter().enumerate() {
            let collection = format!("order_{n}_{way}");
            for files in batches {
                let files: Vec<File> =
                    files.into_iter().map(|file| file.of_collection(&collection)).collect();
                merge(bench, &files).await;
            }
            let table = read(bench, &collection, &["id", "name"]).await;
            assert_eq!(table, [[Cell::BigInt(1), Cell::text("newest")]], "{order:?}, way {way}");
        }
    }
}

pub(super) async fn ties_do_not_depend_on_order(bench: &dyn Bench) {
    let same_run = [named(1, 10, 11, "Ada"), named(1, 10, 11, "Ada L."), named(1, 10, 11, "A. Lovelace")];
    let mut winners = Vec::new();
    for (n, order) in tried(bench, permutations(same_run.len())) {
        let rows: Vec<Vec<Cell>> = order.iter().map(|&row| same_run[row].clone()).collect();
        for (way, batches) in ways(&rows).into_iter().enumerate() {
            let collection = format!("tie_{n}_{way}");
            for files in batches {
                let files: Vec<File> =
                    files.into_iter().map(|file| file.of_collection(&collection)).collect();
                merge(bench, &files).await;
            }
            winners.push(read(bench, &collection, &["id", "name"]).await);
        }
    }
    winners.dedup();
    assert_eq!(winners.len(), 1, "{winners:?}");

    let older = contacts("older", NAME, vec![named(1, 10, 11, "older run")]).of_run("run-1");
    let newer = contacts("newer", NAME, vec![named(1, 10, 11, "newer run")]).of_run("run-2");
    for (collection, order) in [("old_new", [&older, &newer]), ("new_old", [&newer, &older])] {
        for file in order {
            merge(bench, &[file.clone().of_collection(collection)]).await;
        }
        assert_eq!(read(bench, collection, &["name"]).await, [[Cell::text("newer run")]], "{collection}");
    }
}

pub(super) async fn deleted_row_can_be_restored(bench: &dyn Bench) {
    let columns = &[("name", ColumnType::Text), (IS_DELETED, ColumnType::Boolean)];
    let row = |updated: i64, name: Cell, is_deleted| {
        vec![contact(1, updated, updated + 1, &[name, Cell::Boolean(is_deleted)])]
    };
    let states = [(Cell::text("Ada"), false), (Cell::Null, true), (Cell::text("Ada"), false)];
    for (n, (name, is_deleted)) in states.into_iter().enumerate() {
        let rows = row(10 * n as i64, name.clone(), is_deleted);
        merge(bench, &[contacts(&format!("state-{n}"), columns, rows)]).await;
        let table = read(bench, "contacts", &["id", "name", IS_DELETED]).await;
        assert_eq!(table, [[Cell::BigInt(1), name, Cell::Boolean(is_deleted)]]);
    }
}

pub(super) async fn null_clears_a_value(bench: &dyn Bench) {
    merge(bench, &[contacts("a", NAME, vec![named(1, 10, 11, "Ada")])]).await;
    merge(bench, &[contacts("b", NAME, vec![contact(1, 12, 13, &[Cell::Null])])]).await;
    assert_eq!(read(bench, "contacts", &["id", "name"]).await, [[Cell::BigInt(1), Cell::Null]]);
}

pub(super) async fn composite_primary_key(bench: &dyn Bench) {
    let file = |key: &str, rows: &[(i64, &str, i64, f64)]| {
        let rows = rows.iter().map(|&(id, kind, updated, value)| {
            contact(id, updated, updated, &[Cell::text(kind), Cell::Double(value)])
        });
        let mut file =
            contacts(key, &[("kind", ColumnType::Text), ("value", ColumnType::Double)], rows.collect());
        file.table = Table::new("contacts", &["kind", "id"], file.table.columns).expect("table");
        file
    };
    merge(bench, &[file("a", &[(1, "x", 10, 0.5), (1, "y", 10, 1.5), (2, "x", 10, 2.5)])]).await;
    let second = merge(bench, &[file("b", &[(1, "y", 11, 9.5), (2, "x", 9, 8.5), (2, "y", 9, 7.5)])]).await;
    assert_eq!((second.inserted, second.updated), (1, 1));
    let row = |id, kind: &str, value| vec![Cell::BigInt(id), Cell::text(kind), Cell::Double(value)];
    assert_eq!(
        read(bench, "contacts", &["id", "kind", "value"]).await,
        [row(1, "x", 0.5), row(1, "y", 9.5), row(2, "x", 2.5), row(2, "y", 7.5)]
    );
}

/// Checks that `contacts` holds for each id the row with the greatest version in files of [`contacts`], which have one
/// column `name`. No two versions of a row may be equal.
pub(crate) async fn assert_table_is_newest(bench: &dyn Bench, files: &[File]) {
    let mut newest: BTreeMap<i64, &Vec<Cell>> = BTreeMap::new();
    for row in files.iter().flat_map(|file| &file.rows) {
        let Cell::BigInt(id) = row[0] else { panic!("contacts have an id") };
        let kept = newest.entry(id).or_insert(row);
        // NULL sorts lowest among cells too.
        if row[1..3] > kept[1..3] {
            *kept = row;
        }
    }
    let table = read(bench, "contacts", &["id", SOURCE_UPDATED_AT, READ_AT, RUN_ID, "name"]).await;
    assert_eq!(table, newest.into_values().cloned().collect::<Vec<_>>());
}

/// Returns the same rows in one file and merge each, in one file each in one merge, and in one file.
fn ways(rows: &[Vec<Cell>]) -> [Vec<Vec<File>>; 3] {
    let each: Vec<File> = rows
        .iter()
        .enumerate()
        .map(|(n, row)| contacts(&format!("file-{n}"), NAME, vec![row.clone()]))
        .collect();
    let one_file = contacts("file", NAME, rows.to_vec());
    [each.iter().map(|file| vec![file.clone()]).collect(), vec![each], vec![vec![one_file]]]
}

pub(super) fn permutations(length: usize) -> Vec<Vec<usize>> {
    let Some(last) = length.checked_sub(1) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for shorter in permutations(last) {
        for position in 0..=last {
            let mut longer = shorter.clone();
            longer.insert(position, last);
            all.push(longer);
        }
    }
    all
}

//! Sets that HubSpot shows whole: a row that a newer read of its set does not show is deleted, in any order of
//! arrival.

use staging::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT, Table,
};

use super::turns::tried;
use super::versions::permutations;
use super::{Bench, Cell, File, contact, contacts, merge, read, stage};
use crate::{Kind, Merged};

use ColumnType::{BigInt, Boolean, Text, Timestamp};

const COLUMNS: &[(&str, ColumnType)] = &[
    ("type", Text),
    ("value", Text),
    ("note", Text),
    (IS_DELETED, Boolean),
    (DELETED_AT, Timestamp),
    (DELETED_REASON, Text),
];

/// All columns, including those that a sweep must not touch.
pub(crate) const SET_COLUMNS: [&str; 10] = [
    "id",
    "type",
    "value",
    "note",
    IS_DELETED,
    DELETED_AT,
    DELETED_REASON,
    SOURCE_UPDATED_AT,
    READ_AT,
    RUN_ID,
];

/// Makes a file whose primary key is `id`, `type` and `value`; rows of one `id` and `type` are a set.
pub(crate) fn identities(key: &str, rows: Vec<Vec<Cell>>) -> File {
    let file = contacts(key, COLUMNS, rows);
    let table = Table::new("identities", &["id", "type", "value"], file.table.columns).expect("table");
    File { table: table.with_set_key(&["id", "type"]).expect("set key"), ..file }
}

/// Makes a live row as a read at `(updated, read)` shows it.
pub(crate) fn live(
    id: i64,
    kind: &str,
    value: &str,
    updated: impl Into<Option<i64>>,
    read: i64,
) -> Vec<Cell> {
    let note = Cell::text(format!("{value} as of {read}"));
    let cells = [Cell::text(kind), Cell::text(value), note, Cell::Boolean(false), Cell::Null, Cell::Null];
    contact(id, updated, read, &cells)
}

/// Makes a tombstone; one with the value `""` means that the set is empty.
pub(crate) fn tombstone(id: i64, value: &str, updated: i64, reason: &str, deleted_at: Cell) -> Vec<Cell> {
    let reason = Cell::text(reason);
    let cells = [Cell::text("EMAIL"), Cell::text(value), Cell::Null, Cell::Boolean(true), deleted_at, reason];
    contact(id, updated, updated + 1, &cells)
}

fn email(value: &str, updated: i64) -> Vec<Cell> {
    live(1, "EMAIL", value, updated, updated + 1)
}

/// Returns the state of each row: `None` if it is live, else the reason of its deletion.
async fn states(bench: &dyn Bench, table: &str) -> Vec<(String, Option<String>)> {
    let state = |row: Vec<Cell>| match <[Cell; 3]>::try_from(row).expect("three cells") {
        [Cell::Text(value), Cell::Boolean(false), Cell::Null] => (value, None),
        [Cell::Text(value), Cell::Boolean(true), Cell::Text(reason)] => (value, Some(reason)),
        other => panic!("neither live nor a tombstone: {other:?}"),
    };
    read(bench, table, &["value", IS_DELETED, DELETED_REASON]).await.into_iter().map(state).collect()
}

fn states_of(states: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    states.iter().map(|&(value, reason)| (value.to_owned(), reason.map(str::to_owned))).collect()
}

pub(super) async fn what_a_newer_read_lacks_is_deleted(bench: &dyn Bench) {
    let others = [live(1, "LEAD_GUID", "a@x", 10, 11), live(2, "EMAIL", "a@x", 10, 11)];
    let first = [vec![email("a@x", 10), email("b@x", 10)], others.to_vec()].concat();
    merge(bench, &[identities("first", first)]).await;

    let merged = merge(bench, &[identities("second", vec![email("b@x", 20), email("c@x", 20)])]).await;
    assert_eq!((merged.staged_rows, merged.merged_rows, merged.inserted, merged.updated), (2, 3, 1, 2));
    let ledger = read(bench, "_loaded_files", &["file_key", "rows", "merged_rows"]).await;
    assert_eq!(ledger[1], [Cell::text("second"), Cell::BigInt(2), Cell::BigInt(2)]);

    let mut gone = email("a@x", 10);
    (gone[7], gone[9]) = (Cell::Boolean(true), Cell::text("removed"));
    let [other_type, other_id] = others;
    let expected = [gone, other_type, email("b@x", 20), email("c@x", 20), other_id];
    let in_order = |row: Vec<Cell>| [0, 4, 5, 6, 7, 8, 9, 1, 2, 3].map(|n: usize| row[n].clone()).to_vec();
    let mut expected: Vec<Vec<Cell>> = expected.into_iter().map(in_order).collect();
    expected.sort_by(|a, b| a.partial_cmp(b).expect("comparable cells"));
    assert_eq!(read(bench, "identities", &SET_COLUMNS).await, expected);
}

pub(super) async fn an_empty_set_deletes_all(bench: &dyn Bench) {
    merge(bench, &[identities("first", vec![email("a@x", 10), email("b@x", 10)])]).await;
    let empty = tombstone(1, "", 20, "archived", Cell::Null);
    let merged = merge(bench, &[identities("second", vec![empty])]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 2));
    let removed = Some("removed");
    let expected = states_of(&[("", Some("archived")), ("a@x", removed), ("b@x", removed)]);
    assert_eq!(states(bench, "identities").await, expected);
}

pub(super) async fn a_member_can_come_back(bench: &dyn Bench) {
    let reads = [
        vec![email("a@x", 10), email("b@x", 10)],
        vec![email("b@x", 20)],
        vec![tombstone(1, "", 30, "removed", Cell::Null)],
        vec![email("a@x", 40)],
    ];
    let removed = Some("removed");
    let expected = [
        states_of(&[("a@x", None), ("b@x", None)]),
        states_of(&[("a@x", removed), ("b@x", None)]),
        states_of(&[("", removed), ("a@x", removed), ("b@x", removed)]),
        states_of(&[("", removed), ("a@x", None), ("b@x", removed)]),
    ];
    for (n, (rows, expected)) in reads.into_iter().zip(expected).enumerate() {
        merge(bench, &[identities(&format!("read-{n}"), rows)]).await;
        assert_eq!(states(bench, "identities").await, expected, "read {n}");
    }
}

/// Checks an older read that arrives late: its rows are deleted on arrival, new ones too; a NULL source time is the
/// lowest.
pub(super) async fn an_older_read_revives_nothing(bench: &dyn Bench) {
    merge(bench, &[identities("new", vec![email("b@x", 20)])]).await;
    let late = [live(1, "EMAIL", "a@x", None, 99), live(1, "EMAIL", "b@x", None, 99)];
    let merged = merge(bench, &[identities("late", late.to_vec())]).await;
    assert_eq!((merged.inserted, merged.updated, merged.merged_rows), (1, 1, 2));
    let expected = states_of(&[("a@x", Some("removed")), ("b@x", None)]);
    assert_eq!(states(bench, "identities").await, expected);

    // A read later by its own time counts where the source tells none.
    let unversioned = |value: &str, read: i64| vec![live(3, "EMAIL", value, None, read)];
    merge(bench, &[identities("read-2", unversioned("d@x", 2))]).await;
    merge(bench, &[identities("read-1", unversioned("c@x", 1))]).await;
    let expected =
        states_of(&[("a@x", Some("removed")), ("b@x", None), ("c@x", Some("removed")), ("d@x", None)]);
    assert_eq!(states(bench, "identities").await, expected);
}

/// Checks files one by one and two by two, with one file twice, and with a tombstone that a sweep leaves alone.
pub(super) async fn sets_do_not_depend_on_order(bench: &dyn Bench) {
    let first = vec![email("a@x", 10), email("b@x", 10), live(2, "EMAIL", "a@x", 10, 11)];
    let archived = tombstone(1, "c@x", 15, "archived", Cell::Timestamp(14));
    let files = [
        identities("first", first.clone()),
        identities("second", vec![email("b@x", 20), archived]),
        identities("third", vec![email("a@x", 30), email("d@x", 30)]),
        identities("first-again", first),
    ];
    let removed = Some("removed");
    let expected = [("a@x", None), ("a@x", None), ("b@x", removed), ("c@x", Some("archived")), ("d@x", None)];
    assert_one_outcome(bench, &files, &[1, 2], Some(&states_of(&expected))).await;
}

/// Checks rows of one version and run, before and after a newer read deletes the present one. Every pair is a set.
pub(super) async fn ties_in_sets_do_not_depend_on_order(bench: &dyn Bench) {
    let with = |cells: &[(usize, Cell)]| {
        let mut row = email("a@x", 10);
        cells.iter().for_each(|(position, cell)| row[*position] = cell.clone());
        row
    };
    let noted = |note: &str| with(&[(6, Cell::text(note))]);
    let archived = [
        (6, Cell::text("x")),
        (7, Cell::Boolean(true)),
        (8, Cell::Timestamp(9)),
        (9, Cell::text("archived")),
    ];
    let pairs = [
        [noted("x"), noted("y")],
        [noted("y"), noted("z")],
        [noted("x"), with(&archived)],
        [noted("y"), with(&archived)],
        [noted("x"), with(&[(6, Cell::text("x")), (7, Cell::Null)])],
        [noted("x"), with(&[(6, Cell::text("x")), (7, Cell::Boolean(true)), (9, Cell::text("removed"))])],
    ];
    let rows = |side: usize| pairs.iter().map(move |pair| pair[side].clone());
    let of_set = |(set, mut row): (usize, Vec<Cell>)| {
        row[0] = Cell::BigInt(set as i64);
        row
    };
    let file = |key: &str, side| identities(key, rows(side).enumerate().map(of_set).collect());
    let newer = pairs.iter().map(|_| email("b@x", 20)).enumerate().map(of_set).collect();
    let files = [file("one", 0), file("other", 1), identities("newer", newer)];
    assert_one_outcome(bench, &files, &[1, 3], None).await;
}

/// Checks that files in every order, in batches of each size, lead to one and the same table.
async fn assert_one_outcome(
    bench: &dyn Bench,
    files: &[File],
    sizes: &[usize],
    expected: Option<&[(String, Option<String>)]>,
) {
    let mut first = None;
    for (n, order) in tried(bench, permutations(files.len())) {
        for &size in sizes {
            let collection = format!("order_{n}_{size}");
            let file = |&position: &usize| files[position].clone().of_collection(&collection);
            let arriving: Vec<File> = order.iter().map(file).collect();
            for batch in arriving.chunks(size) {
                merge(bench, batch).await;
            }
            if let Some(expected) = expected {
                assert_eq!(states(bench, &collection).await, expected, "{order:?} by {size}");
            }
            let table = read(bench, &collection, &SET_COLUMNS).await;
            assert_eq!(*first.get_or_insert_with(|| table.clone()), table, "{order:?} by {size}");
        }
    }
}

pub(super) async fn sets_twice_are_sets_once(bench: &dyn Bench) {
    let files = [
        identities("first", vec![email("a@x", 10), email("b@x", 10)]),
        identities("second", vec![email("b@x", 20)]),
    ];
    merge(bench, &files[..1]).await;
    merge(bench, &files[1..]).await;
    let table = bench.rows("identities").await;
    for again in [&files[..], &files[..1]] {
        assert_eq!(merge(bench, again).await, Merged::default());
    }
    for (n, file) in files.iter().enumerate() {
        let again = merge(bench, &[file.clone().named(&format!("again-{n}"))]).await;
        // The one statement is the ledger's.
        assert_eq!((again.files, again.merged_rows, again.statements_that_write), (1, 0, 1), "{n}");
    }
    assert_eq!(bench.rows("identities").await, table);
}

pub(super) async fn sets_are_of_one_collection(bench: &dyn Bench) {
    let others = || identities("other", vec![email("a@x", 10)]).of_collection("other_identities");
    merge(bench, &[identities("first", vec![email("a@x", 10)])]).await;
    merge(bench, &[others()]).await;
    merge(bench, &[identities("second", vec![email("b@x", 20)])]).await;
    assert_eq!(states(bench, "other_identities").await, states_of(&[("a@x", None)]));
    assert_eq!(states(bench, "identities").await, states_of(&[("a@x", Some("removed")), ("b@x", None)]));
}

/// Checks a table that is altered, written and swept in one merge, with hostile names in several spellings.
pub(super) async fn sets_in_a_table_that_changes(bench: &dyn Bench) {
    let file = |key: &str, [id, kind, value]: [&str; 3], rows: &[(Cell, &str, i64)]| {
        let id_type = if matches!(rows[0].0, Cell::Text(_)) { Text } else { BigInt };
        let columns = [
            (id, id_type),
            (kind, Text),
            (value, Text),
            (IS_DELETED, Boolean),
            (DELETED_REASON, Text),
            (SOURCE_UPDATED_AT, Timestamp),
            (READ_AT, Timestamp),
            (RUN_ID, Text),
        ];
        let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).to_vec();
        let row = |(id, value, time): &(Cell, &str, i64)| {
            let cells = [id.clone(), Cell::text("select"), Cell::text(*value), Cell::Boolean(false)];
            let version = [Cell::Null, Cell::Timestamp(*time), Cell::Timestamp(*time), Cell::text("run-1")];
            [cells, version].concat()
        };
        let rows = rows.iter().map(row).collect();
        let table = Table::new("sets", &[value, kind, id], columns).expect("table");
        File { table: table.with_set_key(&[id, kind]).expect("set key"), ..identities(key, rows) }
    };
    let (number, text) = (Cell::BigInt, |id: &str| Cell::text(id));
    let (names, shouted) = (["set \"id\"", "it's", "order"], ["SET \"ID\"", "IT'S", "ORDER"]);
    merge(bench, &[file("a", names, &[(number(1), "a", 10), (number(1), "b", 10), (number(2), "a", 10)])])
        .await;
    let newer = file("b", shouted, &[(text("1"), "b", 20), (text("3"), "a", 20)]);
    let older = file("c", names, &[(number(1), "c", 15), (number(3), "b", 15)]);
    let merged = merge(bench, &[newer, older]).await;
    assert_eq!((merged.inserted, merged.updated), (3, 1 + 3));
    let row = |id: &str, value: &str, gone| vec![text(id), Cell::text(value), Cell::Boolean(gone)];
    assert_eq!(
        read(bench, "sets", &["set \"id\"", "order", IS_DELETED]).await,
        [
            row("1", "a", true),
            row("1", "b", false),
            row("1", "c", true),
            row("2", "a", false),
            row("3", "a", false),
            row("3", "b", true)
        ]
    );
}

/// Checks files of an older program, which have no set key and delete nothing, together with newer ones.
pub(super) async fn files_without_a_set_key(bench: &dyn Bench) {
    let plain = |key: &str, rows| {
        let mut file = identities(key, rows);
        file.table.set_key.clear();
        file
    };
    merge(bench, &[plain("a", vec![email("a@x", 10)])]).await;
    merge(bench, &[plain("b", vec![email("b@x", 20)])]).await;
    assert_eq!(states(bench, "identities").await, states_of(&[("a@x", None), ("b@x", None)]));
    let elsewhere = live(2, "EMAIL", "z@x", 40, 41);
    let files = [
        plain("c", vec![email("c@x", 25), live(2, "EMAIL", "y@x", 30, 31), elsewhere]),
        identities("d", vec![email("b@x", 30)]),
    ];
    merge(bench, &files).await;
    let removed = Some("removed");
    let expected = [("a@x", removed), ("b@x", None), ("c@x", removed), ("y@x", None), ("z@x", None)];
    assert_eq!(states(bench, "identities").await, states_of(&expected));
}

pub(super) async fn two_set_keys(bench: &dyn Bench) {
    let refused = async |files: &[File], kind: Kind, words: &str| {
        let error = bench.warehouse().await.merge(&stage(bench, files)).await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let mut other = identities("b", vec![email("b@x", 20)]);
    other.table = other.table.with_set_key(&["id"]).expect("set key");
    let mut without = identities("c", vec![]);
    without.table.set_key.clear();
    let files = [without, identities("a", vec![email("a@x", 10)]), other];
    refused(
        &files,
        Kind::BadFile,
        "staged file b has the set key (id), but a in the same merge has (id, type)",
    )
    .await;
    assert!(!bench.has_table("identities").await);

    merge(bench, &files[1..2]).await;
    let table = bench.quoted("identities");
    bench.execute(&format!("ALTER TABLE {table} ALTER COLUMN {IS_DELETED} TYPE VARCHAR")).await;
    let before = bench.rows("identities").await;
    refused(&[identities("d", vec![email("b@x", 20)])], Kind::Unsupported, "is_deleted").await;
    assert_eq!(bench.rows("identities").await, before);
}

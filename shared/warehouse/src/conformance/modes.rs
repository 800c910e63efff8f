//! Tables with hard deletes, tables with a history, and the table of runs.

use chrono::DateTime;
use staging::{ColumnType, DELETED_REASON, IS_DELETED, READ_AT, SOURCE_UPDATED_AT};

use super::sets::{identities, live, tombstone};
use super::turns::tried;
use super::versions::permutations;
use super::{Bench, Cell, File, contact, contacts, merge, merge_as, read, stage};
use crate::mode::{deleted_table, history_table};
use crate::{Kind, RunRow, TableMode};

use ColumnType::{BigInt, Boolean, Text};

const HARD: TableMode = TableMode { hard_delete: true, history: false };
pub(super) const HISTORY: TableMode = TableMode { hard_delete: false, history: true };
pub(crate) const BOTH: TableMode = TableMode { hard_delete: true, history: true };

pub(super) const COLUMNS: &[(&str, ColumnType)] =
    &[("name", Text), (IS_DELETED, Boolean), (DELETED_REASON, Text)];

pub(super) fn alive(id: i64, updated: impl Into<Option<i64>>, read: i64, name: &str) -> Vec<Cell> {
    contact(id, updated, read, &[Cell::text(name), Cell::Boolean(false), Cell::Null])
}

pub(super) fn dead(id: i64, updated: i64, read: i64) -> Vec<Cell> {
    contact(id, updated, read, &[Cell::text("gone"), Cell::Boolean(true), Cell::text("archived")])
}

/// Makes a file for golden SQL: its table has rows that can be deleted.
pub(crate) fn deletable() -> File {
    contacts("deletable", &[COLUMNS, &[("it's", ColumnType::Double)]].concat(), vec![])
}

/// Makes the file of a table that keeps its deleted rows, to be followed by [`kept_otherwise`].
pub(crate) fn kept(collection: &str) -> File {
    let rows = vec![
        alive(1, 10, 11, "first"),
        alive(2, 7, 8, "another"),
        alive(3, 10, 11, "three"),
        dead(4, 10, 11),
    ];
    contacts("a", COLUMNS, rows).of_collection(collection)
}

/// Makes files with a change, a deletion, a version older than a deletion, and two sets of columns.
pub(crate) fn kept_otherwise(collection: &str) -> [File; 2] {
    let changed = contacts("b", COLUMNS, vec![alive(1, 20, 21, "second"), dead(3, 20, 21)]);
    let columns = [COLUMNS, &[("note", Text)]].concat();
    let rows = [alive(1, 30, 31, "third"), alive(4, 5, 6, "too old")];
    let rows = rows.map(|row| [row, vec![Cell::text("noted")]].concat()).to_vec();
    let newer = contacts("c", &columns, rows).of_run("run-2");
    [changed, newer].map(|file| file.of_collection(collection))
}

/// Checks the tables after [`kept_otherwise`], with hard deletes and a history.
pub(crate) async fn assert_kept_otherwise(bench: &dyn Bench, collection: &str, when: &str) {
    assert_kept_otherwise_by(bench, collection, when, 3).await;
}

pub(crate) async fn assert_kept_otherwise_by(bench: &dyn Bench, collection: &str, when: &str, files: usize) {
    assert_eq!(names(bench, collection).await, [name(1, "third"), name(2, "another")], "{when}");
    let deleted = read(bench, &deleted_table(collection), &["id", DELETED_REASON]).await;
    let archived = |id: i64| vec![Cell::BigInt(id), Cell::text("archived")];
    assert_eq!(deleted, [archived(3), archived(4)], "{when}");
    assert_past(bench, collection, when).await;
    assert_eq!(bench.warehouse().await.loaded(collection).await.expect("loaded").len(), files, "{when}");
}

async fn assert_past(bench: &dyn Bench, collection: &str, when: &str) {
    let history = history_table(collection);
    let version = |from: i64, to: Option<i64>, name: &str| (from, to, Cell::text(name));
    assert_eq!(
        past(bench, &history, 1).await,
        [version(10, Some(20), "first"), version(20, Some(30), "second"), version(30, None, "third")],
        "{when}"
    );
    assert_eq!(past(bench, &history, 2).await, [version(7, None, "another")], "{when}");
    assert_eq!(bench.rows(&history).await.len(), 4, "{when}");
}

/// Makes the file after which deleted rows are in the table again.
pub(crate) fn kept_again(collection: &str) -> File {
    contacts("d", COLUMNS, vec![alive(2, 7, 8, "another")]).of_collection(collection)
}

pub(crate) async fn assert_kept_again(bench: &dyn Bench, collection: &str, when: &str) {
    let states = read(bench, collection, &["id", IS_DELETED]).await;
    let state = |(id, is_deleted)| vec![Cell::BigInt(id), Cell::Boolean(is_deleted)];
    assert_eq!(states, [(1, false), (2, false), (3, true), (4, true)].map(state), "{when}");
    assert!(!bench.has_table(&deleted_table(collection)).await, "{when}");
    assert_past(bench, collection, when).await;
}

async fn names(bench: &dyn Bench, table: &str) -> Vec<Vec<Cell>> {
    read(bench, table, &["id", "name", IS_DELETED]).await
}

fn name(id: i64, name: &str) -> Vec<Cell> {
    vec![Cell::BigInt(id), Cell::text(name), Cell::Boolean(false)]
}

/// Checks that an older version which arrives after the deletion does not bring the row back, and a newer one does.
pub(super) async fn deleted_rows_leave_in_every_order(bench: &dyn Bench) {
    let versions =
        [alive(1, 10, 11, "first"), dead(1, 20, 21), alive(1, 30, 31, "restored"), dead(2, 20, 21)];
    for (n, order) in tried(bench, permutations(versions.len())) {
        let collection = format!("order_{n}");
        for (arrived, version) in order.iter().enumerate() {
            let rows = vec![versions[*version].clone()];
            let file = contacts(&format!("{collection}_{arrived}"), COLUMNS, rows).of_collection(&collection);
            merge_as(bench, &[file], HARD).await;
            let seen = &order[..=arrived];
            let expected = match seen {
                seen if seen.contains(&2) => vec![name(1, "restored")],
                seen if seen.contains(&0) && !seen.contains(&1) => vec![name(1, "first")],
                _ => vec![],
            };
            assert_eq!(names(bench, &collection).await, expected, "{seen:?}");
        }
    }
}

pub(super) async fn members_of_sets_leave_in_every_order(bench: &dyn Bench) {
    let email = |value: &str, updated: i64| live(1, "EMAIL", value, updated, updated + 1);
    let reads = [
        vec![email("a@x", 10), email("b@x", 10)],
        vec![email("b@x", 20), email("c@x", 20)],
        vec![tombstone(1, "", 30, "removed", Cell::Null)],
        vec![email("c@x", 40)],
    ];
    for (n, order) in tried(bench, permutations(reads.len())) {
        let collection = format!("order_{n}");
        for read_ in &order {
            let file = identities(&format!("{collection}_{read_}"), reads[*read_].clone());
            merge_as(bench, &[file.of_collection(&collection)], HARD).await;
        }
        assert_eq!(read(bench, &collection, &["value"]).await, [[Cell::text("c@x")]], "{order:?}");
    }
}

/// Checks a change of mode and back, which loses the values of deleted rows and no deletion.
pub(super) async fn the_mode_may_change(bench: &dyn Bench) {
    let file = |key: &str, rows: Vec<Vec<Cell>>| contacts(key, COLUMNS, rows);
    merge(bench, &[file("a", vec![alive(1, 10, 11, "Ada"), dead(2, 10, 11)])]).await;
    assert_eq!(names(bench, "contacts").await.len(), 2);
    merge_as(bench, &[file("b", vec![alive(3, 10, 11, "Cy")])], HARD).await;
    assert_eq!(names(bench, "contacts").await, [name(1, "Ada"), name(3, "Cy")]);
    assert_eq!(
        read(bench, "_deleted_contacts", &["id", DELETED_REASON]).await,
        [[Cell::BigInt(2), Cell::text("archived")]]
    );
    // The key becomes text, and is found all the same.
    let mut wider = contacts("c", COLUMNS, vec![]);
    wider.table.columns[0].column_type = Text;
    wider.rows = vec![alive(2, 5, 6, "too old"), alive(1, 20, 21, "Ada L.")];
    for row in &mut wider.rows {
        if let Cell::BigInt(id) = row[0] {
            row[0] = Cell::text(id.to_string());
        }
    }
    merge_as(bench, &[wider], HARD).await;
    assert_eq!(read(bench, "contacts", &["name"]).await, [[Cell::text("Ada L.")], [Cell::text("Cy")]]);
    merge(bench, &[file("d", vec![alive(4, 10, 11, "Di")])]).await;
    let deleted: Vec<Cell> = read(bench, "contacts", &["id", IS_DELETED])
        .await
        .into_iter()
        .filter(|row| row[1] == Cell::Boolean(true))
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(deleted, [Cell::text("2")]);
    assert!(!bench.has_table("_deleted_contacts").await);
}

/// Returns (from, to, name) of one contact's versions, in order of time, without those that held for no time.
pub(super) async fn past(bench: &dyn Bench, table: &str, id: i64) -> Vec<(i64, Option<i64>, Cell)> {
    let rows = read(bench, table, &["id", "_valid_from", "_valid_to", "name"]).await;
    let time = |cell: &Cell| match cell {
        Cell::Timestamp(ms) => Some(*ms),
        Cell::Null => None,
        other => panic!("{other:?} is no time"),
    };
    let rows = rows.into_iter().filter(|row| row[0] == Cell::BigInt(id));
    let version = |row: Vec<Cell>| (time(&row[1]).expect("a beginning"), time(&row[2]), row[3].clone());
    let mut versions: Vec<_> = rows.map(version).filter(|(from, to, _)| Some(*from) != *to).collect();
    versions.sort_by_key(|(from, ..)| *from);
    versions
}

/// Returns the reads of one contact: changed twice, read twice unchanged, changed without a new time, changed back,
/// deleted.
fn versions() -> Vec<Vec<Cell>> {
    vec![
        alive(1, 10, 15, "first"),
        alive(1, 20, 25, "second"),
        alive(1, 20, 35, "second"),
        alive(1, 20, 45, "calculated"),
        alive(1, 50, 55, "first"),
        dead(1, 60, 65),
    ]
}

fn held() -> Vec<(i64, Option<i64>, Cell)> {
    let text = |name: &str| Cell::text(name);
    vec![
        (10, Some(20), text("first")),
        (20, Some(45), text("second")),
        (45, Some(50), text("calculated")),
        (50, Some(60), text("first")),
        (60, None, text("gone")),
    ]
}

pub(super) async fn history_does_not_depend_on_order(bench: &dyn Bench) {
    let versions = versions();
    // Sixteen of the 720 orders; each version in a file of its own, or two in one merge.
    let orders = permutations(versions.len()).into_iter().step_by(45).collect();
    for (n, order) in tried(bench, orders) {
        let collection = format!("order_{n}");
        let file = |version: &usize| {
            let rows = vec![versions[*version].clone(), alive(2, 7, 8, "another")];
            contacts(&format!("{collection}_{version}"), COLUMNS, rows).of_collection(&collection)
        };
        for batch in order.chunks(1 + n % 2) {
            merge_as(bench, &batch.iter().map(file).collect::<Vec<File>>(), HISTORY).await;
        }
        let history = format!("{collection}_history");
        assert_eq!(past(bench, &history, 1).await, held(), "{order:?}");
        assert_eq!(past(bench, &history, 2).await, [(7, None, Cell::text("another"))]);
        assert!(bench.rows(&history).await.len() <= versions.len() + 1, "every version once");
    }
}

/// Checks a history that begins later, with the rows of the table.
pub(super) async fn history_may_begin_late(bench: &dyn Bench) {
    let versions = versions();
    let file = |n: usize| contacts(&format!("f{n}"), COLUMNS, vec![versions[n].clone()]);
    merge(bench, &[file(0), file(1)]).await;
    merge_as(bench, &[contacts("other", COLUMNS, vec![alive(2, 7, 8, "another")])], HISTORY).await;
    merge_as(bench, &[file(3), file(4)], HISTORY).await;
    let expected = [
        (20, Some(45), Cell::text("second")),
        (45, Some(50), Cell::text("calculated")),
        (50, None, Cell::text("first")),
    ];
    assert_eq!(past(bench, "contacts_history", 1).await, expected);
    assert_eq!(past(bench, "contacts_history", 2).await, [(7, None, Cell::text("another"))]);
}

/// Checks that a version with the same values in a wider type, or with a new column, is no change.
pub(super) async fn history_follows_the_columns(bench: &dyn Bench) {
    let number = |key: &str, updated: i64, number: Cell, column_type: ColumnType, more: bool| {
        let mut columns = vec![("name", Text), ("number", column_type)];
        let mut cells = vec![Cell::text("Ada"), number];
        if more {
            columns.push(("note", Text));
            cells.push(Cell::Null);
        }
        contacts(key, &columns, vec![contact(1, updated, updated + 1, &cells)])
    };
    merge_as(bench, &[number("a", 10, Cell::BigInt(7), BigInt, false)], HISTORY).await;
    merge_as(bench, &[number("b", 20, Cell::Double(7.0), ColumnType::Double, false)], HISTORY).await;
    merge_as(bench, &[number("c", 30, Cell::text("7"), Text, true)], HISTORY).await;
    assert_eq!(past(bench, "contacts_history", 1).await, [(10, None, Cell::text("Ada"))]);
    merge_as(bench, &[number("d", 40, Cell::text("8"), Text, true)], HISTORY).await;
    let columns = ["number", "note", SOURCE_UPDATED_AT, READ_AT];
    let at = |ms: i64| Cell::Timestamp(ms);
    let row = |number: &str, updated: i64| vec![Cell::text(number), Cell::Null, at(updated), at(updated + 1)];
    assert_eq!(
        read(bench, "contacts_history", &columns).await,
        [row("7", 10), row("7", 20), row("7", 30), row("8", 40)]
    );
    assert_eq!(
        past(bench, "contacts_history", 1).await,
        [(10, Some(40), Cell::text("Ada")), (40, None, Cell::text("Ada"))]
    );
}

/// Checks a history whose table was dropped: it has its versions once, in their types.
pub(super) async fn history_outlives_its_table(bench: &dyn Bench) {
    let number = |key: &str, updated: i64, number: Cell, column_type: ColumnType| {
        let cells = [Cell::text("Ada"), number];
        let columns = [("name", Text), ("number", column_type)];
        contacts(key, &columns, vec![contact(1, updated, updated + 1, &cells)])
    };
    merge_as(bench, &[number("a", 10, Cell::text("7"), Text)], HISTORY).await;
    bench.execute(&format!("DROP TABLE {}", bench.quoted("contacts"))).await;
    merge_as(bench, &[number("b", 20, Cell::BigInt(8), BigInt)], HISTORY).await;
    merge_as(bench, &[number("c", 20, Cell::BigInt(8), BigInt)], HISTORY).await;
    assert_eq!(read(bench, "contacts", &["number"]).await, [[Cell::BigInt(8)]]);
    assert_eq!(read(bench, "contacts_history", &["number"]).await, [[Cell::text("7")], [Cell::text("8")]]);
    assert_eq!(
        past(bench, "contacts_history", 1).await,
        [(10, Some(20), Cell::text("Ada")), (20, None, Cell::text("Ada"))]
    );
}

/// Checks a column about deletion that is added later: it is kept of rows that are deleted later.
pub(super) async fn what_is_kept_follows_the_columns(bench: &dyn Bench) {
    let older: &[(&str, ColumnType)] = &[("name", Text), (IS_DELETED, Boolean)];
    let row = |id: i64| contact(id, 10, 11, &[Cell::text("gone"), Cell::Boolean(true)]);
    merge_as(bench, &[contacts("a", older, vec![row(1)])], HARD).await;
    merge_as(bench, &[contacts("b", COLUMNS, vec![dead(2, 10, 11), alive(1, 5, 6, "too old")])], HARD).await;
    assert!(names(bench, "contacts").await.is_empty());
    assert_eq!(
        read(bench, "_deleted_contacts", &["id", DELETED_REASON]).await,
        [[Cell::BigInt(1), Cell::Null], [Cell::BigInt(2), Cell::text("archived")]]
    );
}

/// Checks that hard deletes also remove the records from the history.
pub(super) async fn hard_deletes_leave_no_past(bench: &dyn Bench) {
    let versions = versions();
    for (n, order) in [[0, 5, 1], [5, 1, 0]].into_iter().enumerate() {
        let collection = format!("order_{n}");
        for version in order {
            let rows = vec![versions[version].clone(), alive(2, 7, 8, "another")];
            let file = contacts(&format!("{collection}_{version}"), COLUMNS, rows);
            merge_as(bench, &[file.of_collection(&collection)], BOTH).await;
        }
        assert_eq!(names(bench, &collection).await, [name(2, "another")]);
        assert_eq!(names(bench, &format!("{collection}_history")).await, [name(2, "another")]);
    }
}

pub(super) async fn sets_have_no_history(bench: &dyn Bench) {
    let file = identities("a", vec![live(1, "EMAIL", "a@x", 10, 11)]);
    let staged = stage(bench, &[file]);
    let error = bench.warehouse().await.merge_as(&staged, HISTORY).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("can't have a history"), "{error}");
    assert!(!bench.has_table("identities").await);
}

fn run(run_id: &str, outcome: &str) -> RunRow {
    RunRow {
        run_id: run_id.to_owned(),
        name: "deals".to_owned(),
        mode: Some("backfill".to_owned()),
        outcome: outcome.to_owned(),
        reason: (outcome == "failed").then(|| "it's \"gone\" \\ away".to_owned()),
        ended_at: DateTime::from_timestamp_millis(1_790_000_000_123).expect("time"),
        seconds: 1.5,
        rows: 7,
        report: r#"{"feed":"deals","note":"a 'quoted' \n one"}"#.to_owned(),
    }
}

/// Checks many runs, as a state has them, which are offered anew each time.
pub(super) async fn many_runs(bench: &dyn Bench) {
    merge(bench, &[contacts("a", &[], vec![contact(1, 10, 11, &[])])]).await;
    let runs: Vec<RunRow> = (0..1_200).map(|n| run(&format!("r{n:04}"), "complete")).collect();
    let record = async |runs: &[RunRow]| bench.warehouse().await.record_runs(runs).await.expect("recorded");
    assert_eq!(record(&runs[..1_000]).await, 1_000);
    assert_eq!(record(&runs).await, 200);
    assert_eq!(record(&runs).await, 0);
    assert_eq!(bench.rows("_runs").await.len(), 1_200);
    let mut reports = bench.warehouse().await.reports("r0900").await.expect("reports");
    reports.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    let of = |run: &RunRow| (run.run_id.clone(), run.name.clone(), run.report.clone());
    let reports: Vec<_> = reports.into_iter().map(|it| (it.run_id, it.name, it.report)).collect();
    assert_eq!(reports, runs[900..].iter().map(of).collect::<Vec<_>>());
}

pub(super) async fn runs_are_recorded_once(bench: &dyn Bench) {
    let runs = [run("r1", "complete"), run("r2", "failed")];
    let record = async |runs: &[RunRow]| bench.warehouse().await.record_runs(runs).await.expect("recorded");
    assert_eq!(record(&runs).await, 0, "no account is bound");
    assert_eq!(bench.warehouse().await.reports("").await.expect("reports"), []);
    merge(bench, &[contacts("a", &[], vec![contact(1, 10, 11, &[])])]).await;
    assert_eq!(record(&[]).await, 0);
    assert_eq!(record(&runs[..1]).await, 1);
    assert_eq!(record(&[run("r1", "changed"), runs[1].clone()]).await, 1);
    assert_eq!(record(&runs).await, 0);
    let row = |run: &RunRow| {
        vec![
            Cell::text(&*run.run_id),
            Cell::text(&*run.name),
            Cell::text("backfill"),
            Cell::text(&*run.outcome),
            run.reason.as_deref().map_or(Cell::Null, Cell::text),
            Cell::Timestamp(1_790_000_000_123),
            Cell::Double(1.5),
            Cell::BigInt(7),
            Cell::text(&*run.report),
        ]
    };
    let columns = ["run_id", "name", "mode", "outcome", "reason", "ended_at", "seconds", "rows", "report"];
    assert_eq!(read(bench, "_runs", &columns).await, [row(&runs[0]), row(&runs[1])]);
}

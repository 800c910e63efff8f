//! Tests of engines in which each statement is a commit of its own: merges that end in the middle, and changes by other
//! loads meanwhile. Merges are cut at [`crash_points`].

use serde_json::json;
use staging::{ColumnType, IS_DELETED, READ_AT, RUN_ID};

use super::TwinBench;
use crate::conformance::{
    Bench, Cell, File, SET_COLUMNS, contact, contacts, crash_points, identities, live, merge, merge_as,
    modes, read, stage,
};
use crate::mode::{deleted_table, history_table};
use crate::{Kind, TableMode};

/// Opens a database of a twin; `None` ends a test without one.
pub(crate) trait Open: AsyncFn() -> Option<TwinBench> {}

impl<F: AsyncFn() -> Option<TwinBench>> Open for F {}

pub(crate) fn numbered(key: &str, rows: &[(i64, i64, i64)]) -> File {
    let row =
        |&(id, updated, number): &(i64, i64, i64)| contact(id, updated, updated, &[Cell::BigInt(number)]);
    contacts(key, &[("number", ColumnType::BigInt)], rows.iter().map(row).collect())
}

pub(crate) fn named(key: &str, id: i64, updated: i64, name: &str) -> File {
    contacts(key, &[("name", ColumnType::Text)], vec![contact(id, updated, updated, &[Cell::text(name)])])
}

/// Makes files with one more column, one of another type, and two sets of columns.
fn wider() -> [File; 2] {
    let number = |number: f64, city: &str| [Cell::Double(number), Cell::text(city)];
    let columns = [("number", ColumnType::Double), ("city", ColumnType::Text)];
    let rows = vec![contact(1, 20, 20, &number(0.5, "Ulm")), contact(3, 20, 20, &number(3.0, "Rom"))];
    let newer = contacts("c", &[], vec![contact(2, 30, 30, &[])]);
    [contacts("b", &columns, rows), newer.of_run("run-2")]
}

/// Merges until so many statements were executed, and again after that crash. `false`: the merge has fewer statements.
async fn is_mended(bench: &TwinBench, files: &[File], after: usize) -> bool {
    is_mended_as(bench, files, TableMode::default(), after).await
}

async fn is_mended_as(bench: &TwinBench, files: &[File], mode: TableMode, after: usize) -> bool {
    let files = stage(bench, files);
    bench.call("crash", json!({"after": after}));
    let merged = bench.warehouse().await.merge_as(&files, mode).await;
    if bench.call("recover", json!({}))["crashed"] == false {
        merged.unwrap();
        return false;
    }
    if let Err(error) = merged {
        assert!(matches!(error.kind(), Kind::Engine), "{after}: {error:?}");
    }
    bench.warehouse().await.merge_as(&files, mode).await.unwrap();
    true
}

/// Checks a merge that ends after any of its statements: the next one leaves the table as one merge would have.
pub(crate) async fn a_crash_after_any_statement_is_mended_by_the_next_merge(open: impl Open) {
    let Some(bench) = open().await else { return };
    for after in crash_points() {
        let collection = format!("contacts_{after}");
        let of = |file: File| file.of_collection(&collection);
        merge(&bench, &[of(numbered("a", &[(1, 10, 1), (2, 10, 2)]))]).await;
        let was_cut = is_mended(&bench, &wider().map(of), after).await;
        let row = |id, number, city: Option<&str>, run: &str| {
            let city = city.map_or(Cell::Null, Cell::text);
            vec![Cell::BigInt(id), Cell::Double(number), city, Cell::text(run)]
        };
        let expected = [
            row(1, 0.5, Some("Ulm"), "run-1"),
            row(2, 2.0, None, "run-2"),
            row(3, 3.0, Some("Rom"), "run-1"),
        ];
        let rows = read(&bench, &collection, &["id", "number", "city", RUN_ID]).await;
        assert_eq!(rows, expected, "after {after}");
        assert!(bench.rows(&collection).await[0].keys().all(|name| !name.starts_with("_widened_")));
        assert_eq!(bench.warehouse().await.loaded(&collection).await.unwrap().len(), 3, "after {after}");
        if !was_cut {
            assert!(after > 30, "only {after} statements");
            break;
        }
    }
    bench.close();
}

/// Checks the very first merge in the same way, which creates the tables.
pub(crate) async fn a_crash_of_the_first_merge_is_mended(open: impl Open) {
    for after in crash_points() {
        let Some(bench) = open().await else { return };
        let was_cut = is_mended(&bench, &[numbered("a", &[(1, 10, 1), (2, 10, 2)])], after).await;
        assert_eq!(bench.rows("contacts").await.len(), 2, "after {after}");
        let warehouse = bench.warehouse().await;
        assert_eq!(warehouse.account().await.unwrap(), Some(42), "after {after}");
        assert_eq!(warehouse.loaded("contacts").await.unwrap().len(), 1, "after {after}");
        bench.close();
        if !was_cut {
            assert!(after > 15, "only {after} statements");
            break;
        }
    }
}

/// Checks a dropped table: it is filled again, though its files are in the ledger.
pub(crate) async fn a_crash_while_a_dropped_table_is_made_anew_is_mended(open: impl Open) {
    let Some(bench) = open().await else { return };
    for after in crash_points() {
        let of = |file: File| file.of_collection(&format!("contacts_{after}"));
        let files = [of(numbered("a", &[(1, 10, 1)])), of(numbered("b", &[(2, 10, 2)]))];
        merge(&bench, &files).await;
        bench.execute(&format!("DROP TABLE {}", bench.quoted(&format!("contacts_{after}")))).await;
        let was_cut = is_mended(&bench, &files, after).await;
        assert_eq!(bench.rows(&format!("contacts_{after}")).await.len(), 2, "after {after}");
        if !was_cut {
            break;
        }
    }
    bench.close();
}

/// Checks a crash between rows and the sweep of their sets.
pub(crate) async fn a_crash_between_rows_and_their_sets_is_mended(open: impl Open) {
    let Some(bench) = open().await else { return };
    let email = |value: &str, updated| live(1, "EMAIL", value, updated, updated + 1);
    let mut expected = None;
    for after in crash_points() {
        let collection = format!("identities_{after}");
        let of = |file: File| file.of_collection(&collection);
        merge(&bench, &[of(identities("a", vec![email("a@x", 10), email("b@x", 10)]))]).await;
        let was_cut =
            is_mended(&bench, &[of(identities("b", vec![email("b@x", 20), email("c@x", 20)]))], after).await;
        let rows = read(&bench, &collection, &SET_COLUMNS).await;
        assert_eq!(
            rows.iter().filter(|row| row.contains(&Cell::text("removed"))).count(),
            1,
            "after {after}"
        );
        assert_eq!(*expected.get_or_insert_with(|| rows.clone()), rows, "after {after}");
        if !was_cut {
            break;
        }
    }
    bench.close();
}

/// Checks two loads that both remembered a row, and both added a version.
pub(crate) async fn a_commit_that_another_one_came_before_is_tried_again(open: impl Open) {
    let Some(bench) = open().await else { return };
    merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
    for (n, statement) in ["MERGE", "INSERT INTO \"warehouse"].iter().enumerate() {
        bench.call("conflict", json!({"containing": statement, "times": 2}));
        let merged = merge(&bench, &[numbered(&format!("b{n}"), &[(1, 20 + n as i64, 2)])]).await;
        assert_eq!((merged.files, merged.updated), (1, 1), "{statement}");
    }
    bench.close();
}

/// Checks another load that writes a newer version between our comparison and our write.
pub(crate) async fn a_merge_that_comes_late_replaces_nothing_newer(open: impl Open) {
    let Some(bench) = open().await else { return };
    merge(&bench, &[numbered("a", &[(1, 10, 1), (2, 10, 2)])]).await;
    let table = bench.quoted("contacts");
    let sql = format!(
        "UPDATE {table} SET number = 99, {READ_AT} = {READ_AT} + INTERVAL 1 HOUR, _source_updated_at = _source_updated_at + INTERVAL 1 HOUR WHERE id = 1"
    );
    bench.call("before", json!({"containing": "MERGE", "sql": sql}));
    merge(&bench, &[numbered("b", &[(1, 20, 3), (2, 20, 3)])]).await;
    let rows = [(1, 99), (2, 3)].map(|(id, number)| vec![Cell::BigInt(id), Cell::BigInt(number)]);
    assert_eq!(read(&bench, "contacts", &["id", "number"]).await, rows);
    bench.close();
}

/// Checks the same for a row that a sweep of its set deletes.
pub(crate) async fn a_sweep_that_comes_late_deletes_nothing_newer(open: impl Open) {
    let Some(bench) = open().await else { return };
    let email = |value: &str, updated| live(1, "EMAIL", value, updated, updated + 1);
    merge(&bench, &[identities("a", vec![email("a@x", 10), email("b@x", 10)])]).await;
    let table = bench.quoted("identities");
    let sql = format!("UPDATE {table} SET {READ_AT} = {READ_AT} + INTERVAL 1 HOUR WHERE value = 'a@x'");
    bench.call("before", json!({"containing": "'removed'", "sql": sql}));
    merge(&bench, &[identities("b", vec![email("b@x", 20)])]).await;
    let states = read(&bench, "identities", &["value", IS_DELETED]).await;
    assert!(states.iter().all(|state| state[1] == Cell::Boolean(false)), "{states:?}");
    bench.close();
}

/// After whichever statement it ends; see [`crash_points`].
pub(crate) async fn a_crash_while_the_mode_changes_is_mended(open: impl Open) {
    let Some(bench) = open().await else { return };
    for after in crash_points() {
        let collection = format!("contacts_{after}");
        merge(&bench, &[modes::kept(&collection)]).await;
        let files = modes::kept_otherwise(&collection);
        let was_cut = is_mended_as(&bench, &files, modes::BOTH, after).await;
        modes::assert_kept_otherwise(&bench, &collection, &format!("after {after}")).await;
        if !was_cut {
            assert!(after > 40, "only {after} statements");
            break;
        }
    }
    bench.close();
}

/// Checks the end of hard deletes.
pub(crate) async fn a_crash_while_deleted_rows_come_back_is_mended(open: impl Open) {
    let Some(bench) = open().await else { return };
    let mode = TableMode { hard_delete: false, ..modes::BOTH };
    for after in crash_points() {
        let collection = format!("contacts_{after}");
        merge(&bench, &[modes::kept(&collection)]).await;
        merge_as(&bench, &modes::kept_otherwise(&collection), modes::BOTH).await;
        let was_cut = is_mended_as(&bench, &[modes::kept_again(&collection)], mode, after).await;
        modes::assert_kept_again(&bench, &collection, &format!("after {after}")).await;
        if !was_cut {
            assert!(after > 20, "only {after} statements");
            break;
        }
    }
    bench.close();
}

/// The first merge of a table makes all of them.
pub(crate) async fn a_crash_while_all_tables_are_made_is_mended(open: impl Open) {
    let Some(bench) = open().await else { return };
    for after in crash_points() {
        let collection = format!("contacts_{after}");
        let [second, third] = modes::kept_otherwise(&collection);
        let files = [modes::kept(&collection), second, third];
        let was_cut = is_mended_as(&bench, &files, modes::BOTH, after).await;
        modes::assert_kept_otherwise(&bench, &collection, &format!("after {after}")).await;
        if !was_cut {
            break;
        }
    }
    bench.close();
}

/// Another load takes a deleted row out of the table while this one compares an older version with it.
pub(crate) async fn a_deleted_row_does_not_come_back_between_two_loads(open: impl Open) {
    let Some(bench) = open().await else { return };
    otherwise(&bench).await;
    let [table, deleted] =
        ["contacts".to_owned(), deleted_table("contacts")].map(|table| bench.quoted(&table));
    let sql = format!(
        "INSERT INTO {deleted} BY NAME SELECT id, _source_updated_at, _read_at, _run_id, is_deleted, deleted_reason \
         FROM {table} WHERE is_deleted; DELETE FROM {table} WHERE is_deleted"
    );
    bench.call("before", json!({"containing": "_0_newest\" SELECT", "sql": sql}));
    let older = modes::kept("contacts").named("e");
    merge_as(&bench, &[older], modes::BOTH).await;
    modes::assert_kept_otherwise_by(&bench, "contacts", "two loads at once", 4).await;
    bench.close();
}

/// Two loads at once may both remember a row, and both add a version.
pub(crate) async fn what_is_there_twice_does_no_harm(open: impl Open) {
    let Some(bench) = open().await else { return };
    otherwise(&bench).await;
    for table in [deleted_table("contacts"), history_table("contacts")] {
        bench.double_rows(&table).await;
    }
    merge_as(&bench, &[modes::kept("contacts").named("e")], modes::BOTH).await;
    let rows = read(&bench, "contacts", &["id", "name"]).await;
    let row = |id, name: &str| vec![Cell::BigInt(id), Cell::text(name)];
    assert_eq!(rows, [row(1, "third"), row(2, "another")]);
    assert_eq!(read(&bench, "_deleted_contacts", &["id"]).await, [[Cell::BigInt(3)], [Cell::BigInt(4)]]);
    bench.close();
}

/// The end of a run of equal reads is a time only, until something else comes in between or behind it.
pub(crate) async fn a_crash_loses_no_end_of_a_run(open: impl Open) {
    let Some(bench) = open().await else { return };
    let mode = TableMode { hard_delete: false, history: true };
    // The statements around those that write the history.
    for after in 15..23 {
        let collection = format!("contacts_{after}");
        let file = |name: &str, reads: &[(i64, i64, &str)]| {
            let row = |&(id, at, name): &(i64, i64, &str)| contact(id, 10, at, &[Cell::text(name)]);
            let rows = reads.iter().map(row).collect();
            contacts(&format!("{collection}_{name}"), &[("name", ColumnType::Text)], rows)
                .of_collection(&collection)
        };
        merge_as(&bench, &[file("a", &[(1, 15, "A"), (2, 15, "A"), (3, 15, "A")])], mode).await;
        merge_as(&bench, &[file("b", &[(1, 35, "A"), (2, 35, "A"), (3, 35, "A")])], mode).await;
        merge_as(&bench, &[file("c", &[(3, 45, "C")])], mode).await;
        let cut = file("d", &[(1, 25, "B"), (2, 45, "C"), (3, 25, "B")]);
        let was_cut = is_mended_as(&bench, &[cut], mode, after).await;
        merge_as(&bench, &[file("e", &[(2, 25, "B")])], mode).await;
        let columns = ["id", "_valid_from", "_valid_to", "name"];
        let mut rows = read(&bench, &history_table(&collection), &columns).await;
        rows.sort_by_key(|row| format!("{row:?}"));
        let expected = [
            (1, 10, Some(25), "A"),
            (1, 25, Some(35), "B"),
            (1, 35, None, "A"),
            (2, 10, Some(25), "A"),
            (2, 25, Some(35), "B"),
            (2, 35, Some(45), "A"),
            (2, 45, None, "C"),
            (3, 10, Some(25), "A"),
            (3, 25, Some(35), "B"),
            (3, 35, Some(45), "A"),
            (3, 45, None, "C"),
        ];
        let expected = expected.map(|(id, from, to, name)| {
            let to = to.map_or(Cell::Null, Cell::Timestamp);
            vec![Cell::BigInt(id), Cell::Timestamp(from), to, Cell::text(name)]
        });
        assert_eq!(rows, expected, "after {after}");
        assert!(was_cut, "only {after} statements");
    }
    bench.close();
}

/// Keeps a table without its deleted rows and with its past.
pub(crate) async fn otherwise(bench: &TwinBench) {
    merge(bench, &[modes::kept("contacts")]).await;
    merge_as(bench, &modes::kept_otherwise("contacts"), modes::BOTH).await;
}

/// Checks answers that are lost, and commits that another one comes before. `in_json` is a part of a statement as a call
/// has it.
pub(crate) async fn lost_answers_and_commits_that_come_late_change_nothing(
    open: impl Open,
    in_json: fn(&str) -> String,
) {
    let Some(bench) = open().await else { return };
    let [deleted, history] =
        [deleted_table("contacts"), history_table("contacts")].map(|table| bench.quoted(&table));
    let statements = [
        format!("INSERT INTO {} (", bench.quoted("contacts")),
        format!("DELETE FROM {deleted}"),
        format!("INSERT INTO {history}"),
        format!("MERGE INTO {history}"),
        format!("DELETE FROM {history}"),
        format!("INSERT INTO {deleted}"),
        format!("DELETE FROM {} ", bench.quoted("contacts")),
    ];
    for (n, words) in statements.iter().enumerate() {
        for fault in ["lose", "conflict"] {
            let collection = format!("contacts_{n}_{fault}");
            let words = words.replace("contacts", &collection);
            merge(&bench, &[modes::kept(&collection)]).await;
            match fault {
                "lose" => bench.lose(&in_json(&words)),
                _ => drop(bench.call("conflict", json!({"containing": words, "times": 2}))),
            }
            merge_as(&bench, &modes::kept_otherwise(&collection), modes::BOTH).await;
            modes::assert_kept_otherwise(&bench, &collection, &format!("{fault}: {words}")).await;
        }
    }
    assert_eq!(bench.call("faults", json!({}))["left"], 0);
    bench.close();
}

/// Checks two loads without a lock: files may be merged and counted twice, and the table is that of one merge.
pub(crate) async fn the_same_files_at_once_are_one_table(open: impl Open) {
    let Some(bench) = open().await else { return };
    let files: Vec<File> = (0..4).map(|n| named(&format!("f{n}"), n % 2, n, &format!("{n}"))).collect();
    let staged = stage(&bench, &files);
    let (one, two) = (bench.warehouse().await, bench.warehouse().await);
    let (first, second) = tokio::join!(one.merge(&staged), two.merge(&staged));
    for merged in [first, second] {
        assert!(merged.unwrap().files <= 4);
    }
    let rows = [(0, "2"), (1, "3")].map(|(id, name)| vec![Cell::BigInt(id), Cell::text(name)]);
    assert_eq!(read(&bench, "contacts", &["id", "name"]).await, rows);
    assert_eq!(bench.warehouse().await.loaded("contacts").await.unwrap().len(), 4);
    // Rows of the ledger or the account that are there twice stop nothing.
    assert_eq!(merge(&bench, &[named("g", 1, 9, "nine")]).await.updated, 1);
    bench.close();
}

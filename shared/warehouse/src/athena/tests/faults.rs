//! Merges that end in the middle, calls that are sent twice, and changes by other loads meanwhile.

use serde_json::json;
use staging::{ColumnType, IS_DELETED, READ_AT, RUN_ID};

use super::{bench, executed};
use crate::conformance::{
    Bench, Cell, File, SET_COLUMNS, contact, contacts, identities, live, merge, read, stage,
};
use crate::twin::TwinBench;
use crate::{Kind, TableMode};

fn numbered(key: &str, rows: &[(i64, i64, i64)]) -> File {
    let row =
        |&(id, updated, number): &(i64, i64, i64)| contact(id, updated, updated, &[Cell::BigInt(number)]);
    contacts(key, &[("number", ColumnType::BigInt)], rows.iter().map(row).collect())
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
async fn is_mended(bench: &TwinBench, files: &[File], after: u64) -> bool {
    is_mended_as(bench, files, TableMode::default(), after).await
}

pub(super) async fn is_mended_as(bench: &TwinBench, files: &[File], mode: TableMode, after: u64) -> bool {
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
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_statement_is_mended_by_the_next_merge() {
    let Some(bench) = bench().await else { return };
    for after in 0.. {
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
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_first_merge_is_mended() {
    for after in 0.. {
        let Some(bench) = bench().await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_dropped_table_is_made_anew_is_mended() {
    let Some(bench) = bench().await else { return };
    for after in 0.. {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_rows_and_their_sets_is_mended() {
    let Some(bench) = bench().await else { return };
    let email = |value: &str, updated| live(1, "EMAIL", value, updated, updated + 1);
    let mut expected = None;
    for after in 0.. {
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
    let Some(bench) = bench().await else { return };
    merge(&bench, &[numbered("a", &[(1, 10, 1)])]).await;
    for (n, statement) in ["MERGE", "INSERT INTO \"warehouse"].iter().enumerate() {
        bench.call("conflict", json!({"containing": statement, "times": 2}));
        let merged = merge(&bench, &[numbered(&format!("b{n}"), &[(1, 20 + n as i64, 2)])]).await;
        assert_eq!((merged.files, merged.updated), (1, 1), "{statement}");
    }
    bench.close();
}

/// Checks another load that writes a newer version between our comparison and our write.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_comes_late_replaces_nothing_newer() {
    let Some(bench) = bench().await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_comes_late_deletes_nothing_newer() {
    let Some(bench) = bench().await else { return };
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

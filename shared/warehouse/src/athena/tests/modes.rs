//! The same of a table that is kept without its deleted rows and with its past.

use std::time::{Duration, Instant};

use serde_json::json;
use staging::ColumnType;

use super::bench;
use super::faults::is_mended_as;
use crate::conformance::{Bench, Cell, contact, contacts, merge, merge_as, modes, read};
use crate::mode::{deleted_table, history_table};
use crate::twin::{TwinBench, crash_stride};
use crate::{Maintained, TableMode};

/// After whichever statement it ends; see [`crash_stride`].
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_mode_changes_is_mended() {
    let Some(bench) = bench().await else { return };
    for after in (0..).step_by(crash_stride()) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_deleted_rows_come_back_is_mended() {
    let Some(bench) = bench().await else { return };
    let mode = TableMode { hard_delete: false, ..modes::BOTH };
    for after in (0..).step_by(crash_stride()) {
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
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_all_tables_are_made_is_mended() {
    let Some(bench) = bench().await else { return };
    for after in (0..).step_by(crash_stride()) {
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

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_commits_that_come_late_change_nothing() {
    let Some(bench) = bench().await else { return };
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
                // The words are looked for in JSON.
                "lose" => bench.twin.call("lose", &json!({"containing": words.replace('"', "\\\"")})),
                _ => bench.call("conflict", json!({"containing": words, "times": 2})),
            };
            merge_as(&bench, &modes::kept_otherwise(&collection), modes::BOTH).await;
            modes::assert_kept_otherwise(&bench, &collection, &format!("{fault}: {words}")).await;
        }
    }
    assert_eq!(bench.call("faults", json!({}))["left"], 0);
    bench.close();
}

async fn otherwise(bench: &TwinBench) {
    merge(bench, &[modes::kept("contacts")]).await;
    merge_as(bench, &modes::kept_otherwise("contacts"), modes::BOTH).await;
}

/// Another load takes a deleted row out of the table while this one compares an older version with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_does_not_come_back_between_two_loads() {
    let Some(bench) = bench().await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_twice_does_no_harm() {
    let Some(bench) = bench().await else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_takes_the_tables_beside() {
    let Some(bench) = bench().await else { return };
    otherwise(&bench).await;
    let until = Instant::now() + Duration::from_secs(600);
    let maintained = bench.warehouse().await.maintain(until).await.unwrap();
    assert_eq!(maintained, Maintained { tables: 5, tables_left: 0 });
    bench.close();
}

/// The end of a run of equal reads is a time only, until something else comes in between or behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_no_end_of_a_run() {
    let Some(bench) = bench().await else { return };
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

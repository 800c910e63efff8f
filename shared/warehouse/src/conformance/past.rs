//! A history grows with changes: reads that show nothing new write nothing into it.

use staging::{ColumnType, READ_AT};

use super::modes::{BOTH, COLUMNS, HISTORY, alive, dead, past};
use super::{Bench, Cell, File, contact, contacts, merge_as, read};
use crate::mode::history_table;

const NAME: &[(&str, ColumnType)] = &[("name", ColumnType::Text)];

/// Returns a file with one read of one record.
fn file(collection: &str, key: &str, (updated, read, name): (Option<i64>, i64, &str)) -> File {
    let rows = vec![contact(1, updated, read, &[Cell::text(name)])];
    contacts(&format!("{collection}_{key}"), NAME, rows).of_collection(collection)
}

/// Returns what is written to the history while files are merged, one by one; `None` if the bench can't count.
async fn written(bench: &dyn Bench, collection: &str, files: &[File]) -> Option<u64> {
    let history = history_table(collection);
    let before = bench.written(&history).await?;
    for file in files {
        merge_as(bench, std::slice::from_ref(file), HISTORY).await;
    }
    Some(bench.written(&history).await? - before)
}

fn version(from: i64, to: Option<i64>, name: &str) -> (i64, Option<i64>, Cell) {
    (from, to, Cell::text(name))
}

/// Checks a record that is changed ten times, and read again before the next change, as runs that overlap do.
pub(super) async fn a_change_is_two_writes(bench: &dyn Bench) {
    let collection = "past_of_changes";
    let change = |n: i64| (Some(100 * n), 100 * n + 10, format!("state {n}"));
    let first = change(0);
    merge_as(bench, &[file(collection, "first", (first.0, first.1, &first.2))], HISTORY).await;
    for n in 1..=10 {
        let (updated, read, name) = change(n);
        let new = file(collection, &format!("{n}"), (updated, read, &name));
        let again = file(collection, &format!("{n}_again"), (updated, read + 5, &name));
        if let Some(rows) = written(bench, collection, &[new, again]).await {
            assert!(rows <= 2, "{rows} rows are written for a change");
        }
    }
    let versions = past(bench, &history_table(collection), 1).await;
    let expected =
        (0..=10).map(|n| version(100 * n, (n < 10).then_some(100 * n + 100), &format!("state {n}")));
    assert_eq!(versions, expected.collect::<Vec<_>>());
    // Each but the present one knows when it was read last.
    let mut last = read(bench, &history_table(collection), &[READ_AT, "_last_read_at"]).await;
    assert_eq!(last.pop(), Some(vec![Cell::Timestamp(1010), Cell::Null]));
    assert_eq!(last.last(), Some(&vec![Cell::Timestamp(910), Cell::Timestamp(915)]));
}

/// Checks backfills: each reads all rows anew, in another run.
pub(super) async fn backfills_of_unchanged_rows_write_nothing(bench: &dyn Bench) {
    let collection = "past_of_backfills";
    let backfill = |n: i64| {
        let row = |id: i64| {
            let updated = (id % 5 > 0).then_some(id);
            contact(id, updated, 1_000 * n + id, &[Cell::text(format!("name {id}"))])
        };
        let halves = [(1..20), (20..40)].map(|ids| ids.map(row).collect::<Vec<_>>());
        let file = |(half, rows)| {
            let key = format!("{collection}_{n}_{half}");
            contacts(&key, NAME, rows).of_collection(collection).of_run(&format!("run-{n}"))
        };
        halves.into_iter().enumerate().map(file).collect::<Vec<File>>()
    };
    assert!(written(bench, collection, &backfill(1)).await.is_none_or(|rows| rows == 39));
    let before = bench.rows(&history_table(collection)).await;
    for n in 2..=4 {
        assert!(written(bench, collection, &backfill(n)).await.is_none_or(|rows| rows == 0), "backfill {n}");
    }
    // Nor do files that are merged again, under other names and in one merge.
    let again: Vec<File> = (1..=4)
        .flat_map(&backfill)
        .map(|file| {
            let key = format!("{}_again", file.key);
            file.named(&key)
        })
        .collect();
    merge_as(bench, &again, HISTORY).await;
    let mut after = bench.rows(&history_table(collection)).await;
    let (mut before, key) = (before, |row: &super::Row| format!("{row:?}"));
    before.sort_by_key(key);
    after.sort_by_key(key);
    assert_eq!(after, before);
    assert_eq!(after.len(), 39);
}

/// Checks a read that arrives when a newer one of the same time in HubSpot was merged and not stored.
pub(super) async fn what_comes_late_divides_a_state(bench: &dyn Bench) {
    let reads = [(Some(10), 15, "A"), (Some(10), 35, "A"), (Some(50), 55, "D"), (Some(10), 25, "B")];
    let held = [version(10, Some(25), "A"), version(25, Some(35), "B"), version(35, Some(50), "A")];
    for (n, order) in [[0, 1, 3, 2], [0, 1, 2, 3], [3, 1, 0, 2], [2, 1, 3, 0]].into_iter().enumerate() {
        let collection = format!("past_late_{n}");
        for read in order {
            merge_as(bench, &[file(&collection, &format!("{read}"), reads[read])], HISTORY).await;
        }
        let versions = past(bench, &history_table(&collection), 1).await;
        assert_eq!(versions, [held.as_slice(), &[version(50, None, "D")]].concat(), "{order:?}");
    }
    // A version with the values of the one before it holds for no time, and is read again all the same.
    let collection = "past_touched";
    for (updated, read, name) in [(10, 15, "A"), (20, 25, "A"), (20, 45, "A"), (20, 35, "B")] {
        let key = format!("{read}");
        merge_as(bench, &[file(collection, &key, (Some(updated), read, name))], HISTORY).await;
    }
    let expected = [version(10, Some(35), "A"), version(35, Some(45), "B"), version(45, None, "A")];
    assert_eq!(past(bench, &history_table(collection), 1).await, expected);
    // Where HubSpot has no time at all, reads are all there is.
    let collection = "past_without_times";
    for (read, name) in [(15, "A"), (45, "A"), (55, "C"), (65, "C"), (25, "B")] {
        let key = format!("{read}");
        merge_as(bench, &[file(collection, &key, (None, read, name))], HISTORY).await;
    }
    let expected = [
        version(15, Some(25), "A"),
        version(25, Some(45), "B"),
        version(45, Some(55), "A"),
        version(55, None, "C"),
    ];
    assert_eq!(past(bench, &history_table(collection), 1).await, expected);
}

/// Checks a history that an older program wrote: it has a row for each read, and no column for the last one.
pub(super) async fn older_histories_go_on(bench: &dyn Bench) {
    let (collection, history) = ("past_of_old", history_table("past_of_old"));
    for read in [(Some(10), 15, "A"), (Some(20), 25, "B")] {
        merge_as(bench, &[file(collection, &format!("{}", read.1), read)], HISTORY).await;
    }
    bench.drop_column(&history, &crate::quote_identifier(&bench.column("_last_read_at"))).await;
    for read in [(Some(20), 35, "B"), (Some(20), 45, "C"), (Some(20), 55, "C"), (Some(60), 65, "D")] {
        merge_as(bench, &[file(collection, &format!("{}", read.1), read)], HISTORY).await;
    }
    let expected = [
        version(10, Some(20), "A"),
        version(20, Some(45), "B"),
        version(45, Some(60), "C"),
        version(60, None, "D"),
    ];
    assert_eq!(past(bench, &history, 1).await, expected);
}

/// Checks deleted records that are shown as deleted once more, or of whom an older file comes late.
pub(super) async fn what_is_deleted_writes_no_past(bench: &dyn Bench) {
    let collection = "past_of_deleted";
    let merged = async |key: &str, rows: Vec<Vec<Cell>>| {
        let file = contacts(&format!("{collection}_{key}"), COLUMNS, rows).of_collection(collection);
        merge_as(bench, &[file], BOTH).await;
    };
    merged("a", vec![alive(1, 10, 11, "first"), alive(2, 10, 11, "another")]).await;
    merged("b", vec![dead(1, 20, 21)]).await;
    let history = history_table(collection);
    let before = bench.written(&history).await;
    merged("c", vec![dead(1, 20, 31)]).await;
    merged("d", vec![dead(1, 30, 41), alive(1, 15, 16, "late")]).await;
    assert_eq!(bench.written(&history).await, before, "writes of the history");
    assert!(past(bench, &history, 1).await.is_empty());
    merged("e", vec![dead(1, 30, 51), alive(1, 40, 52, "restored")]).await;
    assert_eq!(past(bench, &history, 1).await, [version(40, None, "restored")]);
    assert_eq!(past(bench, &history, 2).await, [version(10, None, "another")]);
}

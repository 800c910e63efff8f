//! Random rows in random files, which arrive in random order and batches, some of them twice. Each warehouse has its
//! own property tests, which call these.

use proptest::prelude::*;
use proptest::sample::Index;
use staging::ColumnType;

use super::{Bench, Cell, File, assert_table_is_newest, contact, contacts, merge, read};

const COLUMNS: [&str; 5] = ["id", "_source_updated_at", "_read_at", "_run_id", "name"];

/// `id`, source time, time of the read, and the row's value.
pub(crate) type Version = (i64, Option<i64>, i64, Option<u8>);

pub(crate) fn versions() -> impl Strategy<Value = Vec<Version>> {
    let version = (0..6_i64, prop::option::of(0..4_i64), 0..4_i64, prop::option::of(0..3_u8));
    prop::collection::vec(version, 1..40)
}

/// Makes the files; `places` gives the file of each row.
fn files(versions: &[Version], places: &[Index]) -> Vec<File> {
    let mut rows = vec![Vec::new(); 5];
    for (&(id, updated, read, name), place) in versions.iter().zip(places) {
        let name = name.map_or(Cell::Null, |name| Cell::text(format!("name {name}")));
        rows[place.index(5)].push(contact(id, updated, read, &[name]));
    }
    let file = |(n, rows)| contacts(&format!("file-{n}"), &[("name", ColumnType::Text)], rows);
    rows.into_iter().enumerate().map(file).collect()
}

/// Merges the files in batches: each number chooses the next file, and every third one ends a batch.
pub(super) async fn arrive(bench: &dyn Bench, files: &[File], order: &[Index]) {
    let mut rest: Vec<&File> = files.iter().collect();
    let mut batch: Vec<File> = Vec::new();
    for (n, next) in order.iter().enumerate() {
        let again = &files[next.index(files.len())];
        let file = if rest.is_empty() { again } else { rest.swap_remove(next.index(rest.len())) };
        if batch.iter().all(|other| other.key != file.key) {
            batch.push(file.clone());
        }
        if n % 3 == 2 {
            merge(bench, &std::mem::take(&mut batch)).await;
        }
    }
    batch.extend(rest.into_iter().cloned());
    merge(bench, &batch).await;
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Draws the file that each row is in, and the order in which files arrive.
pub(crate) fn arrivals() -> impl Strategy<Value = (Vec<Index>, Vec<Index>)> {
    (prop::collection::vec(any::<Index>(), 40), prop::collection::vec(any::<Index>(), 12))
}

/// Checks that the newest version wins. Rows of one version are equal here; [`table_of`] has those that differ.
pub(crate) async fn assert_newest_wins(
    bench: &dyn Bench,
    mut versions: Vec<Version>,
    arrival: &(Vec<Index>, Vec<Index>),
) {
    for (id, updated, read, name) in &mut versions {
        *name = Some((*id + updated.unwrap_or(7) + *read) as u8 % 3);
    }
    let files = files(&versions, &arrival.0);
    arrive(bench, &files, &arrival.1).await;
    assert_table_is_newest(bench, &files).await;
}

/// Returns the table after the files have arrived, which must be the same for every order.
pub(crate) async fn table_of(
    bench: &dyn Bench,
    versions: &[Version],
    arrival: &(Vec<Index>, Vec<Index>),
) -> Vec<Vec<Cell>> {
    arrive(bench, &files(versions, &arrival.0), &arrival.1).await;
    read(bench, "contacts", &COLUMNS).await
}

//! Random rows, cut into files at random, which arrive in random order and batches, some of them again.

use proptest::prelude::*;
use staging::ColumnType;

use super::DuckDbBench;
use crate::conformance::{Bench, Cell, File, assert_table_is_newest, contact, contacts, merge, read};

const COLUMNS: [&str; 5] = ["id", "_source_updated_at", "_read_at", "_run_id", "name"];

/// `id`, source time, time of the read, and what the row says.
type Version = (i64, Option<i64>, i64, Option<u8>);

fn versions() -> impl Strategy<Value = Vec<Version>> {
    let version = (0..6_i64, prop::option::of(0..4_i64), 0..4_i64, prop::option::of(0..3_u8));
    prop::collection::vec(version, 1..40)
}

/// For each row the file it is in.
fn files(versions: &[Version], places: &[prop::sample::Index]) -> Vec<File> {
    let mut rows = vec![Vec::new(); 5];
    for (&(id, updated, read, name), place) in versions.iter().zip(places) {
        let name = name.map_or(Cell::Null, |name| Cell::text(format!("name {name}")));
        rows[place.index(5)].push(contact(id, updated, read, &[name]));
    }
    let file = |(n, rows)| contacts(&format!("file-{n}"), &[("name", ColumnType::Text)], rows);
    rows.into_iter().enumerate().map(file).collect()
}

/// Merges the files in batches: each number says which file comes next, and every third one ends a batch.
pub(super) async fn arrive(bench: &dyn Bench, files: &[File], order: &[prop::sample::Index]) {
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

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_the_newest_version_of_every_row(
        mut versions in versions(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        // Rows of one version say the same here; the next property has those that don't.
        for (id, updated, read, name) in &mut versions {
            *name = Some((*id + updated.unwrap_or(7) + *read) as u8 % 3);
        }
        let files = files(&versions, &places);
        block_on(async {
            let bench = DuckDbBench::new();
            arrive(&bench, &files, &order).await;
            assert_table_is_newest(&bench, &files).await;
        });
    }

    #[test]
    fn the_table_does_not_depend_on_files_or_order(
        versions in versions(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 80),
        order in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let tables = block_on(async {
            let mut tables = Vec::new();
            for (places, order) in [(&places[..40], &order[..10]), (&places[40..], &order[10..])] {
                let bench = DuckDbBench::new();
                arrive(&bench, &files(&versions, places), order).await;
                tables.push(read(&bench, "contacts", &COLUMNS).await);
            }
            tables
        });
        prop_assert_eq!(&tables[0], &tables[1]);
    }
}

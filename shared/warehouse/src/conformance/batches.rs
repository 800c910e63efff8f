//! Batches, the ledger, and two concurrent merges.

use staging::{ColumnType, StagedFile};

use super::turns::tried;
use super::{Bench, Cell, File, assert_table_is_newest, contact, contacts, merge, read, stage};
use crate::{Ledger, Merged, quote_identifier};

const NAME: &[(&str, ColumnType)] = &[("name", ColumnType::Text)];

fn named(id: i64, updated: i64, name: &str) -> Vec<Cell> {
    contact(id, updated, updated + 1, &[Cell::text(name)])
}

pub(super) async fn no_files(bench: &dyn Bench) {
    assert_eq!(merge(bench, &[]).await, Merged::default());
    assert_eq!(bench.warehouse().await.account().await.expect("account"), None);
}

pub(super) async fn empty_file(bench: &dyn Bench) {
    let merged = merge(bench, &[contacts("empty", NAME, vec![])]).await;
    assert_eq!((merged.files, merged.staged_rows, merged.merged_rows), (1, 0, 0));
    assert!(bench.rows("contacts").await.is_empty());
    let loaded = bench.warehouse().await.loaded("contacts").await.expect("loaded");
    assert_eq!(loaded.into_iter().collect::<Vec<_>>(), ["empty"]);
    let merged =
        merge(bench, &[contacts("a", NAME, vec![named(1, 1, "Ada")]), contacts("none", NAME, vec![])]).await;
    assert_eq!((merged.files, merged.merged_rows), (2, 1));
}

pub(super) async fn looking_changes_nothing(bench: &dyn Bench) {
    let warehouse = bench.warehouse().await;
    assert_eq!(warehouse.account().await.expect("account"), None);
    assert!(warehouse.loaded("contacts").await.expect("loaded").is_empty());
    drop(warehouse);
    for table in ["_account", "_loaded_files", "contacts"] {
        assert!(!bench.has_table(table).await, "{table}");
    }
    merge(bench, &[contacts("a", NAME, vec![])]).await;
    let warehouse = bench.warehouse().await;
    assert_eq!(warehouse.account().await.expect("account"), Some(42));
    assert!(warehouse.loaded("companies").await.expect("loaded").is_empty());
    assert!(!bench.has_table("companies").await);
}

pub(super) async fn counts_and_ledger(bench: &dyn Bench) {
    let files = [
        contacts("a", NAME, vec![named(1, 10, "Ada"), named(2, 10, "Bo"), named(3, 10, "Cy")]),
        contacts("b", NAME, vec![named(1, 12, "Ada L."), named(2, 9, "old")]).of_run("run-2"),
    ];
    let merged = merge(bench, &files).await;
    assert_eq!((merged.inserted, merged.updated, merged.merged_rows, merged.staged_rows), (3, 0, 3, 5));
    let merged = merge(bench, &[contacts("c", NAME, vec![named(3, 13, "Cyd"), named(4, 13, "Di")])]).await;
    assert_eq!((merged.inserted, merged.updated, merged.merged_rows, merged.staged_rows), (1, 1, 2, 2));
    assert!(merged.statements_that_write > 0);

    let ledger =
        async |keys: &[&str]| bench.warehouse().await.ledger("contacts", keys).await.expect("ledger");
    let found = ledger(&["b", "x"]).await;
    assert_eq!((found.files, found.held.into_iter().collect::<Vec<_>>()), (3, vec!["b".to_owned()]));
    assert_eq!(ledger(&[]).await, Ledger { files: 3, ..Ledger::default() });
    let many: Vec<String> =
        (0..300).map(|n| format!("x{n}")).chain(["c".to_owned(), "a".to_owned()]).collect();
    let found = ledger(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((found.files, found.held.len()), (3, 2));
    let of_others = bench.warehouse().await.ledger("companies", &["a"]).await.expect("ledger");
    assert_eq!(of_others, Ledger::default());

    let row = |key: &str, run: &str, rows, merged| {
        vec![
            Cell::text("contacts"),
            Cell::text(key),
            Cell::text(run),
            Cell::BigInt(rows),
            Cell::BigInt(merged),
        ]
    };
    assert_eq!(
        read(bench, "_loaded_files", &["collection", "file_key", "run_id", "rows", "merged_rows"]).await,
        [row("a", "run-1", 3, 2), row("b", "run-2", 2, 1), row("c", "run-1", 2, 2)]
    );
    assert!(
        bench
            .rows("_loaded_files")
            .await
            .iter()
            .all(|row| matches!(row[&bench.column("loaded_at")], Cell::Timestamp(_)))
    );
}

/// Checks a table of which somebody deleted a row, dropped a column and changed a value. A value newer than the staged
/// version stays.
pub(super) async fn what_is_forgotten_is_merged_anew(bench: &dyn Bench) {
    let columns: &[(&str, ColumnType)] = &[("city", ColumnType::Text), ("name", ColumnType::Text)];
    let row = |id: i64, updated: i64, city: &str, name: &str| {
        contact(id, updated, updated + 1, &[Cell::text(city), Cell::text(name)])
    };
    let files = [
        contacts(
            "a",
            columns,
            vec![row(1, 10, "Paris", "Ada"), row(2, 10, "Rome", "Bo"), row(3, 10, "Oslo", "Cy")],
        ),
        contacts("b", columns, vec![row(1, 20, "Bern", "Ada L.")]).of_run("run-2"),
    ];
    merge(bench, &files).await;
    let before = read(bench, "contacts", &["id", "city", "name", "_run_id"]).await;
    let held = bench.warehouse().await.extent("contacts").await.expect("extent").expect("a table");
    assert_eq!(held.rows, 3);
    let [id, city, name] = ["id", "city", "name"].map(|name| quote_identifier(&bench.column(name)));
    let table = bench.quoted("contacts");
    bench.execute(&format!("DELETE FROM {table} WHERE {id} = 2")).await;
    bench.execute(&format!("UPDATE {table} SET {name} = 'by hand' WHERE {id} = 3")).await;
    bench.drop_column("contacts", &city).await;
    let left = bench.warehouse().await.extent("contacts").await.expect("extent").expect("a table");
    let lost: Vec<&String> = held.columns.iter().filter(|name| !left.columns.contains(name)).collect();
    assert_eq!((left.rows, lost), (2, vec![&bench.column("city")]));
    assert_eq!(merge(bench, &files).await, Merged::default());

    bench.warehouse().await.forget("contacts").await.expect("forget");
    assert!(bench.warehouse().await.loaded("contacts").await.expect("loaded").is_empty());
    // In parts, and the older part last.
    merge(bench, &files[1..]).await;
    merge(bench, &files[..1]).await;
    assert_eq!(read(bench, "contacts", &["id", "city", "name", "_run_id"]).await, before);
    assert_eq!(merge(bench, &files).await, Merged::default());
    assert_eq!(bench.rows("_loaded_files").await.len(), 2);
    // Of a table that is not there nothing is known.
    bench.warehouse().await.forget("companies").await.expect("forget");
    assert_eq!(bench.warehouse().await.extent("companies").await.expect("extent"), None);
}

/// Checks that one file takes the place of others in the ledger, and only where the table holds all of those.
pub(super) async fn one_file_replaces_others_in_the_ledger(bench: &dyn Bench) {
    let named_file = |n: i64| contacts(&format!("f{n:03}"), NAME, vec![named(n, 10, "Ada")]);
    let files: Vec<File> = (0..5).map(named_file).collect();
    merge(bench, &files).await;
    let before = read(bench, "contacts", &["id", "name", "_run_id"]).await;
    let staged: Vec<String> = stage(bench, &files).into_iter().map(|file| file.key).collect();
    let keys: Vec<&str> = staged.iter().map(String::as_str).collect();
    let one = contacts("one", NAME, (0..4).map(|n| named(n, 10, "Ada")).collect()).of_run("run-7");
    let located = stage(bench, std::slice::from_ref(&one)).remove(0);
    let new = StagedFile {
        key: located.key.clone(),
        collection: "contacts".to_owned(),
        run_id: "run-7".to_owned(),
        rows: 4,
        bytes: 1,
        staged_at: chrono::Utc::now(),
        snapshot: None,
        oldest_staged_at: None,
        is_expired: false,
    };
    let warehouse = bench.warehouse().await;
    for (collection, old) in
        [("contacts", [keys[0], "nothing"]), ("companies", [keys[0], keys[1]]), ("contacts", ["it's", "x"])]
    {
        assert!(!warehouse.replace_in_ledger(collection, &old, Some(&new)).await.expect("replace"));
    }
    assert_eq!(bench.rows("_loaded_files").await.len(), 5);
    assert!(warehouse.replace_in_ledger("contacts", &keys[..4], Some(&new)).await.expect("replace"));
    assert!(!warehouse.replace_in_ledger("contacts", &keys[..4], Some(&new)).await.expect("replace"));
    let loaded = warehouse.loaded("contacts").await.expect("loaded");
    assert_eq!(loaded, [keys[4].to_owned(), located.key.clone()].into());
    assert_eq!(warehouse.merge(&[located]).await.expect("merge"), Merged::default());
    assert_eq!(merge(bench, &files[4..]).await, Merged::default());
    assert_eq!(read(bench, "contacts", &["id", "name", "_run_id"]).await, before);
    assert!(warehouse.replace_in_ledger("contacts", &keys[4..], None).await.expect("replace"));
    assert_eq!(bench.rows("_loaded_files").await.len(), 1);
}

/// Checks that a dropped table's files are merged again, though they are in the ledger.
pub(super) async fn dropped_table_is_loaded_again(bench: &dyn Bench) {
    let files =
        [contacts("a", NAME, vec![named(1, 10, "Ada")]), contacts("b", NAME, vec![named(2, 10, "Bo")])];
    merge(bench, &files).await;
    bench.execute(&format!("DROP TABLE {}", bench.quoted("contacts"))).await;
    assert!(bench.warehouse().await.loaded("contacts").await.expect("loaded").is_empty());
    assert_eq!(merge(bench, &files[..1]).await.inserted, 1);
    assert_eq!(merge(bench, &files).await.inserted, 1);
    assert_eq!(bench.rows("_loaded_files").await.len(), 2);
}

pub(super) async fn same_files_at_once(bench: &dyn Bench) {
    let files: Vec<File> =
        (0..4).map(|n| contacts(&format!("f{n}"), NAME, vec![named(1, n, "x"), named(n, 9, "y")])).collect();
    let staged = stage(bench, &files);
    let (one, two) = (bench.warehouse().await, bench.warehouse().await);
    let (first, second) = tokio::join!(one.merge(&staged), two.merge(&staged));
    let merged = [first, second].map(|outcome| outcome.expect("merges take turns"));
    assert_eq!(merged.iter().map(|merged| merged.files).sum::<u64>(), 4);
    assert_table_is_newest(bench, &files).await;
}

pub(super) async fn different_files_at_once(bench: &dyn Bench) {
    let file = |n: i64| {
        let rows = (0..50).map(|id| named(id, (id * 7 + n * 13) % 17, &format!("{id} of {n}")));
        contacts(&format!("f{n}"), NAME, rows.collect())
    };
    let files: Vec<File> = (0..8).map(file).collect();
    let (odd, even): (Vec<_>, Vec<_>) =
        stage(bench, &files).into_iter().enumerate().partition(|(n, _)| n % 2 == 1);
    let merge_all = |files: Vec<(usize, crate::LocatedFile)>| async move {
        let warehouse = bench.warehouse().await;
        for (_, file) in files {
            warehouse.merge(&[file]).await.expect("merges take turns");
        }
    };
    tokio::join!(merge_all(odd), merge_all(even));
    assert_table_is_newest(bench, &files).await;
}

/// Checks twenty orders of the same 200 files, some of which come twice: the table is the same each time.
pub(super) async fn files_in_any_order(bench: &dyn Bench) {
    let file = |n: i64| {
        let version = |row: i64| ((n * 7 + row * 3) % 11, (n * 5 + row) % 4);
        let row = |row: i64| {
            let ((updated, read), id) = (version(row), (n * 3 + row) % 40);
            contact(id, updated, read, &[Cell::text(format!("{id} of {n}"))])
        };
        contacts(&format!("f{n}"), NAME, (0..5).map(row).collect())
    };
    let files = stage(bench, &(0..200).map(file).collect::<Vec<_>>());
    let mut first = None;
    for (_, seed) in tried(bench, (0..20).collect()) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut arriving: Vec<_> = files.iter().collect();
        dice.shuffle(&mut arriving);
        let warehouse = bench.warehouse().await;
        let collection = format!("order_{seed}");
        for batch in arriving.chunks(20) {
            let again = arriving[dice.usize(..arriving.len())];
            let again = (!batch.contains(&again)).then_some(again);
            let batch = batch.iter().copied().chain(again).cloned().map(|mut file: crate::LocatedFile| {
                file.description.table.collection.clone_from(&collection);
                file
            });
            warehouse.merge(&batch.collect::<Vec<_>>()).await.expect("merge");
        }
        let table = read(bench, &collection, &["id", "_source_updated_at", "_read_at", "name"]).await;
        assert_eq!(*first.get_or_insert_with(|| table.clone()), table, "seed {seed}");
    }
}

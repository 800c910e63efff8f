//! Files that a merge refuses, without a change to the warehouse.

use staging::{Column, ColumnType, Table};

use super::{Bench, Cell, File, contact, contacts, merge, stage};
use crate::{Kind, LocatedFile};

fn one_contact(key: &str) -> File {
    contacts(key, &[("name", ColumnType::Text)], vec![contact(1, 10, 11, &[Cell::text("Ada")])])
}

/// Checks that the merge fails with `kind` and a message that contains `words`, and changes nothing.
async fn assert_refused(bench: &dyn Bench, files: &[LocatedFile], kind: Kind, words: &str) {
    let tables = ["contacts", "_loaded_files", "_account"];
    let before = snapshot(bench, &tables).await;
    let error = bench.warehouse().await.merge(files).await.expect_err("refused");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{error:?}");
    assert_eq!(snapshot(bench, &tables).await, before);
}

async fn snapshot(bench: &dyn Bench, tables: &[&str]) -> Vec<Option<Vec<super::Row>>> {
    let mut all = Vec::new();
    for table in tables {
        all.push(if bench.has_table(table).await { Some(bench.rows(table).await) } else { None });
    }
    all
}

pub(super) async fn wrong_row_count(bench: &dyn Bench) {
    for has_table in [false, true] {
        if has_table {
            merge(bench, &[one_contact("first")]).await;
        }
        let mut files = stage(bench, &[one_contact("a"), one_contact("b")]);
        files[1].description.rows = 2;
        assert_refused(bench, &files, Kind::RowCount, "staged file b holds 1 rows").await;
    }
}

pub(super) async fn another_account(bench: &dyn Bench) {
    let other = File { account_id: 43, ..one_contact("other") };
    let mixed = stage(bench, &[one_contact("a"), other.clone()]);
    assert_refused(bench, &mixed, Kind::BadFile, "is of account 43").await;
    merge(bench, &[one_contact("a")]).await;
    assert_refused(
        bench,
        &stage(bench, std::slice::from_ref(&other)),
        Kind::OtherAccount,
        "bound to account 42",
    )
    .await;
    let companies = other.of_collection("companies");
    assert_refused(bench, &stage(bench, &[companies]), Kind::OtherAccount, "bound to account 42").await;
    assert!(!bench.has_table("companies").await);
}

pub(super) async fn another_collection(bench: &dyn Bench) {
    let files = stage(bench, &[one_contact("a"), one_contact("b").of_collection("companies")]);
    assert_refused(bench, &files, Kind::BadFile, "is of companies").await;
}

pub(super) async fn two_primary_keys(bench: &dyn Bench) {
    let mut other = one_contact("b");
    other.table = Table::new("contacts", &["name"], other.table.columns).expect("table");
    assert_refused(
        bench,
        &stage(bench, &[one_contact("a"), other]),
        Kind::BadFile,
        "has the primary key (name)",
    )
    .await;
}

pub(super) async fn no_primary_key_value(bench: &dyn Bench) {
    merge(bench, &[one_contact("a")]).await;
    for position in [0, 2] {
        let mut file = one_contact("b");
        file.rows[0][position] = Cell::Null;
        assert_refused(bench, &stage(bench, &[file]), Kind::BadFile, "is NULL").await;
    }
}

pub(super) async fn wrong_description(bench: &dyn Bench) {
    let mut renamed = stage(bench, &[one_contact("a")]);
    renamed[0].description.table.columns[4].name = "surname".to_owned();
    assert_refused(bench, &renamed, Kind::BadFile, "lacks the column \"surname\"").await;

    let mut retyped = stage(bench, &[one_contact("b")]);
    retyped[0].description.table.columns[4].column_type = ColumnType::Date;
    assert_refused(bench, &retyped, Kind::BadFile, "column \"name\"").await;

    let mut no_version = stage(bench, &[one_contact("c")]);
    no_version[0].description.table.columns[2] = Column::new("read", ColumnType::Timestamp);
    assert_refused(bench, &no_version, Kind::BadFile, "_read_at").await;
}

pub(super) async fn no_staged_file(bench: &dyn Bench) {
    let missing = stage(bench, &[one_contact("a")]);
    let path = bench.folder().join("a.parquet");
    std::fs::remove_file(&path).expect("remove");
    assert_refused(bench, &missing, Kind::BadFile, "staged file a").await;
    std::fs::write(&path, b"junk").expect("junk");
    assert_refused(bench, &missing, Kind::BadFile, "staged file a").await;
}

pub(super) async fn bookkeeping_names(bench: &dyn Bench) {
    for name in ["_account", "_loaded_files", "_LOADED_files"] {
        let files = stage(bench, &[one_contact("a").of_collection(name)]);
        assert_refused(bench, &files, Kind::Unsupported, "bookkeeping").await;
    }
}

pub(super) async fn rows_that_share_a_key(bench: &dyn Bench) {
    merge(bench, &[one_contact("a")]).await;
    bench.double_rows("contacts").await;
    let files = stage(bench, &[one_contact("b")]);
    assert_refused(bench, &files, Kind::RowCount, "share a primary key").await;
    let newer = contacts("c", &[], vec![contact(1, 20, 21, &[])]);
    assert_refused(bench, &stage(bench, &[newer]), Kind::RowCount, "share a primary key").await;
}

/// Checks a second group that fails when the first one is merged, its column added and its ledger row written.
pub(super) async fn failure_half_way_leaves_nothing(bench: &dyn Bench) {
    merge(bench, &[one_contact("a")]).await;
    let columns = [("name", ColumnType::BigInt), ("city", ColumnType::Text)];
    let good = contacts("b", &columns, vec![contact(1, 20, 21, &[Cell::BigInt(1), Cell::text("Ulm")])]);
    let mut files = stage(bench, &[good, one_contact("c").of_run("run-2")]);
    files[1].description.rows = 3;
    assert_refused(bench, &files, Kind::RowCount, "staged file c").await;
}

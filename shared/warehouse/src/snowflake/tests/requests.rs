//! Requests as text, for a table with every kind of column.

use std::sync::atomic::Ordering;

use staging::ColumnType;
use tempfile::TempDir;

use super::super::{Snowflake, connect};
use super::{KEY, STAGE};
use crate::conformance::modes::deletable;
use crate::conformance::torture_file;
use crate::sql_over_http::{Engine, Staging};
use crate::statement::{Purpose, Statement};
use crate::{LocatedFile, Location};

fn engine(files: &str) -> Snowflake {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{files}");
    super::super::engine(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap()
}

fn staged() -> LocatedFile {
    let location =
        Location::S3 { bucket: "bucket".to_owned(), key: "it's/a=b/[1].parquet".to_owned(), bytes: 1 };
    LocatedFile { location, ..torture_file() }
}

#[test]
fn golden_staging() {
    let file = staged();
    let types: Vec<ColumnType> = file.description.table.columns.iter().map(|c| c.column_type).collect();
    let mut texts = Vec::new();
    for files in [STAGE, "storage_integration=reader"] {
        let engine = engine(files);
        let [table, helper] =
            ["merge_1_0_staged", "merge_1_0_helper"].map(|name| engine.scratch("\"hub\"\"spot\"", name));
        let staging = Staging { table: &table, helper: &helper, types: &types, files: &[&file] };
        let columns = [("file_no".to_owned(), ColumnType::BigInt), ("c0".to_owned(), ColumnType::Timestamp)];
        texts.push(engine.create_scratch(&table, &columns));
        texts.extend(engine.stage(&staging).unwrap().into_iter().map(|statement| statement.sql));
    }
    insta::assert_snapshot!(texts.join(";\n"));
}

/// Checks the order in which the statements of a script are sent.
#[test]
fn golden_request() {
    let engine = engine(STAGE);
    engine.is_schema_there.store(false, Ordering::Relaxed);
    let lock = engine.lock("ledger").unwrap();
    let widened = engine.widen("t", "a\"b", "FLOAT", "CAST(\"a\"\"b\" AS FLOAT)");
    let mut script = vec![
        Statement::shape(engine.prepare_schema("s").unwrap()),
        Statement::scratch(lock),
        Statement::new(Purpose::Unchanged, "SELECT unchanged"),
        Statement::shape("ALTER TABLE t ADD COLUMN c VARCHAR"),
    ];
    script.extend(widened.into_iter().map(Statement::shape));
    script.push(Statement::create_scratch("CREATE TRANSIENT TABLE scratch (c0 FLOAT)"));
    script.push(Statement::scratch("INSERT INTO scratch SELECT 1"));
    script.push(Statement::write("MERGE INTO t"));
    script.push(Statement::count("SELECT count"));
    let request = engine.request(&script, "id");
    let line = |(text, position): &(String, Option<usize>)| match position {
        Some(position) => format!("{position}: {text}"),
        None => format!("-: {text}"),
    };
    let lines: Vec<String> = request.texts.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn merge_of_a_torture_table() {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{STAGE}");
    let warehouse = connect(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap();
    // Another spelling, narrower types, and a column that the file lacks.
    let present = [
        ("VID", "NUMBER(38,0)"),
        ("a\"key\"", "NUMBER(10,0)"),
        ("it's", "NUMBER(38,0)"),
        ("FILE_INDEX", "DATE"),
        ("_SOURCE_UPDATED_AT", "TIMESTAMP_TZ(3)"),
        ("_READ_AT", "TIMESTAMP_TZ(3)"),
        ("my \"note\"", "VARCHAR(20)"),
    ];
    let texts = [warehouse.statements(&staged(), None), warehouse.statements(&staged(), Some(&present))];
    insta::assert_snapshot!(texts.join(";\n\n-- \n\n"));
}

#[test]
fn merge_into_a_table_without_deleted_rows_and_with_its_past() {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{STAGE}");
    let warehouse = connect(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap();
    let file = deletable().stage(TempDir::new().unwrap().path());
    let present = [
        ("ID", "NUMBER(38,0)"),
        ("_SOURCE_UPDATED_AT", "TIMESTAMP_TZ(3)"),
        ("_READ_AT", "TIMESTAMP_TZ(3)"),
        ("IS_DELETED", "BOOLEAN"),
    ];
    insta::assert_snapshot!(warehouse.mode_statements(&file, &present));
}

#[test]
fn adoption_of_a_table() {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{STAGE}");
    let warehouse = connect(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap();
    let types =
        ["VARCHAR", "TIMESTAMP_NTZ", "TIMESTAMP_TZ(3)", "NUMBER(38,0)", "FLOAT", "BOOLEAN", "VARIANT"];
    insta::assert_snapshot!(warehouse.adopt_statements(&types));
}

#[test]
fn views_are_kept() {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{STAGE}");
    let warehouse = connect(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap();
    insta::assert_snapshot!(warehouse.view_statements());
}

#[test]
fn a_script_that_writes_nothing_is_no_transaction() {
    let engine = engine(STAGE);
    let script = [Statement::new(Purpose::Read("a".to_owned()), "COPY"), Statement::count("SELECT 1")];
    let request = engine.request(&script, "id");
    assert_eq!(request.texts.len(), 3, "{request:?}");
    assert!(request.release.is_none());
}

#[test]
fn no_secret_is_shown() {
    let warehouse =
        connect(&format!("snowflake://u@a/d?warehouse=w&{STAGE}"), "s", Some(&KEY.to_owned().into()));
    let shown = format!("{:?}", warehouse.unwrap());
    let secret = KEY.lines().nth(1).unwrap();
    assert!(!shown.contains(&secret[..20]) && shown.contains("fingerprint"), "{shown}");
}

#[test]
fn persons_are_forgotten() {
    let url = format!("snowflake://loader@org-acc/d?warehouse=w&{STAGE}");
    let warehouse = connect(&url, "hub\"spot", Some(&KEY.to_owned().into())).unwrap();
    let types = ["NUMBER(38,0)", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"];
    insta::assert_snapshot!(warehouse.erase_statements(&types));
}

//! Statements as text, for a table with every kind of column.

use staging::{Column, ColumnType};
use tempfile::TempDir;

use super::super::dialect::DATABRICKS;
use super::super::{Databricks, connect, views};
use super::super::{api::Api, url};
use crate::conformance::modes::deletable;
use crate::conformance::{contacts, identities, torture_file};
use crate::dialect::in_backticks;
use crate::sql_over_http::{Engine, SqlOverHttp, Staging};
use crate::table::TableColumn;
use crate::{LocatedFile, Location};

const URL: &str = "databricks://id@h.example/main.hubspot?warehouse=1";

fn warehouse() -> SqlOverHttp<Databricks> {
    connect(URL, "elsewhere", Some(&"secret".to_owned().into())).unwrap()
}

fn engine() -> Databricks {
    Databricks { api: Api::new(url::target(URL).unwrap(), Some(&"secret".to_owned().into())).unwrap() }
}

/// Each as it is sent.
fn sent(statements: &str) -> String {
    statements.split(";\n\n").map(in_backticks).collect::<Vec<_>>().join(";\n\n")
}

fn located(file: LocatedFile) -> LocatedFile {
    let location =
        Location::S3 { bucket: "staged".to_owned(), key: "it's/a=b/1.parquet".to_owned(), bytes: 1 };
    LocatedFile { location, ..file }
}

#[test]
fn merge_of_a_torture_table() {
    let warehouse = warehouse();
    let file = located(torture_file());
    // Another spelling, narrower types, and a column that the file lacks.
    let present = [
        ("VID", "BIGINT"),
        ("a\"key\"", "INT"),
        ("it's", "BIGINT"),
        ("file_index", "DATE"),
        ("_source_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("my \"note\"", "STRING"),
    ];
    let sets = located(identities("sets", vec![]).stage(TempDir::new().unwrap().path()));
    let statements = [
        warehouse.statements(&file, None),
        warehouse.statements(&file, Some(&present)),
        warehouse.statements(&sets, None),
    ];
    insta::assert_snapshot!(statements.map(|it| sent(&it)).join(";\n\n-- \n\n"));
}

#[test]
fn merge_into_a_table_without_deleted_rows_and_with_its_past() {
    let file = located(deletable().stage(TempDir::new().unwrap().path()));
    let present = [
        ("id", "BIGINT"),
        ("_source_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("is_deleted", "BOOLEAN"),
    ];
    insta::assert_snapshot!(sent(&warehouse().mode_statements(&file, &present)));
}

#[test]
fn tables_and_files() {
    let engine = engine();
    let table = "\"hubspot\".\"contacts\"";
    let columns = [Column::new("a b", ColumnType::Text), Column::new("c`d", ColumnType::Double)];
    let mut statements = vec![engine.create_schema("\"hubspot\""), engine.create_table(table, &[], &columns)];
    statements.extend(engine.add_columns(table, &columns));
    let converted = DATABRICKS.converted("\"amount\"", ColumnType::Double, ColumnType::Text);
    statements.extend(engine.widen(table, "amount", "STRING", &converted));
    let converted = DATABRICKS.converted("\"day\"", ColumnType::Date, ColumnType::Timestamp);
    statements.extend(engine.widen(table, "day", "TIMESTAMP", &converted));
    let converted = DATABRICKS.converted("\"at\"", ColumnType::Timestamp, ColumnType::Text);
    statements.extend(engine.widen(table, "at", "STRING", &converted));
    statements.push("-- after a crash before the old column was dropped, and after it".to_owned());
    let column = |name: &str| TableColumn { name: name.into(), type_name: "STRING".into() };
    statements.extend(engine.mend(table, &[column("amount"), column("_widened_amount")]));
    statements.extend(engine.mend(table, &[column("_widened_amount")]));
    statements.push("-- views, and two files".to_owned());
    statements.push(views("hubspot", &["contacts", "deals"]));
    let file = contacts("a", &[("it's", ColumnType::Date)], vec![]).stage(TempDir::new().unwrap().path());
    let (one, two) = (located(file.clone()), located(file));
    let staging = Staging { table: "\"hubspot\".\"merge_1\"", helper: "", types: &[], files: &[&one, &two] };
    statements.extend(engine.stage(&staging).unwrap().into_iter().map(|statement| statement.sql));
    statements.push(engine.drop_table(table));
    insta::assert_snapshot!(sent(&statements.join(";\n\n")));
}

#[test]
fn adoption_of_a_table() {
    let types = ["STRING", "TIMESTAMP", "TIMESTAMP_NTZ", "BIGINT", "DOUBLE", "BOOLEAN", "ARRAY<STRING>"];
    insta::assert_snapshot!(sent(&warehouse().adopt_statements(&types)));
}

#[test]
fn views_are_kept() {
    insta::assert_snapshot!(sent(&warehouse().view_statements()));
}

/// Checks the texts of statements over contacts of 1,500 properties, in a table that has them.
#[test]
fn statements_over_1500_properties_have_room() {
    let warehouse = warehouse();
    let names: Vec<String> = (0..1_500).map(|n| format!("{:x<25}", format!("property_{n}_"))).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Double)).collect();
    let deletable = deletable();
    let mut file = contacts("a", &columns, vec![]);
    file.table.columns.extend(deletable.table.columns.iter().filter(|it| it.name == "is_deleted").cloned());
    let file = located(file.stage(TempDir::new().unwrap().path()));
    let mut present = vec![
        ("id", "BIGINT"),
        ("_source_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("_run_id", "STRING"),
        ("is_deleted", "BOOLEAN"),
    ];
    present.extend(names.iter().map(|name| (name.as_str(), "STRING")));
    let all = [warehouse.statements(&file, Some(&present)), warehouse.mode_statements(&file, &present)];
    let longest = all.iter().flat_map(|all| all.split(";\n\n")).map(|sql| sent(sql).len()).max().unwrap();
    eprintln!("{longest} bytes");
    // Some room is left for longer names.
    assert!(longest < super::super::LIMITS.statement_bytes / 4, "{longest}");
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", warehouse());
    assert!(!shown.contains("secret\"") && shown.contains("Principal(id)"), "{shown}");
}

#[tokio::test]
async fn persons_are_forgotten() {
    let types = ["BIGINT", "STRING", "STRING", "STRING", "STRING", "STRING", "STRING"];
    insta::assert_snapshot!(sent(&warehouse().erase_statements(&types)));
}

//! Statements as text, for a table with every kind of column.

use staging::{Column, ColumnType};
use tempfile::TempDir;

use super::super::dialect::{BIGQUERY, FUNCTIONS, spelled};
use super::super::{BigQuery, connect, engine, url};
use super::KEY;
use crate::conformance::modes::deletable;
use crate::conformance::{contacts, identities, torture_file};
use crate::sql_over_http::{Engine, Staging};
use crate::statement::{Purpose, Statement};

const URL: &str = "bigquery://project/hubspot?location=EU";

fn credential() -> secrecy::SecretString {
    let key = serde_json::json!({
        "type": "service_account",
        "client_email": "loader@project.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": KEY,
    });
    key.to_string().into()
}

fn opened() -> BigQuery {
    engine(url::target(URL).unwrap(), "hubspot", Some(&credential())).unwrap()
}

/// Each as it is sent.
fn sent(statements: &str) -> String {
    statements.split(";\n\n").map(spelled).collect::<Vec<_>>().join(";\n\n")
}

#[tokio::test]
async fn merge_of_a_torture_table() {
    let warehouse = connect(URL, "hubspot", Some(&credential())).unwrap();
    let file = torture_file();
    let key = (BIGQUERY.column_name)("a\"key\"");
    // Another spelling, narrower types, and a column that the file lacks.
    let present = [
        ("vid", "INT64"),
        (key.as_str(), "INT64"),
        ("file_index", "DATE"),
        ("_SOURCE_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("my_note", "STRING"),
    ];
    let sets = identities("sets", vec![]).stage(TempDir::new().unwrap().path());
    let statements = [
        warehouse.statements(&file, None),
        warehouse.statements(&file, Some(&present)),
        warehouse.statements(&sets, None),
    ];
    insta::assert_snapshot!(statements.map(|it| sent(&it)).join(";\n\n-- \n\n"));
}

#[tokio::test]
async fn merge_into_a_table_without_deleted_rows_and_with_its_past() {
    let warehouse = connect(URL, "hubspot", Some(&credential())).unwrap();
    let file = deletable().stage(TempDir::new().unwrap().path());
    let present = [
        ("id", "INT64"),
        ("_source_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("_run_id", "STRING"),
        ("is_deleted", "BOOL"),
    ];
    insta::assert_snapshot!(sent(&warehouse.mode_statements(&file, &present)));
}

#[test]
fn functions() {
    insta::assert_snapshot!(FUNCTIONS.map(|(_, function)| function).join(";\n\n"));
}

/// Checks the jobs of a script, one below the other.
#[test]
fn jobs() {
    let engine = opened();
    let columns = [Column::new("c", ColumnType::Text), Column::new("d", ColumnType::Double)];
    let mut script = vec![
        Statement::shape(engine.prepare_schema("s").unwrap()),
        Statement::scratch(engine.lock("ledger").unwrap()),
        Statement::new(Purpose::Unchanged, "SELECT 'unchanged'"),
        Statement::shape(engine.create_table("\"s\".\"u\"", &["d".to_owned(), "c".to_owned()], &columns)),
    ];
    script.extend(engine.add_columns("\"s\".\"t\"", &columns).into_iter().map(Statement::shape));
    let widened = engine.widen("\"s\".\"t\"", "a", "FLOAT64", "CAST(\"a\" AS FLOAT64)");
    script.extend(widened.into_iter().map(Statement::shape));
    script.push(Statement::create_scratch(
        engine.create_scratch("\"s\".\"_merge_1\"", &[("c0".to_owned(), ColumnType::Text)]),
    ));
    script.push(Statement::scratch("INSERT INTO \"s\".\"_merge_1\" SELECT _double(1.5)"));
    script.push(Statement::write("DELETE FROM \"s\".\"t\""));
    script.push(Statement::count("SELECT count(*) FROM \"s\".\"_merge_1\""));
    let jobs = engine.jobs(&script, "an id");
    let mut all = jobs.all;
    all.extend(jobs.release);
    insta::assert_snapshot!(all.join(";\n-- \n").replace(";\n", ";\n\n"));
}

/// Checks a request for two files.
#[test]
fn staging() {
    let engine = opened();
    let folder = TempDir::new().unwrap();
    let columns = [("day", ColumnType::Date), ("name", ColumnType::Text)];
    let files = [contacts("a", &columns, vec![]), contacts("b", &columns, vec![])];
    let files = files.map(|file| file.stage(folder.path()));
    let types: Vec<ColumnType> = files[0].description.table.columns.iter().map(|c| c.column_type).collect();
    let [table, helper] =
        ["merge_1_0_staged", "merge_1_0_helper"].map(|name| engine.scratch("\"hubspot\"", name));
    let staging = Staging { table: &table, helper: &helper, types: &types, files: &[&files[0], &files[1]] };
    let statements = engine.stage(&staging).unwrap();
    insta::assert_snapshot!(statements.iter().map(|it| spelled(&it.sql)).collect::<Vec<_>>().join(";\n\n"));
}

/// Checks the texts of scripts over contacts of 1,500 properties, in a table that has them.
#[tokio::test]
async fn scripts_over_1500_properties_have_room() {
    let warehouse = connect(URL, "hubspot", Some(&credential())).unwrap();
    let names: Vec<String> = (0..1_500).map(|n| format!("{:x<25}", format!("property_{n}_"))).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let deletable = deletable();
    let mut file = contacts("a", &columns, vec![]);
    file.table.columns.extend(deletable.table.columns.iter().filter(|it| it.name == "is_deleted").cloned());
    let file = file.stage(TempDir::new().unwrap().path());
    let mut present = vec![
        ("id", "INT64"),
        ("_source_updated_at", "TIMESTAMP"),
        ("_read_at", "TIMESTAMP"),
        ("_run_id", "STRING"),
        ("is_deleted", "BOOL"),
    ];
    present.extend(names.iter().map(|name| (name.as_str(), "STRING")));
    let plain = sent(&warehouse.statements(&file, Some(&present))).len();
    let modes = sent(&warehouse.mode_statements(&file, &present));
    let longest = modes.split("-- ").map(str::len).max().unwrap();
    eprintln!("{plain} bytes, {longest} with a history and hard deletes");
    // Some room is left for longer names.
    let most = super::super::LIMITS.script_bytes / 5 * 4;
    assert!(plain < most && longest < most, "{plain}, {longest}");
}

#[tokio::test]
async fn persons_are_forgotten() {
    let warehouse = connect(URL, "hubspot", Some(&credential())).unwrap();
    let types = ["INT64", "STRING", "STRING", "STRING", "STRING", "STRING", "STRING"];
    insta::assert_snapshot!(sent(&warehouse.erase_statements(&types)));
}

#[tokio::test]
async fn views_are_kept() {
    let warehouse = connect(URL, "hubspot", Some(&credential())).unwrap();
    insta::assert_snapshot!(sent(&warehouse.view_statements()));
}

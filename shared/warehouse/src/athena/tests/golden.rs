//! Statements as text: what Athena would see.

use staging::{Column, ColumnType};
use tempfile::TempDir;

use super::super::api::Api;
use super::super::dialect::ATHENA;
use super::super::{Athena, url};
use crate::conformance::modes::deletable;
use crate::conformance::{identities, torture_file};
use crate::plan::{TableChange, plan};
use crate::sql_over_http::{Engine, SqlOverHttp, Staging};
use crate::table::TableColumn;
use crate::{LocatedFile, Location};

fn athena() -> Athena {
    let aws = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-central-1"))
        .build();
    let target = url::target("athena://primary/?location=s3://lake/hubspot").unwrap();
    let location = target.location.clone();
    Athena { api: Api::new(&aws, target), s3: aws_sdk_s3::Client::new(&aws), location }
}

/// Folders of tables are others every time.
fn without_ids(sql: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut words: Vec<&str> = sql.split_inclusive(|c| !is_word(c)).collect();
    for word in &mut words {
        let id = word.trim_end_matches(|c| !is_word(c));
        if id.len() == 32 && id.starts_with("01") {
            *word = &word[32..];
        }
    }
    words.concat()
}

#[test]
fn merge_of_a_torture_table() {
    let warehouse = SqlOverHttp::new(athena(), "hubspot");
    let location = Location::S3 { bucket: "staged".into(), key: "it's/a=b/1.parquet".into(), bytes: 1 };
    let file = LocatedFile { location: location.clone(), ..torture_file() };
    let key = (ATHENA.column_name)("a\"key\"");
    // A narrower type, and a column that the file lacks.
    let present = [
        ("vid", "BIGINT"),
        (key.as_str(), "VARCHAR"),
        ("file_index", "DATE"),
        ("_source_updated_at", "TIMESTAMP(6)"),
        ("_read_at", "TIMESTAMP(6)"),
        ("my \"note\"", "VARCHAR"),
    ];
    let sets = LocatedFile { location, ..identities("sets", vec![]).stage(TempDir::new().unwrap().path()) };
    let all = [
        warehouse.statements(&file, None),
        warehouse.statements(&file, Some(&present)),
        warehouse.statements(&sets, None),
    ];
    insta::assert_snapshot!(without_ids(&all.join("\n\n-----\n\n")));
}

#[test]
fn merge_into_a_table_without_deleted_rows_and_with_its_past() {
    let warehouse = SqlOverHttp::new(athena(), "hubspot");
    let file = deletable().stage(TempDir::new().unwrap().path());
    let present = [
        ("id", "BIGINT"),
        ("_source_updated_at", "TIMESTAMP(6)"),
        ("_read_at", "TIMESTAMP(6)"),
        ("is_deleted", "BOOLEAN"),
    ];
    insta::assert_snapshot!(without_ids(&warehouse.mode_statements(&file, &present)));
}

#[test]
fn tables_of_a_torture_file() {
    let athena = athena();
    let file = torture_file();
    let table = "\"hubspot\".\"contacts\"";
    let mut statements = vec![athena.create_schema("\"hubspot\"")];
    let TableChange::Create(columns) = plan(&ATHENA, None, vec![&file]).unwrap().change else {
        panic!("there is no table");
    };
    statements.push(without_ids(&athena.create_table(table, &[], &columns)));
    let added = [Column::new("a", ColumnType::Text), Column::new("b", ColumnType::Timestamp)];
    statements.extend(athena.add_columns(table, &added));
    let converted = ATHENA.converted("\"amount\"", ColumnType::Double, ColumnType::Text);
    statements.extend(athena.widen(table, "amount", "VARCHAR", &converted));
    let column = |name: &str| TableColumn { name: name.into(), type_name: "VARCHAR".into() };
    statements.push("-- after a crash before the old column was dropped, and after it".to_owned());
    statements.extend(athena.mend(table, &[column("amount"), column("_widened_amount")]));
    statements.extend(athena.mend(table, &[column("_widened_amount")]));

    let location = |key: &str| Location::S3 { bucket: "staged".into(), key: key.into(), bytes: 1 };
    let files = ["hubspot/contacts/dt=2026-11-23/a.parquet", "hubspot/contacts/dt=2026-11-23/it's.parquet"]
        .map(|key| LocatedFile { location: location(key), ..file.clone() });
    let types: Vec<ColumnType> =
        file.description.table.columns.iter().map(|column| column.column_type).collect();
    let (staged, helper) =
        (athena.scratch("\"hubspot\"", "merge_0_staged"), athena.scratch("\"hubspot\"", "merge_0_helper"));
    let numbered: Vec<(String, ColumnType)> =
        types.iter().enumerate().map(|(n, column_type)| (format!("c{n}"), *column_type)).collect();
    statements.push(athena.create_scratch(&staged, &numbered));
    let staging =
        Staging { table: &staged, helper: &helper, types: &types, files: &files.iter().collect::<Vec<_>>() };
    statements.extend(athena.stage(&staging).unwrap().into_iter().map(|statement| statement.sql));
    insta::assert_snapshot!(statements.join(";\n\n"));
}

#[test]
fn persons_are_forgotten() {
    let warehouse = SqlOverHttp::new(athena(), "hubspot");
    let types = ["BIGINT", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"];
    insta::assert_snapshot!(warehouse.erase_statements(&types));
}

//! Statements as text: what Athena would see.

use staging::{Column, ColumnType};

use serde_json::json;

use super::super::api::Api;
use super::super::dialect::ATHENA;
use super::super::{Athena, url};
use super::AthenaBench;
use crate::conformance::{Bench, identities, live, merge, torture_file};
use crate::plan::{TableChange, TableColumn, plan};
use crate::script::{Engine, Staging};
use crate::{LocatedFile, Location};

async fn athena() -> Athena {
    let aws = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-central-1"))
        .build();
    let target = url::target("athena://primary/?location=s3://lake/hubspot").unwrap();
    let location = target.location.clone();
    Athena { api: Api::new(&aws, target), s3: aws_sdk_s3::Client::new(&aws), location }
}

/// Ids of tables and folders, and times, are others every time.
fn without_ids(sql: &str) -> String {
    let mut words = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, word) = rest.split_at(at);
        let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let is_id = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        words.push_str(before);
        words.push_str(if is_id { "ID" } else { word });
        rest = after;
    }
    words.push_str(rest);
    match words.split_once(&format!("CAST('{}", chrono::Utc::now().format("%Y-%m-%d "))) {
        Some((before, after)) => format!("{before}CAST('NOW{}", &after["00:00:00.000".len()..]),
        None => words,
    }
}

/// Statements that are executed at once come in any order.
fn in_one_order(mut statements: Vec<String>) -> Vec<String> {
    let word = |statement: &String| statement.split(' ').next().unwrap_or_default().to_owned();
    statements.chunk_by_mut(|a, b| word(a) == word(b) && ["CREATE", "SELECT", "DROP"].contains(&&*word(a))).for_each(<[String]>::sort);
    statements
}

/// The second merge into a table with sets: with all that comes between the files and the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn all_statements_of_a_merge() {
    let Some(bench) = AthenaBench::new().await else { return };
    merge(&bench, &[identities("a", vec![live(1, "EMAIL", "a@x", 10, 11)])]).await;
    bench.call("asked", json!({}));
    merge(&bench, &[identities("b", vec![live(1, "EMAIL", "b@x", 20, 21)])]).await;
    let asked: Vec<String> =
        serde_json::from_value(bench.call("asked", json!({}))["statements"].clone()).unwrap();
    let asked: Vec<String> =
        asked.iter().map(|sql| without_ids(sql).replace(&format!("s3://{}/", bench.name), "s3://bucket/")).collect();
    insta::assert_snapshot!(in_one_order(asked).join(";\n\n"));
    bench.close();
}

#[tokio::test]
async fn tables_of_a_torture_file() {
    let athena = athena().await;
    let file = torture_file();
    let table = "\"hubspot\".\"contacts\"";
    let mut statements = vec![athena.create_schema("\"hubspot\"")];
    let TableChange::Create(columns) = plan(&ATHENA, None, vec![&file]).unwrap().change else {
        panic!("there is no table");
    };
    statements.push(without_ids(&athena.create_table(table, &columns)));
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
    let types: Vec<ColumnType> = file.description.table.columns.iter().map(|column| column.column_type).collect();
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

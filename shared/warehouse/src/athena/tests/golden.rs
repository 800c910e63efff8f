//! The statements of one merge, as text: what Athena would see.

use staging::{Column, ColumnType};

use super::super::{Athena, url};
use crate::conformance::torture_file;
use crate::plan::{TableChange, TableColumn, plan};
use crate::script::{Engine, Staging};
use crate::{LocatedFile, Location};

use super::super::api::Api;
use super::super::dialect::ATHENA;

async fn athena() -> Athena {
    let aws = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("eu-central-1"))
        .build();
    let target = url::target("athena://primary/?location=s3://lake/hubspot").unwrap();
    let location = target.location.clone();
    Athena { api: Api::new(&aws, target), s3: aws_sdk_s3::Client::new(&aws), location }
}

/// Names of tables and folders that are not used twice.
fn without_ids(sql: &str) -> String {
    let mut text = String::new();
    for (n, part) in sql.split("contacts-").enumerate() {
        text.push_str(if n == 0 { part } else { &part[32..] });
        if n + 1 < sql.split("contacts-").count() {
            text.push_str("contacts-ID");
        }
    }
    text
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

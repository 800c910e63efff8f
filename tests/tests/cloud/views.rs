//! Views of another product beside the tables: the parameter `Compat`.

use fake_hubspot::{Kind, ObjectType};
use serde_json::Value;
use tests::cloud::Cloud;

use super::{cloud, event};

/// Reads companies and loads them; returns the load's report.
async fn run(cloud: &Cloud) -> Value {
    cloud.invoke("companies", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete()
}

fn columns(cloud: &Cloud) -> Vec<String> {
    let database = cloud.sandbox.database();
    let sql = "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'hubspot_fivetran' \
               AND table_name = 'company' ORDER BY column_index";
    let mut statement = database.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

fn count(cloud: &Cloud, sql: &str) -> u64 {
    cloud.sandbox.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn views_follow_the_tables_and_never_fail_a_load() {
    let cloud = cloud().await;
    run(&cloud).await;
    assert_eq!(
        count(&cloud, "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'hubspot_fivetran'"),
        0
    );

    cloud.kill("load");
    let cloud = cloud.with(&[("COMPAT", "fivetran")]);
    let account = cloud.sandbox.account();
    account.create(ObjectType::Companies, &[]).unwrap();
    let report = run(&cloud).await;
    assert_eq!(report["degraded"], Value::Null, "{report:#}");
    let [views, tables] = ["hubspot_fivetran.company", "hubspot.companies"]
        .map(|name| count(&cloud, &format!("SELECT count(*) FROM {name}")));
    assert_eq!(views, tables);
    let before = columns(&cloud);
    assert!(before.contains(&"property_name".to_owned()), "{before:?}");

    account.add_property(ObjectType::Companies, "shoe_size", Kind::Number).unwrap();
    account.create(ObjectType::Companies, &[]).unwrap();
    run(&cloud).await;
    assert!(columns(&cloud).contains(&"property_shoe_size".to_owned()), "{:?}", columns(&cloud));

    // Somebody's table has a view's name: rows come in all the same, and it is said.
    let taken = "DROP VIEW hubspot_fivetran.company; CREATE TABLE hubspot_fivetran.company (id BIGINT)";
    cloud.sandbox.database().execute_batch(taken).unwrap();
    account.add_property(ObjectType::Companies, "hat_size", Kind::Number).unwrap();
    account.create(ObjectType::Companies, &[]).unwrap();
    let report = run(&cloud).await;
    let [said] = report["degraded"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
    assert!(said.as_str().unwrap().starts_with("the view hubspot_fivetran.company stays"), "{said}");
    assert_eq!(report["tables"]["companies"]["outcome"], "complete", "{report:#}");
    assert_eq!(count(&cloud, "SELECT count(*) FROM hubspot_fivetran.company"), 0, "it is somebody's");
}

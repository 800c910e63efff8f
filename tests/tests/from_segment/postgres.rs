//! The same on PostgreSQL: a server of our own, whose tables go to DuckDB in the end to be compared with the account.

use duckdb::Connection;
use tests::{COLLECTIONS, PostgresServer, postgres_texts as texts};
use tokio_postgres::Client;

use super::{assert_report, moved};

/// Makes the schema's tables in DuckDB, with their rows.
async fn export(client: &Client, database: &Connection) {
    database.execute_batch("CREATE SCHEMA hubspot; SET TimeZone = 'UTC'").unwrap();
    client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
    for name in COLLECTIONS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_of_segment")]) {
        let columns = format!(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'hubspot' \
             AND table_name = '{name}' ORDER BY ordinal_position"
        );
        let defined: Vec<String> = texts(client, &columns)
            .await
            .into_iter()
            .map(|column| format!("\"{}\" {}", column[0].as_ref().unwrap(), column[1].as_ref().unwrap()))
            .collect();
        assert!(!defined.is_empty(), "there is no {name}");
        database.execute_batch(&format!("CREATE TABLE hubspot.{name} ({})", defined.join(", "))).unwrap();
        let rows = texts(client, &format!("SELECT * FROM hubspot.{name}")).await;
        for rows in rows.chunks(200) {
            let value = |value: &Option<String>| match value {
                Some(text) => format!("'{}'", text.replace('\'', "''")),
                None => "NULL".to_owned(),
            };
            let row = |row: &Vec<Option<String>>| {
                format!("({})", row.iter().map(value).collect::<Vec<_>>().join(", "))
            };
            let rows: Vec<String> = rows.iter().map(row).collect();
            database
                .execute_batch(&format!("INSERT INTO hubspot.{name} VALUES {}", rows.join(", ")))
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_in_postgres_is_adopted() {
    let Some(server) = PostgresServer::start_unless_skipped() else { return };
    let moved = moved().await;
    let client = server.client().await;
    client.batch_execute("CREATE SCHEMA hubspot").await.unwrap();
    for (name, table) in &moved.tables {
        client.batch_execute(&table.statements(name).join(";")).await.unwrap();
        // As Segment makes its tables: the index has the name that ours would have.
        if ["companies", "email_events"].contains(name) {
            let key = format!("ALTER TABLE hubspot.{name} ADD PRIMARY KEY (id)");
            client.batch_execute(&key).await.unwrap();
        }
    }
    client.batch_execute("CREATE VIEW hubspot.mine AS SELECT id FROM hubspot.contacts").await.unwrap();
    let url = server.url();
    let refused = moved.sandbox.sync(&["--warehouse", &url]).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(
        refused.stderr.contains("--adopt") && refused.stderr.contains("email_events"),
        "{}",
        refused.stderr
    );
    assert!(!moved.sandbox.path("state").exists());

    let report = moved.sandbox.sync(&["--warehouse", &url, "--adopt"]).await.complete();
    assert_report(&report["adopted"], &moved);
    moved.sandbox.sync(&["--warehouse", &url, "--mode", "reconcile"]).await.complete();
    let again = moved.sandbox.sync(&["--warehouse", &url, "--adopt"]).await.complete();
    assert_eq!(again["adopted"], report["adopted"]);
    for (name, collection) in again["collections"].as_object().unwrap() {
        assert_eq!(collection["statements"], 0, "{name} is written again");
    }
    let view = texts(&client, "SELECT count(*) FROM hubspot.mine").await;
    assert_eq!(
        view[0][0],
        Some(moved.tables["contacts"].rows.len().to_string()),
        "it follows Segment's table"
    );
    export(&client, &moved.sandbox.database()).await;
    moved.assert_adopted();
}

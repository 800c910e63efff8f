//! `sync --warehouse bigquery:` into an emulator of BigQuery that nobody here wrote (`shared/warehouse/judges/bigquery.py`).
//! What it holds then is copied into DuckDB, with the types that it has, and compared with the account.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use duckdb::Connection;
use fake_hubspot::{Behaviour, Marketing, PerType, Settings};
use reqwest::Client;
use serde_json::{Value, json};
use tests::{Sandbox, assert_equal};

const COLLECTIONS: [&str; 2] = ["--collections", "segment,metadata"];

struct Emulator {
    address: String,
    http: Client,
    /// It ends when its input does.
    _program: Child,
}

impl Emulator {
    fn start() -> Emulator {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut program = Command::new(root.join(".cache/tools/bqemulator/bin/python"))
            .arg(root.join("shared/warehouse/judges/bigquery.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator: run scripts/setup --tests");
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = format!("http://127.0.0.1:{}", line.trim());
        Emulator { address, http: Client::new(), _program: program }
    }

    fn url(&self) -> String {
        format!("bigquery://emulator/hubspot?endpoint={}", self.address)
    }

    async fn call(&self, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/bigquery/v2/projects/emulator{path}", self.address);
        let call = match body {
            Some(body) => {
                self.http.post(url).header("content-type", "application/json").body(body.to_string())
            }
            None => self.http.get(url),
        };
        serde_json::from_slice(&call.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn tables(&self) -> Vec<String> {
        let list = self.call("/datasets/hubspot/tables?maxResults=1000", None).await;
        let name = |table: &Value| table["tableReference"]["tableId"].as_str().unwrap().to_owned();
        list["tables"].as_array().unwrap().iter().map(name).collect()
    }

    /// Names and types of a table's columns.
    async fn columns(&self, table: &str) -> Vec<(String, String)> {
        let described = self.call(&format!("/datasets/hubspot/tables/{table}"), None).await;
        let text = |field: &Value, name: &str| field[name].as_str().unwrap().to_owned();
        let fields = described["schema"]["fields"].as_array().unwrap();
        fields.iter().map(|field| (text(field, "name"), text(field, "type"))).collect()
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let query = json!({"query": sql, "useLegacySql": false, "maxResults": 1_000_000});
        let answer = self.call("/queries", Some(query)).await;
        assert_eq!(answer["jobComplete"], true, "{answer}");
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        assert_eq!(answer["totalRows"], rows.len().to_string(), "there are more pages");
        let cell = |cell: &Value| cell["v"].as_str().map(str::to_owned);
        rows.iter().map(|row| row["f"].as_array().unwrap().iter().map(cell).collect()).collect()
    }

    /// Copies a table into DuckDB, with its types.
    async fn copy(&self, table: &str, columns: &[(String, String)], database: &Connection) {
        let read = |(name, is): &(String, String)| match is.as_str() {
            "TIMESTAMP" => format!("CAST(UNIX_MILLIS(`{name}`) AS STRING)"),
            _ => format!("CAST(`{name}` AS STRING)"),
        };
        let texts: Vec<String> = columns.iter().map(read).collect();
        let rows = self.rows(&format!("SELECT {} FROM hubspot.`{table}`", texts.join(", "))).await;
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\" VARCHAR")).collect();
        database
            .execute_batch(&format!("CREATE OR REPLACE TEMP TABLE texts ({})", names.join(", ")))
            .unwrap();
        let mut appender = database.appender("texts").unwrap();
        for row in rows {
            appender.append_row(duckdb::appender_params_from_iter(row)).unwrap();
        }
        drop(appender);
        let value = |(name, is): &(String, String)| match is.as_str() {
            "TIMESTAMP" => format!("make_timestamptz(CAST(\"{name}\" AS BIGINT) * 1000) AS \"{name}\""),
            _ => format!("CAST(\"{name}\" AS {}) AS \"{name}\"", in_duckdb(is)),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let create = format!("CREATE TABLE hubspot.\"{table}\" AS SELECT {} FROM texts", values.join(", "));
        database.execute_batch(&create).unwrap();
    }
}

fn in_duckdb(type_name: &str) -> &'static str {
    match type_name {
        "STRING" => "VARCHAR",
        "INTEGER" => "BIGINT",
        "FLOAT" => "DOUBLE",
        "BOOLEAN" => "BOOLEAN",
        "DATE" => "DATE",
        "TIMESTAMP" => "TIMESTAMP WITH TIME ZONE",
        other => panic!("no table of ours has the type {other}"),
    }
}

/// Names and types of the columns of each table, in DuckDB.
fn shapes(database: &Connection) -> BTreeMap<String, BTreeMap<String, String>> {
    let sql = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'hubspot'";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let mut shapes: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in rows {
        let (table, column, is): (String, String, String) = row.unwrap();
        shapes.entry(table).or_default().insert(column, is);
    }
    shapes
}

fn merged_rows(report: &Value) -> u64 {
    report["collections"].as_object().unwrap().values().map(|c| c["merged_rows"].as_u64().unwrap()).sum()
}

/// `CONTACTS=2000` is the account of the demo.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_into_bigquery_equals_the_account() {
    let contacts = std::env::var("CONTACTS").ok().and_then(|number| number.parse().ok()).unwrap_or(150);
    let fifth = contacts / 5;
    let mut settings =
        Settings { records: PerType { contacts, companies: fifth, deals: fifth }, ..Settings::default() };
    if contacts < 1_000 {
        settings.marketing =
            Marketing { email_events: 200, subscription_changes: 50, ..Marketing::default() };
    }
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let emulator = Emulator::start();
    let url = emulator.url();
    let sync = async |state: &str, warehouse: &str| {
        let state = sandbox.path(state).display().to_string();
        let options = ["--warehouse", warehouse, "--state", &state];
        sandbox.sync(&[&options[..], &COLLECTIONS].concat()).await.complete()
    };
    let first = sync("state", &url).await;
    assert!(merged_rows(&first) > contacts as u64, "{first:#}");
    assert_eq!(merged_rows(&sync("state", &url).await), 0);

    let database = sandbox.database();
    database.execute_batch("CREATE SCHEMA hubspot").unwrap();
    for table in emulator.tables().await {
        assert!(!table.starts_with("_merge_"), "the scratch table {table} is left");
        let columns = emulator.columns(&table).await;
        emulator.copy(&table, &columns, &database).await;
    }
    assert_equal(&database, sandbox.account());

    // Columns and types are those of the same sync into DuckDB, and one table is BigQuery's own.
    let other = sandbox.path("other.duckdb");
    sync("other", &format!("duckdb:{}", other.display())).await;
    let mut found = shapes(&database);
    assert!(found.remove("_lock").is_some());
    assert_eq!(found, shapes(&Connection::open(other).unwrap()));
}

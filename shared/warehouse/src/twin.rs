//! A program that plays a warehouse (`twins/server.py`): one of each for all tests, with a database for each of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_redshiftdata::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::{Builder, tls};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::conformance::{Bench, CASES, Cell, Row, is_wanted};
use crate::{LocatedFile, Location, Warehouse, connect, quote_identifier};

pub(crate) const SCHEMA: &str = "Warehouse \"test\"";

#[derive(Debug)]
pub(crate) struct Twin {
    port: u16,
    /// It ends when its input does, which is when this process does.
    _program: Child,
}

/// `None` if tests are to go on without.
pub(crate) fn of(engine: &'static str) -> Option<&'static Twin> {
    static TWINS: Mutex<BTreeMap<&str, Option<&Twin>>> = Mutex::new(BTreeMap::new());
    let mut twins = TWINS.lock().unwrap_or_else(PoisonError::into_inner);
    *twins.entry(engine).or_insert_with(|| start(engine).map(|twin| &*Box::leak(Box::new(twin))))
}

fn start(engine: &str) -> Option<Twin> {
    if std::env::var("WAREHOUSE_TEST_SKIP_TWINS").is_ok_and(|value| value == "1") {
        eprintln!("skipped: WAREHOUSE_TEST_SKIP_TWINS is set");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TWIN_PYTHON")
        .map_or_else(|| root.join("../../.cache/tools/engines/bin/python"), PathBuf::from);
    let mut program = Command::new(&python)
        .args([root.join("twins/server.py").as_os_str(), engine.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{} can't be started ({error}): run scripts/setup --tests, or set TWIN_PYTHON to a Python with sqlglot \
                 and duckdb, or WAREHOUSE_TEST_SKIP_TWINS=1 to go on without",
                python.display()
            )
        });
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some(Twin { port: line.trim().parse().expect("the twin's port"), _program: program })
}

pub(crate) fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}

impl Twin {
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn aws(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .endpoint_url(self.endpoint())
            .http_client(http_client())
            .load()
            .await
    }

    /// What only the twin can do, beside the API.
    pub(crate) fn call(&self, what: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST /twin/{what} HTTP/1.1\r\nHost: twin\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{what}: {body}");
        serde_json::from_str(body).unwrap()
    }
}

/// A database of a twin, and what it takes to be let in.
pub(crate) struct TwinBench {
    pub(crate) twin: &'static Twin,
    pub(crate) url: String,
    pub(crate) key: Option<SecretString>,
    pub(crate) aws: Option<SdkConfig>,
    /// The name that a schema or table gets, and the one that a column gets.
    pub(crate) names: [fn(&str) -> String; 2],
    /// Of the database, and of its bucket.
    pub(crate) name: String,
    staged: TempDir,
}

impl TwinBench {
    /// `more` is what the twin has to know besides. The url comes later: it has the database's name.
    pub(crate) fn open(twin: &'static Twin, names: [fn(&str) -> String; 2], mut more: Value) -> TwinBench {
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let name = format!("BENCH{}", BENCHES.fetch_add(1, Ordering::Relaxed));
        let staged = TempDir::new().unwrap();
        for (field, value) in
            [("database", json!(name)), ("bucket", json!(name)), ("folder", json!(staged.path()))]
        {
            more[field] = value;
        }
        twin.call("open", &more);
        TwinBench { twin, url: String::new(), key: None, aws: None, names, name, staged }
    }

    pub(crate) fn call(&self, what: &str, mut body: Value) -> Value {
        body["database"] = self.name.as_str().into();
        self.twin.call(what, &body)
    }

    pub(crate) fn close(self) {
        self.call("close", json!({}));
    }
}

#[async_trait]
impl Bench for TwinBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url, SCHEMA, self.key.clone(), self.aws.as_ref()).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let answer = self.call("rows", json!({"sql": format!("SELECT * FROM {}", self.quoted(table))}));
        let columns: Vec<(String, String)> = serde_json::from_value(answer["columns"].clone()).unwrap();
        let rows: Vec<Vec<Option<String>>> = serde_json::from_value(answer["rows"].clone()).unwrap();
        let cell = |((name, type_name), text): (&(String, String), Option<String>)| {
            (name.clone(), text.map_or(Cell::Null, |text| cell(type_name, text)))
        };
        rows.into_iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        let [identifier, _] = self.names;
        let sql = format!(
            "SELECT 1 FROM duckdb_tables() WHERE schema_name = '{}' AND table_name = '{}'",
            identifier(SCHEMA),
            identifier(table)
        );
        !self.call("rows", json!({"sql": sql}))["rows"].as_array().unwrap().is_empty()
    }

    async fn execute(&self, sql: &str) {
        self.call("sql", json!({"sql": sql}));
    }

    fn quoted(&self, table: &str) -> String {
        let [identifier, _] = self.names;
        format!("{}.{}", quote_identifier(&identifier(SCHEMA)), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    fn located(&self, file: LocatedFile) -> LocatedFile {
        let name = file.path().unwrap().file_name().unwrap().to_str().unwrap();
        let location = Location::S3 { bucket: self.name.clone(), key: name.to_owned(), bytes: 0 };
        LocatedFile { location, ..file }
    }

    fn column(&self, name: &str) -> String {
        let [_, column] = self.names;
        column(name)
    }
}

/// From the twin's texts: times are milliseconds, days are since 1970.
pub(crate) fn cell(type_name: &str, text: String) -> Cell {
    match type_name {
        "BOOLEAN" => Cell::Boolean(text == "true"),
        "BIGINT" | "INTEGER" => Cell::BigInt(text.parse().unwrap()),
        "DOUBLE" => Cell::Double(text.parse().unwrap()),
        "DATE" => Cell::Date(text.parse().unwrap()),
        "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" => Cell::Timestamp(text.parse().unwrap()),
        "VARCHAR" => Cell::Text(text),
        other => panic!("no cell for {other}"),
    }
}

/// Runs the cases of the suite that are wanted, each in a database of its own; `None` ends it without any. `not_run` are
/// those that say nothing on this warehouse, and why.
pub(crate) async fn conforms(not_run: &[(&str, &str)], open: impl AsyncFn() -> Option<TwinBench>) {
    for (name, _) in not_run {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no case {name}");
    }
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        if let Some((_, reason)) = not_run.iter().find(|(not_run, _)| not_run == name) {
            eprintln!("not run: {name}: {reason}");
            continue;
        }
        eprintln!("case: {name}");
        let Some(bench) = open().await else { return };
        case(&bench).await;
        bench.close();
    }
}

//! A program that plays a warehouse (`twins/server.py`): one of each for all tests, with a database for each of them.

pub(crate) mod one_by_one;

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
use staging::ColumnType;
use tempfile::TempDir;

use crate::conformance::{
    Bench, CASES, Cell, File, MOST_DIGITS, Row, contact, contacts, crash_points, is_wanted, merge, merge_as,
    modes, read, stage, writes,
};
use crate::mode::{deleted_table, history_table};
use crate::{Kind, LocatedFile, Location, Reads, TableMode, Warehouse, connect, quote_identifier};

pub(crate) const SCHEMA: &str = "Warehouse \"test\"";

#[derive(Debug)]
pub(crate) struct Twin {
    port: u16,
    /// It ends when its input does, which is when this process does.
    _program: Child,
}

/// `None` if tests are to go on without.
pub(crate) fn of(engine: &'static str) -> Option<&'static Twin> {
    let python = std::env::var_os("TWIN_PYTHON").map_or_else(|| tool("engines"), PathBuf::from);
    kept(engine, || started(&python, "twins/server.py", &[engine]))
}

/// A program that somebody else wrote, behind a twin's calls; `tool` is its folder.
pub(crate) fn judge(tool_name: &'static str, script: &str) -> Option<&'static Twin> {
    kept(tool_name, || started(&tool(tool_name), script, &[]))
}

fn kept(name: &'static str, start: impl FnOnce() -> Option<(String, Child)>) -> Option<&'static Twin> {
    static TWINS: Mutex<BTreeMap<&str, Option<&Twin>>> = Mutex::new(BTreeMap::new());
    let mut twins = TWINS.lock().unwrap_or_else(PoisonError::into_inner);
    let twin = |(line, program): (String, Child)| {
        let port = line.parse().expect("the twin's port");
        &*Box::leak(Box::new(Twin { port, _program: program }))
    };
    *twins.entry(name).or_insert_with(|| start().map(twin))
}

/// The Python of a tool that `scripts/setup` fetched.
pub(crate) fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../.cache/tools/{name}/bin/python"))
}

/// Starts a script of this crate, which says in its first line where it is to be called. It ends when its input does,
/// which is when this process does. `None` if tests are to go on without.
pub(crate) fn started(python: &Path, script: &str, arguments: &[&str]) -> Option<(String, Child)> {
    if std::env::var("WAREHOUSE_TEST_SKIP_TWINS").is_ok_and(|value| value == "1") {
        eprintln!("skipped: WAREHOUSE_TEST_SKIP_TWINS is set");
        return None;
    }
    let mut program = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args(arguments)
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
    Some((line.trim().to_owned(), program))
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

    /// Calls a function of the twin that is not in the engine's API.
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
    /// [`Bench::digits_of_doubles`].
    pub(crate) digits: usize,
    /// The place from which the engine reads files.
    pub(crate) reads: Reads,
    /// [`Bench::stored`].
    pub(crate) stored: fn(Cell) -> Cell,
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
        let (url, digits, reads) = (String::new(), MOST_DIGITS, Reads::S3);
        TwinBench { twin, url, key: None, aws: None, names, name, digits, reads, stored: |cell| cell, staged }
    }

    pub(crate) fn call(&self, what: &str, mut body: Value) -> Value {
        body["database"] = self.name.as_str().into();
        self.twin.call(what, &body)
    }

    /// Loses the answer to the next call about this database that has these words in its body, which names it.
    pub(crate) fn lose(&self, words: &str) {
        self.twin.call("lose", &json!({"containing": words, "also": format!("\"{}\"", self.name)}));
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
        let names = json!({"schema": identifier(SCHEMA), "table": identifier(table)});
        self.call("has_table", names)["is_there"] == json!(true)
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
        if self.reads == Reads::Local {
            return file;
        }
        let name = file.path().unwrap().file_name().unwrap().to_str().unwrap();
        let location = Location::S3 { bucket: self.name.clone(), key: name.to_owned(), bytes: 0 };
        LocatedFile { location, ..file }
    }

    fn column(&self, name: &str) -> String {
        let [_, column] = self.names;
        column(name)
    }

    fn stored(&self, cell: Cell) -> Cell {
        (self.stored)(cell)
    }

    fn digits_of_doubles(&self) -> usize {
        self.digits
    }

    fn is_slow(&self) -> bool {
        true
    }

    async fn written(&self, table: &str) -> Option<u64> {
        let beginnings = writes::beginnings(&self.quoted(table));
        self.call("written", json!({"beginnings": beginnings}))["rows"].as_u64()
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

/// Runs the cases of the suite that are wanted, each in a database of its own; `None` ends it without any. `not_run`
/// are those that say nothing on this warehouse, and why.
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

/// Checks contacts of 700 columns whose texts together are longer than Redshift sorts: new rows, changed ones, those of
/// one version whose run or values decide, in files and against the table, and their past.
pub(crate) async fn wide_contacts_are_merged(bench: &TwinBench, mode: TableMode) {
    let names: Vec<String> = (0..700).map(|n| format!("property_{n}")).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let row = |id: i64, updated: i64, text: &str| {
        contact(id, updated, updated, &vec![Cell::text(format!("{text:x<150}")); names.len()])
    };
    let file = |key: &str, rows: Vec<Vec<Cell>>| contacts(key, &columns, rows);
    let merged = async |files: &[File]| {
        let merged = bench.warehouse().await.merge_as(&stage(bench, files), mode).await.expect("merge");
        (merged.inserted, merged.updated)
    };
    let texts = async || {
        let rows = read(bench, "contacts", &["id", "property_0", "property_699"]).await;
        let text = |row: Vec<Cell>| match (&row[1], &row[2]) {
            (Cell::Text(first), Cell::Text(last)) if first == last => first.trim_end_matches('x').to_owned(),
            other => panic!("{other:?}"),
        };
        rows.into_iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(merged(&[file("a", vec![row(1, 10, "Ada"), row(2, 10, "Bo")])]).await, (2, 0));
    assert_eq!(merged(&[file("b", vec![row(2, 20, "Bob"), row(3, 20, "Cy")])]).await, (1, 1));
    let tied = file("c", vec![row(1, 10, "Ada L."), row(4, 30, "Di"), row(4, 30, "Eve")]);
    assert_eq!(merged(&[tied.of_run("run-2")]).await, (1, 1));
    let now = texts().await;
    assert_eq!(now[..3], ["Ada L.", "Bob", "Cy"]);
    assert_eq!(merged(&[file("d", vec![row(4, 30, "Di"), row(4, 30, "Eve")]).of_run("run-2")]).await, (0, 0));
    assert_eq!(texts().await, now);
}

/// Merges that a crash ends after whichever statement of whichever script are done again by the next one: those that
/// begin to keep a table without its deleted rows and with its past, and those that end that.
pub(crate) async fn crashes_while_the_mode_changes_are_mended(bench: &TwinBench) {
    let (mut number, mut statements) = (0, 0);
    // What merges into a table that has its deleted rows back is nothing new.
    for (is_back, scripts) in [(false, 0..3), (true, 0..2)] {
        for script in scripts {
            for at in crash_points() {
                number += 1;
                if !crash_is_mended(bench, number, is_back, script, at).await {
                    assert!(at > 0, "the script {script} has no statements");
                    statements += at;
                    break;
                }
            }
        }
    }
    assert!(statements > 40, "only {statements} statements");
}

/// Neither what makes the tables beside nor what fills them is done twice.
pub(crate) async fn a_lost_answer_adds_no_version(bench: &TwinBench) {
    merge(bench, &[modes::kept("contacts")]).await;
    for words in ["NOT EXISTS (SELECT 1 FROM", "ADD COLUMN", "MERGE INTO"] {
        bench.twin.call("lose", &json!({"containing": words}));
    }
    merge_as(bench, &modes::kept_otherwise("contacts"), modes::BOTH).await;
    modes::assert_kept_otherwise(bench, "contacts", "answers are lost").await;
}

/// `false` if there are not so many statements. The first of the scripts is for the rows of the table that begins or
/// ends, the second one makes it complete or drops it, and the third one merges.
async fn crash_is_mended(bench: &TwinBench, number: usize, is_back: bool, script: usize, at: usize) -> bool {
    let collection = format!("contacts_{number}");
    let (deleted, history) = (deleted_table(&collection), history_table(&collection));
    merge(bench, &[modes::kept(&collection)]).await;
    let mut files = stage(bench, &modes::kept_otherwise(&collection));
    let mut mode = modes::BOTH;
    if is_back {
        bench.warehouse().await.merge_as(&files, mode).await.expect("merge");
        files = stage(bench, &[modes::kept_again(&collection)]);
        mode = TableMode { hard_delete: false, ..mode };
    }
    let quoted_to = quote_identifier(&bench.column("_valid_to"));
    let words = match (script, is_back) {
        (0, false) => format!("NOT EXISTS (SELECT 1 FROM {})", bench.quoted(&history)),
        (0, true) => format!("FROM {} AS d", bench.quoted(&deleted)),
        (1, false) => format!("ALTER TABLE {} ADD COLUMN {quoted_to}", bench.quoted(&history)),
        (1, true) => format!("DROP TABLE IF EXISTS {}", bench.quoted(&deleted)),
        _ => format!("MERGE INTO {}", bench.quoted(&collection)),
    };
    bench.call("fail", json!({"containing": words, "at": at}));
    let merged = bench.warehouse().await.merge_as(&files, mode).await;
    let is_left = bench.call("fault", json!({}))["is_left"] == json!(true);
    bench.call("fail", json!({"containing": "what no statement has", "at": 0}));
    let when = format!("script {script}, statement {at}, back: {is_back}");
    match merged {
        Ok(_) => {}
        Err(error) => {
            assert!(!is_left, "{when}: {error:?}");
            assert!(matches!(error.kind(), Kind::Engine | Kind::RowCount), "{when}: {error:?}");
            bench.warehouse().await.merge_as(&files, mode).await.expect("merged again");
        }
    }
    match is_back {
        false => modes::assert_kept_otherwise(bench, &collection, &when).await,
        true => modes::assert_kept_again(bench, &collection, &when).await,
    }
    !is_left
}

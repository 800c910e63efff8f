//! The conformance suite on DuckDB, and tests of damaged and locked files.

mod processes;
mod property;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::duckdb::types::ValueRef;
use async_trait::async_trait;
use staging::ColumnType;
use tempfile::TempDir;

use super::DuckDb;
use super::budget::Budget;
use super::dialect::DUCKDB;
use super::open::Handle;
use super::session::rows;
use crate::catalog::SchemaName;
use crate::conformance::{Bench, CASES, Cell, Row, contact, contacts, is_wanted, writes};
use crate::{Error, Kind, TableMode, Warehouse, connect};

/// A file with the name of its schema, and staged files in a folder with glob characters in its name.
struct DuckDbBench {
    path: PathBuf,
    staged: PathBuf,
    /// Keeps the file open, as opening and closing it takes most of a case's time.
    handle: Handle,
    _temporary: Option<TempDir>,
}

const SCHEMA: &str = "hubspot";

impl DuckDbBench {
    fn new() -> DuckDbBench {
        let temporary = TempDir::new().unwrap();
        let bench = DuckDbBench::at(temporary.path());
        DuckDbBench { _temporary: Some(temporary), ..bench }
    }

    fn at(folder: &Path) -> DuckDbBench {
        let (path, staged) = (folder.join("hubspot.duckdb"), folder.join("run=[1]*'s ?"));
        std::fs::create_dir_all(&staged).unwrap();
        let handle = Handle::open(path.to_str().unwrap()).unwrap();
        DuckDbBench { path, staged, handle, _temporary: None }
    }

    fn look<T>(&self, look: impl FnOnce(&::duckdb::Connection) -> T) -> Option<T> {
        self.handle.read(Duration::ZERO, |connection| Ok(look(connection))).unwrap()
    }
}

#[async_trait]
impl Bench for DuckDbBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&format!("duckdb:{}", self.path.display()), SCHEMA, None, None).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let sql = format!("SELECT * FROM {} ORDER BY ALL", self.quoted(table));
        let read = |connection: &::duckdb::Connection| -> ::duckdb::Result<Vec<Row>> {
            let mut statement = connection.prepare(&sql)?;
            let mut found = statement.query([])?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let cell = |(n, name)| Ok::<_, ::duckdb::Error>((name, cell(row.get_ref(n)?)));
                rows.push(
                    row.as_ref()
                        .column_names()
                        .into_iter()
                        .enumerate()
                        .map(cell)
                        .collect::<Result<_, _>>()?,
                );
            }
            Ok(rows)
        };
        self.look(read).unwrap().unwrap()
    }

    async fn has_table(&self, table: &str) -> bool {
        let sql = format!("DESCRIBE {}", self.quoted(table));
        self.look(|connection| connection.prepare(&sql).is_ok()).unwrap_or(false)
    }

    async fn execute(&self, sql: &str) {
        self.look(|connection| connection.execute_batch(sql).unwrap()).unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        SchemaName::new(&DUCKDB, SCHEMA).in_database("hubspot".to_owned()).table(table)
    }

    fn folder(&self) -> &Path {
        &self.staged
    }

    async fn written(&self, table: &str) -> Option<u64> {
        Some(writes::written(&self.quoted(table)))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Boolean(is_it) => Cell::Boolean(is_it),
        ValueRef::Int(number) => Cell::BigInt(number.into()),
        ValueRef::BigInt(number) => Cell::BigInt(number),
        ValueRef::Double(number) => Cell::Double(number),
        ValueRef::Date32(days) => Cell::Date(days),
        ValueRef::Timestamp(_, us) => Cell::Timestamp(us.div_euclid(1000)),
        ValueRef::Text(text) => Cell::text(std::str::from_utf8(text).unwrap()),
        other => panic!("no cell for {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        eprintln!("case: {name}");
        case(&DuckDbBench::new()).await;
    }
}

async fn refusal(path: &Path) -> Error {
    let url = format!("duckdb:{}", path.display());
    connect(&url, SCHEMA, None, None).await.err().unwrap_or_else(|| panic!("{url} opened"))
}

fn assert_says(error: &Error, kind: Kind, words: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn what_is_no_database_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    assert_says(&refusal(path).await, Kind::Unsupported, "is a folder: name a file in it");
    assert_says(
        &refusal(&path.join("none/x.duckdb")).await,
        Kind::Unsupported,
        "create it or correct the path",
    );
    for content in ["", "hello", &"x".repeat(100_000)] {
        let file = path.join("junk.duckdb");
        std::fs::write(&file, content).unwrap();
        assert_says(&refusal(&file).await, Kind::Unsupported, "is not a DuckDB database");
    }
    for no_path in ["", ":memory:"] {
        assert_says(&refusal(Path::new(no_path)).await, Kind::Unsupported, "name a file");
    }
}

/// Checks a folder that can't be written. One without the write bit would not do, since root may write there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_where_nothing_can_be_created_says_so() {
    let staged = TempDir::new().unwrap();
    let error = match connect("duckdb:/sys/x.duckdb", SCHEMA, None, None).await {
        Ok(warehouse) => {
            warehouse.merge(&[contacts("a", &[], vec![]).stage(staged.path())]).await.unwrap_err()
        }
        Err(error) => error,
    };
    assert_says(&error, Kind::Unsupported, "writable");
}

#[tokio::test]
async fn an_unknown_scheme_lists_the_known_ones_and_no_password() {
    for url in ["mysql://user:secret@host/db", "hubspot.duckdb", ""] {
        let error = connect(url, SCHEMA, None, None).await.err().unwrap();
        assert_says(&error, Kind::Unsupported, "duckdb:PATH");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn a_schema_can_have_any_name_but_none() {
    let folder = TempDir::new().unwrap();
    let url = format!("duckdb:{}", folder.path().join("x.duckdb").display());
    for schema in ["main", "select", "a\"b.c", "größe", &"s".repeat(200)] {
        let warehouse = connect(&url, schema, None, None).await.unwrap();
        let file = contacts("a", &[], vec![contact(1, 10, 11, &[])]).stage(folder.path());
        assert_eq!(warehouse.merge(&[file]).await.unwrap().inserted, 1, "{schema}");
        assert_eq!(warehouse.account().await.unwrap(), Some(42));
    }
    for schema in ["", "a\0b"] {
        assert_says(
            &connect(&url, schema, None, None).await.err().unwrap(),
            Kind::Unsupported,
            "schema name",
        );
    }
}

#[tokio::test]
async fn an_index_on_a_column_that_is_widened_is_explained() {
    let bench = DuckDbBench::new();
    let contact = |value| contact(1, 10, 11, &[value]);
    let narrow = contacts("a", &[("size", ColumnType::BigInt)], vec![contact(Cell::BigInt(7))]);
    let wide =
        contacts("b", &[("size", ColumnType::Text)], vec![contact(Cell::text("x"))]).stage(bench.folder());
    bench.warehouse().await.merge(&[narrow.stage(bench.folder())]).await.unwrap();
    // A second engine on one file would undo what the first one wrote.
    let run = |sql: &str| {
        let run = |connection: &mut ::duckdb::Connection| {
            connection.execute_batch(sql).unwrap();
            Ok(())
        };
        bench.handle.write(Duration::ZERO, run).unwrap();
    };
    run("CREATE INDEX of_mine ON hubspot.hubspot.contacts (size)");
    let error = bench.warehouse().await.merge(std::slice::from_ref(&wide)).await.unwrap_err();
    assert_says(&error, Kind::Unsupported, "FROM duckdb_indexes()");
    run("DROP INDEX hubspot.hubspot.of_mine");
    assert_eq!(bench.warehouse().await.merge(&[wide]).await.unwrap().files, 1);
}

#[tokio::test]
async fn an_index_that_refuses_a_row_shows_no_value() {
    let bench = DuckDbBench::new();
    let file = |id| {
        contacts(
            &format!("f{id}"),
            &[("email", ColumnType::Text)],
            vec![contact(id, 10, 11, &[Cell::text("a@b.example")])],
        )
    };
    bench.warehouse().await.merge(&[file(1).stage(bench.folder())]).await.unwrap();
    let run = |connection: &mut ::duckdb::Connection| {
        connection.execute_batch("CREATE UNIQUE INDEX of_mine ON hubspot.hubspot.contacts (email)").unwrap();
        Ok(())
    };
    bench.handle.write(Duration::ZERO, run).unwrap();
    let error = bench.warehouse().await.merge(&[file(2).stage(bench.folder())]).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("may quote values") && !shown.contains("a@b.example"), "{shown}");
}

#[tokio::test]
async fn looking_creates_no_file() {
    let bench = DuckDbBench::new();
    let warehouse = bench.warehouse().await;
    assert_eq!(warehouse.account().await.unwrap(), None);
    assert!(warehouse.loaded("contacts").await.unwrap().is_empty());
    assert!(!bench.path.exists());
}

#[tokio::test]
async fn a_file_reopens_as_it_was_left() {
    let folder = TempDir::new().unwrap();
    let url = format!("duckdb:{}", folder.path().join("x.duckdb").display());
    for n in 0..3 {
        let warehouse = connect(&url, SCHEMA, None, None).await.unwrap();
        assert_eq!(warehouse.loaded("contacts").await.unwrap().len(), n);
        let file = contacts(&format!("f{n}"), &[], vec![contact(n as i64, 10, 11, &[])]);
        warehouse.merge(&[file.stage(folder.path())]).await.unwrap();
    }
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("wal")), "{left:?}");
}

#[tokio::test]
async fn a_merge_that_does_not_fit_into_memory_gets_more() {
    let bench = DuckDbBench::new();
    let names: Vec<String> = (0..50).map(|n| format!("property_{n}")).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let row = |id: i64| contact(id, 10, 11, &vec![Cell::text(format!("{id:0>200}")); names.len()]);
    let file = contacts("a", &columns, (0..1000).map(row).collect()).stage(bench.folder());
    let too_little = Budget { memory_mib: 8, threads: 1 };
    let handle = Arc::new(Handle::open(bench.path.to_str().unwrap()).unwrap());
    let warehouse = DuckDb { handle, schema: SCHEMA.to_owned() };
    let merge = move || warehouse.merge_within(too_little, &[file], TableMode::default()).unwrap();
    assert_eq!(tokio::task::spawn_blocking(merge).await.unwrap().inserted, 1000);
    let limit = bench.look(|connection| rows(connection, "SELECT current_setting('memory_limit')").unwrap());
    assert_ne!(limit.unwrap(), [[Some("8.0 MiB".to_owned())]]);
}

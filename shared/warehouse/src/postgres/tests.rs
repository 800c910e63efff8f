//! The conformance suite on PostgreSQL, and what only a server can do.

mod adopt;
mod beside;
mod crash;
mod limits;
mod property;
mod readers;
mod server;
mod tls;
mod views;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use staging::ColumnType;
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, Type};

use super::Postgres;
use super::dialect::{OVERFLOW, POSTGRES, identifier};
use super::session::open;
use super::widening::SMALL_BYTES;
use crate::catalog::SchemaName;
use crate::conformance::{Bench, CASES, Cell, Row, contact, contacts, identities, is_wanted, merge, writes};
use crate::transactional::Transactional;
use crate::{Kind, Warehouse};

/// A schema of its own on the server that all tests share.
struct PostgresBench {
    url: String,
    schema: String,
    client: Client,
    staged: TempDir,
    /// Tables of more bytes get a new column beside one whose type changes.
    small_bytes: u64,
}

impl PostgresBench {
    /// `None` if tests are to go on without a server.
    async fn new() -> Option<PostgresBench> {
        Some(PostgresBench::on(server::url()?).await)
    }

    async fn on(url: String) -> PostgresBench {
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let number = BENCHES.fetch_add(1, Ordering::Relaxed);
        let schema = format!("Warehouse \"test\" {} {number}", std::process::id());
        let client = client(&url).await;
        PostgresBench { url, schema, client, staged: TempDir::new().unwrap(), small_bytes: SMALL_BYTES }
    }

    /// On a server that is not ours nothing is to be left; a failed test's schema stays, to be looked at.
    async fn close(self) {
        let schema = SchemaName::new(&POSTGRES, &self.schema).quoted();
        self.client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await.unwrap();
    }
}

async fn client(url: &str) -> Client {
    open(&super::url::target(url, None).unwrap()).await.unwrap()
}

#[async_trait]
impl Bench for PostgresBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        let it = Postgres::connect(&self.url, &self.schema, None).await.unwrap();
        Box::new(Transactional(Postgres { small_bytes: self.small_bytes, ..it }))
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let table = self.quoted(table);
        let rows = self.client.query(&format!("SELECT * FROM {table} AS t ORDER BY t"), &[]).await.unwrap();
        rows.iter().map(row).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        let sql = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2";
        let found = self.client.query_one(sql, &[&identifier(&self.schema), &identifier(table)]).await;
        found.unwrap().get::<_, i64>(0) == 1
    }

    async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        SchemaName::new(&POSTGRES, &self.schema).table(table)
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    async fn written(&self, table: &str) -> Option<u64> {
        Some(writes::written(&self.quoted(table)))
    }

    fn column(&self, name: &str) -> String {
        (POSTGRES.column_name)(name)
    }

    fn stored(&self, cell: Cell) -> Cell {
        const YEAR_4713_BC: i64 = -210_866_803_200_000;
        match cell {
            Cell::Text(text) => Cell::Text(text.replace('\0', "\u{FFFD}")),
            Cell::Timestamp(ms) if ms < YEAR_4713_BC => Cell::Timestamp(i64::MIN),
            other => other,
        }
    }

    async fn double_rows(&self, table: &str) {
        let quoted = self.quoted(table);
        let constraint = crate::quote_identifier(&format!("{table}_pkey"));
        self.execute(&format!("ALTER TABLE {quoted} DROP CONSTRAINT {constraint}")).await;
        self.execute(&format!("INSERT INTO {quoted} SELECT * FROM {quoted}")).await;
    }
}

/// The row as its reader is told to see it: what overflowed is where it belongs.
fn row(row: &tokio_postgres::Row) -> Row {
    let mut cells = Row::new();
    for (n, column) in row.columns().iter().enumerate() {
        if column.name() != OVERFLOW {
            cells.insert(column.name().to_owned(), row.get::<_, AnyCell>(n).0);
        }
    }
    if row.columns().iter().any(|column| column.name() == OVERFLOW)
        && let AnyCell(Cell::Text(json)) = row.get(OVERFLOW)
    {
        let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        for (name, value) in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let before = cells.insert(name.clone(), Cell::Text(text));
            assert!(matches!(before, None | Some(Cell::Null)), "{name} is in its column and in the overflow");
        }
    }
    cells
}

struct AnyCell(Cell);

impl<'a> FromSql<'a> for AnyCell {
    fn from_sql(sql_type: &Type, raw: &'a [u8]) -> Result<AnyCell, Box<dyn std::error::Error + Sync + Send>> {
        let days = || i32::from_be_bytes(raw.try_into().unwrap());
        let long = || i64::from_be_bytes(raw.try_into().unwrap());
        Ok(AnyCell(match *sql_type {
            Type::BOOL => Cell::Boolean(raw == [1]),
            Type::INT4 => Cell::BigInt(days().into()),
            Type::INT8 => Cell::BigInt(long()),
            Type::FLOAT8 => Cell::Double(f64::from_be_bytes(raw.try_into().unwrap())),
            Type::DATE => Cell::Date(days() + NaiveDate::from_ymd_opt(2000, 1, 1).unwrap().to_epoch_days()),
            Type::TIMESTAMPTZ if long() == i64::MIN => Cell::Timestamp(i64::MIN),
            Type::TIMESTAMPTZ => {
                let epoch: DateTime<Utc> = "2000-01-01T00:00:00Z".parse().unwrap();
                Cell::Timestamp(long().div_euclid(1000) + epoch.timestamp_millis())
            }
            Type::JSONB => Cell::text(std::str::from_utf8(&raw[1..]).unwrap()),
            Type::TEXT | Type::VARCHAR => Cell::text(std::str::from_utf8(raw).unwrap()),
            ref other => panic!("no cell for {other}"),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<AnyCell, Box<dyn std::error::Error + Sync + Send>> {
        Ok(AnyCell(Cell::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (name, case) in CASES.iter().filter(|(name, _)| is_wanted(name)) {
        eprintln!("case: {name}");
        let Some(bench) = PostgresBench::new().await else { return };
        case(&bench).await;
        bench.close().await;
    }
}

/// The cases in which columns change, as in large tables.
async fn conforms_where_columns_are_moved(url: &str) {
    let changes = ["widened", "way there", "user's columns", "history", "kept of", "in a table that"];
    let is_chosen = |name: &str| is_wanted(name) && changes.iter().any(|part| name.contains(part));
    for (name, case) in CASES.iter().filter(|(name, _)| is_chosen(name)) {
        eprintln!("case: {name}");
        let bench = PostgresBench { small_bytes: 0, ..PostgresBench::on(url.to_owned()).await };
        case(&bench).await;
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_where_columns_are_moved_here() {
    let Some(url) = server::url() else { return };
    conforms_where_columns_are_moved(&url).await;
}

/// The cases that depend on the server's version, if any does; with `POSTGRES_CASES=all` all of them.
#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_the_oldest_and_the_newest_version() {
    let parts =
        ["every type", "newest version", "hostile", "share a primary", "at once", "mode may", "half way"];
    let all = std::env::var("POSTGRES_CASES").is_ok_and(|cases| cases == "all");
    let is_chosen = |name: &str| is_wanted(name) && (all || parts.iter().any(|part| name.contains(part)));
    for server in server::VERSIONS.map(server::Server::of_version).into_iter().flatten() {
        let url = server.socket_url();
        for (name, case) in CASES.iter().filter(|(name, _)| is_chosen(name)) {
            eprintln!("case: {name}");
            let bench = PostgresBench::on(url.clone()).await;
            case(&bench).await;
            bench.close().await;
        }
        conforms_where_columns_are_moved(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_holds_is_locked() {
    let Some(bench) = PostgresBench::new().await else { return };
    let version = AtomicU32::new(10);
    let file = |key: &str| {
        let version = i64::from(version.fetch_add(1, Ordering::Relaxed));
        contacts(key, &[], vec![contact(1, version, version, &[])]).stage(bench.folder())
    };
    bench.warehouse().await.merge(&[file("a")]).await.unwrap();
    let impatient = Transactional(Postgres {
        patience: Duration::from_millis(50),
        ..Postgres::connect(&bench.url, &bench.schema, None).await.unwrap()
    });

    let mut other = client(&bench.url).await;
    let transaction = other.transaction().await.unwrap();
    let update = format!("UPDATE {} SET _run_id = 'mine'", bench.quoted("contacts"));
    transaction.batch_execute(&update).await.unwrap();
    let error = impatient.merge(&[file("b")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked, "{error:?}");
    transaction.rollback().await.unwrap();
    assert_eq!(impatient.merge(&[file("b")]).await.unwrap().files, 1);

    // Another load has its turn.
    let transaction = other.transaction().await.unwrap();
    let turn = format!("hubspot-source {}.contacts", bench.schema);
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    transaction.execute(lock, &[&turn]).await.unwrap();
    assert_eq!(impatient.merge(&[file("c")]).await.unwrap_err().kind(), Kind::Locked);
    // Readers wait for nobody, and a lost connection is replaced.
    assert_eq!(impatient.loaded("contacts").await.unwrap().len(), 2);
    transaction.rollback().await.unwrap();
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_lost_is_replaced() {
    let Some(bench) = PostgresBench::new().await else { return };
    let warehouse = Postgres::connect(&bench.url, &bench.schema, None).await.unwrap();
    let pid: i32 = {
        let idle = warehouse.client().await.unwrap();
        let pid = idle.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        warehouse.put_back(idle);
        pid
    };
    bench.client.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    assert_eq!(Transactional(warehouse).account().await.unwrap(), None);
    bench.close().await;
}

/// Errors hold no values: the server's own detail would say which key it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_key_is_refused_without_its_value() {
    let Some(bench) = PostgresBench::new().await else { return };
    let file = |key: &str| {
        let mut file =
            contacts(key, &[("email", ColumnType::Text)], vec![contact(1, 1, 1, &[Cell::text("ada@x")])]);
        file.table.primary_key = vec!["email".to_owned()];
        file
    };
    merge(&bench, &[file("a")]).await;
    bench.double_rows("contacts").await;
    let error = bench.warehouse().await.merge(&[file("b").stage(bench.folder())]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RowCount, "{error:?}");
    assert!(!format!("{error:?}").contains("ada@x"), "{error:?}");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_key_leads_the_primary_key() {
    let Some(bench) = PostgresBench::new().await else { return };
    let mut file = identities("a", vec![]);
    file.table.primary_key = ["value", "type", "id"].map(str::to_owned).to_vec();
    merge(&bench, &[file]).await;
    let sql = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = CAST($1 AS text)::regclass";
    let index: String = bench.client.query_one(sql, &[&bench.quoted("identities")]).await.unwrap().get(0);
    assert!(index.ends_with("(type, id, value)"), "{index}");
    bench.close().await;
}

//! The conformance suite on what takes BigQuery's API: an emulator that nobody here wrote, or a project of yours.
//!
//! The emulator is bqemulator, started by `judges/bigquery.py`, which says what it lacks. It checks no limits and no
//! credentials, takes a job's id twice, and knows neither locations nor transactions at once: those are the twin's.

use std::path::Path;
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use tempfile::TempDir;

use super::super::dialect::{BIGQUERY, identifier, spelled};
use super::super::{BigQuery, columns_of, engine, url};
use super::stored;
use crate::conformance::{Bench, Cell, Row, cases_of};
use crate::twin::{started, tool};
use crate::{Warehouse, connect, quote_identifier};

/// Cases that say nothing there, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("a user's columns stay", "ALTER TABLE ... ADD COLUMN takes no default in BigQuery"),
    ("two merges of the same files at once", "the emulator has one transaction at a time, and aborts none"),
    ("two merges of different files at once", "the emulator has one transaction at a time, and aborts none"),
];

/// Parts of the names of the cases that are run unless `EMULATOR_CASES` is `all`: a merge takes it half a second or more.
const RUN: &[&str] = &[
    "merging twice",
    "NULL clears",
    "what a newer read of a set lacks",
    "every type",
    "new column",
    "widened primary key",
    "extreme values",
    "names equal but for case",
    "the mode may change",
    "every difference",
    "runs are recorded",
    "counts and ledger",
    "what is forgotten",
    "no primary key value",
    "rows that share",
    "a failure half way",
    "put aside",
];

/// A dataset of its own.
struct LiveBench {
    url: String,
    credential: Option<SecretString>,
    dataset: String,
    /// For looking into it.
    engine: BigQuery,
    staged: TempDir,
}

struct Emulator {
    port: u16,
    /// It ends when its input does, which is when this process does.
    _program: Child,
}

/// `None` if tests are to go on without.
fn emulator() -> Option<&'static Emulator> {
    static EMULATOR: OnceLock<Option<Emulator>> = OnceLock::new();
    EMULATOR.get_or_init(start).as_ref()
}

fn start() -> Option<Emulator> {
    let (line, program) = started(&tool("bqemulator"), "judges/bigquery.py", &[])?;
    Some(Emulator { port: line.parse().expect("the emulator's port"), _program: program })
}

impl LiveBench {
    /// In the project of `WAREHOUSE_TEST_URL`, or in the emulator.
    fn open() -> Option<LiveBench> {
        static BENCHES: AtomicU32 = AtomicU32::new(0);
        let given = std::env::var("WAREHOUSE_TEST_URL").ok().filter(|url| url.starts_with("bigquery:"));
        let dataset =
            format!("warehouse_test_{}_{}", std::process::id(), BENCHES.fetch_add(1, Ordering::Relaxed));
        let (url, credential) = match given {
            Some(url) => (url, std::env::var("WAREHOUSE_PASSWORD").ok().map(SecretString::from)),
            None => (format!("bigquery://emulator?endpoint=http://127.0.0.1:{}", emulator()?.port), None),
        };
        let engine = engine(url::target(&url).unwrap(), &dataset, credential.as_ref()).unwrap();
        Some(LiveBench { url, credential, dataset, engine, staged: TempDir::new().unwrap() })
    }

    async fn close(self) {
        self.engine.api.run(&format!("DROP SCHEMA IF EXISTS `{}` CASCADE", self.dataset)).await.unwrap();
    }
}

#[async_trait]
impl Bench for LiveBench {
    async fn warehouse(&self) -> Box<dyn Warehouse> {
        connect(&self.url, &self.dataset, self.credential.clone(), None).await.unwrap()
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let described =
            self.engine.api.table(&self.dataset, &identifier(table)).await.unwrap().expect("table");
        let columns = columns_of(&described);
        let text = |column: &crate::table::TableColumn| {
            let name = quote_identifier(&column.name);
            match column.type_name.as_str() {
                "TIMESTAMP" => format!("UNIX_MILLIS({name})"),
                "DATE" => format!("UNIX_DATE({name})"),
                _ => name,
            }
        };
        let texts: Vec<String> = columns.iter().map(text).collect();
        let sql = format!("SELECT {} FROM {}", texts.join(", "), self.quoted(table));
        let rows = self.engine.api.rows(&spelled(&sql)).await.unwrap();
        let cell = |(column, text): (&crate::table::TableColumn, Option<String>)| {
            let cell = text.map_or(Cell::Null, |text| match column.type_name.as_str() {
                "INT64" => Cell::BigInt(text.parse().unwrap()),
                "FLOAT64" => Cell::Double(text.parse().unwrap()),
                "BOOL" => Cell::Boolean(text == "true"),
                "DATE" => Cell::Date(text.parse().unwrap()),
                "TIMESTAMP" => Cell::Timestamp(text.parse().unwrap()),
                "STRING" => Cell::Text(text),
                other => panic!("no cell for {other}"),
            });
            (column.name.clone(), cell)
        };
        rows.into_iter().map(|row| columns.iter().zip(row).map(cell).collect()).collect()
    }

    async fn has_table(&self, table: &str) -> bool {
        self.engine.api.table(&self.dataset, &identifier(table)).await.unwrap().is_some()
    }

    async fn execute(&self, sql: &str) {
        self.engine.api.run(&spelled(&sql.replace(" VARCHAR", " STRING"))).await.unwrap();
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote_identifier(&self.dataset), quote_identifier(&identifier(table)))
    }

    fn folder(&self) -> &Path {
        self.staged.path()
    }

    fn column(&self, name: &str) -> String {
        (BIGQUERY.column_name)(name)
    }

    fn stored(&self, cell: Cell) -> Cell {
        stored(cell)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    for (_, case) in cases_of(RUN, NOT_RUN, "EMULATOR_CASES") {
        let Some(bench) = LiveBench::open() else { return };
        case(&bench).await;
        bench.close().await;
    }
}

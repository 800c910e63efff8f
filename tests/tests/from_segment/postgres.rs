//! The same on PostgreSQL: a server of our own, whose tables go to DuckDB in the end to be compared with the account.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use duckdb::Connection;
use tests::COLLECTIONS;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{assert_report, moved};

/// User id of the server if the tests run as root, which servers refuse.
const NOBODY: u32 = 65_534;
const PORT: u16 = 5432;

/// A server in a folder of its own, where alone it listens. It ends with the test.
struct Server {
    folder: PathBuf,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Finds the programs where the warehouse's tests do: in `PG_BIN`, in the path, in Debian's folders.
fn binaries() -> PathBuf {
    let named = std::env::var_os("PG_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let places = named.into_iter().chain(std::env::split_paths(&path)).chain(debian);
    let mut usable =
        places.filter(|place| place.join("initdb").is_file() && place.join("postgres").is_file());
    usable
        .next()
        .expect("no PostgreSQL server to test with: install one, or set PG_BIN to the folder of its initdb")
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let (binaries, data) = (binaries(), folder.join("data"));
        let mut initdb = unprivileged(&binaries.join("initdb"));
        initdb.args([
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--auth=trust",
            "-D",
        ]);
        assert!(initdb.arg(&data).status().unwrap().success(), "initdb");
        let mut postgres = unprivileged(&binaries.join("postgres"));
        postgres.arg("-D").arg(&data).arg("-k").arg(&folder).args(["-p", &PORT.to_string(), "-F"]);
        postgres.args(["-c", "listen_addresses="]);
        Server { folder, process: postgres.spawn().unwrap() }
    }

    fn url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}&port={PORT}", self.folder.display())
    }

    async fn client(&self) -> Client {
        let config = format!("host={} port={PORT} user=postgres dbname=postgres", self.folder.display());
        let started = Instant::now();
        loop {
            match tokio_postgres::connect(&config, NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return client;
                }
                Err(error) => assert!(started.elapsed() < Duration::from_secs(60), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Rows of a query, as texts.
async fn texts(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

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
    if std::env::var("WAREHOUSE_TEST_SKIP_POSTGRES").is_ok_and(|value| value == "1") {
        eprintln!("SKIPPED: no PostgreSQL server, and WAREHOUSE_TEST_SKIP_POSTGRES=1");
        return;
    }
    let (server, moved) = (Server::start(), moved().await);
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

//! A PostgreSQL server of a test's own.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// User id of the server if the tests run as root, which servers refuse.
const NOBODY: u32 = 65_534;
const PORT: u16 = 5432;

/// A server in a folder of its own, where alone it listens. It ends with the test.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    process: Child,
}

impl Drop for PostgresServer {
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

impl PostgresServer {
    /// `None`: tests are to go on without.
    pub fn start_unless_skipped() -> Option<PostgresServer> {
        if std::env::var("WAREHOUSE_TEST_SKIP_POSTGRES").is_ok_and(|value| value == "1") {
            eprintln!("SKIPPED: no PostgreSQL server, and WAREHOUSE_TEST_SKIP_POSTGRES=1");
            return None;
        }
        Some(PostgresServer::start())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn start() -> PostgresServer {
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
        PostgresServer { folder, process: postgres.spawn().unwrap() }
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}&port={PORT}", self.folder.display())
    }

    pub async fn client(&self) -> Client {
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
pub async fn texts(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

//! PostgreSQL servers of our own in temporary folders: the one at hand, and those of the oldest and the newest version,
//! each for all tests of the process. They end with the process, however that ends.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Variable with the folder of `initdb` and `postgres`, if they are not in the usual ones.
const BINARIES: &str = "PG_BIN";
/// Variable that, set to 1, lets tests go on without a server.
const SKIP: &str = "WAREHOUSE_TEST_SKIP_POSTGRES";
/// URL of an existing server; see the README.
const URL: &str = "WAREHOUSE_TEST_URL";
pub(super) const PASSWORD: &str = "p@ss/word";

/// The oldest version that we take, and the newest.
pub(super) const VERSIONS: [&str; 2] = ["13", "18"];

/// User id of the server if the tests run as root, which servers refuse.
const NOBODY: u32 = 65_534;

pub(super) struct Server {
    folder: PathBuf,
    port: u16,
    /// Keeps the server alive: its shell waits for the end of this pipe.
    _shell: Child,
}

/// Returns the server to test with; `None` if the test is to be skipped, which the caller reports.
pub(super) fn url() -> Option<String> {
    if let Ok(url) = std::env::var(URL)
        && url.starts_with("postgres")
    {
        return Some(url);
    }
    Server::shared().map(|server| server.socket_url())
}

impl Server {
    pub(super) fn shared() -> Option<&'static Server> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(|| Server::start(&[])).as_ref()
    }

    /// Returns the server of the oldest or the newest version, which `scripts/setup --tests` has fetched.
    pub(super) fn of_version(major: &'static str) -> Option<&'static Server> {
        static SERVERS: [OnceLock<Option<Server>>; 2] = [const { OnceLock::new() }; 2];
        let server =
            VERSIONS.iter().zip(&SERVERS).find(|(version, _)| **version == major).map(|(_, server)| server);
        let start = || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/tools/postgres").join(major);
            if root.join("bin/postgres").is_file() {
                return Some(Server::of(&root.join("bin"), &[]));
            }
            assert!(
                skips(),
                "no PostgreSQL {major} server to test with: scripts/setup --tests fetches it; {SKIP}=1 goes on"
            );
            eprintln!("SKIPPED: no PostgreSQL {major} server, and {SKIP}=1");
            None
        };
        server?.get_or_init(start).as_ref()
    }

    /// Starts a server with more lines in `postgresql.conf`, and more files in its folder.
    pub(super) fn start(files: &[(&str, &str)]) -> Option<Server> {
        let Some(binaries) = binaries() else {
            if skips() {
                eprintln!("SKIPPED: no PostgreSQL server, and {SKIP}=1");
                return None;
            }
            panic!(
                "no PostgreSQL server to test with: install one (Debian: apt-get install postgresql; macOS: brew \
                 install postgresql), set {BINARIES} to the folder of its initdb, or {URL} to a server you have; \
                 {SKIP}=1 goes on without"
            );
        };
        Some(Server::of(&binaries, files))
    }

    fn of(binaries: &Path, files: &[(&str, &str)]) -> Server {
        // Not TempDir: its folder would have to outlive the process. Short, for a socket's path has 107 bytes.
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let binaries = runnable(binaries, &folder);
        let data = folder.join("data");
        let password = folder.join("password");
        write(&password, PASSWORD);
        let mut initdb = unprivileged(&binaries.join("initdb"));
        initdb.args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256"]);
        initdb.arg("--pwfile").arg(&password).arg("-D").arg(&data);
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));

        for (name, text) in files {
            write(&data.join(name), text);
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut configuration =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        let (socket, durable) = (folder.display(), "fsync = off\nfull_page_writes = off\n");
        write!(
            configuration,
            "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket}'\n\
             shared_buffers = 256MB\nmax_wal_size = 8GB\n{durable}include_if_exists = 'more.conf'\n"
        )
        .unwrap();
        drop(configuration);

        let script =
            "\"$1\" -D \"$2/data\" >\"$2/log\" 2>&1 & read -r end; kill -QUIT $!; wait; rm -rf \"$2\"";
        let mut shell = unprivileged(Path::new("/bin/sh"));
        shell.args(["-c", script, "sh"]).arg(binaries.join("postgres")).arg(&folder).stdin(Stdio::piped());
        // An interrupt from the terminal goes to the whole group; the shell has to outlive it.
        shell.process_group(0);
        let server = Server { folder, port, _shell: shell.spawn().unwrap() };
        server.wait();
        server
    }

    fn wait(&self) {
        let started = Instant::now();
        let is_ready = || {
            let status = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
            status.is_ok_and(|status| status.lines().any(|line| line.trim() == "ready"))
        };
        while !is_ready() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(60), "postgres did not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    pub(super) fn socket_url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}&port={}", self.folder.display(), self.port)
    }

    /// Returns the URL by TCP, where the server asks for [`PASSWORD`].
    pub(super) fn tcp_url(&self, host: &str, query: &str) -> String {
        format!("postgres://postgres@{host}:{}/postgres?{query}", self.port)
    }
}

fn skips() -> bool {
    std::env::var(SKIP).is_ok_and(|value| value == "1")
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Returns the folder of the programs, or a copy of them if only root may enter it.
fn runnable(binaries: &Path, folder: &Path) -> PathBuf {
    if unprivileged(&binaries.join("postgres")).arg("--version").output().is_ok() {
        return binaries.to_owned();
    }
    let copy = folder.join("programs");
    let copied = Command::new("cp").arg("-a").arg(binaries.join("..")).arg(&copy).status().unwrap();
    assert!(copied.success(), "{} can't be copied", binaries.display());
    copy.join("bin")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Finds the programs: in `PG_BIN` if it is set; else by `pg_config`, in the path, and in Debian's folders, the newest
/// version first.
fn binaries() -> Option<PathBuf> {
    let has_server = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
    if let Some(named) = std::env::var_os(BINARIES) {
        return Some(PathBuf::from(named)).filter(has_server);
    }
    let config = Command::new("pg_config").arg("--bindir").output().ok();
    let config = config.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    let places = config.into_iter().chain(std::env::split_paths(&path));
    places.chain(versions.into_iter().rev()).find(has_server)
}

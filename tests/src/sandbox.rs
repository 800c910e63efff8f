//! A folder for one pipeline, and the commands run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use duckdb::Connection;
use fake_hubspot::{Account, Behaviour, Limits, Server, Settings};
use serde_json::Value;
use tempfile::TempDir;

/// One account, one state folder, one DuckDB file.
#[derive(Debug)]
pub struct Sandbox {
    pub server: Server,
    folder: TempDir,
}

/// Exit code and output of a command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// Parses the report of `--report json`.
    #[track_caller]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no report ({error}) in {self:#?}"))
    }

    /// Parses the report of a sync, which has to be complete.
    #[track_caller]
    pub fn complete(&self) -> Value {
        let report = self.report();
        assert_eq!(self.code, Some(0), "{report:#}\n{}", self.stderr);
        report
    }
}

impl Sandbox {
    /// Starts an account with this behaviour, except for its limits: they are so wide that tests don't wait for them.
    pub async fn new(settings: &Settings, behaviour: Behaviour) -> Sandbox {
        let wide = Limits { general: 50_000, search: 5_000, associations: 50_000, ..behaviour.limits };
        Sandbox::with_limits(settings, Behaviour { limits: wide, ..behaviour }).await
    }

    /// Starts an account with exactly this behaviour.
    pub async fn with_limits(settings: &Settings, behaviour: Behaviour) -> Sandbox {
        let account = Arc::new(Account::generate(settings));
        let server = Server::start(account, behaviour).await.unwrap();
        Sandbox { server, folder: tempfile::tempdir().unwrap() }
    }

    pub fn account(&self) -> &Account {
        self.server.account()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn database(&self) -> Connection {
        Connection::open(self.path("warehouse.duckdb")).unwrap()
    }

    /// Returns `hubspot-source sync` with this account's URL and token; `more` may override any of it.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(binary("hubspot-source"));
        let has = |name: &str| more.contains(&name);
        command.arg("sync").env_clear().env("HUBSPOT_TOKEN", "pat-na1-fake").env("PATH", "");
        if !has("--warehouse") {
            command.arg("--warehouse").arg(format!("duckdb:{}", self.path("warehouse.duckdb").display()));
        }
        if !has("--state") {
            command.arg("--state").arg(self.path("state"));
        }
        if !has("--hubspot-url") {
            command.arg("--hubspot-url").arg(self.server.url());
        }
        if !has("--report") {
            command.args(["--report", "json"]);
        }
        command.args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub async fn sync(&self, more: &[&str]) -> CommandOutput {
        ended(self.command(more)).await
    }

    /// Returns another command of `hubspot-source`, with this account's URL and token as its only environment.
    pub fn subcommand(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(binary("hubspot-source"));
        command.arg(name).env_clear().env("HUBSPOT_TOKEN", "pat-na1-fake").env("PATH", "");
        command.arg("--hubspot-url").arg(self.server.url()).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns a command about this state and this warehouse that needs no HubSpot; `more` may name another warehouse.
    pub fn local(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(binary("hubspot-source"));
        command.arg(name).env_clear().env("PATH", "").arg("--state").arg(self.path("state"));
        if !more.contains(&"--warehouse") {
            command.arg("--warehouse").arg(format!("duckdb:{}", self.path("warehouse.duckdb").display()));
        }
        command.args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a sync and leaves it running.
    pub fn start(&self, more: &[&str]) -> Child {
        self.command(more).spawn().unwrap()
    }
}

/// Runs a command to its end while the fake account, which shares the runtime, still answers.
pub async fn ended(mut command: Command) -> CommandOutput {
    let run = std::thread::spawn(move || command.output().unwrap());
    while !run.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let Output { status, stdout, stderr } = run.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    CommandOutput { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Returns `hubspot-source` with these arguments and no environment, as in a pipe.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("hubspot-source"));
    command.args(arguments).env_clear().env("PATH", "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns the path of a program of this workspace, in the target directory that the test is in.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join(name);
    assert!(program.exists(), "{} is not built: cargo build --release -p {name}", program.display());
    program
}

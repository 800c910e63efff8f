//! Emulators of AWS, which `scripts/setup --tests` fetches.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

/// A program that listens on a port of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) url: String,
    child: Child,
}

impl Program {
    /// Starts the emulator of S3, DynamoDB and Secrets Manager.
    pub(super) async fn moto() -> Program {
        let port = free_port();
        let mut command = Command::new(tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Program::start(command, port).await
    }

    /// Starts the runtime API from which functions of these names take their events.
    pub(super) async fn runtime(functions: &[String]) -> Program {
        let port = free_port();
        let mut command = Command::new(tool("cargo-lambda"));
        command.args([
            "lambda",
            "watch",
            "--only-lambda-apis",
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
        ]);
        // It serves the programs of a Cargo project, and asks for no more than their names.
        let project = tempfile::tempdir().unwrap();
        let programs: String = functions
            .iter()
            .map(|name| format!("[[bin]]\nname = \"{name}\"\npath = \"main.rs\"\n"))
            .collect();
        let package = "[package]\nname = \"functions\"\nversion = \"0.0.0\"\n";
        std::fs::write(project.path().join("Cargo.toml"), format!("{package}{programs}")).unwrap();
        std::fs::write(project.path().join("main.rs"), "").unwrap();
        command.arg(port.to_string()).current_dir(project.path());
        Program::start(command, port).await
    }

    async fn start(mut command: Command, port: u16) -> Program {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for _ in 0..600 {
            let is_open = TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            // Another program may have got the port first.
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?} ended: {ended:?}");
            if is_open {
                return Program { url: format!("http://127.0.0.1:{port}"), child };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _ = child.kill();
        panic!("{command:?} does not listen");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tool(name: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/tools/moto/bin").join(name);
    assert!(tool.exists(), "{} is missing: scripts/setup --tests", tool.display());
    tool
}

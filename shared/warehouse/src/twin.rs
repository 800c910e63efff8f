//! A program that plays Redshift (`twins/server.py`): one for all tests, with a database for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_redshiftdata::config::Credentials;
use aws_smithy_http_client::{Builder, tls};

#[derive(Debug)]
pub(super) struct Twin {
    port: u16,
    /// It ends when its input does, which is when this process does.
    _program: Child,
}

/// `None` if tests are to go on without.
pub(super) fn redshift() -> Option<&'static Twin> {
    static TWIN: OnceLock<Option<Twin>> = OnceLock::new();
    TWIN.get_or_init(|| start("redshift")).as_ref()
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

impl Twin {
    pub(super) async fn aws(&self) -> SdkConfig {
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .http_client(http)
            .load()
            .await
    }

    /// What only the twin can do, beside the API.
    pub(super) fn call(&self, what: &str, body: &serde_json::Value) -> serde_json::Value {
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

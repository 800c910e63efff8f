//! The start of a Lambda function, up to its question for the first event.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::measure::program;

/// Seconds from the start of a function's process to its question for the first event, which is left unanswered.
pub(crate) fn start_seconds(function: &str) -> anyhow::Result<f64> {
    let runtime = TcpListener::bind("127.0.0.1:0")?;
    let address = runtime.local_addr()?.to_string();
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("STACK", "bench"),
        ("FEED", "contacts"),
        ("STATE_TABLE", "bench"),
        ("BUCKET", "bench"),
        ("SCHEMA", "hubspot"),
        ("HUBSPOT_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:bench"),
        ("WAREHOUSE_URL", "postgres://bench@127.0.0.1/bench"),
    ];
    let started = Instant::now();
    let mut process = Command::new(program(function)?)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let asked = first_question(&runtime, started);
    process.kill()?;
    process.wait()?;
    asked.with_context(|| format!("{function} does not ask for an event"))
}

fn first_question(runtime: &TcpListener, started: Instant) -> anyhow::Result<f64> {
    runtime.set_nonblocking(true)?;
    let mut connection = loop {
        match runtime.accept() {
            Ok((connection, _)) => break connection,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(started.elapsed() < Duration::from_secs(10), "nothing came in ten seconds");
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(error.into()),
        }
    };
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = [0; 512];
    let length = connection.read(&mut head)?;
    let seconds = started.elapsed().as_secs_f64();
    let question = String::from_utf8_lossy(&head[..length]);
    let line = question.lines().next().unwrap_or_default();
    let _ = connection.write_all(b"");
    ensure!(line.contains("/invocation/next"), "it asks {line:?}");
    Ok(seconds)
}

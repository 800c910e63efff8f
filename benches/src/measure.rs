//! Cost of a program from its start to its end: CPU of all its threads, the most memory it held, time.
//!
//! The system tells it of children that have ended, all together. So each program is started by a process of its own,
//! `bench measure`, which has no other child. Its memory must stay small: what a process holds when it starts a
//! program counts as that program's.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::group::Group;

/// Bytes in a unit of `ru_maxrss`: a kibibyte, on macOS a byte.
const MAX_RSS_UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
}

/// `bench measure`: runs the program, in the control groups with these lists of members, and prints its cost.
pub(crate) fn measure(join: &[PathBuf], program: &[OsString]) -> anyhow::Result<()> {
    for members in join {
        std::fs::write(members, std::process::id().to_string())
            .with_context(|| format!("{} can't be joined", members.display()))?;
    }
    let (name, arguments) = program.split_first().context("a program is needed")?;
    let started = Instant::now();
    let ended = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} can't be started", name.display()))?;
    let seconds = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cost = Cost {
        cpu_seconds: (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6,
        peak_memory_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * MAX_RSS_UNIT,
        seconds,
        code: ended.status.code(),
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
    };
    serde_json::to_writer(std::io::stdout().lock(), &cost)?;
    Ok(writeln!(std::io::stdout())?)
}

/// Runs a program that has to succeed, in the group if there is one, and tells its cost.
pub(crate) fn cost_of(
    program: &Path,
    arguments: &[OsString],
    more: &[(&str, OsString)],
    group: Option<&Group>,
) -> anyhow::Result<Cost> {
    let join = group.into_iter().flat_map(Group::members);
    let output = Command::new(std::env::current_exe()?)
        .arg("measure")
        .args(join.flat_map(|members| [OsString::from("--join"), members.into()]))
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)))
        .env("HUBSPOT_TOKEN", "pat-na1-fake")
        .envs(more.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{} can't be measured", program.display());
    let cost: Cost = serde_json::from_slice(&output.stdout)?;
    ensure!(cost.code == Some(0), "{} ended with {:?}: {}", program.display(), cost.code, cost.stdout);
    Ok(cost)
}

/// Returns the path of a program of this workspace, in this one's folder.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let bench = std::env::current_exe()?;
    let path = bench.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.exists(), "{} is not built: cargo build --release --workspace --bins", path.display());
    Ok(path)
}

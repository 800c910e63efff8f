//! Build script: what `--version` says of the sources and the platform, and where the program finds DuckDB.

#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::path::Path;
use std::process::Command;

#[path = "../scripts/duckdb_rpath.rs"]
mod duckdb_rpath;

/// The commit of a build that says it itself, as `scripts/release` does.
const COMMIT: &str = "HUBSPOT_SOURCE_COMMIT";

fn main() {
    duckdb_rpath::main();
    println!("cargo:rerun-if-env-changed={COMMIT}");
    let given = std::env::var(COMMIT).ok().filter(|commit| !commit.is_empty());
    println!(
        "cargo:rustc-env={COMMIT}={}",
        given.or_else(checked_out).unwrap_or_else(|| "unknown".to_owned())
    );
    println!("cargo:rustc-env=HUBSPOT_SOURCE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}

/// Returns the commit that is checked out; `None` in a tree without git's folder, such as that of an archive.
fn checked_out() -> Option<String> {
    // An archive that lies in the tree of another repository is not of that repository's commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let own = Path::new("..").canonicalize().ok()?;
    if Path::new(&top).canonicalize().ok()? != own {
        return None;
    }
    // Each commit and checkout adds a line to this file. One that is not there would have this script run each time.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(words: &[&str]) -> Option<String> {
    let answer = Command::new("git").args(words).output().ok().filter(|answer| answer.status.success())?;
    let text = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

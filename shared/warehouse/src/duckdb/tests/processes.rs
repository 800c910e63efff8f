//! Other processes that have the file open, or are killed while they merge. The other process is this test program,
//! which runs one of the ignored tests below.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use staging::ColumnType;
use tempfile::TempDir;

use super::{DuckDbBench, Handle, SCHEMA, assert_says};
use crate::conformance::{Bench, Cell, File, assert_table_is_newest, contact, contacts, merge};
use crate::{Kind, Warehouse, connect};

const FOLDER: &str = "WAREHOUSE_TEST_FOLDER";
const FILES: i64 = 24;

fn file(n: i64) -> File {
    let row =
        |id: i64| contact(id, (id * 7 + n * 13) % 101, n, &[Cell::text(format!("{id} as of file {n}"))]);
    contacts(&format!("file-{n}"), &[("name", ColumnType::Text)], (0..500).map(row).collect())
}

async fn warehouse(folder: &Path) -> Box<dyn Warehouse> {
    connect(&format!("duckdb:{}", folder.join("hubspot.duckdb").display()), SCHEMA, None, None).await.unwrap()
}

/// Starts an ignored test in a process of its own, and waits for its line `ready`. Its pipes stay open.
fn spawn(test: &str, folder: &Path) -> (Child, ChildStdin, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("duckdb::tests::processes::{test}")])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")), "{test} said nothing");
    (child, stdin, lines)
}

fn folder_of_parent() -> PathBuf {
    std::env::var_os(FOLDER).expect("run by another test").into()
}

#[tokio::test]
#[ignore = "the other process of a_file_that_another_process_holds_is_locked"]
async fn holds_the_file() {
    let held = warehouse(&folder_of_parent()).await;
    println!("ready");
    drop(std::io::stdin().lines().next());
    drop(held);
}

#[tokio::test]
#[ignore = "the other process of killed_at_any_moment_a_merge_is_whole_or_nothing"]
async fn merges_until_it_is_killed() {
    let folder = folder_of_parent();
    let merging = warehouse(&folder).await;
    println!("ready");
    for n in 0..FILES {
        merging.merge(&[file(n).stage(&folder)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_locked() {
    let folder = TempDir::new().unwrap();
    warehouse(folder.path()).await.merge(&[file(0).stage(folder.path())]).await.unwrap();
    let (mut child, stdin, _stdout) = spawn("holds_the_file", folder.path());
    let waiting = warehouse(folder.path()).await;
    assert_says(&waiting.account().await.unwrap_err(), Kind::Locked, "open in another process");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(stdin);
    });
    assert_eq!(waiting.loaded("contacts").await.unwrap().len(), 1);
    release.join().unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_file_that_is_not_given_back_is_waited_for_once() {
    let folder = TempDir::new().unwrap();
    warehouse(folder.path()).await.merge(&[file(0).stage(folder.path())]).await.unwrap();
    let (mut child, stdin, _stdout) = spawn("holds_the_file", folder.path());
    let handle = Handle::open(folder.path().join("hubspot.duckdb").to_str().unwrap()).unwrap();
    let wait = |wait_ms| {
        let began = Instant::now();
        let refused = handle.read(Duration::from_millis(wait_ms), |_| Ok(())).unwrap_err();
        assert_says(&refused, Kind::Locked, "close it there");
        began.elapsed()
    };
    assert!(wait(200) >= Duration::from_millis(200));
    assert!(wait(60_000) < Duration::from_secs(30), "nobody waits again");
    drop(stdin);
    assert!(child.wait().unwrap().success());
    handle.read(Duration::ZERO, |_| Ok(())).unwrap().unwrap();
}

#[tokio::test]
async fn a_file_that_is_released_is_free_for_others_until_it_is_used_again() {
    let folder = TempDir::new().unwrap();
    let released = warehouse(folder.path()).await;
    released.merge(&[file(0).stage(folder.path())]).await.unwrap();
    released.release().await;
    let (mut child, stdin, _stdout) = spawn("holds_the_file", folder.path());
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert_eq!(released.loaded("contacts").await.unwrap().len(), 1);
}

/// Checks that each process gets further than the one before, since merged files are skipped.
#[tokio::test]
async fn killed_at_any_moment_a_merge_is_whole_or_nothing() {
    let folder = TempDir::new().unwrap();
    let mut counts = Vec::new();
    for kill_after_ms in [5, 30, 55, 80, 130, 210, 340] {
        let (mut child, _stdin, _stdout) = spawn("merges_until_it_is_killed", folder.path());
        std::thread::sleep(Duration::from_millis(kill_after_ms));
        child.kill().unwrap();
        child.wait().unwrap();

        let bench = DuckDbBench::at(folder.path());
        let loaded = bench.warehouse().await.loaded("contacts").await.unwrap();
        let files: Vec<File> = (0..FILES).map(file).filter(|file| loaded.contains(&file.key)).collect();
        counts.push(files.len());
        if !files.is_empty() {
            assert_table_is_newest(&bench, &files).await;
        }
    }
    assert!(counts.is_sorted(), "what was committed stays: {counts:?}");
    println!("files loaded after each kill: {counts:?}");

    let files: Vec<File> = (0..FILES).map(file).collect();
    let bench = DuckDbBench::at(folder.path());
    assert_eq!(merge(&bench, &files).await.files, FILES as u64 - counts.last().copied().unwrap_or(0) as u64);
    assert_table_is_newest(&bench, &files).await;
}

//! Staged files of a folder that become few, by the command and behind syncs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fake_hubspot::{Behaviour, ObjectType};
use staging::State;
use tests::{CommandOutput, Expectations, Sandbox, assert_objects_equal, ended};

const DEALS: [&str; 2] = ["--collections", "deals"];

async fn compact(sandbox: &Sandbox, more: &[&str]) -> CommandOutput {
    let mut command = Command::new(sandbox.command(&[]).get_program());
    command.env_clear().args(["compact", "--report", "json", "--state"]).arg(sandbox.path("state"));
    command.arg("--warehouse").arg(format!("duckdb:{}", sandbox.path("warehouse.duckdb").display()));
    command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command).await
}

async fn files(sandbox: &Sandbox) -> usize {
    State::open_folder(&sandbox.path("state")).unwrap().files("deals").await.unwrap().len()
}

fn edit(sandbox: &Sandbox, round: usize) {
    for id in sandbox.account().live_ids(ObjectType::Deals).into_iter().take(3) {
        let name = format!("round {round}");
        sandbox.account().update(ObjectType::Deals, id, &[("dealname", Some(&name))]).unwrap();
    }
}

fn assert_equal(sandbox: &Sandbox) {
    let database = sandbox.database();
    assert_objects_equal(&[ObjectType::Deals], &database, sandbox.account(), &Expectations::default());
}

/// Folders and files below a folder that others than their owner may read.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::metadata(&path).unwrap().permissions().mode() & 0o077 != 0 {
            open.push(path.display().to_string());
        }
        if path.is_dir() {
            open.extend(open_to_others(&path));
        }
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_become_one_and_fill_a_lost_warehouse() {
    let sandbox = Sandbox::new(&super::settings(), Behaviour::default()).await;
    for round in 0..3 {
        edit(&sandbox, round);
        sandbox.sync(&DEALS).await.complete();
    }
    assert_eq!(files(&sandbox).await, 3);
    let unknown = compact(&sandbox, &["--collections", "leeds"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("\"leeds\"") && unknown.stderr.contains("deals"), "{unknown:#?}");
    let report = compact(&sandbox, &[]).await.report();
    assert_eq!((&report["deals"]["files_before"], &report["deals"]["files_after"]), (&3.into(), &1.into()));
    assert_eq!(files(&sandbox).await, 1);
    // Twice is once.
    let report = compact(&sandbox, &[]).await.report();
    assert_eq!(report["deals"]["files_before"], 0);
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&DEALS).await.complete();
    assert_equal(&sandbox);
    // None of it is for other users of the machine.
    assert_eq!(open_to_others(&sandbox.path("state")), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_keep_the_number_of_files_small() {
    let sandbox = Sandbox::new(&super::settings(), Behaviour::default()).await;
    let mut most = 0;
    for round in 0..20 {
        edit(&sandbox, round);
        sandbox.sync(&DEALS).await.complete();
        most = most.max(files(&sandbox).await);
    }
    assert!((10..=16).contains(&most), "{most} files");
    assert!(files(&sandbox).await < 10);
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&DEALS).await.complete();
    assert_equal(&sandbox);
}

/// Ages all staged files of a state that no run is at, as if the days had passed.
fn age_files(sandbox: &Sandbox, days: i64) {
    let path = sandbox.path("state/feeds/deals.json");
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let files = document["registered"]["newest"].as_array_mut().unwrap();
    assert!(!files.is_empty());
    for file in files {
        let staged_at = file["staged_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        file["staged_at"] = serde_json::json!(staged_at - chrono::TimeDelta::days(days));
    }
    std::fs::write(&path, document.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_is_missed_by_name_until_it_is_read_again() {
    let sandbox = Sandbox::new(&super::settings(), Behaviour::default()).await;
    sandbox.sync(&DEALS).await.complete();
    age_files(&sandbox, 10);
    edit(&sandbox, 1);
    let keep_three_days = [&DEALS[..], &["--keep-staged", "3"]].concat();
    sandbox.sync(&keep_three_days).await.complete();
    // The table holds what the files do not.
    assert_equal(&sandbox);

    sandbox.database().execute_batch("DROP TABLE hubspot.deals").unwrap();
    let red = sandbox.sync(&DEALS).await;
    assert_eq!(red.code, Some(1));
    let said = format!("{}{}", red.stdout, red.stderr);
    assert!(said.contains("as the retention says") && said.contains("sync --mode backfill"), "{said}");
    let backfill = [&DEALS[..], &["--mode", "backfill"]].concat();
    assert_eq!(sandbox.sync(&backfill).await.code, Some(0));
    assert_equal(&sandbox);
    sandbox.sync(&DEALS).await.complete();
    // From now on the files fill a lost warehouse again.
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&DEALS).await.complete();
    assert_equal(&sandbox);
}

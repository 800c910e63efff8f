//! Wrong use and wrong configuration: a clear message with the next step, the right exit code, no data lost.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fake_hubspot::{Behaviour, PerType, Settings};
use serde_json::{Value, json};
use tests::{CommandOutput, Sandbox, assert_equal};

async fn small() -> Sandbox {
    Sandbox::new(&small_settings(), Behaviour::default()).await
}

fn small_settings() -> Settings {
    Settings { records: PerType { contacts: 300, companies: 50, deals: 50 }, ..Settings::default() }
}

/// Checks that a command is refused before anything is written, with all of `words` in the message.
#[track_caller]
fn assert_refused(ended: &CommandOutput, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    // What the parser of the command line refuses is no report.
    if !ended.stdout.is_empty() {
        let report = ended.report();
        assert_eq!((&report["outcome"], &report["exit_code"]), (&"failed".into(), &2.into()), "{ended:#?}");
    }
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_collection_lists_the_known_ones() {
    let sandbox = small().await;
    let ended = sandbox.sync(&["--collections", "contacts,leeds"]).await;
    assert_refused(&ended, &["unknown collection \"leeds\"", "companies, deals, contact_lists"]);
    assert!(!sandbox.path("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_token_says_where_to_get_one() {
    let sandbox = small().await;
    let mut command = sandbox.command(&[]);
    command.env_remove("HUBSPOT_TOKEN");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("HUBSPOT_TOKEN") && stderr.contains("Service keys"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_never_shown() {
    let sandbox = small().await;
    let mut command = sandbox.command(&["--verbose"]);
    command.env("HUBSPOT_TOKEN", "pat-eu1-topsecret").env("RUST_LOG", "trace");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let ended = CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert_refused(&ended, &["HubSpot rejected the credential", "401", "HUBSPOT_TOKEN"]);
    assert!(!ended.stderr.contains("topsecret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_skips_its_collection_alone() {
    let settings = small_settings().without_scope("crm.objects.deals.read");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    assert_eq!(report["collections"]["deals"]["outcome"], "skipped");
    let reason = report["collections"]["deals"]["reason"].as_str().unwrap();
    assert!(reason.contains("crm.objects.deals.read"), "{reason}");
    for complete in ["contacts", "companies"] {
        assert_eq!(report["collections"][complete]["outcome"], "complete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_warehouses_are_refused() {
    let sandbox = small().await;
    let folder = sandbox.path("");
    std::fs::write(
        sandbox.path("notes.txt"),
        "not a database, but long enough to be read as one".repeat(200),
    )
    .unwrap();
    let directory = format!("duckdb:{}", folder.display());
    let no_parent = format!("duckdb:{}", sandbox.path("missing/warehouse.duckdb").display());
    let no_database = format!("duckdb:{}", sandbox.path("notes.txt").display());
    for (url, words) in [
        ("mysql://localhost/x", &["mysql", "duckdb:PATH"][..]),
        ("warehouse.duckdb", &["duckdb:PATH"]),
        ("duckdb:", &["name a file", "duckdb:"]),
        (&directory, &["is a folder"]),
        (&no_parent, &["missing"]),
        (&no_database, &["notes.txt"]),
    ] {
        let ended = sandbox.sync(&["--warehouse", url]).await;
        assert_refused(&ended, words);
        assert!(is_empty(&sandbox.path("state")), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_urls_are_checked_before_anything_happens() {
    let sandbox = small().await;
    assert_refused(&sandbox.sync(&["--since", "last week"]).await, &["--since", "last week", "2026-09-01"]);
    let backwards = sandbox.sync(&["--since", "2026-09-02", "--until", "2026-09-01"]).await;
    assert_refused(&backwards, &["--since is not before --until"]);
    assert_refused(&sandbox.sync(&["--since", "2999-01-01"]).await, &["--since lies in the future"]);
    assert_refused(&sandbox.sync(&["--hubspot-url", "ftp://example.com"]).await, &["ftp://example.com"]);
    assert_refused(&sandbox.sync(&["--mode", "everything"]).await, &["backfill", "incremental"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn incremental_without_a_backfill_says_what_to_run() {
    let sandbox = small().await;
    let ended = sandbox.sync(&["--mode", "incremental"]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1));
    let reason = report["collections"]["contacts"]["reason"].as_str().unwrap();
    assert!(reason.contains("run without --mode first"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_cant_be_read_is_named_and_left_alone() {
    let sandbox = small().await;
    sandbox.sync(&[]).await.complete();
    let document = sandbox.path("state").join("feeds/contacts.json");
    let whole = std::fs::read(&document).unwrap();
    std::fs::write(&document, &whole[..whole.len() / 2]).unwrap();
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    let reason = report["collections"]["contacts"]["reason"].as_str().unwrap();
    assert!(reason.contains("feeds/contacts.json is corrupt"), "{reason}");
    assert_eq!(report["collections"]["companies"]["outcome"], "complete");
    assert_eq!(std::fs::read(&document).unwrap().len(), whole.len() / 2);

    let mut newer: Value = serde_json::from_slice(&whole).unwrap();
    newer["cursor"]["format"] = json!(999);
    let newer = newer.to_string();
    std::fs::write(&document, &newer).unwrap();
    for mode in ["incremental", "backfill"] {
        let report = sandbox.sync(&["--mode", mode]).await.report();
        let reason = report["collections"]["contacts"]["reason"].as_str().unwrap();
        for wanted in ["use the version that wrote it", "has format 999"] {
            assert!(reason.contains(wanted), "{reason}");
        }
        assert!(!reason.contains("corrupt"), "{reason}");
    }
    assert_eq!(std::fs::read_to_string(&document).unwrap(), newer);

    std::fs::remove_file(&document).unwrap();
    sandbox.sync(&["--mode", "backfill"]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_is_refused_before_anything_is_written() {
    let sandbox = small().await;
    sandbox.sync(&[]).await.complete();
    let other = Settings { account_id: 4_711, seed: 9, ..small_settings() };
    let other = Sandbox::new(&other, Behaviour::default()).await;
    let before = std::fs::read(sandbox.path("state").join("feeds/contacts.json")).unwrap();

    let ended = sandbox.sync(&["--hubspot-url", other.server.url()]).await;
    assert_refused(&ended, &["62515", "4711"]);
    let fresh_state = sandbox.path("fresh");
    let ended =
        sandbox.sync(&["--hubspot-url", other.server.url(), "--state", fresh_state.to_str().unwrap()]).await;
    assert_refused(&ended, &["62515", "4711", "schema"]);
    assert!(!fresh_state.join("account.json").exists());
    assert_eq!(std::fs::read(sandbox.path("state").join("feeds/contacts.json")).unwrap(), before);
}

/// As Segment left it: text ids, and none of the columns by which a merge tells versions apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_program_is_left_alone() {
    let sandbox = small().await;
    let database = sandbox.database();
    let segment = "CREATE SCHEMA hubspot; CREATE TABLE hubspot.companies (id VARCHAR, received_at TIMESTAMPTZ); \
                   INSERT INTO hubspot.companies VALUES ('7', now())";
    database.execute_batch(segment).unwrap();
    drop(database);
    let ended = sandbox.sync(&["--collections", "companies,deals"]).await;
    assert_refused(&ended, &["another program made", "companies", "another --schema", "--adopt"]);
    assert!(!sandbox.path("state").exists());
    let query = "SELECT count(*) FROM hubspot.companies";
    let rows: i64 = sandbox.database().query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);

    // The others can be read without it; and it may be renamed by hand.
    sandbox.sync(&["--collections", "deals"]).await.complete();
    sandbox.database().execute_batch("ALTER TABLE hubspot.companies RENAME TO companies_of_segment").unwrap();
    sandbox.sync(&["--collections", "companies,deals"]).await.complete();
    let rows: i64 = sandbox.database().query_row(query, [], |row| row.get(0)).unwrap();
    assert!(rows > 40, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_named() {
    let sandbox = small().await;
    let locked = sandbox.path("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_ok() {
        // The superuser may write everywhere; a folder that can't be made shows the same message.
        eprintln!("skipped in part: this user may write to read-only folders");
        std::fs::write(sandbox.path("file"), "").unwrap();
        let ended = sandbox.sync(&["--state", sandbox.path("file/state").to_str().unwrap()]).await;
        assert_refused(&ended, &["file/state", "--state"]);
        return;
    }
    let ended = sandbox.sync(&["--state", locked.join("state").to_str().unwrap()]).await;
    assert_refused(&ended, &["locked/state", "permissions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_url_is_reported_in_time() {
    let sandbox = small().await;
    let ended = sandbox.sync(&["--hubspot-url", "http://127.0.0.1:9"]).await;
    // Nothing is wrong with the command: the same one may work later.
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    for word in ["HubSpot could not be reached", "account-info", "check the network"] {
        assert!(ended.stderr.contains(word), "{ended:#?}");
    }
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["outcome"], &report["exit_code"]), (&"failed".into(), &1.into()));
}

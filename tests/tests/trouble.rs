//! Syncs with faults: HubSpot fails, the process is killed, the account changes meanwhile, two run at once. In the end
//! the tables equal the account.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use duckdb::Connection;
use extract::{Checkpoints, Options, Outcome, Progress, StopCause};
use fake_hubspot::{Behaviour, Churn, Faults, Limits, ObjectType, PerType, Settings};
use hubspot::feeds::FEEDS;
use serde_json::Value;
use tests::{Sandbox, World, assert_equal, assert_equal_but_for};

fn account_of(contacts: usize, others: usize) -> Settings {
    let records = PerType { contacts, companies: others, deals: others };
    Settings { records, ..Settings::default() }
}

fn rows(database: &Connection, table: &str) -> (u64, u64) {
    let query = format!("SELECT count(*), count(DISTINCT id) FROM hubspot.{table}");
    database.query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_cost_time_and_nothing_else() {
    let faults = Faults {
        internal_error: 0.01,
        bad_gateway: 0.01,
        gateway_timeout: 0.01,
        reset: 0.01,
        truncated: 0.01,
        limit_burst: 0.01,
        ..Faults::none()
    };
    let sandbox =
        Sandbox::new(&account_of(15_000, 1_000), Behaviour { faults, ..Behaviour::default() }).await;
    let report = sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    let injected: u64 = sandbox.server.counters().faults.values().sum();
    assert!(injected > 3 && report["api"]["general"]["retries"].as_u64().unwrap() > 3, "{injected} faults");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept_and_refusals_waited_out() {
    // Less than what the smallest account may do, which no header says: it has to be found out.
    let limits = Limits { general: 60, search: 2, associations: 40, retry_after: 0.3, ..Limits::default() };
    let behaviour = Behaviour { limits, ..Behaviour::default() };
    let sandbox = Sandbox::with_limits(&account_of(8_000, 300), behaviour).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sync_goes_on_and_doubles_nothing() {
    let behaviour = Behaviour { latency: Duration::from_millis(15), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(6_000, 1_000), behaviour).await;
    let mut killed = 0;
    for moment in 0..20_u64 {
        let mut run = sandbox.start(&[]);
        // Moments spread over the whole run, from before the first request to the merge.
        tokio::time::sleep(Duration::from_millis(moment * moment * 7 % 1_200 + 30)).await;
        if run.try_wait().unwrap().is_none() {
            run.kill().unwrap();
            killed += 1;
        }
        run.wait().unwrap();
    }
    assert!(killed >= 10, "only {killed} of 20 runs were still alive");
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    for table in ["contacts", "companies", "deals"] {
        let (rows, ids) = rows(&sandbox.database(), table);
        assert_eq!(rows, ids, "{table}");
    }
}

/// Checks a run whose second file can't be kept: no later file may be registered, nor the cursor behind them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_saved_after_a_checkpoint_that_failed() {
    let sandbox = Sandbox::new(&account_of(100, 3_000), Behaviour::default()).await;
    let world = World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("") };
    let run = world.begin().await;
    let key = run.bucket.key("deals", &format!("{}-000002", run.id), Utc::now());
    std::fs::create_dir_all(sandbox.path("state/files").join(key)).unwrap();
    let every_page = Checkpoints { interval: Duration::ZERO, ..Checkpoints::default() };
    let options = Options { checkpoints: every_page, ..Options::default() };
    let deals = *FEEDS.iter().find(|feed| feed.name() == "deals").unwrap();
    let report = extract::extract(deals, &run, &options, &Progress::default()).await;
    assert!(matches!(report.outcome, Outcome::Failed { .. }), "{report:#?}");
    assert_eq!(run.state.files("deals").await.unwrap().len(), 1);
    drop(run);
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_sync_says_so_and_goes_on() {
    let behaviour = Behaviour { latency: Duration::from_millis(100), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(20_000, 100), behaviour).await;
    let run = sandbox.start(&[]);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let interrupt = std::process::Command::new("/bin/kill").args(["-TERM", &run.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let ended = run.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(143), "{report:#}");
    assert_eq!(report["collections"]["contacts"]["outcome"], "stopped");
    let first = report["collections"]["contacts"]["rows"].as_u64().unwrap();
    assert!(first > 0, "{report:#}");

    sandbox.server.set_behaviour(Behaviour { latency: Duration::ZERO, ..sandbox.server.behaviour() });
    let report = sandbox.sync(&[]).await.complete();
    let second = report["collections"]["contacts"]["rows"].as_u64().unwrap();
    assert_eq!(report["collections"]["contacts"]["mode"], "backfill");
    let truth = sandbox.account().truth(ObjectType::Contacts).count() as u64;
    assert!(second < truth && first + second < truth + 2_000, "{first} + {second} rows for {truth} contacts");
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Properties that change without a new modified date: only a read of all records sees that.
const CALCULATED: [&str; 4] = ["num_associated_contacts", "num_associated_deals", "hubspotscore", "hs_acv"];

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_changes_meanwhile_is_caught_up_with() {
    let behaviour = Behaviour { latency: Duration::from_millis(30), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(20_000, 2_000), behaviour).await;
    let churn = Churn { per_second: 50.0, seed: 7 }.start(Arc::clone(sandbox.server.account()));
    sandbox.sync(&[]).await.complete();
    sandbox.sync(&[]).await.complete();
    let operations = churn.stop();
    assert!(operations.len() > 50, "only {} changes", operations.len());
    // Associations, too, change without a trace in the deal: an edit makes them be read again.
    let account = sandbox.account();
    account.touch_many_in_one_ms(ObjectType::Deals, account.live_ids(ObjectType::Deals).len());
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for(&CALCULATED, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_restored_behind_the_back_of_a_backfill_is_not_lost() {
    let behaviour = Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() };
    let settings = Settings { archived: 0.5, ..account_of(9_000, 100) };
    let sandbox = Sandbox::new(&settings, behaviour).await;
    let account = sandbox.account();
    let archived = account.archived_ids(ObjectType::Contacts);
    let sync = sandbox.start(&["--collections", "contacts"]);
    // Half of the pages: a live list that is read first, or beside the other one, is through by then.
    while sandbox.server.counters().endpoints.get("objects.list").is_none_or(|calls| *calls < 50) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for id in archived {
        account.restore(ObjectType::Contacts, id).unwrap();
    }
    assert!(sync.wait_with_output().unwrap().status.success());
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for(&CALCULATED, &sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_syncs_finds_the_lease_held() {
    let behaviour = Behaviour { latency: Duration::from_millis(50), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(8_000, 100), behaviour).await;
    let first = sandbox.start(&["--collections", "contacts"]);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let second = sandbox.sync(&["--collections", "contacts", "--warehouse", "none"]).await;
    let report = second.report();
    assert_eq!(second.code, Some(1), "{report:#}");
    let reason = report["collections"]["contacts"]["reason"].as_str().unwrap();
    assert!(reason.contains("another run holds the lease of contacts"), "{reason}");
    assert!(first.wait_with_output().unwrap().status.success());
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oauth_token_that_expires_early_is_renewed() {
    let behaviour = Behaviour {
        latency: Duration::from_millis(20),
        expire_tokens_after: Some(Duration::from_millis(700)),
        ..Behaviour::default()
    };
    let settings = account_of(6_000, 300);
    let sandbox = Sandbox::new(&settings, behaviour).await;
    let mut command = sandbox.command(&[]);
    command.env_remove("HUBSPOT_TOKEN");
    command.env("HUBSPOT_CLIENT_ID", settings.oauth.client_id);
    command.env("HUBSPOT_CLIENT_SECRET", settings.oauth.client_secret);
    command.env("HUBSPOT_REFRESH_TOKEN", settings.oauth.refresh_token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_equal(&sandbox.database(), sandbox.account());
    assert!(sandbox.server.counters().statuses.contains_key(&401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_warehouse_is_filled_again_without_hubspot() {
    let sandbox = Sandbox::new(&account_of(1_000, 200), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    // Younger changes would be read again.
    account.set_clock_offset(-chrono::TimeDelta::minutes(20));
    let contact = account.live_ids(ObjectType::Contacts)[0];
    account.update(ObjectType::Contacts, contact, &[("city", Some("Bonn"))]).unwrap();
    sandbox.sync(&[]).await.complete();
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.server.reset_counters();
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
    assert_eq!(sandbox.server.counters().endpoints.get("objects.batch_read"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_staged_file_is_no_green_run() {
    let sandbox = Sandbox::new(&account_of(1_000, 200), Behaviour::default()).await;
    sandbox.sync(&["--warehouse", "none"]).await.complete();
    let folder = sandbox.path("state").join("files/hubspot/contacts");
    let day = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&file).unwrap();
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    assert_eq!(report["collections"]["contacts"]["outcome"], "failed");
    assert_eq!(report["collections"]["deals"]["outcome"], "complete");
    let reason = report["collections"]["contacts"]["reason"].as_str().unwrap();
    assert!(reason.contains("is gone") && reason.contains("--mode backfill"), "{reason}");
}

/// Checks a window that is read in the middle of a first backfill: the backfill then goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_does_not_end_a_backfill_that_was_interrupted() {
    let behaviour = Behaviour { latency: Duration::from_millis(100), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(12_000, 100), behaviour).await;
    let world = World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("") };
    let contacts = *FEEDS.iter().find(|feed| feed.name() == "contacts").unwrap();
    let extract = async |options: &Options, time: Duration| {
        let run = world.begin().await;
        run.client.set_deadline(std::time::Instant::now() + time);
        extract::extract(contacts, &run, options, &Progress::default()).await
    };
    let forever = Duration::from_secs(600);
    let first = extract(&Options::default(), Duration::from_millis(2_500)).await;
    assert!(first.outcome.is_stopped_by(StopCause::Deadline) && first.rows() > 0, "{first:#?}");
    let yesterday = Utc::now() - chrono::TimeDelta::days(1);
    let since = extract::window(("since", Some(&yesterday.to_rfc3339())), ("until", None)).unwrap();
    let window = extract(&Options { window: since, ..Options::default() }, forever).await;
    assert_eq!(window.outcome, Outcome::Complete, "{window:#?}");
    let noted = &window.collections[0].degraded;
    assert!(noted.iter().any(|text| text.contains("goes on with the next one")), "{noted:?}");
    let last = extract(&Options::default(), forever).await;
    assert_eq!((&last.outcome, last.mode), (&Outcome::Complete, Some(hubspot::feeds::Mode::Backfill)));
    let all = sandbox.account().live_ids(ObjectType::Contacts).len() as u64;
    let read = last.collections[0].rows;
    assert!(
        read < all,
        "{read} of {all} contacts were read, though {} were before",
        first.collections[0].rows
    );
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

/// Checks a reader that has the DuckDB file open: it delays the merge only, and can read while HubSpot is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_file_holds_back_no_reading_of_hubspot() {
    let sandbox = Sandbox::new(&account_of(1_500, 100), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    account.touch_many_in_one_ms(ObjectType::Contacts, 300);

    let reader = sandbox.database();
    let calls = sandbox.server.log().len();
    let mut command = sandbox.start(&[]);
    // The contacts are read, though the reader is there.
    while sandbox.server.log().len() < calls + 10 {
        assert!(command.try_wait().unwrap().is_none(), "it ended before it had read anything");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(command.try_wait().unwrap().is_none(), "it did not wait for the reader");
    drop(reader);
    let ended = std::thread::spawn(move || command.wait_with_output().unwrap());
    while !ended.is_finished() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = ended.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is open in another process") && said.contains("the merge waits"), "{said}");
    assert_equal(&sandbox.database(), account);
}

/// Checks that no process has the file open while HubSpot is read, which may take hours.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_can_be_read_while_hubspot_is() {
    let behaviour = Behaviour { latency: Duration::from_millis(200), ..Behaviour::default() };
    let sandbox = Sandbox::new(&account_of(1_500, 100), behaviour).await;
    sandbox.sync(&["--collections", "companies"]).await.complete();
    let calls = sandbox.server.log().len();
    let mut command = sandbox.start(&["--collections", "contacts"]);
    while sandbox.server.log().len() < calls + 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let database = Connection::open_with_flags(
        sandbox.path("warehouse.duckdb"),
        duckdb::Config::default().access_mode(duckdb::AccessMode::ReadOnly).unwrap(),
    );
    let companies = rows(&database.expect("the file is free"), "companies");
    assert!(companies.0 > 0 && command.try_wait().unwrap().is_none());
    command.kill().unwrap();
    command.wait().unwrap();
}

/// Checks a reader that stays for more than a minute: the rows are staged, and the next sync merges them.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_closes_the_file_costs_the_merge_and_nothing_else() {
    let sandbox = Sandbox::new(&account_of(300, 50), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    account.touch_many_in_one_ms(ObjectType::Contacts, 30);
    account.touch_many_in_one_ms(ObjectType::Companies, 5);
    let reader = sandbox.database();
    let held = sandbox.sync(&[]).await;
    assert_eq!(held.code, Some(1), "{held:#?}");
    let contacts = &held.report()["collections"]["contacts"];
    assert_eq!((&contacts["outcome"], &contacts["files"]), (&"failed".into(), &1.into()), "{contacts:#}");
    assert!(contacts["reason"].as_str().unwrap().contains("close it there"), "{contacts:#}");
    drop(reader);
    let calls = sandbox.server.log().len();
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
    assert!(sandbox.server.log().len() > calls);
}

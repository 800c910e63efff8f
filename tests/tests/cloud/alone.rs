//! The functions' programs without Lambda, as a container runs them: an event in the arguments, a report on stdout, an exit
//! code.

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use extract::FURTHER;
use fake_hubspot::{Behaviour, Further, ObjectType, PerType, Settings};
use hubspot::feeds::FEEDS;
use serde_json::{Value, json};
use tests::cloud::{Act, Cloud, Moment, Request};
use tests::{Expectations, Sandbox, assert_all_equal, assert_objects_equal, ended, table_of};

use super::further::{all_but_the_empty, settings};
use super::{cloud, rows};

const SCHEDULE: &str = r#"{"trigger": "schedule"}"#;
const NOT_BEGUN: &str = "not begun: the time is over, or a signal came";

/// A feed that is read for seconds, where each call takes a while.
async fn slow() -> Cloud {
    let slow = Behaviour { latency: Duration::from_millis(150), ..Behaviour::default() };
    let records = PerType { contacts: 20, companies: 10, deals: 3_000 };
    let settings = Settings { records, wide_deals: 0, ..Settings::default() };
    Cloud::new(Sandbox::new(&settings, slow).await).await
}

fn deals_equal(cloud: &Cloud) {
    assert_objects_equal(
        &[ObjectType::Deals],
        &cloud.sandbox.database(),
        cloud.sandbox.account(),
        &Expectations::default(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_feed_and_the_load_run_without_lambda() {
    let cloud = cloud().await;
    let schedule = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/extract-schedule.json");
    let run = async |feed: &str| cloud.run_alone(feed, &[schedule]).await;
    for run in futures::future::join_all(FEEDS.iter().map(|feed| run(feed.name()))).await {
        let report = run.complete();
        assert_eq!((&report["outcome"], &report["mode"]), (&json!("complete"), &json!("backfill")));
        // The line of metrics is among the logs, and names no bill of Lambda's.
        let line = run.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = line.into_iter().find(|line| line.get("_aws").is_some()).unwrap();
        assert_eq!((&line["Stack"], &line["CostDollars"]), (&json!("hubspot"), &Value::Null));
        assert!(!run.stderr.contains("pat-na1-fake") && !run.stdout.contains("pat-na1-fake"));
    }
    let loaded = cloud.run_alone("load", &[SCHEDULE]).await.complete();
    assert_eq!((&loaded["pending_files"], &loaded["goes_on"]), (&json!(0), &json!(false)));
    assert_all_equal(&cloud.sandbox.database(), cloud.sandbox.account(), &Expectations::default());
    // Nobody was invoked, and the state is that of a stack: the command shows it.
    assert!(cloud.gateway.invoked().is_empty());
    assert_eq!(
        cloud.cli(&["status", "--report", "json"]).await.report()["collections"]["deals"]["outcome"],
        "complete"
    );

    // The event from standard input, and nothing to do.
    let mut load = cloud.command_alone("load", &["-"]).stdin(Stdio::piped()).spawn().unwrap();
    load.stdin.take().unwrap().write_all(b"{}").unwrap();
    let output = load.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["tables"]), (Some(0), &json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn further_feeds_are_read_one_after_the_other() {
    let records = PerType { contacts: 20, companies: 10, deals: 10 };
    let settings = Settings { records, wide_deals: 0, ..Settings::default() };
    let further = Further { records: 130, custom_properties: 3 };
    let settings = settings.with(ObjectType::Tickets, further).with(ObjectType::Rentals, further);
    let cloud = Cloud::new(Sandbox::new(&settings, Behaviour::default()).await).await;
    let rentals = table_of(ObjectType::Rentals);
    let cloud = cloud.with(&[("COLLECTIONS", &format!("tickets,{rentals},owners"))]);
    let report = cloud.run_alone(FURTHER, &[SCHEDULE]).await.complete();
    let runs = report["runs"].as_object().unwrap();
    assert_eq!(runs.len(), report["started"].as_array().unwrap().len());
    for name in ["tickets", rentals, "metadata"] {
        assert_eq!(runs[name]["outcome"], "complete", "{report:#}");
    }
    cloud.run_alone("load", &[SCHEDULE]).await.complete();
    assert_objects_equal(
        &[ObjectType::Tickets, ObjectType::Rentals],
        &cloud.sandbox.database(),
        cloud.sandbox.account(),
        &Expectations::default(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn further_feeds_that_were_not_begun_are_named_and_read_by_the_next_run() {
    let cloud = slow().await.with(&[("COLLECTIONS", "tickets,notes,calls,tasks"), ("RUN_SECONDS", "2")]);
    let stopped = cloud.run_alone(FURTHER, &[SCHEDULE]).await;
    assert_eq!(stopped.code, Some(1), "{stopped:#?}");
    let report = stopped.report();
    let runs = report["runs"].as_object().unwrap();
    let not_begun = runs.values().filter(|run| run["reason"] == NOT_BEGUN).count();
    let started = report["started"].as_array().unwrap().len();
    assert!(not_begun > 0 && started + not_begun == runs.len(), "{report:#}");
    // The next run begins with what this one has left, however short it is, too.
    let next = cloud.run_alone(FURTHER, &[SCHEDULE]).await.report();
    assert_eq!(runs[next["started"][0].as_str().unwrap()]["reason"], NOT_BEGUN, "{report:#} {next:#}");
    let cloud = cloud.with(&[("RUN_SECONDS", "600")]);
    let report = cloud.run_alone(FURTHER, &[SCHEDULE]).await.complete();
    assert_eq!(report["started"].as_array().unwrap().len(), runs.len(), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_named_and_the_account_lacks_leaves_nothing_to_do() {
    let settings = Settings { absent: [ObjectType::Projects].into(), ..settings() }.without_scope("tickets");
    let cloud = Cloud::new(Sandbox::new(&settings, Behaviour::default()).await).await;
    let cloud = cloud.with(&[("COLLECTIONS", &all_but_the_empty(&["projects"]))]);
    for event in [SCHEDULE, r#"{"mode": "reconcile"}"#, SCHEDULE] {
        let report = cloud.run_alone(FURTHER, &[event]).await.complete();
        for name in ["tickets", "projects"] {
            assert_eq!(report["runs"][name]["outcome"], "unavailable", "{report:#}");
        }
        assert_eq!(report["runs"]["notes"]["outcome"], "complete", "{report:#}");
    }
    // Somebody who names it wants it.
    let cloud = cloud.with(&[("COLLECTIONS", "notes,tickets")]);
    let missed = cloud.run_alone(FURTHER, &[SCHEDULE]).await;
    let report = missed.report();
    assert_eq!(
        (missed.code, &report["runs"]["tickets"]["outcome"]),
        (Some(1), &json!("skipped")),
        "{report:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_ends_with_2() {
    let cloud = cloud().await;
    let told = cloud.run_alone("deals", &[]).await;
    assert_eq!(told.code, Some(2));
    assert!(
        told.stderr.contains("there is no Lambda runtime here") && told.stderr.contains("as a file"),
        "{told:#?}"
    );
    for (arguments, says) in [
        (&[r#"{"sinse": "2026-01-01"}"#][..], "sinse"),
        (&[r#"{"since": "yesterday"}"#], "yesterday"),
        (&["nowhere.json"], "nowhere.json"),
        (&["{}", "{}"], "2 arguments"),
    ] {
        let refused = cloud.run_alone("deals", arguments).await;
        let report = refused.report();
        assert_eq!((refused.code, &report["error_type"]), (Some(2), &json!("Event")), "{refused:#?}");
        assert!(report["reason"].as_str().unwrap().contains(says), "{report:#}");
    }
    let cloud = cloud.with(&[("BUCKET", ""), ("RESERVE_PERCENT", "all")]);
    let refused = cloud.run_alone("deals", &["{}"]).await;
    let report = refused.report();
    assert_eq!((refused.code, &report["error_type"]), (Some(2), &json!("Configuration")), "{refused:#?}");
    assert!(
        ["BUCKET", "RESERVE_PERCENT"].iter().all(|name| report["reason"].as_str().unwrap().contains(name))
    );
    let mut cloud = cloud.with(&[("BUCKET", "hubspot-staged"), ("RESERVE_PERCENT", "10")]);
    for seconds in ["0", "18446744073709551615"] {
        cloud = cloud.with(&[("RUN_SECONDS", seconds)]);
        let refused = cloud.run_alone("deals", &["{}"]).await;
        assert!(refused.code == Some(2) && refused.stdout.contains("RUN_SECONDS"), "{refused:#?}");
    }
    let cloud = cloud.with(&[("RUN_SECONDS", "4294967295"), ("HUBSPOT_SECRET_ARN", "nothing")]);
    let refused = cloud.run_alone("deals", &["{}"]).await;
    let report = refused.report();
    assert_eq!((refused.code, &report["error_type"]), (Some(2), &json!("Configuration")), "{refused:#?}");
    assert!(report["reason"].as_str().unwrap().contains("no such secret"), "{report:#}");
    // As much time as can be given, and an event with blanks before it.
    cloud.run_alone("load", &["\n {}"]).await.complete();
}

/// Has the service of secrets fail, which the SDK tries again for half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_aws_ends_with_1() {
    let cloud = cloud().await;
    let fail = |request: &Request, _| match &request.operation[..] {
        "GetSecretValue" => Act::Fail,
        _ => Act::GoOn,
    };
    cloud.gateway.set_hook(fail);
    let cloud = cloud.with(&[("WAREHOUSE_SECRET_ARN", "hubspot-credential")]);
    let (deals, load) = tokio::join!(
        cloud.run_alone("deals", &[SCHEDULE]),
        cloud.run_alone("load", &[r#"{"compact": true}"#])
    );
    for failed in [deals, load] {
        let report = failed.report();
        assert_eq!((failed.code, &report["outcome"]), (Some(1), &json!("failed")), "{failed:#?}");
        assert!(report["reason"].as_str().unwrap().contains("can't be read"), "{report:#}");
    }
    cloud.gateway.clear_hook();
    cloud.run_alone("deals", &[SCHEDULE]).await.complete();
}

/// HubSpot refuses a token that was replaced, and the present one can't be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_in_an_outage_of_aws_ends_with_1() {
    let cloud = cloud().await.with(&[("COLLECTIONS", "tickets")]);
    let put = async |token: &str| {
        let put = cloud.aws.secrets.put_secret_value().secret_id("hubspot-credential");
        put.secret_string(token).send().await.unwrap();
    };
    put("pat-na1-replaced").await;
    for feed in ["deals", FURTHER] {
        let asked = AtomicUsize::new(0);
        cloud.gateway.set_hook(move |request: &Request, moment| {
            let is_asked = request.operation == "GetSecretValue" && moment == Moment::Arrived;
            if is_asked && asked.fetch_add(1, Ordering::Relaxed) > 0 { Act::Fail } else { Act::GoOn }
        });
        let failed = cloud.run_alone(feed, &[SCHEDULE]).await;
        let report = failed.report();
        assert_eq!((failed.code, &report["outcome"]), (Some(1), &json!("failed")), "{failed:#?}");
        let reason = report["reason"].as_str().unwrap();
        for words in ["refused", "the secret hubspot-credential can't be read"] {
            assert!(reason.contains(words), "{report:#}");
        }
        cloud.gateway.clear_hook();
        // The service answers, and has no other one.
        let refused = cloud.run_alone(feed, &[SCHEDULE]).await;
        assert_eq!(refused.code, Some(2), "{refused:#?}");
    }
    put("pat-na1-fake").await;
    cloud.run_alone("deals", &[SCHEDULE]).await.complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_run_that_waits_for_its_event() {
    let cloud = cloud().await;
    let mut run = cloud.command_alone("deals", &["-"]).stdin(Stdio::piped()).spawn().unwrap();
    // Open until the end, and nobody writes into it.
    let stdin = run.stdin.take();
    let status = format!("/proc/{}/status", run.id());
    let catches_sigterm = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << 14) != 0
    };
    wait_for(catches_sigterm).await;
    terminate(&run);
    let ended = wait_for(|| run.try_wait().unwrap().is_some());
    if tokio::time::timeout(Duration::from_secs(20), ended).await.is_err() {
        run.kill().unwrap();
    }
    let output = run.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(143));
    assert!(String::from_utf8_lossy(&output.stdout).contains("interrupted"), "{output:?}");
}

async fn wait_for(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn terminate(run: &Child) {
    let killed = std::process::Command::new("/bin/kill").args(["-TERM", &run.id().to_string()]).status();
    assert!(killed.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_too_short_goes_on_with_the_next_start() {
    let cloud = slow().await.with(&[("RUN_SECONDS", "3")]);
    let mut stopped = 0;
    for _ in 0..40 {
        let run = cloud.run_alone("deals", &[SCHEDULE]).await;
        let report = run.report();
        if run.code == Some(0) {
            break;
        }
        assert_eq!(
            (run.code, &report["outcome"], &report["goes_on"]),
            (Some(1), &json!("stopped"), &json!(false))
        );
        stopped += 1;
    }
    assert!((1..40).contains(&stopped), "{stopped} runs were stopped");
    let loaded = cloud.with(&[("RUN_SECONDS", "600")]);
    loaded.run_alone("load", &[SCHEDULE]).await.complete();
    deals_equal(&loaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_run_with_a_checkpoint() {
    let cloud = slow().await;
    let mut command = cloud.command_alone("deals", &[SCHEDULE]);
    let run = command.spawn().unwrap();
    let calls = cloud.sandbox.server.log().len();
    wait_for(|| cloud.sandbox.server.log().len() >= calls + 15).await;
    terminate(&run);
    let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["outcome"]), (Some(143), &json!("stopped")), "{report:#}");
    assert!(report["reason"].as_str().unwrap().starts_with("interrupted"), "{report:#}");
    ended(cloud.command_alone("deals", &[SCHEDULE])).await.complete();
    cloud.run_alone("load", &[SCHEDULE]).await.complete();
    assert!(rows(&cloud, "deals") >= 3_000);
    deals_equal(&cloud);
}

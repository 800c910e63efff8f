//! The daily limit: the processes that a refusal stops, and the estimate of a plan.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use fake_hubspot::{Behaviour, Limits, PerType, Settings};
use serde_json::json;
use tests::{Expectations, Sandbox, assert_all_equal, assert_equal, ended};

async fn sandbox(daily: usize) -> Sandbox {
    let settings =
        Settings { records: PerType { contacts: 2_000, companies: 500, deals: 400 }, ..Settings::default() };
    let limits = Limits { daily, ..Limits::default() };
    Sandbox::new(&settings, Behaviour { limits, ..Behaviour::default() }).await
}

fn set_daily(sandbox: &Sandbox, daily: usize) {
    let behaviour = sandbox.server.behaviour();
    sandbox.server.set_behaviour(Behaviour { limits: Limits { daily, ..behaviour.limits }, ..behaviour });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_stops_a_run_and_a_smaller_one_lets_it_go_on() {
    let sandbox = sandbox(200).await;
    let stopped = sandbox.sync(&["--reserve", "90"]).await;
    assert_eq!(stopped.code, Some(1), "{stopped:#?}");
    assert!(stopped.stdout.contains("lower --reserve"), "{}", stopped.stdout);
    let calls = sandbox.server.log().len();
    assert!((15..=40).contains(&calls), "{calls} of 200 calls, of which a reserve of 90 % leaves 20");

    sandbox.sync(&["--reserve", "0"]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_hubspot_closed_is_closed_for_every_process() {
    let sandbox = sandbox(30).await;
    let stopped = sandbox.sync(&["--reserve", "0"]).await;
    assert_eq!(stopped.code, Some(1), "{stopped:#?}");
    let report = stopped.report();
    let outcomes: Vec<_> = report["collections"].as_object().unwrap().values().collect();
    assert!(
        outcomes.iter().any(|of| of["reason"].as_str().is_some_and(|why| why.contains("daily"))),
        "{report:#}"
    );
    let refused = |sandbox: &Sandbox| sandbox.server.counters().general.refused;
    // Those that were under way are refused too; then nobody asks any more.
    assert!(refused(&sandbox) <= 20, "{} calls were refused", refused(&sandbox));

    // The next process has read nothing of it but the state.
    let before = sandbox.server.log().len();
    let again = sandbox.sync(&["--reserve", "0"]).await;
    assert_eq!(again.code, Some(1), "{again:#?}");
    assert!(again.stderr.contains("runs begin again at"), "{}", again.stderr);
    let asked = sandbox.server.log().len() - before;
    assert_eq!(asked, 0, "calls although the day is over");

    // Another state knows nothing of it; the account answers again once it allows more.
    set_daily(&sandbox, 100_000);
    sandbox.sync(&["--reserve", "0", "--state", sandbox.path("other").to_str().unwrap()]).await.complete();
    assert_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_calls_that_the_backfill_will_make() {
    let settings = Settings {
        records: PerType { contacts: 8_000, companies: 3_000, deals: 2_000 },
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let plan = ended(sandbox.subcommand("plan", &["--report", "json"])).await;
    assert_eq!(plan.code, Some(0), "{plan:#?}");
    let plan = plan.report();
    assert_eq!(
        (&plan["daily_limit"], &plan["feeds"]["deals"]["records"]),
        (&json!(625_000), &json!(live(&sandbox, "deals")))
    );
    let share = plan["share_of_day"].as_f64().unwrap();
    assert!((share - plan["calls"].as_f64().unwrap() / 625_000.0).abs() < 1e-9, "{plan:#}");

    for feed in ["contacts", "companies", "deals"] {
        sandbox.server.reset_counters();
        let state = sandbox.path(&format!("state-{feed}"));
        let more = ["--collections", feed, "--state", state.to_str().unwrap(), "--warehouse", "none"];
        sandbox.sync(&more).await.complete();
        let endpoints = sandbox.server.counters().endpoints;
        let made = endpoints.values().sum::<u64>() as f64;
        let planned = plan["feeds"][feed]["calls"].as_f64().unwrap();
        eprintln!("{feed}: {planned} calls planned, {made} made: {endpoints:?}");
        // Properties, archived records, and where ranges were cut.
        assert!((planned - made).abs() <= 0.1 * made + 30.0, "{feed}: {planned} planned, {made} made");
    }

    // Double the memory, double the gigabyte-seconds; a window costs less.
    let double = ended(sandbox.subcommand("plan", &["--memory", "512", "--report", "json"])).await.report();
    let single = ended(sandbox.subcommand("plan", &["--memory", "256", "--report", "json"])).await.report();
    let of = |plan: &serde_json::Value, what: &str| plan[what].as_f64().unwrap();
    let ratio = of(&double, "gigabyte_seconds") / of(&single, "gigabyte_seconds");
    assert!((ratio - 2.0).abs() < 0.1, "{double:#} {single:#}");
    assert!(of(&double, "dollars") > of(&single, "dollars"), "{double:#} {single:#}");
    let window =
        ended(sandbox.subcommand("plan", &["--since", "2026-09-01", "--report", "json"])).await.report();
    assert!(window["calls"].as_u64() < plan["calls"].as_u64(), "{window:#}");
    let text = ended(sandbox.subcommand("plan", &[])).await;
    let words = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("minutes at the account's limit"), "{}", text.stdout);
}

fn live(sandbox: &Sandbox, object: &str) -> usize {
    let object = fake_hubspot::ObjectType::CORE.into_iter().find(|other| other.plural() == object).unwrap();
    sandbox.account().live_ids(object).len()
}

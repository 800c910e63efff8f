//! `report --html`: a page about a year of runs, opened in a headless browser that gets no answer to any request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod year;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{Days, NaiveDate, Utc};
use fake_hubspot::{Behaviour, Kind, ObjectType, PerType, Settings};
use serde_json::Value;
use tests::{CommandOutput, Sandbox, ended};
use year::{ADDRESS, OUTAGE, RECORD, Truth, add_hostile, add_year};

const MAX_BYTES: u64 = 1_000_000;
const HOSTILE: &str = "p1_</script><img src=x onerror=\"hostile=1\"><script>hostile=1</script>";
/// Charts of a page, by the tables of their figures.
const CHARTS: [&str; 6] = [
    "figures-rows",
    "figures-lag",
    "figures-runs",
    "figures-calls",
    "figures-calls-of-day",
    "figures-unparsed",
];

async fn synced() -> Sandbox {
    let records = PerType { contacts: 60, companies: 20, deals: 20 };
    let sandbox = Sandbox::new(&Settings { records, ..Settings::default() }, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    sandbox
}

async fn report(sandbox: &Sandbox, name: &str) -> (PathBuf, CommandOutput) {
    let path = sandbox.path(name);
    let made = ended(sandbox.local("report", &["--html", path.to_str().unwrap()])).await;
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), ""), "{made:?}");
    (path, made)
}

/// Opens the page, and returns what there is to see. Without a browser it fails, and says so.
fn look(page: &Path, screenshot: Option<&Path>) -> Value {
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/look.mjs");
    assert!(
        judge.with_file_name("node_modules").exists(),
        "THE PAGE WAS NOT LOOKED AT: run scripts/setup --tests"
    );
    let looked = Command::new("node").arg(judge).arg(page).args(screenshot).output().expect("node");
    let errors = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "THE PAGE WAS NOT LOOKED AT: {errors}");
    serde_json::from_slice(&looked.stdout).unwrap()
}

/// Returns the figures below a chart, by day and column.
fn figures(looked: &Value, id: &str) -> BTreeMap<NaiveDate, BTreeMap<String, f64>> {
    let table: Vec<Vec<String>> = serde_json::from_value(looked["light"]["tables"][id].clone()).unwrap();
    let (header, lines) = table.split_first().unwrap();
    let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
    let of = |line: &Vec<String>| {
        let filled = header.iter().zip(line).skip(1).filter(|(_, text)| !text.is_empty());
        (line[0].parse().unwrap(), filled.map(|(name, text)| (name.clone(), number(text))).collect())
    };
    lines.iter().map(of).collect()
}

/// Compares figures that are sums with the truth; one that is zero may be missing on either side.
#[track_caller]
fn assert_sums(looked: &Value, id: &str, truth: &BTreeMap<NaiveDate, BTreeMap<String, u64>>) {
    let shown = figures(looked, id);
    assert!((365..=366).contains(&shown.len()), "{id} has {} days", shown.len());
    for (day, expected) in truth {
        for (column, number) in expected {
            let figure = shown.get(day).and_then(|line| line.get(column)).copied().unwrap_or(0.0);
            assert_eq!(figure, *number as f64, "{id}, {day}, {column}");
        }
    }
    let sum = |days: Vec<f64>| days.into_iter().sum::<f64>();
    let columns: Vec<&String> = truth.values().flat_map(BTreeMap::keys).collect();
    let all = shown.values().flatten().filter(|(name, _)| columns.contains(name)).map(|(_, figure)| *figure);
    assert_eq!(
        sum(all.collect()),
        sum(truth.values().flat_map(|line| line.values().map(|n| *n as f64)).collect()),
        "{id}"
    );
}

/// Checks what holds of every page: no request, no error, charts with something in them, nobody is shut out.
#[track_caller]
fn assert_sound(looked: &Value) {
    for view in ["light", "dark", "narrow", "plain"] {
        let of = &looked[view];
        assert_eq!(
            (&of["requests"], &of["errors"]),
            (&Value::from(vec![0; 0]), &Value::from(vec![0; 0])),
            "{view}"
        );
        if view == "plain" {
            continue;
        }
        assert_eq!(of["axe"]["violations"], Value::from(vec![0; 0]), "{view}");
        assert!(of["axe"]["passes"].as_u64().unwrap() > 20, "{view}: {:#}", of["axe"]);
        assert_eq!(of["overflow"], 0, "{view}: wider than the window");
        for chart in of["charts"].as_array().unwrap() {
            let is_drawn = chart["drawn"].as_u64() > Some(2_000) && chart["colors"].as_u64() > Some(2);
            assert!(is_drawn && chart["role"] == "img", "{view}: {chart:#}");
        }
    }
    let plain = &looked["plain"];
    assert_eq!(
        [&plain["before"], &plain["after"], &plain["notes"]],
        [&false, &true, &true].map(|&it| Value::from(it)).each_ref()
    );
    assert_eq!((&looked["light"]["foreign"], &looked["light"]["scripts"]), (&0.into(), &2.into()));
    assert_eq!(looked["light"]["inert"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_runs_is_a_page_that_says_what_is_true() {
    let sandbox = synced().await;
    let (mut truth, reports) = Truth::of_sync(&sandbox.database());
    add_year(&sandbox.database(), &reports, &mut truth);
    let (page, made) = report(&sandbox, "report.html").await;
    let bytes = std::fs::metadata(&page).unwrap().len();
    assert!(bytes < MAX_BYTES, "{bytes} bytes");

    let screenshot = std::env::var_os("SCREENSHOT").map(PathBuf::from);
    if let Some(screenshot) = &screenshot {
        std::fs::copy(&page, screenshot.with_extension("html")).unwrap();
    }
    let looked = look(&page, screenshot.as_deref());
    assert_sound(&looked);
    let charts = looked["light"]["charts"].as_array().unwrap();
    assert_eq!(charts.iter().map(|chart| chart["figures"].as_str().unwrap()).collect::<Vec<_>>(), CHARTS);
    assert_ne!(looked["light"]["background"], looked["dark"]["background"]);

    assert_sums(&looked, "figures-rows", &truth.rows);
    assert_sums(&looked, "figures-calls", &truth.calls);
    assert_sums(&looked, "figures-runs", &truth.ends);
    assert_sums(&looked, "figures-unparsed", &truth.unparsed);
    let today = Utc::now().date_naive();
    let (lag, ago) =
        (figures(&looked, "figures-lag"), |days: u64| today.checked_sub_days(Days::new(days)).unwrap());
    // Runs end ten minutes after every third hour, and have caught up to a minute before.
    let usual = lag[&ago(OUTAGE + 1)]["deals"];
    assert!((3.0..3.1).contains(&usual), "{usual}");
    assert!((26.8..26.9).contains(&lag[&ago(OUTAGE)]["deals"]), "{:?}", lag[&ago(OUTAGE)]);
    assert!((27.0..27.1).contains(&lag[&ago(OUTAGE - 1)]["deals"]));
    assert!((3.0..3.1).contains(&lag[&ago(OUTAGE)]["contacts"]));

    let tables = looked["light"]["tables"]["of-tables"].as_array().unwrap();
    assert_eq!(tables.len() - 1, truth.tables.len());
    let verdict = looked["light"]["verdict"].as_str().unwrap();
    assert!(verdict.contains(&format!("All {} tables are complete", truth.tables.len())), "{verdict}");
    assert_eq!(looked["light"]["level"], "good");
    assert!(made.stderr.contains("are complete"), "{}", made.stderr);
    let text = looked["light"]["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("Made of {},{:03} reports", truth.runs / 1_000, truth.runs % 1_000)),
        "{}",
        truth.runs
    );

    let troubles = looked["light"]["tables"]["troubles"].as_array().unwrap();
    let of = |name: &str, end: &str| {
        let rows = troubles.iter().filter(|row| row[1] == name && row[2] == end);
        rows.map(|row| (row[3].as_str().unwrap(), row[5].as_str().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(
        of("deals", "failed"),
        [("8", "HubSpot answers 500 for record … of \"…\", … after 5 attempts")]
    );
    assert_eq!(
        of("contacts", "incomplete"),
        [("8", "HubSpot answers badly for 1 of them: record … (status 500)")]
    );
    assert_eq!(of("email_events", "degraded"), [("24", "sent_by is NULL: the scope content is missing")]);
    let compared = looked["light"]["tables"]["comparisons-list"].as_array().unwrap();
    let tenth = compared.iter().find(|row| row[0] == format!("{} 01:00", ago(10))).unwrap();
    assert_eq!(
        [&tenth[1], &tenth[2], &tenth[3], &tenth[4]],
        ["contacts", "3", "2 missing, 1 outdated", "equal"]
    );
    assert!(compared.iter().any(|row| row[0] == format!("{} 01:00", ago(9)) && row[2] == "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_names_is_inert_and_nobody_is_named() {
    let sandbox = synced().await;
    let (_, reports) = Truth::of_sync(&sandbox.database());
    add_hostile(&sandbox.database(), &reports, HOSTILE);
    let (page, _) = report(&sandbox, "report.html").await;
    let html = std::fs::read_to_string(&page).unwrap();
    let looked = look(&page, None);
    assert_sound(&looked);
    assert!(
        looked["light"]["verdict"].as_str().unwrap().contains(HOSTILE),
        "{:#}",
        looked["light"]["verdict"]
    );
    assert_eq!(looked["light"]["level"], "bad");
    let columns = &looked["light"]["tables"]["columns-list"][1];
    assert_eq!([&columns[1], &columns[2]], ["deals", HOSTILE]);
    let header = &looked["light"]["tables"]["figures-rows"][0];
    assert!(header.as_array().unwrap().iter().any(|name| name == HOSTILE), "{header:#}");
    assert!(!html.contains("onerror=\"") && !html.contains(RECORD) && !html.contains(ADDRESS));
    let emails =
        "SELECT properties_email_value FROM hubspot.contacts WHERE properties_email_value IS NOT NULL";
    let database = sandbox.database();
    let mut query = database.prepare(emails).unwrap();
    let emails: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(emails.len() > 20, "{emails:?}");
    assert!(emails.iter().all(|email| !html.contains(email.as_str())));
}

/// Returns the reports of loads in the state, the oldest first.
fn loads(sandbox: &Sandbox) -> Vec<Value> {
    let records = std::fs::read(sandbox.path("state/runs/load.json")).unwrap();
    let records: Value = serde_json::from_slice(&records).unwrap();
    records.as_array().unwrap().iter().map(|record| record["report"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_keeps_what_its_loads_changed_and_compared() {
    let sandbox = synced().await;
    let account = sandbox.account();
    let first = loads(&sandbox);
    assert_eq!((first.len(), &first[0]["outcome"]), (1, &"complete".into()), "{first:#?}");
    let merged = |load: &Value| load["tables"]["contacts"]["merged_rows"].as_u64().unwrap();
    assert!(merged(&first[0]) >= 58 && first[0]["tables"]["contacts"].get("columns").is_none(), "{first:#?}");

    // A sync that merges nothing keeps no load.
    sandbox.sync(&[]).await.complete();
    assert_eq!(loads(&sandbox).len(), 1);

    let contacts = account.live_ids(ObjectType::Contacts);
    account.add_property(ObjectType::Contacts, "shoe_size", Kind::Number).unwrap();
    account.update(ObjectType::Contacts, contacts[0], &[("shoe_size", Some("42"))]).unwrap();
    sandbox.sync(&[]).await.complete();
    account.change_property_type(ObjectType::Contacts, "shoe_size", Kind::String).unwrap();
    account.update(ObjectType::Contacts, contacts[1], &[("shoe_size", Some("EU 43"))]).unwrap();
    sandbox.sync(&[]).await.complete();
    account.purge(ObjectType::Contacts, contacts[2]).unwrap();
    sandbox.sync(&["--mode", "reconcile"]).await.complete();
    let loads = loads(&sandbox);
    let columns = |n: usize| &loads[n]["tables"]["contacts"]["columns"];
    assert_eq!(columns(1)["new"], serde_json::json!(["properties_shoe_size_value"]), "{:#}", loads[1]);
    let retyped = &columns(2)["retyped"];
    assert_eq!(
        (&retyped[0]["column"], &retyped[0]["to"]),
        (&"properties_shoe_size_value".into(), &"VARCHAR".into())
    );
    let found = &loads.last().unwrap()["reconciled"]["contacts"];
    assert_eq!((&found["step"], &found["differing"]["gone"]), (&"equal".into(), &1.into()), "{found:#}");

    let (page, _) = report(&sandbox, "report.html").await;
    let html = std::fs::read_to_string(page).unwrap();
    for shown in
        ["<td class=\"wide\">properties_shoe_size_value", "(DOUBLE → VARCHAR)", "<td>1 gone<td>equal"]
    {
        assert!(html.contains(shown), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_of_a_sync_counts_its_own_calls() {
    let sandbox = synced().await;
    let state = sandbox.path("state/runs");
    let calls = |report: &Value| report["general"]["calls"].as_u64().unwrap();
    let of_run = |path: PathBuf| {
        let records: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        calls(&records.as_array().unwrap().last().unwrap()["report"]["api"])
    };
    let second = sandbox.sync(&[]).await.complete();
    let feeds = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let of_runs: u64 = feeds.filter(|path| !path.ends_with("load.json")).map(of_run).sum();
    // A few calls are before the first run, or between two: who the account is, for one.
    let all = calls(&second["api"]);
    assert!(of_runs <= all && all <= of_runs + 5, "{of_runs} of {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_needs_a_source_and_says_when_nothing_ran() {
    let sandbox = synced().await;
    let state = sandbox.path("empty");
    std::fs::create_dir(&state).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(sandbox.local("report", &[]).get_program());
        command.arg("report").args(more).output().unwrap()
    };
    let refused = run(&["--html", "page.html"]);
    assert_eq!(refused.status.code(), Some(2));
    let empty = run(&["--html", "-", "--state", state.to_str().unwrap()]);
    assert_eq!(empty.status.code(), Some(0));
    let html = String::from_utf8(empty.stdout).unwrap();
    assert!(html.contains("No run is recorded yet.") && html.contains("data-level=\"warning\""));
    let missing = run(&["--html", "-", "--state", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("there is no folder nowhere"));
}

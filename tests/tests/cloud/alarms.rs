//! The alarms of the template, computed as CloudWatch's documentation says, on lines that the functions logged: which
//! trouble sets one off, and when it is over
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>).

use std::collections::BTreeSet;
use std::time::Duration;

use fake_hubspot::ObjectType;
use serde_json::{Value, json};
use staging::RunRecord;
use tests::cloud::Cloud;

use super::{cloud, event};

const TEMPLATE: &str = include_str!("../../../template.yaml");
const HOUR: u64 = 3_600;

#[derive(Clone, Copy)]
enum Statistic {
    Maximum,
    Minimum,
    SampleCount,
}

/// An alarm, as the template defines it.
struct Alarm {
    metric: String,
    statistic: Statistic,
    /// Seconds.
    period: u64,
    evaluation_periods: usize,
    threshold: f64,
    /// It is on where a value is below the threshold, not above.
    is_below: bool,
    /// Its expression divides seconds into hours.
    in_hours: bool,
    /// The value of a period in which nothing was reported.
    fill: Option<f64>,
    /// It keeps its state where nothing was reported.
    ignores_missing: bool,
}

/// Returns the lines of a part of the template, by its logical name.
fn part(name: &str) -> &'static str {
    let start = TEMPLATE.find(&format!("\n  {name}:\n")).unwrap_or_else(|| panic!("no {name}"));
    let text = &TEMPLATE[start + 1..];
    let end = text[3..].match_indices("\n  ").find(|(at, _)| !text[3 + at + 3..].starts_with(' '));
    end.map_or(text, |(at, _)| &text[..3 + at])
}

fn value(part: &'static str, key: &str) -> &'static str {
    let line = part.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {key} in {part}"))
}

/// Returns a number, or the default of the parameter that is referred to.
fn number(text: &str) -> f64 {
    let text = text.strip_prefix("!Ref ").map_or(text, |parameter| value(part(parameter), "Default"));
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

impl Alarm {
    fn of(name: &str) -> Alarm {
        let part = part(name);
        let has = |key: &str| part.lines().any(|line| line.trim().starts_with(key));
        let statistic = if has("Statistic:") { value(part, "Statistic") } else { value(part, "Stat") };
        let filled = part.split_once("FILL(lag, ").and_then(|(_, rest)| rest.split_once(')'));
        Alarm {
            metric: value(part, "MetricName").to_owned(),
            statistic: match statistic {
                "Maximum" => Statistic::Maximum,
                "Minimum" => Statistic::Minimum,
                "SampleCount" => Statistic::SampleCount,
                other => panic!("{other} is not computed here"),
            },
            period: number(value(part, "Period")) as u64,
            evaluation_periods: number(value(part, "EvaluationPeriods")) as usize,
            threshold: number(value(part, "Threshold")),
            is_below: match value(part, "ComparisonOperator") {
                "LessThanThreshold" => true,
                "GreaterThanThreshold" => false,
                other => panic!("{other} is not compared here"),
            },
            in_hours: part.contains("/ 3600"),
            fill: filled.map(|(seconds, _)| number(seconds)),
            ignores_missing: value(part, "TreatMissingData") == "ignore",
        }
    }

    /// Returns whether it is on at the end of each of its periods.
    fn states(&self, lines: &[Line], until: u64) -> Vec<bool> {
        let mut values: Vec<Option<f64>> = Vec::new();
        let mut states = Vec::new();
        let mut is_on = false;
        for start in (0..until).step_by(usize::try_from(self.period).unwrap()) {
            let within = lines.iter().filter(|line| (start..start + self.period).contains(&line.at));
            let reported = within.filter_map(|line| line.metric(&self.metric));
            let reported = match self.statistic {
                Statistic::Maximum => reported.reduce(f64::max),
                Statistic::Minimum => reported.reduce(f64::min),
                // Where nothing was reported, CloudWatch has no count either.
                Statistic::SampleCount => Some(reported.count() as f64).filter(|count| *count > 0.0),
            };
            let scale = if self.in_hours { 3_600.0 } else { 1.0 };
            values.push(reported.or(self.fill).map(|value| value / scale));
            let last = &values[values.len().saturating_sub(self.evaluation_periods)..];
            let is_breached = |value: &Option<f64>| match value {
                Some(value) if self.is_below => *value < self.threshold,
                Some(value) => *value > self.threshold,
                None => !self.ignores_missing,
            };
            let is_kept = self.ignores_missing && last.iter().all(Option::is_none);
            if last.len() == self.evaluation_periods && !is_kept {
                is_on = last.iter().all(is_breached);
            }
            states.push(is_on);
        }
        states
    }

    fn is_on_after(&self, lines: &[Line], hours: u64) -> bool {
        self.states(lines, hours * HOUR).last().copied().unwrap_or_default()
    }
}

/// A line that a function logged, at a time of the test's choice.
#[derive(Clone)]
struct Line {
    at: u64,
    logged: Value,
}

impl Line {
    /// Returns the value that CloudWatch takes from the line.
    fn metric(&self, name: &str) -> Option<f64> {
        let directive = &self.logged["_aws"]["CloudWatchMetrics"][0];
        let defined = directive["Metrics"].as_array()?.iter().any(|metric| metric["Name"] == name);
        assert_eq!(
            (&directive["Dimensions"], &self.logged["Stack"]),
            (&json!([["Stack"]]), &json!("hubspot"))
        );
        if defined { self.logged[name].as_f64() } else { None }
    }
}

/// A stack of two feeds, and what its functions have logged.
struct Stack {
    cloud: Cloud,
    lines: Vec<Line>,
}

impl Stack {
    async fn new() -> Stack {
        let cloud = cloud().await.with(&[("SCHEDULED_FEEDS", "companies,deals")]);
        Stack { cloud, lines: Vec::new() }
    }

    /// Invokes a function, whose line counts as of this time.
    async fn run(&mut self, function: &str, at: u64) -> Value {
        let answer = self
            .cloud
            .invoke(function, &event(if function == "load" { "load-schedule" } else { "extract-schedule" }))
            .await
            .answer;
        let logged = self.cloud.metrics(function).pop().unwrap();
        self.lines.push(Line { at, logged });
        answer
    }

    /// Changes the last report of a feed, as if its last run had been another one.
    async fn change(&self, feed: &str, change: impl Fn(&mut Value)) {
        let state = self.cloud.state();
        let mut record = state.records(feed, 1).await.unwrap().remove(0);
        change(&mut record.report);
        let run_id = extract::new_run_id();
        state.record(&RunRecord { run_id, ..record }).await.unwrap();
    }

    fn is_on(&self, alarm: &str, hours: u64) -> bool {
        Alarm::of(alarm).is_on_after(&self.lines, hours)
    }
}

fn ms_ago(hours: i64) -> i64 {
    chrono::Utc::now().timestamp_millis() - hours * 3_600_000
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_stays_on_until_the_feed_it_is_about_is_well() {
    let mut stack = Stack::new().await;
    stack.run("companies", 0).await;
    stack.run("deals", 60).await;
    stack.run("load", 120).await;
    assert_eq!(["FailedAlarm", "IncompleteAlarm", "LoadFailed"].map(|name| stack.is_on(name, 2)), [false; 3]);

    // A newer version wrote the cursor of deals: their run fails, and the next run of companies does not hide it.
    let state = stack.cloud.state();
    let cursor: Value = state.cursor("deals").await.unwrap().unwrap();
    let save = async |cursor: &Value| {
        let lease = state.lease("deals").await.unwrap();
        state.checkpoint(&lease, cursor, &[]).await.unwrap();
        state.release(lease).await;
    };
    save(&json!({"format": 999})).await;
    stack.run("deals", 3 * HOUR).await;
    stack.run("companies", 3 * HOUR + 900).await;
    assert!(stack.is_on("FailedAlarm", 4) && !stack.is_on("LoadFailed", 4));
    assert_eq!(stack.lines.last().unwrap().logged["failed"], json!(["deals"]));
    save(&cursor).await;
    stack.run("deals", 6 * HOUR).await;
    assert!(!stack.is_on("FailedAlarm", 7));

    // A run that can't even begin: there is no credential.
    let secret = |text: &str| {
        stack.cloud.aws.secrets.put_secret_value().secret_id("hubspot-credential").secret_string(text).send()
    };
    secret("{}").await.unwrap();
    // A process keeps what it has read of it.
    stack.cloud.kill("companies");
    let refused = stack.cloud.invoke("companies", &event("extract-schedule")).await;
    assert!(refused.is_error, "{refused:#?}");
    secret("pat-na1-fake").await.unwrap();
    stack.run("deals", 9 * HOUR).await;
    assert!(stack.is_on("FailedAlarm", 10));
    assert_eq!(stack.lines.last().unwrap().logged["failed"], json!(["companies"]));

    // A run whose time is over before it could save anything.
    stack.run("companies", 10 * HOUR).await;
    stack.cloud.gateway.set_timeout(Duration::from_millis(1));
    let failed = stack.cloud.invoke("companies", &event("extract-backfill")).await;
    assert!(
        failed.is_error && failed.answer.to_string().contains("before anything could be saved"),
        "{failed:#?}"
    );
    stack.cloud.gateway.set_timeout(Duration::from_secs(900));
    stack.run("deals", 11 * HOUR).await;
    assert!(stack.is_on("FailedAlarm", 12));
    assert_eq!(stack.lines.last().unwrap().logged["failed"], json!(["companies"]));

    // A collection that lacks something.
    stack.run("companies", 12 * HOUR).await;
    stack.change("deals", |report| report["collections"]["deals"]["outcome"] = json!("incomplete")).await;
    stack.run("companies", 15 * HOUR).await;
    assert!(stack.is_on("IncompleteAlarm", 16) && !stack.is_on("FailedAlarm", 16));
    stack.run("deals", 18 * HOUR).await;
    assert!(!stack.is_on("IncompleteAlarm", 19));

    // A load that can't go on: somebody deleted what it is to merge.
    let account = stack.cloud.sandbox.account();
    account.touch(ObjectType::Deals, account.live_ids(ObjectType::Deals)[0]).unwrap();
    stack.run("deals", 21 * HOUR).await;
    assert!(stack.cloud.delete_objects("deals").await > 0);
    stack.run("load", 21 * HOUR + 60).await;
    assert!(stack.is_on("LoadFailed", 22), "{:#}", stack.lines.last().unwrap().logged);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_feed_that_is_not_read_alarms_and_so_does_a_schedule_that_is_dead() {
    let mut stack = Stack::new().await;
    for function in ["companies", "deals", "load"] {
        stack.run(function, 0).await;
    }
    // Every hour, one report of all is enough.
    let healthy = stack.lines.clone();
    let each_hour = |lines: &[Line], hours: std::ops::Range<u64>| -> Vec<Line> {
        hours
            .flat_map(|hour| lines.iter().map(move |line| Line { at: hour * HOUR + 60, ..line.clone() }))
            .collect()
    };
    stack.lines = each_hour(&healthy, 0..20);
    assert!(!stack.is_on("SilentAlarm", 20) && !stack.is_on("LoadBehind", 20));
    // Then nothing runs any more: off for as long as it may be silent, and on.
    assert!(
        !stack.is_on("SilentAlarm", 27) && stack.is_on("SilentAlarm", 28) && stack.is_on("LoadBehind", 28)
    );
    assert!(!stack.is_on("BehindAlarm", 28));

    // Only the schedule of deals is dead: the runs of companies tell, as soon as deals are that far behind.
    stack.change("deals", |report| report["caught_up_ms"] = json!(ms_ago(9))).await;
    stack.run("companies", 0).await;
    let without_deals = stack.lines.pop().unwrap();
    assert_eq!(without_deals.logged["furthest_behind"], "deals");
    stack.lines = each_hour(&healthy, 0..20);
    stack.lines.extend(each_hour(&[without_deals, healthy[2].clone()], 20..21));
    assert!(!stack.is_on("BehindAlarm", 20) && stack.is_on("BehindAlarm", 21));
    assert!(["SilentAlarm", "LoadBehind"].iter().all(|alarm| !stack.is_on(alarm, 21)));

    // A table that was found equal too long ago, and one that never was.
    for (alarm, name, hours) in
        [("UnreconciledAlarm", "reconciled_ms", 73), ("UnrefreshedAlarm", "refreshed_ms", 217)]
    {
        stack.lines = healthy.clone();
        assert!(!stack.is_on(alarm, 1));
        stack.change("deals", |report| report[name] = json!(ms_ago(hours))).await;
        stack.run("companies", HOUR).await;
        assert!(stack.is_on(alarm, 2), "{:#}", stack.lines.last().unwrap().logged);
        stack.change("deals", |report| report[name] = json!(ms_ago(1))).await;
        stack.run("companies", 4 * HOUR).await;
        assert!(!stack.is_on(alarm, 5));
    }
}

#[test]
fn every_alarm_on_a_metric_of_the_functions_is_computed() {
    let lines: Vec<&str> = TEMPLATE.lines().collect();
    let alarms = lines.windows(2).filter(|pair| pair[1] == "    Type: AWS::CloudWatch::Alarm");
    let names: Vec<&str> = alarms.map(|pair| pair[0].trim().trim_end_matches(':')).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    let metrics: BTreeSet<String> = names.iter().map(|name| Alarm::of(name).metric).collect();
    let reported: BTreeSet<String> =
        lambda::Metric::ALL.iter().map(|metric| metric.name().to_owned()).collect();
    let unwatched: Vec<&String> = reported.difference(&metrics).collect();
    assert_eq!(unwatched, ["Calls", "MergedRows", "Rows"]);
    let behind = Alarm::of("LoadBehind");
    assert_eq!((behind.threshold, behind.evaluation_periods, behind.fill), (8.0, 8, Some(604_800.0)));
}

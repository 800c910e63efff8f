//! The further feeds in a process without Lambda: one is read after the other, each for its part of the time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use extract::{Event, FurtherReport, StopCause};
use hubspot::feeds::Feed;
use lambda::{Failure, Invocation};
use serde_json::{Map, Value, json};

use super::Function;

/// The least time that a run gets, and for which one is begun again.
const LEAST: Duration = Duration::from_secs(60);
/// The outcome, in this report alone, of a run of what nobody named and the account does not have.
const UNAVAILABLE: &str = "unavailable";

impl Function {
    /// Reads the feeds, the one first that was read longest ago. Each has an equal part of the time that is left, so that
    /// none waits for ever behind one that takes hours; what its part does not suffice for goes on behind the others. A
    /// feed that fails leaves the others alone. Returns the last reports of the runs, also of those that were not begun,
    /// which the next start reads first.
    pub(super) async fn read_in_turn(
        &self,
        feeds: Vec<(&'static dyn Feed, Event)>,
        invocation: &Invocation,
        report: &mut FurtherReport,
    ) -> Map<String, Value> {
        let mut runs = Map::new();
        let mut waiting = VecDeque::from(self.longest_ago_first(feeds).await);
        while let Some((feed, event)) = waiting.pop_front() {
            let name = feed.name().to_owned();
            if invocation.is_over() {
                let reason = "not begun: the time is over, or a signal came";
                runs.entry(name).or_insert_with(|| json!({"outcome": "stopped", "reason": reason}));
                continue;
            }
            tracing::info!(feed.name = name, "reading a further feed");
            if !runs.contains_key(&name) {
                report.started.push(name.clone());
            }
            let time = part_of(invocation.left(), waiting.len() + 1);
            let part = invocation.part(time);
            let run = self.read_one(feed, &event, &part).await;
            let run = run.unwrap_or_else(|failure| {
                tracing::error!(feed.name = name, error_type = failure.kind.name(), "{:#}", failure.error);
                failure.into_report()
            });
            if goes_on(&run, part.started.elapsed(), time) && invocation.left() >= LEAST {
                waiting.push_back((feed, if has_begun(&run) { event.next() } else { event }));
            }
            runs.insert(name, run);
        }
        runs
    }

    /// Sorts feeds by when their last runs began. One that has none, or whose report can't be read, comes first.
    async fn longest_ago_first(
        &self,
        feeds: Vec<(&'static dyn Feed, Event)>,
    ) -> Vec<(&'static dyn Feed, Event)> {
        let mut dated = Vec::new();
        for (feed, event) in feeds {
            let last = extract::last_run(feed, event.mode, &self.state).await;
            dated.push((last.ok().flatten().map(|(began_ms, _)| began_ms), feed, event));
        }
        dated.sort_by_key(|(began_ms, ..)| *began_ms);
        dated.into_iter().map(|(_, feed, event)| (feed, event)).collect()
    }

    async fn read_one(
        &self,
        feed: &'static dyn Feed,
        event: &Event,
        invocation: &Invocation,
    ) -> Result<Value, Failure> {
        let options = event.options().map_err(lambda::refuse_event)?;
        match self.client(invocation).await {
            Ok(client) => self.run(feed, client, event, options, invocation).await,
            Err(failure) => Err(self.not_begun(event, failure, invocation).await),
        }
    }
}

/// The part of the time that is left for one of so many feeds.
fn part_of(left: Duration, feeds: usize) -> Duration {
    let equal = left / u32::try_from(feeds).unwrap_or(u32::MAX).max(1);
    equal.max(LEAST).min(left)
}

/// `true`: its part of the time was too short for the run. One that has used little of it waits for something else, and
/// would end so again.
fn goes_on(run: &Value, took: Duration, time: Duration) -> bool {
    is_stopped_by(run, StopCause::Deadline) && took * 2 >= time
}

fn is_stopped_by(run: &Value, cause: StopCause) -> bool {
    let is_it = |reason: &str| reason.split(':').next() == Some(cause.name());
    run["outcome"] == "stopped" && run["reason"].as_str().is_some_and(is_it)
}

/// `true`: the cursor holds the run that was asked for. To ask for it again would begin it anew.
fn has_begun(run: &Value) -> bool {
    run["mode"].is_string() && run["done_share"].is_number()
}

/// Gives the runs their outcome that had nothing to read, since nobody named what they are for, and the account, or the
/// credential, does not have it: nothing is left of them.
pub(super) fn name_unavailable(
    runs: &mut Map<String, Value>,
    unavailable: &BTreeMap<String, String>,
    is_wanted: impl Fn(&str) -> bool,
) {
    for (_, run) in runs {
        // A snapshot finds no table to be compared with.
        if run["outcome"] != "skipped" && !is_stopped_by(run, StopCause::NotReadYet) {
            continue;
        }
        let collections = run["collections"].as_object().into_iter().flatten();
        let collections = collections.map(|(name, _)| staging::snapshot_of(name).unwrap_or(name));
        let mut own =
            collections.filter(|name| !hubspot::feeds::is_shared(name) && is_wanted(name)).peekable();
        if own.peek().is_some() && own.all(|name| unavailable.contains_key(name)) {
            run["outcome"] = UNAVAILABLE.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn every_feed_gets_a_part_of_the_time() {
        assert_eq!(part_of(minutes(360), 30), minutes(12));
        assert_eq!(part_of(minutes(348), 1), minutes(348));
        // Less than a minute saves little.
        assert_eq!(part_of(minutes(10), 30), minutes(1));
        assert_eq!(part_of(minutes(1) / 2, 30), minutes(1) / 2);
    }

    #[test]
    fn a_run_goes_on_that_its_part_of_the_time_was_too_short_for() {
        let of = |reason: &str| json!({"outcome": "stopped", "reason": reason, "mode": "backfill"});
        let late = of("deadline: the time is over");
        assert!(goes_on(&late, minutes(12), minutes(12)) && goes_on(&late, minutes(11), minutes(12)));
        assert!(!goes_on(&late, minutes(1), minutes(12)));
        assert!(!goes_on(&of("daily_limit: none is left"), minutes(12), minutes(12)));
        assert!(!goes_on(&json!({"outcome": "complete", "reason": null}), minutes(12), minutes(12)));
        assert!(!has_begun(&late));
        assert!(has_begun(&json!({"mode": "backfill", "done_share": 0.2})));
    }

    #[test]
    fn what_nobody_named_and_the_account_lacks_is_unavailable() {
        let run = |outcome: &str, reason: &str, collections: &[&str]| {
            let collections = collections.iter().map(|name| ((*name).to_owned(), json!({})));
            let collections: Map<String, Value> = collections.collect();
            json!({"outcome": outcome, "reason": reason, "collections": collections})
        };
        let shared = hubspot::feeds::SHARED[0];
        let runs = json!({
            "tickets": run("skipped", "no scope", &["tickets", shared]),
            "projects": run("stopped", "not_read_yet: no table", &["_snapshot_projects"]),
            "goals": run("stopped", "busy: held", &["goals"]),
            "notes": run("skipped", "no scope", &["notes"]),
            "metadata": run("skipped", "no scope", &["owners", "roles", "teams"]),
            "calls": {"outcome": "skipped"},
        });
        let Value::Object(mut runs) = runs else { panic!() };
        let unavailable = ["tickets", "projects", "goals", "owners", "roles"];
        let unavailable = unavailable.map(|name| (name.to_owned(), String::new())).into();
        name_unavailable(&mut runs, &unavailable, |name| name != "teams");
        let outcomes: Vec<(&str, &str)> =
            runs.iter().map(|(name, run)| (name.as_str(), run["outcome"].as_str().unwrap())).collect();
        let unchanged = [("calls", "skipped"), ("goals", "stopped"), ("notes", "skipped")];
        let named = [("metadata", UNAVAILABLE), ("projects", UNAVAILABLE), ("tickets", UNAVAILABLE)];
        assert_eq!(BTreeMap::from_iter(outcomes), unchanged.into_iter().chain(named).collect());
    }
}

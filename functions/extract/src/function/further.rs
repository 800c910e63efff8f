//! The function that reads many feeds: which one an event means, and the run that starts one for each.
//!
//! The start knows no more than what to start: each feed's run is an invocation of its own, with its lease, its deadline
//! and its continuations, and starts nothing but its own continuation. An event that comes twice starts runs twice; of
//! two runs of a feed one finds the lease held. Without Lambda this process reads them all (`in_turn`).

use std::sync::Arc;

use chrono::Utc;
use extract::{End, Event, FURTHER, FurtherFeeds, FurtherReport, Outcome, Run, Selection, Standing};
use futures::stream::{StreamExt, iter};
use hubspot::Client;
use hubspot::feeds::{Feed, HistoryProperties, Mode};
use lambda::{Failure, FailureKind, Invocation};
use serde_json::{Map, Value};

use super::{Function, failure_kind, in_turn};

/// Invocations that are asked for at once.
const AT_ONCE: usize = 8;
/// Minutes after which the schedule starts again what is read as a whole and failed.
const RETRY_MINUTES: u32 = 30;
/// The name in reports for the custom objects of which nothing is known yet.
const CUSTOM_OBJECTS: &str = "custom objects";

impl Function {
    /// The feed that the event names, if it is wanted and the account has it.
    pub(super) async fn further_feed(
        &self,
        event: &Event,
        client: &Client,
    ) -> Result<Option<&'static dyn Feed>, Failure> {
        let Some(name) = event.feed.as_deref() else { return Ok(None) };
        let run_failed = |error: anyhow::Error| Failure::new(FailureKind::Run, error);
        let further = FurtherFeeds::read(&self.state).await.map_err(|error| run_failed(error.into()))?;
        let mut feed = further.find(name);
        if feed.is_none() && hubspot::feeds::known().all(|known| known.name() != name) {
            // Somebody was faster than the schedule.
            let custom = hubspot::feeds::custom_objects(client).await;
            let custom = custom.map_err(|error| run_failed(error.into()))?;
            feed = custom.feeds.into_iter().find(|custom| custom.name() == name);
        }
        let Some(feed) = feed else {
            return Err(lambda::refuse_event(format!(
                "{name} is none of the feeds that this function reads"
            )));
        };
        if !feed.collections().iter().any(|name| self.config.names.select(name)) {
            return Err(lambda::refuse_event(format!(
                "the stack does not read {name}: its parameter Collections does not name it"
            )));
        }
        Ok(Some(feed))
    }

    /// Finds out which feeds are wanted and exist, invokes this function once for each, and tells how they stand.
    pub(super) async fn start_further(
        &self,
        client: Client,
        event: &Event,
        invocation: &Invocation,
    ) -> Result<Value, Failure> {
        let mut report = FurtherReport::new(&extract::new_run_id(), event.mode);
        let mut runs = Map::new();
        let started = self.start(client, event, invocation, &mut report, &mut runs).await;
        let mut failed = None;
        if let Err(error) = started {
            let outcome = Outcome::of(&error);
            (report.outcome, report.reason) = (outcome.end(), outcome.reason());
            if report.outcome == End::Failed || report.outcome == End::Skipped {
                report.outcome = End::Failed;
                failed = Some(Failure::new(failure_kind(&error), error));
            }
        }
        let mut further = None;
        match self.further_standing().await {
            Ok(standing) => {
                further = Some(standing.clone());
                report.standing.absorb(standing);
            }
            Err(error) => failed = failed.or(Some(Failure::new(FailureKind::Run, error))),
        }
        report.end(invocation.started.elapsed().as_secs_f64());
        let mut value =
            serde_json::to_value(&report).map_err(|error| Failure::new(FailureKind::Run, error))?;
        self.record(FURTHER, &report.run_id, value.clone()).await;
        let standing = self.standing(further).await;
        invocation.emit(self.further_metrics(&report, failed.is_some(), &standing, invocation));
        if invocation.is_of_process() {
            let is_wanted = |name: &str| self.config.names.select(name);
            in_turn::name_unavailable(&mut runs, &report.standing.unavailable, is_wanted);
            value["runs"] = runs.into();
        }
        match failed {
            Some(failure) => Err(failure.reported(value)),
            None => Ok(value),
        }
    }

    async fn start(
        &self,
        client: Client,
        event: &Event,
        invocation: &Invocation,
        report: &mut FurtherReport,
        runs: &mut Map<String, Value>,
    ) -> anyhow::Result<()> {
        // Of another account nothing is started.
        let run = Run::begin(client, Arc::clone(&self.state), self.bucket.clone()).await?;
        let mut before = FurtherFeeds::read(&self.state).await?.custom();
        before.former = self.state.collections().await?.into_iter().collect();
        let (selection, refused) = self.config.names.as_far_as_known(&run.client, before).await;
        let now_ms = Utc::now().timestamp_millis();
        FurtherFeeds::keep(&self.state, &selection, now_ms).await?;
        note_gaps(&selection, self.config.histories.as_ref(), report);
        let mode = |feed: &dyn Feed| extract::mode_of(feed, event.mode);
        let is_compared = |feed: &&'static dyn Feed| {
            !mode(*feed).is_some_and(Mode::is_snapshot) || feed.snapshot().is_some()
        };
        let mut feeds = Vec::new();
        for feed in selection.further().filter(is_compared) {
            if event.is_of_schedule() && self.was_just_refreshed(feed, now_ms).await? {
                continue;
            }
            feeds.push((feed, Event { mode: mode(feed), ..event.of_feed(feed.name()) }));
        }
        let mut failed = Vec::new();
        if invocation.is_of_process() {
            *runs = self.read_in_turn(feeds, invocation, report).await;
        } else {
            let invoked = iter(feeds).map(async |(feed, event)| {
                (feed.name(), lambda::invoke(&self.aws.lambda, &invocation.function, &event).await)
            });
            for (name, invoked) in invoked.buffered(AT_ONCE).collect::<Vec<_>>().await {
                match invoked {
                    Ok(()) => report.started.push(name.to_owned()),
                    Err(error) => failed.push((name, error)),
                }
            }
            tracing::info!(feeds = report.started.len(), "the runs of further feeds are started");
        }
        if let Some(refused) = refused {
            // An error of the function would start all the runs again.
            let reason = format!("custom objects can't be listed, and the known ones are read: {refused}");
            tracing::warn!("{reason}");
            report.standing.incomplete.insert(CUSTOM_OBJECTS.to_owned(), reason.clone());
            (report.outcome, report.reason) = (End::Incomplete, Some(reason));
        }
        let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
        match failed.into_iter().next() {
            Some((_, error)) => {
                let names = names.join(", ");
                Err(error.context(format!("the runs of {names} can't be started")))
            }
            None => Ok(()),
        }
    }

    /// `true`: the feed is read as a whole each time, and its last run is not long ago.
    async fn was_just_refreshed(&self, feed: &dyn Feed, now_ms: i64) -> anyhow::Result<bool> {
        if !feed.is_full_refresh() || self.config.full_refresh_minutes == 0 {
            return Ok(false);
        }
        let Some((began_ms, end)) = extract::last_run(feed, None, &self.state).await? else {
            return Ok(false);
        };
        let minutes = match end {
            End::Stopped => 0,
            End::Failed => self.config.full_refresh_minutes.min(RETRY_MINUTES),
            _ => self.config.full_refresh_minutes,
        };
        Ok((0..i64::from(minutes) * 60_000).contains(&(now_ms - began_ms)))
    }

    async fn further_standing(&self) -> anyhow::Result<Standing> {
        let further = FurtherFeeds::read(&self.state).await?;
        Standing::of(&further, &self.config.names, &self.state, Utc::now().timestamp_millis()).await
    }
}

/// Names that nothing is known of: the rest is read.
fn note_gaps(selection: &Selection, histories: Option<&HistoryProperties>, report: &mut FurtherReport) {
    if let Err(odd) = selection.histories(histories) {
        (report.outcome, report.reason) = (End::Incomplete, Some(format!("PropertyHistory: {odd:#}")));
    }
    if let Some(note) = &selection.note {
        tracing::warn!("{note}");
        report.standing.unavailable.insert(CUSTOM_OBJECTS.to_owned(), note.clone());
    }
    if !selection.unknown.is_empty() {
        let reason = format!(
            "Collections names what the account does not have: {}. Leave it out, or correct it",
            selection.unknown.join(", ")
        );
        (report.outcome, report.reason) = (End::Incomplete, Some(reason));
    }
}

//! The standing of many feeds, by what their last runs left in the state: what alarms watch.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{StreamExt, TryStreamExt, iter};
use hubspot::feeds::{Cursor, FEEDS, Feed, Mode};
use serde::{Deserialize, Serialize};
use staging::{Shared, State};

use crate::further::{FURTHER, FurtherFeed, FurtherFeeds, missed_text};
use crate::report::RunReport;
use crate::{CollectionNames, work_name};
use staging::End;

/// Feeds whose reports are read at once.
const AT_ONCE: usize = 8;

/// Time for which a snapshot that failed counts: a week between two of them, and a day. Where nothing schedules the next
/// one, nothing else would end it.
const FAILED_SNAPSHOT_MS: i64 = 8 * 24 * 3_600_000;

/// Name of the document that says since when each of Segment's feeds is wanted.
const WANTED_SINCE: &str = "feeds-wanted-since";

/// The worst of many feeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Feeds whose last run failed, and why.
    pub failed: BTreeMap<String, String>,
    /// Collections that lack something, and what.
    pub incomplete: BTreeMap<String, String>,
    /// Collections that nobody named and the account, or the credential, does not have.
    pub unavailable: BTreeMap<String, String>,
    /// Time since which the one that is furthest behind is read; `None` where nothing is wanted.
    pub lag_seconds: Option<f64>,
    /// The name of that one.
    #[serde(default)]
    pub furthest_behind: Option<String>,
    /// Of the table that was found equal to HubSpot the longest time ago.
    pub reconciled_ms: Option<i64>,
    /// The same of refreshes.
    pub refreshed_ms: Option<i64>,
}

/// Report of a run that starts the runs of many feeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherReport {
    pub run_id: String,
    pub mode: Option<Mode>,
    pub outcome: End,
    pub reason: Option<String>,
    /// RFC 3339.
    pub ended_at: String,
    pub seconds: f64,
    /// Feeds whose runs were started.
    pub started: Vec<String>,
    #[serde(flatten)]
    pub standing: Standing,
}

impl FurtherReport {
    /// The report of a run that is about to start the others.
    pub fn new(run_id: &str, mode: Option<Mode>) -> FurtherReport {
        FurtherReport {
            run_id: run_id.to_owned(),
            mode,
            outcome: End::Complete,
            reason: None,
            ended_at: String::new(),
            seconds: 0.0,
            started: Vec::new(),
            standing: Standing::default(),
        }
    }

    /// The report of a run that failed before it could start any.
    pub fn failed(run_id: &str, mode: Option<Mode>, error: &anyhow::Error, seconds: f64) -> FurtherReport {
        let mut report = FurtherReport::new(run_id, mode);
        (report.outcome, report.reason) = (End::Failed, Some(format!("{error:#}")));
        report.end(seconds);
        report
    }

    /// Notes when the run ended.
    pub fn end(&mut self, seconds: f64) {
        self.ended_at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        self.seconds = seconds;
    }
}

/// The functions of a stack that read HubSpot on a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// Those of Segment's feeds.
    pub feeds: Vec<&'static str>,
    /// The one of all further feeds.
    pub has_further: bool,
}

impl FromIterator<String> for Scheduled {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Scheduled {
        let names: BTreeSet<String> = names.into_iter().collect();
        Scheduled {
            feeds: FEEDS.iter().map(|feed| feed.name()).filter(|name| names.contains(*name)).collect(),
            has_further: names.contains(FURTHER),
        }
    }
}

impl Standing {
    /// Reads the last reports of all feeds that the stack reads on a schedule; `further`: the standing of further feeds, if
    /// it is known.
    pub async fn of_stack(
        scheduled: &Scheduled,
        further: Option<Standing>,
        names: &CollectionNames,
        state: &State,
        now_ms: i64,
    ) -> anyhow::Result<Standing> {
        let mut standing = Standing::default();
        if scheduled.has_further {
            standing = match further {
                Some(further) => further,
                None => Standing::of(&FurtherFeeds::read(state).await?, names, state, now_ms).await?,
            };
            let last = state.records(FURTHER, 1).await?.into_iter().next();
            let last: Option<FurtherReport> =
                last.map(|record| serde_json::from_value(record.report)).transpose()?;
            standing.take_start(last);
        }
        let since = wanted_since(scheduled, state, now_ms).await?;
        let feeds = FEEDS.iter().copied().filter(|feed| scheduled.feeds.contains(&feed.name()));
        let feeds = feeds.map(|feed| Wanted {
            feed,
            since_ms: since.get(feed.name()).copied().unwrap_or(now_ms),
            further: None,
        });
        standing.read(feeds, names, state, now_ms).await?;
        Ok(standing)
    }

    /// Reads the last reports of the further feeds that are wanted.
    pub async fn of<'f>(
        further: &'f FurtherFeeds,
        names: &CollectionNames,
        state: &State,
        now_ms: i64,
    ) -> anyhow::Result<Standing> {
        let wanted = |(name, known): (&String, &'f FurtherFeed)| {
            Some(Wanted { feed: further.find(name)?, since_ms: known.since_ms, further: Some(known) })
        };
        let mut standing = Standing::default();
        standing.read(further.feeds.iter().filter_map(wanted), names, state, now_ms).await?;
        for name in &further.missed {
            standing.incomplete.insert(name.clone(), missed_text(&format!("-{name} in Collections")));
        }
        Ok(standing)
    }

    async fn read<'f>(
        &mut self,
        feeds: impl Iterator<Item = Wanted<'f>>,
        names: &CollectionNames,
        state: &State,
        now_ms: i64,
    ) -> anyhow::Result<()> {
        let read = iter(feeds).map(|wanted| One::read(wanted, state)).buffered(AT_ONCE);
        for one in read.try_collect::<Vec<One<'_>>>().await? {
            self.take(&one, names, now_ms);
        }
        Ok(())
    }

    /// Takes in the last run that started those of further feeds. What it says of the feeds was so before their runs.
    fn take_start(&mut self, last: Option<FurtherReport>) {
        let Some(last) = last else { return };
        let reason = last.reason.unwrap_or_default();
        match last.outcome {
            End::Failed => _ = self.failed.insert(FURTHER.to_owned(), reason),
            End::Incomplete => _ = self.incomplete.insert(FURTHER.to_owned(), reason),
            _ => {}
        }
    }

    /// Adds what the feeds' reports say to what the run itself has noted.
    pub fn absorb(&mut self, of_feeds: Standing) {
        let noted = std::mem::replace(self, of_feeds);
        self.unavailable.extend(noted.unavailable);
        self.incomplete.extend(noted.incomplete);
    }

    fn take(&mut self, one: &One<'_>, names: &CollectionNames, now_ms: i64) {
        let is_recent = |last: &&RunReport| now_ms - last.ended_ms().unwrap_or(now_ms) < FAILED_SNAPSHOT_MS;
        let last_snapshot = one.last_snapshot.iter().filter(is_recent);
        for last in one.last.iter().chain(last_snapshot).filter(|last| last.outcome == End::Failed) {
            self.failed.insert(last.feed.clone(), last.reason.clone().unwrap_or_default());
        }
        let was_read = one.caught_up_ms.is_some() || one.last.as_ref().is_some_and(RunReport::was_read);
        let mut is_all_lacking = true;
        for (name, collection) in one.last.iter().flat_map(|last| &last.collections) {
            if !names.select(name) {
                continue;
            }
            // Several feeds fill it: it is lacking with the records of one that is.
            let is_beside =
                hubspot::feeds::is_shared(name) && !one.feed.collections().contains(&name.as_str());
            if one.further.is_some() && is_beside && collection.outcome == End::Skipped {
                continue;
            }
            let reason = || collection.reason.clone().unwrap_or_default();
            let lacks = |known: &FurtherFeed| known.lacks(one.feed, name, collection.outcome, was_read);
            if one.further.is_some_and(lacks) {
                self.unavailable.insert(name.clone(), reason());
                continue;
            }
            is_all_lacking = false;
            if matches!(collection.outcome, End::Skipped | End::Incomplete) {
                self.incomplete.insert(name.clone(), reason());
            }
        }
        if one.last.is_some() && is_all_lacking {
            return;
        }
        let lag_seconds = (now_ms - one.caught_up_ms.unwrap_or(one.since_ms)).max(0) as f64 / 1000.0;
        if self.lag_seconds.is_none_or(|worst| worst < lag_seconds) {
            self.lag_seconds = Some(lag_seconds);
            self.furthest_behind = Some(one.feed.name().to_owned());
        }
        if let Some(last) = &one.last {
            // What was never found equal was not since it is wanted. A run that failed at once does not know.
            let is_known = one.caught_up_ms.is_some() && last.outcome < End::Skipped;
            let never_ms = one.feed.snapshot().filter(|_| is_known).map(|_| one.since_ms);
            let older = |one: Option<i64>, other: Option<i64>| one.into_iter().chain(other).min();
            self.reconciled_ms = older(self.reconciled_ms, last.reconciled_ms.or(never_ms));
            self.refreshed_ms = older(self.refreshed_ms, last.refreshed_ms);
        }
    }
}

/// A feed that is wanted.
struct Wanted<'f> {
    feed: &'static dyn Feed,
    since_ms: i64,
    /// The memory of one that is not Segment's.
    further: Option<&'f FurtherFeed>,
}

/// What one feed's runs left.
struct One<'f> {
    feed: &'static dyn Feed,
    since_ms: i64,
    further: Option<&'f FurtherFeed>,
    last: Option<RunReport>,
    last_snapshot: Option<RunReport>,
    caught_up_ms: Option<i64>,
}

impl<'f> One<'f> {
    async fn read(wanted: Wanted<'f>, state: &State) -> anyhow::Result<One<'f>> {
        let Wanted { feed, since_ms, further } = wanted;
        let last = last_report(feed, None, state).await?;
        let last_snapshot = match feed.snapshot() {
            Some(_) => last_report(feed, Some(Mode::Reconcile), state).await?,
            None => None,
        };
        let mut caught_up_ms = last.as_ref().and_then(|last| last.caught_up_ms);
        if caught_up_ms.is_none() && last.is_some() {
            // A run that could not begin does not know its cursor. One that can't be read tells nothing to anybody.
            let cursor: Option<Cursor> = state.cursor(feed.name()).await.unwrap_or_default();
            caught_up_ms = cursor.and_then(|cursor| cursor.caught_up_ms);
        }
        Ok(One { feed, since_ms, further, last, last_snapshot, caught_up_ms })
    }
}

/// Returns when each of Segment's feeds was first wanted, and keeps it: one that was never read is behind since then.
async fn wanted_since(
    scheduled: &Scheduled,
    state: &State,
    now_ms: i64,
) -> Result<BTreeMap<String, i64>, staging::Error> {
    loop {
        let mut shared: Shared<BTreeMap<String, i64>> = state.shared(WANTED_SINCE).await?;
        let since =
            |name: &&'static str| ((*name).to_owned(), shared.value.get(*name).copied().unwrap_or(now_ms));
        let next: BTreeMap<String, i64> = scheduled.feeds.iter().map(since).collect();
        if next == shared.value {
            return Ok(next);
        }
        shared.value = next.clone();
        // Whoever came in between found the same.
        if state.swap_shared(WANTED_SINCE, &shared).await? {
            return Ok(next);
        }
    }
}

/// Returns whether the last run under this name failed.
///
/// # Errors
/// When the state can't be read.
pub async fn has_failed(name: &str, state: &State) -> anyhow::Result<bool> {
    let last = state.records(name, 1).await?.into_iter().next();
    Ok(last.is_some_and(|last| last.report["outcome"] == End::Failed.name()))
}

/// Returns when the last run of a feed began, or of its snapshots, and how it ended.
///
/// # Errors
/// When the state can't be read.
pub async fn last_run(
    feed: &dyn Feed,
    mode: Option<Mode>,
    state: &State,
) -> anyhow::Result<Option<(i64, End)>> {
    let last = last_report(feed, mode, state).await?;
    Ok(last.and_then(|last| Some((last.ended_ms()? - (last.seconds * 1_000.0) as i64, last.outcome))))
}

async fn last_report(
    feed: &dyn Feed,
    mode: Option<Mode>,
    state: &State,
) -> anyhow::Result<Option<RunReport>> {
    let last = state.records(&work_name(feed, mode), 1).await?.into_iter().next();
    Ok(last.map(|record| serde_json::from_value(record.report)).transpose()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use staging::RunRecord;

    use super::*;
    use crate::selection::CollectionNames;

    const DAY_MS: i64 = 24 * 3_600_000;

    /// Keeps the report of a feed's last run, with what differs from one that was skipped.
    async fn record(state: &State, feed: &str, differs: serde_json::Value) {
        let collections: BTreeMap<&str, serde_json::Value> = [(
            "notes",
            json!({"outcome": differs["outcome"], "reason": "no scope", "rows": 0, "degraded": [],
                "deleted": 0, "unparsed_values": 0, "files": 0, "bytes": 0}),
        )]
        .into();
        let mut report = json!({
            "run_id": "run-1", "feed": feed, "outcome": "skipped", "ended_at": "2026-11-01T00:00:00.000Z",
            "seconds": 1.0, "continuation": 0, "goes_on": false, "collections": collections, "api": {},
        });
        let fields = differs.as_object().unwrap().clone();
        report.as_object_mut().unwrap().extend(fields);
        let record = RunRecord { name: feed.to_owned(), run_id: "run-1".to_owned(), report };
        state.record(&record).await.unwrap();
    }

    async fn standing(state: &State, now_ms: i64) -> Standing {
        let names = CollectionNames::new(Some(&["all".to_owned()]), None).unwrap();
        let selection = names.among(&hubspot::feeds::CustomObjects::default(), None);
        let further = FurtherFeeds::keep(state, &selection, 0).await.unwrap();
        Standing::of(&further, &names, state, now_ms).await.unwrap()
    }

    #[tokio::test]
    async fn a_snapshot_that_failed_counts_until_the_next_one_would_have_come() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        let failed = json!({"outcome": "failed", "reason": "HubSpot is down", "mode": "reconcile"});
        record(&state, "snapshot-notes", failed).await;
        let ended_ms =
            chrono::DateTime::parse_from_rfc3339("2026-11-01T00:00:00Z").unwrap().timestamp_millis();
        let counts = async |days| standing(&state, ended_ms + days * DAY_MS).await.failed.len();
        assert_eq!((counts(0).await, counts(7).await, counts(9).await), (1, 1, 0));
    }

    #[tokio::test]
    async fn a_scheduled_feed_that_was_never_read_is_behind_since_then() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        let names = CollectionNames::default();
        let stand = async |feeds: &[&str], now_ms: i64| {
            let scheduled = feeds.iter().map(|feed| (*feed).to_owned()).collect();
            Standing::of_stack(&scheduled, None, &names, &state, now_ms).await.unwrap()
        };
        assert_eq!(stand(&["companies"], 1_000).await.lag_seconds, Some(0.0));
        let both = stand(&["companies", "deals"], 5_000).await;
        assert_eq!((both.lag_seconds, both.furthest_behind.as_deref()), (Some(4.0), Some("companies")));
        // One that was off meanwhile is wanted anew.
        let deals = stand(&["deals"], 6_000).await;
        assert_eq!((deals.lag_seconds, deals.furthest_behind.as_deref()), (Some(1.0), Some("deals")));
        assert_eq!(stand(&["companies", "deals"], 9_000).await.furthest_behind.as_deref(), Some("deals"));
        assert_eq!(stand(&[], 9_000).await, Standing::default());
    }

    #[tokio::test]
    async fn what_a_run_has_begun_to_read_is_missed_when_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        record(&state, "notes", json!({"outcome": "skipped"})).await;
        let never = standing(&state, 1).await;
        assert!(never.unavailable.contains_key("notes") && never.incomplete.is_empty());
        record(&state, "notes", json!({"outcome": "skipped", "run_id": "run-2", "done_share": 0.4})).await;
        let begun = standing(&state, 1).await;
        assert!(begun.incomplete.contains_key("notes") && begun.unavailable.is_empty());
    }
}

//! How many feeds stand together, by what their last runs left in the state: the report of the run that starts them.
//! Each feed's own runs report for themselves; alarms watch the worst of all.

use std::collections::BTreeMap;

use futures::stream::{StreamExt, TryStreamExt, iter};
use hubspot::feeds::{Cursor, Feed, Mode};
use serde::{Deserialize, Serialize};
use staging::State;

use crate::further::{FurtherFeed, FurtherFeeds, missed_text};
use crate::outcome::End;
use crate::report::RunReport;
use crate::{CollectionNames, work_name};

/// Feeds whose reports are read at once.
const AT_ONCE: usize = 8;

/// Time for which a snapshot that failed counts: a week between two of them, and a day. Where nothing schedules the next
/// one, nothing else would end it.
const FAILED_SNAPSHOT_MS: i64 = 8 * 24 * 3_600_000;

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

impl Standing {
    /// Reads the last reports of the feeds that are wanted.
    pub async fn of(
        further: &FurtherFeeds,
        names: &CollectionNames,
        state: &State,
        now_ms: i64,
    ) -> anyhow::Result<Standing> {
        let feeds = further.feeds.iter().filter_map(|(name, known)| Some((further.find(name)?, known)));
        let read = iter(feeds).map(|(feed, known)| One::read(feed, known, state)).buffered(AT_ONCE);
        let mut standing = Standing::default();
        for one in read.try_collect::<Vec<One<'_>>>().await? {
            standing.take(&one, names, now_ms);
        }
        for name in &further.missed {
            standing.incomplete.insert(name.clone(), missed_text(&format!("-{name} in Collections")));
        }
        Ok(standing)
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
            if hubspot::feeds::is_shared(name) && collection.outcome == End::Skipped {
                continue;
            }
            let reason = || collection.reason.clone().unwrap_or_default();
            if one.known.lacks(one.feed, name, collection.outcome, was_read) {
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
        let lag_seconds = (now_ms - one.caught_up_ms.unwrap_or(one.known.since_ms)).max(0) as f64 / 1000.0;
        self.lag_seconds = Some(self.lag_seconds.map_or(lag_seconds, |worst| worst.max(lag_seconds)));
        if let Some(last) = &one.last {
            let older = |one: Option<i64>, other: Option<i64>| one.into_iter().chain(other).min();
            self.reconciled_ms = older(self.reconciled_ms, last.reconciled_ms);
            self.refreshed_ms = older(self.refreshed_ms, last.refreshed_ms);
        }
    }
}

/// What one feed's runs left.
struct One<'f> {
    feed: &'static dyn Feed,
    known: &'f FurtherFeed,
    last: Option<RunReport>,
    last_snapshot: Option<RunReport>,
    caught_up_ms: Option<i64>,
}

impl<'f> One<'f> {
    async fn read(feed: &'static dyn Feed, known: &'f FurtherFeed, state: &State) -> anyhow::Result<One<'f>> {
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
        Ok(One { feed, known, last, last_snapshot, caught_up_ms })
    }
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

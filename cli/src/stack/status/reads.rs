//! Status of the collections, from the reports of runs in the state.

use chrono::{DateTime, Utc};
use extract::{End, FurtherFeed, FurtherFeeds, RunReport};
use hubspot::feeds::{FEEDS, Feed, Mode, is_shared};
use serde::{Serialize, Serializer};
use staging::{RefreshDue, StagedFile, State, Wanted};

#[derive(Debug, Serialize)]
pub(super) struct CollectionStatus {
    pub(super) feed: String,
    /// `false`: the account, or the credential, does not have it, and nobody named it.
    pub(super) is_available: bool,
    /// `true`: a run holds the feed's lease.
    pub(super) is_running: bool,
    /// Id of the last run that ended; `null` before the first.
    pub(super) run_id: Option<String>,
    pub(super) ended_at: Option<String>,
    pub(super) mode: Option<&'static str>,
    /// Outcome of the last run; `None` before the first.
    #[serde(serialize_with = "end_or_never")]
    pub(super) outcome: Option<End>,
    pub(super) reason: Option<String>,
    pub(super) degraded: Vec<String>,
    pub(super) rows: u64,
    /// The newest change that was read.
    pub(super) watermark: Option<String>,
    /// Time since the watermark.
    pub(super) lag_seconds: Option<f64>,
    /// Start of the last snapshot of HubSpot's records to which the table was equal.
    pub(super) reconciled: Option<String>,
    /// Start of the last such refresh, which also compares values that change without a new modified date.
    pub(super) refreshed: Option<String>,
    /// Time since which a refresh is due.
    pub(super) refresh_due: Option<String>,
    /// The part of an unfinished run that is done, from 0 to 1.
    pub(super) done_share: Option<f64>,
    pub(super) pending_files: u64,
}

impl CollectionStatus {
    /// Takes in the status that another feed gives the same collection: rows of both, and the worse of all else.
    pub(super) fn join(&mut self, other: CollectionStatus) {
        self.rows += other.rows;
        self.is_running |= other.is_running;
        self.lag_seconds = self.lag_seconds.into_iter().chain(other.lag_seconds).reduce(f64::max);
        self.watermark = self.watermark.take().into_iter().chain(other.watermark).min();
        for text in other.degraded {
            if !self.degraded.contains(&text) {
                self.degraded.push(text);
            }
        }
        if other.outcome > self.outcome {
            (self.outcome, self.reason) = (other.outcome, other.reason);
            (self.feed, self.run_id, self.mode) = (other.feed, other.run_id, other.mode);
            (self.ended_at, self.done_share) = (other.ended_at, other.done_share);
        }
    }
}

pub(super) fn end_text(outcome: Option<End>) -> &'static str {
    outcome.map_or("never run", End::name)
}

fn end_or_never<S: Serializer>(outcome: &Option<End>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(end_text(*outcome))
}

/// A feed, as far as its runs show in the state. Of a custom object only the name is known.
#[derive(Debug)]
pub(super) struct Reads {
    feed: String,
    collections: Vec<String>,
    compared: Option<String>,
    /// Entry of a stack's last scheduled run, with its feed.
    further: Option<(FurtherFeed, &'static dyn Feed)>,
    /// The account does not show it any more.
    is_missed: bool,
}

impl Reads {
    fn of(feed: &'static dyn Feed) -> Reads {
        Reads {
            feed: feed.name().to_owned(),
            collections: feed.collections().iter().map(|&name| name.to_owned()).collect(),
            compared: feed.compared().map(str::to_owned),
            further: None,
            is_missed: false,
        }
    }

    fn of_object(name: &str) -> Reads {
        let name = || name.to_owned();
        Reads {
            feed: name(),
            collections: vec![name()],
            compared: Some(name()),
            further: None,
            is_missed: false,
        }
    }

    /// Reads the status of its collections, by name.
    pub(super) async fn status(
        &self,
        state: &State,
        pending: &[StagedFile],
    ) -> anyhow::Result<Vec<(String, CollectionStatus)>> {
        let now_ms = Utc::now().timestamp_millis();
        let records = state.records(&self.feed, 1).await?;
        let last: Option<RunReport> =
            records.into_iter().next().map(|record| serde_json::from_value(record.report)).transpose()?;
        let is_running = state.is_leased(&self.feed).await?;
        let (mut wanted, mut refresh) = (Wanted::default(), RefreshDue::default());
        if let Some(collection) = &self.compared {
            wanted = state.shared(&Wanted::document(collection)).await?.value;
            refresh = state.shared(&RefreshDue::document(&self.feed)).await?.value;
        }
        let of_collection = |name: &String| {
            let record = last.as_ref().and_then(|run| run.collections.get(name));
            let of_table = |ms: Option<i64>| ms.filter(|_| self.compared.as_ref() == Some(name));
            let outcome = record.map(|record| record.outcome);
            let was_read = last.as_ref().is_some_and(RunReport::was_read);
            let further = self.further.as_ref().zip(outcome);
            let is_lacking =
                further.is_some_and(|((known, feed), end)| known.lacks(*feed, name, end, was_read));
            let mut status = CollectionStatus {
                feed: self.feed.clone(),
                is_available: !is_lacking,
                is_running,
                run_id: last.as_ref().map(|run| run.run_id.clone()),
                ended_at: last.as_ref().map(|run| run.ended_at.clone()),
                mode: last.as_ref().and_then(|run| run.mode).map(Mode::name),
                outcome,
                reason: record.and_then(|record| record.reason.clone()),
                degraded: record.map(|record| record.degraded.clone()).unwrap_or_default(),
                rows: record.map_or(0, |record| record.rows),
                watermark: last.as_ref().and_then(|run| run.watermark_ms).and_then(instant),
                lag_seconds: last
                    .as_ref()
                    .and_then(|run| run.caught_up_ms)
                    .map(|caught_up_ms| (now_ms - caught_up_ms).max(0) as f64 / 1000.0),
                reconciled: of_table(wanted.reconciled_ms).and_then(instant),
                refreshed: of_table(wanted.refreshed_ms).and_then(instant),
                refresh_due: of_table(refresh.since_ms).and_then(instant),
                done_share: last.as_ref().and_then(|run| run.done_share),
                pending_files: pending.iter().filter(|file| file.collection == *name).count() as u64,
            };
            if self.is_missed {
                status.outcome = Some(End::Skipped);
                status.reason = Some(extract::missed_text(&format!("-{name} in Collections")));
            }
            (name.clone(), status)
        };
        // Those that several feeds fill are in the report of each, and lacking with the records of an object that is.
        let shared = last.iter().flat_map(|run| &run.collections);
        let shared = shared.filter(|(name, of)| is_shared(name) && of.outcome != End::Skipped);
        let shared = shared.filter(|(name, _)| !self.collections.contains(name));
        Ok(self.collections.iter().chain(shared.map(|(name, _)| name)).map(of_collection).collect())
    }
}

/// Segment's feeds; those that a stack's last scheduled run found; and what else there are files of.
pub(super) async fn feeds(state: &State) -> anyhow::Result<Vec<Reads>> {
    let further = FurtherFeeds::read(state).await?;
    let mut feeds: Vec<Reads> = FEEDS.iter().copied().map(Reads::of).collect();
    for (name, known) in &further.feeds {
        if let Some(feed) = further.find(name) {
            feeds.push(Reads { further: Some((known.clone(), feed)), ..Reads::of(feed) });
        }
    }
    for name in state.collections().await? {
        let is_listed = feeds.iter().any(|feed| feed.collections.contains(&name));
        if is_listed || is_shared(&name) || staging::snapshot_of(&name).is_some() {
            continue;
        }
        let known = hubspot::feeds::further().find(|feed| feed.collections().contains(&name.as_str()));
        let feed = known.map_or_else(|| Reads::of_object(&name), Reads::of);
        feeds.push(Reads { is_missed: further.missed.contains(&name), ..feed });
    }
    Ok(feeds)
}

fn instant(ms: i64) -> Option<String> {
    Some(DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

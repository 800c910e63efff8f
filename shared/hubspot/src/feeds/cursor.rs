//! The durable position of a feed: the slices a run has not finished, and the watermark once it has.
//!
//! The contract: every record that HubSpot shows at or before the position a saved cursor stands for is in a
//! registered staged file. A slice moves in the same step that puts its page's rows into a file, and the file is
//! registered in the same step that saves the cursor; so a page may be read twice, and none is skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::format::{self, Format};
use super::own::{HasOwn, Own};
use super::quarantine::Quarantine;
use super::recent::Versions;
use super::unfinished::Unfinished;

/// State that all feeds keep between their runs. `remote`: a cursor is brought to today's format before it is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Cursor {
    #[serde(default)]
    pub(super) format: Format,
    /// Set while a run is under way, or was interrupted.
    pub run: Option<Unfinished>,
    /// One that was interrupted, and goes on when the run of another kind has ended that somebody asked for.
    #[serde(default)]
    pub paused: Option<Box<Unfinished>>,
    /// Changes up to this moment are read, by HubSpot's clock.
    pub watermark_ms: Option<i64>,
    /// Up to this moment, less the lag of HubSpot's index, everything is read: when the last complete run began. On a
    /// quiet account the watermark is older.
    #[serde(default)]
    pub caught_up_ms: Option<i64>,
    /// When the last run over everything began that has ended, by our clock.
    #[serde(default)]
    pub whole_since_ms: Option<i64>,
    /// Versions read near the watermark, which the next run's overlap will show again.
    #[serde(default)]
    pub recent: Versions,
    /// Sources that did not answer, and why: the feed goes on without them, and asks again in each run.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
    /// The watermark of each lost source at the time when it was lost: up to there the tables have all that it knows. It is
    /// missing for a source that was lost before everything had been read with it.
    #[serde(default)]
    pub missed_since: BTreeMap<String, i64>,
    /// [`Unfinished::oldest_ms`] of all runs while a source was lost: a record that is restored, or that a comparison asks
    /// for, may have changed long before.
    #[serde(default)]
    pub oldest_without_ms: Option<i64>,
    /// A source answers again: what has changed since this moment was read without it.
    #[serde(default)]
    pub reread_since_ms: Option<i64>,
    /// A source answers that did not before: what it knows of older records is not read yet.
    #[serde(default)]
    pub is_due_whole: bool,
    /// Things that HubSpot answers badly: each run asks for them again.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// State of the feed's own types.
    #[serde(flatten)]
    pub(super) own: Own,
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Cursor::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cursor, D::Error> {
        let mut cursor = Value::deserialize(deserializer)?;
        format::migrate(&mut cursor).map_err(de::Error::custom)?;
        Cursor::deserialize(cursor).map_err(de::Error::custom)
    }
}

impl HasOwn for Cursor {
    fn own(&mut self) -> &mut Own {
        &mut self.own
    }
}

/// Times by which runs look back, and by which they distrust the index.
#[derive(Debug, Clone, Copy)]
pub struct Lookback {
    /// The search index lags, officially by moments, at times by more; peers that look back less than an hour lose
    /// records.
    pub overlap_ms: i64,
    /// Newer changes than this are read, but the watermark does not pass them.
    pub lag_ms: i64,
    /// A record that changed less than this before it was read is read again by the next run: contacts v1, the lists and
    /// the associations may be some minutes behind the record that they were read with, and nothing tells when they
    /// have followed.
    pub settle_ms: i64,
    /// The same as `overlap_ms` for what happened: events are told late, and one may be marked obsolete afterwards.
    pub events_overlap_ms: i64,
    /// Time that the first run over what happened goes back, if nothing else is said: a month, as Segment's did.
    pub events_ms: i64,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl Default for Lookback {
    fn default() -> Lookback {
        Lookback {
            overlap_ms: HOUR_MS,
            lag_ms: MINUTE_MS,
            settle_ms: 15 * MINUTE_MS,
            events_overlap_ms: 24 * HOUR_MS,
            events_ms: 31 * 24 * HOUR_MS,
        }
    }
}

impl Cursor {
    /// Files of this feed were staged in an earlier run, and merged before those of this one: their columns are there.
    pub(super) fn has_tables(&self) -> bool {
        self.watermark_ms.is_some()
    }

    /// Ids of the things of a kind that are set aside: by the run under way or, where none is, by those before.
    pub(super) fn held(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.run.as_ref().map_or(&self.quarantine, |run| &run.quarantine).ids(kind)
    }

    /// A source of the feed answers that did not before. A run that was interrupted has read without it.
    pub(super) fn answers_again(&mut self, source: &str) {
        if self.absent.remove(source).is_none() {
            return;
        }
        let interrupted = [self.run.take(), self.paused.take().map(|paused| *paused)];
        let was_whole = interrupted.iter().flatten().any(|run| run.is_whole);
        let oldest_ms = interrupted.iter().flatten().filter_map(|run| run.oldest_ms);
        self.oldest_without_ms = self.oldest_without_ms.into_iter().chain(oldest_ms).min();
        match self.missed_since.remove(source) {
            Some(since_ms) if !was_whole => {
                let since_ms = self.oldest_without_ms.map_or(since_ms, |oldest_ms| oldest_ms.min(since_ms));
                self.reread_since_ms = Some(self.reread_since_ms.unwrap_or(since_ms).min(since_ms));
            }
            _ => self.is_due_whole = true,
        }
        if self.absent.is_empty() {
            self.oldest_without_ms = None;
        }
    }

    /// A source of the feed does not answer any more, for this reason.
    pub fn lose(&mut self, source: &str, reason: String) {
        self.absent.insert(source.to_owned(), reason);
        if let Some(watermark_ms) = self.watermark_ms.filter(|_| !self.is_due_whole) {
            let since_ms = self.reread_since_ms.unwrap_or(watermark_ms).min(watermark_ms);
            self.missed_since.entry(source.to_owned()).or_insert(since_ms);
        }
    }

    /// Up to this moment the tables have what the source knows, though it is lost.
    pub(super) fn missed_since(&self, source: &str) -> Option<i64> {
        self.missed_since.get(source).copied().filter(|_| self.absent.contains_key(source))
    }

    /// Makes a planned run the one that is under way. Before one that is paused has ended, no other moves the watermark
    /// over what that has still to read.
    pub fn begin(&mut self, planned: Unfinished) {
        let mut quarantine = self.quarantine.of_new_run();
        quarantine.absorb(planned.quarantine);
        let moves_watermark = planned.moves_watermark && self.paused.is_none();
        self.run = Some(Unfinished { quarantine, moves_watermark, ..planned });
    }

    /// Makes room for a run that somebody asked for: the one that is under way goes on afterwards. There is one such.
    pub fn pause(&mut self) {
        let run = self.run.take().map(Box::new);
        self.paused = self.paused.take().or(run);
    }

    /// The run's slices are all done: what it read becomes the watermark.
    ///
    /// The watermark is the newest change that was seen, not the time of the run: an index that stands still for
    /// hours shows nothing new, and a watermark that went on meanwhile would leave a gap. Changes near it are remembered,
    /// so that no run reads a crowd of them again.
    pub fn finish(&mut self, lookback: Lookback) {
        let Some(run) = self.run.take() else { return };
        let asked_again_from = run.asked_again_from();
        self.run = self.paused.take().map(|paused| *paused);
        self.quarantine = run.quarantine.end_run();
        if !self.absent.is_empty() {
            self.oldest_without_ms = self.oldest_without_ms.into_iter().chain(run.oldest_ms).min();
        }
        if run.mode.is_snapshot() {
            self.caught_up_ms = Some(run.started_ms);
            return;
        }
        self.is_due_whole = (self.is_due_whole && !run.is_whole) || run.needs_whole;
        if run.is_whole {
            self.whole_since_ms = Some(run.began_ms);
        }
        if run.is_whole || run.reread_since_ms.is_some() {
            // Another source may have come back while the run was interrupted.
            let is_read = |since_ms: &i64| !run.is_whole && run.reread_since_ms > Some(*since_ms);
            self.reread_since_ms = self.reread_since_ms.filter(is_read);
        }
        if !run.moves_watermark {
            return;
        }
        self.caught_up_ms = Some(run.started_ms);
        let safe_ms = run.started_ms.saturating_sub(lookback.lag_ms);
        let newest_ms = run.newest_ms.max(self.watermark_ms);
        self.recent = run.recent.into_versions(asked_again_from);
        self.watermark_ms = Some(newest_ms.map_or(safe_ms, |newest_ms| newest_ms.min(safe_ms)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::recent::MOST_RECENT;
    use super::super::recent::RecentReads;
    use super::super::unfinished::Mode;
    use super::*;

    const LOOKBACK: Lookback = Lookback {
        overlap_ms: 1_000,
        lag_ms: 10,
        settle_ms: 100,
        events_overlap_ms: 1_000,
        events_ms: 1_000,
    };

    fn finished(watermark_ms: Option<i64>, changes: impl Iterator<Item = i64>) -> Cursor {
        let mut run = Unfinished::new(Mode::Incremental, 1_000_000, LOOKBACK.overlap_ms + LOOKBACK.lag_ms);
        for (id, updated_ms) in changes.enumerate() {
            run.saw(updated_ms, run.started_ms);
            run.note(RecentReads::hash(id as u64, updated_ms), updated_ms);
        }
        let mut cursor = Cursor { run: Some(run), watermark_ms, ..Cursor::default() };
        cursor.finish(LOOKBACK);
        cursor
    }

    #[test]
    fn the_watermark_is_the_newest_change_seen() {
        assert_eq!(finished(Some(5), [700, 800].into_iter()).watermark_ms, Some(800));
        assert_eq!(finished(Some(900), [700, 800].into_iter()).watermark_ms, Some(900));
    }

    #[test]
    fn the_watermark_stays_behind_the_index() {
        assert_eq!(finished(None, [999_999].into_iter()).watermark_ms, Some(999_990));
    }

    #[test]
    fn a_quiet_account_leaves_the_watermark() {
        assert_eq!(finished(Some(700), [].into_iter()).watermark_ms, Some(700));
        assert_eq!(finished(None, [].into_iter()).watermark_ms, Some(999_990));
    }

    #[test]
    fn a_run_that_began_before_time_did_is_finished() {
        let run = Unfinished::new(Mode::Incremental, i64::MIN, 0);
        let mut cursor = Cursor { run: Some(run), ..Cursor::default() };
        cursor.finish(LOOKBACK);
        assert_eq!(cursor.watermark_ms, Some(i64::MIN));
    }

    #[test]
    fn a_crowd_takes_the_watermark_no_further_and_is_remembered() {
        let cursor = finished(Some(5), std::iter::repeat_n(800, MOST_RECENT));
        assert_eq!(cursor.watermark_ms, Some(800));
        assert!((0..MOST_RECENT as u64).all(|id| cursor.recent.hold(RecentReads::hash(id, 800))));
    }

    #[test]
    fn a_change_from_the_future_tells_nothing_of_time() {
        let cursor = finished(Some(5), [800, i64::MAX].into_iter());
        assert_eq!(cursor.watermark_ms, Some(800));
        assert!(cursor.recent.hold(RecentReads::hash(0, 800)));
    }

    #[test]
    fn what_changes_during_a_long_run_is_remembered_from_its_start_on() {
        let cursor = finished(None, [999_000, 1_000_000, 1_050_000].into_iter());
        assert_eq!(cursor.watermark_ms, Some(999_990));
        assert_eq!(cursor.recent.len(), 3);
    }

    #[test]
    fn a_run_that_is_paused_goes_on_afterwards() {
        let backfill = Unfinished { is_whole: true, ..Unfinished::new(Mode::Backfill, 500_000, 0) };
        let mut cursor = Cursor { run: Some(backfill.clone()), ..Cursor::default() };
        for started_ms in [900_000, 950_000] {
            // The second one is asked for before the first has ended.
            cursor.pause();
            cursor.begin(Unfinished::new(Mode::Backfill, started_ms, 0));
        }
        cursor.finish(LOOKBACK);
        assert_eq!((cursor.run.as_ref(), cursor.paused.as_ref()), (Some(&backfill), None));
        assert_eq!((cursor.watermark_ms, cursor.caught_up_ms), (None, None));
        cursor.finish(LOOKBACK);
        assert_eq!((cursor.run, cursor.caught_up_ms), (None, Some(500_000)));
    }
}

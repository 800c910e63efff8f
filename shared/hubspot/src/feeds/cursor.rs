//! The durable position of a feed: the slices a run has not finished, and the watermark once it has.
//!
//! The contract: every record that HubSpot shows at or before the position a saved cursor stands for is in a
//! registered staged file. A slice moves in the same step that puts its page's rows into a file, and the file is
//! registered in the same step that saves the cursor; so a page may be read twice, and none is skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use staging::Pairs;

use super::objects::ColumnOwners;
use super::objects::LiveCount;
use super::quarantine::Quarantine;
use super::recent::{RecentReads, Versions};
use super::seen::{ArchivedIds, Hashes};
use super::slice::{Merge, Slice, Stretch};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    Backfill,
    /// What changed since the watermark.
    Incremental,
    /// The ids of all records, to be compared with a table: a snapshot.
    Reconcile,
    /// The same, with what changes without a new modified date.
    Refresh,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Backfill => "backfill",
            Mode::Incremental => "incremental",
            Mode::Reconcile => "reconcile",
            Mode::Refresh => "refresh",
        }
    }

    /// A snapshot is compared with a table, and not merged into one. It has a cursor and a lease of its own, so that
    /// what changes is read beside it.
    pub fn is_snapshot(self) -> bool {
        matches!(self, Mode::Reconcile | Mode::Refresh)
    }
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub mode: Mode,
    /// When the run began, by HubSpot's clock; a resumed run keeps it.
    pub started_ms: i64,
    /// False for a run over a window in the past: what comes after the window is not read.
    pub moves_watermark: bool,
    /// Everything is read, from the start.
    #[serde(default)]
    pub is_whole: bool,
    /// How far the next run looks back over what this one has read.
    #[serde(default)]
    pub overlap_ms: i64,
    pub slices: Vec<Slice>,
    /// The width of all slices when the run was planned, in ids or milliseconds; `slices` shrink from it.
    #[serde(default)]
    pub planned_width: u64,
    /// Slices that must not begin before those are done.
    #[serde(default)]
    pub then: Vec<Slice>,
    /// The newest change read so far.
    #[serde(default)]
    pub newest_ms: Option<i64>,
    /// What the list of archived records has shown so far.
    #[serde(default)]
    pub archived: ArchivedIds,
    /// The live records of the moment when the run was planned.
    #[serde(default)]
    pub live_count: Option<LiveCount>,
    /// What left that list is known, and among the slices.
    #[serde(default)]
    pub is_archive_compared: bool,
    /// What a scan has shown: see [`Cursor::stamps`].
    #[serde(default)]
    pub stamps: Pairs,
    /// The newest submission read of each form.
    #[serde(default)]
    pub forms: BTreeMap<String, i64>,
    /// Where the pass over addresses is.
    #[serde(default)]
    pub address_position: Option<String>,
    /// Records that one of several sources did not show: to be read again when the slice is done.
    #[serde(default)]
    pub again: Vec<u64>,
    /// Records that are named as merged, and not yet asked for.
    #[serde(default)]
    pub merges: Vec<Merge>,
    /// Stretches of ids that were read and not yet counted.
    #[serde(default)]
    pub stretches: Vec<Stretch>,
    /// Records read where HubSpot counts as many.
    #[serde(default)]
    pub counted: u64,
    /// The version of the shared document of [`staging::Wanted`] that this run answers.
    #[serde(default)]
    pub answers: Option<u64>,
    /// The names of the properties that are read, as hashes.
    #[serde(default)]
    pub properties: Option<Hashes>,
    /// The number of them that answers name: see [`Cursor::named_properties`].
    #[serde(default)]
    pub named_properties: Option<usize>,
    /// It reads what earlier runs have read without a source: see [`Cursor::reread_since_ms`].
    #[serde(default)]
    pub reread_since_ms: Option<i64>,
    /// Something showed that only a run over everything can read.
    #[serde(default)]
    pub needs_whole: bool,
    /// Things that this run could not read, and those of earlier runs that it has not read either.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// Of a snapshot: see [`staging::SnapshotPart`].
    #[serde(default)]
    pub began_ms: i64,
    #[serde(default)]
    pub compared_until_ms: i64,
    /// Not saved while the run is under way: a resumed run reads a few records again.
    #[serde(skip)]
    pub recent: RecentReads,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
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
    /// Versions read near the watermark, which the next run's overlap will show again.
    #[serde(default)]
    pub recent: Versions,
    #[serde(default)]
    pub archived: ArchivedIds,
    /// The live records of the last run: as long as they are as many, a long list of archived ones need not be read.
    #[serde(default)]
    pub live_count: Option<LiveCount>,
    /// The list endpoint does not take ids as positions on this account.
    #[serde(default)]
    pub is_sequential: bool,
    /// Nor does its list of archived records.
    #[serde(default)]
    pub is_archive_sequential: bool,
    /// What the last scan of a collection that is read whole has shown: a stamp of each object, by id, that is another
    /// one when the object is.
    #[serde(default)]
    pub stamps: Pairs,
    /// The newest submission read of each form, where submissions come from the forms.
    #[serde(default)]
    pub forms: BTreeMap<String, i64>,
    /// Where the next run goes on asking about addresses; `None`: from the first one.
    #[serde(default)]
    pub address_position: Option<String>,
    /// Sources that did not answer, and why: the feed goes on without them, and asks again in each run.
    #[serde(default)]
    pub absent: BTreeMap<String, String>,
    /// Where the tables had all that a source knows when it was lost: the watermark of then. It is missing for a source
    /// that was lost before everything had been read with it.
    #[serde(default)]
    pub missed_since: BTreeMap<String, i64>,
    /// A source answers again: what has changed since this moment was read without it.
    #[serde(default)]
    pub reread_since_ms: Option<i64>,
    /// A source answers that did not before: what it knows of older records is not read yet.
    #[serde(default)]
    pub is_due_whole: bool,
    /// The names of the properties whose values are read, as hashes: one that is new has values of before. `None` until a
    /// run has read any.
    #[serde(default)]
    pub properties: Option<Hashes>,
    /// Those that were read before and are defined no more, as hashes: one that is made again has a column with values of
    /// before, until all records are read once more.
    #[serde(default)]
    pub gone_properties: Hashes,
    /// The number of these properties that HubSpot's answers name, if only as `null`: a record that names fewer is shown
    /// in part. `None` where no answer has named an empty one.
    #[serde(default)]
    pub named_properties: Option<usize>,
    /// The column of each property that was ever read.
    #[serde(default)]
    pub columns: ColumnOwners,
    /// Classes of sensitive properties that the credential may see; `None` before anybody asked. Each backfill asks
    /// again.
    #[serde(default)]
    pub sensitive: Option<Vec<String>>,
    /// Those of them without a property, and when that was seen.
    #[serde(default)]
    pub empty_classes: BTreeMap<String, i64>,
    /// Things that HubSpot answers badly: each run asks for them again.
    #[serde(default)]
    pub quarantine: Quarantine,
}

/// How far back runs look, and how close to now they trust the index.
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
    pub history_overlap_ms: i64,
    /// How far back the first run over what happened goes, if nothing else is said: a month, as Segment's did.
    pub history_ms: i64,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How far HubSpot's clocks may be apart, and ours from its: a change from further in the future tells nothing of time.
const SKEW_MS: i64 = MINUTE_MS;

impl Default for Lookback {
    fn default() -> Lookback {
        Lookback {
            overlap_ms: HOUR_MS,
            lag_ms: MINUTE_MS,
            settle_ms: 15 * MINUTE_MS,
            history_overlap_ms: 24 * HOUR_MS,
            history_ms: 31 * 24 * HOUR_MS,
        }
    }
}

impl Unfinished {
    pub(super) fn new(mode: Mode, started_ms: i64, overlap_ms: i64) -> Unfinished {
        Unfinished {
            mode,
            started_ms,
            moves_watermark: true,
            is_whole: false,
            overlap_ms,
            slices: Vec::new(),
            planned_width: 0,
            then: Vec::new(),
            newest_ms: None,
            archived: ArchivedIds::default(),
            live_count: None,
            is_archive_compared: false,
            stamps: Pairs::default(),
            forms: BTreeMap::new(),
            address_position: None,
            again: Vec::new(),
            merges: Vec::new(),
            stretches: Vec::new(),
            counted: 0,
            answers: None,
            properties: None,
            named_properties: None,
            reread_since_ms: None,
            needs_whole: false,
            quarantine: Quarantine::default(),
            began_ms: 0,
            compared_until_ms: 0,
            recent: RecentReads::default(),
        }
    }

    /// The width of what is left to read.
    pub fn width(&self) -> u64 {
        self.slices.iter().chain(&self.then).map(Slice::width).fold(0, u64::saturating_add)
    }

    /// How much of what was planned is read, from 0 to 1. Records don't lie evenly, so it is an estimate.
    pub fn done_share(&self) -> f64 {
        if self.planned_width == 0 {
            return 0.0;
        }
        (1.0 - self.width() as f64 / self.planned_width as f64).clamp(0.0, 1.0)
    }

    /// HubSpot shows a change, in what the watermark goes by, at `read_ms` by its clock.
    pub(super) fn saw(&mut self, changed_ms: i64, read_ms: i64) {
        if changed_ms <= read_ms.saturating_add(SKEW_MS) {
            self.newest_ms = self.newest_ms.max(Some(changed_ms));
        }
    }

    /// Remembers that this version was read: the next run need not read it again.
    pub(super) fn note(&mut self, version: u64, updated_ms: i64) {
        self.recent.add(version, updated_ms, self.asked_again_from());
    }

    /// The next run asks for nothing from before this.
    fn asked_again_from(&self) -> i64 {
        let newest_ms = self.newest_ms.map(|newest_ms| newest_ms.min(self.started_ms));
        newest_ms.map_or(i64::MIN, |newest_ms| newest_ms.saturating_sub(self.overlap_ms))
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
        match self.missed_since.remove(source) {
            Some(since_ms) if !was_whole => {
                self.reread_since_ms = Some(self.reread_since_ms.unwrap_or(since_ms).min(since_ms));
            }
            _ => self.is_due_whole = true,
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
        if run.mode.is_snapshot() {
            self.caught_up_ms = Some(run.started_ms);
            return;
        }
        let is_other = run.properties.is_some() && run.properties != self.properties;
        self.named_properties = run.named_properties.or(self.named_properties.filter(|_| !is_other));
        if let Some(read) = &run.properties {
            let gone = self.properties.iter().flat_map(|known| known.0.difference(&read.0));
            self.gone_properties.0.extend(gone);
            self.gone_properties.0.retain(|property| !run.is_whole || !read.0.contains(property));
        }
        self.properties = run.properties.or(self.properties.take());
        self.archived = run.archived;
        self.live_count = run.live_count.or(self.live_count.take());
        self.stamps = run.stamps;
        self.forms.extend(run.forms);
        self.address_position = run.address_position;
        self.is_due_whole = (self.is_due_whole && !run.is_whole) || run.needs_whole;
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
    use super::super::slice::Walk;
    use super::*;

    const LOOKBACK: Lookback = Lookback {
        overlap_ms: 1_000,
        lag_ms: 10,
        settle_ms: 100,
        history_overlap_ms: 1_000,
        history_ms: 1_000,
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
    fn a_property_that_went_is_remembered_until_all_is_read_with_it() {
        let mut cursor = Cursor::default();
        let mut gone = |mode, properties: &[u64]| {
            let mut run = Unfinished::new(mode, 1_000, 0);
            run.is_whole = mode == Mode::Backfill;
            run.properties = Some(Hashes(properties.iter().copied().collect()));
            cursor.run = Some(run);
            cursor.finish(LOOKBACK);
            cursor.gone_properties.0.contains(&2)
        };
        assert!(!gone(Mode::Backfill, &[1, 2]));
        assert!(gone(Mode::Incremental, &[1]));
        assert!(gone(Mode::Incremental, &[1, 2]));
        assert!(!gone(Mode::Backfill, &[1, 2]));
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

    #[test]
    fn a_cursor_survives_the_state() {
        let merge = Merge {
            id: 3,
            survivor: 4,
            updated_ms: Some(5),
            archived_ms: None,
            read_ms: 6,
            is_shown: true,
            is_second: false,
        };
        let slices = vec![
            Slice::Listed { archived: false, from: 1, below: Some(9), after: Some("5".into()), top: None },
            Slice::Listed { archived: true, from: 9, below: None, after: None, top: Some(20) },
            Slice::Changed { since_ms: 1, until_ms: 2, from: 0, below: None, walk: Walk::default() },
            Slice::Having { property: "tier".to_owned(), from: 4 },
            Slice::Wanted { records: Pairs([(7, 8)].into()) },
            Slice::Again { from: 1, below: None, after: None, rows: 2 },
            Slice::Counted { from: 1, below: Some(9), rows: 2, is_second: true },
            Slice::Recounted { window: Some((1, 2)), from: 1, below: None },
            Slice::Named { ids: vec![7] },
            Slice::Found { ids: vec![9] },
            Slice::Merged { merges: vec![merge] },
            Slice::Happened { since_ms: 1, until_ms: 2, asked: None, reached_ms: Some(2) },
            Slice::All,
        ];
        let then = vec![Slice::Named { ids: vec![8] }];
        let run = Unfinished { slices, then, newest_ms: Some(2), ..Unfinished::new(Mode::Backfill, 3, 7) };
        let cursor = Cursor { run: Some(run), watermark_ms: Some(1), ..Cursor::default() };
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
    }
}

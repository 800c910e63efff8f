//! The durable position of a feed: the slices a run has not finished, and the watermark once it has.
//!
//! The contract: every record that HubSpot shows at or before the position a saved cursor stands for is in a
//! registered staged file. A slice moves in the same step that puts its page's rows into a file, and the file is
//! registered in the same step that saves the cursor; so a page may be read twice, and none is skipped.

use serde::{Deserialize, Serialize};

use super::seen::{ArchivedIds, Hashes, RecentReads};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    Backfill,
    /// What changed since the watermark.
    Incremental,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Backfill => "backfill",
            Mode::Incremental => "incremental",
        }
    }
}

/// A part of a run that can be paged and resumed on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Slice {
    /// Ids from `from` up to and without `below`, by the list endpoint. `after` is HubSpot's own word for where the
    /// next page begins; without one the slice begins at `from`.
    Listed { archived: bool, from: u64, below: Option<u64>, after: Option<String> },
    /// Records changed in a window of time (both ends included), ids from `from` up to and without `below`, by search.
    Changed { since_ms: i64, until_ms: i64, from: u64, below: Option<u64> },
    /// Records that left the list of archived ones, and may live again: read by their ids, the last ones first.
    Named { ids: Vec<u64> },
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub mode: Mode,
    /// When the run began, by HubSpot's clock; a resumed run keeps it.
    pub started_ms: i64,
    /// False for a run over a window in the past: what comes after the window is not read.
    pub moves_watermark: bool,
    pub slices: Vec<Slice>,
    /// Slices that must not begin before those are done.
    #[serde(default)]
    pub then: Vec<Slice>,
    /// The newest change read so far.
    #[serde(default)]
    pub newest_ms: Option<i64>,
    /// What the list of archived records has shown so far.
    #[serde(default)]
    pub archived: ArchivedIds,
    /// Not saved while the run is under way: a resumed run reads a few records again.
    #[serde(skip)]
    pub recent: RecentReads,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Set while a run is under way, or was interrupted.
    pub run: Option<Unfinished>,
    /// Changes up to this moment are read, by HubSpot's clock.
    pub watermark_ms: Option<i64>,
    /// Versions read near the watermark, which the next run's overlap will show again.
    #[serde(default)]
    pub recent: Hashes,
    #[serde(default)]
    pub archived: ArchivedIds,
    /// The list endpoint does not take ids as positions on this account.
    #[serde(default)]
    pub is_sequential: bool,
    /// Classes of sensitive properties that the credential may see; `None` before anybody asked. Each backfill asks
    /// again.
    #[serde(default)]
    pub sensitive: Option<Vec<String>>,
}

/// How far an incremental run looks back, and how close to now it trusts the index.
#[derive(Debug, Clone, Copy)]
pub struct Lookback {
    /// The search index lags, officially by moments, at times by more; peers that look back less than an hour lose
    /// records.
    pub overlap_ms: i64,
    /// Newer changes than this are read, but the watermark does not pass them.
    pub lag_ms: i64,
}

impl Default for Lookback {
    fn default() -> Lookback {
        Lookback { overlap_ms: 3_600_000, lag_ms: 60_000 }
    }
}

/// A window that holds more than this is read again by each run until the watermark leaves it behind; so it does.
const MAX_REREAD: usize = 2_000;

impl Cursor {
    /// The run's slices are all done: what it read becomes the watermark.
    ///
    /// The watermark is the newest change that was seen, not the time of the run: an index that stands still for
    /// hours shows nothing new, and a watermark that went on meanwhile would leave a gap. Only after a crowd of
    /// changes does it move to the time of the run (less the lag), or each run would read the crowd again.
    pub fn finish(&mut self, lookback: Lookback) {
        let Some(run) = self.run.take() else { return };
        self.archived = run.archived;
        if !run.moves_watermark {
            return;
        }
        let safe_ms = run.started_ms - lookback.lag_ms;
        let newest_ms = run.newest_ms.max(self.watermark_ms);
        self.recent = run.recent.hashes(lookback.overlap_ms + lookback.lag_ms);
        let is_crowded = self.recent.0.len() > MAX_REREAD || run.recent.is_overflowed();
        self.watermark_ms = Some(match newest_ms {
            Some(newest_ms) if !is_crowded => newest_ms.min(safe_ms),
            _ => safe_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKBACK: Lookback = Lookback { overlap_ms: 1_000, lag_ms: 10 };

    fn finished(watermark_ms: Option<i64>, changes: impl Iterator<Item = i64>) -> Cursor {
        let mut run = Unfinished {
            mode: Mode::Incremental,
            started_ms: 1_000_000,
            moves_watermark: true,
            slices: Vec::new(),
            then: Vec::new(),
            newest_ms: None,
            archived: ArchivedIds::default(),
            recent: RecentReads::default(),
        };
        for (id, updated_ms) in changes.enumerate() {
            run.recent.add(id as u64, updated_ms, LOOKBACK.overlap_ms + LOOKBACK.lag_ms);
            run.newest_ms = run.newest_ms.max(Some(updated_ms));
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
    fn a_crowd_is_left_behind() {
        let crowd = std::iter::repeat_n(800, MAX_REREAD + 1);
        assert_eq!(finished(Some(5), crowd).watermark_ms, Some(999_990));
    }

    #[test]
    fn a_cursor_survives_the_state() {
        let slices = vec![
            Slice::Listed { archived: false, from: 1, below: Some(9), after: Some("5".into()) },
            Slice::Changed { since_ms: 1, until_ms: 2, from: 0, below: None },
            Slice::Named { ids: vec![7] },
        ];
        let run = Unfinished {
            mode: Mode::Backfill,
            started_ms: 3,
            moves_watermark: true,
            slices,
            then: vec![Slice::Named { ids: vec![8] }],
            newest_ms: Some(2),
            archived: ArchivedIds::default(),
            recent: RecentReads::default(),
        };
        let cursor = Cursor { run: Some(run), watermark_ms: Some(1), ..Cursor::default() };
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
    }
}

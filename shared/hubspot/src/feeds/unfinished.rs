//! A run under way, as a cursor keeps it until it has ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::own::{HasOwn, Own};
use super::quarantine::{Quarantine, Thing};
use super::recent::RecentReads;
use super::slice::Slice;

/// Time by which HubSpot's clocks may be apart, and ours from its: a change from further in the future tells nothing of
/// time.
pub(super) const SKEW_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    Backfill,
    /// Changes since the watermark.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    pub mode: Mode,
    /// When the run began, by HubSpot's clock; a resumed run keeps it.
    pub started_ms: i64,
    /// False for a run over a window in the past: what comes after the window is not read.
    pub moves_watermark: bool,
    /// Everything is read, from the start.
    #[serde(default)]
    pub is_whole: bool,
    /// Time by which the next run looks back over what this one has read.
    #[serde(default)]
    pub overlap_ms: i64,
    pub slices: Vec<Slice>,
    /// The width of all slices when the run was planned, in ids or milliseconds.
    #[serde(default)]
    pub planned_width: u64,
    /// The width of what is left of them; `None` in a run of before it was written.
    #[serde(default)]
    pub(super) left_width: Option<u64>,
    /// The newest change read so far.
    #[serde(default)]
    pub newest_ms: Option<i64>,
    /// Records read where HubSpot counts as many.
    #[serde(default)]
    pub counted: u64,
    /// The version of the shared document of [`staging::Wanted`] that this run answers.
    #[serde(default)]
    pub answers: Option<u64>,
    /// It reads what earlier runs have read without a source: see [`super::Cursor::reread_since_ms`].
    #[serde(default)]
    pub reread_since_ms: Option<i64>,
    /// The last change of the record that changed longest ago among those that the run has read.
    #[serde(default)]
    pub oldest_ms: Option<i64>,
    /// Something showed that only a run over everything can read.
    #[serde(default)]
    pub needs_whole: bool,
    /// Things that this run could not read, and those of earlier runs that it has not read either.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// When it began, by our clock, as the time of each read is.
    #[serde(default)]
    pub began_ms: i64,
    /// Of a snapshot: see [`staging::SnapshotPart`].
    #[serde(default)]
    pub compared_until_ms: i64,
    #[serde(default)]
    pub whole_since_ms: Option<i64>,
    /// Not saved while the run is under way: a resumed run reads a few records again.
    #[serde(skip)]
    pub recent: RecentReads,
    /// State of the feed's own types.
    #[serde(flatten)]
    pub(super) own: Own,
}

impl HasOwn for Unfinished {
    fn own(&mut self) -> &mut Own {
        &mut self.own
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
            left_width: None,
            newest_ms: None,
            counted: 0,
            answers: None,
            reread_since_ms: None,
            oldest_ms: None,
            needs_whole: false,
            quarantine: Quarantine::default(),
            began_ms: 0,
            compared_until_ms: 0,
            whole_since_ms: None,
            recent: RecentReads::default(),
            own: Own::default(),
        }
    }

    /// The slices that are left to read.
    pub fn set_slices(&mut self, slices: Vec<Slice>) {
        let width = slices.iter().map(Slice::width).fold(self.own.width(), u64::saturating_add);
        self.slices = slices;
        self.left_width = Some(width);
    }

    /// The same for a run that begins.
    pub(super) fn begin_with(&mut self, slices: Vec<Slice>) {
        self.set_slices(slices);
        self.planned_width = self.left_width.unwrap_or(0);
    }

    /// The share of the planned width that is read, from 0 to 1. Records don't lie evenly, so it is an estimate.
    pub fn done_share(&self) -> f64 {
        match self.left_width {
            Some(left) if self.planned_width > 0 => {
                (1.0 - left as f64 / self.planned_width as f64).clamp(0.0, 1.0)
            }
            _ => 0.0,
        }
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
    pub(super) fn asked_again_from(&self) -> i64 {
        let newest_ms = self.newest_ms.map(|newest_ms| newest_ms.min(self.started_ms));
        newest_ms.map_or(i64::MIN, |newest_ms| newest_ms.saturating_sub(self.overlap_ms))
    }

    /// Sets a thing aside: HubSpot answered badly each time that it was asked for.
    ///
    /// Twice is once. Where there is no room for more, the next run reads everything again.
    pub fn set_aside(&mut self, thing: Thing<'_>, reason: impl fmt::Display) {
        let reason = reason.to_string();
        if !self.quarantine.holds(thing.kind, thing.id) {
            tracing::warn!(
                collection.name = thing.collection,
                "{} {} is set aside, and asked for again by the next run: {reason}",
                thing.kind,
                thing.id
            );
        }
        self.quarantine.set_aside(thing, &reason, self.started_ms);
        self.needs_whole |= self.quarantine.overflow() > 0;
    }

    /// Releases a thing that HubSpot has answered well by now.
    pub fn release(&mut self, kind: &str, id: impl fmt::Display) {
        if !self.quarantine.is_empty() {
            self.quarantine.release(kind, &id.to_string());
        }
    }

    /// Releases the things of a kind that this run has not set aside again: it has read all there is.
    pub(super) fn release_what_was_not_set_aside_again(&mut self, kind: &str) {
        self.quarantine.release_what_was_not_set_aside_again(kind);
    }
}

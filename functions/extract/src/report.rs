//! What a run did, for people and machines, and how far it is.

use std::sync::atomic::{AtomicU64, Ordering};

use hubspot::ErrorKind;
use hubspot::feeds::{Feed, Mode};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything there was to read is staged and registered.
    Complete,
    /// It ended early, as it should; the next run goes on.
    Stopped(String),
    /// The feed can't be read with this credential; nothing else is hurt.
    Skipped(String),
    /// Something is wrong; what was read before is staged.
    Failed(String),
}

impl Outcome {
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Stopped(_) => "stopped",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "failed",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Complete => None,
            Outcome::Stopped(reason) | Outcome::Skipped(reason) | Outcome::Failed(reason) => Some(reason),
        }
    }

    pub(crate) fn of(error: &anyhow::Error, feed: &Feed) -> Outcome {
        let reason = format!("{error:#}");
        let kind = error.downcast_ref::<hubspot::Error>().map(hubspot::Error::kind);
        match kind {
            Some(ErrorKind::Deadline) => Outcome::Stopped(format!("deadline: {reason}")),
            Some(ErrorKind::Interrupted) => Outcome::Stopped(format!("interrupted: {reason}")),
            Some(ErrorKind::DailyLimit) => Outcome::Stopped(format!("daily_limit: {reason}")),
            Some(ErrorKind::AccountMoving) => Outcome::Stopped(format!("account_moving: {reason}")),
            Some(ErrorKind::MissingScope) if reason.contains(feed.scope) => Outcome::Skipped(reason),
            Some(ErrorKind::MissingScope) => Outcome::Skipped(format!("{reason} (it needs {})", feed.scope)),
            _ => Outcome::Failed(reason),
        }
    }
}

/// What one run of one feed staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReport {
    pub feed: &'static str,
    pub mode: Option<Mode>,
    pub outcome: Outcome,
    /// Rows in registered files, tombstones included.
    pub rows: u64,
    /// Tombstones among them.
    pub deleted: u64,
    pub unparsed_values: u64,
    pub files: u64,
    pub bytes: u64,
}

impl FeedReport {
    pub fn new(feed: &Feed) -> FeedReport {
        FeedReport {
            feed: feed.name(),
            mode: None,
            outcome: Outcome::Complete,
            rows: 0,
            deleted: 0,
            unparsed_values: 0,
            files: 0,
            bytes: 0,
        }
    }
}

/// How far a run is, for whoever watches; may be read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
}

impl Progress {
    pub(crate) fn add(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

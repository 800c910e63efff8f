//! What a run did, for people and machines, and how far it is.

use std::sync::atomic::{AtomicU64, Ordering};

use hubspot::ErrorKind;
use hubspot::feeds::{Feed, Gap, Mode, Note};

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

    pub(crate) fn of(error: &anyhow::Error) -> Outcome {
        let reason = format!("{error:#}");
        let kind = error.downcast_ref::<hubspot::Error>().map(hubspot::Error::kind);
        match kind {
            Some(ErrorKind::Deadline) => Outcome::Stopped(format!("deadline: {reason}")),
            Some(ErrorKind::Interrupted) => Outcome::Stopped(format!("interrupted: {reason}")),
            Some(ErrorKind::DailyLimit) => Outcome::Stopped(format!("daily_limit: {reason}")),
            Some(ErrorKind::AccountMoving) => Outcome::Stopped(format!("account_moving: {reason}")),
            Some(ErrorKind::MissingScope) => Outcome::Skipped(reason),
            // An endpoint that was switched off: nothing of it can be read any more.
            Some(ErrorKind::NotFound) => Outcome::Skipped(reason),
            _ => Outcome::Failed(reason),
        }
    }
}

/// What one run of one feed did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedReport {
    pub feed: &'static str,
    pub mode: Option<Mode>,
    pub outcome: Outcome,
    /// One for each of its collections.
    pub collections: Vec<CollectionReport>,
}

/// What was staged for one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionReport {
    pub name: &'static str,
    /// The feed's, unless this collection alone could not be filled.
    pub outcome: Outcome,
    /// What the table lacks, or has from elsewhere, and why.
    pub degraded: Vec<String>,
    /// Rows in registered files, tombstones included.
    pub rows: u64,
    /// Tombstones among them.
    pub deleted: u64,
    pub unparsed_values: u64,
    pub files: u64,
    pub bytes: u64,
}

impl FeedReport {
    pub fn new(feed: &'static dyn Feed) -> FeedReport {
        let collection = |&name: &&'static str| CollectionReport {
            name,
            outcome: Outcome::Complete,
            degraded: Vec::new(),
            rows: 0,
            deleted: 0,
            unparsed_values: 0,
            files: 0,
            bytes: 0,
        };
        FeedReport {
            feed: feed.name(),
            mode: None,
            outcome: Outcome::Complete,
            collections: feed.collections().iter().map(collection).collect(),
        }
    }

    /// Of all collections.
    pub fn rows(&self) -> u64 {
        self.collections.iter().map(|collection| collection.rows).sum()
    }

    pub(crate) fn note(&mut self, notes: Vec<Note>) {
        for Note { collection, gap, text } in notes {
            let Some(report) = self.collections.iter_mut().find(|report| report.name == collection) else {
                continue;
            };
            match gap {
                Gap::Degraded => report.degraded.push(text),
                Gap::Skipped => report.outcome = Outcome::Skipped(text),
            }
        }
    }

    /// The feed's outcome becomes that of each collection which has none of its own.
    pub(crate) fn settle(&mut self) {
        for report in &mut self.collections {
            if report.outcome == Outcome::Complete {
                report.outcome = self.outcome.clone();
            }
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

//! The report of a run, for people and machines, and its progress.

use std::sync::atomic::{AtomicU64, Ordering};

use std::collections::BTreeMap;

use hubspot::feeds::{
    ASSOCIATION_TYPES, ASSOCIATIONS, Cursor, DEFINITIONS, Feed, Gap, LIST_MEMBERSHIPS, Mode, Note,
    PROPERTY_HISTORY, Quarantine, Unfinished,
};
use hubspot::{Budget, OddText, RateLimit};
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::outcome::Outcome;
use staging::End;

/// The report of one run of one feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedReport {
    /// The feed's name, or that of its snapshots: see [`work_name`].
    pub feed: String,
    pub mode: Option<Mode>,
    pub outcome: Outcome,
    /// One for each of its collections.
    pub collections: Vec<CollectionReport>,
    /// The newest change that was read; see [`Cursor::watermark_ms`].
    pub watermark_ms: Option<i64>,
    /// Everything up to here is read; see [`Cursor::caught_up_ms`].
    pub caught_up_ms: Option<i64>,
    /// When the last snapshot began that the table was found equal to.
    pub reconciled_ms: Option<i64>,
    /// The same of the last refresh; before there was one, when the first was due.
    pub refreshed_ms: Option<i64>,
    /// The part of an unfinished run that is done, from 0 to 1.
    pub done_share: Option<f64>,
    /// The cursor is another one than before the run.
    pub has_moved: bool,
}

/// Rows, files and gaps of one collection in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionReport {
    pub name: &'static str,
    /// The feed's, unless this collection alone could not be filled.
    pub outcome: Outcome,
    /// Columns that the table lacks or has from elsewhere, and why.
    pub degraded: Vec<String>,
    /// Rows in registered files, tombstones included.
    pub rows: u64,
    /// Tombstones among them.
    pub deleted: u64,
    pub unparsed_values: u64,
    /// Rows of forgotten persons, which were not staged.
    pub forgotten: u64,
    /// Records read where HubSpot's own count is no higher. Records that were read by their ids are not counted.
    pub counted: u64,
    pub files: u64,
    pub bytes: u64,
    /// Things that HubSpot answers badly: the table lacks them, or holds their old rows.
    pub quarantined: Vec<Quarantined>,
    /// All of them; a report lists at most the first hundred.
    pub quarantined_count: u64,
}

/// One thing that HubSpot answers badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its kind, such as `record` or `campaign`.
    pub kind: String,
    pub id: String,
    /// HubSpot's last answer.
    pub reason: String,
    /// When it was first set aside; RFC 3339.
    pub since: String,
    /// Runs that have asked for it in vain.
    pub runs: u32,
}

/// Things in quarantine that a report lists.
const MAX_LISTED: usize = 100;
/// Those that its reason names.
const MAX_NAMED: usize = 5;

/// The name of a feed's lease, cursor and reports; snapshots have their own, and so run beside.
pub fn work_name(feed: &dyn Feed, mode: Option<Mode>) -> String {
    match mode {
        Some(mode) if mode.is_snapshot() => format!("snapshot-{}", feed.name()),
        _ => feed.name().to_owned(),
    }
}

/// The mode in which a feed is read where everything is asked for in this one.
pub fn mode_of(feed: &dyn Feed, asked: Option<Mode>) -> Option<Mode> {
    match asked {
        Some(Mode::Refresh) if feed.changes_untold() => Some(Mode::Backfill),
        asked => asked,
    }
}

impl CollectionReport {
    pub(crate) fn new(name: &'static str) -> CollectionReport {
        CollectionReport {
            name,
            outcome: Outcome::Complete,
            degraded: Vec::new(),
            rows: 0,
            deleted: 0,
            unparsed_values: 0,
            forgotten: 0,
            counted: 0,
            files: 0,
            bytes: 0,
            quarantined: Vec::new(),
            quarantined_count: 0,
        }
    }
}

impl FeedReport {
    /// `mode` is the one that is asked for, if any.
    pub fn new(feed: &'static dyn Feed, mode: Option<Mode>) -> FeedReport {
        let collections: Vec<&'static str> = match mode {
            Some(mode) if mode.is_snapshot() => feed.snapshot().into_iter().collect(),
            _ => feed.collections().to_vec(),
        };
        FeedReport {
            feed: work_name(feed, mode),
            mode: None,
            outcome: Outcome::Complete,
            collections: collections.into_iter().map(CollectionReport::new).collect(),
            watermark_ms: None,
            caught_up_ms: None,
            reconciled_ms: None,
            refreshed_ms: None,
            done_share: None,
            has_moved: false,
        }
    }

    /// Adds the collections that the feed fills with others together, as far as somebody wants them.
    pub(crate) fn add_shared(&mut self, feed: &dyn Feed, options: &Options) {
        let is_snapshot = options.mode.is_some_and(Mode::is_snapshot);
        let is_named = |name: &str| options.collections.iter().any(|wanted| wanted.contains(name));
        let has_definitions = !is_snapshot && DEFINITIONS.iter().any(|name| is_named(name));
        let is_filled = |name: &&&str| match **name {
            ASSOCIATIONS => options.associated.is_some(),
            ASSOCIATION_TYPES => options.associated.is_some() && !is_snapshot && is_named(ASSOCIATION_TYPES),
            LIST_MEMBERSHIPS => !is_snapshot && is_named(LIST_MEMBERSHIPS),
            PROPERTY_HISTORY => options.histories.is_some() && !is_snapshot,
            _ => has_definitions,
        };
        if !self.collections.is_empty() {
            let shared = feed.shared_collections().iter().filter(is_filled);
            self.collections.extend(shared.map(|name| CollectionReport::new(name)));
        }
    }

    pub(crate) fn know(&mut self, cursor: &Cursor) {
        self.watermark_ms = cursor.watermark_ms;
        self.caught_up_ms = cursor.caught_up_ms;
        self.done_share = cursor.run.as_ref().map(Unfinished::done_share);
    }

    /// The run has ended, and another one goes on that it had come in between of.
    pub(crate) fn note_paused(&mut self) {
        let share = self.done_share.unwrap_or(0.0) * 100.0;
        if let Some(first) = self.collections.first_mut() {
            let text =
                format!("a run that was interrupted, {share:.0} % of it done, goes on with the next one");
            first.degraded.push(text);
        }
    }

    /// Takes in HubSpot's counts of the run that has ended.
    pub(crate) fn count(&mut self, run: &Unfinished) {
        // The records are the first collection.
        if let Some(records) = self.collections.first_mut() {
            records.counted += run.counted;
        }
    }

    /// Counts and names what HubSpot sent that is no text.
    pub(crate) fn count_odd_text(&mut self, odd: &OddText) {
        if let Some(first) = self.collections.first_mut().filter(|_| odd.places > 0) {
            first.unparsed_values += odd.places;
            let calls: Vec<&str> = odd.calls.iter().map(String::as_str).take(MAX_NAMED).collect();
            first.degraded.push(format!(
                "bytes that are not valid UTF-8 became U+FFFD at {} places of the answers to {}",
                odd.places,
                calls.join(", ")
            ));
        }
    }

    /// Names what was set aside in the run that has ended.
    pub(crate) fn quarantine(&mut self, quarantine: &Quarantine) {
        for (kind, id, entry) in quarantine.iter() {
            let mut collections = self.collections.iter_mut();
            let own = collections.position(|report| report.name == entry.collection).unwrap_or(0);
            let Some(report) = self.collections.get_mut(own) else { continue };
            report.quarantined_count += 1;
            if report.quarantined.len() < MAX_LISTED {
                report.quarantined.push(Quarantined {
                    kind: kind.to_owned(),
                    id: id.to_owned(),
                    reason: entry.reason.clone(),
                    since: rfc3339(entry.since_ms),
                    runs: entry.runs,
                });
            }
        }
        if let Some(first) = self.collections.first_mut() {
            first.quarantined_count += quarantine.overflow();
        }
        for report in &mut self.collections {
            if report.quarantined_count > 0 && report.outcome == Outcome::Complete {
                report.outcome = Outcome::Incomplete(quarantine_text(report));
            }
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
                Gap::Incomplete => report.outcome = Outcome::Incomplete(text),
                Gap::Skipped => report.outcome = Outcome::Skipped(text),
            }
        }
    }

    /// The feed's outcome becomes that of each collection which has none of its own; a feed that ended without some
    /// things is incomplete.
    pub fn settle(&mut self) {
        for report in &mut self.collections {
            if report.outcome == Outcome::Complete {
                report.outcome = self.outcome.clone();
            }
        }
        let incomplete = self.collections.iter().map(|report| &report.outcome);
        let mut incomplete = incomplete.filter(|outcome| matches!(outcome, Outcome::Incomplete(_)));
        if self.outcome == Outcome::Complete
            && let Some(outcome) = incomplete.next()
        {
            self.outcome = outcome.clone();
        }
    }
}

/// The things that a table lacks, for people.
fn quarantine_text(report: &CollectionReport) -> String {
    let named = report.quarantined.iter().take(MAX_NAMED);
    let named: Vec<String> =
        named.map(|thing| format!("{} {} ({})", thing.kind, thing.id, thing.reason)).collect();
    let count = report.quarantined_count;
    let more = if count > named.len() as u64 { ", ..." } else { "" };
    format!(
        "HubSpot answers badly for {count} of them, which keep their old rows and are asked for again by each run: {}{more}",
        named.join(", ")
    )
}

fn rfc3339(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// One run of one feed as it is kept, and as machines read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub run_id: String,
    pub feed: String,
    pub mode: Option<Mode>,
    pub outcome: End,
    pub reason: Option<String>,
    /// RFC 3339.
    pub ended_at: String,
    pub seconds: f64,
    pub watermark_ms: Option<i64>,
    pub caught_up_ms: Option<i64>,
    /// Now less `caught_up_ms`.
    pub lag_seconds: Option<f64>,
    /// Now less the newest change that was read: on an account where little happens it is no lag.
    #[serde(default)]
    pub newest_change_seconds: Option<f64>,
    #[serde(default)]
    pub reconciled_ms: Option<i64>,
    #[serde(default)]
    pub refreshed_ms: Option<i64>,
    /// The part of an unfinished run that is done, from 0 to 1.
    pub done_share: Option<f64>,
    /// Invocations of the same work before this one.
    pub continuation: u32,
    /// The work goes on in another invocation.
    pub goes_on: bool,
    pub collections: BTreeMap<String, CollectionRecord>,
    /// Calls of this run, by rate limit.
    pub api: BTreeMap<String, ApiUsage>,
    /// The account's calls of the day, and how many are left, where HubSpot tells.
    pub daily: Option<(u64, u64)>,
}

impl RunReport {
    /// The instant at which it ended; `None` where the record does not say.
    pub fn ended_ms(&self) -> Option<i64> {
        chrono::DateTime::parse_from_rfc3339(&self.ended_at).ok().map(|at| at.timestamp_millis())
    }

    /// `true`: the feed's records were read once, or a run that reads them has begun.
    pub fn was_read(&self) -> bool {
        self.caught_up_ms.is_some() || self.done_share.is_some()
    }
}

/// The same, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionRecord {
    pub outcome: End,
    pub reason: Option<String>,
    pub degraded: Vec<String>,
    pub rows: u64,
    pub deleted: u64,
    pub unparsed_values: u64,
    /// Rows of forgotten persons, which were not staged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u64,
    #[serde(default)]
    pub counted: u64,
    pub files: u64,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    #[serde(default)]
    pub quarantined_count: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Calls of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiUsage {
    pub calls: u64,
    pub retries: u64,
    pub rate_limited: u64,
}

impl ApiUsage {
    /// By the buckets' names.
    pub fn of(budget: &Budget) -> BTreeMap<&'static str, ApiUsage> {
        let of = |bucket: RateLimit| {
            let hubspot::Usage { calls, retries, rate_limited } = budget.usage(bucket);
            (bucket.name(), ApiUsage { calls, retries, rate_limited })
        };
        RateLimit::ALL.map(of).into()
    }

    /// Returns what was used since an earlier moment.
    pub fn since(self, earlier: ApiUsage) -> ApiUsage {
        ApiUsage {
            calls: self.calls.saturating_sub(earlier.calls),
            retries: self.retries.saturating_sub(earlier.retries),
            rate_limited: self.rate_limited.saturating_sub(earlier.rate_limited),
        }
    }
}

impl RunReport {
    /// A snapshot was staged, to be compared and not merged.
    pub fn is_snapshot(&self) -> bool {
        self.mode.is_some_and(Mode::is_snapshot)
    }

    pub fn new(
        run_id: &str,
        feed: &FeedReport,
        budget: &Budget,
        seconds: f64,
        continuation: u32,
    ) -> RunReport {
        let now = chrono::Utc::now();
        let since = |ms: i64| (now.timestamp_millis() - ms).max(0) as f64 / 1000.0;
        let collection = |report: &CollectionReport| {
            let record = CollectionRecord {
                outcome: report.outcome.end(),
                reason: report.outcome.reason(),
                degraded: report.degraded.clone(),
                rows: report.rows,
                deleted: report.deleted,
                unparsed_values: report.unparsed_values,
                forgotten: report.forgotten,
                counted: report.counted,
                files: report.files,
                bytes: report.bytes,
                quarantined: report.quarantined.clone(),
                quarantined_count: report.quarantined_count,
            };
            (report.name.to_owned(), record)
        };
        RunReport {
            run_id: run_id.to_owned(),
            feed: feed.feed.clone(),
            mode: feed.mode,
            outcome: feed.outcome.end(),
            reason: feed.outcome.reason(),
            ended_at: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            seconds,
            watermark_ms: feed.watermark_ms,
            caught_up_ms: feed.caught_up_ms,
            lag_seconds: feed.caught_up_ms.map(since),
            newest_change_seconds: feed.watermark_ms.map(since),
            reconciled_ms: feed.reconciled_ms,
            refreshed_ms: feed.refreshed_ms,
            done_share: feed.done_share,
            continuation,
            goes_on: false,
            collections: feed.collections.iter().map(collection).collect(),
            api: ApiUsage::of(budget).into_iter().map(|(name, usage)| (name.to_owned(), usage)).collect(),
            daily: budget.daily(),
        }
    }
}

/// Progress of a run, for whoever watches; may be read at any time.
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

//! One run of one feed: HubSpot -> pages -> rows -> staged Parquet, with a cursor that is saved only together with the
//! files it stands for.

mod credential;
mod event;
mod further;
mod limits;
mod lost_files;
mod outcome;
mod read;
mod report;
mod selection;
mod snapshot;
mod span;
mod stage;
mod standing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hubspot::feeds::{
    AssociatedObjects, Cursor, Feed, HistoryProperties, Lookback, Mode, Session, Unfinished, Window,
};
use hubspot::{Account, Client, ErrorKind};
use staging::{Bucket, Codec, Lease, State};
use tracing::Instrument;

pub use credential::credential;
pub use event::{Event, instant_ms, window};
pub use further::{FURTHER, FurtherFeed, FurtherFeeds, is_lacking, missed_text};
pub use limits::StateAllowance;
pub use outcome::{Outcome, StopCause};
pub use report::{
    ApiUsage, CollectionRecord, CollectionReport, FeedReport, Progress, Quarantined, RunReport, mode_of,
    work_name,
};
pub use selection::{CollectionNames, Selection};
pub use stage::Checkpoints;
pub use staging::End;
pub use standing::{FurtherReport, Scheduled, Standing, has_failed, last_run};

use stage::Stage;

/// Client, state and bucket that all runs of this process have in common.
#[derive(Debug, Clone)]
pub struct Run {
    /// Names the run in rows, files and reports; sorts by time.
    pub id: String,
    pub client: Client,
    pub account: Account,
    pub state: Arc<State>,
    pub bucket: Bucket,
    codec: Codec,
    /// Files that have a name by now, whatever became of them.
    files_named: Arc<AtomicU64>,
}

/// Reads the account that the credential is of.
///
/// # Errors
/// The message begins with the side that the fault is on: the credential, the network, or HubSpot.
pub async fn account(client: &Client) -> anyhow::Result<Account> {
    Account::of(client).await.map_err(|error| {
        let fault = match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::MissingScope => "HubSpot rejected the credential",
            ErrorKind::Transport => "HubSpot could not be reached",
            _ => "the account could not be read from HubSpot",
        };
        anyhow::Error::from(error).context(fault)
    })
}

impl Run {
    /// A new run of the account that the client's credential is of. The state is bound to it, so that no later run can
    /// mix two accounts.
    ///
    /// # Errors
    /// When HubSpot does not answer for the account, or the state is another account's.
    pub async fn begin(client: Client, state: Arc<State>, bucket: Bucket) -> anyhow::Result<Run> {
        let account = account(&client).await?;
        state.bind_account(account.id).await?;
        Ok(Run::new(client, account, state, bucket))
    }

    /// A new run of an account that the state is bound to.
    pub fn new(client: Client, account: Account, state: Arc<State>, bucket: Bucket) -> Run {
        let codec = Codec::default();
        Run { id: new_run_id(), client, account, state, bucket, codec, files_named: Arc::default() }
    }

    /// The same run, which stages files of this codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Run {
        Run { codec, ..self }
    }

    /// Another run of the same account, after this one.
    pub fn another(&self) -> Run {
        let (client, account) = (self.client.clone(), self.account.clone());
        Run::new(client, account, Arc::clone(&self.state), self.bucket.clone()).with_codec(self.codec)
    }

    /// A name that no other file has: the run's id, which no other run has, and a number that is given once in the run,
    /// whoever asks. Names sort by time.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{:06}", self.id, self.files_named.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Wishes of whoever starts a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `None`: an unfinished run goes on; else a backfill the first time and incremental afterwards.
    pub mode: Option<Mode>,
    pub window: Window,
    pub lookback: Lookback,
    /// Calls that may be spent on subscriptions of addresses outside the timeline.
    pub address_calls: u64,
    /// Lists and campaigns that HubSpot stopped to show are gone, however many they are.
    pub accepts_removals: bool,
    /// The collections that somebody wants; `None`: all. The others of a feed cost no call of their own.
    pub collections: Option<Arc<BTreeSet<&'static str>>>,
    /// The objects among which associations are read; `None`: nobody wants them.
    pub associated: Option<AssociatedObjects>,
    /// The properties whose history is read; `None`: nobody wants it.
    pub histories: Option<HistoryProperties>,
    pub checkpoints: Checkpoints,
}

/// A name for a new run: a UUID of version 7, so that names sort by time.
pub fn new_run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Reads one feed until it is caught up, or until something stops it; what was read by then is staged and registered,
/// and the next call goes on from there. Never an error: whatever happens is the report's outcome.
pub async fn extract(
    feed: &'static dyn Feed,
    run: &Run,
    options: &Options,
    progress: &Progress,
) -> FeedReport {
    let span = span::of_run(feed, run);
    let report = read_as_reported(feed, run, options, progress).instrument(span.clone()).await;
    span::note_end(&span, &report);
    report
}

async fn read_as_reported(
    feed: &'static dyn Feed,
    run: &Run,
    options: &Options,
    progress: &Progress,
) -> FeedReport {
    let started = Instant::now();
    let mut report = FeedReport::new(feed, options.mode);
    report.add_shared(feed, options);
    tracing::info!(feed.name = feed.name(), run.id = run.id, "the run starts");
    if let Err(error) = with_lease(feed, run, options, progress, &mut report).await {
        report.outcome = Outcome::of(&error);
        if report.outcome.is_stopped_by(StopCause::DailyLimit) {
            close_day(run).await;
        }
    }
    report.settle();
    tracing::info!(
        feed.name = feed.name(),
        run.id = run.id,
        outcome = report.outcome.end().name(),
        rows = report.rows(),
        seconds = started.elapsed().as_secs_f64(),
        "the run ends"
    );
    report
}

/// Tells the other processes that nobody need ask HubSpot again today.
async fn close_day(run: &Run) {
    let midnight = run.account.midnight(run.client.now());
    if let Err(error) = run.client.budget().close_day(midnight).await {
        tracing::warn!("other runs are not told that the day's calls are used up: {error:#}");
    }
}

async fn with_lease(
    feed: &'static dyn Feed,
    run: &Run,
    options: &Options,
    progress: &Progress,
    report: &mut FeedReport,
) -> anyhow::Result<()> {
    if report.collections.is_empty() {
        // No snapshot is needed of what each run reads whole, or of what never changes.
        return Ok(());
    }
    if options.mode == Some(Mode::Refresh) {
        snapshot::ask_for_refresh(feed, &run.state).await?;
    }
    let lease = run.state.lease(&report.feed).await?;
    let read = read_feed(feed, run, &lease, options, progress, report).await;
    run.state.release(lease).await;
    read
}

async fn read_feed(
    feed: &'static dyn Feed,
    run: &Run,
    lease: &Lease,
    options: &Options,
    progress: &Progress,
    report: &mut FeedReport,
) -> anyhow::Result<()> {
    let mut cursor: Cursor = run.state.cursor(&report.feed).await?.unwrap_or_default();
    let before = cursor.clone();
    report.know(&cursor);
    let mut options = options.clone();
    let (mut compared, mut wanted) = (None, None);
    if let Some(asked) = options.mode.filter(|mode| mode.is_snapshot()) {
        options.mode = Some(snapshot::due_mode(feed, run, asked, &cursor).await?);
        report.mode = options.mode;
        compared = Some(snapshot::prepare(feed, run, &options, &mut cursor).await?);
    } else {
        feed.ask_again(&run.client, &mut cursor).await?;
        if options.associated.is_some() && feed.snapshot().is_some() {
            let of_snapshots = work_name(feed, Some(Mode::Refresh));
            if let Some(mut of_snapshots) = run.state.cursor(&of_snapshots).await? {
                feed.learn(&mut cursor, &mut of_snapshots)?;
            }
        }
        wanted = snapshot::wanted(feed, run, &mut cursor, report).await?;
    }
    let options = &options;
    let mode = due_mode(&cursor, options);
    report.mode = Some(mode);
    run.client.budget().set_urgent(mode == Mode::Incremental);
    if !goes_on(&cursor, options) {
        match is_in_between(options) {
            true => cursor.pause(),
            false => (cursor.run, cursor.paused) = (None, None),
        }
    }
    let session = Session {
        client: run.client.apart(),
        account_id: run.account.id,
        run_id: run.id.clone(),
        lookback: options.lookback,
        address_calls: options.address_calls,
        accepts_removals: options.accepts_removals,
        collections: options.collections.clone(),
        associated: options.associated.clone(),
        histories: options.histories.clone(),
        wanted,
        counts: hubspot::RecordCounts::default(),
    };
    let task = Task { feed, run, lease, mode, options, session, compared };
    let read = read_with_what_answers(&task, &mut cursor, progress, report).await;
    report.count_odd_text(&task.session.client.take_odd_text());
    report.know(&cursor);
    report.has_moved = cursor != before;
    read?;
    if cursor.run.is_some() {
        report.note_paused();
    }
    if mode == Mode::Refresh {
        snapshot::set_refreshed(feed, run).await?;
    }
    Ok(())
}

/// The task of one run of one feed.
struct Task<'a> {
    feed: &'static dyn Feed,
    run: &'a Run,
    lease: &'a Lease,
    mode: Mode,
    options: &'a Options,
    session: Session,
    /// Of a snapshot.
    compared: Option<snapshot::Compared>,
}

/// Reads the feed without the sources that are lost, and again without one that is lost meanwhile.
async fn read_with_what_answers(
    task: &Task<'_>,
    cursor: &mut Cursor,
    progress: &Progress,
    report: &mut FeedReport,
) -> anyhow::Result<()> {
    loop {
        let read = read_opened(task, cursor, progress, report).await;
        let Err(error) = read else { return Ok(()) };
        match lost_source(&error) {
            // Known to be lost, and lost again: something else is wrong.
            Some(source) if !cursor.absent.contains_key(source) => {
                let reason = format!("{error:#}");
                tracing::warn!(feed.name = task.feed.name(), "the feed goes on without {source}: {reason}");
                cursor.lose(source, reason);
            }
            _ => return Err(error),
        }
    }
}

fn lost_source(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<hubspot::Error>().and_then(hubspot::Error::lost_source)
}

/// Plans the run, unless one is under way, and reads it.
async fn read_opened(
    task: &Task<'_>,
    cursor: &mut Cursor,
    progress: &Progress,
    report: &mut FeedReport,
) -> anyhow::Result<()> {
    let &Task { feed, run, lease, mode, options, ref session, compared } = task;
    let began_ms = chrono::Utc::now().timestamp_millis();
    let mode = cursor.run.as_ref().map_or(mode, |run| run.mode);
    let mut opened = feed.open(session, mode, cursor).await?;
    let due = due_mode(cursor, options);
    if cursor.run.is_none() && options.window.is_whole() && due != mode {
        // The definitions told that a run over changes is too little.
        report.mode = Some(due);
        run.client.budget().set_urgent(false);
        opened = feed.open(session, due, cursor).await?;
    }
    match &mut cursor.run {
        Some(unfinished) => opened.resume(unfinished).await?,
        None => {
            let mut planned = opened.plan(options.window, cursor).await?;
            planned.began_ms = began_ms;
            if let Some(compared) = compared {
                (planned.compared_until_ms, planned.whole_since_ms) =
                    (compared.until_ms, compared.whole_since_ms);
            }
            cursor.begin(planned);
        }
    }
    let part = cursor.run.as_ref().and_then(snapshot::part);
    let is_first = cursor.watermark_ms.is_none();
    let mut stage =
        Stage::open(run, lease, opened.tables(), part, is_first, options.checkpoints, report).await?;
    let read = read::slices(&*opened, cursor, &mut stage, progress, report).await;
    let (mut answers, mut whole_since_ms) = (None, None);
    if read.is_ok() {
        if let Some(ended) = &cursor.run {
            report.count(ended);
            answers = ended.answers;
            let is_whole = ended.mode != Mode::Incremental && options.window.is_whole();
            whole_since_ms = is_whole.then_some(ended.began_ms);
        }
        opened.finish(cursor, options.lookback)?;
        report.quarantine(&cursor.quarantine);
        report.note(opened.notes());
    }
    let saved = stage.checkpoint(cursor, report).await;
    match (read, saved) {
        (read, Ok(())) => read?,
        (Err(error), Err(_)) if lost_source(&error).is_none() => return Err(error),
        // To go on without a source, the cursor must not be past rows that are not saved.
        (_, Err(unsaved)) => return Err(unsaved),
    }
    if let Some(whole_since_ms) = whole_since_ms {
        lost_files::strike_off(run, lease, opened.tables(), whole_since_ms, report).await;
    }
    snapshot::set_answered(feed, run, answers).await
}

/// The run that was interrupted is the one that is asked for.
fn goes_on(cursor: &Cursor, options: &Options) -> bool {
    let fits = |unfinished: &Unfinished| {
        let is_too_little = cursor.is_due_whole && !unfinished.is_whole;
        options.mode.map_or(!is_too_little, |mode| mode == unfinished.mode)
    };
    options.window.is_whole() && cursor.run.as_ref().is_some_and(fits)
}

/// Tells a run beside those that follow each other: one that was interrupted is not given up for it.
fn is_in_between(options: &Options) -> bool {
    !options.window.is_whole() || options.mode == Some(Mode::Incremental)
}

fn due_mode(cursor: &Cursor, options: &Options) -> Mode {
    let unfinished = cursor.run.as_ref().filter(|_| goes_on(cursor, options)).map(|run| run.mode);
    let is_read_whole = cursor.watermark_ms.is_some() && !cursor.is_due_whole;
    let due = if is_read_whole { Mode::Incremental } else { Mode::Backfill };
    options.mode.or(unfinished).unwrap_or(due)
}

//! Snapshots, as far as runs go: staging one, and reading again what a comparison asked for.

use std::error::Error;
use std::fmt;

use chrono::Utc;
use hubspot::feeds::{Cursor, Feed, Mode, Unfinished};
use staging::{RefreshDue, Shared, SnapshotPart, State, Wanted};

use crate::{FeedReport, Options, Run};

/// The feed was never read whole: all that HubSpot shows would be missing.
#[derive(Debug)]
pub(crate) struct NothingToCompare(String);

impl fmt::Display for NothingToCompare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was never read whole, so there is nothing to compare: a first run has to end before",
            self.0
        )
    }
}

impl Error for NothingToCompare {}

/// Remembers that a refresh is due, before anybody knows whether one can begin: another snapshot of the feed may be
/// under way, or the feed not be read yet.
pub(crate) async fn ask_for_refresh(feed: &dyn Feed, state: &State) -> anyhow::Result<()> {
    let now_ms = Utc::now().timestamp_millis();
    set_due(feed, state, |due| due.or(Some(now_ms))).await
}

/// The mode of the snapshot that begins now, or goes on: a refresh that is due goes before a comparison of ids, which
/// it does along the way. One that has begun comes to its end first.
pub(crate) async fn due_mode(
    feed: &dyn Feed,
    run: &Run,
    asked: Mode,
    cursor: &Cursor,
) -> anyhow::Result<Mode> {
    let has_begun = cursor.run.as_ref().is_some_and(|unfinished| unfinished.mode == asked);
    if asked == Mode::Refresh || has_begun {
        return Ok(asked);
    }
    let due: Shared<RefreshDue> = run.state.shared(&RefreshDue::document(feed.name())).await?;
    Ok(if due.value.since_ms.is_some() { Mode::Refresh } else { asked })
}

/// A refresh is staged.
pub(crate) async fn set_refreshed(feed: &dyn Feed, run: &Run) -> anyhow::Result<()> {
    set_due(feed, &run.state, |_| None).await
}

async fn set_due(
    feed: &dyn Feed,
    state: &State,
    next: impl Fn(Option<i64>) -> Option<i64>,
) -> anyhow::Result<()> {
    let document = RefreshDue::document(feed.name());
    loop {
        let mut due: Shared<RefreshDue> = state.shared(&document).await?;
        let since_ms = next(due.value.since_ms);
        if since_ms == due.value.since_ms {
            return Ok(());
        }
        due.value.since_ms = since_ms;
        // Whoever came in between did one of the two.
        if state.swap_shared(&document, &due).await? {
            return Ok(());
        }
    }
}

/// The feed's reads that a snapshot is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    /// [`SnapshotPart::caught_up_ms`].
    pub(crate) until_ms: i64,
    /// [`SnapshotPart::whole_since_ms`].
    pub(crate) whole_since_ms: Option<i64>,
}

/// Makes the cursor of a feed's snapshots go without the sources that the feed goes without.
///
/// # Errors
/// [`NothingToCompare`].
pub(crate) async fn prepare(
    feed: &dyn Feed,
    run: &Run,
    options: &Options,
    cursor: &mut Cursor,
) -> anyhow::Result<Compared> {
    let mut of_feed: Cursor = run.state.cursor(feed.name()).await?.unwrap_or_default();
    let caught_up_ms = of_feed.caught_up_ms.filter(|_| of_feed.watermark_ms.is_some());
    let caught_up_ms = caught_up_ms.ok_or_else(|| NothingToCompare(feed.name().to_owned()))?;
    feed.share(&mut of_feed, cursor)?;
    cursor.absent = of_feed.absent;
    let until_ms = caught_up_ms - options.lookback.lag_ms;
    Ok(Compared { until_ms, whole_since_ms: of_feed.whole_since_ms })
}

/// Description of a snapshot in its files.
pub(crate) fn part(run: &Unfinished) -> Option<SnapshotPart> {
    run.mode.is_snapshot().then_some(SnapshotPart {
        began_ms: run.began_ms,
        caught_up_ms: run.compared_until_ms,
        is_last: false,
        is_refresh: run.mode == Mode::Refresh,
        whole_since_ms: run.whole_since_ms,
    })
}

/// Records that a comparison asked for, and nobody has read yet.
pub(crate) async fn wanted(
    feed: &dyn Feed,
    run: &Run,
    cursor: &mut Cursor,
    report: &mut FeedReport,
) -> anyhow::Result<Option<Shared<Wanted>>> {
    let Some(collection) = feed.compared() else { return Ok(None) };
    let wanted: Shared<Wanted> = run.state.shared(&Wanted::document(collection)).await?;
    report.reconciled_ms = wanted.value.reconciled_ms;
    let due: Shared<RefreshDue> = run.state.shared(&RefreshDue::document(feed.name())).await?;
    report.refreshed_ms = wanted.value.refreshed_ms.or(due.value.since_ms);
    if !wanted.value.is_open() {
        return Ok(None);
    }
    cursor.is_due_whole |= wanted.value.is_whole;
    Ok(Some(wanted))
}

/// Says that what was asked for is registered, unless something else is asked for by now.
pub(crate) async fn set_answered(feed: &dyn Feed, run: &Run, answers: Option<u64>) -> anyhow::Result<()> {
    let (Some(collection), Some(version)) = (feed.compared(), answers) else {
        return Ok(());
    };
    let document = Wanted::document(collection);
    let mut wanted: Shared<Wanted> = run.state.shared(&document).await?;
    if wanted.version == version {
        wanted.value.is_answered = true;
        // Somebody who wrote meanwhile asked for something else.
        run.state.swap_shared(&document, &wanted).await?;
    }
    Ok(())
}

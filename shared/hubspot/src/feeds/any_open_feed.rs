//! An open feed as it is driven: whatever types it has, the driver moves its slices, pages and cursor unseen.

use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use staging::{Rows, Table};

use super::cursor::{Cursor, Lookback};
use super::estimate::Estimate;
use super::open_feed::{Appended, Note, OpenFeed, Page, Planned};
use super::own::{FeedState, Own, Taken};
use super::session::Window;
use super::slice::Slice;
use super::unfinished::Unfinished;
use crate::client::sent;
use crate::error::{Error, ErrorKind, Result};

/// Every feed that is opened for a run, without its types. Feeds implement `OpenFeed`, which says more of each method.
///
/// # Errors
/// Each method fails with [`ErrorKind::Malformed`] on slices, pages, runs and cursors that are not this feed's.
#[async_trait]
pub trait AnyOpenFeed: fmt::Debug + Send + Sync {
    /// The tables it fills; rows are given and counted in this order.
    fn tables(&self) -> &[Table];

    /// Plans a new run.
    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished>;

    /// Estimates the cost of a backfill of the window.
    async fn estimate(&self, window: Window) -> Result<Estimate>;

    /// Called before a run that was interrupted goes on: only then its slices can be fetched.
    async fn resume(&self, run: &mut Unfinished) -> Result<()>;

    /// Fetches the next page of a slice of `limit` records at the most; nothing changes.
    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page>;

    /// `true`: `fetch` gets past what HubSpot fails on by itself, and a smaller page is no help.
    fn reads_around(&self) -> bool;

    /// Turns a page into rows and moves its slice past it, in one step that can't half happen: on an error the rows are
    /// as before.
    fn append(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended>;

    /// The slice that follows from a finished one, if any.
    fn follow_up(&self, finished: &Slice, run: &mut Unfinished) -> Result<Option<Slice>>;

    /// Slices that are due by now; to be asked after each page, and when no slice is left, until there are none.
    fn due(&self, run: &mut Unfinished, is_end: bool) -> Result<Vec<Slice>>;

    /// Called when a fetch or an append has failed with [`ErrorKind::Unordered`]: the run's slices become such as need
    /// no order.
    fn read_in_sequence(&self, cursor: &mut Cursor, run: &mut Unfinished) -> Result<()>;

    /// Ends the cursor's run, whose slices are all done: what it read becomes the watermark, and what it knows is kept
    /// for the next.
    fn finish(&self, cursor: &mut Cursor, lookback: Lookback) -> Result<()>;

    /// Gaps of the tables, and values from elsewhere, because a source does not answer.
    fn notes(&self) -> Vec<Note>;
}

/// A feed that is open.
pub type Opened = Box<dyn AnyOpenFeed>;

#[async_trait]
impl<F: OpenFeed> AnyOpenFeed for F {
    fn tables(&self) -> &[Table] {
        OpenFeed::tables(self)
    }

    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        let mut kept = Taken::of(cursor)?;
        let Planned { mut run, own, slices } = OpenFeed::plan(self, window, &mut kept.with()).await?;
        run.own = Own::new(own);
        run.begin_with(slices.into_iter().map(Slice::new).collect());
        Ok(run)
    }

    async fn estimate(&self, window: Window) -> Result<Estimate> {
        OpenFeed::estimate(self, window).await
    }

    async fn resume(&self, run: &mut Unfinished) -> Result<()> {
        let mut slices = typed_slices(run)?;
        let mut taken = Taken::of(run)?;
        OpenFeed::resume(self, &mut taken.with(), &mut slices).await?;
        drop(taken);
        run.set_slices(slices.into_iter().map(Slice::new).collect());
        Ok(())
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page> {
        let asked_ms = sent::now_ms();
        let (page, sent_ms) = sent::first_of(OpenFeed::fetch(self, slice.get()?, limit)).await;
        let page = page?.sent_at(sent_ms.unwrap_or(asked_ms));
        Ok(page.map(|content| Box::new(content) as Box<dyn Any + Send>))
    }

    fn reads_around(&self) -> bool {
        OpenFeed::reads_around(self)
    }

    fn append(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let before: Vec<usize> = rows.iter().map(|rows| rows.len()).collect();
        let page = typed_page(page)?;
        let slice = slice.get_mut()?;
        let mut taken = Taken::of(run)?;
        let appended = self.append_page(page, slice, &mut taken.with(), rows);
        let appended = appended.inspect_err(|_| {
            for (rows, before) in rows.iter_mut().zip(before) {
                rows.truncate(before);
            }
        })?;
        Ok(appended.map(Slice::new))
    }

    fn follow_up(&self, finished: &Slice, run: &mut Unfinished) -> Result<Option<Slice>> {
        let mut taken = Taken::of(run)?;
        Ok(OpenFeed::follow_up(self, finished.get()?, &mut taken.with()).map(Slice::new))
    }

    fn due(&self, run: &mut Unfinished, is_end: bool) -> Result<Vec<Slice>> {
        let mut taken = Taken::of(run)?;
        let due = OpenFeed::due(self, &mut taken.with(), is_end);
        Ok(due.into_iter().map(Slice::new).collect())
    }

    fn read_in_sequence(&self, cursor: &mut Cursor, run: &mut Unfinished) -> Result<()> {
        let mut slices = typed_slices(run)?;
        let (mut kept, mut taken) = (Taken::of(cursor)?, Taken::of(run)?);
        OpenFeed::read_in_sequence(self, &mut kept.with(), &mut taken.with(), &mut slices);
        drop(taken);
        run.set_slices(slices.into_iter().map(Slice::new).collect());
        Ok(())
    }

    fn finish(&self, cursor: &mut Cursor, lookback: Lookback) -> Result<()> {
        if let Some(mut run) = cursor.run.take() {
            let kept = keep(self, cursor, &mut run);
            cursor.run = Some(run);
            kept?;
        }
        cursor.finish(lookback);
        Ok(())
    }

    fn notes(&self) -> Vec<Note> {
        OpenFeed::notes(self)
    }
}

fn keep<F: OpenFeed>(feed: &F, cursor: &mut Cursor, run: &mut Unfinished) -> Result<()> {
    let (mut kept, mut run) = (Taken::of(cursor)?, Taken::of(run)?);
    feed.keep(&mut run.with(), kept.with().own);
    Ok(())
}

fn typed_slices<S: FeedState>(run: &Unfinished) -> Result<Vec<S>> {
    run.slices.iter().cloned().map(Slice::into_typed).collect()
}

fn typed_page<C: 'static>(page: Page) -> Result<Page<C>> {
    let mut content = None;
    let page = page.map(|any| content = any.downcast::<C>().ok());
    let content = content.ok_or_else(|| {
        Error::new(ErrorKind::Malformed, "a page was given to a feed that has not fetched it")
    })?;
    Ok(page.map(|()| *content))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use super::super::open_feed::{CursorOf, RunOf};
    use super::*;
    use crate::feeds::unfinished::Mode;

    #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Nothing {}

    impl FeedState for Nothing {}

    /// A feed whose pages wait for their answer.
    #[derive(Debug, Default)]
    struct Waiting {
        answered_ms: AtomicI64,
    }

    #[async_trait]
    impl OpenFeed for Waiting {
        type Slice = Nothing;
        type Run = Nothing;
        type Kept = Nothing;
        type Content = ();

        fn tables(&self) -> &[Table] {
            &[]
        }

        async fn plan(&self, _: Window, _: &mut CursorOf<'_, Nothing>) -> Result<Planned<Nothing, Nothing>> {
            Ok(Planned::new(Mode::Incremental, 0, 0))
        }

        async fn fetch(&self, _: &Nothing, _: usize) -> Result<Page<()>> {
            self.answered_ms.store(sent::now_ms(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Page::new((), 0))
        }

        fn append_page(
            &self,
            _: Page<()>,
            _: &mut Nothing,
            _: &mut RunOf<'_, Nothing>,
            _: &mut [&mut Rows],
        ) -> Result<Appended<Nothing>> {
            Ok(Appended::default())
        }
    }

    #[tokio::test]
    async fn a_page_is_no_newer_than_its_first_answer() {
        let feed = Waiting::default();
        let page = AnyOpenFeed::fetch(&feed, &Slice::new(Nothing {}), 100).await.unwrap();
        assert!(page.read_ms <= feed.answered_ms.load(Ordering::Relaxed));
    }
}

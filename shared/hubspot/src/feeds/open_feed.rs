//! The contract of a feed that is opened for a run: it plans slices, fetches their pages, and turns each page into rows
//! while its slice moves past it.
//!
//! A feed implements [`OpenFeed`] with types of its own for what a slice, a page, a run and the cursor hold. Whoever drives
//! feeds knows none of these types: see [`super::AnyOpenFeed`].

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};

use async_trait::async_trait;
use chrono::Utc;
use staging::{Rows, Table};

use super::cursor::Cursor;
use super::document::Written;
use super::estimate::Estimate;
use super::own::{FeedState, With};
use super::session::Window;
use super::slice::Slice;
use super::unfinished::{Mode, Unfinished};
use crate::error::Result;

/// A cursor, with what a feed keeps in it.
pub(super) type CursorOf<'a, K> = With<'a, Cursor, K>;
/// A run under way, with what a feed keeps in it.
pub(super) type RunOf<'a, R> = With<'a, Unfinished, R>;

/// A feed opened for one run: its tables follow the account's definitions of this moment.
#[async_trait]
pub(crate) trait OpenFeed: fmt::Debug + Send + Sync + 'static {
    /// A part of a run that can be paged and resumed on its own.
    type Slice: FeedState;
    /// Progress of a run beside its slices.
    type Run: FeedState + Default;
    /// Knowledge that one run leaves to the next.
    type Kept: FeedState + Default;
    /// Answers that are fetched, not yet rows.
    type Content: Send + 'static;

    /// The tables it fills; rows are given and counted in this order.
    fn tables(&self) -> &[Table];

    /// Plans a new run.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Config`] for an incremental run that has nothing to start from.
    async fn plan(
        &self,
        window: Window,
        cursor: &mut CursorOf<'_, Self::Kept>,
    ) -> Result<Planned<Self::Slice, Self::Run>>;

    /// Estimates the cost of a backfill of the window; nothing but counts is asked for.
    async fn estimate(&self, _window: Window) -> Result<Estimate> {
        let note = "HubSpot tells no count beforehand: one call for each page, few on most accounts";
        Ok(Estimate { general: 1, note: Some(note), ..Estimate::default() })
    }

    /// Called before a run that was interrupted goes on.
    async fn resume(&self, _run: &mut RunOf<'_, Self::Run>, _slices: &mut Vec<Self::Slice>) -> Result<()> {
        Ok(())
    }

    /// Fetches the next page of a slice: requests only, nothing changes. `limit` is a page's number of records, 100
    /// at the most; a smaller one helps when HubSpot fails on large pages.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SourceLost`] when one of several sources does not answer any more: the feed is to be opened
    /// again with a cursor that knows of it.
    async fn fetch(&self, slice: &Self::Slice, limit: usize) -> Result<Page<Self::Content>>;

    /// `true`: `fetch` gets past what HubSpot fails on by itself, and a smaller page is no help.
    fn reads_around(&self) -> bool {
        false
    }

    /// Turns a page into rows, one [`Rows`] per table, and moves its slice past it. The slice may have been cut
    /// shorter since the page was fetched; what is past its end is left to the slice that has it now. On an error the
    /// rows may hold a part of the page: [`super::AnyOpenFeed::append`] takes it back.
    fn append_page(
        &self,
        page: Page<Self::Content>,
        slice: &mut Self::Slice,
        run: &mut RunOf<'_, Self::Run>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Self::Slice>>;

    /// Called when a slice is finished: the slice that follows from it, if any.
    fn follow_up(&self, _finished: &Self::Slice, _run: &mut RunOf<'_, Self::Run>) -> Option<Self::Slice> {
        None
    }

    /// Slices that are due by now, such as those that check what was read; asked after each page, and when no slice is
    /// left, until there are none.
    fn due(&self, _run: &mut RunOf<'_, Self::Run>, _is_end: bool) -> Vec<Self::Slice> {
        Vec::new()
    }

    /// The positions of the list turned out not to be ids: one slice for all of it, from the start.
    fn read_in_sequence(
        &self,
        _cursor: &mut CursorOf<'_, Self::Kept>,
        _run: &mut RunOf<'_, Self::Run>,
        _slices: &mut Vec<Self::Slice>,
    ) {
    }

    /// Keeps what the run, which has ended, leaves to the next; that of a snapshot leaves it to the next snapshot.
    fn keep(&self, _run: &mut RunOf<'_, Self::Run>, _kept: &mut Self::Kept) {}

    /// Gaps of the tables, and values from elsewhere, because a source does not answer.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}

/// A run that is planned, of a feed's own types.
#[derive(Debug)]
pub(crate) struct Planned<S, R> {
    pub(super) run: Unfinished,
    pub(super) own: R,
    pub(super) slices: Vec<S>,
}

impl<S, R: Default> Planned<S, R> {
    pub(super) fn new(mode: Mode, started_ms: i64, overlap_ms: i64) -> Planned<S, R> {
        let run = Unfinished::new(mode, started_ms, overlap_ms);
        Planned { run, own: R::default(), slices: Vec::new() }
    }
}

impl<S, R> Planned<S, R> {
    /// The same for a feed that is made of this one.
    pub(super) fn map<T, Q>(self, slice: impl FnMut(S) -> T, own: impl FnOnce(R) -> Q) -> Planned<T, Q> {
        let Planned { run, own: of_feed, slices } = self;
        Planned { run, own: own(of_feed), slices: slices.into_iter().map(slice).collect() }
    }
}

impl<S, R> Deref for Planned<S, R> {
    type Target = Unfinished;

    fn deref(&self) -> &Unfinished {
        &self.run
    }
}

impl<S, R> DerefMut for Planned<S, R> {
    fn deref_mut(&mut self) -> &mut Unfinished {
        &mut self.run
    }
}

/// Answers that are fetched, not yet rows. The content is of the feed's own type.
pub struct Page<C = Box<dyn Any + Send>> {
    pub(super) content: C,
    /// The version of its rows: the time, by our clock, at which the first of its calls was sent.
    pub(super) read_ms: i64,
    size_bytes: usize,
}

impl<C> Page<C> {
    pub(super) fn new(content: C, size_bytes: usize) -> Page<C> {
        Page { content, read_ms: Utc::now().timestamp_millis(), size_bytes }
    }

    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn sent_at(self, read_ms: i64) -> Page<C> {
        Page { read_ms, ..self }
    }

    pub(super) fn map<D>(self, map: impl FnOnce(C) -> D) -> Page<D> {
        Page { content: map(self.content), read_ms: self.read_ms, size_bytes: self.size_bytes }
    }
}

impl<C> fmt::Debug for Page<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Page").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// The outcome of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended<S = Slice> {
    /// One for each table.
    pub written: Vec<Written>,
    pub is_last: bool,
    /// Ids, or milliseconds, from the page's first to its last: how dense the records lie there.
    pub span: u64,
    /// Records that the page found the ids of, to be read by themselves while the search goes on.
    pub found: Option<S>,
}

impl<S> Default for Appended<S> {
    fn default() -> Appended<S> {
        Appended { written: Vec::new(), is_last: false, span: 0, found: None }
    }
}

impl<S> Appended<S> {
    pub(super) fn map<T>(self, map: impl FnOnce(S) -> T) -> Appended<T> {
        let Appended { written, is_last, span, found } = self;
        Appended { written, is_last, span, found: found.map(map) }
    }
}

/// A remark for people on a collection that is not filled as it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub collection: &'static str,
    pub gap: Gap,
    /// The columns or rows that are lacking or from elsewhere, and why.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The table is filled, from another source or but for some columns.
    Degraded,
    /// The table lacks something that HubSpot has, or holds it as it was: the run is not complete.
    Incomplete,
    /// The table can't be filled.
    Skipped,
}

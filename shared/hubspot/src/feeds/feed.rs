//! The contract of a feed. A run opens it, plans slices, fetches their pages, and turns each page into rows while its
//! slice moves past it.

use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use chrono::Utc;
use staging::{Rows, Table};

use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::Written;
use super::estimate::Estimate;
use super::session::{Session, Window};
use super::slice::Slice;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

/// One feed, not yet opened.
#[async_trait]
pub trait Feed: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// The collections it fills.
    fn collections(&'static self) -> &'static [&'static str];

    /// Its collections and their columns, for people who query them.
    fn dictionary(&self) -> Vec<CollectionEntry>;

    /// The collection that its snapshots are of, under their name ([`staging::snapshot_name`]); `None` where each run
    /// reads everything, or what is read never changes. A feed is opened for a snapshot with the cursor of its snapshots.
    fn snapshot(&self) -> Option<&'static str> {
        None
    }

    /// Asks whether a source that did not answer in an earlier run does so now. Then the feed is due to be read from
    /// the start: what the source knows of older records was never read.
    async fn ask_again(&self, _client: &Client, _cursor: &mut Cursor) -> Result<()> {
        Ok(())
    }

    /// Opens the feed for one run: reads what the account defines. If that tells that a run over changes is too little
    /// (`Cursor::is_due_whole`), the feed is to be opened again for a whole one.
    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>>;
}

/// A feed opened for one run: its tables follow the account's definitions of this moment.
#[async_trait]
pub trait OpenFeed: fmt::Debug + Send + Sync {
    /// The tables it fills; rows are given and counted in this order.
    fn tables(&self) -> &[Table];

    /// Plans a new run.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Config`] for an incremental run that has nothing to start from.
    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished>;

    /// Estimates the cost of a backfill of the window; nothing but counts is asked for.
    async fn estimate(&self, _window: Window) -> Result<Estimate> {
        let note = "HubSpot tells no count beforehand: one call for each page, few on most accounts";
        Ok(Estimate { general: 1, note: Some(note), ..Estimate::default() })
    }

    /// Called before a run that was interrupted goes on.
    async fn resume(&self, _run: &mut Unfinished) -> Result<()> {
        Ok(())
    }

    /// Fetches the next page of a slice: requests only, nothing changes. `limit` is a page's number of records, 100
    /// at the most; a smaller one helps when HubSpot fails on large pages.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SourceLost`] when one of several sources does not answer any more: the feed is to be opened
    /// again with a cursor that knows of it.
    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page>;

    /// `true`: `fetch` gets past what HubSpot fails on by itself, and a smaller page is no help.
    fn reads_around(&self, _slice: &Slice) -> bool {
        false
    }

    /// Turns a page into rows, one [`Rows`] per table, and moves its slice past it. The slice may have been cut
    /// shorter since the page was fetched; what is past its end is left to the slice that has it now. On an error the
    /// rows may hold a part of the page: [`append`] takes it back.
    fn append_page(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended>;

    /// Called when a slice is finished: the slice that follows from it, if any.
    fn follow_up(&self, _finished: &Slice, _run: &mut Unfinished) -> Option<Slice> {
        None
    }

    /// Slices that check what was read; asked after each page, and at the end until there are none.
    fn checks(&self, _run: &mut Unfinished, _is_end: bool) -> Vec<Slice> {
        Vec::new()
    }

    /// The positions of the list turned out not to be ids: one slice for all of it, from the start.
    fn read_in_sequence(&self, _cursor: &mut Cursor, _run: &mut Unfinished) {}

    /// Gaps of the tables, and values from elsewhere, because a source does not answer.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}

/// Turns a page into rows and moves its slice past it, in one step that can't half happen: on an error the rows are as
/// before.
pub fn append(
    feed: &dyn OpenFeed,
    page: Page,
    slice: &mut Slice,
    run: &mut Unfinished,
    rows: &mut [&mut Rows],
) -> Result<Appended> {
    let before: Vec<usize> = rows.iter().map(|rows| rows.len()).collect();
    feed.append_page(page, slice, run, rows).inspect_err(|_| {
        for (rows, before) in rows.iter_mut().zip(before) {
            rows.truncate(before);
        }
    })
}

/// Answers that are fetched, not yet rows. The content is of the feed's own type.
pub struct Page {
    content: Box<dyn Any + Send>,
    /// By our clock.
    pub(super) read_ms: i64,
    size_bytes: usize,
}

impl Page {
    pub(super) fn new<C: Any + Send>(content: C, size_bytes: usize) -> Page {
        Page { content: Box::new(content), read_ms: Utc::now().timestamp_millis(), size_bytes }
    }

    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn holds<C: Any>(&self) -> bool {
        self.content.is::<C>()
    }

    /// The content, for the feed that has fetched it.
    pub(super) fn into_content<C: Any>(self) -> Result<C> {
        let content = self.content.downcast::<C>().map_err(|_| {
            Error::new(ErrorKind::Malformed, "a page was given to a feed that has not fetched it")
        })?;
        Ok(*content)
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Page").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// The outcome of one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// One for each table.
    pub written: Vec<Written>,
    pub is_last: bool,
    /// Ids, or milliseconds, from the page's first to its last: how dense the records lie there.
    pub span: u64,
    /// Records that the page found the ids of, to be read by themselves while the search goes on.
    pub found: Option<Slice>,
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
    /// The table can't be filled.
    Skipped,
}

//! The feeds: what one extract run pages through, one file or folder each. To add one: its file, its `mod` line, its
//! entry in [`FEEDS`].
//!
//! | file | pages through | fills |
//! |---|---|---|
//! | `contacts` | contacts, and for each page what contacts v1 and the lists know of them | `contacts`, `contact_identity_profiles`, `contact_identities`, `form_submissions` |
//! | `companies`, `deals` | records (`objects`) | `companies`, `deals` |
//! | `contact_lists` | all lists | `contact_lists` |
//! | `email_campaigns` | the campaigns that were active | `email_campaigns` |
//! | `email_events` | windows of time (`history`) | `email_events` |
//! | `subscription_timeline` | windows of time (`history`) | `email_subscription_event_changes`, `email_subscriptions` |

mod batches;
mod collection;
mod companies;
mod contact_lists;
mod contacts;
mod cursor;
mod deals;
mod dictionary;
mod document;
mod email_campaigns;
mod email_events;
mod estimate;
mod history;
mod lineage;
mod objects;
mod packed;
mod quarantine;
mod recent;
mod seen;
mod slice;
mod subscription_timeline;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use staging::{Rows, Shared, Table, Wanted};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

pub use cursor::{Cursor, Lookback, Mode, Unfinished};
pub use dictionary::{CollectionEntry, ColumnEntry};
pub use document::Written;
pub use estimate::Estimate;
pub use quarantine::{Quarantine, SetAside, Thing};
pub use slice::Slice;

/// All feeds, in the order in which they run.
pub const FEEDS: &[&dyn Feed] = &[
    &contacts::CONTACTS,
    &companies::COMPANIES,
    &deals::DEALS,
    &contact_lists::ContactLists,
    &email_campaigns::EmailCampaigns,
    &email_events::EMAIL_EVENTS,
    &subscription_timeline::SubscriptionTimeline,
];

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

    /// Opens the feed for one run: reads what the account defines.
    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>>;
}

/// So many lists or campaigns may be gone at a time, whatever share of all they are.
const FEW_REMOVED: usize = 20;

/// What a feed needs to know of the run.
#[derive(Debug, Clone)]
pub struct Session {
    pub client: Client,
    pub account_id: u64,
    pub run_id: String,
    pub lookback: Lookback,
    /// Calls that may be spent on subscriptions of addresses outside the timeline.
    pub address_calls: u64,
    /// What HubSpot stopped to show is gone, however much it is.
    pub accepts_removals: bool,
    /// The collections that somebody wants; `None`: all.
    pub collections: Option<Arc<BTreeSet<&'static str>>>,
    /// What a comparison asked for, and nobody has read yet.
    pub wanted: Option<Shared<Wanted>>,
}

impl Session {
    /// Refuses to take most of what was known for gone: a credential that sees less shows the same.
    fn check_removals(&self, what: &str, known: usize, gone: usize) -> Result<()> {
        if self.accepts_removals || gone <= FEW_REMOVED || gone <= known / 2 {
            return Ok(());
        }
        let message = format!(
            "HubSpot shows {gone} of {known} {what} no more, and they are not taken for removed: does the credential see \
             less than the one before? If it does, give it back what it saw. If they are gone, say so once: \
             --accept-removals, or {{\"accept_removals\": true}} to the function"
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// Whether calls that are for this collection alone are worth it.
    fn wants(&self, collection: &str) -> bool {
        self.collections.as_ref().is_none_or(|wanted| wanted.contains(collection))
    }

    fn reading(&self, read_ms: i64) -> lineage::Reading<'_> {
        let theirs_ms = self.client.by_hubspots_clock(read_ms);
        lineage::Reading { account_id: self.account_id, run_id: &self.run_id, read_ms, theirs_ms }
    }

    /// For pages that are made by hand: nobody answers its client.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "tests")]
    pub(crate) fn unanswered() -> Session {
        let credential = crate::Credential::token("pat-na1-x").unwrap();
        Session {
            client: Client::new("http://127.0.0.1:9", credential, crate::Budget::new(0.0)).unwrap(),
            account_id: 1,
            run_id: "run-1".to_owned(),
            lookback: Lookback::default(),
            address_calls: 0,
            accepts_removals: false,
            collections: None,
            wanted: None,
        }
    }
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

    /// What a backfill of the window will cost; nothing but counts is asked for.
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

    /// Whether `fetch` gets past what HubSpot fails on by itself: then a smaller page is no help.
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

    /// What the tables lack, or have from elsewhere, because a source does not answer.
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

/// What a new run is asked to read, besides its mode.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// Only what changed or happened since then; without it, an incremental run starts from the watermark.
    pub since_ms: Option<i64>,
    /// Only what changed or happened until then; the watermark does not move.
    pub until_ms: Option<i64>,
}

impl Window {
    /// It is open on both sides: nothing is left out.
    pub fn is_whole(self) -> bool {
        self.since_ms.is_none() && self.until_ms.is_none()
    }

    /// A window that begins behind the watermark, or ends in the past, leaves a gap beside it.
    fn moves_watermark(self, cursor: &Cursor) -> bool {
        let begins_behind = cursor.watermark_ms.is_some() && self.since_ms > cursor.watermark_ms;
        self.until_ms.is_none() && !begins_behind
    }
}

/// Answers that are fetched, not yet rows.
#[derive(Debug)]
pub struct Page {
    content: Content,
    read_ms: i64,
    size_bytes: usize,
}

/// Each feed's own.
#[derive(Debug)]
enum Content {
    Objects(Box<objects::Page>),
    Contacts(contacts::Page),
    History(history::Page),
    Lists(contact_lists::Page),
    Campaigns(email_campaigns::Page),
    Addresses(subscription_timeline::Statuses),
}

impl Page {
    fn new(content: Content, size_bytes: usize) -> Page {
        Page { content, read_ms: Utc::now().timestamp_millis(), size_bytes }
    }

    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// What one page added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// One for each table.
    pub written: Vec<Written>,
    pub is_last: bool,
    /// Ids, or milliseconds, from the page's first to its last: how dense the records lie there.
    pub span: u64,
    /// What the page found the ids of, to be read by itself while the search goes on.
    pub found: Option<Slice>,
}

/// What people should know of a collection that is not filled as it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub collection: &'static str,
    pub gap: Gap,
    /// What is lacking or from elsewhere, and why.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// The table is filled, from another source or but for some columns.
    Degraded,
    /// The table can't be filled.
    Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_named_after_the_records_of_their_feed() {
        let named: Vec<&str> = FEEDS.iter().filter_map(|feed| feed.snapshot()).collect();
        assert_eq!(named, ["contacts", "companies", "deals"].map(staging::snapshot_name));
        for feed in FEEDS.iter().filter(|feed| feed.snapshot().is_some()) {
            assert_eq!(feed.snapshot().and_then(staging::snapshot_of), feed.collections().first().copied());
        }
    }
}

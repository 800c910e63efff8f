//! Subscriptions: the timeline of their changes, with a snapshot of each address that changed something; and, where it is
//! asked for, how every other address of a contact stands, which takes one call for each.

mod addresses;
mod timeline;

use async_trait::async_trait;
use staging::{Rows, Table};

use self::addresses::{Addresses, Statuses};
use self::timeline::TIMELINE;
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::history::OpenHistory;
use super::slice::Slice;
use super::{Appended, Feed, Note, OpenFeed, Page, Session, Window};
use crate::client::Client;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct SubscriptionTimeline;

#[async_trait]
impl Feed for SubscriptionTimeline {
    fn name(&self) -> &'static str {
        TIMELINE.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        TIMELINE.collections
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        TIMELINE.dictionary()
    }

    async fn ask_again(&self, client: &Client, cursor: &mut Cursor) -> Result<()> {
        addresses::ask_again(client, cursor).await
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        let history = OpenHistory::open(&TIMELINE, session, mode, cursor)?;
        let addresses = Addresses::new(session, cursor);
        Ok(Box::new(OpenTimeline { history, addresses }))
    }
}

#[derive(Debug)]
struct OpenTimeline {
    history: OpenHistory,
    addresses: Addresses,
}

#[async_trait]
impl OpenFeed for OpenTimeline {
    fn tables(&self) -> &[Table] {
        self.history.tables()
    }

    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        let mut run = self.history.plan(window, cursor).await?;
        run.address_position.clone_from(&cursor.address_position);
        run.slices.extend(self.addresses.slices(cursor.address_position.clone()));
        Ok(run)
    }

    /// A run that may not ask about addresses leaves that part to one that may.
    async fn resume(&self, run: &mut Unfinished) -> Result<()> {
        if self.addresses.slices(None).is_empty() {
            run.slices.retain(|slice| !Addresses::is_asked_by(slice));
        }
        self.history.resume(run).await
    }

    fn reads_around(&self, _slice: &Slice) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page> {
        match Addresses::is_asked_by(slice) {
            true => self.addresses.page(slice, limit).await,
            false => self.history.fetch(slice, limit).await,
        }
    }

    fn append_page(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        match page.holds::<Statuses>() {
            true => self.addresses.append(page, slice, run, &self.history, rows),
            false => self.history.append_page(page, slice, run, rows),
        }
    }

    fn checks(&self, run: &mut Unfinished, is_end: bool) -> Vec<Slice> {
        self.history.checks(run, is_end)
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = self.history.notes();
        notes.extend(self.addresses.note());
        notes
    }
}

//! Subscriptions: the timeline of their changes, with a snapshot of each address that changed something; and, where it is
//! asked for, how every other address of a contact stands, which takes one call for each.

mod addresses;
mod state;
mod timeline;

use async_trait::async_trait;
use staging::{Rows, Table};

use self::addresses::{Addresses, Statuses};
use self::state::{Position, Slice};
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::events::{self, OpenEventFeed};
use super::open_feed::{CursorOf, Planned, RunOf};
use super::unfinished::Mode;
use super::{Appended, Feed, Note, OpenFeed, Opened, Page, Session, Window};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

pub(super) use self::timeline::TIMELINE;

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

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        let events = OpenEventFeed::open(&TIMELINE, session, mode, cursor)?;
        let addresses = Addresses::new(session, cursor);
        Ok(Box::new(OpenTimeline { events, addresses }))
    }
}

#[derive(Debug)]
struct OpenTimeline {
    events: OpenEventFeed,
    addresses: Addresses,
}

#[derive(Debug)]
enum Content {
    Window(events::Page),
    Statuses(Statuses),
}

#[async_trait]
impl OpenFeed for OpenTimeline {
    type Slice = Slice;
    type Run = Position;
    type Kept = Position;
    type Content = Content;

    fn tables(&self) -> &[Table] {
        self.events.tables()
    }

    async fn plan(
        &self,
        window: Window,
        cursor: &mut CursorOf<'_, Position>,
    ) -> Result<Planned<Slice, Position>> {
        let Planned { run, slices, .. } = self.events.plan_windows::<Position>(window, cursor)?;
        let position = cursor.own.address_position.clone();
        let addresses = self.addresses.slices(position).into_iter().map(Slice::Addresses);
        let slices = slices.into_iter().map(Slice::Window).chain(addresses).collect();
        Ok(Planned { run, own: cursor.own.clone(), slices })
    }

    /// A run that may not ask about addresses leaves that part to one that may.
    async fn resume(&self, run: &mut RunOf<'_, Position>, slices: &mut Vec<Slice>) -> Result<()> {
        if self.addresses.slices(None).is_empty() {
            slices.retain(|slice| !matches!(slice, Slice::Addresses(_)));
        }
        let windows = slices.iter_mut().filter_map(|slice| match slice {
            Slice::Window(window) => Some(window),
            Slice::Addresses(_) => None,
        });
        self.events.resume_windows(run, windows);
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page<Content>> {
        match slice {
            Slice::Window(window) => Ok(self.events.window_page(window, limit).await?.map(Content::Window)),
            Slice::Addresses(addresses) => {
                Ok(self.addresses.page(addresses, limit).await?.map(Content::Statuses))
            }
        }
    }

    fn append_page(
        &self,
        page: Page<Content>,
        slice: &mut Slice,
        run: &mut RunOf<'_, Position>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        match (page.content, slice) {
            (Content::Window(content), Slice::Window(window)) => {
                let appended = self.events.append_window(content, page.read_ms, window, run, rows)?;
                Ok(appended.map(Slice::Window))
            }
            (Content::Statuses(statuses), Slice::Addresses(addresses)) => {
                self.addresses.append(statuses, page.read_ms, addresses, run, &self.events, rows)
            }
            _ => Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        }
    }

    fn due(&self, run: &mut RunOf<'_, Position>, is_end: bool) -> Vec<Slice> {
        if is_end {
            self.events.release(run);
        }
        Vec::new()
    }

    fn keep(&self, run: &mut RunOf<'_, Position>, kept: &mut Position) {
        *kept = std::mem::take(run.own);
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = self.events.notes();
        notes.extend(self.addresses.note());
        notes
    }
}

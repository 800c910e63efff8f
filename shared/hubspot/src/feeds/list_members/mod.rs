//! Members of the lists of all objects but contacts, whose lists come with the contacts themselves. Each run reads which
//! lists there are, and the members of those that may have others, page by page.
//!
//! A list is a set, and its rows are staged as they come: only the row that closes it, behind the last page, lets go of
//! those who left. A reading that is broken off deletes nothing. HubSpot need not tell that a list has changed, so each
//! is read once a week at least.

mod append;
mod fetch;
mod objects;
mod open_members;
mod rows;
mod state;
mod troubles;

use std::sync::Mutex;

use async_trait::async_trait;
use staging::{Rows, Table};

use self::fetch::Answer;
use self::open_members::OpenMembers;
use self::state::{Lists, Run, RunOfLists, Slice};
use self::troubles::Troubles;
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::document::{Document, Written};
use super::estimate::Estimate;
use super::open_feed::{CursorOf, Planned};
use super::own::Taken;
use super::unfinished::Mode;
use super::{Appended, Feed, LIST_MEMBERSHIPS, Note, OpenFeed, Opened, Page, Session, Window};
use crate::error::{Error, ErrorKind, Result};

/// Name of the feed.
pub const LIST_MEMBERS: &str = "list_members";

#[derive(Debug)]
pub(super) struct ListMembers;

#[async_trait]
impl Feed for ListMembers {
    fn name(&self) -> &'static str {
        LIST_MEMBERS
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &[LIST_MEMBERSHIPS]
    }

    fn is_full_refresh(&self) -> bool {
        true
    }

    fn changes_untold(&self) -> bool {
        true
    }

    /// Its collection is among those that feeds share.
    fn dictionary(&self) -> Vec<CollectionEntry> {
        Vec::new()
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        let mut document = Document::new(&super::objects::LIST_MEMBERSHIPS, &[])?;
        let table = document.table.with_set_key(&["object", "list_id"]);
        document.table =
            table.and_then(|table| table.with_sets_closed_by("record_id")).map_err(|source| {
                Error::new(ErrorKind::Malformed, "lists make no sets of their table").caused_by(source)
            })?;
        let mut kept = Taken::of(cursor)?;
        let kept: CursorOf<'_, Lists> = kept.with();
        Ok(Box::new(OpenMembers {
            session: session.clone(),
            document,
            mode,
            known: kept.own.lists.clone(),
            troubles: Mutex::default(),
        }))
    }
}

#[async_trait]
impl OpenFeed for OpenMembers {
    type Slice = Slice;
    type Run = Run;
    type Kept = Lists;
    type Content = Answer;

    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    async fn plan(&self, _window: Window, _cursor: &mut CursorOf<'_, Lists>) -> Result<Planned<Slice, Run>> {
        let now_ms = self.session.client.now().timestamp_millis();
        let mut planned: Planned<Slice, Run> = Planned::new(self.mode, now_ms, 0);
        planned.is_whole = self.mode == Mode::Backfill;
        let objects = self.objects(&mut planned.own.troubles).await?;
        planned.slices = objects.into_iter().map(Slice::Lists).collect();
        *self.troubles() = planned.own.troubles.clone();
        Ok(planned)
    }

    async fn estimate(&self, _window: Window) -> Result<Estimate> {
        let objects = self.objects(&mut Troubles::default()).await?.len() as u64;
        let note = "1 call for the lists of each object, and 1 more for each 250 members of a list: HubSpot tells no \
                    count beforehand";
        Ok(Estimate { general: objects, note: Some(note), ..Estimate::default() })
    }

    async fn resume(&self, run: &mut RunOfLists<'_>, _slices: &mut Vec<Slice>) -> Result<()> {
        *self.troubles() = run.own.troubles.clone();
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, _limit: usize) -> Result<Page<Answer>> {
        let answer = self.answer(slice).await?;
        let size_bytes = if let Answer::Members(body, _) = &answer { body.len() } else { 0 };
        Ok(Page::new(answer, size_bytes))
    }

    fn append_page(
        &self,
        page: Page<Answer>,
        slice: &mut Slice,
        run: &mut RunOfLists<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [rows] = rows else {
            return Err(Error::new(ErrorKind::Malformed, "the feed has other tables"));
        };
        let read_ms = page.read_ms;
        let (written, is_last) = match (slice, page.content) {
            (Slice::Lists(object), Answer::Lists(shown, unlisted)) => {
                self.append_lists(object, (&shown, &unlisted), run, read_ms);
                (self.append_gone(object, &unlisted.gone, read_ms, run, rows), true)
            }
            (Slice::Members(reading), Answer::Members(page, next)) => {
                self.append_members((&page, next), read_ms, reading, run, rows)?
            }
            // Deleted since it was shown: the next run does not find it among all lists, and closes it.
            (Slice::Members(reading), Answer::Gone) => {
                self.leave(reading, run);
                (Written::default(), true)
            }
            (Slice::Lists(object), Answer::Failed(failed)) => {
                self.fail_object(object, &failed, run);
                (Written::default(), true)
            }
            (Slice::Members(reading), Answer::Failed(failed)) => {
                (Written::default(), !self.is_read_again(reading, &failed, run))
            }
            _ => return Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        };
        Ok(Appended { written: vec![written], is_last, ..Appended::default() })
    }

    fn due(&self, run: &mut RunOfLists<'_>, _is_end: bool) -> Vec<Slice> {
        std::mem::take(&mut run.own.due).into_iter().map(Slice::Members).collect()
    }

    fn keep(&self, run: &mut RunOfLists<'_>, kept: &mut Lists) {
        let (read, gone) = (std::mem::take(&mut run.own.lists), std::mem::take(&mut run.own.gone));
        for (object, lists) in read {
            let kept = kept.lists.entry(object).or_default();
            for (list, known) in lists {
                // A run that was paused may end behind one that has read the list later.
                if kept.get(&list).is_none_or(|kept| kept.read_ms <= known.read_ms) {
                    kept.insert(list, known);
                }
            }
        }
        for (object, lists) in gone {
            let kept = kept.lists.entry(object).or_default();
            kept.retain(|list, kept| lists.get(list).is_none_or(|gone| gone.read_ms < kept.read_ms));
        }
    }

    fn notes(&self) -> Vec<Note> {
        self.troubles().notes(self.known.is_empty())
    }
}

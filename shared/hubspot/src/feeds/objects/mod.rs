//! The feed of one object type with property definitions: contacts, companies or deals. They differ in what
//! [`ObjectType`] says; how they are paged is the same.
//!
//! | what | how |
//! |---|---|
//! | backfill | the list endpoint, ids cut into ranges that are read concurrently |
//! | incremental | search for the ids that changed in a fixed window, sorted and sought by id; values by batch read |
//! | archived | the list of archived records, whole, in every run; only the new ones are read |
//! | merged away | named by the survivor, wherever it is read |
//! | restored | whatever left the list of archived records is read by its id |
//! | wide accounts | names that don't fit a URL go into a batch read: ids from the list, values by id |

mod associations;
mod calls;
mod layout;
mod object_type;
mod records;
mod slices;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use staging::{Rows, Table};

use self::calls::{Head, ListPage};
use self::layout::Layout;
use self::records::Associated;
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::seen::{ArchivedIds, Hashes, RecentReads};
use super::slice::Slice;
use super::{Appended, Content, Estimate, Feed, Gap, Note, OpenFeed, Session, Window, Written, slice};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Scanner;
use crate::properties;

pub(super) use self::object_type::{Fixed, ObjectType, RECORD_CALLS};
pub(super) use self::records::{Context, Extras, Record, next_after};

#[async_trait]
impl Feed for ObjectType {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        std::slice::from_ref(&self.name)
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![self.entry()]
    }

    async fn ask_again(&self, client: &Client, cursor: &mut Cursor) -> Result<()> {
        for &other in self.associations {
            let source = associations::source(other);
            if cursor.absent.contains_key(&source) && associations::answers(self, client, other).await? {
                cursor.answers_again(&source);
            }
        }
        Ok(())
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        Ok(Box::new(ObjectFeed::open(self, session, mode, cursor, &[]).await?))
    }
}

/// One object feed, opened for one run: its table follows the account's definitions of this moment.
#[derive(Debug)]
pub(super) struct ObjectFeed {
    object: &'static ObjectType,
    session: Session,
    client: Client,
    layout: Layout,
    /// Objects whose associated ids are read: all but those that are refused.
    associations: Vec<&'static str>,
    absent: BTreeMap<String, String>,
    /// The names don't fit a URL: values come by batch read.
    is_wide: bool,
    mode: Mode,
    /// What earlier runs have read.
    recent: Hashes,
    archived: ArchivedIds,
}

/// Answers that are fetched, not yet rows.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) bodies: Vec<Bytes>,
    associated: Associated,
    /// Where the slice goes on, when the bodies don't say.
    next: Option<Next>,
    /// Records the page showed that are known already, as (id, changed at or archived at).
    known: Vec<(u64, i64)>,
    pub(super) is_archived: bool,
}

impl Page {
    pub(super) fn size_bytes(&self) -> usize {
        self.bodies.iter().map(Bytes::len).sum()
    }
}

#[derive(Debug)]
enum Next {
    /// The list goes on at this token, or ends.
    After(Option<String>),
    /// The search goes on at this id, or ends.
    From(Option<u64>),
    /// These ids are done.
    Done(usize),
}

impl ObjectFeed {
    /// `without` names columns beside the properties that this run can't fill.
    pub(super) async fn open(
        object: &'static ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
        without: &[&str],
    ) -> Result<ObjectFeed> {
        let client = session.client.clone();
        let sensitive = match cursor.sensitive.take() {
            Some(classes) if mode == Mode::Incremental => classes,
            _ => properties::visible_classes(&client, object.name).await?,
        };
        let properties = properties::definitions(&client, object.name, &sensitive).await?;
        cursor.sensitive = Some(sensitive);

        let is_absent = |other: &&str| cursor.absent.contains_key(&associations::source(other));
        let (refused, associations): (Vec<_>, Vec<_>) =
            object.associations.iter().copied().partition(is_absent);
        let of_refused = object.fixed.iter().filter(|(_, _, fixed)| {
            matches!(fixed, Fixed::Associated(other) if refused.contains(other)) && cursor.has_tables()
        });
        let without: Vec<&str> =
            of_refused.map(|(name, _, _)| *name).chain(without.iter().copied()).collect();
        let layout = Layout::new(object, &properties, &without).map_err(|source| {
            let message = format!("the properties of {} make no table", object.name);
            Error::new(ErrorKind::Malformed, message).caused_by(source)
        })?;
        let is_wide = !calls::fits_url(&layout);
        // A backfill reads everything, whatever is known.
        let (recent, archived) = match mode {
            Mode::Backfill => (Hashes::default(), ArchivedIds::default()),
            Mode::Incremental => (cursor.recent.clone(), cursor.archived.clone()),
        };
        Ok(ObjectFeed {
            object,
            session: session.clone(),
            client,
            layout,
            associations,
            absent: cursor.absent.clone(),
            is_wide,
            mode,
            recent,
            archived,
        })
    }

    pub(super) fn table(&self) -> &Table {
        &self.layout.table
    }

    pub(super) async fn page(&self, slice: &Slice, limit: usize) -> Result<Page> {
        match slice {
            Slice::Listed { archived, from, after, .. } => {
                let ids_first = self.is_wide || (*archived && self.mode == Mode::Incremental);
                let after = after.clone().or_else(|| first_after(*from));
                let page = self.list(*archived, after.as_deref(), limit, ids_first).await?;
                self.listed_page(page, slice, *archived, ids_first).await
            }
            Slice::Changed { since_ms, until_ms, from, below } => {
                self.changed_page(*since_ms, *until_ms, *from, *below).await
            }
            Slice::Named { ids } => {
                let done = ids.len().min(limit);
                let bodies = self.batch_read(&ids[ids.len() - done..], false).await?;
                let associated = self.associated(&ids[ids.len() - done..]).await?;
                let next = Some(Next::Done(done));
                Ok(Page { bodies, associated, next, known: Vec::new(), is_archived: false })
            }
            other => Err(slice::foreign(other)),
        }
    }

    async fn listed_page(
        &self,
        page: ListPage,
        slice: &Slice,
        is_archived: bool,
        ids_first: bool,
    ) -> Result<Page> {
        let associated = self.inline_associated(&page.body).await?;
        if !ids_first {
            let bodies = vec![page.body];
            return Ok(Page { bodies, associated, next: None, known: Vec::new(), is_archived });
        }
        let listed = calls::records(&page.body)?;
        if slice.is_range() && !listed.records.is_sorted_by_key(|record| record.0) {
            let message = format!("the list of {} is not in the order of ids", self.object.name);
            return Err(Error::new(ErrorKind::Unordered, message));
        }
        let in_slice = listed.records.into_iter().filter(|record| slice.holds(record.0));
        let (known, ids) = parted(in_slice, |id, ms| is_archived && self.archived.holds(id, ms));
        let bodies = self.batch_read(&ids, is_archived).await?;
        Ok(Page { bodies, associated, next: Some(Next::After(listed.after)), known, is_archived })
    }

    async fn changed_page(
        &self,
        since_ms: i64,
        until_ms: i64,
        from: u64,
        below: Option<u64>,
    ) -> Result<Page> {
        let found = self.search(since_ms, until_ms, from, below).await?;
        let is_known = |id, ms| self.recent.0.contains(&RecentReads::hash(id, ms));
        let (known, ids) = parted(found.records.into_iter(), is_known);
        let bodies = self.batch_read(&ids, false).await?;
        let associated = self.associated(&ids).await?;
        Ok(Page { bodies, associated, next: Some(Next::From(found.next)), known, is_archived: false })
    }

    /// Appends the page's records and moves the slice past it; what is remembered of each record comes back with it.
    pub(super) fn append(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut Rows,
        context: &Context<'_>,
    ) -> Result<(Appended, Vec<Record>)> {
        let mut appended = Appended { written: vec![Written::default()], ..Appended::default() };
        let mut seen = Vec::new();
        let mut next = page.next;
        for body in &page.bodies {
            // The client has checked that the body is UTF-8.
            let text = Scanner::whole(body)?;
            let keep = |id| slice.holds(id);
            let read = records::append(&self.layout, text, keep, context, &page.associated, rows)?;
            if slice.is_range() && next.is_none() && !read.records.is_sorted_by_key(|record| record.id) {
                let message = format!("the list of {} is not in the order of ids", self.object.name);
                return Err(Error::new(ErrorKind::Unordered, message));
            }
            appended.written[0] += read.written;
            let ids = || read.records.iter().map(|record| record.id);
            appended.span = appended.span.max(ids().max().unwrap_or(0) - ids().min().unwrap_or(0));
            seen.extend(read.records.into_iter().filter(|record| record.is_kept));
            next = next.or(Some(Next::After(read.after)));
        }
        appended.is_last = slice.advance(next)?;
        for record in &seen {
            if let Some(archived_ms) = record.archived_ms {
                run.archived.add(record.id, archived_ms);
            } else if let Some(updated_ms) = record.updated_ms {
                run.note(RecentReads::hash(record.id, updated_ms), updated_ms);
            }
        }
        for (id, ms) in page.known {
            if page.is_archived {
                run.archived.add(id, ms);
            } else {
                run.note(RecentReads::hash(id, ms), ms);
            }
        }
        Ok((appended, seen))
    }
}

#[async_trait]
impl OpenFeed for ObjectFeed {
    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.layout.table)
    }

    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        self.plan_run(window, cursor).await
    }

    /// Whole: pages of the list, of which the last of each range is not full, and a batch read for each where the names of the properties don't fit a URL. A window:
    /// pages of the search, a batch read for each hundred records, and one for each kind of associated ids.
    async fn estimate(&self, window: Window) -> Result<Estimate> {
        let records = self.count(window.since_ms, window.until_ms).await?;
        let pages = records.div_ceil(calls::PAGE_RECORDS as u64).max(1);
        let mut estimate = Estimate {
            records: Some(records),
            note: Some("archived records are counted nowhere: one call more for each hundred"),
            ..Estimate::default()
        };
        if window.is_whole() {
            estimate.general = pages * if self.is_wide { 2 } else { 1 } + pages.min(calls::RANGE_ENDS);
            estimate.search = 1;
        } else {
            estimate.general = pages;
            estimate.search = records.div_ceil(calls::SEARCH_RECORDS as u64).max(1);
            estimate.associations = pages * self.associations.len() as u64;
        }
        Ok(estimate)
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page> {
        let page = self.page(slice, limit).await?;
        let size_bytes = page.size_bytes();
        Ok(super::Page::new(Content::Objects(page), size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let super::Page { content: Content::Objects(content), read_ms, .. } = page else {
            return Err(slice::foreign(slice));
        };
        let [rows] = rows else { return Err(slice::foreign(slice)) };
        let context = Context::plain(self.session.reading(read_ms));
        Ok(self.append(content, slice, run, rows, &context)?.0)
    }

    /// What left the list of archived records may live again.
    fn follow_up(&self, finished: &Slice, run: &mut Unfinished) -> Option<Slice> {
        let Slice::Listed { archived: true, .. } = finished else { return None };
        let ids = self.archived.gone_in(&run.archived);
        (!ids.is_empty()).then_some(Slice::Named { ids })
    }

    fn read_in_sequence(&self, cursor: &mut Cursor, slices: &mut Vec<Slice>) {
        cursor.is_sequential = true;
        slices.retain(|slice| !matches!(slice, Slice::Listed { archived: false, .. }));
        slices.push(Slice::Listed { archived: false, from: 0, below: None, after: None });
    }

    fn notes(&self) -> Vec<Note> {
        let refused = self.object.associations.iter().filter_map(|other| {
            let reason = self.absent.get(&associations::source(other))?;
            let text = format!("ids of associated {other} are not read: {reason}");
            Some(Note { collection: self.object.name, gap: Gap::Degraded, text })
        });
        refused.collect()
    }
}

/// The ids that an answer shows.
pub(super) fn record_ids(body: &[u8]) -> Result<Vec<u64>> {
    Ok(calls::records(body)?.records.into_iter().map(|(id, _)| id).collect())
}

/// Parts records into those that are known already, with the instant that says so, and the ids of the others.
fn parted(
    records: impl Iterator<Item = Head>,
    is_known: impl Fn(u64, i64) -> bool,
) -> (Vec<(u64, i64)>, Vec<u64>) {
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for (id, instant_ms) in records {
        match instant_ms {
            Some(ms) if is_known(id, ms) => known.push((id, ms)),
            _ => new.push(id),
        }
    }
    (known, new)
}

/// Where a range begins that HubSpot has not named: one before its first id, so that it does not matter whether
/// `after` includes the id it names.
fn first_after(from: u64) -> Option<String> {
    (from > 0).then(|| (from - 1).to_string())
}

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
mod records;
mod slices;

use chrono::Utc;
use staging::{ColumnType, Rows, Table};

use self::calls::{Head, ListPage};
use self::layout::Layout;
use self::records::{Associated, Context};
use super::cursor::{Cursor, Lookback, Mode, Slice, Unfinished};
use super::seen::{ArchivedIds, Hashes, RecentReads};
use crate::account::Account;
use crate::budget::Bucket;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::properties::Property;
use bytes::Bytes;

/// What tells one object type from another.
#[derive(Debug)]
pub(super) struct ObjectType {
    /// The collection, and HubSpot's name in paths.
    pub(super) name: &'static str,
    /// The property that says when a record last changed.
    pub(super) modified: &'static str,
    /// A property's column is its name between these two.
    pub(super) column_prefix: &'static str,
    pub(super) column_suffix: &'static str,
    /// Properties that Segment's table names: their columns exist whatever the account defines.
    pub(super) seed_properties: &'static [(&'static str, ColumnType)],
    /// Segment's columns beside the properties.
    pub(super) fixed: &'static [(&'static str, ColumnType, Fixed)],
    /// Objects whose associated ids are read with each record.
    pub(super) associations: &'static [&'static str],
}

impl ObjectType {
    fn column_name(&self, property: &str) -> String {
        format!("{}{property}{}", self.column_prefix, self.column_suffix)
    }
}

/// Where a column beside the properties gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    RecordId,
    AccountId,
    /// The same value as this property, under the name Segment gave it.
    CopyOf(&'static str),
    /// A JSON list of the ids that were merged into the record; NULL where there are none.
    MergedIds,
    /// A JSON list of associated ids of this object; `[]` where there are none.
    Associated(&'static str),
    /// NULL: no call gives it.
    Unavailable,
}

impl Fixed {
    fn copies(self, property: &str) -> bool {
        matches!(self, Fixed::CopyOf(copied) if copied == property)
    }
}

/// Why a row is a tombstone.
#[derive(Debug, Clone, Copy)]
enum DeletedReason {
    /// In HubSpot's recycle bin; can be restored for 90 days.
    Archived,
    /// Merged into another record, which `merged_into_id` names.
    Merged,
}

impl DeletedReason {
    fn name(self) -> &'static str {
        match self {
            DeletedReason::Archived => "archived",
            DeletedReason::Merged => "merged",
        }
    }
}

/// What a new run is asked to read, besides its mode.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// Only records changed since then; without it, an incremental run starts from the watermark.
    pub since_ms: Option<i64>,
    /// Only records changed until then; the watermark does not move.
    pub until_ms: Option<i64>,
}

/// One object feed, opened for one run: its table follows the account's definitions of this moment.
#[derive(Debug)]
pub struct ObjectFeed {
    object: &'static ObjectType,
    client: Client,
    account_id: u64,
    run_id: String,
    layout: Layout,
    /// The names don't fit a URL: values come by batch read.
    is_wide: bool,
    lookback: Lookback,
    mode: Mode,
    /// What earlier runs have read.
    recent: Hashes,
    archived: ArchivedIds,
}

/// Answers that are fetched, not yet rows.
#[derive(Debug)]
pub struct Page {
    bodies: Vec<Bytes>,
    associated: Associated,
    /// Where the slice goes on, when the bodies don't say.
    next: Option<Next>,
    /// Records the page showed that are known already, as (id, changed at or archived at).
    known: Vec<(u64, i64)>,
    is_archived: bool,
    read_ms: i64,
    size_bytes: usize,
}

impl Page {
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
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

/// What one page added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    pub rows: u64,
    pub deleted: u64,
    pub unparsed_values: u64,
    pub is_last: bool,
    /// Ids from the page's first to its last: how dense the records lie there.
    pub span: u64,
}

impl ObjectFeed {
    #[expect(clippy::too_many_arguments, reason = "one caller, and each is a different thing")]
    pub(super) fn new(
        object: &'static ObjectType,
        client: &Client,
        account: &Account,
        run_id: &str,
        properties: &[Property],
        mode: Mode,
        cursor: &Cursor,
        lookback: Lookback,
    ) -> Result<ObjectFeed> {
        let layout = Layout::new(object, properties).map_err(|source| {
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
            client: client.clone(),
            account_id: account.id,
            run_id: run_id.to_owned(),
            layout,
            is_wide,
            lookback,
            mode,
            recent,
            archived,
        })
    }

    pub fn table(&self) -> &Table {
        &self.layout.table
    }

    /// Whether HubSpot's limit is what holds the run up.
    pub fn is_limit_filled(&self) -> bool {
        self.client.budget().is_filled(Bucket::General)
    }

    /// Fetches the next page of a slice: requests only, nothing changes. `limit` is a page's number of records, 100
    /// at the most; a smaller one helps when HubSpot fails on large pages.
    pub async fn fetch(&self, slice: &Slice, limit: usize) -> Result<Page> {
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
                Ok(self.page(bodies, associated, Some(Next::Done(done)), Vec::new(), false))
            }
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
            return Ok(self.page(vec![page.body], associated, None, Vec::new(), is_archived));
        }
        let listed = calls::records(&page.body)?;
        if slice.is_range() && !listed.records.is_sorted_by_key(|record| record.0) {
            let message = format!("the list of {} is not in the order of ids", self.object.name);
            return Err(Error::new(ErrorKind::Unordered, message));
        }
        let in_slice = listed.records.into_iter().filter(|record| slice.holds(record.0));
        let (known, ids) = parted(in_slice, |id, ms| is_archived && self.archived.holds(id, ms));
        let bodies = self.batch_read(&ids, is_archived).await?;
        Ok(self.page(bodies, associated, Some(Next::After(listed.after)), known, is_archived))
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
        Ok(self.page(bodies, associated, Some(Next::From(found.next)), known, false))
    }

    fn page(
        &self,
        bodies: Vec<Bytes>,
        associated: Associated,
        next: Option<Next>,
        known: Vec<(u64, i64)>,
        is_archived: bool,
    ) -> Page {
        let size_bytes = bodies.iter().map(Bytes::len).sum();
        // Ours, not HubSpot's: it only orders reads of the same version, and all reads are ours.
        let read_ms = Utc::now().timestamp_millis();
        Page { bodies, associated, next, known, is_archived, read_ms, size_bytes }
    }

    /// Turns a page into rows and moves its slice past it, in one step that can't half happen: on an error the rows
    /// are as before. The slice may have been cut shorter since the page was fetched; what is past its end is left to
    /// the slice that has it now.
    pub fn append(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut Rows,
    ) -> Result<Appended> {
        let before = rows.len();
        self.append_page(page, slice, run, rows).inspect_err(|_| rows.truncate(before))
    }

    fn append_page(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut Rows,
    ) -> Result<Appended> {
        let context = Context {
            account_id: self.account_id,
            run_id: &self.run_id,
            read_ms: page.read_ms,
            associated: &page.associated,
        };
        let mut appended = Appended::default();
        let mut seen = Vec::new();
        let mut next = page.next;
        for body in &page.bodies {
            // The client has checked that the body is UTF-8.
            let text = std::str::from_utf8(body).map_err(|source| {
                Error::new(ErrorKind::Malformed, "an answer is not UTF-8").caused_by(source)
            })?;
            let read = records::append(&self.layout, text, |id| slice.holds(id), &context, rows)?;
            if slice.is_range() && next.is_none() && !read.records.is_sorted_by_key(|record| record.id) {
                let message = format!("the list of {} is not in the order of ids", self.object.name);
                return Err(Error::new(ErrorKind::Unordered, message));
            }
            appended.rows += read.rows;
            appended.deleted += read.deleted;
            appended.unparsed_values += read.unparsed_values;
            let ids = || read.records.iter().map(|record| record.id);
            appended.span = appended.span.max(ids().max().unwrap_or(0) - ids().min().unwrap_or(0));
            seen.extend(read.records.into_iter().filter(|record| record.is_kept));
            next = next.or(Some(Next::After(read.after)));
        }
        appended.is_last = slice.advance(next)?;
        let span_ms = self.lookback.overlap_ms + self.lookback.lag_ms;
        for record in seen {
            if let Some(archived_ms) = record.archived_ms {
                run.archived.add(record.id, archived_ms);
            } else if let Some(updated_ms) = record.updated_ms {
                run.recent.add(record.id, updated_ms, span_ms);
            }
        }
        for (id, ms) in page.known {
            if page.is_archived {
                run.archived.add(id, ms);
            } else {
                run.recent.add(id, ms, span_ms);
            }
        }
        run.newest_ms = run.newest_ms.max(run.recent.newest_ms());
        Ok(appended)
    }

    /// Called when a slice is finished: the slice that follows from it, if any.
    pub fn follow_up(&self, finished: &Slice, run: &Unfinished) -> Option<Slice> {
        let Slice::Listed { archived: true, .. } = finished else { return None };
        let ids = self.archived.gone_in(&run.archived);
        (!ids.is_empty()).then_some(Slice::Named { ids })
    }
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

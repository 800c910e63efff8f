//! A snapshot of the contacts: the list of ids and, to refresh, their calculated properties and the lists they are in.

use async_trait::async_trait;
use staging::{Rows, Table};

use super::memberships::{MembershipCalls, Memberships};
use super::sources::MEMBERSHIPS;
use super::table::CONTACT_OBJECTS;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::objects::{
    self, Context, Extras, ObjectFeed, RecordCursor, RecordMemory, RecordRun, RunOfRecords, Slice,
};
use crate::feeds::open_feed::{self, Planned};
use crate::feeds::unfinished::Mode;
use crate::feeds::{Appended, Note, OpenFeed, Session, Window};

#[derive(Debug)]
pub(super) struct ContactSnapshot {
    session: Session,
    objects: ObjectFeed,
    has_memberships: bool,
    membership_calls: MembershipCalls,
}

impl ContactSnapshot {
    pub(super) async fn open(
        session: &Session,
        mode: Mode,
        cursor: &mut RecordCursor<'_>,
    ) -> Result<ContactSnapshot> {
        let has_memberships = mode == Mode::Refresh && !cursor.absent.contains_key(MEMBERSHIPS);
        let without: &[&str] = if has_memberships { &[] } else { &["list_membership"] };
        let objects = ObjectFeed::open(&CONTACT_OBJECTS, session, mode, cursor, without).await?;
        let membership_calls = MembershipCalls::new();
        Ok(ContactSnapshot { session: session.clone(), objects, has_memberships, membership_calls })
    }
}

/// A page of contacts, and the lists that they are in.
#[derive(Debug)]
pub(super) struct Page {
    records: objects::Page,
    memberships: Memberships,
}

#[async_trait]
impl OpenFeed for ContactSnapshot {
    type Slice = Slice;
    type Run = RecordRun;
    type Kept = RecordMemory;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        self.objects.tables()
    }

    async fn plan(&self, window: Window, cursor: &mut RecordCursor<'_>) -> Result<Planned<Slice, RecordRun>> {
        self.objects.plan(window, cursor).await
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<open_feed::Page<Page>> {
        let mut records = self.objects.page(slice, limit).await?;
        let ids = if self.has_memberships { records.live_ids(slice)? } else { Vec::new() };
        let client = &self.session.client;
        let memberships = self.membership_calls.read(client, &ids, &mut records.unknown).await?;
        let size_bytes = records.size_bytes() + memberships.size_bytes();
        Ok(open_feed::Page::new(Page { records, memberships }, size_bytes))
    }

    fn append_page(
        &self,
        page: open_feed::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOfRecords<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [rows, shared @ ..] = rows else {
            return Err(Error::new(ErrorKind::Malformed, "a snapshot has a table"));
        };
        let rows = (&mut **rows, shared);
        let reading = self.session.reading(page.read_ms);
        let Page { records, memberships } = page.content;
        let mut extras = Extras::new();
        memberships.put(&mut extras);
        let context = Context { reading, extras, wants_emails: false };
        let appended = self.objects.append(records, slice, run, rows, &context)?;
        Ok(appended.with_shared())
    }

    fn follow_up(&self, finished: &Slice, run: &mut RunOfRecords<'_>) -> Option<Slice> {
        self.objects.follow_up(finished, run)
    }

    fn due(&self, run: &mut RunOfRecords<'_>, is_end: bool) -> Vec<Slice> {
        self.objects.due(run, is_end)
    }

    fn keep(&self, run: &mut RunOfRecords<'_>, kept: &mut RecordMemory) {
        self.objects.keep(run, kept);
    }

    fn notes(&self) -> Vec<Note> {
        self.objects.notes()
    }

    fn read_in_sequence(
        &self,
        cursor: &mut RecordCursor<'_>,
        run: &mut RunOfRecords<'_>,
        slices: &mut Vec<Slice>,
    ) {
        self.objects.read_in_sequence(cursor, run, slices);
    }
}

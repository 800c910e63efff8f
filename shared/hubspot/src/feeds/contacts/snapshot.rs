//! A snapshot of the contacts: the list of ids and, to refresh, their calculated properties and the lists they are in.

use async_trait::async_trait;
use staging::{Rows, Table};

use super::memberships::MembershipCalls;
use super::{CONTACT_OBJECTS, MEMBERSHIPS, Page};
use crate::error::Result;
use crate::feeds::cursor::{Cursor, Mode, Unfinished};
use crate::feeds::objects::{Context, Extras, ObjectFeed};
use crate::feeds::slice::{self, Slice};
use crate::feeds::{self, Appended, OpenFeed, Session, Window};

#[derive(Debug)]
pub(super) struct ContactSnapshot {
    session: Session,
    objects: ObjectFeed,
    has_memberships: bool,
    membership_calls: MembershipCalls,
}

impl ContactSnapshot {
    pub(super) async fn open(session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<ContactSnapshot> {
        let has_memberships = mode == Mode::Refresh && !cursor.absent.contains_key(MEMBERSHIPS);
        let without: &[&str] = if has_memberships { &[] } else { &["list_membership"] };
        let objects = ObjectFeed::open(&CONTACT_OBJECTS, session, mode, cursor, without).await?;
        let membership_calls = MembershipCalls::new();
        Ok(ContactSnapshot { session: session.clone(), objects, has_memberships, membership_calls })
    }
}

#[async_trait]
impl OpenFeed for ContactSnapshot {
    fn tables(&self) -> &[Table] {
        self.objects.tables()
    }

    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        self.objects.plan(window, cursor).await
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<feeds::Page> {
        let mut records = self.objects.page(slice, limit).await?;
        let ids = if self.has_memberships { records.live_ids(slice)? } else { Vec::new() };
        let client = &self.session.client;
        let memberships = self.membership_calls.read(client, &ids, &mut records.unknown).await?;
        let size_bytes = records.size_bytes() + memberships.size_bytes();
        let page = Page::People { records: Box::new(records), v1: Vec::new(), memberships };
        Ok(feeds::Page::new(page, size_bytes))
    }

    fn append_page(
        &self,
        page: feeds::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let [rows] = rows else { return Err(slice::foreign(slice)) };
        let reading = self.session.reading(page.read_ms);
        let Page::People { records, memberships, .. } = page.into_content()? else {
            return Err(slice::foreign(slice));
        };
        let mut extras = Extras::new();
        memberships.put(&mut extras);
        let context = Context { reading, extras, wants_emails: false };
        Ok(self.objects.append(*records, slice, run, rows, &context)?.0)
    }

    fn follow_up(&self, finished: &Slice, run: &mut Unfinished) -> Option<Slice> {
        self.objects.follow_up(finished, run)
    }

    fn checks(&self, run: &mut Unfinished, is_end: bool) -> Vec<Slice> {
        self.objects.checks(run, is_end)
    }

    fn read_in_sequence(&self, cursor: &mut Cursor, run: &mut Unfinished) {
        self.objects.read_in_sequence(cursor, run);
    }
}

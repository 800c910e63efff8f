//! Contacts: people, and what other calls know of the people on a page. Property columns carry Segment's flattened
//! names, `properties_<name>_value`.
//!
//! | source | gives | without it |
//! |---|---|---|
//! | contacts (2026-09) | records, properties | the feed is skipped |
//! | contacts v1 | profiles, identities, submissions, `lead_guid` | identities from the e-mail properties, submissions from the forms, no profiles |
//! | memberships | `list_membership` | the column is left as it was |
//! | forms | submissions, in place of contacts v1 | no submissions |
//!
//! Contacts v1 has no date-based successor and may be switched off: a run in which it stops answering goes on without
//! it, and once it answers again, what was read without it is read again.

mod forms;
mod identities;
mod memberships;
mod snapshot;
mod sources;
mod state;
mod submissions;
mod table;
mod v1;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use staging::{Rows, Table};

use self::forms::FormReader;
use self::identities::{IDENTITIES, PROFILES, People};
use self::memberships::{MembershipCalls, Memberships};
use self::snapshot::ContactSnapshot;
use self::sources::{FORMS, MEMBERSHIPS, V1};
use self::state::{ContactMemory, ContactRun, FormSlice, Slice};
use self::submissions::SUBMISSIONS;
use self::table::OF_V1;
use self::v1::{V1Calls, V1Contact};
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::document::Document;
use super::objects::{
    self, AppendedPage, Context, Extras, ObjectFeed, RecordCursor, RecordRun, RunOfRecords, Unknown,
};
use super::open_feed::{CursorOf, Planned, RunOf};
use super::own::Taken;
use super::pairs::AssociatedObject;
use super::quarantine::Thing;
use super::unfinished::{Mode, Unfinished};
use super::{Appended, Estimate, Feed, Gap, Note, OpenFeed, Opened, Session, Window, Written};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;

pub(super) use self::table::CONTACT_OBJECTS;

const COLLECTIONS: [&str; 4] =
    ["contacts", "contact_identity_profiles", "contact_identities", "form_submissions"];

pub(super) static CONTACTS: Contacts = Contacts;

#[derive(Debug)]
pub(super) struct Contacts;

#[async_trait]
impl Feed for Contacts {
    fn name(&self) -> &'static str {
        CONTACT_OBJECTS.name
    }

    fn snapshot(&self) -> Option<&'static str> {
        Some(CONTACT_OBJECTS.snapshot)
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &COLLECTIONS
    }

    fn shared_collections(&self) -> &'static [&'static str] {
        super::SHARED
    }

    fn object(&'static self) -> Option<AssociatedObject> {
        CONTACT_OBJECTS.object()
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![CONTACT_OBJECTS.entry(), PROFILES.entry(), IDENTITIES.entry(), SUBMISSIONS.entry()]
    }

    fn share(&self, of_feed: &mut Cursor, of_snapshots: &mut Cursor) -> Result<()> {
        let under_way = objects::under_way(of_feed, |run: &ContactRun| &run.records)?;
        let (mut of_feed, mut of_snapshots) = (Taken::of(of_feed)?, Taken::of(of_snapshots)?);
        let (known, kept): (CursorOf<'_, ContactMemory>, RecordCursor<'_>) =
            (of_feed.with(), of_snapshots.with());
        kept.own.share(&known.own.records, &under_way);
        Ok(())
    }

    fn learn(&self, of_feed: &mut Cursor, of_snapshots: &mut Cursor) -> Result<()> {
        let under_way = objects::under_way(of_snapshots, |run: &RecordRun| run)?;
        let (mut of_feed, mut of_snapshots) = (Taken::of(of_feed)?, Taken::of(of_snapshots)?);
        let (kept, seen): (CursorOf<'_, ContactMemory>, RecordCursor<'_>) =
            (of_feed.with(), of_snapshots.with());
        kept.own.records.learn(seen.own, &under_way);
        Ok(())
    }

    async fn ask_again(&self, client: &Client, cursor: &mut Cursor) -> Result<()> {
        if cursor.absent.contains_key(V1) && v1::answers(client).await? {
            cursor.answers_again(V1);
            cursor.absent.remove(FORMS);
        }
        if cursor.absent.contains_key(MEMBERSHIPS) && memberships::answers(client).await? {
            cursor.answers_again(MEMBERSHIPS);
        }
        // Nothing is older for the forms than what the forms themselves show: they are read from the start anyway.
        if cursor.absent.contains_key(FORMS) && forms::answers(client).await? {
            cursor.absent.remove(FORMS);
        }
        Ok(())
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        if mode.is_snapshot() {
            let mut kept = Taken::of(cursor)?;
            return Ok(Box::new(ContactSnapshot::open(session, mode, &mut kept.with()).await?));
        }
        let mut kept = Taken::of(cursor)?;
        Ok(Box::new(OpenContacts::open(session, mode, &mut kept.with()).await?))
    }
}

#[derive(Debug)]
struct OpenContacts {
    session: Session,
    objects: ObjectFeed,
    profiles: Document,
    identities: Document,
    submissions: Document,
    tables: Vec<Table>,
    absent: BTreeMap<String, String>,
    mode: Mode,
    /// Submissions that earlier runs have read, by form.
    forms: BTreeMap<String, i64>,
    form_reader: FormReader,
    /// Up to this moment, contacts v1 has told of all submissions.
    told_until_ms: Option<i64>,
    v1_calls: V1Calls,
    membership_calls: MembershipCalls,
}

/// Answers about the people on one page, or the submissions of one form.
#[derive(Debug)]
pub(super) enum Page {
    People { records: Box<objects::Page>, v1: Vec<Body>, memberships: Memberships },
    Submissions(forms::Page),
}

impl OpenContacts {
    async fn open(
        session: &Session,
        mode: Mode,
        cursor: &mut CursorOf<'_, ContactMemory>,
    ) -> Result<OpenContacts> {
        let has = |source: &str| !cursor.absent.contains_key(source);
        let (has_v1, has_memberships) = (has(V1), has(MEMBERSHIPS));
        let mut without = Vec::new();
        let (mut without_identity, mut without_submission) = (Vec::new(), Vec::new());
        if cursor.has_tables() {
            without.extend(OF_V1.iter().filter(|_| !has_v1));
            without.extend(["list_membership"].iter().filter(|_| !has_memberships));
            without_identity.extend(identities::OF_V1.iter().filter(|_| !has_v1));
            without_submission.extend(submissions::OF_V1.iter().filter(|_| !has_v1));
        }
        without_submission.extend(submissions::OF_FORMS.iter().filter(|_| has_v1));
        let absent = cursor.absent.clone();
        let form_reader = FormReader::new(cursor.held(forms::KIND));
        let mut of_records = cursor.part(|own| &mut own.records);
        let objects = ObjectFeed::open(&CONTACT_OBJECTS, session, mode, &mut of_records, &without).await?;
        let profiles = Document::new(&PROFILES, &[])?;
        let identities = Document::new(&IDENTITIES, &without_identity)?;
        let submissions = Document::new(&SUBMISSIONS, &without_submission)?;
        let (of_objects, shared) = objects.tables().split_at(1);
        let own = [&profiles.table, &identities.table, &submissions.table];
        let tables = of_objects.iter().chain(own).chain(shared).cloned().collect();
        Ok(OpenContacts {
            session: session.clone(),
            objects,
            profiles,
            identities,
            submissions,
            tables,
            absent,
            mode,
            forms: cursor.own.forms.clone(),
            form_reader,
            told_until_ms: cursor.missed_since(V1),
            v1_calls: V1Calls::new(),
            membership_calls: MembershipCalls::new(),
        })
    }

    fn has(&self, source: &str) -> bool {
        !self.absent.contains_key(source)
    }

    async fn people(&self, slice: &objects::Slice, limit: usize) -> Result<Page> {
        let mut records = self.objects.page(slice, limit).await?;
        // A page is scanned for its ids only if somebody is asked about them.
        let is_anybody_asked = self.has(V1) || self.has(MEMBERSHIPS);
        let ids = if is_anybody_asked { records.live_ids(slice)? } else { Vec::new() };
        let (client, none) = (&self.session.client, &[][..]);
        let (mut of_v1, mut of_memberships) = (Unknown::default(), Unknown::default());
        let of_v1_ids = if self.has(V1) { &ids } else { none };
        let (v1, memberships) = futures::future::try_join(
            self.v1_calls.read(client, of_v1_ids, &mut of_v1),
            self.membership_calls.read(
                client,
                if self.has(MEMBERSHIPS) { &ids } else { none },
                &mut of_memberships,
            ),
        )
        .await?;
        records.asked_of_v1 = of_v1_ids.to_vec();
        records.unknown.absorb(of_v1);
        records.unknown.absorb(of_memberships);
        Ok(Page::People { records: Box::new(records), v1, memberships })
    }

    fn append_people(
        &self,
        (mut records, v1, memberships): (objects::Page, &[Body], &Memberships),
        read_ms: i64,
        slice: &mut objects::Slice,
        run: &mut RunOfRecords<'_>,
        (rows, shared_rows): (&mut [&mut Rows; 4], &mut [&mut Rows]),
    ) -> Result<Appended<objects::Slice>> {
        let known = v1::contacts(v1)?;
        let mut extras = Extras::new();
        for (id, contact) in &known {
            let [v1 @ .., _, added_at] = extras.entry(*id).or_default();
            v1.clone_from_slice(&contact.of_contact);
            added_at.clone_from(&contact.added_at);
        }
        memberships.put(&mut extras);
        let reading = self.session.reading(read_ms);
        let context = Context { reading, extras, wants_emails: !self.has(V1) };
        let is_again = matches!(slice, objects::Slice::ByIds { .. } | objects::Slice::LeftOut { .. });
        hold_unseen(&mut records, &known, slice, run);
        let [contacts, profiles, identities, submissions] = rows;
        let AppendedPage { mut appended, shared, records } =
            self.objects.append(records, slice, run, (&mut **contacts, shared_rows), &context)?;

        let mut people = People::new(&self.profiles, profiles, &self.identities, identities, reading);
        let mut submissions = self.submissions.writer(submissions, reading);
        for record in &records {
            if let Some(merge) = &record.merge {
                if !merge.is_shown {
                    people.merged_away(record, merge.read_ms, self.has(V1));
                }
                continue;
            }
            match (known.get(&record.id), record.archived_ms) {
                _ if record.is_gone => people.removed(record, self.has(V1)),
                (_, Some(_)) => people.archived(record, self.has(V1)),
                (Some(contact), None) => {
                    let shown = people.live(record, contact, is_again)?;
                    if !shown.agree {
                        run.own.again.push(record.id);
                    }
                    let named = run.own.merges.iter_mut().filter(|merge| merge.survivor == record.id);
                    named.for_each(|merge| merge.is_shown = shown.vids.contains(&merge.id));
                    let odd = submissions::of_contact(&mut submissions, record.id, contact)?;
                    if odd > 0 {
                        let (id, collection) = (record.id.to_string(), CONTACT_OBJECTS.name);
                        let reason = format!("{odd} of its submissions are none");
                        run.set_aside(Thing { kind: V1, id: &id, collection }, reason);
                    }
                }
                (None, None) => people.by_properties(record),
            }
        }
        appended.written.extend([people.profiles.written, people.identities.written, submissions.written]);
        appended.written.extend(shared);
        Ok(appended)
    }
}

/// Keeps back the contacts that contacts v1 does not show, or not readably: they are gone by now, or new to it. Each is
/// read once more when the slice is done, and then set aside.
fn hold_unseen(
    records: &mut objects::Page,
    known: &HashMap<u64, V1Contact<'_>>,
    slice: &objects::Slice,
    run: &RunOfRecords<'_>,
) {
    for id in std::mem::take(&mut records.asked_of_v1) {
        let reason = match known.get(&id) {
            Some(contact) if !contact.is_odd => continue,
            Some(_) => "contacts v1 shows a profile of it that is none",
            None => "contacts v1 does not show it",
        };
        let is_last =
            matches!(slice, objects::Slice::LeftOut { .. }) || run.quarantine.holds(V1, &id.to_string());
        match is_last {
            true => records.unknown.add(id, V1, reason),
            false => _ = records.again.insert(id),
        }
    }
}

#[async_trait]
impl OpenFeed for OpenContacts {
    type Slice = Slice;
    type Run = ContactRun;
    type Kept = ContactMemory;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(
        &self,
        window: Window,
        cursor: &mut CursorOf<'_, ContactMemory>,
    ) -> Result<Planned<Slice, ContactRun>> {
        if self.mode == Mode::Backfill && self.has(V1) {
            // A probe, since the archived contacts come first, and tell nothing of contacts v1.
            self.v1_calls.read(&self.session.client, &[1], &mut Unknown::default()).await?;
        }
        let records = self.objects.plan(window, &mut cursor.part(|own| &mut own.records)).await?;
        let mut run = records.map(Slice::Records, ContactRun::of);
        let forms = self.form_slices(&mut run, window).await?;
        run.slices.extend(forms);
        Ok(run)
    }

    /// Besides the contacts: what contacts v1 and the lists know of each hundred of them.
    async fn estimate(&self, window: Window) -> Result<Estimate> {
        let mut estimate = self.objects.estimate(window).await?;
        let pages = estimate.records.unwrap_or(0).div_ceil(100);
        let beside = u64::from(self.has(V1)) + u64::from(self.has(MEMBERSHIPS));
        estimate.general += pages * beside;
        Ok(estimate)
    }

    /// The forms come in when contacts v1 has gone in the middle of a run, and go when they don't answer either.
    async fn resume(&self, run: &mut RunOf<'_, ContactRun>, slices: &mut Vec<Slice>) -> Result<()> {
        self.objects.begin_again(&mut run.own.records);
        let is_by_form = |slice: &Slice| matches!(slice, Slice::Form(_));
        if !self.has(FORMS) {
            slices.retain(|slice| !is_by_form(slice));
        }
        if run.own.forms.is_empty() && !slices.iter().any(is_by_form) {
            slices.extend(self.form_slices(run, Window::default()).await?);
        }
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page<Page>> {
        let page = match slice {
            Slice::Form(FormSlice::Submitted { form, after, .. }) => {
                Page::Submissions(self.form_reader.page(&self.session.client, form, after.as_deref()).await?)
            }
            Slice::Records(slice) => self.people(slice, limit).await?,
        };
        let bytes = |bodies: &[Body]| bodies.iter().map(|body| body.len()).sum::<usize>();
        let size_bytes = match &page {
            Page::People { records, v1, memberships } => {
                records.size_bytes() + bytes(v1) + memberships.size_bytes()
            }
            Page::Submissions(page) => page.size_bytes(),
        };
        Ok(super::Page::new(page, size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOf<'_, ContactRun>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let Some((rows, shared_rows)) = rows.split_first_chunk_mut::<4>() else {
            return Err(Error::new(ErrorKind::Malformed, "contacts have four tables"));
        };
        let read_ms = page.read_ms;
        match (page.content, slice) {
            (Page::People { records, v1, memberships }, Slice::Records(slice)) => {
                let run = &mut run.part(|own| &mut own.records);
                let appended = self.append_people(
                    (*records, &v1, &memberships),
                    read_ms,
                    slice,
                    run,
                    (rows, shared_rows),
                )?;
                Ok(appended.map(Slice::Records))
            }
            (Page::Submissions(submitted), Slice::Form(form)) => {
                let reading = self.session.reading(read_ms);
                let mut writer = self.submissions.writer(rows[3], reading);
                let is_last = forms::append(submitted, form, run, &mut writer)?;
                let mut written = vec![Default::default(); 3];
                written.push(writer.written);
                written.resize(4 + shared_rows.len(), Written::default());
                Ok(Appended { written, is_last, ..Appended::default() })
            }
            _ => Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        }
    }

    fn follow_up(&self, finished: &Slice, run: &mut RunOf<'_, ContactRun>) -> Option<Slice> {
        let Slice::Records(finished) = finished else { return None };
        let follow_up = self.objects.follow_up(finished, &mut run.part(|own| &mut own.records));
        follow_up.map(Slice::Records)
    }

    fn due(&self, run: &mut RunOf<'_, ContactRun>, is_end: bool) -> Vec<Slice> {
        if is_end {
            forms::release_what_is_read(run);
        }
        let due = self.objects.due(&mut run.part(|own| &mut own.records), is_end);
        due.into_iter().map(Slice::Records).collect()
    }

    fn read_in_sequence(
        &self,
        cursor: &mut CursorOf<'_, ContactMemory>,
        run: &mut RunOf<'_, ContactRun>,
        slices: &mut Vec<Slice>,
    ) {
        state::of_records(slices, |records| {
            let cursor = &mut cursor.part(|own| &mut own.records);
            self.objects.read_in_sequence(cursor, &mut run.part(|own| &mut own.records), records);
        });
    }

    fn keep(&self, run: &mut RunOf<'_, ContactRun>, kept: &mut ContactMemory) {
        kept.forms.append(&mut run.own.forms);
        self.objects.keep(&mut run.part(|own| &mut own.records), &mut kept.records);
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |collection, gap, text| notes.push(Note { collection, gap, text });
        if let Some(why) = self.absent.get(V1) {
            note("contacts", Gap::Degraded, format!("{} are not read: {why}", OF_V1[..2].join(", ")));
            note("contact_identity_profiles", Gap::Skipped, format!("{why}; no other call has profiles"));
            let from = "from the properties email and hs_additional_emails: no LEAD_GUID, no timestamps";
            note("contact_identities", Gap::Degraded, format!("{from}, because {why}"));
            match self.absent.get(FORMS) {
                Some(forms) => note("form_submissions", Gap::Skipped, format!("{why}; {forms}")),
                None => {
                    let from = "from the forms: no contact, no page title, none of blog comments";
                    note("form_submissions", Gap::Degraded, format!("{from}, because {why}"));
                }
            }
        }
        if let Some(why) = self.absent.get(MEMBERSHIPS) {
            note("contacts", Gap::Degraded, format!("list_membership is not read: {why}"));
        }
        notes.extend(self.objects.notes());
        notes
    }
}

impl OpenContacts {
    /// A slice for each form, where submissions come from the forms. A list of forms that HubSpot can't show holds back no
    /// contact.
    async fn form_slices(&self, run: &mut Unfinished, window: Window) -> Result<Vec<Slice>> {
        if self.has(V1) || !self.has(FORMS) || !self.session.wants(SUBMISSIONS.name) {
            return Ok(Vec::new());
        }
        let thing = |id| Thing { kind: forms::LIST_KIND, id, collection: SUBMISSIONS.name };
        let forms = match forms::list(&self.session.client).await {
            Ok((forms, 0)) => forms,
            Ok((forms, odd)) => {
                run.set_aside(thing("without an id"), format!("{odd} entries name no form"));
                forms
            }
            Err(failed) if failed.may_be_of_one_thing() => {
                run.set_aside(thing(forms::ALL), failed.reason());
                return Ok(Vec::new());
            }
            Err(failed) => return Err(failed),
        };
        let overlap_ms = self.session.lookback.overlap_ms;
        let slices = forms.into_iter().map(|form| {
            let known_ms = self.forms.get(&form.id).copied().max(self.told_until_ms);
            let known_ms = known_ms.filter(|_| run.mode == Mode::Incremental);
            let since_ms =
                window.since_ms.or(known_ms.map(|known_ms| known_ms.saturating_sub(overlap_ms))).unwrap_or(0);
            Slice::Form(FormSlice::Submitted { form, since_ms, after: None })
        });
        Ok(slices.collect())
    }
}

//! The table of associations: each link of a record with a record of another object, once for each of its types.
//!
//! The links of one record with one object are read together, as a set: what a newer read does not show is gone, and a set
//! that is found empty is one deleted row, with the id 0. Pairs of objects, and the direction in which each is read, are in
//! [`crate::feeds::pairs`].
//!
//! | what | how |
//! |---|---|
//! | a record that changed | its links are read once 1,000 such records are there, or at the end of the run |
//! | a record that is deleted | its sets become empty, without a call |
//! | a link that came or went by itself | nothing tells: a refresh reads the links of all records |
//! | a pair that was never read | a run over changes becomes one over everything |
//! | a pair that HubSpot refuses | it is left out, and named; the next day it is asked for again |
//!
//! A pair of which no link was ever seen has no row: its empty sets are not written.

use std::collections::BTreeSet;

use staging::Rows;

use super::answers::association_calls::{self, AssociationCalls, MAX_INPUTS, source};
use super::answers::associations::{LinkSets, Links};
use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::RunOfRecords;
use super::state::pairs::{PairRun, PairRuns, Refusal};
use super::state::slice::{Advance, Slice};
use super::tables::links::{ASSOCIATIONS, LinkTable};
use super::tables::list_memberships::LIST_MEMBERSHIPS;
use super::tables::record::Record;
use crate::error::Result;
use crate::feeds::document::{Writer, Written};
use crate::feeds::lineage::{DeletedReason, Reading};
use crate::feeds::quarantine::{SetAside, Thing};
use crate::feeds::unfinished::Mode;

impl ObjectFeed {
    pub(super) fn pair(&self, other: &str) -> Option<&AssociationCalls> {
        self.association_calls.iter().find(|calls| calls.is_table && calls.other == other)
    }

    /// The pairs of a run that begins.
    pub(super) fn planned_pairs(&self) -> PairRuns {
        self.sets_read().map(|name| (name.to_owned(), PairRun::default())).collect()
    }

    /// Names of the sets that are read with the records, as a run knows them.
    fn sets_read(&self) -> impl Iterator<Item = &'static str> {
        let pairs = self.association_calls.iter().filter(|calls| calls.is_table).map(|calls| calls.other);
        let lists = self.lists.as_ref().filter(|lists| lists.is_read()).map(|_| LIST_MEMBERSHIPS.name);
        pairs.chain(lists)
    }

    /// `true`: somebody wants the sets of this name, whether HubSpot answers for them or not.
    pub(super) fn wants_set(&self, name: &str) -> bool {
        match name == LIST_MEMBERSHIPS.name {
            true => self.lists.is_some(),
            false => self.links.as_ref().is_some_and(|table| table.wanted.contains(&name)),
        }
    }

    /// The links of some records with one object.
    pub(super) async fn linked_page(&self, ids: &[u64], to: &str) -> Result<Page> {
        let page = Page { next: Some(Advance::Nothing), ..Page::default() };
        // The pair may not be wanted any more.
        let (Some(calls), Some(table)) = (self.pair(to), &self.links) else { return Ok(page) };
        if !calls.is_column && !table.was_read(to) {
            let refused = calls
                .refused
                .get_or_try_init(|| association_calls::refusal(self.object, &self.client, calls.path));
            if let Some(reason) = refused.await? {
                return Ok(Page { refused: Some(reason.clone()), ..page });
            }
        }
        Ok(Page { sets: vec![self.link_sets(calls, ids).await?], ..page })
    }

    /// Appends the links that were read of some records.
    pub(super) fn append_linked(
        &self,
        page: &Page,
        (ids, to): (&[u64], &str),
        run: &mut RunOfRecords<'_>,
        rows: Option<&mut Rows>,
        reading: Reading<'_>,
    ) -> Written {
        let (Some(table), Some(rows)) = (&self.links, rows) else { return Written::default() };
        if let (Some(reason), Some(calls)) = (&page.refused, self.pair(to)) {
            tracing::info!(feed.name = self.object.name, "associations with {to} are refused: {reason}");
            let refusal = Refusal { at_ms: reading.theirs_ms, reason: reason.clone() };
            if let Some(pair) = run.own.pairs.get_mut(to) {
                (pair.refused, pair.waiting) = (Some(refusal), Vec::new());
            }
            let mut refused = table.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            refused.insert(calls.other, reason.clone());
        }
        let mut writer = self.link_writer(table, rows, reading);
        for sets in &page.sets {
            for (id, reason) in &sets.unknown {
                let (kind, id) = (source(to), id.to_string());
                run.set_aside(Thing { kind: &kind, id: &id, collection: ASSOCIATIONS.name }, reason);
            }
            writer.sets(sets, ids.iter().copied(), run);
        }
        writer.writer.written
    }

    fn link_writer<'a>(
        &'a self,
        table: &'a LinkTable,
        rows: &'a mut Rows,
        reading: Reading<'a>,
    ) -> LinkWriter<'a> {
        LinkWriter { feed: self, table, writer: table.document.writer(rows, reading) }
    }

    /// Appends the links that came with a page's records, and remembers the records whose links are to be read.
    pub(super) fn link(
        &self,
        page: &Page,
        seen: &[Record],
        run: &mut RunOfRecords<'_>,
        rows: Option<&mut Rows>,
        reading: Reading<'_>,
    ) -> Written {
        let (Some(table), Some(rows)) = (&self.links, rows) else { return Written::default() };
        let mut writer = self.link_writer(table, rows, reading);
        let is_live = |record: &&Record| record.deleted_reason().is_none();
        // What changed since the feed's last run is left to its next one: it may be gone by then, without a row that would
        // tell.
        let until_ms = match self.mode {
            Mode::Refresh => run.compared_until_ms.saturating_add(self.session.lookback.lag_ms),
            _ => i64::MAX,
        };
        let is_due = |record: &&Record| record.updated_ms.is_none_or(|updated_ms| updated_ms <= until_ms);
        let live: Vec<u64> = seen.iter().filter(is_live).filter(is_due).map(|record| record.id).collect();
        for sets in &page.sets {
            writer.sets(sets, live.iter().copied(), run);
        }
        let has_own = |id: &u64| page.with_own.as_ref().is_none_or(|with_own| with_own.contains(id));
        for calls in self.association_calls.iter().filter(|calls| calls.is_table) {
            if page.sets.iter().any(|sets| sets.other == calls.other) {
                continue;
            }
            let is_own = calls.other == self.object.name;
            let (asked, empty): (Vec<u64>, Vec<u64>) = live.iter().partition(|id| !is_own || has_own(id));
            empty.into_iter().for_each(|id| writer.set(calls.other, id, None, run));
            if let Some(pair) = run.own.pairs.get_mut(calls.other).filter(|pair| pair.refused.is_none()) {
                pair.waiting.extend(asked);
            }
        }
        let deleted = seen.iter().filter(|record| !is_live(record));
        for record in deleted {
            writer.deleted(record, run);
        }
        let settled: Vec<u64> = page.absent.clone();
        settled.into_iter().for_each(|id| self.release_links(id, run));
        writer.writer.written
    }

    /// A record was set aside for associations, or lists, that nobody wants any more.
    pub(super) fn is_former_set(&self, entry: &SetAside, kind: &str) -> bool {
        if entry.collection == LIST_MEMBERSHIPS.name {
            return self.lists.is_none();
        }
        let is_kind = |calls: &&AssociationCalls| calls.is_table && source(calls.other) == kind;
        entry.collection == ASSOCIATIONS.name && !self.association_calls.iter().any(|calls| is_kind(&calls))
    }

    fn release_links(&self, id: u64, run: &mut RunOfRecords<'_>) {
        for calls in self.association_calls.iter().filter(|calls| calls.is_table) {
            run.release(&source(calls.other), id);
        }
    }

    /// Slices of records whose links are to be read: a call's worth, or at the end all.
    pub(super) fn due_links(&self, run: &mut RunOfRecords<'_>, is_end: bool) -> Vec<Slice> {
        let mut due = Vec::new();
        for (other, pair) in &mut run.own.pairs {
            if is_end || pair.waiting.len() >= MAX_INPUTS {
                // A record that is found twice is asked for once.
                pair.waiting.sort_unstable();
                pair.waiting.dedup();
            }
            while pair.waiting.len() >= MAX_INPUTS || (is_end && !pair.waiting.is_empty()) {
                let ids = pair.waiting.drain(..pair.waiting.len().min(MAX_INPUTS)).collect();
                due.push(Slice::Linked { ids, to: other.clone() });
            }
        }
        due
    }
}

/// Writes sets of links of one page.
struct LinkWriter<'a> {
    feed: &'a ObjectFeed,
    table: &'a LinkTable,
    writer: Writer<'a>,
}

impl LinkWriter<'_> {
    fn sets(&mut self, sets: &LinkSets, ids: impl Iterator<Item = u64>, run: &mut RunOfRecords<'_>) {
        if sets.by_record.values().any(|links| !links.is_empty())
            && let Some(pair) = run.own.pairs.get_mut(sets.other)
        {
            pair.is_used = true;
            self.table.meet_types(sets, pair);
        }
        let known: BTreeSet<u64> = ids.filter(|id| !sets.unknown.contains_key(id)).collect();
        for id in known {
            run.release(&source(sets.other), id);
            self.set(sets.other, id, sets.by_record.get(&id), run);
        }
    }

    fn set(&mut self, other: &str, id: u64, links: Option<&Links>, run: &RunOfRecords<'_>) {
        match links.filter(|links| !links.is_empty()) {
            None if !self.table.may_have_rows(other, run) => {}
            None => self.empty(other, id, DeletedReason::Removed, None),
            Some(links) => {
                for ((to, category, type_id), label) in links {
                    self.key(other, id, *to, category, *type_id);
                    if let Some(label) = label {
                        self.writer.set("label", |cell| cell.text(label));
                    }
                    self.writer.finish(None);
                }
            }
        }
    }

    /// A record that is deleted has no links. In a run over changes, one whose links only a refresh has seen may be
    /// among them.
    fn deleted(&mut self, record: &Record, run: &mut RunOfRecords<'_>) {
        let feed = self.feed;
        let reason = record.deleted_reason().unwrap_or(DeletedReason::Removed);
        // Those of a pair that does not answer are known to be gone, too.
        for other in &self.table.wanted {
            if feed.mode == Mode::Incremental || self.table.may_have_rows(other, run) {
                self.empty(other, record.id, reason, record.archived_ms);
            }
        }
        feed.release_links(record.id, run);
    }

    fn empty(&mut self, other: &str, id: u64, reason: DeletedReason, at_ms: Option<i64>) {
        self.key(other, id, 0, "", 0);
        self.writer.finish_gone(None, reason, at_ms);
    }

    fn key(&mut self, other: &str, id: u64, to: u64, category: &str, type_id: u64) {
        let (from, account) = (self.feed.object.name, self.writer.account_id());
        self.writer.set("from_object", |cell| cell.text(from));
        self.writer.set("from_id", |cell| cell.bigint(id as i64));
        self.writer.set("to_object", |cell| cell.text(other));
        self.writer.set("to_id", |cell| cell.bigint(to as i64));
        self.writer.set("category", |cell| cell.text(category));
        self.writer.set("type_id", |cell| cell.bigint(type_id as i64));
        self.writer.set("portal_id", |cell| cell.bigint(account as i64));
    }
}

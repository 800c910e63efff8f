//! A run of a feed of records, from its plan to what it leaves to the next one.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use staging::{Rows, Table};

use super::answers::association_calls::{MAX_INPUTS, source};
use super::answers::listed::{PAGE_RECORDS, SEARCH_RECORDS};
use super::object_feed::{ARCHIVED_KIND, LISTED_KIND, MAX_NEW_PROPERTIES, ObjectFeed};
use super::page::Page;
use super::plan;
use super::state::histories::{HistoryRun, HistoryRuns};
use super::state::read_ranges;
use super::state::slice::{self, Slice};
use super::state::{PlannedRecords, RecordCursor, RecordMemory, RecordRun, RunOfRecords};
use super::tables::beside::Context;
use super::tables::definitions::DefinitionTables;
use super::tables::links::LinkTable;
use super::tables::list_memberships::ListTable;
use crate::error::Result;
use crate::feeds::quarantine::Thing;
use crate::feeds::{self, Appended, Estimate, Gap, Note, OpenFeed, Window};
use crate::retry::Patience;

/// Ranges that a backfill is cut into while it is read, by and large.
const RANGE_ENDS: u64 = 20;

impl ObjectFeed {
    /// A run that was interrupted goes on.
    pub(in crate::feeds) fn begin_again(&self, run: &mut RecordRun) {
        // What is not wanted any more is not read to its end.
        run.pairs.retain(|name, _| self.wants_set(name));
        let asks_the_same = run.properties.as_ref().is_none_or(|asked| *asked == self.properties);
        self.layout.named.begin(run.named_properties.filter(|_| asks_the_same));
        self.links.iter().for_each(|links| links.begin_again(&run.pairs));
        self.begin_histories_again(&mut run.histories);
    }

    /// A run goes on: properties that are not read any more were not read to its end, and new ones not from its beginning.
    fn begin_histories_again(&self, runs: &mut HistoryRuns) {
        for (property, read) in runs.iter_mut() {
            read.is_late |= self.history_names().all(|name| name != property);
        }
        for property in self.history_names() {
            let late = HistoryRun { had_rows: true, is_late: true, ..HistoryRun::default() };
            runs.entry(property.to_owned()).or_insert(late);
        }
    }

    /// Properties without a name have values that nobody can ask for.
    fn set_nameless_aside(&self, run: &mut RunOfRecords<'_>) {
        let (kind, id, collection) = ("property definition", "without a name", self.object.name);
        if self.nameless == 0 {
            run.release(kind, id);
        } else if !self.mode.is_snapshot() {
            let reason = format!("{} property definitions of {collection} have no name", self.nameless);
            run.set_aside(Thing { kind, id, collection }, reason);
        }
    }
}

#[async_trait]
impl OpenFeed for ObjectFeed {
    type Slice = Slice;
    type Run = RecordRun;
    type Kept = RecordMemory;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(&self, window: Window, cursor: &mut RecordCursor<'_>) -> Result<PlannedRecords> {
        let mut run = self.plan_run(window, cursor).await?;
        if self.definitions.as_ref().is_some_and(DefinitionTables::is_due) {
            run.slices.push(Slice::Definitions);
        }
        Ok(run)
    }

    async fn resume(&self, run: &mut RunOfRecords<'_>, _slices: &mut Vec<Slice>) -> Result<()> {
        self.begin_again(&mut *run.own);
        Ok(())
    }

    /// Whole: pages of the list, of which the last of each range is not full, and a batch read for each where the
    /// names of the properties don't fit a URL. A window: pages of the search, a batch read for each hundred records,
    /// and one for each kind of associated ids.
    async fn estimate(&self, window: Window) -> Result<Estimate> {
        let counted = self.session.counts.of(self.object.name).filter(|_| window.is_whole());
        let records = match counted {
            Some(records) => records,
            None => {
                let changed = self.changed_in(window.since_ms, window.until_ms);
                self.count_with(changed, 0, None, Patience::Full).await?
            }
        };
        let pages_of = |most: usize| records.div_ceil(most as u64).max(1);
        let (listed, read) = (pages_of(PAGE_RECORDS), pages_of(self.page_records()));
        let mut estimate = Estimate {
            records: Some(records),
            note: Some("archived records are counted nowhere: one call more for each hundred"),
            ..Estimate::default()
        };
        if window.is_whole() {
            estimate.general = if self.is_wide { listed } else { 0 } + read + read.min(RANGE_ENDS);
            // The highest id, and two counts of what is live.
            estimate.search = 3 + read_ranges::counts(records);
        } else {
            estimate.general = read;
            estimate.search = records.div_ceil(SEARCH_RECORDS as u64).max(1);
            estimate.associations = listed * self.associations.len() as u64;
        }
        estimate.of_history = read - listed;
        let pairs = self.association_calls.iter().filter(|calls| calls.is_table && !calls.is_column);
        estimate.associations += records.div_ceil(MAX_INPUTS as u64).max(1) * pairs.count() as u64;
        Ok(estimate)
    }

    /// Searches have pages of their own size.
    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<feeds::Page<Page>> {
        let page = self.page(slice, limit).await?;
        let size_bytes = page.size_bytes();
        Ok(feeds::Page::new(page, size_bytes))
    }

    fn append_page(
        &self,
        page: feeds::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOfRecords<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [rows, shared @ ..] = rows else { return Err(slice::foreign()) };
        let context = Context::plain(self.session.reading(page.read_ms));
        Ok(self.append(page.content, slice, run, (&mut **rows, shared), &context)?.with_shared())
    }

    /// Records that answers left out are asked for once more: a page of them, where a search is read in pieces; the rest at
    /// the end.
    fn follow_up(&self, finished: &Slice, run: &mut RunOfRecords<'_>) -> Option<Slice> {
        if matches!(finished, Slice::Found { .. }) && run.own.again.len() < PAGE_RECORDS {
            return None;
        }
        left(std::mem::take(&mut run.own.again))
    }

    /// Slices that had to wait for the others; counts, and records named as merged, a page of them; at the end, records that
    /// answers left out, and those that left the list of archived ones, since they may live again.
    fn due(&self, run: &mut RunOfRecords<'_>, is_end: bool) -> Vec<Slice> {
        if is_end && !run.own.then.is_empty() {
            return std::mem::take(&mut run.own.then);
        }
        let mut checks = ObjectFeed::due_counts(run, is_end);
        checks.extend(self.due_links(run, is_end));
        if run.own.merges.len() >= PAGE_RECORDS || (is_end && !run.own.merges.is_empty()) {
            checks.push(Slice::Merged { merges: std::mem::take(&mut run.own.merges) });
        }
        if is_end {
            // What the run has read whole, it has met all of.
            if run.is_whole || run.moves_watermark {
                run.release_what_was_not_set_aside_again(ARCHIVED_KIND);
            }
            if run.is_whole {
                for kind in [LISTED_KIND, read_ranges::KIND] {
                    run.release_what_was_not_set_aside_again(kind);
                }
            }
            self.set_nameless_aside(run);
            checks.extend(left(std::mem::take(&mut run.own.again)));
            if !std::mem::replace(&mut run.own.is_archive_compared, true) {
                let ids = self.archived.gone_in(&run.own.archived);
                checks.extend((!ids.is_empty()).then_some(Slice::ByIds { ids }));
            }
            if checks.is_empty() {
                // All links are read by now.
                checks = self.due_types(run);
            }
        }
        checks
    }

    fn read_in_sequence(
        &self,
        cursor: &mut RecordCursor<'_>,
        run: &mut RunOfRecords<'_>,
        slices: &mut Vec<Slice>,
    ) {
        plan::read_in_sequence(cursor, run, slices);
    }

    fn keep(&self, run: &mut RunOfRecords<'_>, kept: &mut RecordMemory) {
        if let Some(table) = &self.histories {
            table.take_in(&run.own.histories);
        }
        match self.mode.is_snapshot() {
            true => kept.keep_of_snapshot(run),
            false => kept.keep(run),
        }
    }

    fn notes(&self) -> Vec<Note> {
        let refused = self.object.associations.iter().filter_map(|other| {
            let reason = self.absent.get(&source(other))?;
            let text = format!("ids of associated {other} are not read: {reason}");
            Some(Note { collection: self.object.name, gap: Gap::Degraded, text })
        });
        let mut notes: Vec<Note> = refused.collect();
        notes.extend(self.links.iter().flat_map(LinkTable::notes));
        notes.extend(self.lists.iter().filter_map(ListTable::note));
        notes.extend(self.definitions.iter().flat_map(DefinitionTables::notes));
        notes.extend(self.histories.iter().flat_map(|table| table.notes(self.object)));
        if self.archive_waits.load(Ordering::Relaxed) {
            let text =
                "records were archived or restored since the last run: the list of archived ones is so long \
                        that a later run reads it"
                    .to_owned();
            notes.push(Note { collection: self.object.name, gap: Gap::Degraded, text });
        }
        if self.new_properties.len() > MAX_NEW_PROPERTIES {
            let count = self.new_properties.len();
            let text = format!(
                "{count} properties are new: what they were before this run comes with the next one, which reads everything"
            );
            notes.push(Note { collection: self.object.name, gap: Gap::Degraded, text });
        }
        notes
    }
}

fn left(mut ids: Vec<u64>) -> Option<Slice> {
    ids.sort_unstable();
    ids.dedup();
    (!ids.is_empty()).then_some(Slice::LeftOut { ids })
}

//! Everything that is asked for is accounted for: read, or named by HubSpot as not there, or asked for once more, or set
//! aside by name.

use std::collections::{BTreeMap, HashSet};

use staging::Rows;

use super::answers::unknown::RECORD;
use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::RunOfRecords;
use super::state::merge::Merge;
use super::state::slice::Slice;
use super::tables::beside::Context;
use super::tables::histories::PROPERTY_HISTORY;
use super::tables::record::{MANY, Record};
use super::tables::records;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::Written;
use crate::feeds::quarantine::{SetAside, Thing};

impl ObjectFeed {
    /// Sets aside what could not be read, releases what could, and remembers what is to be asked for once more. A snapshot
    /// then says of what it has not read that it is there.
    #[expect(clippy::too_many_arguments, reason = "a page, and all that it changes")]
    pub(super) fn account(
        &self,
        page: &Page,
        shown: &HashSet<u64>,
        seen: &[Record],
        slice: &Slice,
        run: &mut RunOfRecords<'_>,
        rows: &mut Rows,
        context: &Context<'_>,
    ) -> Written {
        let is_missing = |id: &&u64| {
            slice.holds(**id)
                && !shown.contains(*id)
                && !page.absent.contains(*id)
                && !page.unknown.holds(**id)
        };
        let missing: Vec<u64> = page.asked.iter().filter(is_missing).copied().collect();
        for &id in &missing {
            if self.is_second(id, slice, run) {
                self.set_aside(
                    id,
                    RECORD,
                    "two answers leave it out, and do not say that it is not there",
                    run,
                );
            } else {
                run.own.again.push(id);
            }
        }
        run.own.again.extend(page.again.iter().filter(|id| slice.holds(**id) && !page.unknown.holds(**id)));
        self.set_aside_and_release(page, seen, slice, run);
        if !self.mode.is_snapshot() || !matches!(slice, Slice::Listed { .. } | Slice::Reread { .. }) {
            return Written::default();
        }
        let unread = page.unknown.ids().filter(|&id| page.unknown.reason(id, RECORD).is_some());
        let bare = unread.chain(page.again.iter().copied()).filter(|id| slice.holds(*id));
        let bare = bare.chain(missing.iter().copied());
        records::append_bare(&self.layout, bare, page.is_archived, context, rows)
    }

    /// This slice asks for the record the second time, or knows from earlier runs that it is answered badly.
    pub(super) fn is_second(&self, id: u64, slice: &Slice, run: &RunOfRecords<'_>) -> bool {
        match slice {
            Slice::LeftOut { .. } => true,
            Slice::ByIds { .. } => run.quarantine.holds(RECORD, &id.to_string()),
            _ => false,
        }
    }

    /// Asks for the records that the page's records name as merged, but in a snapshot, which shows what is there. Where two
    /// answers leave one of them out, the survivor is set aside: the next run reads it, and asks again.
    pub(super) fn ask_for_merges(
        &self,
        page: &Page,
        seen: &[Record],
        slice: &Slice,
        run: &mut RunOfRecords<'_>,
        context: &Context<'_>,
    ) {
        for merge in &page.unsettled {
            if merge.is_second {
                let reason = "two answers leave out a record that it names as merged";
                self.set_aside(merge.survivor, RECORD, reason, run);
            } else {
                run.own.merges.push(Merge { is_second: true, ..merge.clone() });
            }
        }
        // Those of records that are read because they are named were asked for with the first page that showed them.
        if !self.mode.is_snapshot() && !matches!(slice, Slice::Merged { .. }) {
            run.own.merges.extend(seen.iter().flat_map(|record| record.merges(context.reading.read_ms)));
        }
    }

    fn set_aside_and_release(&self, page: &Page, seen: &[Record], slice: &Slice, run: &mut RunOfRecords<'_>) {
        if !run.quarantine.is_empty() {
            let mut kinds: BTreeMap<u64, Vec<String>> = BTreeMap::new();
            for (kind, id, entry) in run.quarantine.iter() {
                let is_former = self.is_former_set(entry, kind) || self.is_former_history(entry);
                if (entry.collection == self.object.name || is_former)
                    && let Ok(id) = id.parse()
                {
                    kinds.entry(id).or_default().push(kind.to_owned());
                }
            }
            let read = seen.iter().map(|record| record.id).chain(page.absent.iter().copied());
            for id in read.chain(page.unknown.ids()) {
                for kind in kinds.remove(&id).unwrap_or_default() {
                    if page.unknown.reason(id, &kind).is_none() {
                        run.release(&kind, id);
                    }
                }
            }
        }
        for (id, kind, reason) in page.unknown.iter().filter(|(id, _, _)| slice.holds(*id)) {
            self.set_aside(id, kind, reason, run);
        }
    }

    /// A record was set aside for a past that nobody wants any more.
    fn is_former_history(&self, entry: &SetAside) -> bool {
        entry.collection == PROPERTY_HISTORY.name && self.history_names().next().is_none()
    }

    fn set_aside(&self, id: u64, kind: &str, reason: &str, run: &mut RunOfRecords<'_>) {
        let id = id.to_string();
        run.set_aside(Thing { kind, id: &id, collection: self.object.name }, reason);
    }

    /// A record that nobody has asked for. Its row is not written, for what lies beside it was not read; but if one that
    /// was asked for is a part of it by now, it is read by its own id.
    pub(super) fn left_aside(
        &self,
        record: &Record,
        asked: &HashSet<u64>,
        slice: &Slice,
        shown: &mut HashSet<u64>,
        run: &mut RunOfRecords<'_>,
    ) {
        let merged: Vec<u64> = record.merged.iter().copied().filter(|id| asked.contains(id)).collect();
        if merged.is_empty() || matches!(slice, Slice::LeftOut { .. }) {
            tracing::warn!(feed.name = self.object.name, "an answer shows a record that was not asked for");
            return;
        }
        shown.extend(merged);
        run.own.again.push(record.id);
    }

    /// Live records among archived ones are read by their ids.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when nothing but live ones is shown.
    pub(super) fn expect_archived(
        &self,
        records: &[Record],
        slice: &Slice,
        run: &mut RunOfRecords<'_>,
    ) -> Result<()> {
        let live: Vec<u64> =
            records.iter().filter(|record| record.archived_ms.is_none()).map(|record| record.id).collect();
        if live.len() >= MANY && live.len() == records.len() {
            let message = format!("the list of archived {} shows live ones", self.object.name);
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        if matches!(slice, Slice::Listed { .. }) {
            run.own.again.extend(live.into_iter().filter(|id| slice.holds(*id)));
        }
        Ok(())
    }
}

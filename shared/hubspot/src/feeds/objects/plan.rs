//! Planning a run: the slices it begins with.

use super::answers::listed::PAGE_RECORDS;
use super::object_feed::{MAX_NEW_PROPERTIES, ObjectFeed};
use super::state::slice::{SearchPass, Slice};
use super::state::{PlannedRecords, RecordCursor, RunOfRecords, histories, pairs, read_ranges};
use super::tables::histories::PROPERTY_HISTORY;
use super::tables::links::ASSOCIATIONS;
use super::tables::list_memberships::LIST_MEMBERSHIPS;
use crate::error::{Error, Result};
use crate::feeds::Window;
use crate::feeds::slice::FEWEST_PAGES;
use crate::feeds::unfinished::Mode;

/// A lower bound of 0 makes the search fail with a 500: one second after the epoch does not.
const FIRST_INSTANT_MS: i64 = 1_000;
/// Parts of the list of archived records: each costs up to a page more.
const FEWEST_PART_RECORDS: usize = FEWEST_PAGES as usize * PAGE_RECORDS;
const MOST_ARCHIVED_PARTS: usize = 16;

impl ObjectFeed {
    pub(super) async fn plan_run(
        &self,
        window: Window,
        cursor: &mut RecordCursor<'_>,
    ) -> Result<PlannedRecords> {
        let now_ms = self.client.now().timestamp_millis();
        let lookback = self.session.lookback;
        let mut run = PlannedRecords::new(self.mode, now_ms, lookback.overlap_ms + lookback.lag_ms);
        let is_windowed = !window.is_whole();
        // A run over a window reads no past values of a new property.
        run.own.properties = (!is_windowed).then(|| self.properties.clone());
        // A backfill begins without: HubSpot may have stopped to name a property that it still defines.
        let asks_the_same =
            self.mode == Mode::Incremental && cursor.own.properties.as_ref() == Some(&self.properties);
        run.own.named_properties = cursor.own.named_properties.filter(|_| asks_the_same);
        self.layout.named.begin(run.own.named_properties);
        run.own.pairs = self.planned_pairs();
        pairs::begin(&mut cursor.own.pairs, &run.own.pairs);
        if let Some(table) = &self.histories {
            run.own.histories = histories::begin(&mut cursor.own.histories, &table.properties);
        }
        // A window read first leaves everything older: the next run without one reads it all.
        run.moves_watermark =
            window.moves_watermark(cursor) && (cursor.watermark_ms.is_some() || !is_windowed);
        if self.mode != Mode::Incremental && !is_windowed {
            // Archived records first: one that is restored meanwhile is then known, and found by the next run if the
            // live list was past it. The other way round it would show in neither list.
            run.is_whole = true;
            let top = self.top_id().await?;
            if self.mode == Mode::Backfill {
                run.own.live_count = Some(self.first_live_count(now_ms).await?);
            }
            run.own.then = self.ranges(top, cursor).await?;
            if self.mode == Mode::Backfill {
                run.own.then.push(Slice::CountHalves { halves: Vec::new() });
            }
            run.slices = self.archived_parts(top, cursor);
            self.plan_what_is_wanted(&mut run);
            self.plan_what_is_set_aside(cursor, &mut run);
            return Ok(run);
        }
        let since_ms = match (window.since_ms, self.mode, cursor.watermark_ms) {
            (Some(since_ms), _, _) => since_ms,
            (None, Mode::Incremental, Some(watermark_ms)) => {
                run.reread_since_ms = cursor.reread_since_ms;
                let since_ms = cursor.reread_since_ms.unwrap_or(watermark_ms).min(watermark_ms);
                since_ms.saturating_sub(lookback.overlap_ms)
            }
            (None, Mode::Incremental, None) => return Err(Error::nothing_to_start_from(self.object.name)),
            (None, _, _) => FIRST_INSTANT_MS,
        };
        run.slices.push(changed(since_ms, window.until_ms.unwrap_or(now_ms)));
        let is_archive_due = run.moves_watermark && self.is_archive_due(cursor, &mut run).await?;
        if is_archive_due {
            run.slices.extend(self.archived_parts(cursor.own.archived.top(), cursor));
        } else {
            run.own.archived = cursor.own.archived.clone();
        }
        if !is_windowed {
            self.plan_what_is_wanted(&mut run);
            self.plan_what_is_set_aside(cursor, &mut run);
            self.plan_new_properties(&mut run);
            run.slices.extend(cursor.quarantine.ids(read_ranges::KIND).filter_map(Slice::recounted));
        }
        Ok(run)
    }

    /// Records that a comparison asked for: of those that are gone, everything would show nothing.
    fn plan_what_is_wanted(&self, run: &mut PlannedRecords) {
        let Some(wanted) = &self.session.wanted else { return };
        if run.is_whole || !wanted.value.is_whole {
            run.answers = Some(wanted.version);
        }
        if !wanted.value.records.0.is_empty() {
            run.slices.push(Slice::Wanted { records: wanted.value.records.clone() });
        }
    }

    /// Records that earlier runs have set aside, whatever it was of them that could not be read.
    fn plan_what_is_set_aside(&self, cursor: &RecordCursor<'_>, run: &mut PlannedRecords) {
        let is_own = |collection: &str| {
            [self.object.name, ASSOCIATIONS.name, LIST_MEMBERSHIPS.name, PROPERTY_HISTORY.name]
                .contains(&collection)
        };
        let of_records = cursor.quarantine.iter().filter(|(_, _, entry)| is_own(&entry.collection));
        let mut ids: Vec<u64> = of_records.filter_map(|(_, id, _)| id.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        run.slices.extend((!ids.is_empty()).then_some(Slice::ByIds { ids }));
    }

    /// The past values of new properties.
    fn plan_new_properties(&self, run: &mut PlannedRecords) {
        if self.new_properties.len() > MAX_NEW_PROPERTIES {
            run.needs_whole = true;
            return;
        }
        for property in &self.new_properties {
            tracing::info!(feed.name = self.object.name, "{property} is a new property: its values are read");
            run.slices.push(Slice::WithProperty { property: property.clone(), from: 0 });
        }
    }

    /// All live records: where the list endpoint takes an id as a position, a range that ends at the highest id, to be
    /// cut while it is read, and an open one behind it for what is created meanwhile; else one sequence.
    async fn ranges(&self, top: u64, cursor: &mut RecordCursor<'_>) -> Result<Vec<Slice>> {
        if !cursor.own.is_sequential && !self.pages_by_id(top).await? {
            tracing::warn!(
                feed.name = self.object.name,
                "the list does not page by id: it is read in one sequence"
            );
            cursor.own.is_sequential = true;
        }
        let range = |from, below| Slice::Listed { archived: false, from, below, after: None, top: None };
        Ok(match cursor.own.is_sequential {
            true => vec![range(0, None)],
            false => vec![range(0, Some(top + 1)), range(top + 1, None)],
        })
    }

    /// All archived records, which no search shows and nothing counts. Where an earlier run has read many, their ids tell
    /// where to cut the list evenly; else it is cut while it is read, and some cuts hit a gap and cost a page. A snapshot
    /// spends no call on speed.
    fn archived_parts(&self, top: u64, cursor: &RecordCursor<'_>) -> Vec<Slice> {
        let part = |from, below, top| Slice::Listed { archived: true, from, below, after: None, top };
        if cursor.own.is_sequential || cursor.own.is_archive_sequential || self.mode.is_snapshot() {
            return vec![part(0, None, None)];
        }
        let bounds = cursor.own.archived.parted(FEWEST_PART_RECORDS, MOST_ARCHIVED_PARTS);
        if bounds.is_empty() {
            return vec![part(0, None, Some(top))];
        }
        let begins = std::iter::once(0).chain(bounds.iter().copied());
        let ends = bounds.iter().copied().map(Some).chain([None]);
        begins.zip(ends).map(|(from, below)| part(from, below, None)).collect()
    }
}

/// Makes one slice, from the start, of the parts of a list that does not go by id. Archived records come before live
/// ones: while they are read in parts, it is theirs.
pub(super) fn read_in_sequence(
    cursor: &mut RecordCursor<'_>,
    run: &mut RunOfRecords<'_>,
    slices: &mut Vec<Slice>,
) {
    let sequence = |archived| Slice::Listed { archived, from: 0, below: None, after: None, top: None };
    let is_archived = |slice: &Slice| matches!(slice, Slice::Listed { archived: true, .. });
    if slices.iter().any(|slice| is_archived(slice) && slice.is_range()) {
        cursor.own.is_archive_sequential = true;
        slices.retain(|slice| !is_archived(slice));
        slices.push(sequence(true));
        return;
    }
    cursor.own.is_sequential = true;
    run.own.read_ranges.clear();
    slices.append(&mut run.own.then);
    slices.retain(|slice| match slice {
        Slice::Listed { archived, .. } => *archived,
        Slice::Reread { .. } | Slice::Count { .. } => false,
        _ => true,
    });
    slices.push(sequence(false));
}

fn changed(since_ms: i64, until_ms: i64) -> Slice {
    let pass = SearchPass::default();
    Slice::Changed { since_ms: since_ms.max(FIRST_INSTANT_MS), until_ms, from: 0, below: None, pass }
}

#[cfg(test)]
mod tests {
    use super::super::state::RecordMemory;
    use super::*;
    use crate::feeds::cursor::Cursor;

    #[test]
    fn archived_records_are_read_in_sequence_before_live_ones() {
        let listed = |archived, from, below| Slice::Listed { archived, from, below, after: None, top: None };
        let mut cursor = (Cursor::default(), RecordMemory::default());
        let mut run = PlannedRecords::new(Mode::Backfill, 0, 0);
        run.slices = vec![listed(true, 0, Some(50)), Slice::ByIds { ids: vec![1] }, listed(true, 50, None)];
        run.own.then = vec![listed(false, 0, Some(90)), listed(false, 90, None)];
        let then = run.own.then.clone();
        let mut in_sequence = |run: &mut PlannedRecords| {
            let PlannedRecords { run, own, slices } = run;
            let mut cursor = RecordCursor::new(&mut cursor.0, &mut cursor.1);
            read_in_sequence(&mut cursor, &mut RunOfRecords::new(run, own), slices);
            (cursor.own.is_archive_sequential, cursor.own.is_sequential)
        };
        assert_eq!(in_sequence(&mut run), (true, false));
        assert_eq!(run.slices, [Slice::ByIds { ids: vec![1] }, listed(true, 0, None)]);
        assert_eq!(run.own.then, then);

        run.slices.push(Slice::Reread { from: 0, below: Some(90), after: None, rows: 7 });
        assert_eq!(in_sequence(&mut run), (true, true));
        let left = [Slice::ByIds { ids: vec![1] }, listed(true, 0, None), listed(false, 0, None)];
        assert_eq!(run.slices, left);
        assert!(run.own.then.is_empty());
    }
}

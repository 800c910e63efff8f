//! Planning a run: which slices it has, and where a slice goes on after a page.

use std::collections::HashSet;

use super::calls::PAGE_RECORDS;
use super::pages::{Listing, Next};
use super::{MAX_NEW_PROPERTIES, ObjectFeed, Window, counts};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::{Cursor, Mode, Unfinished};
use crate::feeds::slice::{FEWEST_PAGES, Slice, Walk};

/// A lower bound of 0 makes the search fail with a 500: one second after the epoch does not.
const FIRST_INSTANT_MS: i64 = 1_000;
/// Parts of the list of archived records: each costs up to a page more.
const FEWEST_PART_RECORDS: usize = FEWEST_PAGES as usize * PAGE_RECORDS;
const MOST_ARCHIVED_PARTS: usize = 16;

impl ObjectFeed {
    pub(super) async fn plan_run(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.client.now().timestamp_millis();
        let lookback = self.session.lookback;
        let mut run = Unfinished::new(self.mode, now_ms, lookback.overlap_ms + lookback.lag_ms);
        let is_windowed = !window.is_whole();
        // A run over a window reads no past values of a new property.
        run.properties = (!is_windowed).then(|| self.properties.clone());
        // A backfill begins without: HubSpot may have stopped to name a property that it still defines.
        let asks_the_same =
            self.mode == Mode::Incremental && cursor.properties.as_ref() == Some(&self.properties);
        run.named_properties = cursor.named_properties.filter(|_| asks_the_same);
        self.layout.named.begin(run.named_properties);
        // A window read first leaves everything older: the next run without one reads it all.
        run.moves_watermark =
            window.moves_watermark(cursor) && (cursor.watermark_ms.is_some() || !is_windowed);
        if self.mode != Mode::Incremental && !is_windowed {
            // Archived records first: one that is restored meanwhile is then known, and found by the next run if the
            // live list was past it. The other way round it would show in neither list.
            run.is_whole = true;
            let top = self.top_id().await?;
            if self.mode == Mode::Backfill {
                run.live_count = Some(self.first_live_count(now_ms).await?);
            }
            run.then = self.ranges(top, cursor).await?;
            if self.mode == Mode::Backfill {
                run.then.push(Slice::Halved { halves: Vec::new() });
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
            run.slices.extend(self.archived_parts(cursor.archived.top(), cursor));
        } else {
            run.archived = cursor.archived.clone();
        }
        if !is_windowed {
            self.plan_what_is_wanted(&mut run);
            self.plan_what_is_set_aside(cursor, &mut run);
            self.plan_new_properties(&mut run);
            run.slices.extend(cursor.quarantine.ids(counts::KIND).filter_map(Slice::recounted));
        }
        Ok(run)
    }

    /// Records that a comparison asked for: of those that are gone, everything would show nothing.
    fn plan_what_is_wanted(&self, run: &mut Unfinished) {
        let Some(wanted) = &self.session.wanted else { return };
        if run.is_whole || !wanted.value.is_whole {
            run.answers = Some(wanted.version);
        }
        if !wanted.value.records.0.is_empty() {
            run.slices.push(Slice::Wanted { records: wanted.value.records.clone() });
        }
    }

    /// Records that earlier runs have set aside, whatever it was of them that could not be read.
    fn plan_what_is_set_aside(&self, cursor: &Cursor, run: &mut Unfinished) {
        let of_records =
            cursor.quarantine.iter().filter(|(_, _, entry)| entry.collection == self.object.name);
        let mut ids: Vec<u64> = of_records.filter_map(|(_, id, _)| id.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        run.slices.extend((!ids.is_empty()).then_some(Slice::Named { ids }));
    }

    /// The past values of new properties.
    fn plan_new_properties(&self, run: &mut Unfinished) {
        if self.new_properties.len() > MAX_NEW_PROPERTIES {
            run.needs_whole = true;
            return;
        }
        for property in &self.new_properties {
            tracing::info!(feed.name = self.object.name, "{property} is a new property: its values are read");
            run.slices.push(Slice::Having { property: property.clone(), from: 0 });
        }
    }

    /// All live records: where the list endpoint takes an id as a position, a range that ends at the highest id, to be
    /// cut while it is read, and an open one behind it for what is created meanwhile; else one sequence.
    async fn ranges(&self, top: u64, cursor: &mut Cursor) -> Result<Vec<Slice>> {
        if !cursor.is_sequential && !self.pages_by_id(top).await? {
            tracing::warn!(
                feed.name = self.object.name,
                "the list does not page by id: it is read in one sequence"
            );
            cursor.is_sequential = true;
        }
        let range = |from, below| Slice::Listed { archived: false, from, below, after: None, top: None };
        Ok(match cursor.is_sequential {
            true => vec![range(0, None)],
            false => vec![range(0, Some(top + 1)), range(top + 1, None)],
        })
    }

    /// All archived records, which no search shows and nothing counts. Where an earlier run has read many, their ids tell
    /// where to cut the list evenly; else it is cut while it is read, and some cuts hit a gap and cost a page. A snapshot
    /// spends no call on speed.
    fn archived_parts(&self, top: u64, cursor: &Cursor) -> Vec<Slice> {
        let part = |from, below, top| Slice::Listed { archived: true, from, below, after: None, top };
        if cursor.is_sequential || cursor.is_archive_sequential || self.mode.is_snapshot() {
            return vec![part(0, None, None)];
        }
        let bounds = cursor.archived.parted(FEWEST_PART_RECORDS, MOST_ARCHIVED_PARTS);
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
pub(super) fn read_in_sequence(cursor: &mut Cursor, run: &mut Unfinished) {
    let sequence = |archived| Slice::Listed { archived, from: 0, below: None, after: None, top: None };
    let is_archived = |slice: &Slice| matches!(slice, Slice::Listed { archived: true, .. });
    if run.slices.iter().any(|slice| is_archived(slice) && slice.is_range()) {
        cursor.is_archive_sequential = true;
        run.slices.retain(|slice| !is_archived(slice));
        run.slices.push(sequence(true));
        return;
    }
    cursor.is_sequential = true;
    run.stretches.clear();
    run.slices.append(&mut run.then);
    run.slices.retain(|slice| match slice {
        Slice::Listed { archived, .. } => *archived,
        Slice::Again { .. } | Slice::Counted { .. } => false,
        _ => true,
    });
    run.slices.push(sequence(false));
}

fn changed(since_ms: i64, until_ms: i64) -> Slice {
    let walk = Walk::default();
    Slice::Changed { since_ms: since_ms.max(FIRST_INSTANT_MS), until_ms, from: 0, below: None, walk }
}

impl Slice {
    /// The end of a slice of ids.
    pub(super) fn below(&self) -> Option<u64> {
        match self {
            Slice::Listed { below, .. } | Slice::Changed { below, .. } | Slice::Again { below, .. } => *below,
            _ => None,
        }
    }

    /// Whether the slice is the one that reads this id.
    pub(in crate::feeds) fn holds(&self, id: u64) -> bool {
        match self {
            Slice::Listed { from, below, .. }
            | Slice::Changed { from, below, .. }
            | Slice::Again { from, below, .. } => id >= *from && below.is_none_or(|below| id < below),
            _ => true,
        }
    }

    /// Moves the slice behind its page. `true`: that was its last one.
    pub(super) fn advance(&mut self, next: Option<Next>) -> Result<bool> {
        match (self, next) {
            (
                Slice::Listed { below, after, .. } | Slice::Again { below, after, .. },
                Some(Next::After(next)),
            ) => next_position(*below, after, next),
            (Slice::Changed { from, below, walk, .. }, Some(Next::Found { from: next, shown })) => {
                walk.shown = shown;
                let Some(next) = next else { return Ok(true) };
                *from = next;
                Ok(below.is_some_and(|below| next >= below))
            }
            (Slice::Having { from, .. }, Some(Next::From(next))) => {
                *from = next.unwrap_or(*from);
                Ok(next.is_none())
            }
            (Slice::Wanted { records }, Some(Next::Done(done))) => {
                for _ in 0..done {
                    records.0.pop_last();
                }
                Ok(records.0.is_empty())
            }
            (Slice::Merged { merges }, Some(Next::Done(done))) => {
                merges.truncate(merges.len().saturating_sub(done));
                Ok(merges.is_empty())
            }
            (Slice::Counted { .. } | Slice::Recounted { .. } | Slice::Halved { .. }, Some(Next::Nothing)) => {
                Ok(true)
            }
            (Slice::Named { ids } | Slice::Left { ids } | Slice::Found { ids }, Some(Next::Done(done))) => {
                ids.truncate(ids.len().saturating_sub(done));
                Ok(ids.is_empty())
            }
            _ => Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        }
    }

    /// The slice is one of several, told apart by id: its pages must come in the order of ids.
    pub(super) fn is_range(&self) -> bool {
        matches!(
            self,
            Slice::Listed { from, below, .. } | Slice::Again { from, below, .. }
                if *from > 0 || below.is_some()
        )
    }

    /// Whether the list goes by id: its page is sorted, does not begin before its position, and the next position is
    /// not before its end. A slice that is not yet cut then never is.
    ///
    /// # Errors
    /// [`ErrorKind::Unordered`] for a slice that is cut.
    pub(super) fn expect_order(&mut self, listing: &Listing, next: Option<&str>) -> Result<()> {
        // `first_after` asks for one id more.
        let begins_at = Some(self.position().saturating_sub(1));
        let goes_on_behind = |next: &str| next.parse().is_ok_and(|next: u64| Some(next) >= listing.highest);
        if listing.is_sorted
            && (listing.lowest.is_none() || listing.lowest >= begins_at)
            && next.is_none_or(goes_on_behind)
        {
            return Ok(());
        }
        if self.is_range() {
            return Err(Error::new(ErrorKind::Unordered, "the list is not in the order of ids"));
        }
        if let Slice::Listed { top, .. } = self {
            *top = None;
        }
        Ok(())
    }

    /// Begins anew, from the top.
    pub(super) fn restart(&mut self, run: &mut Unfinished) {
        let is_range = self.is_range();
        if let Slice::Listed { after, .. } | Slice::Again { after, .. } = self {
            *after = None;
        }
        match self {
            Slice::Again { rows, .. } => *rows = 0,
            // A list that does not go by id is counted as one.
            Slice::Listed { archived: false, .. } if !is_range => {
                run.stretches.retain(|stretch| stretch.below.is_some());
            }
            _ => {}
        }
    }

    /// Remembers what a page of a list has read, until it is counted. The page began at the id `begins_at`; `unlisted`
    /// records are there and not shown.
    pub(super) fn count_rows(
        &mut self,
        begins_at: u64,
        ids: &HashSet<u64>,
        unlisted: u64,
        is_last: bool,
        run: &mut Unfinished,
    ) {
        let (is_range, position) = (self.is_range(), self.position());
        let rows = ids.len() as u64 + unlisted;
        match self {
            Slice::Listed { archived: false, below, .. } => {
                let behind_last = ids.iter().max().map(|last| last + 1);
                let reached = match (is_range, is_last) {
                    (false, _) => None,
                    (true, false) => Some(position),
                    // The list ended: of an open range, behind the last id.
                    (true, true) => below.or(behind_last).or(Some(begins_at)),
                };
                if reached != Some(begins_at) {
                    counts::extend(&mut run.stretches, begins_at, reached, rows);
                }
            }
            Slice::Again { from, below, rows: before, .. } => {
                *before += rows;
                if is_last {
                    let (from, below, rows) = (*from, *below, *before);
                    run.then.push(Slice::Counted { from, below, rows, is_second: true });
                }
            }
            _ => {}
        }
    }
}

/// Moves a position of a list. `true`: it has reached the end, or `below`.
fn next_position(below: Option<u64>, after: &mut Option<String>, next: Option<String>) -> Result<bool> {
    let Some(token) = next else { return Ok(true) };
    if after.as_deref() == Some(&token) {
        return Err(Error::new(ErrorKind::Malformed, "a page of a list ends where it began"));
    }
    // Only a range needs to know that positions are ids; a whole list goes on at whatever it was given.
    let is_past_the_end = match (below, token.parse::<u64>()) {
        (Some(below), Ok(next_id)) => next_id >= below,
        (Some(_), Err(_)) => {
            return Err(Error::new(ErrorKind::Unordered, "the list's positions are not ids"));
        }
        (None, _) => false,
    };
    *after = Some(token);
    Ok(is_past_the_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(from: u64, below: Option<u64>) -> Slice {
        Slice::Listed { archived: false, from, below, after: None, top: None }
    }

    #[test]
    fn a_range_ends_at_its_end_or_the_lists() {
        let mut slice = range(0, Some(1_000));
        assert!(!slice.advance(Some(Next::After(Some("500".into())))).unwrap());
        assert!(slice.advance(Some(Next::After(Some("1000".into())))).unwrap());
        assert!(range(0, None).advance(Some(Next::After(None))).unwrap());
    }

    #[test]
    fn a_page_that_does_not_move_is_an_error() {
        let mut slice = range(0, None);
        slice.advance(Some(Next::After(Some("abc".into())))).unwrap();
        assert!(slice.advance(Some(Next::After(Some("abc".into())))).is_err());
    }

    #[test]
    fn a_list_that_does_not_go_by_id_is_not_cut() {
        let page = |ids: &'static [u64]| Listing::of(ids.iter().copied());
        let odd = [
            (page(&[5, 9, 7]), Some("10")),
            (page(&[5, 9]), Some("8")),
            (page(&[5, 9]), Some("opaque")),
            (page(&[3, 9]), Some("10")),
        ];
        for (listing, next) in odd {
            let mut whole = Slice::Listed {
                archived: true,
                from: 0,
                below: None,
                after: Some("5".to_owned()),
                top: Some(1_000),
            };
            let mut part = whole.clone();
            assert!(part.split(1).is_some(), "{listing:?}");
            assert_eq!(part.expect_order(&listing, next).unwrap_err().kind(), ErrorKind::Unordered);
            whole.expect_order(&listing, next).unwrap();
            assert_eq!((whole.width(), whole.split(1)), (0, None), "{listing:?}");
        }
        for (listing, next) in [(page(&[4, 9]), Some("9")), (page(&[]), Some("10")), (page(&[5]), None)] {
            let mut part = range(5, Some(1_000));
            part.expect_order(&listing, next).unwrap();
        }
    }

    #[test]
    fn archived_records_are_read_in_sequence_before_live_ones() {
        let listed = |archived, from, below| Slice::Listed { archived, from, below, after: None, top: None };
        let mut cursor = Cursor::default();
        let mut run = Unfinished::new(Mode::Backfill, 0, 0);
        run.slices = vec![listed(true, 0, Some(50)), Slice::Named { ids: vec![1] }, listed(true, 50, None)];
        run.then = vec![listed(false, 0, Some(90)), listed(false, 90, None)];
        let then = run.then.clone();
        read_in_sequence(&mut cursor, &mut run);
        assert_eq!(run.slices, [Slice::Named { ids: vec![1] }, listed(true, 0, None)]);
        assert_eq!(run.then, then);
        assert!(cursor.is_archive_sequential && !cursor.is_sequential);

        run.slices.push(Slice::Again { from: 0, below: Some(90), after: None, rows: 7 });
        read_in_sequence(&mut cursor, &mut run);
        let left = [Slice::Named { ids: vec![1] }, listed(true, 0, None), listed(false, 0, None)];
        assert_eq!(run.slices, left);
        assert!(run.then.is_empty() && cursor.is_sequential);
    }

    #[test]
    fn positions_that_are_no_ids_end_the_ranges() {
        let error = range(0, Some(9_000)).advance(Some(Next::After(Some("x".into())))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unordered);
    }

    proptest! {
        #[test]
        fn a_cut_loses_no_id_and_doubles_none(from in 0..1_000_u64, width in 0..10_000_u64, position in 0..5_000_u64) {
            let open = Slice::Listed { archived: true, from, below: None, after: None, top: Some(from + width) };
            for mut lower in [range(from, Some(from + width)), open] {
                if position > from {
                    let _ = lower.advance(Some(Next::After(Some(position.to_string()))));
                }
                let whole = lower.clone();
                if let Some(upper) = lower.split(1) {
                    for id in 0..12_000 {
                        let held = u8::from(lower.holds(id)) + u8::from(upper.holds(id));
                        prop_assert_eq!(held, u8::from(whole.holds(id)));
                    }
                    // An open slice shows how far it goes once it is read.
                    let is_open = upper == Slice::Listed { archived: true, from: upper.position(), below: None, after: None, top: Some(from + width) };
                    prop_assert!(lower.width() > 0 && (is_open || upper.width() > 0));
                }
            }
        }
    }
}

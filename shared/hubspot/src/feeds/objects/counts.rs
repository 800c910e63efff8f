//! Comparison of HubSpot's counts with the records that it has shown.
//!
//! Each range of ids that was listed is counted once more, by a search; each window that was searched has its count in
//! the answer. Where the count is higher, the same is read again; where it still is, every id that the search shows is
//! asked for by itself. What then is lacking HubSpot counts and does not show: the count is set aside, by the ids that it
//! is of, and each later run counts them again.
//!
//! A lower count is none of ours: records come and go while a run reads, and the index of the search lags.

use serde_json::Value;

use super::calls::Found;
use super::slice::{ReadRange, SearchPass, Slice, Surplus};
use super::state::RunOfRecords;
use super::{ObjectFeed, Result};
use crate::feeds::quarantine::Thing;

/// Records that one count is for: what is read again, at the most, where one is lacking.
pub(super) const RANGE_RECORDS: u64 = 40_000;
/// Times that a window is searched whose pages show less than it counts.
const MAX_PASSES: u32 = 3;

/// Kind, in the quarantine, of a count that is higher than the records shown.
pub(super) const KIND: &str = "count";

/// HubSpot's count of a range of ids.
#[derive(Debug)]
pub(super) struct Count {
    total: u64,
    /// The ids that the search shows, where the count was too high twice.
    ids: Option<Vec<u64>>,
    /// The ids among which it is too high.
    odd: Surplus,
    /// Why there is no count.
    refused: Option<String>,
}

impl Surplus {
    /// A page that begins at `from`: behind it HubSpot counts fewer than it should, if the page does not show them all.
    pub(super) fn count(self, from: u64, page: &Found) -> Surplus {
        let Surplus { last, mut range } = self;
        let Some(total) = page.total else { return self };
        let shown = page.records.len() as u64;
        if let Some((last_from, left)) = last
            && left > total
        {
            range = range.or(Some((last_from, Some(from))));
        }
        if page.next.is_none() && total > shown {
            range = range.or(Some((from, None)));
        }
        Surplus { last: Some((from, total.saturating_sub(shown))), range }
    }

    /// The ids among these for which the count is too high.
    fn within(self, from: u64, below: Option<u64>) -> (u64, Option<u64>) {
        self.range.map_or((from, below), |(odd_from, odd_below)| (odd_from.max(from), odd_below.or(below)))
    }
}

impl ObjectFeed {
    pub(super) async fn counted(
        &self,
        from: u64,
        below: Option<u64>,
        rows: u64,
        is_second: bool,
    ) -> Result<Count> {
        let (total, refused) = match self.count_or_why(None, from, below).await? {
            Ok(total) => (total, None),
            Err(refused) => (rows, Some(refused.reason().to_owned())),
        };
        if total <= rows || !is_second {
            return Ok(Count { total, ids: None, odd: Surplus::default(), refused });
        }
        self.shown_and_counted(None, from, below).await
    }

    /// The same ids, or those among them that changed in a window, in a later run.
    pub(super) async fn recounted(
        &self,
        window: Option<(i64, i64)>,
        from: u64,
        below: Option<u64>,
    ) -> Result<Count> {
        let window = window.and_then(|(since_ms, until_ms)| self.changed_in(Some(since_ms), Some(until_ms)));
        self.shown_and_counted(window, from, below).await
    }

    /// All ids that the search shows, and the count once more at its end.
    async fn shown_and_counted(&self, filter: Option<Value>, from: u64, below: Option<u64>) -> Result<Count> {
        let (mut ids, mut odd, mut next) = (Vec::new(), Surplus::default(), Some(from));
        while let Some(from) = next {
            let found = self.search(filter.clone(), from, below).await?;
            odd = odd.count(from, &found);
            ids.extend(found.records.into_iter().map(|(id, _)| id));
            next = found.next;
        }
        let (total, refused) = match self.count_or_why(filter, from, below).await? {
            Ok(total) => (total, None),
            Err(refused) => (ids.len() as u64, Some(refused.reason().to_owned())),
        };
        Ok(Count { total, ids: Some(ids), odd, refused })
    }

    /// Acts on a count; answers with ids that are to be read.
    pub(super) fn judge(&self, slice: &Slice, count: Count, run: &mut RunOfRecords<'_>) -> Vec<u64> {
        let (window, from, below, rows) = match *slice {
            Slice::Count { from, below, rows, .. } => (None, from, below, rows),
            Slice::Recount { window, from, below } => (window, from, below, 0),
            _ => return Vec::new(),
        };
        let Count { total, ids, odd, refused } = count;
        if let Some(refused) = refused {
            // Nothing tells whether all were shown, but that those shown were read.
            let (id, collection) = (name_of(window, from, below), self.object.name);
            run.set_aside(Thing { kind: KIND, id: &id, collection }, format!("it can't be had: {refused}"));
            run.counted += rows;
            return ids.unwrap_or_default();
        }
        if let Slice::Recount { .. } = slice {
            let ids = ids.unwrap_or_default();
            let (shown, id) = (ids.len() as u64, name_of(window, from, below));
            if total > shown {
                self.set_count_aside((window, from, below), Surplus::default(), total, shown, run);
                return Vec::new();
            }
            run.release(KIND, id);
            // What is there by now may be what was lacking.
            return ids;
        }
        if total <= rows {
            run.counted += rows;
            return Vec::new();
        }
        let Some(ids) = ids else {
            tracing::warn!(
                feed.name = self.object.name,
                "HubSpot counts {total} records with {}, and showed {rows}: they are read again",
                name_of(None, from, below)
            );
            run.own.then.push(Slice::Reread { from, below, after: None, rows: 0 });
            return Vec::new();
        };
        let shown = ids.len() as u64;
        if total > shown.max(rows) {
            self.set_count_aside((None, from, below), odd, total, shown.max(rows), run);
        }
        run.counted += shown.max(rows);
        if !ids.is_empty() {
            run.own.then.push(Slice::ByIds { ids });
        }
        Vec::new()
    }

    /// The search over a window has come to its end.
    pub(super) fn judge_pass(
        &self,
        slice: &Slice,
        total_now: Option<u64>,
        odd: Surplus,
        run: &mut RunOfRecords<'_>,
    ) {
        let &Slice::Changed { since_ms, until_ms, below, pass: SearchPass { shown, before, .. }, .. } = slice
        else {
            return;
        };
        match total_now {
            Some(total) if total > shown && before + 1 < MAX_PASSES => {
                let pass = SearchPass { before: before + 1, ..SearchPass::default() };
                run.own.then.push(Slice::Changed { since_ms, until_ms, from: 0, below, pass });
            }
            Some(total) if total > shown => {
                run.counted += shown;
                let window = Some((since_ms, until_ms));
                self.set_count_aside((window, 0, below), odd, total, shown, run);
            }
            _ => run.counted += shown,
        }
    }

    /// The next run counts the same again, and the one after it.
    fn set_count_aside(
        &self,
        (window, from, below): (Option<(i64, i64)>, u64, Option<u64>),
        odd: Surplus,
        total: u64,
        shown: u64,
        run: &mut RunOfRecords<'_>,
    ) {
        let name = self.object.name;
        let time = |ms| chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339();
        let which = match window {
            Some((since_ms, until_ms)) => {
                format!("that changed between {} and {}", time(since_ms), time(until_ms))
            }
            None => format!("with {}", name_of(None, from, below)),
        };
        let reason =
            format!("HubSpot counts {total} {name} {which}, and shows {shown}, however often it is asked");
        let (from, below) = odd.within(from, below);
        run.set_aside(Thing { kind: KIND, id: &name_of(window, from, below), collection: name }, reason);
    }

    /// Stretches that are to be counted: the long ones, and at the end all.
    pub(super) fn due_counts(run: &mut RunOfRecords<'_>, is_end: bool) -> Vec<Slice> {
        if is_end {
            join(&mut run.own.read_ranges);
        }
        let is_due = |range: &mut ReadRange| is_end || (range.below.is_some() && range.rows >= RANGE_RECORDS);
        run.own
            .read_ranges
            .extract_if(.., is_due)
            .map(|ReadRange { from, below, rows }| Slice::Count { from, below, rows, is_second: false })
            .collect()
    }
}

/// Adds ids that were read to the range that ends where they begin.
pub(super) fn extend(read_ranges: &mut Vec<ReadRange>, from: u64, below: Option<u64>, rows: u64) {
    // A list that does not go by ids is one range.
    let is_sequence = below.is_none();
    let before = read_ranges.iter_mut().find(|range| match is_sequence {
        true => range.below.is_none(),
        false => range.below == Some(from),
    });
    match before {
        Some(range) => {
            range.below = below;
            range.rows += rows;
        }
        None => read_ranges.push(ReadRange { from, below, rows }),
    }
}

/// Makes one of ranges that adjoin, as far as one count is for them.
fn join(read_ranges: &mut Vec<ReadRange>) {
    read_ranges.sort_unstable_by_key(|range| range.from);
    let mut joined: Vec<ReadRange> = Vec::with_capacity(read_ranges.len());
    for range in read_ranges.drain(..) {
        match joined.last_mut() {
            Some(last) if last.below == Some(range.from) && last.rows + range.rows <= RANGE_RECORDS => {
                last.below = range.below;
                last.rows += range.rows;
            }
            _ => joined.push(range),
        }
    }
    *read_ranges = joined;
}

/// The name of what was counted: `ids 5 to 9`, `ids from 5`, and behind it, for a window, `changed 1 to 2`, in
/// milliseconds.
fn name_of(window: Option<(i64, i64)>, from: u64, below: Option<u64>) -> String {
    let ids = match below {
        Some(below) => format!("ids {from} to {}", below.saturating_sub(1)),
        None => format!("ids from {from}"),
    };
    match window {
        Some((since_ms, until_ms)) => format!("{ids} changed {since_ms} to {until_ms}"),
        None => ids,
    }
}

impl Slice {
    /// The slice that counts once more what has this name.
    pub(super) fn recounted(name: &str) -> Option<Slice> {
        let (ids, window) = match name.split_once(" changed ") {
            Some((ids, window)) => (ids, Some(window)),
            None => (name, None),
        };
        let window = match window {
            None => None,
            Some(window) => {
                let (since_ms, until_ms) = window.split_once(" to ")?;
                Some((since_ms.parse().ok()?, until_ms.parse().ok()?))
            }
        };
        let ids = ids.strip_prefix("ids ")?;
        let (from, below) = match ids.split_once(" to ") {
            Some((from, last)) => (from.parse().ok()?, Some(last.parse::<u64>().ok()?.saturating_add(1))),
            None => (ids.strip_prefix("from ")?.parse().ok()?, None),
        };
        Some(Slice::Recount { window, from, below })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_again_is_known_by_its_name() {
        for (window, from, below) in [
            (None, 0, None),
            (None, 5, Some(9)),
            (Some((-1, 1_790_000_000_000)), 0, None),
            (Some((1_000, 2_000)), 7, Some(8)),
        ] {
            let name = name_of(window, from, below);
            assert_eq!(Slice::recounted(&name), Some(Slice::Recount { window, from, below }), "{name}");
        }
        for name in ["", "ids", "ids 1", "ids 1 to x", "ids from 1 changed 2"] {
            assert_eq!(Slice::recounted(name), None, "{name}");
        }
    }

    #[test]
    fn a_count_that_is_too_high_is_so_where_it_drops() {
        let page = |ids: &[u64], total, next| Found {
            records: ids.iter().map(|&id| (id, None)).collect(),
            next,
            total: Some(total),
        };
        let pass = |pages: &[(u64, Found)]| {
            pages
                .iter()
                .fold(Surplus::default(), |odd, (from, page)| odd.count(*from, page))
                .within(0, Some(99))
        };
        // Five are counted behind the first page, four behind the second one's beginning.
        let dropping =
            [(0, page(&[1, 2], 7, Some(3))), (3, page(&[5, 6], 4, Some(7))), (7, page(&[8, 9], 2, None))];
        assert_eq!(pass(&dropping), (0, Some(3)));
        let at_the_end =
            [(0, page(&[1, 2], 4, Some(3))), (3, page(&[5], 2, Some(6))), (6, page(&[], 1, None))];
        assert_eq!(pass(&at_the_end), (6, Some(99)));
        assert_eq!(pass(&[(0, page(&[1], 1, None))]), (0, Some(99)));
    }

    #[test]
    fn pages_make_stretches() {
        let mut read_ranges = Vec::new();
        for (from, below, rows) in [(0, 50, 7), (100, 150, 3), (50, 100, 1), (150, 160, 0)] {
            extend(&mut read_ranges, from, Some(below), rows);
        }
        let range = |from, below, rows| ReadRange { from, below: Some(below), rows };
        assert_eq!(read_ranges, [range(0, 100, 8), range(100, 160, 3)]);
        join(&mut read_ranges);
        assert_eq!(read_ranges, [range(0, 160, 11)]);
    }

    #[test]
    fn a_count_is_for_so_many_and_a_sequence_is_one() {
        let mut read_ranges = Vec::new();
        extend(&mut read_ranges, 0, Some(9), RANGE_RECORDS);
        extend(&mut read_ranges, 9, Some(12), 1);
        assert_eq!(read_ranges.len(), 1);
        extend(&mut read_ranges, 20, Some(22), RANGE_RECORDS);
        extend(&mut read_ranges, 22, Some(23), 0);
        extend(&mut read_ranges, 12, Some(20), 1);
        join(&mut read_ranges);
        assert_eq!(read_ranges.len(), 2);
        let mut sequence = Vec::new();
        extend(&mut sequence, 0, None, 5);
        extend(&mut sequence, 0, None, 6);
        assert_eq!(sequence, [ReadRange { from: 0, below: None, rows: 11 }]);
    }
}

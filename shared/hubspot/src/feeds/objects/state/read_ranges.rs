//! Ranges of ids that were read, and HubSpot's counts of them.

use serde::{Deserialize, Serialize};

use crate::feeds::objects::answers::listed::Found;

/// Records that one count is for: what is read again, at the most, where one is lacking.
pub(in crate::feeds::objects) const RANGE_RECORDS: u64 = 40_000;

/// Kind, in the quarantine, of a count that is higher than the records shown.
pub(in crate::feeds::objects) const KIND: &str = "count";

/// Ids that were read, without a gap, and how many records they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct ReadRange {
    pub(crate) from: u64,
    /// `None` where the list does not go by ids: all of them.
    pub(crate) below: Option<u64>,
    pub(crate) rows: u64,
}

/// HubSpot's count of a range of ids.
#[derive(Debug)]
pub(in crate::feeds::objects) struct Count {
    pub(in crate::feeds::objects) total: u64,
    /// The ids that the search shows, where the count was too high twice.
    pub(in crate::feeds::objects) ids: Option<Vec<u64>>,
    /// The ids among which it is too high.
    pub(in crate::feeds::objects) odd: Surplus,
    /// Why there is no count.
    pub(in crate::feeds::objects) refused: Option<String>,
}

/// Part of the ids of a search for which HubSpot counts more records than it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Surplus {
    /// The first id of the last page, and the records that HubSpot counted behind that page.
    pub(crate) last: Option<(u64, u64)>,
    /// Ids from the first one up to and without the second.
    pub(crate) range: Option<(u64, Option<u64>)>,
}

impl Surplus {
    /// A page that begins at `from`: behind it HubSpot counts fewer than it should, if the page does not show them all.
    pub(in crate::feeds::objects) fn count(self, from: u64, page: &Found) -> Surplus {
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
    pub(in crate::feeds::objects) fn within(self, from: u64, below: Option<u64>) -> (u64, Option<u64>) {
        self.range.map_or((from, below), |(odd_from, odd_below)| (odd_from.max(from), odd_below.or(below)))
    }
}

/// Adds ids that were read to the range that ends where they begin.
pub(in crate::feeds::objects) fn extend(
    read_ranges: &mut Vec<ReadRange>,
    from: u64,
    below: Option<u64>,
    rows: u64,
) {
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
pub(in crate::feeds::objects) fn join(read_ranges: &mut Vec<ReadRange>) {
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

/// Searches that count what a backfill has read, and one for what is new at its end.
pub(in crate::feeds::objects) fn counts(records: u64) -> u64 {
    records.div_ceil(RANGE_RECORDS) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

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

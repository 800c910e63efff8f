//! The numbers of live records at one moment, which tell the next run whether records were archived or restored since.

use serde::{Deserialize, Serialize};

use super::seen::ArchivedIds;
use crate::feeds::objects::answers::listed::PAGE_RECORDS;

/// A count that HubSpot can't make, because of a record that is in it: the records may be others than before.
pub(in crate::feeds::objects) const UNCOUNTED: u64 = u64::MAX;
/// Halves of the ids that are counted.
const HALVES: usize = 12;
/// Ranges of ids in a half: a search takes five alternatives.
const RANGES: usize = 5;
/// Pages of the list that each run reads without asking for a count, which would cost as many calls.
pub(in crate::feeds::objects) const SHORT_PAGES: usize = HALVES + 4;
/// The list is read after this time, whatever the counts say.
const LONGEST_MS: i64 = 24 * 3_600_000;
/// The time that one page of the list is worth, so that a day has 21,600 of them, of the 250,000 calls that the smallest
/// account has.
const PAGE_MS: i64 = 4_000;
/// Pages, in the time they are worth, that may be read at once; then as many as time goes by.
const ALLOWANCE_MS: i64 = 24 * 3_600_000;
/// Records are in the index of the search by this time after they were made.
pub(in crate::feeds::objects) const SETTLED_MS: i64 = 15 * 60_000;

/// The numbers of live records at one moment, by HubSpot's count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct LiveCount {
    pub(in crate::feeds::objects) at_ms: i64,
    /// Records made more than [`SETTLED_MS`] before that moment.
    pub(in crate::feeds::objects) settled: u64,
    /// Those made since: some may come into the index later.
    pub(in crate::feeds::objects) young: u64,
    pub(in crate::feeds::objects) halves: Halves,
    /// The list of archived records was read then.
    pub(in crate::feeds::objects) archive_read_ms: i64,
    /// Used of [`ALLOWANCE_MS`] then.
    pub(in crate::feeds::objects) used_ms: i64,
}

/// The numbers of live records in halves of the ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds::objects) struct Halves {
    /// Of records made before then.
    pub(in crate::feeds::objects) made_before_ms: i64,
    pub(in crate::feeds::objects) counts: Vec<(Ranges, u64)>,
}

/// The first id of each range, and the first one behind it.
pub(in crate::feeds::objects) type Ranges = Vec<(u64, u64)>;

impl LiveCount {
    pub(in crate::feeds::objects) fn settled_until_ms(&self) -> i64 {
        self.at_ms.saturating_sub(SETTLED_MS)
    }

    /// `true`: the same records, counted now, say that nothing was archived or restored since.
    pub(in crate::feeds::objects) fn is_as_before(&self, settled: u64, young: u64) -> bool {
        settled != UNCOUNTED && settled == self.settled && young != UNCOUNTED && young >= self.young
    }

    pub(in crate::feeds::objects) fn is_out_of_date(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.archive_read_ms) >= LONGEST_MS
    }

    /// Used of the allowance by now.
    fn used_ms(&self, now_ms: i64) -> i64 {
        self.used_ms.saturating_sub(now_ms.saturating_sub(self.archive_read_ms).max(0)).max(0)
    }

    /// The allowance has no room for a list of so many records. One that is larger than all of it waits until nothing is
    /// used.
    pub(in crate::feeds::objects) fn is_too_much(&self, records: usize, now_ms: i64) -> bool {
        let used_ms = self.used_ms(now_ms);
        used_ms > 0 && used_ms.saturating_add(worth_ms(records)) > ALLOWANCE_MS
    }

    /// The list of so many records is read now.
    pub(in crate::feeds::objects) fn with_list_read(
        self,
        records: usize,
        before: Option<&LiveCount>,
    ) -> LiveCount {
        let used_ms = before.map_or(0, |before| before.used_ms(self.at_ms));
        let used_ms = used_ms.saturating_add(worth_ms(records)).min(ALLOWANCE_MS);
        LiveCount { archive_read_ms: self.at_ms, used_ms, ..self }
    }
}

/// The pages of a list of so many records, in the time they are worth.
fn worth_ms(records: usize) -> i64 {
    i64::try_from(records.div_ceil(PAGE_RECORDS)).unwrap_or(i64::MAX).saturating_mul(PAGE_MS)
}

/// Halves of the ids; `quantile` gives the id at this part of all.
fn halves(quantile: impl Fn(f64) -> u64) -> Vec<Ranges> {
    // Multiples of the golden ratio lie evenly, and no two halves have the same of them.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let cuts_of_each = 2 * RANGES - 1;
    let half = |half: usize| {
        let places = (1..=cuts_of_each).map(|cut| ((half * cuts_of_each + cut) as f64 * GOLDEN).fract());
        let mut cuts: Vec<u64> = std::iter::once(0).chain(places.map(&quantile)).collect();
        cuts.sort_unstable();
        let (ranges, _) = cuts.as_chunks::<2>();
        ranges.iter().filter(|[from, below]| from < below).map(|&[from, below]| (from, below)).collect()
    };
    (0..HALVES).map(half).filter(|ranges: &Ranges| !ranges.is_empty()).collect()
}

/// Halves of the ids, cut where these records lie; none where each run reads their list.
pub(in crate::feeds::objects) fn cut_by(archived: &ArchivedIds) -> Vec<Ranges> {
    if archived.len() <= SHORT_PAGES * PAGE_RECORDS {
        return Vec::new();
    }
    halves(|part| archived.quantile(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(at_ms: i64) -> LiveCount {
        LiveCount {
            at_ms,
            settled: 7,
            young: 2,
            halves: Halves::default(),
            archive_read_ms: at_ms,
            used_ms: 0,
        }
    }

    #[test]
    fn a_record_that_went_or_came_back_is_noticed_and_a_late_one_is_none() {
        let count = counted(0);
        assert!(count.is_as_before(7, 2));
        assert!(count.is_as_before(7, 3), "it was made just before, and is in the index by now");
        assert!(!count.is_as_before(7, UNCOUNTED) && !count.is_as_before(UNCOUNTED, 2));
        assert!(!count.is_as_before(6, 2) && !count.is_as_before(8, 2) && !count.is_as_before(7, 1));
    }

    #[test]
    fn one_that_went_and_one_that_came_back_are_in_the_same_halves_once_in_thousands() {
        let ids: u64 = 10_000;
        let halves = halves(|part| (part * ids as f64) as u64);
        assert_eq!(halves.len(), HALVES);
        let holds = |ranges: &Ranges, id| ranges.iter().any(|&(from, below)| (from..below).contains(&id));
        let halves_of = |id: u64| halves.iter().map(|ranges| holds(ranges, id)).collect::<Vec<_>>();
        let mut same = 0;
        for n in 0..ids {
            let (gone, back) = (n * 7 % ids, n * n * 31 % ids);
            same += u64::from(gone.abs_diff(back) > ids / 100 && halves_of(gone) == halves_of(back));
        }
        assert!(same <= ids / 500, "{same} of {ids}");
        for ranges in &halves {
            let ids_in: u64 = ranges.iter().map(|(from, below)| below - from).sum();
            assert!((ids * 3 / 10..ids * 7 / 10).contains(&ids_in), "{ranges:?}");
        }
    }

    #[test]
    fn a_long_list_is_read_once_a_day_and_not_too_often() {
        assert!(!counted(0).is_out_of_date(LONGEST_MS - 1));
        assert!(counted(0).is_out_of_date(LONGEST_MS));
        // Something changes before each run, every 15 minutes: 21,600 pages at once, and as many a day.
        for (records, reads_at_once, reads_a_day) in [(50_000, 43, 43), (1_000_000, 2, 2), (9_000_000, 1, 1)]
        {
            let (mut last, mut reads, mut without_pause) = (None::<LiveCount>, 0, 0);
            for run in 0..3 * 96 {
                let now_ms = run * 15 * 60_000;
                if last.as_ref().is_none_or(|last| !last.is_too_much(records, now_ms)) {
                    last = Some(counted(now_ms).with_list_read(records, last.as_ref()));
                    reads += 1;
                    without_pause += i64::from(reads == run + 1);
                }
            }
            assert!(without_pause >= reads_at_once, "{records}: {without_pause} without a pause");
            let expected = 3 * reads_a_day..=reads_at_once + 3 * reads_a_day;
            assert!(expected.contains(&reads), "{records}: {reads} in three days");
        }
    }
}

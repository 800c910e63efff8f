//! The rhythm in which a long list of archived records is read.
//!
//! No search shows archived records, and their list has no filter by time: it costs a call for each hundred of them,
//! however few are new. What is archived, merged away or restored changes the number of live records, which a search
//! tells. So a long list is read when that number is another one than before, of all records or of one of several halves
//! of the ids, each cut in another way: one record that was archived beside another one that was restored leaves the
//! number of all as it was, and those of all halves once in 4,096 times, or where no cut falls between their ids. Once a
//! day the list is read in any case.
//!
//! Each count is made before the list is read, so that what changes meanwhile is noticed by the next run; but for a
//! backfill, which knows where to cut when it has read the list.

use std::sync::atomic::Ordering;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calls::{ID, PAGE_RECORDS};
use super::seen::ArchivedIds;
use super::slice::Slice;
use super::state::{PlannedRecords, RecordCursor, RunOfRecords};
use super::{ObjectFeed, Result};
use crate::error::Error;
use crate::properties::Property;

/// Properties that tell when a record was made: the older objects have the first one, activities and others the second.
const CREATED: [&str; 2] = ["createdate", "hs_createdate"];
/// A count that HubSpot can't make, because of a record that is in it: the records may be others than before.
const UNCOUNTED: u64 = u64::MAX;
/// Halves of the ids that are counted.
const HALVES: usize = 12;
/// Ranges of ids in a half: a search takes five alternatives.
const RANGES: usize = 5;
/// Pages of the list that each run reads without asking for a count, which would cost as many calls.
const SHORT_PAGES: usize = HALVES + 4;
/// The list is read after this time, whatever the counts say.
const LONGEST_MS: i64 = 24 * 3_600_000;
/// The time that one page of the list is worth, so that a day has 21,600 of them, of the 250,000 calls that the smallest
/// account has.
const PAGE_MS: i64 = 4_000;
/// Pages, in the time they are worth, that may be read at once; then as many as time goes by.
const ALLOWANCE_MS: i64 = 24 * 3_600_000;
/// Records are in the index of the search by this time after they were made.
const SETTLED_MS: i64 = 15 * 60_000;

/// The numbers of live records at one moment, by HubSpot's count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct LiveCount {
    at_ms: i64,
    /// Records made more than [`SETTLED_MS`] before that moment.
    settled: u64,
    /// Those made since: some may come into the index later.
    young: u64,
    halves: Halves,
    /// The list of archived records was read then.
    archive_read_ms: i64,
    /// Used of [`ALLOWANCE_MS`] then.
    used_ms: i64,
}

/// The numbers of live records in halves of the ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Halves {
    /// Of records made before then.
    made_before_ms: i64,
    counts: Vec<(Ranges, u64)>,
}

/// The first id of each range, and the first one behind it.
type Ranges = Vec<(u64, u64)>;

impl LiveCount {
    fn settled_until_ms(&self) -> i64 {
        self.at_ms.saturating_sub(SETTLED_MS)
    }

    /// `true`: the same records, counted now, say that nothing was archived or restored since.
    fn is_as_before(&self, settled: u64, young: u64) -> bool {
        settled != UNCOUNTED && settled == self.settled && young != UNCOUNTED && young >= self.young
    }

    fn is_out_of_date(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.archive_read_ms) >= LONGEST_MS
    }

    /// Used of the allowance by now.
    fn used_ms(&self, now_ms: i64) -> i64 {
        self.used_ms.saturating_sub(now_ms.saturating_sub(self.archive_read_ms).max(0)).max(0)
    }

    /// The allowance has no room for a list of so many records. One that is larger than all of it waits until nothing is
    /// used.
    fn is_too_much(&self, records: usize, now_ms: i64) -> bool {
        let used_ms = self.used_ms(now_ms);
        used_ms > 0 && used_ms.saturating_add(worth_ms(records)) > ALLOWANCE_MS
    }

    /// The list of so many records is read now.
    fn with_list_read(self, records: usize, before: Option<&LiveCount>) -> LiveCount {
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
fn cut_by(archived: &ArchivedIds) -> Vec<Ranges> {
    if archived.len() <= SHORT_PAGES * PAGE_RECORDS {
        return Vec::new();
    }
    halves(|part| archived.quantile(part))
}

/// Keeps the counts of halves for the next run; where there are none yet, answers with the slice that counts them.
pub(super) fn keep_halves(halves: Halves, run: &mut RunOfRecords<'_>) -> Option<Slice> {
    if halves.counts.is_empty() {
        let halves = cut_by(&run.own.archived);
        return (!halves.is_empty()).then_some(Slice::CountHalves { halves });
    }
    if let Some(count) = &mut run.own.live_count {
        count.halves = halves;
    }
    None
}

impl ObjectFeed {
    /// `true`: the list of archived records is to be read. `run` remembers the live records of this moment.
    pub(super) async fn is_archive_due(
        &self,
        cursor: &RecordCursor<'_>,
        run: &mut PlannedRecords,
    ) -> Result<bool> {
        let (now_ms, records) = (run.started_ms, cursor.own.archived.len());
        // What is read again since then was archived without a source that is back.
        if records <= SHORT_PAGES * PAGE_RECORDS || cursor.reread_since_ms.is_some() {
            return Ok(true);
        }
        let before = cursor.own.live_count.as_ref();
        let Some(known) = before.filter(|before| !before.is_out_of_date(now_ms)) else {
            let now = self.live_count(now_ms, self.halves().await?).await?;
            run.own.live_count = Some(now.with_list_read(records, before));
            return Ok(true);
        };
        let settled_until_ms = known.settled_until_ms();
        let settled = self.count_made(None, settled_until_ms - 1).await?;
        let young = self.count_made(Some(settled_until_ms), known.at_ms).await?;
        // Archived records have values of new properties too.
        let is_due = !known.is_as_before(settled, young)
            || !self.new_properties.is_empty()
            || self.halves_differ(&known.halves).await?;
        if is_due && known.is_too_much(records, now_ms) {
            self.archive_waits.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        // Counted before the list is read: what is archived meanwhile changes the next count.
        run.own.live_count = Some(match is_due {
            true => {
                let now = self.live_count(now_ms, self.halves().await?).await?;
                now.with_list_read(records, Some(known))
            }
            false => LiveCount {
                archive_read_ms: known.archive_read_ms,
                used_ms: known.used_ms,
                ..self.live_count(now_ms, known.halves.clone()).await?
            },
        });
        Ok(is_due)
    }

    /// The live records of this moment, for a run that reads everything.
    pub(super) async fn first_live_count(&self, now_ms: i64) -> Result<LiveCount> {
        self.live_count(now_ms, Halves::default()).await
    }

    async fn live_count(&self, now_ms: i64, halves: Halves) -> Result<LiveCount> {
        let settled_until_ms = now_ms.saturating_sub(SETTLED_MS);
        let settled = self.count_made(None, settled_until_ms - 1).await?;
        let young = self.count_made(Some(settled_until_ms), now_ms).await?;
        Ok(LiveCount { at_ms: now_ms, settled, young, halves, archive_read_ms: now_ms, used_ms: 0 })
    }

    async fn halves(&self) -> Result<Halves> {
        self.count_halves(cut_by(&self.archived)).await
    }

    /// Counts the live records of these halves.
    pub(super) async fn count_halves(&self, halves: Vec<Ranges>) -> Result<Halves> {
        let made_before_ms = self.client.now().timestamp_millis().saturating_sub(SETTLED_MS);
        let counts = halves.into_iter().map(|ranges| async move {
            let count = self.count_half(&ranges, made_before_ms).await?;
            Ok::<_, Error>((ranges, count))
        });
        Ok(Halves { made_before_ms, counts: try_join_all(counts).await? })
    }

    /// One of the halves has other live records than before, or none was counted.
    async fn halves_differ(&self, halves: &Halves) -> Result<bool> {
        let counts = halves.counts.iter().map(|(ranges, before)| async move {
            let count = self.count_half(ranges, halves.made_before_ms).await?;
            Ok::<_, Error>(count == UNCOUNTED || count != *before)
        });
        Ok(halves.counts.is_empty() || try_join_all(counts).await?.contains(&true))
    }

    async fn count_made(&self, since_ms: Option<i64>, until_ms: i64) -> Result<u64> {
        let count = self.count_or_why(Some(made(self.created, since_ms, until_ms)), 0, None).await?;
        Ok(count.unwrap_or(UNCOUNTED))
    }

    async fn count_half(&self, ranges: &Ranges, made_before_ms: i64) -> Result<u64> {
        let made = made(self.created, None, made_before_ms - 1);
        let groups = ranges.iter().map(|&(from, below)| json!({ "filters": [in_range(from, below), made] }));
        let count = self.count_in_or_why(groups.collect()).await?;
        Ok(count.unwrap_or(UNCOUNTED))
    }
}

fn in_range(from: u64, below: u64) -> Value {
    if from == 0 {
        return json!({ "propertyName": ID, "operator": "LT", "value": below.to_string() });
    }
    json!({
        "propertyName": ID,
        "operator": "BETWEEN",
        "value": from.to_string(),
        "highValue": (below - 1).to_string(),
    })
}

/// Returns the one of them that the object has.
pub(super) fn created(properties: &[Property]) -> &'static str {
    let [older, newer] = CREATED;
    let has = |name: &str| properties.iter().any(|property| property.name == name);
    if !has(older) && has(newer) { newer } else { older }
}

/// Records made in the time from `since_ms`, if any, to `until_ms`, both ends included, by the property that tells it.
fn made(created: &str, since_ms: Option<i64>, until_ms: i64) -> Value {
    match since_ms {
        None => json!({ "propertyName": created, "operator": "LTE", "value": until_ms.to_string() }),
        Some(since_ms) => json!({
            "propertyName": created,
            "operator": "BETWEEN",
            "value": since_ms.to_string(),
            "highValue": until_ms.to_string(),
        }),
    }
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

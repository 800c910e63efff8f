//! Whether a long list of archived records has to be read in this run.
//!
//! No search shows archived records, and their list has no filter by time: it costs a call for each hundred of them,
//! however few are new. What is archived, merged away or restored changes the number of live records, which a search
//! tells. So a long list is read when that number is another one than before, and once a day in any case: as many
//! archived as restored between two runs leave the number as it was.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calls::PAGE_RECORDS;
use super::{ObjectFeed, Result};
use crate::feeds::cursor::{Cursor, Unfinished};

/// The property that tells when a record was made.
const CREATED: &str = "createdate";
/// Pages of the list that each run reads without asking for a count.
const SHORT_PAGES: usize = 5;
/// The list is read after this time, whatever the counts say.
const LONGEST_MS: i64 = 24 * 3_600_000;
/// Time for each page of the list before it is read anew: 21,600 calls a day at the most, of the 250,000 that the
/// smallest account has.
const PAGE_MS: i64 = 4_000;
/// Records are in the index of the search by this time after they were made.
const SETTLED_MS: i64 = 15 * 60_000;

/// The numbers of live records at one moment, by HubSpot's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCount {
    at_ms: i64,
    /// Records made more than [`SETTLED_MS`] before that moment.
    settled: u64,
    /// Those made since: some may come into the index later.
    young: u64,
    /// The list of archived records was read then.
    archive_read_ms: i64,
}

impl LiveCount {
    fn settled_until_ms(self) -> i64 {
        self.at_ms.saturating_sub(SETTLED_MS)
    }

    /// What the same records, counted now, say of the time between.
    fn is_as_before(self, settled: u64, young: u64) -> bool {
        settled == self.settled && young >= self.young
    }

    fn is_out_of_date(self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.archive_read_ms) >= LONGEST_MS
    }

    /// A list of so many records was read too short a time ago.
    fn is_too_soon(self, records: usize, now_ms: i64) -> bool {
        let pages = i64::try_from(records / PAGE_RECORDS).unwrap_or(i64::MAX);
        now_ms.saturating_sub(self.archive_read_ms) < pages.saturating_mul(PAGE_MS).min(LONGEST_MS)
    }
}

impl ObjectFeed {
    /// Whether the list of archived records is to be read; `run` remembers the live records of this moment.
    pub(super) async fn is_archive_due(&self, cursor: &Cursor, run: &mut Unfinished) -> Result<bool> {
        let (now_ms, records) = (run.started_ms, cursor.archived.len());
        if records <= SHORT_PAGES * PAGE_RECORDS {
            return Ok(true);
        }
        let Some(before) = cursor.live_count.filter(|before| !before.is_out_of_date(now_ms)) else {
            run.live_count = Some(self.live_count(now_ms).await?);
            return Ok(true);
        };
        let settled_until_ms = before.settled_until_ms();
        let settled = self.count(Some(made(None, settled_until_ms - 1)), 0, None).await?;
        let young = self.count(Some(made(Some(settled_until_ms), before.at_ms)), 0, None).await?;
        // Archived records have values of new properties too.
        let is_due = !before.is_as_before(settled, young) || !self.new_properties.is_empty();
        if is_due && before.is_too_soon(records, now_ms) {
            tracing::info!(
                feed.name = self.object.name,
                "records were archived or restored: the long list of archived ones is read by a later run"
            );
            return Ok(false);
        }
        // Counted before the list is read: what is archived meanwhile changes the next count.
        let now = self.live_count(now_ms).await?;
        let archive_read_ms = if is_due { now_ms } else { before.archive_read_ms };
        run.live_count = Some(LiveCount { archive_read_ms, ..now });
        Ok(is_due)
    }

    /// The live records of this moment. The list of archived ones is about to be read.
    pub(super) async fn live_count(&self, now_ms: i64) -> Result<LiveCount> {
        let settled_until_ms = now_ms.saturating_sub(SETTLED_MS);
        let settled = self.count(Some(made(None, settled_until_ms - 1)), 0, None).await?;
        let young = self.count(Some(made(Some(settled_until_ms), now_ms)), 0, None).await?;
        Ok(LiveCount { at_ms: now_ms, settled, young, archive_read_ms: now_ms })
    }
}

/// Records made in the time from `since_ms`, if any, to `until_ms`, both ends included.
fn made(since_ms: Option<i64>, until_ms: i64) -> Value {
    match since_ms {
        None => json!({ "propertyName": CREATED, "operator": "LTE", "value": until_ms.to_string() }),
        Some(since_ms) => json!({
            "propertyName": CREATED,
            "operator": "BETWEEN",
            "value": since_ms.to_string(),
            "highValue": until_ms.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: LiveCount = LiveCount { at_ms: 0, settled: 7, young: 2, archive_read_ms: 0 };

    #[test]
    fn a_record_that_went_or_came_back_is_noticed_and_a_late_one_is_none() {
        assert!(COUNT.is_as_before(7, 2));
        assert!(COUNT.is_as_before(7, 3), "it was made just before, and is in the index by now");
        assert!(!COUNT.is_as_before(6, 2) && !COUNT.is_as_before(8, 2) && !COUNT.is_as_before(7, 1));
    }

    #[test]
    fn a_long_list_is_read_once_a_day_and_not_too_often() {
        assert!(!COUNT.is_out_of_date(LONGEST_MS - 1));
        assert!(COUNT.is_out_of_date(LONGEST_MS));
        let hour_ms = 3_600_000;
        assert!(!COUNT.is_too_soon(50_000, hour_ms), "500 pages");
        assert!(COUNT.is_too_soon(1_000_000, 11 * hour_ms), "10,000 pages");
        assert!(!COUNT.is_too_soon(1_000_000, 12 * hour_ms));
        assert!(!COUNT.is_too_soon(usize::MAX, LONGEST_MS));
    }
}

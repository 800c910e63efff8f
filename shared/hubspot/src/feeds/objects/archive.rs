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
use serde_json::{Value, json};

use super::answers::filters::ID;
use super::answers::listed::PAGE_RECORDS;
use super::object_feed::ObjectFeed;
use super::state::live_count::{Halves, LiveCount, Ranges, SETTLED_MS, SHORT_PAGES, UNCOUNTED, cut_by};
use super::state::slice::Slice;
use super::state::{PlannedRecords, RecordCursor, RunOfRecords};
use crate::error::{Error, Result};
use crate::properties::Property;

/// Properties that tell when a record was made: the older objects have the first one, activities and others the second.
const CREATED: [&str; 2] = ["createdate", "hs_createdate"];
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

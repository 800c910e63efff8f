//! Whether HubSpot counts more records than it has shown.
//!
//! Each stretch of ids that was listed is counted once more, by a search; each window that was searched has its count in
//! the answer. Where the count is higher, the same is read again; where it still is, every id that the search shows is
//! asked for by itself. What then is lacking HubSpot counts and does not show: the run says so, and fails.
//!
//! A lower count is none of ours: records come and go while a run reads, and the index of the search lags.

use super::{ObjectFeed, Result};
use crate::feeds::cursor::Unfinished;
use crate::feeds::slice::{Slice, Stretch, Walk};

/// Records that one count is for: what is read again, at the most, where one is lacking.
pub(super) const STRETCH_RECORDS: u64 = 40_000;
/// Times that a window is searched whose pages show less than it counts.
const MAX_WALKS: u32 = 3;

/// What HubSpot says of a range of ids.
#[derive(Debug)]
pub(super) struct Count {
    total: u64,
    /// The ids that the search shows, where the count was too high twice.
    ids: Option<Vec<u64>>,
}

impl ObjectFeed {
    pub(super) async fn counted(
        &self,
        from: u64,
        below: Option<u64>,
        rows: u64,
        is_second: bool,
    ) -> Result<Count> {
        let total = self.count(None, from, below).await?;
        if total <= rows || !is_second {
            return Ok(Count { total, ids: None });
        }
        let (mut ids, mut next) = (Vec::new(), Some(from));
        while let Some(from) = next {
            let found = self.search(None, from, below).await?;
            ids.extend(found.records.into_iter().map(|(id, _)| id));
            next = found.next;
        }
        Ok(Count { total: self.count(None, from, below).await?, ids: Some(ids) })
    }

    /// What follows from a count.
    pub(super) fn judge(&self, slice: &Slice, count: Count, run: &mut Unfinished) {
        let &Slice::Counted { from, below, rows, .. } = slice else { return };
        let name = self.object.name;
        let Count { total, ids } = count;
        if total <= rows {
            run.counted += rows;
            return;
        }
        let Some(ids) = ids else {
            tracing::warn!(
                feed.name = name,
                "HubSpot counts {total} records {}, and showed {rows}: they are read again",
                range(from, below)
            );
            run.then.push(Slice::Again { from, below, after: None, rows: 0 });
            return;
        };
        let shown = ids.len() as u64;
        if total > shown.max(rows) {
            run.short.push(format!(
                "HubSpot counts {total} {name} {}, and shows {}, however often it is asked: the rest is not in the \
                 table. Run again in mode backfill; if it stays, ask HubSpot's support",
                range(from, below),
                shown.max(rows)
            ));
        } else {
            run.counted += shown.max(rows);
        }
        if !ids.is_empty() {
            run.then.push(Slice::Named { ids });
        }
    }

    /// The search over a window has come to its end.
    pub(super) fn judge_walk(&self, slice: &Slice, total_now: Option<u64>, run: &mut Unfinished) {
        let &Slice::Changed { since_ms, until_ms, below, walk: Walk { shown, before, .. }, .. } = slice
        else {
            return;
        };
        match total_now {
            Some(total) if total > shown && before + 1 < MAX_WALKS => {
                let walk = Walk { before: before + 1, ..Walk::default() };
                run.then.push(Slice::Changed { since_ms, until_ms, from: 0, below, walk });
            }
            Some(total) if total > shown => {
                let name = self.object.name;
                // The next run looks again.
                run.moves_watermark = false;
                let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
                run.short.push(format!(
                    "HubSpot counts {total} {name} that changed between {} and {}, and shows {shown}, however often it \
                     is asked: the rest is not in the table. The next run looks again; if it stays, run in mode backfill",
                    time(since_ms).to_rfc3339(),
                    time(until_ms).to_rfc3339()
                ));
            }
            _ => run.counted += shown,
        }
    }

    /// Stretches that are to be counted: the long ones, and at the end all.
    pub(super) fn due_counts(run: &mut Unfinished, is_end: bool) -> Vec<Slice> {
        if is_end {
            join(&mut run.stretches);
        }
        let is_due =
            |stretch: &mut Stretch| is_end || (stretch.below.is_some() && stretch.rows >= STRETCH_RECORDS);
        run.stretches
            .extract_if(.., is_due)
            .map(|Stretch { from, below, rows }| Slice::Counted { from, below, rows, is_second: false })
            .collect()
    }
}

/// Adds ids that were read to the stretch that ends where they begin.
pub(super) fn extend(stretches: &mut Vec<Stretch>, from: u64, below: Option<u64>, rows: u64) {
    // A list that does not go by ids is one stretch.
    let is_sequence = below.is_none();
    let before = stretches.iter_mut().find(|stretch| match is_sequence {
        true => stretch.below.is_none(),
        false => stretch.below == Some(from),
    });
    match before {
        Some(stretch) => {
            stretch.below = below;
            stretch.rows += rows;
        }
        None => stretches.push(Stretch { from, below, rows }),
    }
}

/// Makes one of stretches that adjoin, as far as one count is for them.
fn join(stretches: &mut Vec<Stretch>) {
    stretches.sort_unstable_by_key(|stretch| stretch.from);
    let mut joined: Vec<Stretch> = Vec::with_capacity(stretches.len());
    for stretch in stretches.drain(..) {
        match joined.last_mut() {
            Some(last) if last.below == Some(stretch.from) && last.rows + stretch.rows <= STRETCH_RECORDS => {
                last.below = stretch.below;
                last.rows += stretch.rows;
            }
            _ => joined.push(stretch),
        }
    }
    *stretches = joined;
}

fn range(from: u64, below: Option<u64>) -> String {
    match below {
        Some(below) => format!("with ids from {from} to {}", below.saturating_sub(1)),
        None => "in all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_make_stretches() {
        let mut stretches = Vec::new();
        for (from, below, rows) in [(0, 50, 7), (100, 150, 3), (50, 100, 1), (150, 160, 0)] {
            extend(&mut stretches, from, Some(below), rows);
        }
        let stretch = |from, below, rows| Stretch { from, below: Some(below), rows };
        assert_eq!(stretches, [stretch(0, 100, 8), stretch(100, 160, 3)]);
        join(&mut stretches);
        assert_eq!(stretches, [stretch(0, 160, 11)]);
    }

    #[test]
    fn a_count_is_for_so_many_and_a_sequence_is_one() {
        let mut stretches = Vec::new();
        extend(&mut stretches, 0, Some(9), STRETCH_RECORDS);
        extend(&mut stretches, 9, Some(12), 1);
        assert_eq!(stretches.len(), 1);
        extend(&mut stretches, 20, Some(22), STRETCH_RECORDS);
        extend(&mut stretches, 22, Some(23), 0);
        extend(&mut stretches, 12, Some(20), 1);
        join(&mut stretches);
        assert_eq!(stretches.len(), 2);
        let mut sequence = Vec::new();
        extend(&mut sequence, 0, None, 5);
        extend(&mut sequence, 0, None, 6);
        assert_eq!(sequence, [Stretch { from: 0, below: None, rows: 11 }]);
    }
}

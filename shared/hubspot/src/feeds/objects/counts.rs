//! Comparison of HubSpot's counts with the records that it has shown.
//!
//! Each range of ids that was listed is counted once more, by a search; each window that was searched has its count in
//! the answer. Where the count is higher, the same is read again; where it still is, every id that the search shows is
//! asked for by itself. What then is lacking HubSpot counts and does not show: the count is set aside, by the ids that it
//! is of, and each later run counts them again.
//!
//! A lower count is none of ours: records come and go while a run reads, and the index of the search lags.

use serde_json::Value;

use super::object_feed::ObjectFeed;
use super::state::RunOfRecords;
use super::state::read_ranges::{Count, KIND, RANGE_RECORDS, ReadRange, Surplus, join};
use super::state::slice::{SearchPass, Slice};
use crate::error::Result;
use crate::feeds::quarantine::Thing;

/// Times that a window is searched whose pages show less than it counts.
const MAX_PASSES: u32 = 3;

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
}

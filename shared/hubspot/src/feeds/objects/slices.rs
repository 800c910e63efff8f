//! Planning a run: which slices it has, and where a slice goes on after a page.

use std::collections::HashSet;

use super::pages::Next;
use super::{MAX_NEW_PROPERTIES, ObjectFeed, Window, counts};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::{Cursor, Mode, Unfinished};
use crate::feeds::slice::{Slice, Walk};

/// A lower bound of 0 makes the search fail with a 500: one second after the epoch does not.
const FIRST_INSTANT_MS: i64 = 1_000;

impl ObjectFeed {
    pub(super) async fn plan_run(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.client.now().timestamp_millis();
        let lookback = self.session.lookback;
        let archived = Slice::Listed { archived: true, from: 0, below: None, after: None };
        let mut run = Unfinished::new(self.mode, now_ms, lookback.overlap_ms + lookback.lag_ms);
        let is_windowed = !window.is_whole();
        // A run over a window reads no past values of a new property.
        run.properties = (!is_windowed).then(|| self.properties.clone());
        // A window read first leaves everything older: the next run without one reads it all.
        run.moves_watermark =
            window.moves_watermark(cursor) && (cursor.watermark_ms.is_some() || !is_windowed);
        if self.mode != Mode::Incremental && !is_windowed {
            // Archived records first: one that is restored meanwhile is then known, and found by the next run if the
            // live list was past it. The other way round it would show in neither list.
            run.is_whole = true;
            run.slices = vec![archived];
            self.plan_what_is_wanted(&mut run);
            run.then = self.ranges(cursor).await?;
            return Ok(run);
        }
        let since_ms = match (window.since_ms, self.mode, cursor.watermark_ms) {
            (Some(since_ms), _, _) => since_ms,
            (None, Mode::Incremental, Some(watermark_ms)) => watermark_ms.saturating_sub(lookback.overlap_ms),
            (None, Mode::Incremental, None) => return Err(Error::nothing_to_start_from(self.object.name)),
            (None, _, _) => FIRST_INSTANT_MS,
        };
        run.slices.push(changed(since_ms, window.until_ms.unwrap_or(now_ms)));
        if run.moves_watermark {
            run.slices.push(archived);
        } else {
            run.archived = cursor.archived.clone();
        }
        if !is_windowed {
            self.plan_what_is_wanted(&mut run);
            self.plan_new_properties(&mut run);
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
    async fn ranges(&self, cursor: &mut Cursor) -> Result<Vec<Slice>> {
        let end = self.top_id().await? + 1;
        if !cursor.is_sequential && !self.pages_by_id(end - 1).await? {
            tracing::warn!(
                feed.name = self.object.name,
                "the list does not page by id: it is read in one sequence"
            );
            cursor.is_sequential = true;
        }
        let range = |from, below| Slice::Listed { archived: false, from, below, after: None };
        Ok(match cursor.is_sequential {
            true => vec![range(0, None)],
            false => vec![range(0, Some(end)), range(end, None)],
        })
    }
}

fn changed(since_ms: i64, until_ms: i64) -> Slice {
    let walk = Walk::default();
    Slice::Changed { since_ms: since_ms.max(FIRST_INSTANT_MS), until_ms, from: 0, below: None, walk }
}

impl Slice {
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
            (Slice::Again { below, after, .. }, Some(Next::After(next))) => {
                next_position(*below, after, next)
            }
            (Slice::Listed { below, after, archived, .. }, Some(Next::After(next))) => {
                next_position(below.filter(|_| !*archived), after, next)
            }
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
            (Slice::Counted { .. }, Some(Next::Nothing)) => Ok(true),
            (Slice::Named { ids }, Some(Next::Done(done))) => {
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
            Slice::Listed { archived: false, from, below, .. } | Slice::Again { from, below, .. }
                if *from > 0 || below.is_some()
        )
    }

    /// Remembers what a page of a list has read, until it is counted. The page began at the id `begins_at`.
    pub(super) fn count_rows(
        &mut self,
        begins_at: u64,
        ids: &HashSet<u64>,
        is_last: bool,
        run: &mut Unfinished,
    ) {
        let (is_range, position, rows) = (self.is_range(), self.position(), ids.len() as u64);
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
        Slice::Listed { archived: false, from, below, after: None }
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
    fn positions_that_are_no_ids_end_the_ranges() {
        let error = range(0, Some(9_000)).advance(Some(Next::After(Some("x".into())))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unordered);
    }

    proptest! {
        #[test]
        fn a_cut_loses_no_id_and_doubles_none(from in 0..1_000_u64, width in 0..10_000_u64, position in 0..5_000_u64) {
            let mut lower = range(from, Some(from + width));
            if position > from {
                let _ = lower.advance(Some(Next::After(Some(position.to_string()))));
            }
            let whole = lower.clone();
            if let Some(upper) = lower.split(1) {
                for id in 0..12_000 {
                    prop_assert_eq!(u8::from(lower.holds(id)) + u8::from(upper.holds(id)), u8::from(whole.holds(id)));
                }
                prop_assert!(lower.width() > 0 && upper.width() > 0);
            }
        }
    }
}

//! A part of a run that reads records: where it begins and ends, and where it goes on after a page.

use serde::{Deserialize, Serialize};
use staging::Pairs;

use super::merge::Merge;
use super::read_ranges::Surplus;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::own::FeedState;
use crate::feeds::slice::FEWEST_PAGES;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(in crate::feeds) enum Slice {
    /// Ids from `from` up to and without `below`, by the list endpoint. `after` is HubSpot's own word for where the
    /// next page begins; without one the slice begins at `from`. `top` is the highest id of archived records, by and
    /// large, where their list may be cut.
    Listed {
        archived: bool,
        from: u64,
        below: Option<u64>,
        after: Option<String>,
        #[serde(default)]
        top: Option<u64>,
    },
    /// Records changed in a window of time (both ends included), ids from `from` up to and without `below`, by search.
    Changed {
        since_ms: i64,
        until_ms: i64,
        from: u64,
        below: Option<u64>,
        #[serde(default, rename = "walk")]
        pass: SearchPass,
    },
    /// Records that a page of a search found.
    Found { ids: Vec<u64> },
    /// Records that have a value of this property, ids from `from` on, by search.
    #[serde(rename = "having")]
    WithProperty { property: String, from: u64 },
    /// These records by their ids, the last ones first.
    #[serde(rename = "named")]
    ByIds { ids: Vec<u64> },
    /// The same for records that an answer has left out: this is the second time that they are asked for, and the last.
    #[serde(rename = "left")]
    LeftOut { ids: Vec<u64> },
    /// The same for records that a comparison found: see [`staging::Wanted`]. What HubSpot does not show any more is a
    /// tombstone.
    Wanted { records: Pairs },
    /// Records that others say were merged into them, the last ones first.
    Merged { merges: Vec<Merge> },
    /// Ids from `from` up to and without `below` once more, since HubSpot counts more records than were read of them.
    #[serde(rename = "again")]
    Reread { from: u64, below: Option<u64>, after: Option<String>, rows: u64 },
    /// HubSpot is asked whether there are no more than `rows` records of these ids.
    #[serde(rename = "counted")]
    Count { from: u64, below: Option<u64>, rows: u64, is_second: bool },
    /// HubSpot is asked once more for records that it counted and did not show: those changed in a window of time, or all,
    /// with ids from `from` up to and without `below`.
    #[serde(rename = "recounted")]
    Recount { window: Option<(i64, i64)>, from: u64, below: Option<u64> },
    /// The live records of halves of the ids are counted. Where none is given, the archived ones that the run has read
    /// say where to cut.
    #[serde(rename = "halved")]
    CountHalves { halves: Vec<Vec<(u64, u64)>> },
    /// Associations of these records with one object.
    Linked { ids: Vec<u64>, to: String },
    /// The types of associations with one object.
    LinkTypes { to: String },
    /// The definitions of properties.
    Definitions,
}

/// Progress of a search from its first page to its last, and of the same search before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct SearchPass {
    /// Records that HubSpot counted at the first page.
    pub(crate) told: Option<u64>,
    /// Records that the pages showed.
    pub(crate) shown: u64,
    /// Walks over the same window before this one.
    pub(crate) before: u32,
    #[serde(default)]
    pub(crate) odd: Surplus,
}

/// The ids that a page of a list showed.
#[derive(Debug, Clone, Copy)]
pub(in crate::feeds::objects) struct Listing {
    pub(in crate::feeds::objects) lowest: Option<u64>,
    pub(in crate::feeds::objects) highest: Option<u64>,
    pub(in crate::feeds::objects) is_sorted: bool,
}

impl Listing {
    pub(in crate::feeds::objects) fn of(ids: impl Iterator<Item = u64> + Clone) -> Listing {
        Listing { lowest: ids.clone().min(), highest: ids.clone().max(), is_sorted: ids.is_sorted() }
    }

    /// From the first id to the last.
    pub(in crate::feeds::objects) fn span(&self) -> u64 {
        self.highest.unwrap_or(0) - self.lowest.unwrap_or(0)
    }
}

/// Where a slice goes on after a page.
#[derive(Debug)]
pub(in crate::feeds::objects) enum Advance {
    /// The list goes on at this token, or ends.
    After(Option<String>),
    /// The search goes on at this id, or ends.
    From(Option<u64>),
    /// The same, and records that its pages showed so far.
    Found { from: Option<u64>, shown: u64 },
    /// These ids are done.
    Done(usize),
    /// The slice was one call.
    Nothing,
}

impl FeedState for Slice {
    fn width(&self) -> u64 {
        Slice::width(self)
    }

    fn split(&mut self, page_span: u64) -> Option<Slice> {
        Slice::split(self, page_span)
    }
}

impl Slice {
    /// Ids that are left to read; 0 where the slice can't be cut.
    pub(in crate::feeds::objects) fn width(&self) -> u64 {
        match self {
            Slice::Listed { archived: true, top: None, .. } => 0,
            Slice::Listed { below: Some(below), .. } => below.saturating_sub(self.position()),
            Slice::Listed { after: Some(_), top: Some(top), .. } => top.saturating_sub(self.position()),
            _ => 0,
        }
    }

    /// The first id the slice has not read, as far as it is known.
    pub(in crate::feeds::objects) fn position(&self) -> u64 {
        match self {
            Slice::Listed { from, after, .. } | Slice::Reread { from, after, .. } => {
                after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(*from)
            }
            _ => 0,
        }
    }

    fn split(&mut self, page_span: u64) -> Option<Slice> {
        let (position, width) = (self.position(), self.width());
        if width < FEWEST_PAGES.saturating_mul(page_span.max(1)) {
            return None;
        }
        let Slice::Listed { archived, below, top, .. } = self else { return None };
        let middle = position + width / 2;
        let upper =
            Slice::Listed { archived: *archived, from: middle, below: *below, after: None, top: *top };
        *below = Some(middle);
        Some(upper)
    }

    /// The end of a slice of ids.
    pub(in crate::feeds::objects) fn below(&self) -> Option<u64> {
        match self {
            Slice::Listed { below, .. } | Slice::Changed { below, .. } | Slice::Reread { below, .. } => {
                *below
            }
            _ => None,
        }
    }

    /// `true`: this slice is the one that reads the id.
    pub(in crate::feeds) fn holds(&self, id: u64) -> bool {
        match self {
            Slice::Listed { from, below, .. }
            | Slice::Changed { from, below, .. }
            | Slice::Reread { from, below, .. } => id >= *from && below.is_none_or(|below| id < below),
            _ => true,
        }
    }

    /// Moves the slice behind its page. `true`: that was its last one.
    pub(in crate::feeds::objects) fn advance(&mut self, next: Option<Advance>) -> Result<bool> {
        match (self, next) {
            (
                Slice::Listed { below, after, .. } | Slice::Reread { below, after, .. },
                Some(Advance::After(next)),
            ) => next_position(*below, after, next),
            (Slice::Changed { from, below, pass, .. }, Some(Advance::Found { from: next, shown })) => {
                pass.shown = shown;
                let Some(next) = next else { return Ok(true) };
                *from = next;
                Ok(below.is_some_and(|below| next >= below))
            }
            (Slice::WithProperty { from, .. }, Some(Advance::From(next))) => {
                *from = next.unwrap_or(*from);
                Ok(next.is_none())
            }
            (Slice::Wanted { records }, Some(Advance::Done(done))) => {
                for _ in 0..done {
                    records.0.pop_last();
                }
                Ok(records.0.is_empty())
            }
            (Slice::Merged { merges }, Some(Advance::Done(done))) => {
                merges.truncate(merges.len().saturating_sub(done));
                Ok(merges.is_empty())
            }
            (
                Slice::Count { .. }
                | Slice::Recount { .. }
                | Slice::CountHalves { .. }
                | Slice::Linked { .. }
                | Slice::LinkTypes { .. }
                | Slice::Definitions,
                Some(Advance::Nothing),
            ) => Ok(true),
            (
                Slice::ByIds { ids } | Slice::LeftOut { ids } | Slice::Found { ids },
                Some(Advance::Done(done)),
            ) => {
                ids.truncate(ids.len().saturating_sub(done));
                Ok(ids.is_empty())
            }
            _ => Err(foreign()),
        }
    }

    /// The slice is one of several, told apart by id: its pages must come in the order of ids.
    pub(in crate::feeds::objects) fn is_range(&self) -> bool {
        matches!(
            self,
            Slice::Listed { from, below, .. } | Slice::Reread { from, below, .. }
                if *from > 0 || below.is_some()
        )
    }

    /// Checks that the list goes by id: its page is sorted, does not begin before its position, and the next position is
    /// not before its end. A slice that is not yet cut then never is.
    ///
    /// # Errors
    /// [`ErrorKind::Unordered`] for a slice that is cut.
    pub(in crate::feeds::objects) fn expect_order(
        &mut self,
        listing: &Listing,
        next: Option<&str>,
    ) -> Result<()> {
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
}

pub(in crate::feeds::objects) fn foreign() -> Error {
    Error::new(ErrorKind::Malformed, "a page does not belong to its slice")
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
        assert!(!slice.advance(Some(Advance::After(Some("500".into())))).unwrap());
        assert!(slice.advance(Some(Advance::After(Some("1000".into())))).unwrap());
        assert!(range(0, None).advance(Some(Advance::After(None))).unwrap());
    }

    #[test]
    fn a_page_that_does_not_move_is_an_error() {
        let mut slice = range(0, None);
        slice.advance(Some(Advance::After(Some("abc".into())))).unwrap();
        assert!(slice.advance(Some(Advance::After(Some("abc".into())))).is_err());
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
    fn positions_that_are_no_ids_end_the_ranges() {
        let error = range(0, Some(9_000)).advance(Some(Advance::After(Some("x".into())))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unordered);
    }

    proptest! {
        #[test]
        fn a_cut_loses_no_id_and_doubles_none(from in 0..1_000_u64, width in 0..10_000_u64, position in 0..5_000_u64) {
            let open = Slice::Listed { archived: true, from, below: None, after: None, top: Some(from + width) };
            for mut lower in [range(from, Some(from + width)), open] {
                if position > from {
                    let _ = lower.advance(Some(Advance::After(Some(position.to_string()))));
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

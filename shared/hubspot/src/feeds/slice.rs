//! A part of a run that can be paged and resumed on its own, and how one is cut in two when somebody has nothing to do.

use serde::{Deserialize, Serialize};
use staging::Pairs;

use crate::error::{Error, ErrorKind};

/// Pages that must be left in a slice before it is cut: the reader of a cut slice reads up to a page for nothing.
pub(super) const FEWEST_PAGES: u64 = 12;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Slice {
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
        #[serde(default)]
        walk: Walk,
    },
    /// Records that a page of a search found.
    Found { ids: Vec<u64> },
    /// Records that have a value of this property, ids from `from` on, by search.
    Having { property: String, from: u64 },
    /// These records by their ids, the last ones first.
    Named { ids: Vec<u64> },
    /// The same for records that an answer has left out: this is the second time that they are asked for, and the last.
    Left { ids: Vec<u64> },
    /// The same for records that a comparison found: see [`staging::Wanted`]. What HubSpot does not show any more is a
    /// tombstone.
    Wanted { records: Pairs },
    /// Records that others say were merged into them, the last ones first.
    Merged { merges: Vec<Merge> },
    /// Ids from `from` up to and without `below` once more, since HubSpot counts more records than were read of them.
    Again { from: u64, below: Option<u64>, after: Option<String>, rows: u64 },
    /// HubSpot is asked whether there are no more than `rows` records of these ids.
    Counted { from: u64, below: Option<u64>, rows: u64, is_second: bool },
    /// HubSpot is asked once more for records that it counted and did not show: those changed in a window of time, or all,
    /// with ids from `from` up to and without `below`.
    Recounted { window: Option<(i64, i64)>, from: u64, below: Option<u64> },
    /// The live records of halves of the ids are counted. Where none is given, the archived ones that the run has read
    /// say where to cut.
    Halved { halves: Vec<Vec<(u64, u64)>> },
    /// What happened in a window of time (both ends included), by and large newest first; `reached_ms` comes down with each
    /// page: above it all is read, but for what HubSpot shows out of order.
    Happened {
        since_ms: i64,
        until_ms: i64,
        asked: Option<Asked>,
        #[serde(default)]
        reached_ms: Option<i64>,
    },
    /// What was submitted with one form, newest first, down to `since_ms`.
    Submitted { form: Form, since_ms: i64, after: Option<String> },
    /// How the addresses of the contacts stand, from this position of HubSpot's list on.
    Addresses { after: Option<String> },
    /// Everything there is, in one go.
    All,
}

/// A record that another one, the survivor, names as merged into it. Whether that is so, HubSpot is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    pub(crate) id: u64,
    pub(crate) survivor: u64,
    /// The survivor's version, and when it was archived.
    pub(crate) updated_ms: Option<i64>,
    pub(crate) archived_ms: Option<i64>,
    /// When the survivor was read.
    pub(crate) read_ms: i64,
    /// Another source showed the record as a part of the survivor.
    pub(crate) is_shown: bool,
    /// One answer has left it out.
    pub(crate) is_second: bool,
}

/// How a search goes, from its first page to its last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Records that HubSpot counted at the first page.
    pub(crate) told: Option<u64>,
    /// Records that the pages showed.
    pub(crate) shown: u64,
    /// Walks over the same window before this one.
    pub(crate) before: u32,
    #[serde(default)]
    pub(crate) odd: OddCount,
}

/// Where, among the ids that a search walks through, HubSpot counts more records than it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OddCount {
    /// The first id of the last page, and the records that HubSpot counted behind that page.
    pub(crate) last: Option<(u64, u64)>,
    /// Ids from the first one up to and without the second.
    pub(crate) range: Option<(u64, Option<u64>)>,
}

/// Ids that were read, without a gap, and how many records they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    pub(crate) from: u64,
    /// `None` where the list does not go by ids: all of them.
    pub(crate) below: Option<u64>,
    pub(crate) rows: u64,
}

/// A window as HubSpot was asked for it, and its word for where the next page begins: good for a while, and for exactly
/// this window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) offset: String,
}

/// What a submission says nothing of, and its form does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) form_type: String,
}

impl Slice {
    /// A window of time of which nothing is read.
    pub(crate) fn happened(since_ms: i64, until_ms: i64) -> Slice {
        Slice::Happened { since_ms, until_ms, asked: None, reached_ms: None }
    }

    /// Ids, or milliseconds, that are left to read; 0 where the slice can't be cut.
    pub fn width(&self) -> u64 {
        match self {
            Slice::Listed { archived: true, top: None, .. } => 0,
            Slice::Listed { below: Some(below), .. } => below.saturating_sub(self.position()),
            Slice::Listed { after: Some(_), top: Some(top), .. } => top.saturating_sub(self.position()),
            Slice::Happened { since_ms, until_ms, reached_ms, .. } => {
                let reached_ms = reached_ms.map_or(*until_ms, |reached_ms| reached_ms.min(*until_ms));
                u64::try_from(reached_ms.saturating_sub(*since_ms)).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The first id the slice has not read, as far as it is known.
    pub(crate) fn position(&self) -> u64 {
        match self {
            Slice::Listed { from, after, .. } | Slice::Again { from, after, .. } => {
                after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(*from)
            }
            _ => 0,
        }
    }

    /// Cuts the half off that is read last, for another reader. `None` when too little is left, judging by the ids or
    /// milliseconds that the last page spanned.
    pub fn split(&mut self, page_span: u64) -> Option<Slice> {
        let (position, width) = (self.position(), self.width());
        if width < FEWEST_PAGES.saturating_mul(page_span.max(1)) {
            return None;
        }
        match self {
            Slice::Listed { archived, below, top, .. } => {
                let middle = position + width / 2;
                let upper = Slice::Listed {
                    archived: *archived,
                    from: middle,
                    below: *below,
                    after: None,
                    top: *top,
                };
                *below = Some(middle);
                Some(upper)
            }
            Slice::Happened { since_ms, .. } => {
                let middle = *since_ms + (width / 2) as i64;
                let older = Slice::happened(*since_ms, middle);
                *since_ms = middle + 1;
                Some(older)
            }
            _ => None,
        }
    }
}

/// A cursor that was written by another feed, or by another program.
pub(super) fn foreign(slice: &Slice) -> Error {
    Error::new(ErrorKind::Malformed, format!("the cursor holds a slice that is not this feed's: {slice:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(slice: &Slice, instant_ms: i64) -> bool {
        let Slice::Happened { since_ms, until_ms, .. } = slice else { return false };
        (*since_ms..=*until_ms).contains(&instant_ms)
    }

    proptest! {
        #[test]
        fn a_cut_window_loses_no_instant_and_doubles_none(
            since_ms in 0..1_000_i64,
            width in 0..5_000_i64,
            read in proptest::option::of(0..5_000_i64),
        ) {
            let reached_ms = read.map(|read| since_ms + (width - read).max(0));
            let mut newer =
                Slice::Happened { since_ms, until_ms: since_ms + width, asked: None, reached_ms };
            let whole = newer.clone();
            if let Some(older) = newer.split(1) {
                for at in 0..7_000 {
                    let held = u8::from(holds(&newer, at)) + u8::from(holds(&older, at));
                    prop_assert_eq!(held, u8::from(holds(&whole, at)));
                }
            }
        }
    }
}

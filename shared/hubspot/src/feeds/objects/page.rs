//! A page: the answers of its calls, and what is known of its records besides.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::answers::associations::LinkSets;
use super::answers::listed::record_ids;
use super::answers::unknown::Unknown;
use super::state::live_count::Halves;
use super::state::merge::Merge;
use super::state::read_ranges::{Count, Surplus};
use super::state::slice::{Advance, Listing, Slice};
use super::tables::beside::Associated;
use crate::error::Result;
use crate::json::Body;

/// Answers that are fetched, not yet rows.
#[derive(Debug, Default)]
pub(in crate::feeds) struct Page {
    pub(in crate::feeds) bodies: Vec<Body>,
    pub(super) associated: Associated,
    /// Associations with their types, by the object at the other end.
    pub(super) sets: Vec<LinkSets>,
    /// Associations are refused, and why.
    pub(super) refused: Option<String>,
    /// Records that are linked with others of the same object, where a list tells.
    pub(super) with_own: Option<HashSet<u64>>,
    /// The position at which the slice goes on, when the bodies don't say.
    pub(super) next: Option<Advance>,
    /// Of a list, when the bodies don't say.
    pub(super) listing: Option<Listing>,
    /// Records the page showed that are known already, as (id, changed at or archived at).
    pub(super) known: Vec<(u64, i64)>,
    pub(super) is_archived: bool,
    /// The newest change that the search for changes shows. Values are read after it, and may be newer than its index.
    pub(super) newest_ms: Option<i64>,
    /// Number of bodies before those with archived records, where both are.
    pub(super) live_bodies: Option<usize>,
    /// Ids that a search found, and nobody has asked for yet.
    pub(super) found: Vec<u64>,
    /// Ids that were asked for: an answer may lack some.
    pub(super) asked: Vec<u64>,
    /// Of these, what is neither live nor archived by HubSpot's word.
    pub(super) absent: Vec<u64>,
    /// Records that are there, and of which something could not be read.
    pub(in crate::feeds) unknown: Unknown,
    /// Records that are to be asked for once more before their rows are written.
    pub(in crate::feeds) again: BTreeSet<u64>,
    /// Contacts that contacts v1 was asked for.
    pub(in crate::feeds) asked_of_v1: Vec<u64>,
    /// Ids that were asked for, and are nowhere, with the versions that the table holds.
    pub(super) gone: Vec<(u64, Option<i64>)>,
    /// Records named as merged that are not live.
    pub(super) merged_away: Vec<Merge>,
    /// Records named as merged that the answer leaves out, and does not say that they are not there.
    pub(super) unsettled: Vec<Merge>,
    /// Versions that the table holds of records that a comparison found.
    pub(super) versions: BTreeMap<u64, i64>,
    /// For a range of ids.
    pub(super) count: Option<Count>,
    /// The live records of halves of the ids.
    pub(super) halves: Option<Halves>,
    /// For a window: what HubSpot counted at the search's first page, and counts at its end, if that was asked.
    pub(super) told: Option<u64>,
    pub(super) told_now: Option<u64>,
    pub(super) odd: Surplus,
    /// The search can't be asked for this.
    pub(super) is_refused: bool,
    /// Ids at which the list stands still, and why: the next page is behind them.
    pub(super) unlisted: Option<(String, String)>,
    /// The list stands still, and only HubSpot knows its positions: the search has to show what is left.
    pub(super) is_stuck: bool,
    /// HubSpot does not know the slice's position any more: this is its first page.
    pub(super) is_from_the_top: bool,
}

impl Page {
    pub(in crate::feeds) fn size_bytes(&self) -> usize {
        self.bodies.iter().map(|body| body.len()).sum()
    }

    /// Ids of its live records of the slice.
    pub(in crate::feeds) fn live_ids(&self, slice: &Slice) -> Result<Vec<u64>> {
        let mut ids = Vec::new();
        if !self.is_archived {
            let live = &self.bodies[..self.live_bodies.unwrap_or(self.bodies.len())];
            for body in live.iter().filter(|body| body.has_list("results")) {
                ids.extend(record_ids(body)?.into_iter().filter(|id| slice.holds(*id)));
            }
        }
        Ok(ids)
    }
}

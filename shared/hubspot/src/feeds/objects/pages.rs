//! Fetching a page of a slice: the calls that it takes, and what is known of its records besides the answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::json;

use super::archive::Halves;
use super::calls::{self, Head, ListPage};
use super::counts::Count;
use super::links::LinkSets;
use super::records::Associated;
use super::slice::{Merge, SearchPass, Slice, Surplus};
use super::unknown::Unknown;
use super::{ObjectFeed, Result};
use crate::error::{Error, ErrorKind};
use crate::feeds::recent::RecentReads;
use crate::feeds::unfinished::Mode;
use crate::json::Body;
use crate::paging;
use crate::retry::Patience;

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

/// The ids that a page of a list showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    pub(super) lowest: Option<u64>,
    pub(super) highest: Option<u64>,
    pub(super) is_sorted: bool,
}

impl Listing {
    pub(super) fn of(ids: impl Iterator<Item = u64> + Clone) -> Listing {
        Listing { lowest: ids.clone().min(), highest: ids.clone().max(), is_sorted: ids.is_sorted() }
    }

    /// From the first id to the last.
    pub(super) fn span(&self) -> u64 {
        self.highest.unwrap_or(0) - self.lowest.unwrap_or(0)
    }
}

#[derive(Debug)]
pub(super) enum Advance {
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

impl ObjectFeed {
    pub(in crate::feeds) async fn page(&self, slice: &Slice, limit: usize) -> Result<Page> {
        match slice {
            Slice::Listed { .. } | Slice::Reread { .. } => self.listed(slice, limit).await,
            &Slice::Count { from, below, rows, is_second } => {
                let count = self.counted(from, below, rows, is_second).await?;
                Ok(Page { next: Some(Advance::Nothing), count: Some(count), ..Page::default() })
            }
            &Slice::Recount { window, from, below } => {
                let count = self.recounted(window, from, below).await?;
                Ok(Page { next: Some(Advance::Nothing), count: Some(count), ..Page::default() })
            }
            Slice::CountHalves { halves } => {
                let halves = self.count_halves(halves.clone()).await?;
                Ok(Page { next: Some(Advance::Nothing), halves: Some(halves), ..Page::default() })
            }
            &Slice::Changed { since_ms, until_ms, from, below, pass } => {
                self.changed_page(since_ms, until_ms, (from, below), pass).await
            }
            Slice::WithProperty { property, from } => self.having_page(property, *from).await,
            Slice::Found { ids } => {
                let most = limit * calls::SEARCH_RECORDS / calls::PAGE_RECORDS;
                self.found_page(ids[ids.len() - ids.len().min(most)..].to_vec()).await
            }
            Slice::ByIds { ids } | Slice::LeftOut { ids } => {
                self.named_page(&ids[ids.len() - ids.len().min(limit)..]).await
            }
            Slice::Merged { merges } => {
                self.merged_page(&merges[merges.len() - merges.len().min(limit)..]).await
            }
            Slice::Linked { ids, to } => self.linked_page(ids, to).await,
            Slice::LinkTypes { to } => self.types_page(to).await,
            // They were read when the feed was opened.
            Slice::Definitions => Ok(Page { next: Some(Advance::Nothing), ..Page::default() }),
            Slice::Wanted { records } => {
                let records = records.0.iter().rev().take(limit).map(|(&id, &version)| (id, version));
                self.wanted_page(records.collect()).await
            }
        }
    }

    /// `true`: a list is read for its ids, and the values apart.
    pub(super) fn reads_ids_first(&self, slice: &Slice, is_archived: bool) -> bool {
        let is_checked = matches!(slice, Slice::Listed { .. }) && is_archived;
        self.is_wide || (is_checked && self.mode == Mode::Incremental)
    }

    /// `true`: positions in the slice's list are opaque: only HubSpot's own tokens lead on.
    pub(super) fn is_sequence(&self, slice: &Slice) -> bool {
        match slice {
            Slice::Listed { archived: true, top, .. } => {
                self.is_archive_sequential || !(slice.is_range() || top.is_some() || self.mode.is_snapshot())
            }
            slice => !slice.is_range(),
        }
    }

    pub(super) async fn listed_page(
        &self,
        page: ListPage,
        slice: &Slice,
        is_archived: bool,
        ids_first: bool,
    ) -> Result<Page> {
        let mut unknown = Unknown::default();
        let (associated, with_own) = self.inline_associated(&page.body, &mut unknown).await?;
        let next = Some(Advance::After(self.position_behind(&page, slice, is_archived).await?));
        if !ids_first {
            let bodies = vec![page.body];
            return Ok(Page { bodies, associated, with_own, next, is_archived, unknown, ..Page::default() });
        }
        let listed = calls::records(&page.body)?;
        let listing = Some(Listing::of(listed.records.iter().map(|record| record.0)));
        let in_slice = listed.records.into_iter().filter(|record| slice.holds(record.0));
        let (known, ids) = self.parted(in_slice, is_archived);
        let answers = self.batch_read(&ids, is_archived, &mut unknown).await?;
        let bodies = answers.into_iter().map(|(_, body)| body).collect();
        let page =
            Page { bodies, associated, with_own, next, listing, known, is_archived, ..Page::default() };
        Ok(Page { asked: ids, unknown, ..page })
    }

    /// Parts listed records into those that are known already and the ids of the others.
    pub(super) fn parted(
        &self,
        records: impl Iterator<Item = Head>,
        is_archived: bool,
    ) -> (Vec<(u64, i64)>, Vec<u64>) {
        // Archived records have values of new properties too, and no search shows them: all of them are read again.
        let may_be_known = is_archived && self.new_properties.is_empty();
        let may_be_known = |ms| may_be_known && self.reread_since_ms.is_none_or(|since_ms| ms < since_ms);
        parted(records, |id, ms| may_be_known(ms) && self.archived.holds(id, ms))
    }

    /// HubSpot's word for where the list goes on; `None` at its end.
    ///
    /// A full page that names no other is the last one only if nothing is behind its last record: HubSpot leaves paging
    /// out where there is no more, and so does an answer that tells of it in other words.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when more is there and nothing tells where.
    pub(super) async fn position_behind(
        &self,
        page: &ListPage,
        slice: &Slice,
        is_archived: bool,
    ) -> Result<Option<String>> {
        let is_unsaid = match page.body.next(page.limit) {
            paging::Next::At(after) => return Ok(Some(after)),
            paging::Next::End => return Ok(None),
            paging::Next::Full => false,
            paging::Next::Unsaid => true,
        };
        let shown = record_ids(&page.body)?;
        let behind = shown.iter().max().map_or(0, |last| last + 1);
        if !slice.holds(behind) {
            return Ok(Some(behind.to_string()));
        }
        let rest = match self.list(is_archived, Some(&behind.to_string()), 1, true, Patience::Little).await {
            // There is something, if nothing that can be shown.
            Err(failed) if failed.may_be_of_a_part() => return Ok(Some(behind.to_string())),
            rest => rest?,
        };
        match record_ids(&rest.body)?.iter().min() {
            Some(&id) if id >= behind => Ok(Some(behind.to_string())),
            // The list takes no id for a position: it has no way to say more.
            Some(_) if is_unsaid => {
                let message =
                    format!("a full page of the list of {} does not say where it goes on", self.object.name);
                Err(Error::new(ErrorKind::Malformed, message))
            }
            _ => Ok(None),
        }
    }

    async fn changed_page(
        &self,
        since_ms: i64,
        until_ms: i64,
        (from, below): (u64, Option<u64>),
        pass: SearchPass,
    ) -> Result<Page> {
        let window = self.changed_in(Some(since_ms), Some(until_ms));
        let found = self.search(window.clone(), from, below).await?;
        let told = pass.told.or(found.total);
        let shown = pass.shown + found.records.len() as u64;
        let odd = pass.odd.count(from, &found);
        let mut told_now = None;
        if found.next.is_none() && told.is_some_and(|told| told > shown) {
            // Records that changed meanwhile have left the window, and its count.
            told_now = self.count_or_why(window, 0, below).await?.ok();
        }
        let newest_ms = found.records.iter().filter_map(|record| record.1).max();
        let is_known = |id, ms| self.recent.hold(RecentReads::hash(id, ms));
        let (known, new) = parted(found.records.into_iter(), is_known);
        let next = Some(Advance::Found { from: found.next, shown });
        Ok(Page { known, newest_ms, found: new, next, told, told_now, odd, ..Page::default() })
    }

    async fn having_page(&self, property: &str, from: u64) -> Result<Page> {
        let has_value = json!({ "propertyName": property, "operator": "HAS_PROPERTY" });
        match self.search(Some(has_value), from, None).await {
            Ok(found) => {
                let ids = found.records.into_iter().map(|(id, _)| id).collect();
                Ok(Page { found: ids, next: Some(Advance::From(found.next)), ..Page::default() })
            }
            Err(refused) if refused.kind() == ErrorKind::BadRequest => {
                Ok(Page { next: Some(Advance::From(None)), is_refused: true, ..Page::default() })
            }
            Err(failed) => Err(failed),
        }
    }
}

/// The ids that an answer shows.
pub(in crate::feeds) fn record_ids(body: &str) -> Result<Vec<u64>> {
    Ok(calls::records(body)?.records.into_iter().map(|(id, _)| id).collect())
}

/// Parts records into those that are known already, with the instant that says so, and the ids of the others.
fn parted(
    records: impl Iterator<Item = Head>,
    is_known: impl Fn(u64, i64) -> bool,
) -> (Vec<(u64, i64)>, Vec<u64>) {
    let (mut known, mut new) = (Vec::new(), Vec::new());
    for (id, instant_ms) in records {
        match instant_ms {
            Some(ms) if is_known(id, ms) => known.push((id, ms)),
            _ => new.push(id),
        }
    }
    (known, new)
}

/// The `after` of a range's first page: one before its first id, so that it does not matter whether `after` includes the
/// id it names.
pub(super) fn first_after(from: u64) -> Option<String> {
    (from > 0).then(|| (from - 1).to_string())
}

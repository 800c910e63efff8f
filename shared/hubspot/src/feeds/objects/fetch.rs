//! Fetching a page of a slice: the calls that it takes.

use serde_json::json;

use super::answers::listed::{self, Head, ListPage, PAGE_RECORDS, SEARCH_RECORDS, record_ids};
use super::answers::unknown::Unknown;
use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::slice::{Advance, Listing, SearchPass, Slice};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::recent::RecentReads;
use crate::feeds::unfinished::Mode;
use crate::paging;
use crate::retry::Patience;

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
                let most = limit * SEARCH_RECORDS / PAGE_RECORDS;
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
        let listed = listed::records(&page.body)?;
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

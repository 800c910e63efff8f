//! Getting past a record that HubSpot can't show. Where a page of a list fails, its ids come from a list of ids alone, or
//! from the search; the values come by batch reads, in halves around the one that fails. That one is set aside, and the
//! list goes on behind it.
//!
//! Each step is tried a few times, not for minutes: all of it takes some twenty calls and as many seconds. Where nothing
//! is answered, it is HubSpot that fails, and the call that has full patience says so.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::answers::listed::{self, Head, ListPage, record_ids};
use super::answers::unknown::Unknown;
use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::slice::{self, Advance, Listing, Slice};
use super::tables::beside::Associated;
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::retry::Patience;
use crate::version;

/// Smaller and smaller pages lead to the record that a page can't show.
const PAGES_NEAR_TROUBLE: u32 = 10;

impl ObjectFeed {
    /// A page of a list, or what can be had of it; once, from the slice's top, if HubSpot does not know its position any
    /// more.
    pub(super) async fn listed(&self, slice: &Slice, limit: usize) -> Result<Page> {
        let (is_archived, from, after) = match slice {
            Slice::Listed { archived, from, after, .. } => (*archived, *from, after),
            Slice::Reread { from, after, .. } => (false, *from, after),
            _ => return Err(slice::foreign()),
        };
        let position = after.clone().or_else(|| first_after(from));
        let one_less = |left: u32| left.checked_sub(1);
        _ = self.pages_near_trouble.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        let page = match self.list_page(slice, is_archived, position.as_deref(), limit, self.patience()).await
        {
            // A position that only HubSpot knows may be dead, the first time that it is refused.
            Err(failed)
                if failed.may_be_of_a_part()
                    && !(failed.kind() == ErrorKind::BadRequest
                        && after.is_some()
                        && self.is_sequence(slice)
                        && self.may_restart(is_archived, from)) =>
            {
                self.around(slice, is_archived, position.as_deref(), limit, failed).await
            }
            page => page,
        };
        match page {
            Err(dead)
                if dead.kind() == ErrorKind::BadRequest
                    && after.is_some()
                    && self.may_restart(is_archived, from) =>
            {
                self.restarted.lock().unwrap_or_else(PoisonError::into_inner).insert((is_archived, from));
                tracing::warn!(feed.name = self.object.name, "a position in the list is refused: {dead}");
                let top = first_after(from);
                let page = self.list_page(slice, is_archived, top.as_deref(), limit, Patience::Full).await?;
                Ok(Page { is_from_the_top: true, ..page })
            }
            page => page,
        }
    }

    async fn list_page(
        &self,
        slice: &Slice,
        is_archived: bool,
        position: Option<&str>,
        limit: usize,
        patience: Patience,
    ) -> Result<Page> {
        let ids_first = self.reads_ids_first(slice, is_archived);
        let page = self.list(is_archived, position, limit, ids_first, patience).await?;
        self.listed_page(page, slice, is_archived, ids_first).await
    }

    /// A few tries; near a record that the list can't show, each way is tried once.
    fn patience(&self) -> Patience {
        let left = self.pages_near_trouble.load(Ordering::Relaxed);
        if left == 0 { Patience::Little } else { Patience::Once }
    }

    /// Once for each part of a list.
    fn may_restart(&self, is_archived: bool, from: u64) -> bool {
        !self.restarted.lock().unwrap_or_else(PoisonError::into_inner).contains(&(is_archived, from))
    }

    /// The page whose list call has failed.
    async fn around(
        &self,
        slice: &Slice,
        is_archived: bool,
        position: Option<&str>,
        limit: usize,
        failed: Error,
    ) -> Result<Page> {
        let name = self.object.name;
        tracing::warn!(feed.name = name, "a page of the list can't be had, and is read by ids: {failed}");
        if let Some(body) = answered(self.ids(is_archived, position, limit, self.patience()).await)? {
            return self.of_ids(slice, is_archived, body, limit).await;
        }
        if self.is_sequence(slice) {
            // What a position stands for is HubSpot's secret: the search finds all that have an id.
            return match slice {
                Slice::Listed { archived: false, .. } => {
                    Ok(Page { next: Some(Advance::After(None)), is_stuck: true, ..Page::default() })
                }
                _ => self.as_far_as_it_goes(slice, position, limit, failed).await,
            };
        }
        let Some(from) = position.map_or(Some(0), |position| position.parse().ok()) else {
            return self.list_page(slice, is_archived, position, limit, Patience::Full).await;
        };
        if !is_archived
            && slice.is_range()
            && let Some(mut found) =
                answered(self.search_with(None, from, slice.below(), self.patience()).await)?
        {
            found.records.truncate(limit);
            if let Some(&(last, _)) = found.records.last() {
                let next = Some((last + 1).to_string());
                return self.with_values(slice, is_archived, found.records, next).await;
            }
        }
        self.pages_near_trouble.store(PAGES_NEAR_TROUBLE, Ordering::Relaxed);
        match self.by_positions(slice, is_archived, (position, from), limit, failed).await {
            // Nothing is answered: then it is HubSpot, and may be over.
            Err(failed) if failed.may_be_of_a_part() => {
                tracing::warn!(feed.name = name, "HubSpot answers nothing of the list: {failed}");
                self.list_page(slice, is_archived, position, limit, Patience::Full).await
            }
            page => page,
        }
    }

    /// The list of archived records stands still, and nobody but HubSpot knows a position behind the record that it can't
    /// show. What is before it is read, by smaller pages; the rest is set aside. Those that are known are asked for by id.
    async fn as_far_as_it_goes(
        &self,
        slice: &Slice,
        position: Option<&str>,
        limit: usize,
        failed: Error,
    ) -> Result<Page> {
        self.pages_near_trouble.store(PAGES_NEAR_TROUBLE, Ordering::Relaxed);
        let mut smaller = limit / 2;
        while smaller > 0 {
            let patience = Patience::of_part(smaller, limit);
            if let Some(body) = answered(self.ids(true, position, smaller, patience).await)? {
                return self.of_ids(slice, true, body, smaller).await;
            }
            smaller /= 2;
        }
        // If HubSpot answers otherwise, it is the record.
        self.ids(false, None, 1, Patience::Full).await?;
        let rest = match position {
            Some(position) => format!("behind {position}, and all that follow"),
            None => "the first one, and all that follow".to_owned(),
        };
        let unlisted = Some((rest, failed.reason().to_owned()));
        Ok(Page { next: Some(Advance::After(None)), unlisted, is_archived: true, ..Page::default() })
    }

    /// A page of a list of ids alone.
    async fn ids(
        &self,
        is_archived: bool,
        position: Option<&str>,
        limit: usize,
        patience: Patience,
    ) -> Result<Body> {
        let after = position.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
        let path = format!(
            "/crm/objects/{}/{}?limit={limit}&archived={is_archived}&properties=hs_object_id{after}",
            version::OBJECTS,
            self.object.path
        );
        self.client.send_for_list(&Call::get(path).with(patience), "results").await
    }

    async fn of_ids(&self, slice: &Slice, is_archived: bool, body: Body, limit: usize) -> Result<Page> {
        let page = ListPage { body, limit };
        let next = self.position_behind(&page, slice, is_archived).await?;
        self.with_values(slice, is_archived, listed::records(&page.body)?.records, next).await
    }

    /// The values of listed records. A snapshot of ids needs none.
    async fn with_values(
        &self,
        slice: &Slice,
        is_archived: bool,
        records: Vec<Head>,
        next: Option<String>,
    ) -> Result<Page> {
        let listing = Some(Listing::of(records.iter().map(|record| record.0)));
        let next = Some(Advance::After(next));
        if self.layout.property_names().next().is_none() && self.associations.is_empty() {
            let bodies = vec![body_of(&records, is_archived)?];
            return Ok(Page { bodies, next, listing, is_archived, ..Page::default() });
        }
        let (known, ids) =
            self.parted(records.into_iter().filter(|record| slice.holds(record.0)), is_archived);
        let mut unknown = Unknown::default();
        let answers = self.batch_read(&ids, is_archived, &mut unknown).await?;
        let bodies = answers.into_iter().map(|(_, body)| body).collect();
        let shown: Vec<u64> = ids.iter().copied().filter(|id| !unknown.holds(*id)).collect();
        let mut sets = Vec::new();
        let associated = match is_archived {
            true => Associated::new(),
            false => self.associated(&shown, &mut unknown, &mut sets).await?,
        };
        let asked = ids;
        let page = Page { bodies, associated, sets, next, listing, known, is_archived, ..Page::default() };
        Ok(Page { asked, unknown, ..page })
    }

    /// Gets past a place at which the list itself stands still: by a smaller page, or by the position behind it.
    async fn by_positions(
        &self,
        slice: &Slice,
        is_archived: bool,
        (position, from): (Option<&str>, u64),
        limit: usize,
        failed: Error,
    ) -> Result<Page> {
        let mut smaller = limit / 2;
        while smaller > 0 {
            let patience = Patience::of_part(smaller, limit);
            if let Some(body) = answered(self.ids(is_archived, position, smaller, patience).await)? {
                return self.of_ids(slice, is_archived, body, smaller).await;
            }
            smaller /= 2;
        }
        let Some(bad) = self.unlisted(is_archived, from).await? else { return Err(failed) };
        // The list shows it at no position; by its id it may be shown, or refused.
        let next = Some((bad + 1).to_string());
        let page = self.with_values(slice, is_archived, vec![(bad, None)], next).await?;
        let mut is_told = !slice.holds(bad) || page.unknown.holds(bad);
        for body in page.bodies.iter().filter(|body| body.has_list("results")) {
            is_told |= record_ids(body)?.contains(&bad);
        }
        let unlisted = (!is_told).then(|| (bad.to_string(), failed.reason().to_owned()));
        Ok(Page { unlisted, ..page })
    }

    /// The record that the list can't show, and that is the first one behind `from`: each position up to its own shows it
    /// first. Parts of the list that end before it, or begin there, meet the same one: it is looked for once, and the
    /// others wait. `None` where HubSpot answers nothing.
    async fn unlisted(&self, is_archived: bool, from: u64) -> Result<Option<u64>> {
        let mut known = self.unlisted.lock().await;
        let next = known.range((is_archived, from)..=(is_archived, u64::MAX)).next();
        let mut bad = from;
        let mut good = match next.map(|(&(_, id), &since)| (id, since)) {
            Some((id, since)) if since <= from => return Ok(Some(id)),
            Some((id, since)) => match self.goes_on_between(is_archived, from, since).await? {
                Some(place) => place,
                // If HubSpot answers otherwise, it is the record.
                None if self.goes_on_at(is_archived, id.saturating_add(1)).await? => {
                    known.insert((is_archived, id), from);
                    return Ok(Some(id));
                }
                None => return Ok(None),
            },
            None => {
                let mut step = 1;
                loop {
                    let next = bad.saturating_add(step);
                    if step > MOST_IDS {
                        return Ok(None);
                    }
                    if self.goes_on_at(is_archived, next).await? {
                        break next;
                    }
                    (bad, step) = (next, step * 2);
                }
            }
        };
        loop {
            while good - bad > 1 {
                let middle = bad + (good - bad) / 2;
                if self.goes_on_at(is_archived, middle).await? {
                    good = middle;
                } else {
                    bad = middle;
                }
            }
            // Where it is the second one of two such records, the list goes on at some place before it, too.
            match self.goes_on_between(is_archived, from, bad).await? {
                Some(before) => (good, bad) = (before, from),
                None => break,
            }
        }
        known.insert((is_archived, bad), from);
        Ok(Some(bad))
    }

    /// A place between two at which the list stands still.
    async fn goes_on_between(&self, is_archived: bool, from: u64, bad: u64) -> Result<Option<u64>> {
        let mut step = 1;
        while let Some(place) = bad.checked_sub(step).filter(|place| *place > from) {
            if self.goes_on_at(is_archived, place).await? {
                return Ok(Some(place));
            }
            step *= 2;
        }
        Ok(None)
    }

    async fn goes_on_at(&self, is_archived: bool, position: u64) -> Result<bool> {
        let body = self.ids(is_archived, Some(&position.to_string()), 1, Patience::Once).await;
        Ok(answered(body)?.is_some())
    }
}

/// Steps between ids beyond which there are none.
const MOST_IDS: u64 = 1 << 60;

/// `None` where another way may lead on.
fn answered<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failed) if failed.may_be_of_a_part() => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// An answer that shows these records, without values.
fn body_of(records: &[Head], is_archived: bool) -> Result<Body> {
    let time = |ms| chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339();
    let name = if is_archived { "archivedAt" } else { "updatedAt" };
    let record =
        |&(id, ms): &Head| json!({ "id": id.to_string(), "archived": is_archived, name: ms.map(time) });
    let results: Vec<_> = records.iter().map(record).collect();
    Ok(Body::new(json!({ "results": results }).to_string().into())?)
}

/// The `after` of a range's first page: one before its first id, so that it does not matter whether `after` includes the
/// id it names.
fn first_after(from: u64) -> Option<String> {
    (from > 0).then(|| (from - 1).to_string())
}

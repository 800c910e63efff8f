//! The calls of the object endpoints, as requests: what is asked, and what the answer means apart from its rows.

use serde_json::{Value, json};

use super::answers::association_calls::{answers, source};
use super::answers::filters::{ID, groups, id_filters};
use super::answers::listed::{Found, ListPage, Listed, PAGE_RECORDS, SEARCH_RECORDS, listed, records};
use super::answers::unknown::{RECORD, Unknown};
use super::object_feed::ObjectFeed;
use super::tables::histories::HistoryTable;
use super::tables::layout::Layout;
use crate::budget::RateLimit;
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;
use crate::retry::Patience;
use crate::version;

/// The same where HubSpot shows the past of properties: it refuses more.
const MAX_WITH_HISTORY: usize = 50;
/// Characters that the property names may take in a URL. HubSpot answers 414 from somewhere around 8,000 for the
/// whole of it.
const MAX_NAMES_CHARS: usize = 6_000;
/// Pages of a search without a single record that are followed before giving up.
const MAX_EMPTY_PAGES: usize = 50;
/// Times that a page of a search is asked for again when its ids are out of order.
const MAX_UNSORTED_PAGES: usize = 3;

/// `true`: all property names fit the URL of a list call.
pub(super) fn fits_url(layout: &Layout, histories: Option<&HistoryTable>) -> bool {
    let of_history = histories.into_iter().flat_map(|table| &table.properties);
    let of_history: usize = of_history.map(|name| percent_encoded(name).len() + 1).sum();
    names_parameter(layout).len() + of_history <= MAX_NAMES_CHARS
}

/// Records in an answer with values.
pub(super) fn most_records(histories: Option<&HistoryTable>) -> usize {
    let has_history = histories.is_some_and(|table| !table.properties.is_empty());
    if has_history { MAX_WITH_HISTORY } else { PAGE_RECORDS }
}

fn names_parameter(layout: &Layout) -> String {
    let names: Vec<String> = layout.property_names().map(percent_encoded).collect();
    if names.is_empty() { ID.to_owned() } else { names.join(",") }
}

impl ObjectFeed {
    /// Records in an answer with their values, and their past where it is wanted.
    pub(super) fn page_records(&self) -> usize {
        most_records(self.histories.as_ref())
    }

    /// One page of the list endpoint, with all values or with ids alone.
    pub(super) async fn list(
        &self,
        archived: bool,
        after: Option<&str>,
        limit: usize,
        ids_only: bool,
        patience: Patience,
    ) -> Result<ListPage> {
        let names = match ids_only {
            true => ID.to_owned(),
            false => names_parameter(&self.layout),
        };
        let limit = if ids_only { limit } else { limit.min(self.page_records()) };
        let mut path = format!(
            "/crm/objects/{}/{}?limit={limit}&archived={archived}&properties={names}",
            version::OBJECTS,
            self.object.path
        );
        let own = self.asks_own().then_some(self.object.path);
        let associations: Vec<&str> = self.associations.iter().copied().chain(own).collect();
        if !associations.is_empty() {
            path.push_str(&format!("&associations={}", associations.join(",")));
        }
        let history: Vec<String> = self.history_names().map(percent_encoded).collect();
        if !ids_only && !history.is_empty() {
            path.push_str(&format!("&propertiesWithHistory={}", history.join(",")));
        }
        if let Some(after) = after {
            path.push_str(&format!("&after={}", percent_encoded(after)));
        }
        match self.client.send_for_list(&Call::get(path).with(patience), "results").await {
            Ok(body) => Ok(ListPage { body, limit }),
            Err(refused) if refused.kind() == ErrorKind::MissingScope => {
                Err(self.refused_part(refused).await)
            }
            Err(failed) => Err(failed),
        }
    }

    /// A list is refused as a whole when only the associations it was asked for are.
    async fn refused_part(&self, refused: Error) -> Error {
        for &other in &self.associations {
            if let Ok(false) = answers(self.object, &self.client, other).await {
                return refused.lost_if_refused(&source(other));
            }
        }
        refused
    }

    /// The values of these records, in answers of at most [`ObjectFeed::page_records`]. An answer may lack some; those that are
    /// refused by themselves are named in `unknown`.
    pub(super) async fn batch_read(
        &self,
        ids: &[u64],
        archived: bool,
        unknown: &mut Unknown,
    ) -> Result<Vec<(Vec<u64>, Body)>> {
        let path =
            format!("/crm/objects/{}/{}/batch/read?archived={archived}", version::OBJECTS, self.object.path);
        let names: Vec<&str> = self.layout.property_names().collect();
        let history: Vec<&str> = self.history_names().collect();
        let call = |ids: &[u64]| {
            let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id.to_string() })).collect();
            let body = json!({ "inputs": inputs, "properties": names, "propertiesWithHistory": history });
            Call::post(path.clone(), body.to_string(), RateLimit::General)
        };
        let read = self.batches.read(&self.client, ids, call).await?;
        for (id, refused) in read.refused {
            unknown.add(id, RECORD, refused.to_string());
        }
        Ok(read.answers)
    }

    /// Records that the filter holds for, ids from `from` on, as far as one page goes.
    ///
    /// Each page is a search of its own that starts behind the last id, so neither the 10,000 results that one search
    /// may page through nor a crowd in one millisecond is a limit. A short page is no end; only no next page is.
    pub(super) async fn search_with(
        &self,
        filter: Option<Value>,
        from: u64,
        below: Option<u64>,
        patience: Patience,
    ) -> Result<Found> {
        let filters: Vec<Value> = filter.into_iter().chain(id_filters(from, below)).collect();
        let sorted = json!([{ "propertyName": ID, "direction": "ASCENDING" }]);
        let mut search = json!({
            "filterGroups": groups(filters),
            "sorts": sorted,
            "properties": [ID, self.object.modified],
            "limit": SEARCH_RECORDS,
            "after": "0",
        });
        let (mut empty_pages, mut unsorted_pages) = (0, 0);
        loop {
            let (mut listed, goes_on) = self.send_search(&search, patience).await?;
            // A bound that HubSpot leaves out of account.
            listed.records.retain(|record| below.is_none_or(|below| record.0 < below));
            let is_in_order = listed.records.is_sorted_by(|a, b| a.0 < b.0)
                && listed.records.first().is_none_or(|record| record.0 >= from);
            if !is_in_order && unsorted_pages < MAX_UNSORTED_PAGES {
                unsorted_pages += 1;
                continue;
            } else if !is_in_order {
                let message = format!(
                    "the search of {} does not sort by id: its pages would leave gaps",
                    self.object.name
                );
                return Err(Error::new(ErrorKind::Malformed, message));
            }
            let Some(&(last, _)) = listed.records.last() else {
                match goes_on {
                    Next::At(after) if empty_pages < MAX_EMPTY_PAGES => {
                        empty_pages += 1;
                        search["after"] = Value::from(after);
                        continue;
                    }
                    Next::At(_) | Next::Unsaid => {
                        let message =
                            format!("the search of {} goes on without an end or a record", self.object.name);
                        return Err(Error::new(ErrorKind::Malformed, message));
                    }
                    Next::End | Next::Full => {
                        return Ok(Found { records: Vec::new(), next: None, total: listed.total });
                    }
                }
            };
            let may_be_all = match goes_on {
                Next::End => true,
                // HubSpot leaves paging out where there is no more: then its count says so.
                Next::Full => listed.total.is_some(),
                Next::At(_) | Next::Unsaid => false,
            };
            let is_all = may_be_all && listed.total.is_none_or(|total| total <= listed.records.len() as u64);
            let next = (!is_all).then_some(last + 1);
            return Ok(Found { records: listed.records, next, total: listed.total });
        }
    }

    /// The highest id of a live record, 0 where there is none, or where no search can show it: then nobody knows how far the
    /// list may be cut.
    pub(super) async fn top_id(&self) -> Result<u64> {
        let search = json!({
            "filterGroups": [],
            "sorts": [{ "propertyName": ID, "direction": "DESCENDING" }],
            "properties": [ID],
            "limit": 1,
            "after": "0",
        });
        match self.send_search(&search, Patience::Little).await {
            Ok((listed, _)) => Ok(listed.records.first().map_or(0, |record| record.0)),
            Err(failed) if failed.may_be_of_a_part() => {
                tracing::warn!(feed.name = self.object.name, "the highest id can't be had: {failed}");
                self.search_for_nothing(None).await.map(|()| 0)
            }
            Err(failed) => Err(failed),
        }
    }

    /// Records changed in the window, both ends included; all where it is open on both sides.
    pub(super) fn changed_in(&self, since_ms: Option<i64>, until_ms: Option<i64>) -> Option<Value> {
        let property = self.object.modified;
        match (since_ms, until_ms) {
            (None, None) => None,
            (Some(since_ms), None) => {
                Some(json!({ "propertyName": property, "operator": "GTE", "value": since_ms.to_string() }))
            }
            (None, Some(until_ms)) => {
                Some(json!({ "propertyName": property, "operator": "LTE", "value": until_ms.to_string() }))
            }
            (Some(since_ms), Some(until_ms)) => Some(json!({
                "propertyName": property,
                "operator": "BETWEEN",
                "value": since_ms.to_string(),
                "highValue": until_ms.to_string(),
            })),
        }
    }

    /// Live records that the filter holds for, with these ids, by HubSpot's count.
    pub(super) async fn count_with(
        &self,
        filter: Option<Value>,
        from: u64,
        below: Option<u64>,
        patience: Patience,
    ) -> Result<u64> {
        let filters: Vec<Value> = filter.into_iter().chain(id_filters(from, below)).collect();
        self.count_in(groups(filters), patience).await
    }

    /// Live records that one of the groups of filters holds for.
    pub(super) async fn count_in(&self, groups: Value, patience: Patience) -> Result<u64> {
        let search = json!({
            "filterGroups": groups,
            "sorts": [{ "propertyName": ID, "direction": "ASCENDING" }],
            "properties": [ID],
            "limit": 1,
            "after": "0",
        });
        self.send_search(&search, patience).await?.0.total.ok_or_else(|| {
            Error::new(ErrorKind::Malformed, format!("a search of {} tells no total", self.object.name))
        })
    }

    /// Sends a search: its records, and the position of its next page. HubSpot's specification requires `sorts` and `after` in every body.
    async fn send_search(&self, search: &Value, patience: Patience) -> Result<(Listed, Next)> {
        let path = format!("/crm/objects/{}/{}/search", version::OBJECTS, self.object.path);
        let call = Call::post(path, search.to_string(), RateLimit::Search).with(patience);
        let body = self.client.send_for_list(&call, "results").await?;
        Ok((listed(&body, Some(self.object.modified))?, body.next(SEARCH_RECORDS)))
    }

    /// `true`: the list takes an id for `after`. Asked for the page at `id`, it begins there.
    pub(super) async fn pages_by_id(&self, id: u64) -> Result<bool> {
        match self.list(false, Some(&id.to_string()), 1, true, Patience::Full).await {
            Ok(page) => Ok(records(&page.body)?.records.first().is_none_or(|record| record.0 >= id)),
            Err(refused) if refused.kind() == ErrorKind::BadRequest => Ok(false),
            Err(failed) => Err(failed),
        }
    }
}

//! Searches that HubSpot fails on because of one record: every page that shows it, or every search that it is among the
//! results of. The record's id is found by halving the ids that are searched; it is read by that id like all others, and
//! the search goes on behind it.
//!
//! Each step is tried once. Where nothing is answered it is HubSpot that fails, and a search for nothing, which has full
//! patience, says so.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use serde_json::Value;

use super::answers::filters::{groups, id_filters};
use super::answers::listed::Found;
use super::object_feed::ObjectFeed;
use crate::error::{Error, Result};
use crate::retry::Patience;

/// Such records that a run looks for: each takes up to some eighty searches.
const MOST: usize = 100;
/// The first step between ids, and the one beyond which there are none.
const FIRST_STEP: u64 = 1 << 20;
const LAST_STEP: u64 = 1 << 60;

impl ObjectFeed {
    fn unsearchable(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unsearchable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of a search, like [`ObjectFeed::search_with`]: a record that no search can show is among those found, without
    /// the moment of its change.
    pub(super) async fn search(&self, filter: Option<Value>, from: u64, below: Option<u64>) -> Result<Found> {
        loop {
            let known = match below {
                Some(below) if below > from => self.unsearchable().range(from..below).next().copied(),
                Some(_) => None,
                None => self.unsearchable().range(from..).next().copied(),
            };
            let alone = |bad: u64| Found {
                records: vec![(bad, None)],
                next: below.is_none_or(|below| bad + 1 < below).then_some(bad + 1),
                total: None,
            };
            if known == Some(from) {
                return Ok(alone(from));
            }
            match self.search_with(filter.clone(), from, known.or(below), Patience::Little).await {
                Ok(mut found) => {
                    if let Some(bad) = known {
                        // The number is that of the ids before it.
                        found.total = None;
                        if found.next.is_none() {
                            let Found { records, next, .. } = alone(bad);
                            found.records.extend(records);
                            found.next = next;
                        }
                    }
                    return Ok(found);
                }
                Err(failed) if failed.may_be_of_a_part() => {
                    if !self.find_unsearchable(filter.clone(), from, known.or(below), failed).await? {
                        // It was a bad moment of HubSpot's.
                        return self.search_with(filter, from, known.or(below), Patience::Full).await;
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
    }

    /// Finds the record that a search fails on; `false` where HubSpot has answered well by now.
    async fn find_unsearchable(
        &self,
        filter: Option<Value>,
        from: u64,
        below: Option<u64>,
        failed: Error,
    ) -> Result<bool> {
        let name = self.object.name;
        tracing::warn!(feed.name = name, "a search can't be had, and is made in parts: {failed}");
        if self.unsearchable().len() >= MOST {
            return Err(failed);
        }
        self.search_for_nothing(filter.clone()).await?;
        let mut good = from;
        let mut bad = match below {
            Some(below) => below,
            None => {
                let mut step = FIRST_STEP;
                loop {
                    let next = from.saturating_add(step);
                    if self.fails(filter.clone(), from, next, Patience::Once).await? {
                        break next;
                    }
                    if step > LAST_STEP {
                        return Ok(false);
                    }
                    (good, step) = (next, step * 2);
                }
            }
        };
        while bad.saturating_sub(good) > 1 {
            let middle = good + (bad - good) / 2;
            if self.fails(filter.clone(), from, middle, Patience::Once).await? {
                bad = middle;
            } else {
                good = middle;
            }
        }
        if !self.fails(filter, good, good.saturating_add(1), Patience::Little).await? {
            return Ok(false);
        }
        tracing::warn!(
            feed.name = name,
            record.id = good,
            "no search can show a record: it is read by its id"
        );
        self.unsearchable().insert(good);
        Ok(true)
    }

    async fn fails(&self, filter: Option<Value>, from: u64, below: u64, patience: Patience) -> Result<bool> {
        match self.search_with(filter, from, Some(below), patience).await {
            Ok(_) => Ok(false),
            Err(failed) if failed.may_be_of_a_part() => Ok(true),
            Err(failed) => Err(failed),
        }
    }

    /// HubSpot answers a search of this kind that no record is among the results of.
    pub(super) async fn search_for_nothing(&self, filter: Option<Value>) -> Result<()> {
        self.search_with(filter, 1, Some(1), Patience::Full).await.map(|_| ())
    }

    /// The number of live records that the filter holds for, with these ids, by HubSpot's count; or why it has none,
    /// though it answers other searches.
    pub(super) async fn count_or_why(
        &self,
        filter: Option<Value>,
        from: u64,
        below: Option<u64>,
    ) -> Result<Result<u64, Error>> {
        let filters: Vec<Value> = filter.into_iter().chain(id_filters(from, below)).collect();
        self.count_in_or_why(groups(filters)).await
    }

    /// The same of records that one of the groups of filters holds for.
    pub(super) async fn count_in_or_why(&self, groups: Value) -> Result<Result<u64, Error>> {
        match self.count_in(groups.clone(), Patience::Little).await {
            Err(failed) if failed.may_be_of_a_part() => {}
            count => return count.map(Ok),
        }
        self.search_for_nothing(None).await?;
        match self.count_in(groups, Patience::Little).await {
            Err(failed) if failed.may_be_of_a_part() => {
                tracing::warn!(feed.name = self.object.name, "HubSpot can't count: {failed}");
                Ok(Err(failed))
            }
            count => count.map(Ok),
        }
    }
}

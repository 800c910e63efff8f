//! Memory of the one function that reads many feeds: which ones are wanted, and since when. A document of the state, which the function's scheduled run writes, and its other invocations and the command read.

use std::collections::{BTreeMap, BTreeSet};

use hubspot::feeds::{CustomObjects, Feed, custom_object};
use serde::{Deserialize, Serialize};
use staging::{Shared, State};

use crate::selection::Selection;
use staging::End;

/// Name of the function, and of its reports in the state.
pub const FURTHER: &str = "objects";
/// Name of the document in the state.
const DOCUMENT: &str = "further-feeds";

/// The feeds beyond Segment's that a stack reads, as its last scheduled run found them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherFeeds {
    /// By name.
    pub feeds: BTreeMap<String, FurtherFeed>,
    /// Collections that were read before, and that the account does not show any more.
    #[serde(default)]
    pub missed: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherFeed {
    /// HubSpot's `objectTypeId` of a custom object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_id: Option<String>,
    /// When it was first wanted: until it is read whole, its data are behind since then.
    pub since_ms: i64,
    /// Its collections that nobody named: they are wanted if the account has them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub if_available: BTreeSet<String>,
}

impl FurtherFeed {
    /// `true`: nobody named the collection, and the feed is lacking it: see [`is_lacking`].
    pub fn lacks(&self, feed: &'static dyn Feed, collection: &str, outcome: End, was_read: bool) -> bool {
        is_lacking(feed, outcome, was_read) && self.if_available.contains(collection)
    }
}

/// `true`: the feed has skipped a collection and never read it: the account, or the credential, does not have it. What was
/// read once is missed.
pub fn is_lacking(feed: &'static dyn Feed, outcome: End, was_read: bool) -> bool {
    // A feed of several collections says itself which of them it has never read.
    outcome == End::Skipped && (!was_read || feed.collections().len() > 1)
}

impl FurtherFeeds {
    /// Reads the document; an empty one before the first scheduled run.
    pub async fn read(state: &State) -> Result<FurtherFeeds, staging::Error> {
        Ok(state.shared(DOCUMENT).await?.value)
    }

    /// Takes in what is wanted now, and keeps it. What is not wanted any more is forgotten.
    pub async fn keep(
        state: &State,
        selection: &Selection,
        now_ms: i64,
    ) -> Result<FurtherFeeds, staging::Error> {
        let missed: BTreeSet<String> = selection.missed(state).await.into_iter().collect();
        loop {
            let mut shared: Shared<FurtherFeeds> = state.shared(DOCUMENT).await?;
            let next = shared.value.with(selection, missed.clone(), now_ms);
            if next == shared.value {
                return Ok(next);
            }
            shared.value = next.clone();
            // Whoever came in between found the same.
            if state.swap_shared(DOCUMENT, &shared).await? {
                return Ok(next);
            }
        }
    }

    fn with(&self, selection: &Selection, missed: BTreeSet<String>, now_ms: i64) -> FurtherFeeds {
        let feed = |feed: &'static dyn Feed| {
            let if_available =
                feed.collections().iter().filter(|name| selection.if_available.contains(*name));
            let further = FurtherFeed {
                type_id: selection.type_ids.get(feed.name()).cloned(),
                since_ms: self.feeds.get(feed.name()).map_or(now_ms, |known| known.since_ms),
                if_available: if_available.map(|name| (*name).to_owned()).collect(),
            };
            (feed.name().to_owned(), further)
        };
        FurtherFeeds { feeds: selection.further().map(feed).collect(), missed }
    }

    /// The custom objects among them.
    pub fn custom(&self) -> CustomObjects {
        let mut custom = CustomObjects::default();
        for (name, feed) in &self.feeds {
            if let Some(type_id) = &feed.type_id {
                let feed = custom_object(type_id, name);
                custom.type_ids.insert(feed.name(), type_id.clone());
                custom.feeds.push(feed);
            }
        }
        custom
    }

    /// Returns the feed of this name, if this source or the document knows it.
    pub fn find(&self, name: &str) -> Option<&'static dyn Feed> {
        let custom = || Some(custom_object(self.feeds.get(name)?.type_id.as_deref()?, name));
        hubspot::feeds::further().find(|feed| feed.name() == name).or_else(custom)
    }
}

/// The text that says what a missed collection means, with the next step; `leave_out` is how to leave it out.
pub fn missed_text(leave_out: &str) -> String {
    format!(
        "the account does not show this object any more: it was deleted, or the credential lacks a scope. Its rows \
         stay as they are; add scope crm.schemas.custom.read, or leave it out with {leave_out}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CollectionNames;

    fn selection(names: &[&str], custom: &CustomObjects) -> Selection {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        CollectionNames::new(Some(&names), None).unwrap().among(custom, None)
    }

    fn boats() -> CustomObjects {
        let boats =
            FurtherFeed { type_id: Some("2-9".to_owned()), since_ms: 0, if_available: BTreeSet::new() };
        FurtherFeeds { feeds: [("boats".to_owned(), boats)].into(), missed: BTreeSet::new() }.custom()
    }

    #[tokio::test]
    async fn a_feed_counts_from_when_it_was_first_wanted_until_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        let keep = async |names: &[&str], custom: &CustomObjects, now_ms: i64| {
            FurtherFeeds::keep(&state, &selection(names, custom), now_ms).await.unwrap()
        };
        let none = CustomObjects::default();
        let first = keep(&["segment", "tickets", "boats"], &boats(), 100).await;
        assert_eq!(first.feeds.keys().collect::<Vec<_>>(), ["boats", "tickets"]);
        assert!(first.feeds["tickets"].if_available.is_empty());
        let later = keep(&["all"], &boats(), 200).await;
        assert_eq!((later.feeds["tickets"].since_ms, later.feeds["notes"].since_ms), (100, 200));
        assert!(later.feeds["boats"].if_available.contains("boats") && !later.feeds.contains_key("contacts"));
        assert_eq!(FurtherFeeds::read(&state).await.unwrap(), later);
        assert_eq!(keep(&["segment"], &none, 300).await, FurtherFeeds::default());
        assert_eq!(keep(&["tickets"], &none, 400).await.feeds["tickets"].since_ms, 400);
    }

    #[test]
    fn what_nobody_named_is_lacked_until_it_was_read() {
        let known =
            FurtherFeeds::default().with(&selection(&["all", "owners"], &boats()), BTreeSet::new(), 1);
        let lacks = |name: &str, collection: &str, was_read: bool| {
            let feed = known.find(name).unwrap();
            known.feeds[name].lacks(feed, collection, End::Skipped, was_read)
        };
        assert!(lacks("boats", "boats", false) && !lacks("boats", "boats", true));
        assert!(lacks("metadata", "roles", true) && !lacks("metadata", "owners", true));
        let (boats, feed) = (&known.feeds["boats"], known.find("boats").unwrap());
        assert!(!boats.lacks(feed, "boats", End::Failed, false));
    }

    #[test]
    fn a_custom_object_is_found_by_its_name_without_hubspot() {
        let known = FurtherFeeds::default().with(&selection(&["all"], &boats()), BTreeSet::new(), 1);
        assert_eq!(known.find("boats").unwrap().collections(), ["boats"]);
        assert_eq!(known.find("notes").unwrap().name(), "notes");
        assert!(known.find("contacts").is_none() && known.find("cars").is_none());
        assert_eq!(known.custom().type_ids, boats().type_ids);
    }
}

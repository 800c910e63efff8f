//! Names of collections on the command line, checked against the feeds.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use hubspot::feeds::{FEEDS, Feed};
use load::Modes;

/// The feeds to run, and the collections to merge.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Feeds in the order in which they run.
    pub(crate) feeds: Vec<&'static dyn Feed>,
    /// Selected collections. Others that the same pages fill are read with them, but not merged.
    pub(crate) collections: BTreeSet<&'static str>,
}

/// Returns the tables whose deleted rows are removed, and those with a history.
pub(crate) fn modes(hard_delete: &[String], history: &[String]) -> anyhow::Result<Modes> {
    let by_name: Vec<String> = hard_delete.iter().filter(|name| *name != load::ALL).cloned().collect();
    named(&by_name)?;
    named(history)?;
    let modes = Modes { hard_delete: hard_delete.to_vec(), history: history.to_vec() };
    let in_sets =
        FEEDS.iter().flat_map(|feed| feed.dictionary()).filter(|collection| !collection.set_key.is_empty());
    let in_sets: Vec<&str> = in_sets.map(|collection| collection.name).collect();
    modes.check(&in_sets).map_err(|why| anyhow!("--history can't be used: {why}"))?;
    Ok(modes)
}

fn known() -> Vec<&'static str> {
    FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect()
}

/// Returns the collections of these names, or refuses unknown ones.
fn named(names: &[String]) -> anyhow::Result<BTreeSet<&'static str>> {
    let known = known();
    let find = |name: &String| known.iter().copied().find(|known| known == name);
    let unknown: Vec<String> =
        names.iter().filter(|name| find(name).is_none()).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        bail!("unknown collection {}: use some of {}", unknown.join(", "), known.join(", "));
    }
    Ok(names.iter().filter_map(find).collect())
}

/// Returns the named collections, or all, without those to leave out.
pub(crate) fn selection(
    collections: Option<&[String]>,
    without: Option<&[String]>,
) -> anyhow::Result<Selection> {
    let mut collections = collections.map_or_else(|| Ok(known().into_iter().collect()), named)?;
    for left_out in without.map_or_else(|| Ok(BTreeSet::new()), named)? {
        collections.remove(left_out);
    }
    if collections.is_empty() {
        bail!("no collection is left to sync: --without leaves all of them out");
    }
    let is_wanted =
        |feed: &&'static dyn Feed| feed.collections().iter().any(|name| collections.contains(name));
    Ok(Selection { feeds: FEEDS.iter().copied().filter(is_wanted).collect(), collections })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn an_unknown_collection_lists_the_known_ones() {
        let error = selection(Some(&names(&["contacts", "kontakte"])), None).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown collection \"kontakte\": use some of contacts, contact_"),
            "{error}"
        );
        let error = selection(None, Some(&names(&[""]))).unwrap_err().to_string();
        assert!(error.starts_with("unknown collection \"\""), "{error}");
    }

    #[test]
    fn a_history_is_refused_of_what_is_read_in_sets_and_of_nothing_else() {
        for collection in FEEDS.iter().flat_map(|feed| feed.dictionary()) {
            let modes = modes(&[], &names(&[collection.name]));
            assert_eq!(modes.is_err(), !collection.set_key.is_empty(), "{}: {modes:?}", collection.name);
        }
        let refused = modes(&[], &names(&["contacts", "contact_identities"])).unwrap_err().to_string();
        assert!(refused.starts_with("--history can't be used: contact_identities can't have"), "{refused}");
        assert!(refused.contains("leave it out"), "{refused}");
    }

    #[test]
    fn feeds_run_in_their_own_order_and_once() {
        let selected = selection(Some(&names(&["deals", "contact_identities", "contacts", "deals"])), None);
        let selected = selected.unwrap();
        let feeds: Vec<&str> = selected.feeds.iter().map(|feed| feed.name()).collect();
        assert_eq!(feeds, ["contacts", "deals"]);
        assert_eq!(selected.collections, BTreeSet::from(["contact_identities", "contacts", "deals"]));
    }

    #[test]
    fn all_are_synced_but_for_those_left_out() {
        let all: BTreeSet<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        assert_eq!(selection(None, None).unwrap().collections, all);
        let selected = selection(None, Some(&names(&["email_events", "contact_identities"]))).unwrap();
        assert_eq!(selected.collections.len(), all.len() - 2);
        assert!(selected.feeds.iter().all(|feed| feed.name() != "email_events"));
        assert!(selection(None, Some(&names(&all.into_iter().collect::<Vec<_>>()))).is_err());
    }
}

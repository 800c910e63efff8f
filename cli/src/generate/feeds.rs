//! The facts about each function that reads HubSpot which are repeated in the template and in the documentation.

use extract::FURTHER;
use hubspot::feeds::{FEEDS, Feed};

/// The names that the stack knows a feed by, or the function of all further feeds.
#[derive(Debug, Clone)]
pub(super) struct FeedParts {
    pub(super) name: &'static str,
    /// The collections that it fills; none where the stack's parameter names them.
    pub(super) collections: Vec<&'static str>,
    /// Collections among them whose rows are read in sets.
    pub(super) sets: Vec<&'static str>,
    /// `true`: its records are compared with HubSpot's, by snapshots.
    pub(super) is_compared: bool,
    /// `true`: each run reads everything there is, which is worth it every few hours.
    pub(super) is_full_refresh: bool,
}

impl FeedParts {
    fn of(feed: &'static dyn Feed) -> FeedParts {
        FeedParts {
            name: feed.name(),
            collections: feed.collections().to_vec(),
            sets: sets(feed).collect(),
            is_compared: feed.snapshot().is_some(),
            is_full_refresh: feed.is_full_refresh(),
        }
    }

    /// Makes a feed that this source does not have.
    #[cfg(test)]
    pub(super) fn compared(name: &'static str) -> FeedParts {
        FeedParts {
            name,
            collections: vec![name],
            sets: Vec::new(),
            is_compared: true,
            is_full_refresh: false,
        }
    }

    /// The function of all feeds beyond Segment's.
    fn further() -> FeedParts {
        let shared = hubspot::feeds::shared().into_iter().filter(|collection| !collection.set_key.is_empty());
        let shared = shared.map(|collection| collection.name);
        let sets = hubspot::feeds::further().flat_map(sets).chain(shared).collect();
        FeedParts { name: FURTHER, collections: Vec::new(), sets, is_compared: true, is_full_refresh: false }
    }

    pub(super) fn is_further(&self) -> bool {
        self.collections.is_empty()
    }

    /// Returns its name as CloudFormation has it, which allows no underscore: `ContactLists` of `contact_lists`.
    pub(super) fn logical_name(&self) -> String {
        self.name.split('_').map(capitalized).collect()
    }
}

/// Returns the collections whose rows are read in sets.
fn sets(feed: &dyn Feed) -> impl Iterator<Item = &'static str> {
    let in_sets = feed.dictionary().into_iter().filter(|collection| !collection.set_key.is_empty());
    in_sets.map(|collection| collection.name)
}

/// Returns the tables of metadata, which the stack's parameter has a word for.
pub(super) fn of_metadata() -> Vec<&'static str> {
    let feed = hubspot::feeds::further().find(|feed| feed.name() == "metadata");
    let own = feed.into_iter().flat_map(|feed| feed.collections()).copied();
    own.chain(hubspot::feeds::DEFINITIONS).collect()
}

/// Returns the feeds of [`FEEDS`], and the function of all others.
pub(super) fn of_this_source() -> Vec<FeedParts> {
    FEEDS.iter().map(|feed| FeedParts::of(*feed)).chain([FeedParts::further()]).collect()
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Returns a list as a sentence has it: `a, b and c`.
pub(super) fn spoken(names: &[&str]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.join(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_spoken_with_and_before_its_last() {
        assert_eq!(spoken(&["a", "b", "c"]), "a, b and c");
        assert_eq!(spoken(&["a", "b"]), "a and b");
        assert_eq!(spoken(&["a"]), "a");
        assert_eq!(spoken(&[]), "");
    }

    #[test]
    fn logical_names_are_without_underscores() {
        assert_eq!(FeedParts::compared("contact_lists").logical_name(), "ContactLists");
    }
}

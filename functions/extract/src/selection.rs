//! Names of collections, as the command line and the stack's parameter take them: checked against the feeds, and against
//! the account where they name one of its custom objects.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use hubspot::Client;
use hubspot::feeds::{
    ASSOCIATION_TYPES, ASSOCIATIONS, AssociatedObject, AssociatedObjects, CustomObjects, DEFINITIONS, FEEDS,
    Feed, HistoryProperties, LIST_MEMBERS, LIST_MEMBERSHIPS, PROPERTY_HISTORY,
};
use staging::State;

/// Name for the collections of Segment's source.
const SEGMENT: &str = "segment";
/// Name for the tables that give ids their meaning.
const METADATA: &str = "metadata";
/// Name for whatever the account has.
const ALL: &str = "all";
/// The collection whose lists are read with its records.
const CONTACTS: &str = "contacts";
/// Likeness from which on a known name may be the one that was meant, by Jaro and Winkler: 1 is the same.
const ALIKE: f64 = 0.85;

/// Collections as somebody named them.
#[derive(Debug, Clone)]
pub struct CollectionNames {
    names: Vec<String>,
    without: Vec<String>,
    /// The group of metadata is among the names: definitions of properties belong to it, if any object is read.
    has_metadata: bool,
}

/// The feeds to run, and the collections to merge.
#[derive(Debug)]
pub struct Selection {
    /// Feeds in the order in which they run.
    pub feeds: Vec<&'static dyn Feed>,
    /// Selected collections. Others that the same pages fill are read with them, but not merged.
    pub collections: BTreeSet<&'static str>,
    /// Collections that nobody named: they are wanted if the account has them.
    pub if_available: BTreeSet<&'static str>,
    /// HubSpot's `objectTypeId` of the account's custom objects, by collection.
    pub type_ids: BTreeMap<&'static str, String>,
    /// A remark on what could not be found out.
    pub note: Option<String>,
    /// Names, quoted, that are no collection of the account.
    pub unknown: Vec<String>,
    known: Vec<&'static str>,
    /// The collections that are read, and those that are left out, if all are wanted; else `None`.
    settled: Option<BTreeSet<String>>,
}

impl Default for CollectionNames {
    fn default() -> CollectionNames {
        CollectionNames { names: vec![SEGMENT.to_owned()], without: Vec::new(), has_metadata: false }
    }
}

impl CollectionNames {
    /// The name for whatever the account has.
    pub fn all() -> CollectionNames {
        CollectionNames { names: vec![ALL.to_owned()], without: Vec::new(), has_metadata: false }
    }

    /// Reads the names: collections, `segment`, `metadata`, `all`, and with a minus sign those to leave out. Without any,
    /// `segment`.
    pub fn new(
        collections: Option<&[String]>,
        without: Option<&[String]>,
    ) -> anyhow::Result<CollectionNames> {
        let given = collections.unwrap_or_default().iter().map(|name| name.trim().to_owned());
        let (left_out, names): (Vec<String>, Vec<String>) = given.partition(|name| name.starts_with('-'));
        let left_out = left_out.into_iter().map(|name| name.trim_start_matches('-').to_owned());
        let without: Vec<String> = left_out.chain(without.unwrap_or_default().iter().cloned()).collect();
        let names = if names.is_empty() { vec![SEGMENT.to_owned()] } else { names };
        let has_metadata = names.iter().any(|name| name == METADATA);
        let without = match without.iter().any(|name| name == METADATA) {
            true => without.into_iter().chain(metadata().map(str::to_owned)).collect(),
            false => without,
        };
        if let Some(group) = without.iter().find(|name| [ALL, SEGMENT].contains(&name.as_str())) {
            bail!("{group} can't be left out: name the collections to leave out");
        }
        Ok(CollectionNames { names, without, has_metadata })
    }

    /// The same names and one more, unless it is left out.
    #[must_use]
    pub fn and(mut self, name: &str) -> CollectionNames {
        self.names.push(name.to_owned());
        self
    }

    fn wants(&self, group: &str) -> bool {
        self.names.iter().any(|name| name == group)
    }

    fn is_named(&self, name: &str) -> bool {
        self.wants(name) || (self.wants(SEGMENT) && is_of_segment(name))
    }

    /// `true`: the names select this collection, if it exists.
    pub fn select(&self, name: &str) -> bool {
        let is_left_out = self.without.iter().any(|left_out| left_out == name);
        let is_of_group = self.has_metadata && metadata().any(|table| table == name);
        !is_left_out && (self.wants(ALL) || self.is_named(name) || is_of_group)
    }

    /// `true`: the names don't say enough by themselves: the account's custom objects decide.
    pub fn need_custom_objects(&self) -> bool {
        self.wants(ALL) || !unknown(self.names.iter().chain(&self.without), &known(&[])).is_empty()
    }

    /// Chooses among the feeds, and the custom objects of the account where the names don't say enough by themselves.
    /// Collections that were read before may be left out, whether the account still shows them or not.
    ///
    /// # Errors
    /// For a name that is no collection, and if nothing is left.
    pub async fn of_account(&self, client: &Client, read_before: Vec<String>) -> anyhow::Result<Selection> {
        let before = CustomObjects { former: read_before, ..CustomObjects::default() };
        let (selection, refused) = self.as_far_as_known(client, before).await;
        match refused {
            Some(refused) => Err(refused.into()),
            None => selection.checked(),
        }
    }

    /// Chooses in the same way, and goes on where not all can be found out: with the custom objects that were known
    /// before, and the error of HubSpot. Names that are unknown are noted.
    pub async fn as_far_as_known(
        &self,
        client: &Client,
        before: CustomObjects,
    ) -> (Selection, Option<hubspot::Error>) {
        if !self.need_custom_objects() {
            return (self.among(&CustomObjects::default(), None), None);
        }
        match hubspot::feeds::custom_objects(client).await {
            Ok(mut found) => {
                found.former.extend(before.former);
                let note = (found.nameless > 0).then(|| {
                    format!("{} custom objects have no name or id: they are not read", found.nameless)
                });
                (self.among(&found, note), None)
            }
            // Most accounts have none: their product lacks them.
            Err(refused) if refused.is_unavailable() => {
                let note = format!("custom objects are not read: {refused}");
                let none = CustomObjects { former: before.former, ..CustomObjects::default() };
                (self.among(&none, Some(note)), None)
            }
            Err(failed) => (self.among(&before, None), Some(failed)),
        }
    }

    /// Chooses among the feeds and these custom objects.
    pub fn among(&self, custom: &CustomObjects, note: Option<String>) -> Selection {
        let known = known(&custom.feeds);
        let mut unknown = unknown(self.names.iter(), &known);
        let is_former = |name: &&String| custom.former.contains(name);
        unknown.extend(self::unknown(self.without.iter().filter(|name| !is_former(name)), &known));
        let mut collections: BTreeSet<&'static str> =
            known.iter().copied().filter(|name| self.select(name)).collect();
        // What Segment's source had is wanted by everybody.
        let is_expected = |name: &str| self.is_named(name) || is_of_segment(name);
        let if_available = collections.iter().copied().filter(|name| !is_expected(name)).collect();
        let is_wanted =
            |feed: &&'static dyn Feed| feed.collections().iter().any(|name| collections.contains(name));
        let mut feeds: Vec<_> = feeds(&custom.feeds).filter(is_wanted).collect();
        // The lists of contacts come with these.
        if !objects_of(&feeds, &collections).any(|object| object.collection != CONTACTS) {
            feeds.retain(|feed| feed.name() != LIST_MEMBERS);
        }
        let is_of_metadata =
            |name: &&str| self.has_metadata && !self.wants(name) && DEFINITIONS.contains(name);
        if !feeds.iter().any(|feed| feed.object().is_some()) {
            // Nothing is read that has properties.
            collections.retain(|name| !is_of_metadata(name));
        }
        if !collections.contains(ASSOCIATIONS) && !self.is_named(ASSOCIATION_TYPES) {
            collections.remove(ASSOCIATION_TYPES);
        }
        if objects_of(&feeds, &collections).next().is_none() && !self.is_named(LIST_MEMBERSHIPS) {
            collections.remove(LIST_MEMBERSHIPS);
        }
        let settled =
            || known.iter().map(|name| (*name).to_owned()).chain(self.without.iter().cloned()).collect();
        let settled = self.wants(ALL).then(settled);
        let type_ids = custom.type_ids.clone();
        Selection { feeds, collections, if_available, type_ids, note, unknown, known, settled }
    }
}

impl Selection {
    /// Returns the names of all collections that the account may have, selected or not.
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Returns the feeds that are not Segment's.
    pub fn further(&self) -> impl Iterator<Item = &'static dyn Feed> {
        let is_further =
            |feed: &&'static dyn Feed| !FEEDS.iter().any(|segments| segments.name() == feed.name());
        self.feeds.iter().copied().filter(is_further)
    }

    /// # Errors
    /// For a name that is no collection, and if nothing is left.
    pub fn checked(self) -> anyhow::Result<Selection> {
        if !self.unknown.is_empty() {
            let note = self.note.map_or_else(String::new, |note| format!("; {note}"));
            let groups = [SEGMENT, METADATA, ALL];
            let meant = meant(&self.unknown, self.known.iter().copied().chain(groups));
            bail!(
                "unknown collection {}: {meant}use some of {}, or {SEGMENT}, {METADATA} or {ALL}{note}",
                self.unknown.join(", "),
                self.known.join(", ")
            );
        }
        if self.collections.is_empty() {
            bail!("no collection is left: all of them are left out");
        }
        if let Some(shared) = self.collections.iter().find(|name| hubspot::feeds::is_shared(name))
            && !self.feeds.iter().any(|feed| feed.object().is_some())
        {
            bail!("{shared} are read with the records of objects: name the objects, too");
        }
        if self.collections.contains(ASSOCIATION_TYPES) && !self.collections.contains(ASSOCIATIONS) {
            bail!("{ASSOCIATION_TYPES} are read with {ASSOCIATIONS}: name these, too");
        }
        if self.collections.contains(LIST_MEMBERSHIPS) && self.objects().next().is_none() {
            bail!(
                "{LIST_MEMBERSHIPS} are read with the objects that lists are of: name these, too, such as contacts"
            );
        }
        Ok(self)
    }

    /// Returns the objects whose collections are selected.
    fn objects(&self) -> impl Iterator<Item = AssociatedObject> {
        objects_of(&self.feeds, &self.collections)
    }

    /// Returns the objects among which associations are read: the selected ones. `None`: nobody wants associations.
    pub fn associated(&self) -> Option<AssociatedObjects> {
        let is_wanted = self.collections.contains(ASSOCIATIONS);
        is_wanted.then(|| self.objects().collect())
    }

    /// Returns the properties whose history is read: those that somebody has listed, or those of the default. `None`:
    /// nobody wants it.
    ///
    /// # Errors
    /// For a listed object that is not selected.
    pub fn histories(&self, listed: Option<&HistoryProperties>) -> anyhow::Result<Option<HistoryProperties>> {
        if !self.collections.contains(PROPERTY_HISTORY) {
            return Ok(None);
        }
        let histories = listed.cloned().unwrap_or_default();
        let is_read = |name: &str| {
            let feeds = self.feeds.iter().filter_map(|feed| feed.object());
            self.collections.contains(name) && feeds.into_iter().any(|object| object.collection == name)
        };
        let odd: Vec<&str> = histories.listed().filter(|name| !is_read(name)).collect();
        if !odd.is_empty() {
            bail!(
                "the history of properties of {} is wanted, and is read with the records of an object: name it among the \
                 collections, too, or correct it",
                odd.join(", ")
            );
        }
        Ok(Some(histories))
    }

    /// Returns the collections that were read before and that the account does not show any more, where all are wanted.
    pub async fn missed(&self, state: &State) -> Vec<String> {
        let Some(settled) = &self.settled else { return Vec::new() };
        // Where a document of the state can't be read, its feed says so.
        let registered = state.collections().await.unwrap_or_default();
        let is_missed = |name: &String| !settled.contains(name) && staging::snapshot_of(name).is_none();
        registered.into_iter().filter(is_missed).collect()
    }
}

/// The objects of these feeds whose collections are selected.
fn objects_of(
    feeds: &[&'static dyn Feed],
    collections: &BTreeSet<&'static str>,
) -> impl Iterator<Item = AssociatedObject> {
    let is_selected = |object: &AssociatedObject| collections.contains(object.collection);
    feeds.iter().filter_map(|feed| feed.object()).filter(is_selected)
}

/// The tables of the group of metadata.
fn metadata() -> impl Iterator<Item = &'static str> {
    let feed = hubspot::feeds::further().find(|feed| feed.name() == METADATA);
    let own = feed.into_iter().flat_map(|feed| feed.collections()).copied();
    own.chain(DEFINITIONS)
}

fn is_of_segment(name: &str) -> bool {
    FEEDS.iter().any(|feed| feed.collections().contains(&name))
}

/// Feeds in the order in which they run: those that this source knows, then custom objects.
fn feeds(custom: &[&'static dyn Feed]) -> impl Iterator<Item = &'static dyn Feed> {
    hubspot::feeds::known().chain(custom.iter().copied())
}

fn known(custom: &[&'static dyn Feed]) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = Vec::new();
    let own = feeds(custom).flat_map(|feed| feed.collections());
    for name in own.chain(hubspot::feeds::SHARED) {
        if !known.contains(name) {
            known.push(name);
        }
    }
    known
}

/// Returns the names, quoted, that are no collection and no group.
fn unknown<'n>(names: impl Iterator<Item = &'n String>, known: &[&str]) -> Vec<String> {
    let is_known = |name: &str| known.contains(&name) || [ALL, SEGMENT, METADATA].contains(&name);
    names.filter(|name| !is_known(name)).map(|name| format!("{name:?}")).collect()
}

/// Asks for the names that look like the unknown ones, which are quoted; empty where none does.
fn meant<'a>(unknown: &[String], known: impl Iterator<Item = &'a str> + Clone) -> String {
    let alike = |name: &String| {
        let name = name.trim_matches('"').to_lowercase();
        let alike = known.clone().map(|known| (strsim::jaro_winkler(&name, known), known));
        alike
            .filter(|(likeness, _)| *likeness > ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    };
    let alike: Vec<&str> = unknown.iter().filter_map(alike).collect();
    if alike.is_empty() { String::new() } else { format!("did you mean {}? Or ", alike.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn selection(collections: Option<&[&str]>, without: Option<&[&str]>) -> anyhow::Result<Selection> {
        let (collections, without) = (collections.map(names), without.map(names));
        CollectionNames::new(collections.as_deref(), without.as_deref())?
            .among(&CustomObjects::default(), None)
            .checked()
    }

    #[test]
    fn an_unknown_collection_lists_the_known_ones() {
        let error = selection(Some(&["contacts", "kontakte"]), None).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown collection \"kontakte\": use some of contacts, contact_"),
            "{error}"
        );
        let error = selection(None, Some(&[""])).unwrap_err().to_string();
        assert!(error.starts_with("unknown collection \"\""), "{error}");
    }

    #[test]
    fn feeds_run_in_their_own_order_and_once() {
        let selected = selection(Some(&["notes", "deals", "contact_identities", "contacts", "deals"]), None);
        let selected = selected.unwrap();
        let feeds: Vec<&str> = selected.feeds.iter().map(|feed| feed.name()).collect();
        assert_eq!(feeds, ["contacts", "deals", "notes"]);
        let wanted = ["contact_identities", "contacts", "deals", "notes"];
        assert_eq!(selected.collections, BTreeSet::from(wanted));
        assert!(selected.if_available.is_empty());
    }

    #[test]
    fn segments_collections_are_synced_if_nothing_is_said() {
        let segment: BTreeSet<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        assert_eq!(selection(None, None).unwrap().collections, segment);
        let selected = selection(None, Some(&["email_events", "contact_identities"])).unwrap();
        assert_eq!(selected.collections.len(), segment.len() - 2);
        assert!(selected.feeds.iter().all(|feed| feed.name() != "email_events"));
        assert!(selection(None, Some(&segment.into_iter().collect::<Vec<_>>())).is_err());
    }

    #[test]
    fn metadata_is_a_group_of_its_tables() {
        let selected = selection(Some(&["segment", "metadata", "-forms"]), None).unwrap();
        assert!(selected.collections.contains("owners") && selected.collections.contains("deals"));
        assert!(!selected.collections.contains("forms"));
        assert!(selected.if_available.contains("owners") && !selected.if_available.contains("deals"));
        assert!(selected.collections.contains("property_options"));
        let selected = selection(Some(&["all"]), Some(&["metadata"])).unwrap();
        assert!(!selected.collections.contains("owners") && selected.collections.contains("notes"));
        assert!(!selected.collections.contains("properties"));
        let selected = selection(Some(&["metadata"]), None).unwrap();
        assert!(!selected.collections.contains("properties"), "no object is read");
    }

    #[test]
    fn associations_are_read_among_the_selected_objects_where_they_are_selected() {
        let associated = |names: &[&str]| {
            let selected = selection(Some(names), None).unwrap();
            selected.associated().map(|objects| format!("{objects:?}"))
        };
        assert_eq!(associated(&["segment"]), None);
        let objects = associated(&["associations", "contact_identities", "deals", "notes"]);
        assert_eq!(objects.as_deref(), Some(r#"["deals", "notes"]"#));
        assert!(associated(&["all"]).is_some() && associated(&["all", "-associations"]).is_none());
        for without_objects in [&["associations"][..], &["associations", "contact_lists"]] {
            let refused = selection(Some(without_objects), None).unwrap_err().to_string();
            assert!(refused.contains("name the objects"), "{refused}");
        }
    }

    #[test]
    fn all_are_wanted_if_the_account_has_them() {
        let selected = selection(Some(&["all", "-emails", "tickets"]), None).unwrap();
        assert!(selected.collections.contains("notes") && !selected.collections.contains("emails"));
        assert!(selected.if_available.contains("notes") && !selected.if_available.contains("tickets"));
        assert!(!selected.if_available.contains("deals"), "Segment's are expected");
        assert!(selection(Some(&["all"]), Some(&["segment"])).is_err());
    }
}

//! Feeds of the CRM's further objects: HubSpot's own ([`CRM_OBJECTS`]), and custom ones as an account defines them.
//! Everything about them but their names is alike.

mod custom;

use super::Feed;
use super::objects::{Fixed, ObjectType, RECORD_CALLS};
use crate::families::{CRM_OBJECTS, CrmObject};

pub(super) use custom::of_schemas;
pub use custom::{CustomObjects, custom_object, custom_objects};

/// All of HubSpot's own, in the order in which they run.
static OBJECTS: [ObjectType; CRM_OBJECTS.len()] = feeds();

/// Feeds of HubSpot's own further objects, in the order in which they run.
pub fn crm_objects() -> impl Iterator<Item = &'static dyn Feed> + Clone {
    OBJECTS.iter().map(|object| object as &dyn Feed)
}

const fn feeds() -> [ObjectType; CRM_OBJECTS.len()] {
    let mut feeds = [const { record_feed("", "", "", "") }; CRM_OBJECTS.len()];
    let mut place = 0;
    while place < feeds.len() {
        let CrmObject { collection, path, snapshot, about, .. } = CRM_OBJECTS[place];
        feeds[place] = record_feed(collection, path, snapshot, about);
        place += 1;
    }
    feeds
}

const fn record_feed(
    name: &'static str,
    path: &'static str,
    snapshot: &'static str,
    about: &'static str,
) -> ObjectType {
    ObjectType {
        name,
        path,
        about,
        calls: RECORD_CALLS,
        modified: "hs_lastmodifieddate",
        column_prefix: "",
        column_suffix: "",
        seed_properties: &[],
        fixed: &[("portal_id", staging::ColumnType::BigInt, Fixed::AccountId)],
        associations: &[],
        snapshot,
        drifting: &[],
        lists: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::FEEDS;
    use super::*;

    #[test]
    fn an_object_fills_one_collection_under_a_name_of_its_own() {
        let mut names: BTreeSet<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        for feed in crm_objects() {
            assert_eq!(feed.collections(), [feed.name()]);
            assert_eq!(feed.compared(), Some(feed.name()));
            assert!(names.insert(feed.name()), "{} is filled twice", feed.name());
        }
    }
}

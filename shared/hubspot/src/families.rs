//! The families of HubSpot's API that we call: their versions, scopes, and the collections that they fill. The message
//! of a 403 names the scope from here, since not every body does.

mod crm_objects;
mod family;
mod list;
mod marketing;
mod metadata;
mod scopes;

use std::cmp::Reverse;

use crate::call::Call;

pub use crm_objects::{CRM_OBJECTS, CrmObject, type_id_of};
pub use family::{Family, Fill, Probe, Role};
pub use list::FAMILIES;
pub use scopes::{Lacking, granted_scopes, lacking};

impl Family {
    /// The family that a call belongs to, whatever the version in its path; the longest beginning decides, then the order.
    pub fn of_path(path: &str) -> Option<&'static Family> {
        let all = all().flat_map(|family| family.paths.iter().map(move |beginning| (family, beginning)));
        all.filter(|(_, beginning)| begins_with(path, beginning))
            .min_by_key(|(_, beginning)| Reverse(beginning.split('/').count()))
            .map(|(family, _)| family)
    }
}

fn begins_with(path: &str, beginning: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut segments = path.split('/');
    beginning.split('/').all(|expected| {
        segments.next().is_some_and(|segment| match expected.strip_suffix('*') {
            Some(start) => !segment.is_empty() && segment.starts_with(start),
            None => segment == expected,
        })
    })
}

/// All families: those of Segment's collections, of further objects, of custom ones, and of metadata.
pub fn all() -> impl Iterator<Item = &'static Family> {
    let of_objects = CRM_OBJECTS.iter().flat_map(|object| &object.families).chain(crm_objects::CUSTOM);
    FAMILIES
        .iter()
        .chain(of_objects)
        .chain(metadata::METADATA)
        .chain(marketing::MARKETING)
        .chain([&crm_objects::ASSOCIATIONS])
}

/// The families that these collections need: those of [`FAMILIES`] in any case, and those of further objects and of
/// metadata that are among them. Which custom objects there are is asked apart.
pub fn of_collections(is_wanted: impl Fn(&str) -> bool) -> Vec<&'static Family> {
    let is_wanted = |family: &&Family| family.fills.iter().any(|fill| is_wanted(fill.collection));
    let further = CRM_OBJECTS
        .iter()
        .flat_map(|object| &object.families)
        .chain(metadata::METADATA)
        .chain(marketing::MARKETING);
    FAMILIES.iter().chain(further.filter(is_wanted)).collect()
}

/// The families of a custom object's records and properties, with a call to each that shows whether it answers.
pub fn of_custom_object(type_id: &str) -> [(&'static Family, Call); 2] {
    let [records, properties, _] = crm_objects::CUSTOM;
    [(records, list::first_record(type_id)), (properties, list::one_property(type_id))]
}

/// The family that tells which custom objects there are.
pub fn of_custom_schemas() -> &'static Family {
    let [.., schemas] = crm_objects::CUSTOM;
    schemas
}

/// The collections that these families fill, each once.
pub fn collections(families: &[&'static Family]) -> Vec<&'static str> {
    let mut collections = Vec::new();
    for fill in families.iter().flat_map(|family| family.fills) {
        if !collections.contains(&fill.collection) {
            collections.push(fill.collection);
        }
    }
    collections
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::feeds::known;

    fn probe_path(family: &Family) -> Option<String> {
        match family.probe {
            Probe::Call(call) => Some(call().path),
            Probe::OfFirst(_, call) => Some(call("7").path),
            Probe::Never => None,
        }
    }

    #[test]
    fn a_path_finds_its_family_in_any_version() {
        let family = |path| Family::of_path(path).map(|family| family.name);
        assert_eq!(family("/crm/objects/2026-09/contacts/search"), Some("contacts"));
        assert_eq!(family("/crm/objects/2027-03/deals?limit=100&associations=contacts"), Some("deals"));
        assert_eq!(
            family("/crm/associations/2026-09/deals/companies/batch/read"),
            Some("deals with companies")
        );
        assert_eq!(family("/crm/objects/2026-09/goal_targets/search"), Some("goals"));
        assert_eq!(family("/crm/objects/2026-09/2-3444025/search"), Some("custom objects"));
        assert_eq!(family("/crm/properties/2026-09/2-3444025"), Some("custom object properties"));
        assert_eq!(family("/crm/lists/2026-09/search"), Some("lists"));
        assert_eq!(family("/crm/lists/2026-09/records/memberships/batch/read"), Some("list memberships"));
        assert_eq!(family("/email/public/v1/subscriptions/timeline?limit=1"), Some("subscription timeline"));
        assert_eq!(family("/email/public/v1/subscriptions/a%40b.de"), Some("subscription status"));
        assert_eq!(family("/email/public/v1/campaigns/17?appId=1"), Some("email campaigns"));
        for unknown in ["", "/", "/crm/objects/2026-09", "/crm/objects//contacts", "/email/public/v1/eventsx"]
        {
            assert_eq!(family(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_probe_asks_its_own_family_in_its_version() {
        let mut paths = BTreeSet::new();
        for family in all() {
            let Some(path) = probe_path(family) else { continue };
            assert_eq!(Family::of_path(&path).map(|family| family.name), Some(family.name), "{path}");
            assert!(
                path.split(['/', '?']).any(|part| part == family.version),
                "{path} is not of {}",
                family.version
            );
            assert!(paths.insert(path.clone()), "{path} is asked twice");
        }
    }

    #[test]
    fn a_custom_object_asks_the_families_of_custom_objects() {
        for (family, call) in of_custom_object("2-3444025") {
            assert_eq!(Family::of_path(&call.path).map(|family| family.name), Some(family.name));
        }
        assert_eq!(of_custom_schemas().name, "custom object schemas");
        let wanted = of_collections(|name| name == "tickets");
        let names: Vec<&str> = wanted[FAMILIES.len()..].iter().map(|family| family.name).collect();
        assert_eq!(names, ["tickets", "tickets properties"]);
    }

    #[test]
    fn the_list_is_whole() {
        let names: BTreeSet<&str> = all().map(|family| family.name).collect();
        assert_eq!(names.len(), all().count());
        for family in all() {
            // When a beta ends, HubSpot does not say.
            let has_end = family.supported_until().is_some() || family.version.ends_with("-beta");
            assert!(has_end, "the end of {} {}", family.name, family.version);
            assert!(!family.about.is_empty() && !family.paths.is_empty(), "{}", family.name);
            if let Probe::OfFirst(other, _) = family.probe {
                let other = FAMILIES.iter().find(|family| family.name == other).unwrap();
                assert!(matches!(other.probe, Probe::Call(_)), "{} asks {}", family.name, other.name);
            }
        }
    }

    #[test]
    fn every_collection_of_a_feed_has_a_family_it_needs() {
        let is_needed = |name: &&str| {
            let mut fills = all().flat_map(|family| family.fills);
            fills.any(|fill| fill.collection == *name && fill.role == Role::Needed)
        };
        for name in known()
            .flat_map(|feed| feed.collections())
            .copied()
            .chain(collections(&FAMILIES.iter().collect::<Vec<_>>()))
        {
            assert!(is_needed(&name), "{name}");
        }
    }

    fn family(name: &str) -> &'static Family {
        FAMILIES.iter().find(|family| family.name == name).unwrap()
    }

    #[test]
    fn scopes_read_as_words() {
        let scopes = |name: &str| family(name).scopes_text();
        assert_eq!(scopes("lists"), "crm.lists.read or crm.segments.read");
        assert_eq!(scopes("email events"), "content");
        assert_eq!(scopes("contacts v1"), "crm.objects.contacts.read or content");
        assert_eq!(scopes("deals with contacts"), "crm.objects.deals.read and crm.objects.contacts.read");
        assert_eq!(scopes("communication preferences"), "communication_preferences.statuses.batch.read");
        let choice = Family { scopes: &[&["a", "b"], &["c"]], ..*family("lists") };
        assert_eq!(choice.scopes_text(), "a or b, and c");
    }
}

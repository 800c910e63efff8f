//! The tables of Segment's source, and which of them have rows for ours.

use hubspot::feeds::{CollectionEntry, known};

/// End of the name that a table of Segment's gets.
const ASIDE: &str = "_of_segment";

/// The tables whose `id` is HubSpot's own, and still means the same: those rows that HubSpot shows no more come into ours.
const JOINED: [&str; 5] = ["contacts", "companies", "deals", "email_campaigns", "email_events"];

/// Reasons why the rows of the others stay aside.
const NOT_JOINED: [(&str, &str); 6] = [
    ("contact_lists", "its ids are of HubSpot's old lists, and today's lists have the same numbers"),
    (
        "contact_identity_profiles",
        "HubSpot shows an account's identities whole, and Segment's rows have ids of its own",
    ),
    ("contact_identities", "HubSpot gives identities no id, and Segment's rows have ids of its own"),
    ("form_submissions", "Segment's rows have ids of its own, which say not which submission it is"),
    ("email_subscriptions", "a subscription is what HubSpot says today of an address, and has no past"),
    (
        "email_subscription_event_changes",
        "HubSpot gives changes no id, and Segment's rows have ids of its own",
    ),
];

/// Returns the name that a table of Segment's gets.
pub(super) fn aside(collection: &str) -> String {
    format!("{collection}{ASIDE}")
}

/// Returns the entry of a collection whose rows are brought in, or the reason why they are not.
pub(super) fn entry(collection: &str) -> Result<CollectionEntry, String> {
    let mut entries = known().flat_map(|feed| feed.dictionary());
    if let (true, Some(entry)) =
        (JOINED.contains(&collection), entries.find(|entry| entry.name == collection))
    {
        return Ok(entry);
    }
    let reason = NOT_JOINED.iter().find(|(name, _)| *name == collection).map(|(_, reason)| *reason);
    Err(reason.unwrap_or("it is none of the tables that Segment's source fills").to_owned())
}

#[cfg(test)]
mod tests {
    use hubspot::feeds::FEEDS;

    use super::*;

    #[test]
    fn each_of_segments_tables_is_joined_or_has_a_reason() {
        let names: Vec<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        assert_eq!(names.len(), JOINED.len() + NOT_JOINED.len(), "{names:?}");
        for name in names {
            assert_eq!(entry(name).is_ok(), JOINED.contains(&name), "{name}");
            let reason =
                NOT_JOINED.iter().find(|(of, _)| *of == name).map(|(_, reason)| (*reason).to_owned());
            assert_eq!(entry(name).err(), reason, "{name}");
        }
    }

    #[test]
    fn no_row_that_is_joined_is_of_a_set() {
        // A set is swept by each newer read of it.
        for name in JOINED {
            assert!(entry(name).unwrap().set_key.is_empty(), "{name}");
        }
    }
}

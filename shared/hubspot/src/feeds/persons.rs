//! Columns that say whose a row is: by them a person is found who is to be forgotten. A collection with such a column is
//! in the list; a column that looks like one and is not has a reason in the tests.

use std::sync::LazyLock;

use staging::PersonColumns;

/// A line for each collection, as [`PersonColumns`] reads it.
const LINES: &[&str] = &[
    "contacts! id# canonical_vid# merged_into_id# merged_vids[# email@ properties_hs_additional_emails_value;@",
    "contact_identity_profiles! contact_id# canonical_vid# linked_vids[# identities[@",
    "contact_identities! contact_id# canonical_vid# value@",
    "form_submissions contact_id# values[@",
    "email_events recipient@ cc[@ bcc[@ requested_by-@ created~ smtp_id! subject! location_country! location_state! location_city! \
     location_zipcode! location_latitude! location_longitude! user_agent! ip_address! url! referer! response! \
     drop_message! _extra! _unparsed!",
    "email_subscription_event_changes recipient@ timestamp~",
    "email_subscriptions email@ _source_updated_at~",
    "list_memberships object=contacts&record_id#",
    "associations from_object=contacts&from_id# to_object=contacts&to_id#",
    "property_history object=contacts&object_id#",
    "deals associated_vids-#",
    "emails hs_email_from_email@ hs_email_to_email;@ hs_email_cc_email;@ hs_email_bcc_email;@ hs_createdate~",
];

static COLUMNS: LazyLock<Vec<PersonColumns>> =
    LazyLock::new(|| LINES.iter().filter_map(|line| line.parse().ok()).collect());

/// Returns the columns of all collections whose rows are of persons, or name them.
pub fn person_columns() -> &'static [PersonColumns] {
    &COLUMNS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{crm_objects, known, shared};
    use super::*;

    /// Parts of the names of columns that may hold an address or the id of a contact.
    const MARKS: [&str; 11] = [
        "email",
        "recipient",
        "vid",
        "contact",
        "record_id",
        "object_id",
        "from_id",
        "to_id",
        "reply_to",
        "cc",
        "requested_by",
    ];

    /// Columns that look like it, with the reason why nobody is found by them.
    const OTHERS: &[(&str, &str, &str)] = &[
        ("contacts", "is_contact", "a flag"),
        ("contact_identity_profiles", "is_contact", "a flag"),
        ("contact_identity_profiles", "pointer_vid", "of a merge, whose contacts have profiles of their own"),
        (
            "contact_identity_profiles",
            "previous_vid",
            "of a merge, whose contacts have profiles of their own",
        ),
        ("form_submissions", "contact_associated_by", "the way in which the contact was found"),
        ("companies", "first_contact_createdate", "a time"),
        ("companies", "num_associated_contacts", "a number"),
        ("deals", "vid", "always NULL"),
        ("email_events", "email_campaign_id", "a campaign"),
        ("email_events", "email_campaign_group_id", "a campaign"),
        ("email_events", "reply_to", "the account's own address"),
        ("email_subscription_event_changes", "email_subscription_event_id", "a subscription"),
        ("owners", "email", "a user of the account, not a contact"),
        ("account_users", "email", "a user of the account, not a contact"),
        ("marketing_emails", "primary_email_campaign_id", "a campaign"),
        ("marketing_emails", "all_email_campaign_ids", "campaigns"),
        ("marketing_emails", "email_campaign_group_id", "a campaign"),
        ("marketing_emails", "reply_to", "the account's own address"),
        ("marketing_emails", "stats_contactslost", "a number"),
        ("marketing_campaigns", "hs_object_id", "the campaign's own id"),
        ("flow_email_campaigns", "email_campaign_id", "a campaign"),
        ("flow_email_campaigns", "email_content_id", "an e-mail's content"),
    ];

    #[test]
    fn every_column_with_an_id_or_an_address_is_known() {
        let entries = known().flat_map(|feed| feed.dictionary()).chain(shared());
        let objects: BTreeSet<&str> =
            crm_objects().flat_map(|feed| feed.collections().iter().copied()).collect();
        let (mut unknown, mut used) = (Vec::new(), BTreeSet::new());
        for entry in entries {
            let of_person = person_columns().iter().find(|columns| columns.collection == entry.name);
            for column in &entry.columns {
                let name = column.name.as_str();
                let is_listed = of_person.is_some_and(|it| it.columns.iter().any(|it| it.name == name));
                let is_other = OTHERS.iter().any(|(table, other, _)| (*table, *other) == (entry.name, name));
                let looks_like_one = MARKS.iter().any(|mark| name.contains(mark));
                // A merged record of another object, which is no contact.
                if looks_like_one && !is_listed && !is_other && name != "merged_into_id" {
                    unknown.push(format!("{}.{name}", entry.name));
                }
                if is_other {
                    used.insert((entry.name, name.to_owned()));
                }
            }
            // Columns of properties are the account's.
            for listed in of_person.iter().flat_map(|it| &it.columns) {
                let is_there = entry.columns.iter().any(|column| column.name == listed.name);
                assert!(is_there || objects.contains(entry.name), "{} has no {}", entry.name, listed.name);
            }
        }
        assert!(unknown.is_empty(), "say in LINES or OTHERS what these hold: {}", unknown.join(", "));
        let idle: Vec<_> =
            OTHERS.iter().filter(|(table, name, _)| !used.contains(&(*table, (*name).to_owned()))).collect();
        assert!(idle.is_empty(), "{idle:?}");
    }

    /// Columns that stay where rows stay under a pseudonym: of the event, the campaign, the account and our own, and kinds
    /// of programs and devices that many have.
    const STAYING: &[&str] = &[
        "id",
        "created",
        "type",
        "portal_id",
        "app_id",
        "app_name",
        "email_campaign_id",
        "email_campaign_group_id",
        "hmid",
        "sent_by_id",
        "sent_by_created",
        "caused_by_id",
        "caused_by_created",
        "obsoleted_by_id",
        "obsoleted_by_created",
        "send_id",
        "from",
        "reply_to",
        "browser_family",
        "browser_name",
        "browser_producer",
        "browser_producer_url",
        "browser_type",
        "browser_url",
        "browser_version",
        "device_type",
        "link_id",
        "attempt",
        "category",
        "status",
        "duration",
        "filtered_event",
        "drop_reason",
        "source",
        "subscriptions",
        "portal_subscription_status",
        "bounced",
        "suppressed_reason",
        "_read_at",
        "_source_updated_at",
        "received_at",
        "_run_id",
        "_file",
    ];

    #[test]
    fn rows_under_a_pseudonym_keep_what_tells_nobody() {
        let mut seen = BTreeSet::new();
        for entry in known().flat_map(|feed| feed.dictionary()).chain(shared()) {
            let listed = person_columns().iter().find(|it| it.collection == entry.name);
            let Some(listed) = listed.filter(|it| it.may_stay()) else { continue };
            for column in &entry.columns {
                let name = column.name.as_str();
                let is_listed =
                    listed.columns.iter().any(|it| it.name == name && it.holds != staging::Holds::Time);
                seen.insert(name.to_owned());
                assert!(is_listed != STAYING.contains(&name), "{}.{name} goes, or it stays", entry.name);
            }
        }
        assert!(STAYING.iter().all(|name| seen.contains(*name)), "{STAYING:?} has some that no table has");
    }

    #[test]
    fn every_line_is_of_one_collection() {
        assert_eq!(person_columns().len(), LINES.len());
        let names: BTreeSet<&str> = person_columns().iter().map(|it| it.collection.as_str()).collect();
        assert_eq!(names.len(), LINES.len());
    }
}

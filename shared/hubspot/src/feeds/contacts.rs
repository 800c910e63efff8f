//! Contacts: people. Property columns carry Segment's flattened names, `properties_<name>_value`; the columns beside
//! them come from the record itself, or are copies of a property under the name Segment gave it.

use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};

use super::objects::{Fixed, ObjectType};

pub(super) const CONTACTS: ObjectType = ObjectType {
    name: "contacts",
    // The other objects' `hs_lastmodifieddate` is not dependable on contacts.
    modified: "lastmodifieddate",
    column_prefix: "properties_",
    column_suffix: "_value",
    seed_properties: &[
        ("company", Text),
        ("firstname", Text),
        ("lastmodifieddate", Timestamp),
        ("lastname", Text),
    ],
    fixed: &[
        ("added_at", Timestamp, Fixed::CopyOf("createdate")),
        ("canonical_vid", BigInt, Fixed::RecordId),
        ("email", Text, Fixed::CopyOf("email")),
        ("form_submissions", Json, Fixed::Unavailable),
        ("is_contact", Boolean, Fixed::CopyOf("hs_is_contact")),
        ("lead_guid", Text, Fixed::Unavailable),
        ("list_membership", Json, Fixed::Unavailable),
        ("merged_vids", Json, Fixed::MergedIds),
        ("portal_id", BigInt, Fixed::AccountId),
        ("profile_token", Text, Fixed::Unavailable),
        ("profile_url", Text, Fixed::Unavailable),
    ],
    associations: &[],
};

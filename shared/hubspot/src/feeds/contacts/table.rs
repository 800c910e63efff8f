//! The table of contacts: what stands beside the properties.

use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};

use super::sources::MEMBERSHIPS;
use crate::feeds::objects::{Fixed, Lists, ObjectType, RECORD_CALLS};

/// Columns of `contacts` that contacts v1 fills, in the order of their places; behind them come memberships, and when the contact was added.
pub(super) const OF_V1: [&str; 4] = ["lead_guid", "form_submissions", "profile_token", "profile_url"];

pub(in crate::feeds) static CONTACT_OBJECTS: ObjectType = ObjectType {
    name: "contacts",
    path: "contacts",
    about: "A person.",
    calls: RECORD_CALLS,
    // The other objects' `hs_lastmodifieddate` is not dependable on contacts.
    modified: "lastmodifieddate",
    column_prefix: "properties_",
    column_suffix: "_value",
    seed_properties: &[
        ("company", Text),
        ("firstname", Text),
        ("lastmodifieddate", Timestamp),
        ("lastname", Text),
        // Not Segment's, but the only trace of a second address once contacts v1 is gone.
        ("hs_additional_emails", Text),
    ],
    fixed: &[
        ("added_at", Timestamp, Fixed::ExtraOrCreated(5, "`addedAt` of contacts v1, where it tells")),
        ("canonical_vid", BigInt, Fixed::RecordId),
        ("email", Text, Fixed::CopyOf("email")),
        ("form_submissions", Json, Fixed::Extra(1, "`form-submissions` of contacts v1, a JSON list")),
        ("is_contact", Boolean, Fixed::CopyOf("hs_is_contact")),
        ("lead_guid", Text, Fixed::Extra(0, "the first identity of the type `LEAD_GUID` in contacts v1")),
        (
            "list_membership",
            Json,
            Fixed::Extra(
                4,
                "the lists it is in, a JSON list, as of the contact's last change, or the last refresh: memberships batch read",
            ),
        ),
        ("merged_vids", Json, Fixed::MergedIds),
        ("portal_id", BigInt, Fixed::AccountId),
        (
            "profile_token",
            Text,
            Fixed::Extra(2, "`profile-token` of contacts v1; HubSpot has sent none since 2022 at the latest"),
        ),
        (
            "profile_url",
            Text,
            Fixed::Extra(3, "`profile-url` of contacts v1; HubSpot has sent none since 2022 at the latest"),
        ),
    ],
    associations: &[],
    snapshot: "_snapshot_contacts",
    drifting: &["list_membership"],
    lists: Some(Lists { source: MEMBERSHIPS, place: OF_V1.len() }),
};

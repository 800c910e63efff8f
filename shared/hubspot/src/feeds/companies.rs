//! Companies. Columns carry the properties' own names.

use staging::ColumnType::{BigInt, Double, Text, Timestamp};

use super::objects::{Fixed, ObjectType, RECORD_CALLS};

pub(super) static COMPANIES: ObjectType = ObjectType {
    name: "companies",
    path: "companies",
    about: "A company of the CRM.",
    calls: RECORD_CALLS,
    modified: "hs_lastmodifieddate",
    column_prefix: "",
    column_suffix: "",
    seed_properties: &[
        ("country", Text),
        ("createdate", Timestamp),
        ("first_contact_createdate", Timestamp),
        ("name", Text),
        ("num_associated_contacts", Double),
    ],
    fixed: &[("portal_id", BigInt, Fixed::AccountId)],
    associations: &[],
    snapshot: "_snapshot_companies",
    drifting: &[],
    lists: None,
};

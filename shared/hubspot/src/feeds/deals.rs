//! Deals, with the contacts and companies they are associated with. Columns carry the properties' own names.

use staging::ColumnType::{BigInt, Double, Json, Text};

use super::objects::{Fixed, ObjectType, RECORD_CALLS};

pub(super) static DEALS: ObjectType = ObjectType {
    name: "deals",
    path: "deals",
    about: "A deal, with the ids of its contacts and companies.",
    calls: RECORD_CALLS,
    modified: "hs_lastmodifieddate",
    column_prefix: "",
    column_suffix: "",
    seed_properties: &[("amount", Double), ("dealname", Text), ("dealstage", Text), ("pipeline", Text)],
    fixed: &[
        ("associated_company_ids", Json, Fixed::Associated("companies")),
        ("associated_vids", Json, Fixed::Associated("contacts")),
        ("portal_id", BigInt, Fixed::AccountId),
        (
            "vid",
            BigInt,
            Fixed::Unavailable("Segment's documentation alone names it; no answer of HubSpot ever held one"),
        ),
    ],
    associations: &["companies", "contacts"],
    snapshot: "_snapshot_deals",
    drifting: &["associated_company_ids", "associated_vids"],
    lists: None,
};

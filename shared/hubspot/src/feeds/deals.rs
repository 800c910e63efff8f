//! Deals, with the contacts and companies they are associated with. Columns carry the properties' own names.

use staging::ColumnType::{BigInt, Double, Json, Text};

use super::objects::{Fixed, ObjectType};

pub(super) const DEALS: ObjectType = ObjectType {
    name: "deals",
    modified: "hs_lastmodifieddate",
    column_prefix: "",
    column_suffix: "",
    seed_properties: &[("amount", Double), ("dealname", Text), ("dealstage", Text), ("pipeline", Text)],
    fixed: &[
        ("associated_company_ids", Json, Fixed::Associated("companies")),
        ("associated_vids", Json, Fixed::Associated("contacts")),
        ("portal_id", BigInt, Fixed::AccountId),
        // Segment's own documentation is the only place that names it; no HubSpot answer ever held one.
        ("vid", BigInt, Fixed::Unavailable),
    ],
    associations: &["companies", "contacts"],
};

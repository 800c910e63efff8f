//! Records: contacts, companies, deals, tickets, and their merges.

use staging::ColumnType::{BigInt, Boolean, Double, Text, Timestamp};

use crate::view::Only::{Merged, NotMerged};
use crate::view::{Column, DELETED, SYNCED, Value, View, Way, made, none, number, part, property, time};

/// The same as [`DELETED`], under the name of an older API.
const IS_DELETED: Column = made("is_deleted", Boolean, Value::Deleted);

pub(super) const VIEWS: &[View] = &[
    View {
        name: "contact",
        about: "A person. Records that were merged into another one are left out.",
        ways: &[Way {
            parts: &[part("contacts", &[NotMerged])],
            columns: &[
                number("id", "id"),
                number("portal_id", "portal_id"),
                DELETED,
                SYNCED,
                property("property_hs_merged_object_ids", Text, "hs_merged_object_ids"),
                property("property_email", Text, "email"),
                property("property_company", Text, "company"),
                property("property_firstname", Text, "firstname"),
                property("property_lastname", Text, "lastname"),
                property("property_createdate", Timestamp, "createdate"),
                property("property_jobtitle", Text, "jobtitle"),
                property("property_annualrevenue", Text, "annualrevenue"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "contact_merge_audit",
        about: "A contact that was merged into another one.",
        ways: &[Way {
            parts: &[part("contacts", &[Merged])],
            columns: &[
                number("canonical_vid", "merged_into_id"),
                number("contact_id", "merged_into_id"),
                number("vid_to_merge", "id"),
                none("entity_id", Text),
                property("first_name", Text, "firstname"),
                property("last_name", Text, "lastname"),
                none("num_properties_moved", BigInt),
                time("timestamp", "_source_updated_at"),
                none("user_id", BigInt),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "company",
        about: "A company.",
        ways: &[Way {
            parts: &[part("companies", &[])],
            columns: &[
                number("id", "id"),
                number("portal_id", "portal_id"),
                IS_DELETED,
                DELETED,
                SYNCED,
                property("property_name", Text, "name"),
                property("property_description", Text, "description"),
                property("property_createdate", Timestamp, "createdate"),
                property("property_industry", Text, "industry"),
                property("property_address", Text, "address"),
                property("property_address_2", Text, "address2"),
                property("property_city", Text, "city"),
                property("property_state", Text, "state"),
                property("property_country", Text, "country"),
                property("property_annualrevenue", Double, "annualrevenue"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "deal",
        about: "A deal.",
        ways: &[Way {
            parts: &[part("deals", &[])],
            columns: &[
                number("deal_id", "id"),
                number("portal_id", "portal_id"),
                property("deal_pipeline_id", Text, "pipeline"),
                property("deal_pipeline_stage_id", Text, "dealstage"),
                property("owner_id", BigInt, "hubspot_owner_id"),
                IS_DELETED,
                DELETED,
                SYNCED,
                property("property_dealname", Text, "dealname"),
                property("property_description", Text, "description"),
                property("property_amount", Double, "amount"),
                property("property_closedate", Timestamp, "closedate"),
                property("property_createdate", Timestamp, "createdate"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "merged_deal",
        about: "A deal that was merged into another one.",
        ways: &[Way {
            parts: &[part("deals", &[Merged])],
            columns: &[number("deal_id", "merged_into_id"), number("merged_deal_id", "id"), SYNCED],
        }],
        has_properties: false,
    },
    View {
        name: "ticket",
        about: "A ticket of the help desk.",
        ways: &[Way {
            parts: &[part("tickets", &[])],
            columns: &[
                number("id", "id"),
                number("portal_id", "portal_id"),
                IS_DELETED,
                DELETED,
                SYNCED,
                property("property_closed_date", Timestamp, "closed_date"),
                property("property_createdate", Timestamp, "createdate"),
                property("property_first_agent_reply_date", Timestamp, "first_agent_reply_date"),
                property("property_hs_pipeline", Text, "hs_pipeline"),
                property("property_hs_pipeline_stage", Text, "hs_pipeline_stage"),
                property("property_hs_ticket_category", Text, "hs_ticket_category"),
                property("property_hs_ticket_priority", Text, "hs_ticket_priority"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_subject", Text, "subject"),
                property("property_content", Text, "content"),
            ],
        }],
        has_properties: true,
    },
];

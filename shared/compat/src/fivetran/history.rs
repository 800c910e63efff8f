//! The past of properties: a row for each value and the time from which it held.

use staging::ColumnType::Boolean;

use crate::view::Only::{Is, Lasting, Live};
use crate::view::{SYNCED, Value, View, Way, made, number, part, text, time};

pub(super) const VIEWS: &[View] = &[
    View {
        name: "deal_stage",
        about: "A stage that a deal was in, with the time in which it was.",
        ways: &[Way {
            parts: &[part(
                "property_history",
                &[Live, Lasting, Is("object", "deals"), Is("property", "dealstage")],
            )],
            columns: &[
                number("deal_id", "object_id"),
                text("value", "value"),
                time("date_entered", "changed_at"),
                text("source", "source_type"),
                text("source_id", "source_id"),
                made("_fivetran_active", Boolean, Value::IsNull("valid_to")),
                time("_fivetran_start", "changed_at"),
                time("_fivetran_end", "valid_to"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "contact_property_history",
        about: "A value that a property of a contact had.",
        ways: &[Way {
            parts: &[part("property_history", &[Live, Lasting, Is("object", "contacts")])],
            columns: &[
                number("contact_id", "object_id"),
                text("name", "property"),
                text("value", "value"),
                time("timestamp", "changed_at"),
                text("source", "source_type"),
                text("source_id", "source_id"),
                made("_fivetran_active", Boolean, Value::IsNull("valid_to")),
                time("_fivetran_start", "changed_at"),
                time("_fivetran_end", "valid_to"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "company_property_history",
        about: "A value that a property of a company had.",
        ways: &[Way {
            parts: &[part("property_history", &[Live, Lasting, Is("object", "companies")])],
            columns: &[
                number("company_id", "object_id"),
                text("name", "property"),
                text("value", "value"),
                time("timestamp", "changed_at"),
                text("source", "source_type"),
                text("source_id", "source_id"),
                made("_fivetran_active", Boolean, Value::IsNull("valid_to")),
                time("_fivetran_start", "changed_at"),
                time("_fivetran_end", "valid_to"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "deal_property_history",
        about: "A value that a property of a deal had.",
        ways: &[Way {
            parts: &[part("property_history", &[Live, Lasting, Is("object", "deals")])],
            columns: &[
                number("deal_id", "object_id"),
                text("name", "property"),
                text("value", "value"),
                time("timestamp", "changed_at"),
                text("source", "source_type"),
                text("source_id", "source_id"),
                made("_fivetran_active", Boolean, Value::IsNull("valid_to")),
                time("_fivetran_start", "changed_at"),
                time("_fivetran_end", "valid_to"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_property_history",
        about: "A value that a property of a ticket had.",
        ways: &[Way {
            parts: &[part("property_history", &[Live, Lasting, Is("object", "tickets")])],
            columns: &[
                number("ticket_id", "object_id"),
                text("name", "property"),
                text("value", "value"),
                time("timestamp_instant", "changed_at"),
                text("source", "source_type"),
                text("source_id", "source_id"),
                made("_fivetran_active", Boolean, Value::IsNull("valid_to")),
                time("_fivetran_start", "changed_at"),
                time("_fivetran_end", "valid_to"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
];

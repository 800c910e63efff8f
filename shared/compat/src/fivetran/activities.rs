//! Activities: calls, e-mails, meetings, notes, tasks and messages, together and by kind.

use staging::ColumnType::{BigInt, Text, Timestamp};

use crate::view::Only::Live;
use crate::view::{DELETED, SYNCED, Value, View, Way, kind, made, number, property};

/// Their collections.
pub(super) const TABLES: &[&str] = &["calls", "communications", "emails", "meetings", "notes", "tasks"];

/// Received and forwarded e-mails are kinds of their own. Others have no such property.
const EMAIL_DIRECTION: Value = Value::PropertyOrKind("hs_email_direction");

pub(super) const VIEWS: &[View] = &[
    View {
        name: "engagement",
        about: "An activity of any kind.",
        ways: &[Way {
            parts: &[
                kind("calls", "CALL", &[Live]),
                kind("communications", "COMMUNICATION", &[Live]),
                kind("emails", "EMAIL", &[Live]),
                kind("meetings", "MEETING", &[Live]),
                kind("notes", "NOTE", &[Live]),
                kind("tasks", "TASK", &[Live]),
            ],
            columns: &[
                number("id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, EMAIL_DIRECTION),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "engagement_call",
        about: "A logged call.",
        ways: &[Way {
            parts: &[kind("calls", "CALL", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, Value::Kind),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "engagement_communication",
        about: "A message by SMS, WhatsApp or LinkedIn.",
        ways: &[Way {
            parts: &[kind("communications", "COMMUNICATION", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, Value::Kind),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "engagement_email",
        about: "A one-to-one e-mail.",
        ways: &[Way {
            parts: &[kind("emails", "EMAIL", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, EMAIL_DIRECTION),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "engagement_meeting",
        about: "A meeting.",
        ways: &[Way {
            parts: &[kind("meetings", "MEETING", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, Value::Kind),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "engagement_note",
        about: "A note.",
        ways: &[Way {
            parts: &[kind("notes", "NOTE", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, Value::Kind),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
                property("body", Text, "hs_note_body"),
            ],
        }],
        has_properties: true,
    },
    View {
        name: "engagement_task",
        about: "A task.",
        ways: &[Way {
            parts: &[kind("tasks", "TASK", &[])],
            columns: &[
                number("engagement_id", "id"),
                number("portal_id", "portal_id"),
                made("type", Text, Value::Kind),
                DELETED,
                SYNCED,
                property("property_hs_createdate", Timestamp, "hs_createdate"),
                property("property_hs_timestamp", Timestamp, "hs_timestamp"),
                property("property_hubspot_owner_id", BigInt, "hubspot_owner_id"),
                property("property_hubspot_team_id", BigInt, "hubspot_team_id"),
            ],
        }],
        has_properties: true,
    },
];

//! Links between records: a row for each type of a link. `associations` has each pair in one direction.

use staging::ColumnType::{BigInt, Text};

use super::activities::TABLES;
use crate::view::Only::{In, Is, Live, NotMerged};
use crate::view::{Column, SYNCED, Value, View, Way, list, made, none, number, part, text};

const TYPE_ID: Column = number("type_id", "type_id");
const CATEGORY: Column = text("category", "category");

pub(super) const VIEWS: &[View] = &[
    View {
        name: "deal_contact",
        about: "A link between a deal and a contact.",
        ways: &[
            Way {
                parts: &[part(
                    "associations",
                    &[Live, Is("from_object", "deals"), Is("to_object", "contacts")],
                )],
                columns: &[
                    number("deal_id", "from_id"),
                    number("contact_id", "to_id"),
                    TYPE_ID,
                    CATEGORY,
                    SYNCED,
                ],
            },
            Way {
                parts: &[list("deals", "associated_vids", &[NotMerged])],
                columns: &[
                    number("deal_id", "id"),
                    made("contact_id", BigInt, Value::Item(None)),
                    none("type_id", BigInt),
                    none("category", Text),
                    SYNCED,
                ],
            },
        ],
        has_properties: false,
    },
    View {
        name: "deal_company",
        about: "A link between a deal and a company.",
        ways: &[
            Way {
                parts: &[part(
                    "associations",
                    &[Live, Is("from_object", "deals"), Is("to_object", "companies")],
                )],
                columns: &[
                    number("deal_id", "from_id"),
                    number("company_id", "to_id"),
                    TYPE_ID,
                    CATEGORY,
                    SYNCED,
                ],
            },
            Way {
                parts: &[list("deals", "associated_company_ids", &[NotMerged])],
                columns: &[
                    number("deal_id", "id"),
                    made("company_id", BigInt, Value::Item(None)),
                    none("type_id", BigInt),
                    none("category", Text),
                    SYNCED,
                ],
            },
        ],
        has_properties: false,
    },
    View {
        name: "ticket_contact",
        about: "A link between a ticket and a contact.",
        ways: &[Way {
            parts: &[part(
                "associations",
                &[Live, Is("from_object", "tickets"), Is("to_object", "contacts")],
            )],
            columns: &[
                number("ticket_id", "from_id"),
                number("contact_id", "to_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_company",
        about: "A link between a ticket and a company.",
        ways: &[Way {
            parts: &[part(
                "associations",
                &[Live, Is("from_object", "tickets"), Is("to_object", "companies")],
            )],
            columns: &[
                number("ticket_id", "from_id"),
                number("company_id", "to_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_deal",
        about: "A link between a ticket and a deal.",
        ways: &[Way {
            parts: &[part("associations", &[Live, Is("from_object", "tickets"), Is("to_object", "deals")])],
            columns: &[number("ticket_id", "from_id"), number("deal_id", "to_id"), TYPE_ID, CATEGORY, SYNCED],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_engagement",
        about: "A link between a ticket and an activity.",
        ways: &[Way {
            parts: &[part("associations", &[Live, In("from_object", TABLES), Is("to_object", "tickets")])],
            columns: &[
                number("ticket_id", "to_id"),
                number("engagement_id", "from_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "engagement_contact",
        about: "A link between an activity and a contact.",
        ways: &[Way {
            parts: &[part("associations", &[Live, In("from_object", TABLES), Is("to_object", "contacts")])],
            columns: &[
                number("engagement_id", "from_id"),
                number("contact_id", "to_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "engagement_company",
        about: "A link between an activity and a company.",
        ways: &[Way {
            parts: &[part("associations", &[Live, In("from_object", TABLES), Is("to_object", "companies")])],
            columns: &[
                number("engagement_id", "from_id"),
                number("company_id", "to_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "engagement_deal",
        about: "A link between an activity and a deal.",
        ways: &[Way {
            parts: &[part("associations", &[Live, In("from_object", TABLES), Is("to_object", "deals")])],
            columns: &[
                number("engagement_id", "from_id"),
                number("deal_id", "to_id"),
                TYPE_ID,
                CATEGORY,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
];

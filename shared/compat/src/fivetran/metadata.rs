//! Tables that explain ids: owners, pipelines, properties, users and teams.

use staging::ColumnType::{Boolean, Double, Text};

use crate::view::Only::{Filled, Is, Live, NotZero};
use crate::view::{Column, DELETED, SYNCED, Value, View, Way, flag, made, none, number, part, text, time};

const ACTIVE: Column = made("active", Boolean, Value::Active);

pub(super) const VIEWS: &[View] = &[
    View {
        name: "owner",
        about: "An owner of records. Deactivated ones stay.",
        ways: &[Way {
            parts: &[part("owners", &[Filled("id")])],
            columns: &[
                number("owner_id", "id"),
                number("active_user_id", "user_id"),
                text("email", "email"),
                text("first_name", "first_name"),
                text("last_name", "last_name"),
                number("portal_id", "portal_id"),
                text("type", "type"),
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "owner_team",
        about: "A team that an owner is in.",
        ways: &[Way {
            parts: &[part("owner_teams", &[Filled("owner_id")])],
            columns: &[
                number("owner_id", "owner_id"),
                number("team_id", "team_id"),
                flag("is_team_primary", "is_primary"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "team",
        about: "A team of users.",
        ways: &[Way {
            parts: &[part("teams", &[Filled("id")])],
            columns: &[number("id", "id"), text("name", "name"), DELETED, SYNCED],
        }],
        has_properties: false,
    },
    View {
        name: "team_user",
        about: "A user in a team.",
        ways: &[Way {
            parts: &[part("team_users", &[Filled("team_id")])],
            columns: &[
                number("team_id", "team_id"),
                number("user_id", "user_id"),
                made("is_secondary_user", Boolean, Value::Not("is_primary")),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "users",
        about: "A user of the account.",
        ways: &[Way {
            parts: &[part("account_users", &[NotZero("id")])],
            columns: &[
                number("id", "id"),
                text("email", "email"),
                text("first_name", "first_name"),
                text("last_name", "last_name"),
                number("primary_team_id", "primary_team_id"),
                number("role_id", "role_id"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "role",
        about: "A role that users can have.",
        ways: &[Way {
            parts: &[part("roles", &[Filled("id")])],
            columns: &[
                number("id", "id"),
                text("name", "name"),
                flag("requires_billing_write", "requires_billing_write"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "deal_pipeline",
        about: "A pipeline of deals.",
        ways: &[Way {
            parts: &[part("pipelines", &[Is("object", "deals"), Filled("id")])],
            columns: &[
                text("pipeline_id", "id"),
                text("label", "label"),
                number("display_order", "display_order"),
                ACTIVE,
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "deal_pipeline_stage",
        about: "A stage of a pipeline of deals.",
        ways: &[Way {
            parts: &[part("pipeline_stages", &[Is("object", "deals"), Filled("id")])],
            columns: &[
                text("stage_id", "id"),
                text("pipeline_id", "pipeline_id"),
                text("label", "label"),
                number("display_order", "display_order"),
                flag("is_closed", "is_closed"),
                ACTIVE,
                made("probability", Double, Value::Of("probability")),
                made("closed_won", Boolean, Value::Won),
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_pipeline",
        about: "A pipeline of tickets.",
        ways: &[Way {
            parts: &[part("pipelines", &[Is("object", "tickets"), Filled("id")])],
            columns: &[
                text("pipeline_id", "id"),
                text("label", "label"),
                number("display_order", "display_order"),
                ACTIVE,
                none("object_type_id", Text),
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "ticket_pipeline_stage",
        about: "A stage of a pipeline of tickets.",
        ways: &[Way {
            parts: &[part("pipeline_stages", &[Is("object", "tickets"), Filled("id")])],
            columns: &[
                text("stage_id", "id"),
                text("pipeline_id", "pipeline_id"),
                text("label", "label"),
                number("display_order", "display_order"),
                flag("is_closed", "is_closed"),
                ACTIVE,
                text("ticket_state", "ticket_state"),
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                DELETED,
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "property",
        about: "A property of an object.",
        ways: &[Way {
            parts: &[part("properties", &[Live, Filled("name")])],
            columns: &[
                made("_fivetran_id", Text, Value::Path(&["object", "name"])),
                made("hubspot_object", Text, Value::ObjectName("object")),
                text("name", "name"),
                text("label", "label"),
                text("description", "description"),
                text("type", "type"),
                text("field_type", "field_type"),
                text("group_name", "group_name"),
                flag("calculated", "calculated"),
                flag("hubspot_defined", "hubspot_defined"),
                none("show_currency_symbol", Boolean),
                time("created_at", "created_at"),
                time("updated_at", "updated_at"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
    View {
        name: "property_option",
        about: "An option of a property.",
        ways: &[Way {
            parts: &[part("property_options", &[Live, Filled("property")])],
            columns: &[
                made("property_id", Text, Value::Path(&["object", "property"])),
                made("hubspot_object", Text, Value::ObjectName("object")),
                text("name", "property"),
                text("value", "value"),
                text("label", "label"),
                number("display_order", "display_order"),
                flag("hidden", "hidden"),
                SYNCED,
            ],
        }],
        has_properties: false,
    },
];

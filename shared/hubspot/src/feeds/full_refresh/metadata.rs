//! Metadata: small tables that give ids their meaning, such as the stages of pipelines and the owners of records.

use super::feed::FullRefresh;
use super::metadata_tables as tables;
use super::source::{Fill, ID, Key, PAGE, Paths, RowsOf, Source, items, live_and_archived};
use crate::version;

pub(in crate::feeds) static METADATA: FullRefresh =
    FullRefresh { name: "metadata", sources: SOURCES, collections: COLLECTIONS };

/// In the order of the sources' tables.
const COLLECTIONS: &[&str] = &[
    "object_schemas",
    "pipelines",
    "pipeline_stages",
    "owners",
    "owner_teams",
    "account_users",
    "roles",
    "teams",
    "team_users",
    "forms",
    "subscription_definitions",
    "exchange_rates",
];

pub(super) const OBJECT_SCHEMAS: &str = "object_schemas";

/// Collections of HubSpot's own objects that have pipelines
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/pipelines/guide>). Custom objects have them, too.
pub(super) const WITH_PIPELINES: [&str; 8] =
    ["deals", "tickets", "leads", "orders", "appointments", "courses", "listings", "services"];

/// All of them, in the order in which they are read.
pub(super) static SOURCES: &[Source] = &[
    Source {
        name: OBJECT_SCHEMAS,
        paths: Paths::OfAccount(|| {
            let path = format!("/crm-object-schemas/{}/schemas", version::SCHEMAS);
            live_and_archived(&format!("{path}?includePropertyDefinitions=false"))
        }),
        page: None,
        fills: &[items(&tables::OBJECT_SCHEMAS, Key { column: "object_type_id", field: "objectTypeId" })],
    },
    Source {
        name: "pipelines",
        paths: Paths::OfObject(|object| vec![format!("/crm/pipelines/{}/{object}", version::PIPELINES)]),
        page: None,
        fills: &[
            items(&tables::PIPELINES, ID),
            Fill {
                collection: &tables::PIPELINE_STAGES,
                key: ID,
                rows: RowsOf::Objects { list: "stages", parent: "pipeline_id" },
                needs_list: true,
            },
        ],
    },
    Source {
        name: "owners",
        paths: Paths::OfAccount(|| live_and_archived(&format!("/crm/owners/{}", version::OWNERS))),
        page: Some(PAGE),
        fills: &[
            items(&tables::OWNERS, ID),
            Fill {
                collection: &tables::OWNER_TEAMS,
                key: Key { column: "team_id", field: "id" },
                rows: RowsOf::Objects { list: "teams", parent: "owner_id" },
                needs_list: false,
            },
        ],
    },
    Source {
        name: "account_users",
        paths: Paths::OfAccount(|| vec![format!("/settings/users/{}", version::USERS)]),
        page: Some(PAGE),
        fills: &[items(&tables::ACCOUNT_USERS, ID)],
    },
    Source {
        name: "roles",
        paths: Paths::OfAccount(|| vec![format!("/settings/users/{}/roles", version::USERS)]),
        page: None,
        fills: &[items(&tables::ROLES, ID)],
    },
    Source {
        name: "teams",
        paths: Paths::OfAccount(|| vec![format!("/settings/users/{}/teams", version::USERS)]),
        page: None,
        fills: &[
            items(&tables::TEAMS, ID),
            Fill {
                collection: &tables::TEAM_USERS,
                key: Key { column: "user_id", field: "" },
                rows: RowsOf::Ids {
                    lists: &[("userIds", true), ("secondaryUserIds", false)],
                    parent: "team_id",
                },
                needs_list: true,
            },
        ],
    },
    Source {
        name: "forms",
        paths: Paths::OfAccount(|| {
            live_and_archived(&format!("/marketing/{}/forms?formTypes=all", version::FORMS))
        }),
        page: Some(PAGE),
        fills: &[items(&tables::FORMS, ID)],
    },
    Source {
        name: "subscription_definitions",
        paths: Paths::OfAccount(|| {
            vec![format!("/communication-preferences/{}/definitions", version::PREFERENCES)]
        }),
        page: None,
        fills: &[items(&tables::SUBSCRIPTION_DEFINITIONS, ID)],
    },
    Source {
        name: "exchange_rates",
        paths: Paths::OfAccount(|| {
            vec![format!("/settings/currencies/{}/exchange-rates", version::CURRENCIES)]
        }),
        page: Some(PAGE),
        fills: &[items(&tables::EXCHANGE_RATES, ID)],
    },
];

/// The definitions of an object's properties, which its own feed reads.
pub(in crate::feeds) static DEFINITIONS: Source = Source {
    name: "properties",
    paths: Paths::OfObject(|_| Vec::new()),
    page: None,
    fills: &[
        items(&tables::PROPERTIES, Key { column: "name", field: "name" }),
        Fill {
            collection: &tables::PROPERTY_OPTIONS,
            key: Key { column: "value", field: "value" },
            rows: RowsOf::Objects { list: "options", parent: "property" },
            needs_list: false,
        },
    ],
};

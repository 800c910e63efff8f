//! The lists of HubSpot's that metadata is read from: the calls of each, and the tables it fills. A further one is an
//! entry of [`SOURCES`].

use staging::ColumnType;

use super::tables;
use crate::feeds::collection::Collection;
use crate::version;

/// A list that each run reads whole.
#[derive(Debug)]
pub(in crate::feeds) struct Source {
    /// Its name in messages, in slices and in what the feed remembers.
    pub(super) name: &'static str,
    pub(super) paths: Paths,
    /// Items in a page; `None` where the list comes in one answer.
    pub(super) page: Option<usize>,
    /// The first one has a row for each item.
    pub(in crate::feeds) fills: &'static [Fill],
}

/// Makes the paths of a list, one for each part of it.
#[derive(Debug)]
pub(super) enum Paths {
    OfAccount(fn() -> Vec<String>),
    /// Each object has a list of its own. The argument is the object's name in paths.
    OfObject(fn(&str) -> Vec<String>),
}

/// A table, and the place of its rows in the items of a list.
#[derive(Debug)]
pub(in crate::feeds) struct Fill {
    pub(in crate::feeds) collection: &'static Collection,
    /// The row's own part of the primary key.
    pub(super) key: Key,
    pub(super) rows: RowsOf,
    /// HubSpot's specification has the list in each item: one without it is shown in part.
    pub(super) needs_list: bool,
}

/// A column, and the field that it is filled from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) column: &'static str,
    pub(super) field: &'static str,
}

#[derive(Debug)]
pub(super) enum RowsOf {
    /// One row for each item.
    Items,
    /// One for each object in this list of an item. The column holds the item's id.
    Objects { list: &'static str, parent: &'static str },
    /// One for each id in these lists of an item; `true` for the list of primary ones.
    Ids { lists: &'static [(&'static str, bool)], parent: &'static str },
}

impl Fill {
    /// Returns the column with the id of the item that a row is in.
    pub(super) fn parent(&self) -> Option<&'static str> {
        match self.rows {
            RowsOf::Items => None,
            RowsOf::Objects { parent, .. } | RowsOf::Ids { parent, .. } => Some(parent),
        }
    }

    pub(super) fn column_type(&self, column: &str) -> Option<ColumnType> {
        let mut columns = self.collection.columns.iter();
        columns.find(|known| known.name == column).map(|known| known.column_type)
    }
}

impl Source {
    /// Returns the lists in an item that have tables of their own.
    pub(super) fn nested(&self) -> Vec<&'static str> {
        let lists = |fill: &'static Fill| match fill.rows {
            RowsOf::Items => Vec::new(),
            RowsOf::Objects { list, .. } => vec![list],
            RowsOf::Ids { lists, .. } => lists.iter().map(|(list, _)| *list).collect(),
        };
        self.fills.iter().flat_map(lists).collect()
    }
}

pub(super) const OBJECT_SCHEMAS: &str = "object_schemas";

/// Collections of HubSpot's own objects that have pipelines
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/pipelines/guide>). Custom objects have them, too.
pub(super) const WITH_PIPELINES: [&str; 8] =
    ["deals", "tickets", "leads", "orders", "appointments", "courses", "listings", "services"];

/// HubSpot's default; no page names a higher one.
const PAGE: usize = 100;
const ID: Key = Key { column: "id", field: "id" };

const fn items(collection: &'static Collection, key: Key) -> Fill {
    Fill { collection, key, rows: RowsOf::Items, needs_list: false }
}

fn live_and_archived(path: &str) -> Vec<String> {
    let joint = if path.contains('?') { '&' } else { '?' };
    ["false", "true"].map(|archived| format!("{path}{joint}archived={archived}")).to_vec()
}

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

/// Returns the source of this name.
pub(super) fn source(name: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.name == name)
}

/// Returns the tables of all sources, in their order.
pub(super) fn fills() -> impl Iterator<Item = &'static Fill> {
    SOURCES.iter().flat_map(|source| source.fills)
}

//! Families of metadata: lists that give ids their meaning. Scopes are those of HubSpot's specifications of August 2026
//! (<https://github.com/HubSpot/HubSpot-public-api-spec-collection>).

use super::list::needed;
use super::{Family, Probe};
use crate::call::Call;
use crate::version;

/// All of them but that of custom objects' schemas, which discovery needs as well.
pub(super) const METADATA: &[Family] = &[
    Family {
        name: "pipelines",
        about: "pipelines and their stages, of each object that has them",
        version: version::PIPELINES,
        scopes: &[&[
            "crm.objects.deals.read",
            "crm.schemas.deals.read",
            "tickets",
            "crm.objects.leads.read",
            "crm.objects.orders.read",
            "crm.objects.custom.read",
        ]],
        fills: &[needed("pipelines"), needed("pipeline_stages")],
        paths: &["/crm/pipelines/*"],
        probe: Probe::Call(|| Call::get(format!("/crm/pipelines/{}/deals", version::PIPELINES))),
    },
    Family {
        name: "owners",
        about: "owners of records, and their teams",
        version: version::OWNERS,
        scopes: &[&["crm.objects.owners.read"]],
        fills: &[needed("owners"), needed("owner_teams")],
        paths: &["/crm/owners/*"],
        probe: Probe::Call(|| Call::get(format!("/crm/owners/{}?limit=1", version::OWNERS))),
    },
    Family {
        name: "account users",
        about: "users in the account's settings",
        version: version::USERS,
        scopes: &[&["settings.users.read", "crm.objects.users.read"]],
        fills: &[needed("account_users")],
        paths: &["/settings/users/*"],
        probe: Probe::Call(|| Call::get(format!("/settings/users/{}?limit=1", version::USERS))),
    },
    Family {
        name: "roles",
        about: "roles of users",
        version: version::USERS,
        scopes: &[&["settings.users.read", "crm.objects.users.read"]],
        fills: &[needed("roles")],
        paths: &["/settings/users/*/roles"],
        probe: Probe::Call(|| Call::get(format!("/settings/users/{}/roles", version::USERS))),
    },
    Family {
        name: "teams",
        about: "teams of users",
        version: version::USERS,
        scopes: &[&["settings.users.teams.read"]],
        fills: &[needed("teams"), needed("team_users")],
        paths: &["/settings/users/*/teams"],
        probe: Probe::Call(|| Call::get(format!("/settings/users/{}/teams", version::USERS))),
    },
    Family {
        name: "subscription definitions",
        about: "kinds of e-mail that people can subscribe to",
        version: version::PREFERENCES,
        scopes: &[&["communication_preferences.read", "communication_preferences.read_write"]],
        fills: &[needed("subscription_definitions")],
        paths: &["/communication-preferences/*/definitions"],
        probe: Probe::Call(|| {
            Call::get(format!("/communication-preferences/{}/definitions", version::PREFERENCES))
        }),
    },
    Family {
        name: "form definitions",
        about: "forms with their fields",
        version: version::FORMS,
        scopes: &[&["forms"]],
        fills: &[needed("forms")],
        paths: &["/marketing/*/forms"],
        // The family of forms, which stand in for contacts v1, shows the same.
        probe: Probe::Never,
    },
    Family {
        name: "exchange rates",
        about: "rates between the account's currencies",
        version: version::CURRENCIES,
        scopes: &[&["settings.currencies.read"]],
        fills: &[needed("exchange_rates")],
        paths: &["/settings/currencies/*/exchange-rates"],
        probe: Probe::Call(|| {
            Call::get(format!("/settings/currencies/{}/exchange-rates?limit=1", version::CURRENCIES))
        }),
    },
];

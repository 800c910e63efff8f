//! Metadata of a new account. Stages and owners are those that its records name.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{ExchangeRate, Metadata, Owner, Pipeline, Role, Stage, Team, User};
use crate::account::values::OWNERS;
use crate::{ObjectType, Settings};

/// Pipelines of deals: id, label, and stages. `closedwon` was renamed, as in accounts in the wild, and `87654321` is won.
const OF_DEALS: &[(&str, &str, &[Outline])] = &[
    (
        "default",
        "Sales Pipeline",
        &[
            ("appointmentscheduled", "Appointment Scheduled", Some("0.2"), false),
            ("qualifiedtobuy", "Qualified To Buy", Some("0.4"), false),
            ("closedwon", "Proposal Sent", Some("0.6"), false),
            ("closedlost", "Closed Lost", Some("0.0"), true),
        ],
    ),
    (
        "12345678",
        "Renewals",
        &[("87654321", "Renewed", Some("1.0"), true), ("87654399", "Due", Some("0.5"), false)],
    ),
];
const OF_TICKETS: &[(&str, &str, &[Outline])] = &[
    (
        "0",
        "Support Pipeline",
        &[("1", "New", None, false), ("2", "Waiting on contact", None, false), ("4", "Closed", None, true)],
    ),
    ("12345679", "Returns", &[("3", "In transit", None, false), ("87654322", "Returned", None, true)]),
];
const OF_OTHERS: &[(&str, &str, &[Outline])] = &[
    (
        "default",
        "Standard",
        &[
            ("new", "New", None, false),
            ("attempting", "Attempting", None, false),
            ("qualified", "Done", None, true),
        ],
    ),
    ("12345680", "Second", &[("87654323", "Only", None, false)]),
];

/// A stage: id, label, probability, and `true` if it is closed.
type Outline = (&'static str, &'static str, Option<&'static str>, bool);

pub(crate) fn generate(settings: &Settings) -> Metadata {
    let created_at = settings.start - TimeDelta::days(700);
    let of = |object: ObjectType| match object {
        ObjectType::Deals => OF_DEALS,
        ObjectType::Tickets => OF_TICKETS,
        ObjectType::Leads | ObjectType::Orders | ObjectType::Services | ObjectType::Courses => OF_OTHERS,
        ObjectType::Cars => OF_OTHERS,
        _ => &[],
    };
    let of = |object: ObjectType| of(object).iter().map(|outline| pipeline(outline, created_at)).collect();
    let ids = (0..OWNERS).map(|number| 41_000_000 + number * 7);
    let owners: BTreeMap<u64, Owner> =
        ids.zip(1..).map(|(id, number)| (id, owner(number, created_at))).collect();
    let user = |owner: &Owner| {
        let role = (!owner.user_id.is_multiple_of(3)).then_some(500 + owner.user_id % 2);
        (owner.user_id, User { email: owner.email.clone(), role, is_super_admin: role.is_none() })
    };
    let users = owners.values().filter(|owner| !owner.is_archived).map(user).collect();
    Metadata {
        pipelines: ObjectType::all().map(|object| (object, of(object))).collect(),
        users,
        roles: [(500, "Sales"), (501, "Support")].map(|(id, name)| Role { id, name: name.to_owned() }).into(),
        teams: [700, 701].map(|id| team(id, &owners)).into(),
        rates: [(1, "EUR", "1.08"), (2, "GBP", "1.27")].map(|rate| rate_of(rate, created_at)).into(),
        owners,
    }
}

fn pipeline(outline: &(&str, &str, &[Outline]), created_at: DateTime<Utc>) -> Pipeline {
    let (id, label, stages) = *outline;
    let stage = |&(id, label, probability, is_closed): &Outline| Stage {
        id: id.to_owned(),
        label: label.to_owned(),
        probability,
        is_closed,
        created_at,
        updated_at: created_at,
    };
    Pipeline {
        id: id.to_owned(),
        label: label.to_owned(),
        stages: stages.iter().map(stage).collect(),
        created_at,
        updated_at: created_at,
    }
}

fn owner(number: u64, created_at: DateTime<Utc>) -> Owner {
    Owner {
        email: format!("owner{number}@example.com"),
        first_name: format!("First{number}"),
        last_name: format!("Last{number}"),
        user_id: 9_000 + number,
        is_archived: number.is_multiple_of(5),
        teams: if number.is_multiple_of(4) { vec![] } else { vec![700 + number % 2, 700 + (number + 1) % 2] },
        created_at,
        updated_at: created_at,
    }
}

fn team(id: u64, owners: &BTreeMap<u64, Owner>) -> Team {
    let live = || owners.values().filter(|owner| !owner.is_archived);
    let is_primary = |owner: &&Owner| owner.teams.first() == Some(&id);
    Team {
        id,
        name: format!("Team {id}"),
        users: live().filter(is_primary).map(|owner| owner.user_id).collect(),
        secondary_users: live()
            .filter(|owner| !is_primary(owner) && owner.teams.contains(&id))
            .map(|owner| owner.user_id)
            .collect(),
    }
}

fn rate_of(rate: (u64, &str, &str), effective_at: DateTime<Utc>) -> ExchangeRate {
    let (id, from, rate) = rate;
    ExchangeRate { id, from: from.to_owned(), rate: rate.to_owned(), effective_at }
}

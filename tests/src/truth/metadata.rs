//! Tables of metadata: what is in the account is in its table, and all other rows are marked as deleted.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, Metadata, ObjectType, Pipeline};

use super::row::Findings;
use super::table_of;

/// One row as text: its values in the order of the table's columns here.
pub(super) type Row = Vec<Option<String>>;

/// Columns that are compared, and the rows that the account has.
pub(super) struct Expected {
    pub(super) table: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: BTreeSet<Row>,
}

/// Compares the tables of metadata. `objects` are those whose pipelines are read.
pub(super) fn differences(database: &Connection, account: &Account, objects: &[ObjectType]) -> Findings {
    let metadata = account.metadata();
    let tables = [
        pipelines(&metadata, objects),
        stages(&metadata, objects),
        owners(&metadata),
        owner_teams(&metadata),
        users(&metadata),
        roles(&metadata),
        teams(&metadata),
        team_users(&metadata),
        rates(&metadata),
        forms(account),
    ];
    compare(database, &tables)
}

/// Compares the definitions of the objects' properties.
pub(super) fn definition_differences(
    database: &Connection,
    account: &Account,
    objects: &[ObjectType],
) -> Findings {
    let (mut properties, mut options) = (BTreeSet::new(), BTreeSet::new());
    for object in objects {
        for definition in account.truth_definitions(*object) {
            let object = table_of(*object);
            let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
            properties.insert(vec![
                some(object),
                some(&definition.name),
                some(definition.name.replace('_', " ")),
                text(serde_json::json!(definition.kind)),
                text(serde_json::json!(definition.sensitivity)),
                some(definition.calculated),
                some(definition.hidden),
                some(definition.hubspot_defined),
                at(definition.updated_at),
            ]);
            for (place, (label, value)) in definition.options.iter().enumerate() {
                options.insert(vec![
                    some(object),
                    some(&definition.name),
                    some(value),
                    some(label),
                    some(place),
                ]);
            }
        }
    }
    let columns = &[
        "object",
        "name",
        "label",
        "type",
        "data_sensitivity",
        "calculated",
        "hidden",
        "hubspot_defined",
        "updated_at",
    ];
    let properties = Expected { table: "properties", columns, rows: properties };
    let columns = &["object", "property", "value", "label", "display_order"];
    compare(database, &[properties, Expected { table: "property_options", columns, rows: options }])
}

pub(super) fn compare(database: &Connection, tables: &[Expected]) -> Findings {
    let mut findings = Findings::default();
    for expected in tables {
        let found = live_rows(database, expected);
        for row in expected.rows.difference(&found) {
            findings.note(|| format!("{}: missing {row:?}", expected.table));
        }
        for row in found.difference(&expected.rows) {
            findings.note(|| format!("{}: {row:?} is not in the account", expected.table));
        }
    }
    findings
}

fn live_rows(database: &Connection, expected: &Expected) -> BTreeSet<Row> {
    let columns = expected.columns.iter().map(|column| match column.ends_with("_at") {
        true => format!("epoch_ms({column})::varchar"),
        false => format!("{column}::varchar"),
    });
    let columns: Vec<String> = columns.collect();
    let query = format!(
        "SELECT {} FROM hubspot.{} WHERE NOT is_deleted AND _unparsed IS NULL",
        columns.join(", "),
        expected.table
    );
    let mut statement = database.prepare(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let row = |row: &duckdb::Row<'_>| (0..columns.len()).map(|place| row.get(place)).collect();
    let rows: Vec<Row> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    let count = rows.len();
    let rows: BTreeSet<Row> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "a row of {} is there twice", expected.table);
    rows
}

pub(super) fn some(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

pub(super) fn at(time: DateTime<Utc>) -> Option<String> {
    some(time.timestamp_millis())
}

fn of_objects<'m>(
    metadata: &'m Metadata,
    objects: &'m [ObjectType],
) -> impl Iterator<Item = (&'static str, usize, &'m Pipeline)> {
    objects.iter().flat_map(|object| {
        let pipelines = metadata.pipelines.get(object).into_iter().flatten().enumerate();
        pipelines.map(|(place, pipeline)| (table_of(*object), place, pipeline))
    })
}

fn pipelines(metadata: &Metadata, objects: &[ObjectType]) -> Expected {
    let row = |(object, place, pipeline): (&str, usize, &Pipeline)| {
        vec![
            some(object),
            some(&pipeline.id),
            some(&pipeline.label),
            some(place),
            at(pipeline.created_at),
            at(pipeline.updated_at),
        ]
    };
    Expected {
        table: "pipelines",
        columns: &["object", "id", "label", "display_order", "created_at", "updated_at"],
        rows: of_objects(metadata, objects).map(row).collect(),
    }
}

fn stages(metadata: &Metadata, objects: &[ObjectType]) -> Expected {
    let mut rows = BTreeSet::new();
    for (object, _, pipeline) in of_objects(metadata, objects) {
        for (place, stage) in pipeline.stages.iter().enumerate() {
            let probability = stage.probability.map(|text| text.parse::<f64>().unwrap());
            let is_ticket = object == "tickets";
            rows.insert(vec![
                some(object),
                some(&pipeline.id),
                some(&stage.id),
                some(&stage.label),
                some(place),
                probability.filter(|_| object == "deals").map(|number| format!("{number:?}")),
                some(stage.is_closed),
                is_ticket.then(|| if stage.is_closed { "CLOSED" } else { "OPEN" }.to_owned()),
                at(stage.updated_at),
            ]);
        }
    }
    let columns = &[
        "object",
        "pipeline_id",
        "id",
        "label",
        "display_order",
        "probability",
        "is_closed",
        "ticket_state",
        "updated_at",
    ];
    Expected { table: "pipeline_stages", columns, rows }
}

fn owners(metadata: &Metadata) -> Expected {
    let rows = metadata.owners.iter().map(|(id, owner)| {
        let told = |text: &str| (!owner.is_archived).then(|| text.to_owned());
        vec![
            some(id),
            some(&owner.email),
            told(&owner.first_name),
            told(&owner.last_name),
            told(&owner.user_id.to_string()),
            some(owner.user_id),
            some(owner.is_archived),
            at(owner.updated_at),
        ]
    });
    let columns = &[
        "id",
        "email",
        "first_name",
        "last_name",
        "user_id",
        "user_id_including_inactive",
        "archived",
        "updated_at",
    ];
    Expected { table: "owners", columns, rows: rows.collect() }
}

fn owner_teams(metadata: &Metadata) -> Expected {
    let mut rows = BTreeSet::new();
    for (id, owner) in &metadata.owners {
        for (place, team) in owner.teams.iter().enumerate() {
            let name = metadata.teams.iter().find(|other| other.id == *team).map(|team| team.name.clone());
            rows.insert(vec![some(id), some(team), name, some(place == 0)]);
        }
    }
    let columns = &["owner_id", "team_id", "team_name", "is_primary"];
    Expected { table: "owner_teams", columns, rows }
}

fn users(metadata: &Metadata) -> Expected {
    let rows = metadata.users.iter().map(|(id, user)| {
        let role = user.role.map(|role| role.to_string());
        let roles = role.as_ref().map_or("[]".to_owned(), |role| format!("[\"{role}\"]"));
        vec![some(id), some(&user.email), role, Some(roles), some(user.is_super_admin)]
    });
    let columns = &["id", "email", "role_id", "role_ids", "super_admin"];
    Expected { table: "account_users", columns, rows: rows.collect() }
}

fn roles(metadata: &Metadata) -> Expected {
    let rows = metadata.roles.iter().map(|role| vec![some(role.id), some(&role.name), some(false)]);
    Expected { table: "roles", columns: &["id", "name", "requires_billing_write"], rows: rows.collect() }
}

fn teams(metadata: &Metadata) -> Expected {
    let rows = metadata.teams.iter().map(|team| vec![some(team.id), some(&team.name)]);
    Expected { table: "teams", columns: &["id", "name"], rows: rows.collect() }
}

fn team_users(metadata: &Metadata) -> Expected {
    let mut rows = BTreeSet::new();
    for team in &metadata.teams {
        rows.extend(team.users.iter().map(|user| vec![some(team.id), some(user), some(true)]));
        rows.extend(team.secondary_users.iter().map(|user| vec![some(team.id), some(user), some(false)]));
    }
    Expected { table: "team_users", columns: &["team_id", "user_id", "is_primary"], rows }
}

fn rates(metadata: &Metadata) -> Expected {
    let rows = metadata.rates.iter().map(|rate| {
        vec![
            some(rate.id),
            some(&rate.from),
            some("USD"),
            some(format!("{:?}", rate.rate.parse::<f64>().unwrap())),
            at(rate.effective_at),
        ]
    });
    let columns = &["id", "from_currency_code", "to_currency_code", "conversion_rate", "effective_at"];
    Expected { table: "exchange_rates", columns, rows: rows.collect() }
}

fn forms(account: &Account) -> Expected {
    let rows = account.truth_forms().into_iter().map(|form| {
        let is_archived = form.archived_at.is_some();
        vec![
            some(form.id),
            some(form.name),
            some(form.form_type.name()),
            some(is_archived),
            at(form.updated_at),
        ]
    });
    let columns = &["id", "name", "form_type", "archived", "updated_at"];
    Expected { table: "forms", columns, rows: rows.collect() }
}

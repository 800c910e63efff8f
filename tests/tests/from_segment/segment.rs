//! A schema as Segment's source leaves it: eleven tables with the columns of Segment's documentation, ids and values as
//! texts, and `received_at` and `uuid_ts` of each row. It holds the account of a while ago.

use std::collections::BTreeMap;

use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthRecord};

/// Tables by name: columns, all of them texts but for the times of Segment's, and rows.
pub(crate) type Tables = BTreeMap<&'static str, Table>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// A column of Segment's for a property that the account has no more.
pub(crate) const ARCHIVED: &str = "properties_old_score_value";
/// A campaign that HubSpot has forgotten.
pub(crate) const FORGOTTEN_CAMPAIGN: &str = "990000001";
/// The first name that contacts had.
pub(crate) const OLD_NAME: &str = "Segment's name";

const RECEIVED: &str = "2024-03-01T12:34:56.789Z";

fn some(text: impl ToString) -> Option<String> {
    Some(text.to_string())
}

fn property(record: &TruthRecord, name: &str) -> Option<String> {
    record.properties.get(name).cloned().flatten().filter(|text| !text.is_empty())
}

/// Returns the tables that Segment would have made of the account as it is now, with names that contacts had before.
pub(crate) fn tables(account: &Account) -> Tables {
    let mut tables = Tables::new();
    let portal = some(account.settings().account_id);
    let live =
        |object| account.truth(object).filter(|record| !record.archived && record.merged_into.is_none());
    let contacts = live(ObjectType::Contacts).map(|it| {
        vec![
            some(it.id),
            some(it.id),
            property(&it, "email"),
            some(OLD_NAME),
            property(&it, "lastname"),
            property(&it, "company"),
            some(it.updated_at.timestamp_millis()),
            some("true"),
            some("[]"),
            portal.clone(),
            some("17"),
        ]
    });
    add(
        &mut tables,
        "contacts",
        &[
            "id",
            "canonical_vid",
            "email",
            "properties_firstname_value",
            "properties_lastname_value",
            "properties_company_value",
            "properties_lastmodifieddate_value",
            "is_contact",
            "form_submissions",
            "portal_id",
            ARCHIVED,
        ],
        contacts.collect(),
    );
    let companies = live(ObjectType::Companies).map(|it| {
        vec![
            some(it.id),
            property(&it, "name"),
            property(&it, "country"),
            some(it.created_at.timestamp_millis()),
            some("false"),
            portal.clone(),
        ]
    });
    let columns = ["id", "name", "country", "createdate", "is_deleted", "portal_id"];
    add(&mut tables, "companies", &columns, companies.collect());
    let deals = live(ObjectType::Deals).map(|it| {
        vec![
            some(it.id),
            property(&it, "amount"),
            property(&it, "dealname"),
            property(&it, "dealstage"),
            property(&it, "pipeline"),
            some("[1,2]"),
            some("false"),
            portal.clone(),
            None,
        ]
    });
    let columns = [
        "id",
        "amount",
        "dealname",
        "dealstage",
        "pipeline",
        "associated_vids",
        "is_deleted",
        "portal_id",
        "vid",
    ];
    add(&mut tables, "deals", &columns, deals.collect());
    add_marketing(&mut tables, account);
    tables
}

fn add_marketing(tables: &mut Tables, account: &Account) {
    let mut campaigns: Vec<_> = account
        .truth_campaigns()
        .into_iter()
        .map(|it| vec![some(it.id), some(it.app_id), some(it.name), some(it.subject), some(7)])
        .collect();
    let forgotten = [FORGOTTEN_CAMPAIGN, "113", "Spring", "Hello", "12"];
    campaigns.push(forgotten.map(some).to_vec());
    add(tables, "email_campaigns", &["id", "app_id", "name", "subject", "counters_open"], campaigns);
    let events = account.truth_email_events().map(|event| {
        let text = |key: &str| event.body[key].as_str().map(str::to_owned);
        vec![some(&event.id.id), some(event.id.created), text("type"), text("recipient")]
    });
    add(tables, "email_events", &["id", "created", "type", "recipient"], events.collect());
    let lists =
        vec![["1", "Old list", "true"].map(some).to_vec(), ["2", "Another", "false"].map(some).to_vec()];
    add(tables, "contact_lists", &["id", "name", "dynamic"], lists);
    for (table, columns) in [
        ("contact_identity_profiles", ["id", "contact_id", "identities", "saved_at_timestamp"]),
        ("contact_identities", ["id", "contact_id", "type", "timestamp"]),
        ("form_submissions", ["id", "form_id", "page_url", "title"]),
        ("email_subscriptions", ["id", "email", "status", "portal_id"]),
        ("email_subscription_event_changes", ["id", "change", "change_type", "source"]),
    ] {
        let rows = (0..3).map(|n| vec![some(format!("{table}-{n}")), some(n), some("x"), None]);
        add(tables, table, &columns, rows.collect());
    }
}

fn add(
    tables: &mut Tables,
    name: &'static str,
    columns: &[&'static str],
    mut rows: Vec<Vec<Option<String>>>,
) {
    let columns = [columns, &["received_at", "uuid_ts"]].concat();
    for row in &mut rows {
        row.extend([some(RECEIVED), some(RECEIVED)]);
    }
    tables.insert(name, Table { columns, rows });
}

impl Table {
    /// The statements that make the table, in a dialect of SQL that DuckDB and PostgreSQL share.
    pub(crate) fn statements(&self, name: &str) -> Vec<String> {
        let type_of = |name: &str| match name {
            "received_at" | "uuid_ts" => "TIMESTAMP WITH TIME ZONE",
            _ => "VARCHAR",
        };
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("\"{column}\" {}", type_of(column))).collect();
        let mut statements = vec![format!("CREATE TABLE hubspot.{name} ({})", columns.join(", "))];
        for rows in self.rows.chunks(500) {
            let value = |value: &Option<String>| match value {
                Some(text) => format!("'{}'", text.replace('\'', "''")),
                None => "NULL".to_owned(),
            };
            let row = |row: &Vec<Option<String>>| {
                format!("({})", row.iter().map(value).collect::<Vec<_>>().join(", "))
            };
            let rows: Vec<String> = rows.iter().map(row).collect();
            statements.push(format!("INSERT INTO hubspot.{name} VALUES {}", rows.join(", ")));
        }
        statements
    }

    /// The row of this id.
    pub(crate) fn row(&mut self, id: u64) -> &mut Vec<Option<String>> {
        let id = Some(id.to_string());
        self.rows.iter_mut().find(|row| row[0] == id).unwrap()
    }

    pub(crate) fn set(&mut self, id: u64, column: &str, text: &str) {
        let place = self.columns.iter().position(|name| *name == column).unwrap();
        self.row(id)[place] = some(text);
    }
}

pub(crate) fn fill(database: &Connection, tables: &Tables) {
    database.execute_batch("CREATE SCHEMA hubspot").unwrap();
    for (name, table) in tables {
        database.execute_batch(&table.statements(name).join(";")).unwrap();
    }
}

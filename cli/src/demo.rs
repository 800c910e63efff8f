//! `demo`: a fake HubSpot account in this process, synced into a DuckDB file, changed, and synced again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use duckdb::Connection;
use duckdb::types::ValueRef;
use fake_hubspot::{Account, Behaviour, Kind, ObjectType, PerType, Server, Settings};
use hubspot::Credential;
use hubspot::feeds::FEEDS;
use staging::Codec;

use crate::args::{self, ModeArg, ReportFormat, Sync};
use crate::report::new_table;
use crate::sync::{print, sync};

/// File that marks the folder of a demo, which the next demo may empty.
const MARKER: &str = ".hubspot-source-demo";

/// Runs the demo. `true`: both syncs were complete.
pub(crate) async fn run(args: &args::Demo) -> anyhow::Result<bool> {
    prepare(&args.folder)?;
    let (contacts, fifth) = (args.contacts as usize, args.contacts as usize / 5);
    let records = PerType { contacts, companies: fifth, deals: fifth };
    let account = Arc::new(Account::generate(&Settings { records, ..Settings::default() }));
    let server = Server::start(Arc::clone(&account), Behaviour::default()).await?;
    let database = args.folder.join("demo.duckdb");
    let sync_args = Sync {
        warehouse: format!("duckdb:{}", database.display()),
        state: args.folder.join("state"),
        collections: None,
        without: None,
        schema: "hubspot".to_owned(),
        hard_delete: Vec::new(),
        history: Vec::new(),
        hubspot_url: server.url().to_owned(),
        mode: ModeArg::Auto,
        since: None,
        until: None,
        address_calls: 0,
        accept_removals: false,
        reserve: 10,
        codec: Codec::default(),
        report: ReportFormat::Text,
    };
    let token = || Credential::token(&server.mint_token());

    print(&format!(
        "A fake HubSpot account with {contacts} contacts answers at {}.\n\nFirst sync:",
        server.url()
    ));
    let first = sync(&sync_args, token()?).await?;
    print(&first.text());
    print(&format!("\n{}\n\nSecond sync:", change(&account)?));
    let second = sync(&sync_args, token()?).await?;
    print(&second.text());
    server.stop().await;
    show(&database)?;
    print(&format!("\nThe tables are in {}; open the file with any DuckDB client.", database.display()));
    Ok(first.is_complete() && second.is_complete())
}

/// Makes the folder, or empties that of an earlier demo. A folder with other contents is refused.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    let is_ours = folder.join(MARKER).exists();
    let is_empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_ours && !is_empty {
        bail!("the folder {} is not that of a demo: choose another --folder", folder.display());
    }
    let failed = || format!("the folder {} can't be made: choose another --folder", folder.display());
    if is_ours {
        std::fs::remove_dir_all(folder).with_context(failed)?;
    }
    std::fs::create_dir_all(folder).with_context(failed)?;
    std::fs::write(folder.join(MARKER), "").with_context(failed)
}

/// Changes the account between two syncs. Returns a text that names the changes.
fn change(account: &Account) -> anyhow::Result<String> {
    let contacts = account.live_ids(ObjectType::Contacts);
    let [first, second, third, fourth, ..] = contacts[..] else {
        bail!("the fake account has too few contacts")
    };
    account.update(ObjectType::Contacts, first, &[("firstname", Some("Renamed"))])?;
    account.archive(ObjectType::Contacts, second)?;
    let survivor = account.merge(ObjectType::Contacts, third, fourth)?;
    account.add_property(ObjectType::Contacts, "favourite_colour", Kind::String)?;
    account.update(ObjectType::Contacts, first, &[("favourite_colour", Some("orange"))])?;
    Ok(format!(
        "In HubSpot, contact {first} is renamed, {second} is deleted, {third} and {fourth} are merged (into a new \
         record, {survivor}), and a property \"favourite_colour\" appears."
    ))
}

fn show(database: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(database).context("the demo's database can't be opened")?;
    let tables: Vec<String> = FEEDS
        .iter()
        .flat_map(|feed| feed.collections())
        .map(|name| format!("SELECT '{name}' AS \"table\", count(*) AS \"rows\" FROM hubspot.{name}"))
        .collect();
    let tables = tables.join(" UNION ALL ");
    let queries = [
        ("Rows by table", tables.as_str()),
        (
            "What the second sync brought",
            "SELECT id, properties_firstname_value AS firstname, properties_favourite_colour_value AS colour,
                    is_deleted, deleted_reason, merged_into_id, merged_vids
             FROM hubspot.contacts WHERE _run_id = (SELECT max(_run_id) FROM hubspot.contacts) ORDER BY id",
        ),
        (
            "Open pipeline, deals joined with their companies by associated_company_ids",
            "SELECT c.country, count(*) AS deals, round(sum(d.amount)) AS amount
             FROM hubspot.deals d
             JOIN hubspot.companies c ON list_contains(CAST(d.associated_company_ids AS BIGINT[]), c.id)
             WHERE NOT d.is_deleted GROUP BY c.country ORDER BY amount DESC NULLS LAST LIMIT 5",
        ),
        (
            "Who the merged contact was: identities of the survivor, under the ids they came from",
            "SELECT contact_id, canonical_vid, type, value, is_primary
             FROM hubspot.contact_identities
             WHERE canonical_vid = (SELECT max(merged_into_id) FROM hubspot.contacts
                                    WHERE _run_id = (SELECT max(_run_id) FROM hubspot.contacts))
               AND NOT is_deleted ORDER BY contact_id, type",
        ),
        (
            "What became of the month's e-mails",
            "SELECT type, count(*) AS events, count(DISTINCT recipient) AS recipients
             FROM hubspot.email_events GROUP BY type ORDER BY events DESC, type LIMIT 5",
        ),
        (
            "Values that did not parse as their column's type are kept, not lost",
            "SELECT id, _unparsed FROM hubspot.contacts WHERE _unparsed IS NOT NULL ORDER BY id LIMIT 3",
        ),
    ];
    for (title, query) in queries {
        print(&format!("\n{title}:\n{}", result(&connection, query)?));
    }
    Ok(())
}

/// Returns a query's result as a table.
fn result(connection: &Connection, query: &str) -> anyhow::Result<String> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut lines: Vec<Vec<String>> = Vec::new();
    while let Some(row) = rows.next()? {
        let count = row.as_ref().column_count();
        lines.push((0..count).map(|column| row.get_ref(column).map(shown)).collect::<Result<_, _>>()?);
    }
    let names = rows.as_ref().map(|statement| statement.column_names()).unwrap_or_default();
    let mut table = new_table(&names.iter().map(String::as_str).collect::<Vec<_>>());
    table.add_rows(lines);
    Ok(table.to_string())
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Boolean(value) => value.to_string(),
        ValueRef::BigInt(value) => value.to_string(),
        ValueRef::Double(value) => value.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

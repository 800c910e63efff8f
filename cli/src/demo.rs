//! `demo`: a fake HubSpot account in this process, synced into a DuckDB file, changed, and synced again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use duckdb::Connection;
use duckdb::types::ValueRef;
use fake_hubspot::{Account, Behaviour, Kind, Limits, ObjectType, PerType, Server, Settings};
use hubspot::Credential;
use indicatif::HumanCount;
use load::ForgetDeleted;
use staging::Codec;

use crate::args::{self, ModeArg, PasswordFrom, ReportFormat, Sync, TokenFrom};
use crate::print::print;
use crate::report::new_table;
use crate::sync::sync;

/// File that marks the folder of a demo, which the next demo may empty.
const MARKER: &str = ".hubspot-source-demo";

/// Runs the demo. `true`: both syncs were complete.
pub(crate) async fn run(args: &args::Demo) -> anyhow::Result<bool> {
    prepare(&args.folder)?;
    let (contacts, fifth) = (args.contacts as usize, args.contacts as usize / 5);
    let records = PerType { contacts, companies: fifth, deals: fifth };
    // Wide enough that the demo waits for none of them.
    let limits = Limits { general: 50_000, search: 5_000, ..Limits::default() };
    let behaviour = Behaviour { limits, ..Behaviour::default() };
    let account = Arc::new(Account::generate(&Settings { records, ..Settings::default() }));
    let server = Server::start(Arc::clone(&account), behaviour).await?;
    let database = args.folder.join("demo.duckdb");
    let sync_args = Sync {
        warehouse: format!("duckdb:{}", database.display()),
        state: args.folder.join("state"),
        collections: Some(["segment", "metadata"].map(str::to_owned).to_vec()),
        without: None,
        property_history: None,
        schema: "hubspot".to_owned(),
        hard_delete: Vec::new(),
        history: Vec::new(),
        compat: None,
        hubspot_url: server.url().to_owned(),
        mode: ModeArg::Auto,
        since: None,
        until: None,
        address_calls: 0,
        adopt: false,
        accept_removals: false,
        accept_forgetting: false,
        reserve: 10,
        forget_deleted: ForgetDeleted::Off,
        pseudonymise: false,
        keep_staged: 0,
        codec: Codec::default(),
        token: TokenFrom::default(),
        password: PasswordFrom::default(),
        report: ReportFormat::Text,
    };
    let token = || Credential::token(&server.mint_token());

    print(&format!("A fake HubSpot account with {contacts} contacts answers at {}.", server.url()));
    let first = sync(&sync_args, token()?).await?;
    let rows: u64 = first.collections.values().map(|collection| collection.rows).sum();
    print(&format!(
        "The first sync reads all of it: {} rows in {} tables, {:.1} s.\n",
        HumanCount(rows),
        first.collections.len(),
        first.seconds
    ));
    let change = change(&account)?;
    print(&change.text);
    print("\nThe second sync reads what changed, and a little that may have:");
    let second = sync(&sync_args, token()?).await?;
    print(&second.text());
    server.stop().await;
    show(&database, &change)?;
    print(&format!(
        "\nThe tables are in {}. Ask them yourself:\n  duckdb {} \"FROM hubspot.contacts LIMIT 5\"",
        database.display(),
        database.display()
    ));
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

/// Changes made in the account.
#[derive(Debug)]
struct Change {
    /// For people.
    text: String,
    /// Contacts that were renamed, deleted, or merged with another one, and the record that a merge made.
    contacts: Vec<u64>,
    survivor: u64,
}

/// Changes the account between two syncs.
fn change(account: &Account) -> anyhow::Result<Change> {
    let contacts = account.live_ids(ObjectType::Contacts);
    let [first, second, third, fourth, ..] = contacts[..] else {
        bail!("the fake account has too few contacts")
    };
    account.update(ObjectType::Contacts, first, &[("firstname", Some("Renamed"))])?;
    account.archive(ObjectType::Contacts, second)?;
    let survivor = account.merge(ObjectType::Contacts, third, fourth)?;
    account.add_property(ObjectType::Contacts, "favourite_colour", Kind::String)?;
    account.update(ObjectType::Contacts, first, &[("favourite_colour", Some("orange"))])?;
    account.rename_stage(ObjectType::Deals, "qualifiedtobuy", "Demo Booked")?;
    let text = format!(
        "Meanwhile in HubSpot:\n\
         - contact {first} is renamed, and gets a property that is new: favourite_colour\n\
         - contact {second} is deleted\n\
         - contacts {third} and {fourth} are merged into a new record, {survivor}\n\
         - the stage \"Qualified To Buy\" of deals is renamed to \"Demo Booked\""
    );
    Ok(Change { text, contacts: vec![first, second, third, fourth, survivor], survivor })
}

fn show(database: &Path, change: &Change) -> anyhow::Result<()> {
    let connection = Connection::open(database).context("the demo's database can't be opened")?;
    let contacts: Vec<String> = change.contacts.iter().map(u64::to_string).collect();
    let queries = [
        (
            "A deleted or merged contact keeps its row, and says why it is gone",
            format!(
                "SELECT id, properties_firstname_value AS firstname, properties_favourite_colour_value AS colour, \
                 is_deleted AS deleted, deleted_reason AS reason, merged_into_id AS merged_into \
                 FROM hubspot.contacts WHERE id IN ({}) ORDER BY id",
                contacts.join(", ")
            ),
        ),
        (
            "The merged contact is known by all of its identities",
            format!(
                "SELECT contact_id, type, value FROM hubspot.contact_identities \
                 WHERE canonical_vid = {} AND NOT is_deleted ORDER BY contact_id, type LIMIT 2",
                change.survivor
            ),
        ),
        (
            "Stages by name: ids stay when one is renamed, and \"closedwon\" is not won",
            "SELECT s.id AS stage_id, s.label AS stage, count(*) AS deals, round(sum(d.amount)) AS amount, \
             s.probability FROM hubspot.deals AS d \
             JOIN hubspot.pipeline_stages AS s ON s.object = 'deals' AND s.id = d.dealstage \
             WHERE NOT d.is_deleted GROUP BY ALL ORDER BY probability"
                .to_owned(),
        ),
    ];
    for (title, query) in queries {
        print(&format!("\n{title}:\n{}", result(&connection, &query)?));
    }
    let unparsed = "SELECT id::VARCHAR || ': ' || _unparsed FROM hubspot.contacts WHERE _unparsed IS NOT NULL \
                    AND length(_unparsed) < 60 ORDER BY id LIMIT 1";
    // A small account may have none.
    if let Some(row) = connection.prepare(unparsed)?.query([])?.next()? {
        let what = "\nA value that is not of its column's type is kept, not lost:\n contact";
        print(&format!("{what} {}", row.get::<_, String>(0)?));
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

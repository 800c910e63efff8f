//! Moving over from Segment: a schema that its source filled is refused with the next step, and adopted where that is
//! taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod postgres;
mod segment;
mod trouble;

use duckdb::Connection;
use fake_hubspot::{Behaviour, ObjectType, PerType, Settings};
use segment::{ARCHIVED, FORGOTTEN_CAMPAIGN, OLD_NAME, Tables};
use serde_json::{Value, json};
use tests::{COLLECTIONS, Expectations, Sandbox, all_differences};

/// Tables whose rows come into ours, as Segment's have HubSpot's ids.
const JOINED: [&str; 5] = ["contacts", "companies", "deals", "email_campaigns", "email_events"];

/// An account that Segment has read, and that has changed since.
struct Moved {
    sandbox: Sandbox,
    tables: Tables,
    /// Contacts, companies and deals that HubSpot shows no more.
    purged: Vec<(ObjectType, u64)>,
}

fn settings() -> Settings {
    Settings { records: PerType { contacts: 300, companies: 60, deals: 60 }, ..Settings::default() }
}

async fn moved() -> Moved {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let mut tables = segment::tables(account);
    let mut purged = Vec::new();
    for object in ObjectType::CORE {
        let live = account.live_ids(object);
        for id in [live[1], live[4], live[9]] {
            account.purge(object, id).unwrap();
            purged.push((object, id));
        }
        account.archive(object, live[2]).unwrap();
    }
    let deals = tables.get_mut("deals").unwrap();
    let gone: Vec<u64> =
        purged.iter().filter(|(of, _)| *of == ObjectType::Deals).map(|(_, id)| *id).collect();
    deals.set(gone[0], "amount", "a lot");
    deals.set(gone[1], "amount", "1.0E+3");
    let mut odd = deals.rows[0].clone();
    odd[0] = Some("not a number".to_owned());
    deals.rows.push(odd.clone());
    odd[0] = None;
    deals.rows.push(odd);
    // Warehouses without keys have rows twice.
    let contacts = tables.get_mut("contacts").unwrap();
    let twice = contacts.row(purged[0].1).clone();
    contacts.rows.push(twice);
    Moved { sandbox, tables, purged }
}

async fn filled() -> Moved {
    let moved = moved().await;
    segment::fill(&moved.sandbox.database(), &moved.tables);
    moved
}

fn number(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

impl Moved {
    /// Checks that the tables are equal to the account, that no row of Segment's is lost, and that Segment's tables are as
    /// they were.
    #[track_caller]
    fn assert_adopted(&self) {
        let database = self.sandbox.database();
        for (name, table) in &self.tables {
            let (aside, count) = (format!("hubspot.{name}_of_segment"), table.rows.len() as i64);
            assert_eq!(number(&database, &format!("SELECT count(*) FROM {aside}")), count, "{name}");
            if !JOINED.contains(name) {
                continue;
            }
            let ids = if *name == "email_events" { "id" } else { "CAST(id AS VARCHAR)" };
            let lost = format!(
                "SELECT count(*) FROM {aside} WHERE id <> 'not a number' AND id NOT IN \
                 (SELECT {ids} FROM hubspot.{name})"
            );
            assert_eq!(number(&database, &lost), 0, "{name}");
        }
        for (object, id) in &self.purged {
            let table = object.plural();
            let kept = format!(
                "SELECT count(*) FROM hubspot.{table} WHERE id = {id} AND is_deleted AND deleted_reason = 'removed' \
                 AND received_at = TIMESTAMPTZ '2024-03-01 12:34:56.789+00'"
            );
            assert_eq!(number(&database, &kept), 1, "{table} {id}");
        }
        let deals: Vec<u64> =
            self.purged.iter().filter(|(of, _)| *of == ObjectType::Deals).map(|(_, id)| *id).collect();
        let unparsed = format!(
            "SELECT count(*) FROM hubspot.deals WHERE id = {} AND amount IS NULL AND _unparsed = '{{\"amount\":\"a lot\"}}'",
            deals[0]
        );
        assert_eq!(number(&database, &unparsed), 1);
        assert_eq!(
            number(
                &database,
                &format!("SELECT count(*) FROM hubspot.deals WHERE id = {} AND amount = 1000", deals[1])
            ),
            1
        );
        let names = format!(
            "SELECT count(*) FROM hubspot.contacts WHERE properties_firstname_value = '{}'",
            OLD_NAME.replace('\'', "''")
        );
        assert_eq!(number(&database, &names), 3, "those alone that HubSpot shows no more");
        let campaign = format!(
            "SELECT count(*) FROM hubspot.email_campaigns WHERE id = {FORGOTTEN_CAMPAIGN} AND is_deleted AND counters_open = 12"
        );
        assert_eq!(number(&database, &campaign), 1);

        database
            .execute_batch(&format!(
                "BEGIN; DELETE FROM hubspot.email_campaigns WHERE id = {FORGOTTEN_CAMPAIGN}"
            ))
            .unwrap();
        let expectations = Expectations { is_reconciled: true, ..Expectations::default() };
        let differences = all_differences(&database, self.sandbox.account(), &expectations);
        database.execute_batch("ROLLBACK").unwrap();
        assert!(differences.is_empty(), "{differences}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_segments_is_refused_with_a_next_step_that_works() {
    let moved = filled().await;
    let sandbox = &moved.sandbox;
    let before = std::fs::read(sandbox.path("warehouse.duckdb")).unwrap();
    let refused = sandbox.sync(&[]).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    for word in COLLECTIONS.iter().chain(&["--adopt", "--schema", "Nothing was written"]) {
        assert!(refused.stderr.contains(word), "no {word} in {}", refused.stderr);
    }
    assert!(!sandbox.path("state").exists(), "nothing is written");
    assert_eq!(std::fs::read(sandbox.path("warehouse.duckdb")).unwrap(), before);
    // The other next step.
    let other = sandbox.path("other");
    let elsewhere =
        ["--schema", "hubspot_new", "--collections", "companies", "--state", other.to_str().unwrap()];
    sandbox.sync(&elsewhere).await.complete();

    let report = sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
    assert_report(&report["adopted"], &moved);

    let reconciled = sandbox.sync(&["--mode", "reconcile"]).await.complete();
    for name in ["contacts", "companies", "deals"] {
        assert_eq!(reconciled["collections"][name]["reconciled"][0]["step"], "equal", "{reconciled:#}");
    }
    moved.assert_adopted();

    let before = std::fs::metadata(sandbox.path("warehouse.duckdb")).unwrap().modified().unwrap();
    let again = sandbox.sync(&["--adopt"]).await.complete();
    assert_eq!(again["adopted"], report["adopted"]);
    assert_eq!(std::fs::metadata(sandbox.path("warehouse.duckdb")).unwrap().modified().unwrap(), before);
    // Without the option, too.
    sandbox.sync(&[]).await.complete();
}

#[track_caller]
fn assert_report(adopted: &Value, moved: &Moved) {
    for name in COLLECTIONS {
        let table = &adopted[name];
        assert_eq!(table["renamed_to"], format!("{name}_of_segment"), "{table:#}");
        assert_eq!(table["drop"], format!("DROP TABLE hubspot.{name}_of_segment"));
        assert_eq!(table["rows"], moved.tables[name].rows.len(), "{name}");
        let is_joined = JOINED.contains(&name);
        assert_eq!(table["step"], if is_joined { "brought_in" } else { "aside" }, "{table:#}");
        assert_eq!(table["reason"].is_null(), is_joined, "{table:#}");
    }
    let counts = |name: &str| {
        let table = &adopted[name];
        json!([table["brought_in"], table["without_key"], table["repeated"], table["unparsed_values"]])
    };
    assert_eq!(counts("contacts"), json!([3, 0, 1, 0]));
    assert_eq!(counts("companies"), json!([3, 0, 0, 0]));
    assert_eq!(counts("deals"), json!([3, 2, 0, 1]));
    assert_eq!(counts("email_campaigns"), json!([1, 0, 0, 0]));
    assert_eq!(adopted["contacts"]["columns_aside"], json!([ARCHIVED, "uuid_ts"]));
    assert_eq!(adopted["deals"]["columns_aside"], json!(["is_deleted", "uuid_ts"]));
    let reason = adopted["contact_lists"]["reason"].as_str().unwrap();
    assert!(reason.contains("old lists"), "{reason}");
}

/// Returns the statements of the page on moving over.
fn statements() -> Vec<String> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/from-segment.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_says_works() {
    let moved = filled().await;
    let report = moved.sandbox.sync(&["--adopt", "--report", "text"]).await;
    assert_eq!(report.code, Some(0), "{report:#?}");
    assert_text(&report.stdout);
    let database = moved.sandbox.database();
    let statements = statements();
    let [score, lost, came_in, changed, ever, back] = &statements[..] else { panic!("{statements:#?}") };
    let rows = |sql: &str| number(&database, &format!("SELECT count(*) FROM ({sql})"));
    let contacts = moved.tables["contacts"].rows.len() as i64;
    assert_eq!(rows(score), contacts);
    assert_eq!(number(&database, lost), 0);
    assert_eq!(rows(came_in), 3);
    assert_eq!(rows(changed), 0);
    database.execute_batch(ever).unwrap();
    assert_eq!(
        number(&database, "SELECT count(*) FROM hubspot.contacts_ever"),
        number(&database, "SELECT count(*) FROM hubspot.contacts")
    );
    database.execute_batch("DROP VIEW hubspot.contacts_ever").unwrap();
    for name in COLLECTIONS {
        database.execute_batch(&back.replace("contacts", name)).unwrap();
    }
    drop(database);
    assert_eq!(moved.sandbox.sync(&[]).await.code, Some(2), "it is Segment's again");
    std::fs::remove_dir_all(moved.sandbox.path("state")).unwrap();
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
}

/// Checks the report for people.
#[track_caller]
fn assert_text(text: &str) {
    // Lines end where a terminal does.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "contacts: now contacts_of_segment; ",
        " 3 brought in; 1 older ones of the same id stay there; 2 columns are only there: properties_old_score_value, uuid_ts",
        "contact_lists: now contact_lists_of_segment; 2 rows stay there; its ids are of HubSpot's old lists",
        "They stay aside until you have compared them and drop them:",
        "  DROP TABLE hubspot.contacts_of_segment;",
    ] {
        assert!(words.contains(line.trim()), "no {line:?} in\n{text}");
    }
    assert!(!text.contains('@'), "an address: {text}");
}

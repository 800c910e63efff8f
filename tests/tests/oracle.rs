//! Tests of the comparison itself: it finds a wrong value in any column, and a missing row.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use chrono::{TimeDelta, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, Behaviour, Settings};
use tests::{COLLECTIONS, Expectations, Sandbox, all_differences};

/// Columns that the run writes, whatever the account.
const OURS: [&str; 5] = ["_read_at", "received_at", "_run_id", "_file", "_unparsed"];

/// Tables, their keys, and a condition for rows that have to be there: others may be deleted in HubSpot without a
/// sign.
const TABLES: [(&str, &[&str], &str); 8] = [
    ("contact_identity_profiles", &["contact_id"], "NOT is_deleted"),
    ("contact_identities", &["contact_id", "type", "value"], "NOT is_deleted"),
    ("form_submissions", &["id"], "contact_id IN (SELECT id FROM hubspot.contacts WHERE NOT is_deleted)"),
    ("contact_lists", &["id"], "NOT is_deleted"),
    ("email_campaigns", &["id"], "NOT is_deleted"),
    ("email_events", &["id", "created"], "created > now() - INTERVAL 20 DAY"),
    ("email_subscriptions", &["email"], "_source_updated_at > now() - INTERVAL 20 DAY"),
    ("email_subscription_event_changes", &["id"], "_source_updated_at > now() - INTERVAL 20 DAY"),
];

/// Columns that are not compared, or may be NULL, with the reason.
const ALLOWED: [(&str, &str, &str); 4] = [
    ("contact_identities", "_source_updated_at", "of the contact, like that of its profile"),
    ("contact_lists", "_extra", "HubSpot's keys that no column is for"),
    ("email_events", "browser_producer_url", "always empty in the fake account"),
    ("form_submissions", "values", "of the forms; contacts don't tell them"),
];

/// Columns of contacts that come from v1 and from the lists.
const OF_CONTACTS: [&str; 4] = ["added_at", "lead_guid", "form_submissions", "list_membership"];

struct Tampering<'a> {
    database: &'a Connection,
    account: &'a Account,
    seen: usize,
    unseen: Vec<String>,
}

impl Tampering<'_> {
    /// Checks that a change of a table is found, and undoes it.
    fn is_seen(&mut self, table: &str, statement: &str) {
        let without: Vec<&str> = COLLECTIONS.into_iter().filter(|other| *other != table).collect();
        // The account is made as of last midnight; no sync has moved its window since.
        let since_ms = (Utc::now() - TimeDelta::days(30)).timestamp_millis();
        let expectations = Expectations { without: &without, since_ms, ..Expectations::default() };
        self.database.execute_batch("BEGIN").unwrap();
        let changed = self.database.execute(statement, []).unwrap();
        let differences = all_differences(self.database, self.account, &expectations);
        self.database.execute_batch("ROLLBACK").unwrap();
        // No row has a value in some columns.
        match (changed, differences.is_empty()) {
            (0, _) => {}
            (_, true) => self.unseen.push(statement.to_owned()),
            (_, false) => self.seen += 1,
        }
    }

    fn clear_one(&mut self, table: &str, column: &str, which: &str) {
        let row =
            format!("SELECT rowid FROM hubspot.{table} WHERE \"{column}\" IS NOT NULL AND {which} LIMIT 1");
        self.is_seen(table, &format!("UPDATE hubspot.{table} SET \"{column}\" = NULL WHERE rowid = ({row})"));
    }
}

fn columns(database: &Connection, table: &str) -> Vec<String> {
    let query = "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = 'hubspot' AND table_name = ? ORDER BY ordinal_position";
    let mut statement = database.prepare(query).unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn tamper<'a>(database: &'a Connection, account: &'a Account) -> Tampering<'a> {
    let mut tampering = Tampering { database, account, seen: 0, unseen: Vec::new() };
    for (table, keys, which) in TABLES {
        let row = format!("SELECT rowid FROM hubspot.{table} WHERE {which} LIMIT 1");
        tampering.is_seen(table, &format!("DELETE FROM hubspot.{table} WHERE rowid = ({row})"));
        for column in columns(database, table) {
            let is_allowed = ALLOWED.iter().any(|(of, name, _)| (*of, *name) == (table, column.as_str()));
            if !OURS.contains(&column.as_str()) && !keys.contains(&column.as_str()) && !is_allowed {
                tampering.clear_one(table, &column, which);
            }
        }
    }
    for column in OF_CONTACTS {
        tampering.clear_one("contacts", column, "NOT is_deleted");
    }
    tampering
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_in_any_column_is_seen() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let database = sandbox.database();
    let tampering = tamper(&database, sandbox.account());
    assert!(tampering.unseen.is_empty(), "not seen:\n{}", tampering.unseen.join("\n"));
    assert!(tampering.seen > 120, "only {} columns have a value", tampering.seen);
}

//! Contacts that HubSpot shows nowhere any more are forgotten by themselves; nobody else is.

use fake_hubspot::{Account, Behaviour, EventType, Label, ObjectType};
use serde_json::Value;
use tests::{PostgresServer, Sandbox};

use super::places::{in_columns, in_files};
use super::{CONTACTS, FIRST, NAME, WITH, assert_nothing_left, forget, settings, with_ada};

const MERGED: &str = "merged.person@forget.example";
const SURVIVOR: &str = "survivor@forget.example";
const HARD: [&str; 4] = ["--hard-delete", "all", "--forget-deleted", "0"];

fn at_once() -> Vec<&'static str> {
    [WITH.as_slice(), &HARD, &["--mode", "reconcile", "--report", "json"]].concat()
}

fn event_at(account: &Account, recipient: &str, at: chrono::DateTime<chrono::Utc>) {
    let campaign = account.campaign_ids()[0];
    account.record_email_event(EventType::Click, recipient, campaign, at).unwrap();
}

/// A contact of which another one is a part.
fn make_survivor(account: &Account) -> u64 {
    let [first, second] = [MERGED, SURVIVOR].map(|email| account.create(CONTACTS, &[("email", Some(email))]));
    let survivor = account.merge(CONTACTS, first.unwrap(), second.unwrap()).unwrap();
    let company = account.live_ids(ObjectType::Companies)[0];
    account.associate((CONTACTS, survivor), (ObjectType::Companies, company), Label::Unlabeled).unwrap();
    event_at(account, MERGED, account.now());
    survivor
}

#[track_caller]
fn forgotten(report: &Value) -> (&str, u64) {
    (
        report["forgotten"]["outcome"].as_str().unwrap_or("nobody"),
        report["forgotten"]["ids"].as_u64().unwrap_or(0),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_hubspot_shows_nowhere_is_forgotten_by_itself() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    make_survivor(account);
    let ada = with_ada(&sandbox, &HARD).await;
    let needles = ada.needles();
    let others = [MERGED, SURVIVOR].map(str::to_owned);
    let of_others = in_columns(&sandbox.database(), &others);
    let before = account.now();
    account.purge(CONTACTS, *ada.ids.last().unwrap()).unwrap();

    // One comparison finds that it is gone; it takes another one, and the days.
    let report = sandbox.sync(&at_once()).await.complete();
    assert_eq!(forgotten(&report), ("nobody", 0), "{report:#}");
    let after_days = [WITH.as_slice(), &["--hard-delete", "all", "--mode", "reconcile"]].concat();
    let report = sandbox.sync(&after_days).await.complete();
    assert_eq!(forgotten(&report), ("nobody", 0), "{report:#}");
    assert!(!in_columns(&sandbox.database(), &needles).is_empty());

    let ended = sandbox.sync(&[at_once().as_slice(), &["-v"]].concat()).await;
    let report = ended.complete();
    assert_eq!(forgotten(&report), ("forgotten", ada.ids.len() as u64), "{report:#}");
    assert_eq!(report["forgotten"]["addresses"], 2, "{report:#}");
    assert_nothing_left(&sandbox, &needles, &[&ended]);
    assert_eq!(in_columns(&sandbox.database(), &others), of_others, "who was merged has a survivor");

    // What comes late is of the time before. All staged files once more.
    event_at(account, FIRST, before);
    let report = sandbox.sync(&at_once()).await.complete();
    assert_eq!(forgotten(&report), ("nobody", 0), "{report:#}");
    assert!(report["collections"]["email_events"]["forgotten"].as_u64().unwrap() > 0, "{report:#}");
    let dropped =
        "DROP TABLE hubspot.contacts; DROP TABLE hubspot.email_events; DROP TABLE hubspot.contact_identities";
    sandbox.database().execute_batch(dropped).unwrap();
    sandbox.sync(&[WITH.as_slice(), &HARD, &["--mode", "backfill"]].concat()).await.complete();
    assert_nothing_left(&sandbox, &needles, &[]);

    // The address becomes a contact's again: nothing of it is missing.
    event_at(account, FIRST, account.now() + chrono::TimeDelta::seconds(1));
    let again = account.create(CONTACTS, &[("email", Some(FIRST)), ("lastname", Some(NAME))]).unwrap();
    let report = sandbox.sync(&at_once()).await.complete();
    assert_eq!(report["collections"]["contacts"]["forgotten"], Value::Null, "{report:#}");
    let steps = report["collections"]["contacts"]["reconciled"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["step"], "equal", "{report:#}");
    let rows = |sql: &str| -> u64 { sandbox.database().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        rows(&format!("SELECT count(*) FROM hubspot.contacts WHERE id = {again} AND email = '{FIRST}'")),
        1
    );
    assert_eq!(rows(&format!("SELECT count(*) FROM hubspot.contact_identities WHERE value = '{FIRST}'")), 1);
    assert_eq!(rows(&format!("SELECT count(*) FROM hubspot.email_events WHERE recipient = '{FIRST}'")), 1);
    let report = sandbox.sync(&at_once()).await.complete();
    assert_eq!(forgotten(&report), ("nobody", 0), "{report:#}");
    assert_eq!(rows(&format!("SELECT count(*) FROM hubspot.contacts WHERE id = {again}")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_another_contacts_stays_that_ones() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let soft = ["--collections", "contacts,email_events", "--forget-deleted", "0", "--mode", "reconcile"];
    let gone = account.create(CONTACTS, &[("email", Some(FIRST)), ("lastname", Some(NAME))]).unwrap();
    event_at(account, FIRST, account.now());
    sandbox.sync(&soft).await.complete();
    account.purge(CONTACTS, gone).unwrap();
    sandbox.sync(&soft).await.complete();
    let heir = account.create(CONTACTS, &[("email", Some(FIRST))]).unwrap();
    let report = sandbox.sync(&soft).await.complete();
    assert_eq!(forgotten(&report), ("forgotten", 1), "{report:#}");
    assert_eq!(report["forgotten"]["addresses"], 0, "{report:#}");
    let found = in_columns(&sandbox.database(), &[NAME.to_owned(), gone.to_string()]);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(in_files(&sandbox.path("state"), &[NAME.to_owned()]), Vec::<String>::new());
    let rows = |sql: String| -> u64 { sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        rows(format!("SELECT count(*) FROM hubspot.contacts WHERE id = {heir} AND email = '{FIRST}'")),
        1
    );
    assert_eq!(rows(format!("SELECT count(*) FROM hubspot.email_events WHERE recipient = '{FIRST}'")), 1);

    // Whoever is forgotten by name stays out, until it is lifted.
    let _ = forget(&sandbox, &["--email", FIRST, "--yes"]).await;
    sandbox.sync(&soft).await.complete();
    assert_eq!(rows(format!("SELECT count(*) FROM hubspot.contacts WHERE id = {heir}")), 0);
    let lifted = forget(&sandbox, &["--lift", "--email", FIRST, "--contact", &heir.to_string()]).await;
    assert_eq!(lifted.code, Some(0), "{lifted:#?}");
    assert!(lifted.stdout.contains("2 of 2") && !lifted.stdout.contains("lovelace"), "{lifted:#?}");
    sandbox.sync(&soft).await.complete();
    assert_eq!(
        rows(format!("SELECT count(*) FROM hubspot.contacts WHERE id = {heir} AND email = '{FIRST}'")),
        1
    );
}

/// A credential of one user sees that user's contacts alone.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_a_time_are_not_forgotten_by_themselves() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let contacts = [["--collections", "contacts"].as_slice(), &HARD, &["--mode", "reconcile"]].concat();
    sandbox.sync(&contacts).await.complete();
    let live = account.live_ids(CONTACTS);
    for id in &live[..live.len() / 2] {
        account.purge(CONTACTS, *id).unwrap();
    }
    let accepted = [contacts.as_slice(), &["--accept-removals"]].concat();
    let report = sandbox.sync(&accepted).await.complete();
    assert_eq!(forgotten(&report), ("nobody", 0), "{report:#}");
    let report = sandbox.sync(&contacts).await.complete();
    assert_eq!(forgotten(&report), ("left", 0), "{report:#}");
    assert!(
        report["forgotten"]["left"]["contacts"].as_str().unwrap().contains("--accept-forgetting"),
        "{report:#}"
    );
    let deleted = || -> u64 {
        let sql = "SELECT count(*) FROM hubspot._deleted_contacts WHERE deleted_reason = 'removed'";
        sandbox.database().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(deleted(), live.len() as u64 / 2);
    // What confirms a comparison does not confirm this.
    let report = sandbox.sync(&accepted).await.complete();
    assert_eq!(forgotten(&report), ("left", 0), "{report:#}");
    // It goes by the last comparison, too.
    let accepted = [&["--collections", "contacts"], &HARD[..], &["--accept-forgetting"]].concat();
    let report = sandbox.sync(&accepted).await.complete();
    assert_eq!(forgotten(&report).0, "forgotten", "{report:#}");
    assert_eq!(deleted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_postgres_of_a_contact_that_hubspot_shows_nowhere() {
    let Some(server) = PostgresServer::start_unless_skipped() else { return };
    let client = server.client().await;
    let url = server.url();
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let ada = with_ada(&sandbox, &["--warehouse", &url, "--hard-delete", "all"]).await;
    sandbox.account().purge(CONTACTS, *ada.ids.last().unwrap()).unwrap();
    let with = [at_once().as_slice(), &["--warehouse", &url]].concat();
    sandbox.sync(&with).await.complete();
    let report = sandbox.sync(&with).await.complete();
    assert_eq!(forgotten(&report), ("forgotten", ada.ids.len() as u64), "{report:#}");
    let needles = ada.needles();
    assert_eq!(super::postgres::in_tables(&client, &needles).await, Vec::<String>::new());
    assert_eq!(in_files(&sandbox.path("state"), &needles), Vec::<String>::new());
    // Bytes in free space are given up by a full vacuum alone.
    client.batch_execute("VACUUM FULL").await.unwrap();
    client.batch_execute("ANALYZE").await.unwrap();
    assert_eq!(super::postgres::in_relations(&server, &client, &needles).await, Vec::<String>::new());
}

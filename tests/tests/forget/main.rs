//! A person is forgotten: nothing of them is left in any file, and nothing brings them back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod places;
mod postgres;
mod removed;
mod stack;

use fake_hubspot::{
    Account, Behaviour, EventType, Further, Label, Marketing, ObjectType, PerType, Settings,
    SubscriptionChange,
};
use serde_json::Value;
use tests::{CommandOutput, Sandbox, ended};

use places::{in_columns, in_files};

const CONTACTS: ObjectType = ObjectType::Contacts;
const FIRST: &str = "ada.lovelace@forget.example";
const SECOND: &str = "countess@forget.example";
const NAME: &str = "Lovelacexyz";
const WITH: [&str; 6] = [
    "--collections",
    "segment,associations,list_memberships",
    "--property-history",
    "contacts:lastname,lifecyclestage",
    "--history",
    "contacts,deals",
];

/// A small account: what is looked for is one person.
fn settings() -> Settings {
    let marketing = Marketing { email_events: 300, subscription_changes: 60, ..Marketing::default() };
    Settings { records: PerType { contacts: 90, companies: 20, deals: 30 }, marketing, ..Settings::default() }
}

/// Ids of a person's contacts: a survivor, and two that were merged.
struct Ada {
    ids: Vec<u64>,
}

impl Ada {
    /// All that must not be found.
    fn needles(&self) -> Vec<String> {
        let texts = [FIRST, SECOND, NAME].map(str::to_owned);
        texts.into_iter().chain(self.ids.iter().map(u64::to_string)).collect()
    }
}

fn note_event(account: &Account, recipient: &str, kind: EventType) {
    let campaign = account.campaign_ids()[0];
    let event = account.record_email_event(kind, recipient, campaign, account.now()).unwrap();
    let unsubscribe = [SubscriptionChange::UnsubscribeFromPortal];
    account.change_subscriptions(recipient, &unsubscribe, Some(&event), account.now()).unwrap();
}

/// Gives a person two contacts that become one, events of both addresses, submissions, lists and links.
fn make_ada(account: &Account) -> Ada {
    let [first, second] = [FIRST, SECOND].map(|email| {
        let values = [("email", Some(email)), ("firstname", Some("Ada")), ("lastname", Some(NAME))];
        account.create(CONTACTS, &values).unwrap()
    });
    account.submit_form(first, &account.form_ids()[0]).unwrap();
    let deals = account.live_ids(ObjectType::Deals);
    for deal in [deals[0], deals[1]] {
        account.associate((ObjectType::Deals, deal), (CONTACTS, first), Label::Unlabeled).unwrap();
        account.touch(ObjectType::Deals, deal).unwrap();
    }
    let company = account.live_ids(ObjectType::Companies)[0];
    account.associate((CONTACTS, second), (ObjectType::Companies, company), Label::Unlabeled).unwrap();
    account.give_past(CONTACTS, &["lastname"], 3).unwrap();
    account.update(CONTACTS, first, &[("lastname", Some(NAME))]).unwrap();
    for address in [FIRST, SECOND] {
        note_event(account, address, EventType::Delivered);
        note_event(account, address, EventType::Open);
    }
    Ada { ids: vec![first, second] }
}

/// Puts a person with a past into the warehouse, in files of several runs.
async fn with_ada(sandbox: &Sandbox, more: &[&str]) -> Ada {
    let with = [WITH.as_slice(), more].concat();
    let account = sandbox.account();
    let mut ada = make_ada(account);
    sandbox.sync(&with).await.complete();
    let survivor = account.merge(CONTACTS, ada.ids[0], ada.ids[1]).unwrap();
    ada.ids.push(survivor);
    account.submit_form(survivor, &account.form_ids()[0]).unwrap();
    note_event(account, SECOND, EventType::Click);
    account.touch_many_in_one_ms(ObjectType::Deals, account.live_ids(ObjectType::Deals).len());
    sandbox.sync(&with).await.complete();
    ada.ids.sort_unstable();
    ada.ids.dedup();
    ada
}

async fn forget(sandbox: &Sandbox, more: &[&str]) -> CommandOutput {
    ended(sandbox.local("forget", more)).await
}

#[track_caller]
fn rows(report: &Value, collection: &str) -> u64 {
    let of = &report["collections"][collection];
    let tables = of["tables"].as_object().unwrap_or_else(|| panic!("nothing of {collection}: {report:#}"));
    tables.values().map(|rows| rows.as_u64().unwrap()).sum()
}

#[track_caller]
fn assert_nothing_left(sandbox: &Sandbox, needles: &[String], outputs: &[&CommandOutput]) {
    let database = sandbox.database();
    let found = in_columns(&database, needles);
    assert!(found.is_empty(), "in tables: {found:#?}");
    drop(database);
    let found = in_files(sandbox.path("").as_path(), needles);
    assert!(found.is_empty(), "in files: {found:#?}");
    for output in outputs {
        for needle in needles {
            assert!(
                !output.stdout.contains(needle) && !output.stderr.contains(needle),
                "{needle}: {output:#?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_left_and_nothing_brings_them_back() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let ada = with_ada(&sandbox, &[]).await;
    let needles = ada.needles();
    let before = in_columns(&sandbox.database(), &needles);
    for table in
        ["contacts", "contact_identities", "email_events", "associations", "deals", "contacts_history"]
    {
        assert!(before.iter().any(|found| found.starts_with(&format!("{table}."))), "{table}: {before:#?}");
    }
    assert!(!in_files(&sandbox.path("state"), &needles).is_empty());
    let others = |table: &str| -> u64 {
        let sql = format!("SELECT count(*) FROM hubspot.{table}");
        sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let tables = ["contacts", "deals", "email_events", "form_submissions", "associations"];
    let counts = tables.map(others);

    let counted = forget(&sandbox, &["--email", SECOND, "--dry-run", "--report", "json"]).await;
    let dry = counted.complete();
    assert_eq!(tables.map(others), counts, "a dry run removes nothing");
    account.purge(CONTACTS, *ada.ids.last().unwrap()).unwrap();
    let forgotten =
        forget(&sandbox, &["--email", &FIRST.to_uppercase(), "--yes", "-v", "--report", "json"]).await;
    let report = forgotten.complete();
    assert_eq!(report["outcome"], "forgotten");
    assert_eq!(report["collections"], dry["collections"], "by either address, dry or not");
    assert_eq!((&report["ids"], &report["addresses"]), (&ada.ids.len().into(), &2.into()));
    for (collection, least) in [
        ("contacts", 3),
        ("contact_identities", 2),
        ("contact_identity_profiles", 2),
        ("form_submissions", 2),
        ("email_events", 5),
        ("email_subscription_event_changes", 5),
        ("email_subscriptions", 2),
        ("associations", 2),
        ("property_history", 1),
    ] {
        assert!(rows(&report, collection) >= least, "{collection}: {report:#}");
        assert!(report["collections"][collection]["files"].as_u64().unwrap() > 0, "{collection}: {report:#}");
    }
    assert!(report["collections"]["deals"]["changed_rows"].as_u64().unwrap() >= 2, "{report:#}");
    let removed = |table: &str| report["collections"][table]["tables"][table].as_u64().unwrap_or(0);
    for (table, before) in tables.iter().zip(counts) {
        assert_eq!(others(table), before - removed(table), "{table}: only the person's rows leave");
    }
    assert_nothing_left(&sandbox, &needles, &[&counted, &forgotten]);

    // A late event, changes, a backfill, and all staged files once more.
    note_event(account, FIRST, EventType::Click);
    let late = sandbox.sync(&WITH).await;
    assert!(late.complete()["collections"]["email_events"]["forgotten"].as_u64().unwrap() > 0, "{late:#?}");
    assert_nothing_left(&sandbox, &needles, &[]);
    let again = sandbox.sync(&[WITH.as_slice(), &["--mode", "backfill"]].concat()).await;
    again.complete();
    assert_nothing_left(&sandbox, &needles, &[]);
    let dropped = "DROP TABLE hubspot.contacts; DROP TABLE hubspot.email_events; DROP TABLE hubspot.deals";
    sandbox.database().execute_batch(dropped).unwrap();
    sandbox.sync(&WITH).await.complete();
    sandbox.sync(&[WITH.as_slice(), &["--mode", "reconcile"]].concat()).await.complete();
    assert_nothing_left(&sandbox, &needles, &[]);

    let twice = forget(&sandbox, &["--contact", &ada.ids[0].to_string(), "--yes", "--report", "json"]).await;
    assert_eq!(twice.complete()["collections"], serde_json::json!({}));
    assert_nothing_left(&sandbox, &needles, &[&twice]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stay_under_a_pseudonym_and_tell_nobody() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let ada = with_ada(&sandbox, &[]).await;
    account.purge(CONTACTS, *ada.ids.last().unwrap()).unwrap();
    let count = |sql: &str| -> u64 {
        sandbox
            .database()
            .query_row(&format!("SELECT count(*) FROM hubspot.{sql}"), [], |row| row.get(0))
            .unwrap()
    };
    let tables = ["email_events WHERE type = 'OPEN'", "email_events"];
    let before = tables.map(count);
    let with = ["--email", FIRST, "--yes", "--pseudonymise", "--report", "json"];
    let forgotten = forget(&sandbox, &with).await;
    let report = forgotten.complete();
    assert!(report["collections"]["email_events"]["changed_rows"].as_u64().unwrap() >= 5, "{report:#}");
    assert_eq!(report["collections"]["email_events"]["tables"], serde_json::json!({}), "{report:#}");
    // The key of these rows is the address, or made of it.
    assert!(rows(&report, "email_subscriptions") >= 2, "{report:#}");
    assert!(rows(&report, "email_subscription_event_changes") >= 5, "{report:#}");
    assert_nothing_left(&sandbox, &ada.needles(), &[&forgotten]);
    assert_eq!(tables.map(count), before);
    let pseudonyms = "email_events WHERE recipient LIKE '%@forgotten.invalid' AND _extra IS NULL \
                      AND user_agent IS NULL AND requested_by IS NULL";
    let kept = count(pseudonyms);
    assert!(kept >= 5, "{kept}");

    // What comes late stays out; staged files give the same table.
    note_event(account, FIRST, EventType::Click);
    sandbox.sync(&WITH).await.complete();
    sandbox.sync(&[WITH.as_slice(), &["--mode", "backfill"]].concat()).await.complete();
    sandbox.database().execute_batch("DROP TABLE hubspot.email_events").unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_eq!(tables.map(count), before);
    assert_eq!(count(pseudonyms), kept);
    assert_nothing_left(&sandbox, &ada.needles(), &[]);

    // Let in, read again and forgotten again; named without the option, the rows go.
    let ids: Vec<String> = ada.ids.iter().map(u64::to_string).collect();
    let named: Vec<&str> = ["--lift", "--email", FIRST, "--email", SECOND, "--report", "json"].into();
    let of_ids = ids.iter().flat_map(|id| ["--contact", id.as_str()]);
    forget(&sandbox, &named.into_iter().chain(of_ids).collect::<Vec<_>>()).await.complete();
    sandbox.sync(&[WITH.as_slice(), &["--mode", "backfill"]].concat()).await.complete();
    forget(&sandbox, &with).await.complete();
    let with = ["--email", FIRST, "--email", SECOND, "--yes", "--report", "json"];
    let gone = forget(&sandbox, &with).await.complete();
    assert!(rows(&gone, "email_events") >= 5, "{gone:#}");
    assert_eq!(count(pseudonyms), 0);
    assert_nothing_left(&sandbox, &ada.needles(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_hubspot_still_shows_stays_out_and_comparisons_stay_green() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    let ada = with_ada(&sandbox, &["--hard-delete", "all"]).await;
    let with = [WITH.as_slice(), &["--hard-delete", "all"]].concat();
    forget(&sandbox, &["--email", FIRST, "--yes", "--report", "json"]).await.complete();
    let survivor = *ada.ids.last().unwrap();
    account.update(CONTACTS, survivor, &[("company", Some("Analytical"))]).unwrap();
    let report = sandbox.sync(&with).await.complete();
    assert!(report["collections"]["contacts"]["forgotten"].as_u64().unwrap() > 0, "{report:#}");
    let reconcile = [with.as_slice(), &["--mode", "reconcile"]].concat();
    let report = sandbox.sync(&reconcile).await.complete();
    let steps = report["collections"]["contacts"]["reconciled"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["step"], "equal", "{report:#}");
    let needles: Vec<String> = [FIRST, SECOND, NAME].map(str::to_owned).into();
    assert_eq!(in_columns(&sandbox.database(), &needles), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_that_hubspot_still_shows_stay_out_and_comparisons_stay_green() {
    let further = Further { records: 20, custom_properties: 0 };
    let sandbox = Sandbox::new(&settings().with(ObjectType::Emails, further), Behaviour::default()).await;
    let account = sandbox.account();
    account.set_clock_offset(-chrono::TimeDelta::days(1));
    for (from, to) in [(FIRST, "bo@x.example"), ("bo@x.example", FIRST), ("bo@x.example", "cy@x.example")] {
        let values = [("hs_email_from_email", Some(from)), ("hs_email_to_email", Some(to))];
        account.create(ObjectType::Emails, &values).unwrap();
    }
    account.set_clock_offset(chrono::TimeDelta::zero());
    let with = ["--collections", "emails", "--hard-delete", "emails"];
    sandbox.sync(&with).await.complete();
    let report = forget(&sandbox, &["--email", FIRST, "--yes", "--report", "json"]).await.complete();
    assert_eq!(rows(&report, "emails"), 2);
    for mode in ["reconcile", "refresh", "reconcile"] {
        let report = sandbox.sync(&[with.as_slice(), &["--mode", mode]].concat()).await.complete();
        let steps = report["collections"]["emails"]["reconciled"].as_array().unwrap();
        assert_eq!(steps.len(), 1, "{report:#}");
        assert_eq!(steps[0]["step"], "equal", "{report:#}");
    }
    assert_nothing_left(&sandbox, &[FIRST.to_owned()], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_command_goes_on() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let ada = with_ada(&sandbox, &[]).await;
    for milliseconds in [20, 60, 120, 200] {
        let mut killed = sandbox.local("forget", &["--email", FIRST, "--yes"]).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    let ended = forget(&sandbox, &["--email", FIRST, "--yes", "--report", "json"]).await;
    ended.complete();
    assert_nothing_left(&sandbox, &ada.needles(), &[&ended]);
    let report = sandbox.sync(&WITH).await.complete();
    assert_eq!(report["collections"]["deals"]["outcome"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_names_the_next_step_and_nobody() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    for (arguments, words) in [
        (vec!["--yes"], "--email ADDRESS"),
        (vec!["--email", "ada.lovelace", "--yes"], "number 1"),
        (vec!["--email", FIRST], "--yes"),
    ] {
        std::fs::create_dir_all(sandbox.path("state")).unwrap();
        let ended = forget(&sandbox, &arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(words) && !ended.stderr.contains("lovelace"), "{ended:#?}");
    }
}

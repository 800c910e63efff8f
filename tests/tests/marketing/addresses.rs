//! Addresses that are not in the timeline: each takes a call, and each run makes as many as it may.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use fake_hubspot::{Account, Behaviour, PerType, Settings, SubscriptionChange, TruthRecord};
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal};

use super::{CONTACTS, degraded, value};

const STATUS: &str = "subscriptions.get";
/// Contacts whose addresses are read in one step.
const PAGE_CONTACTS: usize = 20;

fn small() -> Settings {
    Settings { records: PerType { contacts: 300, companies: 50, deals: 50 }, ..Settings::default() }
}

/// Returns the addresses of each live contact, in lower case; contacts ascend by id.
fn addresses(account: &Account) -> Vec<BTreeSet<String>> {
    let is_live = |record: &TruthRecord| !record.archived && record.merged_into.is_none();
    let of_record = |record: TruthRecord| {
        let values = ["email", "hs_additional_emails"].map(|name| record.properties[name].clone());
        let texts: Vec<String> = values.into_iter().flatten().map(|text| text.to_lowercase()).collect();
        let parts = texts.iter().flat_map(|text| text.split(';')).map(str::trim);
        parts.filter(|part| part.contains('@')).map(str::to_owned).collect()
    };
    account.truth(CONTACTS).filter(is_live).map(of_record).collect()
}

/// Returns the number of reads of each address since the counters were reset.
fn reads(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let mut asked = BTreeMap::new();
    for request in sandbox.server.log().into_iter().filter(|request| request.endpoint == STATUS) {
        let address = request.target.rsplit('/').next().unwrap().to_owned();
        *asked.entry(address.replace("%40", "@").replace("%2B", "+")).or_default() += 1;
    }
    let counted = sandbox.server.counters().endpoints.get(STATUS).copied().unwrap_or_default();
    assert_eq!(asked.values().sum::<u64>(), counted, "the log is too short");
    asked
}

/// Returns a column of an address's subscriptions, as text.
fn subscription(sandbox: &Sandbox, address: &str, column: &str) -> Option<String> {
    value(sandbox, &format!("SELECT {column} FROM hubspot.email_subscriptions WHERE email = '{address}'"))
}

/// Checks that every row has the subscriptions of its address, and every address of a contact has a row.
#[track_caller]
fn assert_as_they_stand(sandbox: &Sandbox) {
    let account = sandbox.account();
    let database = sandbox.database();
    let mut missing: BTreeSet<String> = addresses(account).into_iter().flatten().collect();
    let query = "SELECT email, status, subscribed, bounced, marked_as_spam, unsubscribe_from_portal \
                 FROM hubspot.email_subscriptions";
    let mut statement = database.prepare(query).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let email: String = row.get(0).unwrap();
        let is = |column: usize| -> bool { row.get(column).unwrap() };
        let status: String = row.get(1).unwrap();
        let found = (status, is(2), is(3), is(4), is(5));
        let truth = account.truth_subscription(&email);
        let expected = (
            truth.status.to_owned(),
            truth.subscribed,
            truth.bounced,
            truth.marked_as_spam,
            truth.unsubscribe_from_portal,
        );
        assert_eq!(found, expected, "{email}");
        missing.remove(&email);
    }
    assert!(missing.is_empty(), "no rows of {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_with_a_limit_of_calls_read_every_address_once() {
    let sandbox = Sandbox::new(&small(), Behaviour::default()).await;
    let account = sandbox.account();
    let of_contacts = addresses(account);
    let expected: BTreeSet<&String> = of_contacts.iter().flatten().collect();
    let of_a_page = |page: &[BTreeSet<String>]| page.iter().flatten().collect::<BTreeSet<_>>().len();
    let most_of_a_page = of_contacts.windows(PAGE_CONTACTS).map(of_a_page).max().unwrap() as u64;
    let budget = 90;
    let mut seen = BTreeSet::new();
    let mut runs = 0;
    while seen.len() < expected.len() {
        sandbox.server.reset_counters();
        sandbox.sync(&["--address-calls", &budget.to_string()]).await.complete();
        runs += 1;
        let asked = reads(&sandbox);
        let calls: u64 = asked.values().sum();
        assert!((1..=budget + most_of_a_page).contains(&calls), "{calls} calls of {budget} in run {runs}");
        for (address, times) in asked {
            assert_eq!(times, 1, "{address} is asked about {times} times in run {runs}");
            assert!(expected.contains(&address), "{address} is not that of a live contact");
            assert!(seen.insert(address.clone()), "{address} is asked about again in run {runs}");
        }
        eprintln!("run {runs}: {calls} addresses, {} of {}", seen.len(), expected.len());
    }
    assert!(runs >= 3, "{} addresses took {runs} runs", expected.len());
    assert_as_they_stand(&sandbox);

    // The pass begins again.
    sandbox.server.reset_counters();
    sandbox.sync(&["--address-calls", &budget.to_string()]).await.complete();
    assert!(of_contacts[0].iter().all(|address| reads(&sandbox).contains_key(address)));
    assert_as_they_stand(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_read_unless_it_is_wanted() {
    let sandbox = Sandbox::new(&small(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    sandbox.sync(&["--address-calls", "0"]).await.complete();
    assert!(reads(&sandbox).is_empty());
    super::assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_from_the_timeline_stay_and_its_next_changes_arrive() {
    let sandbox = Sandbox::new(&small(), Behaviour::default()).await;
    let account = sandbox.account();
    let mut addresses: Vec<String> = addresses(account).into_iter().flatten().collect();
    addresses.retain(|address| account.truth_subscription(address).subscribed);
    let unsubscribe = |address: &str, ago: TimeDelta| {
        let at = account.now() - ago;
        account
            .change_subscriptions(address, &[SubscriptionChange::UnsubscribeFromPortal], None, at)
            .unwrap();
        at.timestamp_millis().to_string()
    };
    let known = &addresses[7];
    let told_at = unsubscribe(known, TimeDelta::minutes(10));
    let everything = ["--address-calls", "10000"];
    sandbox.sync(&everything).await.complete();
    assert_as_they_stand(&sandbox);
    assert_eq!(subscription(&sandbox, known, "epoch_ms(_source_updated_at)"), Some(told_at.clone()));

    // One is told at once, the other one late.
    let changed = [(&addresses[11], TimeDelta::zero()), (&addresses[13], TimeDelta::hours(5))];
    for (address, _) in changed {
        assert_eq!(subscription(&sandbox, address, "subscribed").as_deref(), Some("true"), "{address}");
    }
    let changed = changed.map(|(address, ago)| (address, unsubscribe(address, ago)));
    sandbox.server.reset_counters();
    sandbox.sync(&[]).await.complete();
    assert!(reads(&sandbox).is_empty());
    assert_as_they_stand(&sandbox);
    for (address, _) in &changed {
        assert_eq!(subscription(&sandbox, address, "subscribed").as_deref(), Some("false"), "{address}");
    }

    // Whoever is asked about again is known well enough.
    sandbox.sync(&everything).await.complete();
    assert_as_they_stand(&sandbox);
    for (address, told_at) in changed.into_iter().chain([(known, told_at)]) {
        assert_eq!(
            subscription(&sandbox, address, "epoch_ms(_source_updated_at)"),
            Some(told_at),
            "{address}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_of_contacts_the_timeline_is_read_all_the_same() {
    let settings = small().without_scope("crm.objects.contacts.read");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let of_subscriptions = "email_subscriptions,email_subscription_event_changes";
    let more = ["--collections", of_subscriptions, "--address-calls", "100"];
    for _ in 0..2 {
        let report = sandbox.sync(&more).await.complete();
        assert!(!degraded(&report, "email_subscriptions").is_empty(), "{report:#}");
    }
    let without: Vec<&str> =
        COLLECTIONS.into_iter().filter(|name| !of_subscriptions.contains(name)).collect();
    let expectations = Expectations { without: &without, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_stopped_is_left_alone_by_a_run_without_address_calls() {
    let behaviour = Behaviour { latency: std::time::Duration::from_millis(20), ..Behaviour::default() };
    let sandbox = Sandbox::new(&small(), behaviour).await;
    let of_subscriptions = ["--collections", "email_subscriptions"];
    let mut run = sandbox.start(&[&of_subscriptions[..], &["--address-calls", "10000"]].concat());
    while sandbox.server.counters().endpoints.get(STATUS).is_none_or(|calls| *calls < 30) {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let interrupt = std::process::Command::new("/bin/kill").args(["-INT", &run.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let asked_before = reads(&sandbox).len();
    assert!(asked_before < 200, "{asked_before} addresses: it was stopped too late");

    sandbox.server.reset_counters();
    sandbox.sync(&of_subscriptions).await.complete();
    assert!(reads(&sandbox).is_empty(), "{} addresses are asked about", reads(&sandbox).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_refused_does_not_hold_up_the_next_run() {
    let settings = small().without_scope("crm.objects.contacts.read");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let of_subscriptions = ["--collections", "email_subscriptions"];
    sandbox.sync(&[&of_subscriptions[..], &["--address-calls", "100"]].concat()).await;
    sandbox.sync(&of_subscriptions).await.complete();
}

//! Calls of a run when nothing has changed: those that `docs/dictionary.md` promises for each collection, and no
//! other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

use chrono::TimeDelta;
use fake_hubspot::{Account, Behaviour, Marketing, ObjectType, PerType, Settings};
use tests::Sandbox;

/// Calls for the properties of one object: the one that the dictionary names, and one for each class of sensitive ones
/// that the credential may see and that has any. The fake account's may see both, and uses one.
const OF_PROPERTIES: u64 = 2;

/// Number of calls by endpoint.
type Calls = BTreeMap<&'static str, u64>;

/// Returns settings with more than one page of archived contacts, of lists, and of the last day's events and changes.
fn settings() -> Settings {
    Settings {
        records: PerType { contacts: 4_000, companies: 500, deals: 500 },
        archived: 0.06,
        marketing: Marketing {
            lists: 800,
            campaigns: 100,
            email_events: 4_000,
            subscription_changes: 4_000,
            days: 3,
            ..Marketing::default()
        },
        ..Settings::default()
    }
}

/// Returns the number of pages of `most` items; an empty list is a page too.
fn pages(count: usize, most: usize) -> u64 {
    count.div_ceil(most).max(1) as u64
}

/// Returns the number of events in the day before the newest one, both ends included.
fn of_the_last_day(instants_ms: &[i64]) -> usize {
    let newest_ms = instants_ms.iter().max().unwrap();
    let since_ms = newest_ms - TimeDelta::days(1).num_milliseconds();
    instants_ms.iter().filter(|at_ms| **at_ms >= since_ms).count()
}

fn promised(account: &Account) -> Calls {
    let archived = ObjectType::CORE.map(|object| pages(account.archived_ids(object).len(), 100));
    let lists = account.truth_lists();
    let shown =
        lists.iter().filter(|list| list.object == ObjectType::Contacts && list.deleted_at.is_none()).count();
    let events: Vec<i64> = account.truth_email_events().map(|event| event.id.created).collect();
    let items: BTreeMap<usize, i64> = account
        .truth_subscription_changes()
        .into_iter()
        .map(|change| (change.item, change.item_timestamp))
        .collect();
    let items: Vec<i64> = items.into_values().collect();
    BTreeMap::from([
        ("account.details", 1),
        ("properties.list", 3 * OF_PROPERTIES),
        ("objects.search", 3),
        ("objects.list", archived.iter().sum()),
        ("lists.all", pages(shown, 500)),
        ("campaigns.by_id", pages(account.campaign_ids().len(), 500)),
        ("campaigns.recent", 1),
        ("email_events.list", pages(of_the_last_day(&events), 1_000)),
        ("subscriptions.timeline", pages(of_the_last_day(&items), 1_000)),
    ])
}

/// Returns the calls of one complete sync.
async fn calls(sandbox: &Sandbox, more: &[&str]) -> Calls {
    sandbox.server.reset_counters();
    sandbox.sync(more).await.complete();
    sandbox.server.counters().endpoints
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_run_makes_the_calls_that_the_dictionary_promises() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let promised = promised(sandbox.account());
    for endpoint in ["objects.list", "lists.all", "email_events.list", "subscriptions.timeline"] {
        let least = if endpoint == "objects.list" { 4 } else { 2 };
        assert!(promised[endpoint] >= least, "a page of {endpoint} is all there is: {promised:?}");
    }
    for _ in 0..2 {
        let calls = calls(&sandbox, &[]).await;
        assert_eq!(calls, promised);
        // Refused ones and those of no endpoint would be in the log, too.
        let sum = sandbox.server.log().len() as u64;
        assert_eq!(sum, promised.values().sum::<u64>());
        eprintln!("an unchanged run of all collections: {sum} calls, {calls:?}");
    }
    let records = calls(&sandbox, &["--collections", "contacts,companies,deals"]).await;
    let of_records = ["account.details", "properties.list", "objects.search", "objects.list"];
    assert_eq!(records, of_records.map(|endpoint| (endpoint, promised[endpoint])).into());
    assert!(records.values().sum::<u64>() <= 15, "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_alone_cost_what_contacts_alone_cost() {
    let of_contacts = "contacts,contact_identity_profiles,contact_identities,form_submissions";
    let mut unchanged = Vec::new();
    for collections in ["contacts", "form_submissions", of_contacts] {
        let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
        let alone = ["--collections", collections];
        // How many pages the first sync cuts the contacts into depends on the moment.
        let first = calls(&sandbox, &alone).await;
        let (of_pages, probe) = (first["lists.batch_memberships"], 1);
        assert_eq!(first["contacts_v1.batch"], of_pages + probe, "{collections}: {first:?}");
        unchanged.push(calls(&sandbox, &alone).await);
    }
    let expected = BTreeMap::from([
        ("account.details", 1),
        ("properties.list", OF_PROPERTIES),
        ("objects.search", 1),
        ("objects.list", 3),
    ]);
    assert_eq!(unchanged, [expected.clone(), expected.clone(), expected]);
}

/// Checks an account with more pages of archived contacts than the calls that count the live ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_archived_records_is_read_when_one_came_or_went() {
    let settings = Settings {
        records: PerType { contacts: 4_400, companies: 10, deals: 10 },
        archived: 0.4,
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let alone = ["--collections", "contacts"];
    sandbox.sync(&alone).await.complete();
    let account = sandbox.account();
    let pages = pages(account.archived_ids(ObjectType::Contacts).len(), 100);
    assert!(pages > 16, "{pages}");
    // The second time one is archived for each one that is restored: all are as many as before.
    for (archived, restored) in [(10, 5), (1, 1)] {
        let unchanged = calls(&sandbox, &alone).await;
        assert_eq!(unchanged.get("objects.list"), None, "{unchanged:?}");
        assert_eq!(unchanged["objects.search"], 1 + 16, "the changes, and the counts");

        let restored = account.archived_ids(ObjectType::Contacts)[..restored].to_vec();
        let archived = account.live_ids(ObjectType::Contacts).split_off(700)[..archived].to_vec();
        archived.iter().for_each(|id| account.archive(ObjectType::Contacts, *id).unwrap());
        restored.iter().for_each(|id| account.restore(ObjectType::Contacts, *id).unwrap());
        let changed = calls(&sandbox, &alone).await;
        assert!(changed["objects.list"] >= pages, "{changed:?}");
        let deleted = |ids: &[u64]| {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            let sql = format!(
                "SELECT count(*) FROM hubspot.contacts WHERE is_deleted AND id IN ({})",
                ids.join(",")
            );
            sandbox.database().query_row(&sql, [], |row| row.get::<_, usize>(0)).unwrap()
        };
        assert_eq!((deleted(&archived), deleted(&restored)), (archived.len(), 0));
    }
}

/// Checks the sensitive properties alone: the fake shows the highly sensitive ones, of which it has none, to
/// everybody.
#[tokio::test(flavor = "multi_thread")]
async fn sensitive_properties_are_a_call_more_where_they_may_be_seen() {
    let companies = ["--collections", "companies"];
    let seeing = Settings::default();
    let ordinary = Settings::default().without_scope("crm.objects.companies.sensitive");
    for (settings, calls_of_properties) in [(seeing, OF_PROPERTIES), (ordinary, OF_PROPERTIES - 1)] {
        let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
        sandbox.sync(&companies).await.complete();
        assert_eq!(calls(&sandbox, &companies).await["properties.list"], calls_of_properties);
    }
}

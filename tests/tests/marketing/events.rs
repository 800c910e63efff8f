//! E-mail events, campaigns and the subscription timeline: late arrivals, and the window of a first run.

use chrono::TimeDelta;
use fake_hubspot::{Behaviour, EventType, Faults, Marketing, PerType, Settings, SubscriptionChange};
use tests::{Expectations, Sandbox, assert_all_equal};

use super::{CONTACTS, assert_equal, assert_writes_nothing, value};

const OF_EVENTS: &str = "email_events,email_subscriptions,email_subscription_event_changes";
const NOT_OF_EVENTS: [&str; 8] = [
    "contacts",
    "companies",
    "deals",
    "contact_identity_profiles",
    "contact_identities",
    "form_submissions",
    "contact_lists",
    "email_campaigns",
];

#[tokio::test(flavor = "multi_thread")]
async fn late_arrivals_come_with_the_next_sync() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let campaign = account.campaign_ids()[0];
    let types = account.subscription_type_ids();
    // The address that the timeline tells most of, and one that it has never heard of.
    let known = account.truth_subscription_changes().pop().unwrap().recipient;
    for recipient in [known.as_str(), "New.Address@vendor.example"] {
        for ago in [TimeDelta::minutes(10), TimeDelta::hours(5)] {
            let at = account.now() - ago;
            let changes = [SubscriptionChange::Unsubscribe(types[0]), SubscriptionChange::Bounce];
            let event = account.record_email_event(EventType::StatusChange, recipient, campaign, at).unwrap();
            account.change_subscriptions(recipient, &changes, Some(&event), at).unwrap();
            account.change_subscriptions(recipient, &[SubscriptionChange::ReportSpam], None, at).unwrap();
        }
    }
    let report = sandbox.sync(&[]).await.complete();
    for (collection, rows) in [("email_events", 4), ("email_subscription_event_changes", 12)] {
        let merged = report["collections"][collection]["merged_rows"].as_u64().unwrap();
        assert!(merged >= rows, "{collection}: {report:#}");
    }
    assert_equal(&sandbox);
    assert_writes_nothing(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_changes_of_one_item_are_rows_of_their_own() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    let change = SubscriptionChange::Unsubscribe(account.subscription_type_ids()[0]);
    let at = account.now() - TimeDelta::days(2);
    account.change_subscriptions("twice@vendor.example", &[change, change], None, at).unwrap();
    sandbox.sync(&[]).await.complete();
    let query = "SELECT count(*) FROM hubspot.email_subscription_event_changes WHERE recipient = 'twice@vendor.example'";
    assert_eq!(value(&sandbox, query).as_deref(), Some("2"));
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_becomes_obsolete_is_read_again() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    let campaign = account.campaign_ids()[1];
    let record = |kind, ago| {
        account.record_email_event(kind, "late@vendor.example", campaign, account.now() - ago).unwrap()
    };
    let deferred = record(EventType::Deferred, TimeDelta::hours(2));
    sandbox.sync(&[]).await.complete();
    let query = format!("SELECT obsoleted_by_id FROM hubspot.email_events WHERE id = '{}'", deferred.id);
    assert_eq!(value(&sandbox, &query), None);

    let delivered = record(EventType::Delivered, TimeDelta::hours(1));
    sandbox.sync(&[]).await.complete();
    assert_eq!(value(&sandbox, &query), Some(delivered.id));
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_events_unless_more_is_asked_for() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    sandbox.sync(&["--collections", OF_EVENTS]).await.complete();
    let month = Expectations { without: &NOT_OF_EVENTS, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), account, &month);
    let events: usize =
        value(&sandbox, "SELECT count(*) FROM hubspot.email_events").unwrap().parse().unwrap();
    assert!(events < account.email_event_count(), "{events}");

    let more = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let since = (account.now() - TimeDelta::days(90)).format("%Y-%m-%d").to_string();
    more.sync(&["--collections", OF_EVENTS, "--since", &since]).await.complete();
    let everything = Expectations { since_ms: 0, ..month };
    assert_all_equal(&more.database(), more.account(), &everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_thousand_events_outlive_their_offsets() {
    let marketing = Marketing {
        email_events: 55_000,
        burst_in_one_ms: 5_000,
        // All of them lie within the month that is read: the account is made as of last midnight.
        days: 29,
        ..Marketing::default()
    };
    let records = PerType { contacts: 2_000, companies: 20, deals: 20 };
    let behaviour = Behaviour {
        latency: std::time::Duration::from_millis(20),
        // Much longer than an answer takes, but for the slow ones.
        offset_lifetime: std::time::Duration::from_millis(400),
        faults: Faults { slow: 0.1, slow_by: std::time::Duration::from_millis(600), ..Faults::none() },
        ..Behaviour::default()
    };
    let sandbox = Sandbox::new(&Settings { records, marketing, ..Settings::default() }, behaviour).await;
    let report = sandbox.sync(&["--collections", "email_events"]).await.complete();
    let died = sandbox.server.counters().statuses.get(&400).copied().unwrap_or_default();
    eprintln!("{died} offsets died");
    assert!(died > 0, "no offset died");
    let rows = report["collections"]["email_events"]["rows"].as_u64().unwrap();
    assert!(rows >= sandbox.account().email_event_count() as u64, "{rows} rows");
    let mut without = NOT_OF_EVENTS.to_vec();
    without.extend(["email_subscriptions", "email_subscription_event_changes"]);
    let expectations = Expectations { without: &without, since_ms: 0, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);

    let second = sandbox.sync(&["--collections", "email_events"]).await.complete();
    assert_eq!(second["collections"]["email_events"]["rows"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_outlive_their_contacts() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contact = account.live_ids(CONTACTS)[8];
    account.update(CONTACTS, contact, &[("email", Some("gone@vendor.example"))]).unwrap();
    let now = account.now();
    account
        .change_subscriptions("gone@vendor.example", &[SubscriptionChange::UnsubscribeFromPortal], None, now)
        .unwrap();
    account.archive(CONTACTS, contact).unwrap();
    super::touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_all_equal(
        &sandbox.database(),
        account,
        &Expectations { calculated: &super::CALCULATED, ..Expectations::default() },
    );
}

/// Checks events and changes in the order of their arrival, up to half a minute after they happened, also where a page
/// ends, a window is split, or an offset has expired.
#[tokio::test(flavor = "multi_thread")]
async fn events_out_of_order_between_pages_are_not_lost() {
    let marketing =
        Marketing { email_events: 9_000, subscription_changes: 3_000, days: 5, ..Marketing::default() };
    let settings = Settings { marketing, ..Settings::default() };
    let out_of_order = Behaviour {
        latency: std::time::Duration::from_millis(5),
        arrival_jitter: std::time::Duration::from_secs(30),
        ..Behaviour::default()
    };
    let expectations = Expectations { without: &NOT_OF_EVENTS, since_ms: 0, ..Expectations::default() };
    for offsets_lead_back in [false, true] {
        let behaviour = Behaviour { offsets_lead_back, ..out_of_order.clone() };
        let sandbox = Sandbox::new(&settings, behaviour).await;
        sandbox.sync(&["--collections", OF_EVENTS]).await.complete();
        assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
        let calls: u64 = sandbox.server.counters().endpoints.values().sum();
        assert!(calls < 120, "{calls} calls");
        let again = sandbox.sync(&["--collections", OF_EVENTS]).await.complete();
        assert_eq!(again["collections"]["email_events"]["rows"], 0, "{again:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_hubspot_ignores_is_reported_and_read_nevertheless() {
    let behaviour = Behaviour { windows_are_ignored: true, ..Behaviour::default() };
    let sandbox = Sandbox::new(&Settings::default(), behaviour).await;
    let report = sandbox.sync(&["--collections", OF_EVENTS]).await.complete();
    let month = Expectations { without: &NOT_OF_EVENTS, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &month);
    let told = super::degraded(&report, "email_events");
    assert!(told[0].contains("outside the window"), "{told:?}");
    let query = "SELECT count(*) FROM hubspot.email_events WHERE created < now() - INTERVAL 33 DAY";
    assert_eq!(value(&sandbox, query).as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_read_without_offsets_that_expire_at_once() {
    let marketing = Marketing { email_events: 4_000, burst_in_one_ms: 900, days: 5, ..Marketing::default() };
    let behaviour = Behaviour { offset_lifetime: std::time::Duration::ZERO, ..Behaviour::default() };
    let behaviour = Behaviour { latency: std::time::Duration::from_millis(2), ..behaviour };
    let sandbox = Sandbox::new(&Settings { marketing, ..Settings::default() }, behaviour).await;
    sandbox.sync(&["--collections", OF_EVENTS]).await.complete();
    let expectations = Expectations { without: &NOT_OF_EVENTS, since_ms: 0, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

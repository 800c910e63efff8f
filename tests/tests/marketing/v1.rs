//! The end of v1's contact reads, in each of its ways, and their return.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use fake_hubspot::{Behaviour, PerType, Settings, V1Contacts};
use serde_json::Value;
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal, assert_equal as assert_equal_records};

use super::{CONTACTS, assert_equal, assert_writes_nothing, degraded, value};

const PROFILES: &str = "contact_identity_profiles";
/// Collections that are filled from another source, with less detail.
const DEGRADED: [&str; 2] = ["contact_identities", "form_submissions"];

fn set_v1(sandbox: &Sandbox, v1_contacts: V1Contacts) {
    sandbox.server.set_behaviour(Behaviour { v1_contacts, ..sandbox.server.behaviour() });
}

/// Checks that everything but the profiles is complete, and that degraded collections are named.
#[track_caller]
pub(super) fn assert_degraded(report: &Value) {
    for name in COLLECTIONS.into_iter().filter(|name| !report["collections"][name].is_null()) {
        let expected = if name == PROFILES { "skipped" } else { "complete" };
        assert_eq!(report["collections"][name]["outcome"], expected, "{name}: {report:#}");
    }
    for name in DEGRADED {
        assert!(degraded(report, name).iter().any(|text| !text.is_empty()), "{name}: {report:#}");
    }
}

async fn without_v1(v1_contacts: V1Contacts) {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour { v1_contacts, ..Behaviour::default() }).await;
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    assert_degraded(&report);
    let reason = report["collections"][PROFILES]["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "{report:#}");
    let expectations = Expectations { has_v1: false, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);

    // What can't be had need not be asked for: then nothing is missing.
    let report = sandbox.sync(&["--without", PROFILES]).await.complete();
    assert!(report["collections"][PROFILES].is_null(), "{report:#}");
    assert_degraded(&report);
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);

    set_v1(&sandbox, V1Contacts::Alive);
    let report = sandbox.sync(&[]).await.complete();
    for name in DEGRADED {
        assert!(degraded(&report, name).is_empty(), "{name}: {report:#}");
    }
    assert_equal(&sandbox);
    assert_writes_nothing(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_v1_all_but_the_profiles_are_complete_until_it_is_back() {
    without_v1(V1Contacts::Gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_v1_is_an_end_like_any_other() {
    without_v1(V1Contacts::Forbidden).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_v1_told_before_it_ended_stays() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let count = |query: &str| -> u64 { value(&sandbox, query).unwrap().parse().unwrap() };
    let live = "SELECT count(*) FROM hubspot.contact_identity_profiles WHERE NOT is_deleted";
    let leads = "SELECT count(*) FROM hubspot.contact_identities WHERE NOT is_deleted AND type = 'LEAD_GUID'";
    let before = (count(live), count(leads));

    set_v1(&sandbox, V1Contacts::Gone);
    let account = sandbox.account();
    let ids = account.live_ids(CONTACTS);
    account.update(CONTACTS, ids[0], &[("email", Some("without.v1@vendor.example"))]).unwrap();
    account.submit_form(ids[1], &account.form_ids()[0]).unwrap();
    let ended = sandbox.sync(&[]).await;
    assert_eq!(ended.code, Some(1), "{:#}", ended.report());
    assert_degraded(&ended.report());
    assert_eq!((count(live), count(leads)), before);
    let address =
        "SELECT is_primary FROM hubspot.contact_identities WHERE value = 'without.v1@vendor.example'";
    assert_eq!(value(&sandbox, address).as_deref(), Some("true"));

    set_v1(&sandbox, V1Contacts::Alive);
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
}

/// Checks a contact whose last change is older than the end of v1: that it is back moves no date.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_was_restored_without_v1_is_read_again_with_it() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let archived = account.truth(CONTACTS).filter(|contact| contact.archived);
    let oldest = archived.min_by_key(|contact| contact.updated_at).unwrap();
    assert!(oldest.updated_at < Utc::now() - TimeDelta::days(30), "{oldest:?}");

    set_v1(&sandbox, V1Contacts::Gone);
    account.restore(CONTACTS, oldest.id).unwrap();
    assert_degraded(&sandbox.sync(&[]).await.report());
    set_v1(&sandbox, V1Contacts::Alive);
    sandbox.sync(&[]).await.complete();
    // Deals are associated with it again, without a trace in them.
    let expectations = Expectations { without: &["deals"], ..Expectations::default() };
    assert_all_equal(&sandbox.database(), account, &expectations);
}

/// Ends v1 as soon as it has shown some contacts.
async fn end_v1_under_way(sandbox: &Sandbox) {
    while sandbox.server.counters().endpoints.get("contacts_v1.batch").is_none_or(|calls| *calls < 5) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    set_v1(sandbox, V1Contacts::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_v1_in_the_middle_of_a_first_sync_loses_no_row() {
    let records = PerType { contacts: 4_000, companies: 200, deals: 200 };
    let behaviour = Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() };
    let sandbox = Sandbox::new(&Settings { records, ..Settings::default() }, behaviour).await;
    let (ended, ()) = tokio::join!(sandbox.sync(&[]), end_v1_under_way(&sandbox));
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    assert_degraded(&report);
    // One that is refused is asked for once more.
    let log = sandbox.server.log();
    let is_batch = |target: &str| target.starts_with("/contacts/v1/contact/vids/batch");
    let answered = log.iter().filter(|request| request.status == 200 && is_batch(&request.target)).count();
    assert!(answered < 40, "{answered} of 40 batches were answered: v1 ended too late");
    assert_equal_records(&sandbox.database(), sandbox.account());
    let of_contacts = ["contacts", PROFILES, "contact_identities", "form_submissions"];
    let expectations = Expectations { without: &of_contacts, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
    let unknown = "SELECT count(*) FROM hubspot.contacts WHERE NOT is_deleted AND email LIKE '%@%' \
                   AND (id, email) NOT IN (SELECT (canonical_vid, value) FROM hubspot.contact_identities \
                   WHERE NOT is_deleted AND type = 'EMAIL')";
    assert_eq!(value(&sandbox, unknown).as_deref(), Some("0"));

    set_v1(&sandbox, V1Contacts::Alive);
    let report = sandbox.sync(&[]).await.complete();
    for name in DEGRADED {
        assert!(degraded(&report, name).is_empty(), "{name}: {report:#}");
    }
    assert_equal(&sandbox);
    assert_writes_nothing(&sandbox).await;
}

/// Checks contacts v1 some minutes behind the search: submissions that it did not show yet come with the next run,
/// though the contact has not changed since.
#[tokio::test(flavor = "multi_thread")]
async fn what_v1_shows_a_run_late_arrives() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contacts = account.live_ids(CONTACTS);
    sandbox.server.set_behaviour(Behaviour { v1_lag: Duration::from_secs(3_600), ..Behaviour::default() });
    account.submit_form(contacts[3], &account.form_ids()[0]).unwrap();
    // Some minutes are not enough to be sure.
    account.set_clock_offset(-chrono::TimeDelta::minutes(10));
    account.submit_form(contacts[4], &account.form_ids()[1]).unwrap();
    account.set_clock_offset(chrono::TimeDelta::zero());
    sandbox.sync(&[]).await.complete();
    sandbox.server.set_behaviour(Behaviour { v1_lag: Duration::ZERO, ..sandbox.server.behaviour() });
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
}

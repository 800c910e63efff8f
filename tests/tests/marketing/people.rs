//! Identities and profiles of contacts that change their address, are archived, restored and merged.

use fake_hubspot::{Account, Behaviour, Settings};
use tests::{Expectations, Sandbox, assert_all_equal};

use super::{CALCULATED, CONTACTS, assert_equal, touch_all_deals, value};

/// Checks all tables but for numbers of associations, which a merge changes without a new modified date.
#[track_caller]
fn assert_equal_but_for_counts(sandbox: &Sandbox) {
    let expectations = Expectations { calculated: &CALCULATED, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

fn identity(sandbox: &Sandbox, contact: u64, address: &str, column: &str) -> Option<String> {
    let query = format!(
        "SELECT {column} FROM hubspot.contact_identities \
         WHERE contact_id = {contact} AND type = 'EMAIL' AND value = '{address}'"
    );
    value(sandbox, &query)
}

fn profile(sandbox: &Sandbox, contact: u64, column: &str) -> Option<String> {
    value(
        sandbox,
        &format!("SELECT {column} FROM hubspot.contact_identity_profiles WHERE contact_id = {contact}"),
    )
}

fn email_of(account: &Account, contact: u64) -> String {
    let record = account.truth(CONTACTS).find(|record| record.id == contact).unwrap();
    record.properties["email"].clone().unwrap()
}

fn with_email(account: &Account) -> Vec<u64> {
    let has_email = |record: &fake_hubspot::TruthRecord| {
        record.properties["email"].as_deref().is_some_and(|email| !email.is_empty())
    };
    let live = account.truth(CONTACTS).filter(|record| !record.archived && record.merged_into.is_none());
    live.filter(has_email).map(|record| record.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_address_is_deleted() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contacts = with_email(account);
    let (changed, cleared) = (contacts[0], contacts[1]);
    let (former, lost) = (email_of(account, changed), email_of(account, cleared));
    account.update(CONTACTS, changed, &[("email", Some("today@vendor.example"))]).unwrap();
    account.update(CONTACTS, cleared, &[("email", None), ("hs_additional_emails", None)]).unwrap();
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
    for (contact, address) in [(changed, &former), (cleared, &lost)] {
        assert_eq!(identity(&sandbox, contact, address, "is_deleted").as_deref(), Some("true"));
        assert_eq!(identity(&sandbox, contact, address, "deleted_reason").as_deref(), Some("removed"));
    }

    account.update(CONTACTS, changed, &[("email", Some(&former))]).unwrap();
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
    assert_eq!(identity(&sandbox, changed, &former, "is_deleted").as_deref(), Some("false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_contacts_take_their_identities_along_and_bring_them_back() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contact = with_email(account)[2];
    let never_seen = account.archived_ids(CONTACTS)[0];
    account.archive(CONTACTS, contact).unwrap();
    account.restore(CONTACTS, never_seen).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
    assert_eq!(profile(&sandbox, contact, "deleted_reason").as_deref(), Some("archived"));
    let address = email_of(account, contact);
    assert_eq!(identity(&sandbox, contact, &address, "is_deleted").as_deref(), Some("true"));

    account.restore(CONTACTS, contact).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
    assert_eq!(identity(&sandbox, contact, &address, "is_deleted").as_deref(), Some("false"));
}

async fn merges(settings: Settings) {
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contacts = with_email(account);
    let first = account.merge(CONTACTS, contacts[3], contacts[4]).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);

    // The outcome of a merge is merged once more, and another pair twice before anybody looks.
    let second = account.merge(CONTACTS, first, contacts[5]).unwrap();
    let unseen = account.merge(CONTACTS, contacts[6], contacts[7]).unwrap();
    let third = account.merge(CONTACTS, contacts[8], unseen).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
    let family = [contacts[3], contacts[4], contacts[5], first, second];
    for id in family {
        assert_eq!(profile(&sandbox, id, "canonical_vid"), Some(second.to_string()), "{id}");
        assert_eq!(profile(&sandbox, id, "is_deleted").as_deref(), Some("false"), "{id}");
    }

    account.archive(CONTACTS, second).unwrap();
    account.update(CONTACTS, third, &[("email", Some("merged@vendor.example"))]).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
    for id in family {
        assert_eq!(profile(&sandbox, id, "deleted_reason").as_deref(), Some("archived"), "{id}");
    }

    account.restore(CONTACTS, second).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_shows_all_that_were_merged_into_it() {
    merges(Settings::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_may_keep_its_id() {
    merges(Settings { merge_keeps_primary_id: true, ..Settings::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_of_purged_contacts_hide_no_others() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let contacts = with_email(account);
    let address = email_of(account, contacts[9]);
    account.purge(CONTACTS, contacts[9]).unwrap();
    let survivor = account.merge(CONTACTS, contacts[10], contacts[11]).unwrap();
    account.purge(CONTACTS, survivor).unwrap();
    // The address is somebody else's now.
    account.create(CONTACTS, &[("email", Some(&address))]).unwrap();
    touch_all_deals(account);
    sandbox.sync(&[]).await.complete();
    assert_equal_but_for_counts(&sandbox);
}

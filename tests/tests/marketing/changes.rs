//! First syncs, quiet syncs, busy accounts, lists.

use chrono::TimeDelta;
use fake_hubspot::{Behaviour, Churn, MarketingChurn, ObjectType, Processing, Settings, SubscriptionChange};
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal};

use super::{CALCULATED, CONTACTS, assert_equal, assert_writes_nothing, degraded, touch_all_deals, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_of_all_equals_the_account_and_a_second_one_writes_nothing() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let first = sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
    for name in COLLECTIONS {
        assert!(first["collections"][name]["merged_rows"].as_u64().unwrap() > 0, "{name}: {first:#}");
        assert!(degraded(&first, name).is_empty(), "{name}: {first:#}");
    }
    assert_writes_nothing(&sandbox).await;
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn short_pages_are_no_end_and_keys_may_be_missing() {
    let behaviour =
        Behaviour { short_pages: 0.5, shows_unsubscribe_from_portal: false, ..Behaviour::default() };
    let sandbox = Sandbox::new(&Settings::default(), behaviour).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_account_is_caught_up_with() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    for seed in [3, 4] {
        let records = Churn { per_second: 1.0, seed }.burst(account, 200).len();
        let marketing = MarketingChurn { per_second: 1.0, seed }.burst(account, 300).len();
        assert!(records > 150 && marketing > 200, "{records} and {marketing} changes");
        touch_all_deals(account);
        sandbox.sync(&[]).await.complete();
        let expectations = Expectations {
            calculated: &CALCULATED,
            // Lists take in and let go of contacts, and are deleted, without a trace in the contacts.
            has_memberships: false,
            // Old events become obsolete without a trace: only those of the last hours are read again.
            obsoleted_since_ms: (account.now() - TimeDelta::hours(1)).timestamp_millis(),
            ..Expectations::default()
        };
        assert_all_equal(&sandbox.database(), account, &expectations);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_at_work_during_a_sync_are_caught_up_with() {
    let behaviour = Behaviour { latency: std::time::Duration::from_millis(30), ..Behaviour::default() };
    let sandbox = Sandbox::new(&Settings::default(), behaviour).await;
    let shared = std::sync::Arc::clone(sandbox.server.account());
    let churn = MarketingChurn { per_second: 50.0, seed: 12 }.start(shared);
    sandbox.sync(&[]).await.complete();
    sandbox.sync(&[]).await.complete();
    assert!(churn.stop().len() > 30);
    sandbox.sync(&[]).await.complete();
    let obsoleted_since_ms = (sandbox.account().now() - TimeDelta::hours(1)).timestamp_millis();
    let expectations = Expectations { has_memberships: false, obsoleted_since_ms, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_submission_stays_and_hides_no_other() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let shown = account.truth_v1_contacts().find(|contact| contact.form_submissions.len() > 1).unwrap();
    let deleted = [shown.form_submissions[0].conversion_id.clone()];
    account.delete_submission(&deleted[0]).unwrap();
    account.submit_form(shown.vid, &account.form_ids()[0]).unwrap();
    account.rename_form(&account.form_ids()[1], "renamed").unwrap();
    sandbox.sync(&[]).await.complete();
    let expectations = Expectations { deleted_submissions: &deleted, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), account, &expectations);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_made_renamed_deleted_and_restored() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let lists: Vec<_> = account.truth_lists().into_iter().filter(|list| list.object == CONTACTS).collect();
    let current: Vec<u64> =
        lists.iter().filter(|list| list.deleted_at.is_none() && list.size > 0).map(|list| list.id).collect();
    let unseen = lists.iter().find(|list| list.deleted_at.is_some()).unwrap().id;
    account.delete_list(current[0]).unwrap();
    account.rename_list(current[1], "renamed \"twice\"").unwrap();
    account.restore_list(unseen).unwrap();
    account.create_list(CONTACTS, "new", Processing::Dynamic);
    account.create_list(ObjectType::Companies, "of companies", Processing::Manual);
    sandbox.sync(&[]).await.complete();
    // The contacts of lists that come and go show no trace of it.
    let expectations = Expectations { has_memberships: false, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), account, &expectations);
    let is_archived = format!("SELECT archived FROM hubspot.contact_lists WHERE id = {}", current[0]);
    assert_eq!(value(&sandbox, &is_archived).as_deref(), Some("true"));

    account.restore_list(current[0]).unwrap();
    sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), account, &expectations);
    assert_eq!(value(&sandbox, &is_archived).as_deref(), Some("false"));
    assert_writes_nothing(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_are_read_with_the_next_edit() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let member = account.truth_memberships().into_iter().find(|one| one.object == CONTACTS).unwrap();
    let list = account.create_list(CONTACTS, "new", Processing::Manual);
    assert!(account.remove_from_list(member.list, member.record).unwrap());
    let others = account.live_ids(CONTACTS)[..40].to_vec();
    for contact in &others {
        account.add_to_list(list, *contact).unwrap();
    }
    let unchanged = sandbox.sync(&[]).await.complete();
    assert_eq!(unchanged["collections"]["contacts"]["rows"], 0);
    // The lists themselves are read whole each time, their sizes with them.
    let expectations = Expectations { has_memberships: false, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), account, &expectations);

    for contact in others.iter().chain([&member.record]) {
        account.update(CONTACTS, *contact, &[("jobtitle", Some("edited"))]).unwrap();
    }
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
}

/// Checks that the newest of a moment's changes counts, also where it equals an older one of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_several_changes_in_one_millisecond_counts() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let account = sandbox.account();
    let (kind, at) = (account.subscription_type_ids()[0], account.now());
    let (comes, goes) = (SubscriptionChange::Subscribe(kind), SubscriptionChange::Unsubscribe(kind));
    for change in [comes, goes, comes, goes] {
        account.change_subscriptions("to-and-fro@example.com", &[change], None, at).unwrap();
        sandbox.sync(&[]).await.complete();
        assert_equal(&sandbox);
    }
    assert_writes_nothing(&sandbox).await;
}

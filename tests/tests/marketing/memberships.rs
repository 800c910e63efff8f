//! The table of list memberships, beside `contacts.list_membership`.

use fake_hubspot::{Behaviour, ObjectType, Poison, PoisonEffect, Processing, Settings};
use tests::{Sandbox, assert_memberships_equal};

const CONTACTS: ObjectType = ObjectType::Contacts;
const WITH: [&str; 2] = ["--collections", "contacts,contact_lists,list_memberships"];

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_in_the_lists_that_it_was_in_when_it_was_read() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    let first = sandbox.sync(&WITH).await.complete();
    assert!(first["collections"]["list_memberships"]["rows"].as_u64().unwrap() > 20, "{first}");
    assert_memberships_equal(&sandbox.database(), account);
    let rows = sandbox.sync(&WITH).await.complete()["collections"]["list_memberships"]["rows"].clone();
    assert!(rows.is_null() || rows == 0, "nothing has changed: {rows}");

    // One leaves all its lists, one is deleted, one joins, one is merged away.
    let members = account.truth_memberships();
    let mut of_contacts = members.iter().filter(|one| one.object == CONTACTS);
    let (leaves, deleted) = (of_contacts.next().unwrap(), of_contacts.next_back().unwrap());
    for one in members.iter().filter(|one| one.record == leaves.record) {
        account.remove_from_list(one.list, one.record).unwrap();
    }
    assert_ne!(leaves.record, deleted.record);
    account.archive(CONTACTS, deleted.record).unwrap();
    let list = account.create_list(CONTACTS, "new", Processing::Manual);
    let others: Vec<u64> = account.live_ids(CONTACTS).into_iter().filter(|id| *id != leaves.record).collect();
    for contact in &others[..5] {
        account.add_to_list(list, *contact).unwrap();
    }
    account.merge(CONTACTS, others[0], others[1]).unwrap();
    for contact in others[2..5].iter().chain([&leaves.record]) {
        account.update(CONTACTS, *contact, &[("jobtitle", Some("edited"))]).unwrap();
    }
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), account);

    // Who joins without an edit is found by a refresh, and read by the run behind it.
    account.add_to_list(list, others[20]).unwrap();
    sandbox.sync(&[&WITH[..], &["--mode", "refresh"]].concat()).await.complete();
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_that_are_wanted_later_are_read_of_all_contacts() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&["--collections", "contacts"]).await.complete();
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), sandbox.account());

    // Not wanted for a while: what changed meanwhile is read when they are wanted again.
    let account = sandbox.account();
    let member = account.truth_memberships().into_iter().find(|one| one.object == CONTACTS).unwrap();
    account.remove_from_list(member.list, member.record).unwrap();
    account.update(CONTACTS, member.record, &[("jobtitle", Some("edited"))]).unwrap();
    sandbox.sync(&["--collections", "contacts"]).await.complete();
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), account);
}

/// What a refresh finds while nobody wants the table has no later change that would tell of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_refresh_found_while_the_table_was_not_wanted_is_read_when_it_is() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    sandbox.sync(&WITH).await.complete();
    let member = account.truth_memberships().into_iter().find(|one| one.object == CONTACTS).unwrap();
    account.remove_from_list(member.list, member.record).unwrap();
    sandbox.sync(&["--collections", "contacts", "--mode", "refresh"]).await.complete();
    sandbox.sync(&["--collections", "contacts"]).await.complete();
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_that_cannot_be_read_are_named_and_read_later() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.server.poison(Poison::new("lists.batch_memberships", "", PoisonEffect::Status(403)));
    let report = sandbox.sync(&WITH).await.complete();
    let degraded = &report["collections"]["list_memberships"]["degraded"];
    assert!(degraded.to_string().contains("list memberships are not read"), "{report}");
    sandbox.server.heal();
    sandbox.sync(&WITH).await.complete();
    assert_memberships_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_alone_are_refused_with_what_to_name() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let refused = sandbox.sync(&["--collections", "form_submissions,list_memberships"]).await;
    let words = "list_memberships are read with the objects that lists are of";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
}

//! E-mail campaigns where campaigns v1 does not answer any more: from the marketing e-mails that own them.

use std::collections::BTreeMap;

use fake_hubspot::{Account, Behaviour, EventType, Poison, PoisonEffect, Settings};
use serde_json::Value;
use tests::{Expectations, Sandbox, assert_all_equal};

const ALONE: [&str; 2] = ["--collections", "email_campaigns"];

fn gone() -> Poison {
    Poison::new("campaigns", "", PoisonEffect::Status(404))
}

fn degraded(report: &Value) -> String {
    let collection = &report["collections"]["email_campaigns"];
    assert_eq!(collection["outcome"], "complete", "{report:#}");
    collection["degraded"].to_string()
}

/// By id: the app, and how often the campaign was sent.
fn campaigns(sandbox: &Sandbox) -> BTreeMap<u64, (Option<u64>, Option<u64>)> {
    let database = sandbox.database();
    let mut statement = database
        .prepare("SELECT id, app_id, counters_sent FROM hubspot.email_campaigns WHERE NOT is_deleted");
    let statement = statement.as_mut().unwrap();
    let row = |row: &duckdb::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Campaigns that HubSpot shows statistics of: those that are their e-mail's only one.
fn counted(account: &Account) -> BTreeMap<u64, u64> {
    let emails = account
        .truth_emails()
        .into_iter()
        .filter(|email| email.campaigns.len() == 1 && !email.id.is_multiple_of(10));
    emails.map(|email| (email.campaigns[0], email.counters.get("sent").copied().unwrap_or(0))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn campaigns_stay_complete_when_v1_is_gone_and_equal_it_when_it_is_back() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    assert_eq!(degraded(&sandbox.sync(&[]).await.complete()), "[]");
    let before = campaigns(&sandbox);

    sandbox.server.poison(gone());
    let sent = *counted(account).keys().next().unwrap();
    let at = account.now();
    account.record_email_events(EventType::Sent, &["a@example.com", "b@example.com"], sent, at).unwrap();
    let report = sandbox.sync(&ALONE).await.complete();
    let text = degraded(&report);
    assert!(text.contains("campaigns v1 does not answer") && text.contains("are not told"), "{text}");
    let after = campaigns(&sandbox);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (id, (app, count)) in &after {
        assert_eq!(*app, before[id].0, "{id}: what v1 has told stays");
        let expected = counted(account).get(id).copied().or(before[id].1);
        assert_eq!(count.unwrap_or(0), expected.unwrap_or(0), "{id}");
    }
    assert_eq!(after[&sent].1, Some(before[&sent].1.unwrap_or(0) + 2));
    let report = sandbox.sync(&ALONE).await.complete();
    assert_eq!(report["collections"]["email_campaigns"]["rows"], 0, "nothing has changed");
    assert!(degraded(&report).contains("campaigns v1"));

    sandbox.server.heal();
    let report = sandbox.sync(&[]).await.complete();
    assert_eq!(degraded(&report), "[]");
    assert_all_equal(&sandbox.database(), account, &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_never_had_v1_has_its_campaigns_nevertheless() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    account.archive_email(account.truth_emails()[1].id).unwrap();
    sandbox.server.poison(gone());
    let report = sandbox.sync(&[]).await.complete();
    assert!(degraded(&report).contains("campaigns v1 does not answer"));
    let (found, mut expected) = (campaigns(&sandbox), account.campaign_ids());
    expected.sort_unstable();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
    for (id, count) in counted(account) {
        assert_eq!(found[&id].1.unwrap_or(0), count, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_v1_goes_ends_with_the_emails() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.server.poison(Poison { endpoints: vec!["campaigns.get"], ..gone() });
    let report = sandbox.sync(&ALONE).await.complete();
    assert!(degraded(&report).contains("campaigns v1 does not answer"));
    assert_eq!(campaigns(&sandbox).len(), sandbox.account().campaign_ids().len());
    // Its lists alone are no use.
    let report = sandbox.sync(&ALONE).await.complete();
    assert!(degraded(&report).contains("campaigns v1 does not answer"));
    assert_eq!(report["collections"]["email_campaigns"]["rows"], 0, "{report:#}");
}

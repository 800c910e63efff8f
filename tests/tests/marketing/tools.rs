//! Marketing e-mails with their statistics, campaigns, events, workflows: lists that each run reads whole.

use fake_hubspot::{Behaviour, Poison, PoisonEffect, Settings};
use serde_json::json;
use tests::{Sandbox, assert_marketing_tools_equal};

const WITH: [&str; 2] =
    ["--collections", "marketing_emails,marketing_campaigns,marketing_events,workflows,flow_email_campaigns"];

#[tokio::test(flavor = "multi_thread")]
async fn every_list_equals_the_account_at_first_and_after_changes() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let account = sandbox.account();
    let first = sandbox.sync(&WITH).await.complete();
    assert_marketing_tools_equal(&sandbox.database(), account);
    assert!(first["collections"]["marketing_emails"]["rows"].as_u64().unwrap() > 5, "{first:#}");
    assert_eq!(first["collections"]["marketing_emails"]["degraded"], json!([]));
    let extra = "SELECT count(*) FROM hubspot.marketing_emails WHERE _extra::varchar LIKE '%hs_email_body%'";
    assert_eq!(sandbox.database().query_row(extra, [], |row| row.get::<_, u64>(0)).unwrap(), 0);

    let second = sandbox.sync(&WITH).await.complete();
    for (name, collection) in second["collections"].as_object().unwrap() {
        assert_eq!(collection["rows"], 0, "{name}");
    }

    let tools = account.marketing_tools();
    let [renamed, deleted, ..] = &tools.campaigns.keys().collect::<Vec<_>>()[..] else { panic!() };
    account.rename_campaign(renamed, "Relaunch").unwrap();
    account.delete_campaign(deleted).unwrap();
    account.cancel_event(*tools.events.keys().next().unwrap()).unwrap();
    account.delete_flow(*tools.flows.keys().next_back().unwrap()).unwrap();
    account.archive_email(account.truth_emails()[1].id).unwrap();
    sandbox.sync(&WITH).await.complete();
    assert_marketing_tools_equal(&sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_that_hubspot_does_not_show_are_named() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.server.poison(Poison::new("marketing_emails.get", "", PoisonEffect::Status(404)));
    let report = sandbox.sync(&WITH).await.complete();
    let degraded = report["collections"]["marketing_emails"]["degraded"].to_string();
    assert!(degraded.contains("no statistics of"), "{degraded}");
    sandbox.server.heal();
    sandbox.sync(&WITH).await.complete();
    assert_marketing_tools_equal(&sandbox.database(), sandbox.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_the_account_does_not_have_is_named_and_no_other_is_hurt() {
    let settings = Settings::default().without_scope("automation").without_scope("marketing.campaigns.read");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let ended = sandbox.sync(&WITH).await;
    assert_eq!(ended.code, Some(1), "somebody has named them");
    let report = ended.report();
    for (collection, scope) in
        [("workflows", "automation"), ("marketing_campaigns", "marketing.campaigns.read")]
    {
        let reason =
            report["collections"][collection]["reason"].as_str().unwrap_or_else(|| panic!("{report:#}"));
        assert!(reason.contains(scope), "{reason}");
    }
    assert_eq!(report["collections"]["marketing_events"]["outcome"], "complete");
}

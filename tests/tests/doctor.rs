//! Verdicts and exit codes of `doctor` for accounts in every condition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use fake_hubspot::{Behaviour, Further, ObjectType, PerType, Settings, V1Contacts};
use hubspot::families::{FAMILIES, Family};
use serde_json::{Value, json};
use tests::{CommandOutput, Sandbox, ended};

fn settings() -> Settings {
    Settings { records: PerType { contacts: 60, companies: 20, deals: 20 }, ..Settings::default() }
}

async fn report(sandbox: &Sandbox) -> (Option<i32>, Value) {
    let ended = doctor(sandbox, &["--report", "json"]).await;
    (ended.code, ended.report())
}

async fn doctor(sandbox: &Sandbox, more: &[&str]) -> CommandOutput {
    ended(sandbox.subcommand("doctor", more)).await
}

#[track_caller]
fn family<'a>(report: &'a Value, name: &str) -> &'a Value {
    let families = report["families"].as_array().unwrap();
    families.iter().find(|family| family["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// Returns the collections in this state.
fn collections(report: &Value, state: &str) -> Vec<String> {
    let all = report["collections"].as_object().unwrap();
    all.iter().filter(|(_, found)| found["state"] == state).map(|(name, _)| name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_account_answers_everything() {
    let sandbox = Sandbox::with_limits(&settings(), Behaviour::default()).await;
    let (code, report) = report(&sandbox).await;
    assert_eq!(code, Some(0), "{report:#}");
    for found in report["families"].as_array().unwrap() {
        let expected = if found["name"] == "oauth token" { "not asked" } else { "yes" };
        assert_eq!(found["answers"], expected, "{found:#}");
    }
    assert_eq!(collections(&report, "ok").len(), 11, "{report:#}");
    assert_eq!(report["can_fill_all"], true);
    let account = &report["account"];
    assert_eq!(
        (&account["id"], &account["type"], &account["time_zone"], &account["currency"]),
        (&json!(62_515), &json!("STANDARD"), &json!("America/New_York"), &json!("USD"))
    );
    let limits = &report["limits"];
    assert_eq!(limits["general_per_10_s"], 190);
    assert_eq!(limits["search_per_s"], 5);
    assert_eq!(limits["associations_per_10_s"], 150);
    assert_eq!(limits["daily"]["limit"], 625_000);
    let calls = limits["daily"]["used"].as_u64().unwrap();
    assert!((15..=30).contains(&calls), "{calls} calls");
    assert!(limits["daily"]["resets_at"].as_str().unwrap().contains("T00:00:00-0"), "{limits:#}");
    assert_eq!(family(&report, "contacts")["supported_until"], "2028-03-01");
    assert_eq!(family(&report, "email events")["supported_until"], "2027-09-01");
}

#[tokio::test(flavor = "multi_thread")]
async fn further_objects_are_asked_for_as_far_as_they_are_selected() {
    let settings = Settings { absent: [ObjectType::Projects].into(), ..settings() };
    let settings = settings.without_scope("tickets");
    let few = Further { records: 5, custom_properties: 1 };
    let sandbox = Sandbox::new(&settings.clone().with(ObjectType::Cars, few), Behaviour::default()).await;
    let asked = async |sandbox: &Sandbox, collections: &str| {
        let ended = doctor(sandbox, &["--report", "json", "--collections", collections]).await;
        (ended.code, ended.report())
    };
    let (code, all) = asked(&sandbox, "all").await;
    assert_eq!(code, Some(0), "{all:#}");
    assert_eq!(collections(&all, "unavailable"), ["projects", "tickets"]);
    let reasons = json!([
        "tickets is refused, it needs scope tickets",
        "tickets properties is refused, it needs scope tickets"
    ]);
    assert_eq!(all["collections"]["tickets"]["reasons"], reasons);
    for name in ["notes", "cars"] {
        assert_eq!(all["collections"][name]["state"], "ok", "{all:#}");
    }
    assert_eq!(family(&all, "custom objects")["needed_for"], json!(["cars"]));
    let text = doctor(&sandbox, &["--collections", "all"]).await;
    assert!(text.stdout.contains("not available, and named by nobody: projects, tickets"), "{text:#?}");

    // Somebody who names it wants it; what is not selected is not asked for.
    let (code, named) = asked(&sandbox, "tickets,cars,deals").await;
    assert_eq!(code, Some(1), "{named:#}");
    assert_eq!(
        (collections(&named, "skipped"), collections(&named, "ok").len()),
        (vec!["tickets".to_owned()], 2)
    );
    assert!(named["families"].as_array().unwrap().iter().all(|family| family["name"] != "notes"));
    let lacking = named["missing_scopes"].as_array().unwrap().iter();
    assert!(lacking.clone().any(|lacking| lacking["scopes"] == json!(["tickets"])), "{named:#}");

    let sandbox = Sandbox::new(&settings.without_scope("crm.schemas.custom"), Behaviour::default()).await;
    let (code, all) = asked(&sandbox, "all").await;
    assert_eq!((code, &family(&all, "custom object schemas")["answers"]), (Some(0), &json!("missing scope")));
    let unknown = doctor(&sandbox, &["--collections", "kontakte"]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table_and_a_verdict() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let found = doctor(&sandbox, &[]).await;
    assert_eq!(found.code, Some(0), "{found:#?}");
    for words in ["HubSpot account 62515", "America/New_York", "subscription timeline", "2028-03-01"] {
        assert!(found.stdout.contains(words), "no {words} in {}", found.stdout);
    }
    assert_eq!(found.stdout.trim_end().lines().last(), Some("all 11 collections can be filled"));
    assert!(!found.stdout.contains('\u{1b}'), "colours in a pipe");
    assert!(found.stderr.is_empty(), "{}", found.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_with_what_it_costs() {
    let sandbox = Sandbox::new(&settings().without_scope("content"), Behaviour::default()).await;
    let (code, found) = report(&sandbox).await;
    assert_eq!(code, Some(1), "{found:#}");
    for name in ["email events", "email campaigns", "subscription timeline", "subscription status"] {
        let family = family(&found, name);
        assert_eq!(family["answers"], "missing scope", "{family:#}");
        assert!(family["reason"].as_str().unwrap().contains("content"), "{family:#}");
    }
    // Contacts v1 takes either of two scopes.
    assert_eq!(family(&found, "contacts v1")["answers"], "yes");
    let skipped =
        ["email_campaigns", "email_events", "email_subscription_event_changes", "email_subscriptions"];
    assert_eq!(collections(&found, "skipped"), skipped);
    assert_eq!(
        found["collections"]["email_events"]["reasons"],
        json!(["email events is refused, it needs scope content"])
    );

    let text = doctor(&sandbox, &[]).await;
    assert_eq!(text.code, Some(1));
    for words in ["it needs scope content", "4 of 11 collections can't be filled: email_campaigns"] {
        assert!(text.stdout.contains(words), "no {words} in {}", text.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_is_named_when_it_is_missing() {
    for scope in Settings::all_scopes() {
        // Not one of ours: sensitive properties, which are read where they may be. And any token has `oauth`.
        // What single addresses are subscribed to is not asked of the preferences.
        if scope.contains("sensitive") || ["oauth", "communication_preferences.read"].contains(&&*scope) {
            continue;
        }
        // Further objects are asked for by those who read them.
        let is_of_segment = |family: &Family| family.scopes.iter().any(|row| row.contains(&&*scope));
        if !FAMILIES.iter().any(is_of_segment) {
            continue;
        }
        let mut settings = settings();
        settings.scopes.retain(|granted| *granted != scope);
        let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
        let (_, found) = report(&sandbox).await;
        let missing = found["families"].as_array().unwrap().iter().filter(|family| {
            family["answers"] == "missing scope" && family["reason"].as_str().unwrap().contains(&scope)
        });
        assert!(missing.count() > 0, "{scope}: {found:#}");
    }
}

/// Checks scopes that HubSpot names for the token, of an account without records to probe with.
#[tokio::test(flavor = "multi_thread")]
async fn missing_scopes_are_named_by_what_hubspot_says_of_the_token() {
    let empty = Settings { records: PerType::default(), ..settings() };
    let mut segments = empty.clone().without_scope("crm.lists.read");
    segments.scopes.push("crm.segments.read".to_owned());
    for (settings, missing) in [
        (empty.clone(), json!([])),
        (segments, json!([])),
        (
            empty.without_scope("forms"),
            json!([{"family": "forms", "scopes": ["forms"]}, {"family": "form submissions", "scopes": ["forms"]}]),
        ),
    ] {
        let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
        let (_, found) = report(&sandbox).await;
        assert_eq!(found["missing_scopes"], missing, "{found:#}");
        assert_eq!(family(&found, "lists")["answers"], "yes", "{found:#}");
        let text = doctor(&sandbox, &[]).await.stdout;
        assert!(!text.contains("pat-na1"), "{text}");
        let expected =
            if missing == json!([]) { "has all that are needed" } else { "lacks forms for forms;" };
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_v1_degrades_what_has_a_fallback() {
    let behaviour = Behaviour { v1_contacts: V1Contacts::Gone, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(), behaviour.clone()).await;
    let (code, found) = report(&sandbox).await;
    // Nothing tells of identity profiles but v1.
    assert_eq!(code, Some(1), "{found:#}");
    assert_eq!(family(&found, "contacts v1")["answers"], "gone");
    assert_eq!(collections(&found, "skipped"), ["contact_identity_profiles"]);
    assert_eq!(collections(&found, "degraded"), ["contact_identities", "contacts", "form_submissions"]);
    let why = found["collections"]["contacts"]["reasons"][0].as_str().unwrap();
    assert!(why.starts_with("contacts v1 is gone: lead_guid"), "{why}");

    let settings = settings().without_scope("forms");
    let (_, found) = report(&Sandbox::new(&settings, behaviour).await).await;
    assert_eq!(collections(&found, "skipped"), ["contact_identity_profiles", "form_submissions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_collection_is_no_failure() {
    let settings = Settings { records: PerType::default(), ..settings() }.without_scope("forms");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let (code, found) = report(&sandbox).await;
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(family(&found, "form submissions")["answers"], "not asked");
    assert_eq!(family(&found, "list memberships")["answers"], "not asked", "there is no contact");

    let settings = self::settings().without_scope("crm.lists.read");
    let (code, found) = report(&Sandbox::new(&settings, Behaviour::default()).await).await;
    assert_eq!((code, collections(&found, "skipped")), (Some(1), vec!["contact_lists".to_owned()]));
    assert_eq!(
        found["collections"]["contacts"]["reasons"],
        json!([
            "list memberships is refused, it needs scope crm.lists.read or crm.segments.read: list_membership is NULL"
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_lacks_a_family_is_a_possible_reason() {
    let mut settings = settings();
    settings.marketing.is_enterprise = false;
    let not_in_product = BTreeSet::from(["email_events".to_owned()]);
    let sandbox = Sandbox::new(&settings, Behaviour { not_in_product, ..Behaviour::default() }).await;
    let (code, found) = report(&sandbox).await;
    assert_eq!(code, Some(1), "{found:#}");
    for (name, scope) in [
        ("email events", "it needs scope content"),
        ("communication preferences", "communication_preferences.statuses.batch.read"),
    ] {
        let family = family(&found, name);
        assert_eq!(family["answers"], "missing scope", "{family:#}");
        let reason = family["reason"].as_str().unwrap();
        assert!(reason.contains(scope) && reason.contains("product may lack"), "{reason}");
    }
    assert_eq!(collections(&found, "skipped"), ["email_events"], "preferences fill nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_with_the_next_step() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let mut command = sandbox.subcommand("doctor", &[]);
    command.env("HUBSPOT_TOKEN", "pat-eu1-topsecret");
    let refused = ended(command).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stdout.is_empty(), "{refused:#?}");
    assert!(refused.stderr.contains("401") && refused.stderr.contains("HUBSPOT_TOKEN"), "{refused:#?}");
    assert!(!refused.stderr.contains("topsecret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oauth_app_may_ask_too() {
    let empty = Settings { records: PerType::default(), ..settings() };
    for (settings, missing) in [
        (empty.clone(), json!([])),
        (
            empty.without_scope("forms"),
            json!([
                {"family": "forms", "scopes": ["forms"]},
                {"family": "form submissions", "scopes": ["forms"]},
            ]),
        ),
    ] {
        let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
        let mut command = sandbox.subcommand("doctor", &["--report", "json"]);
        command.env_remove("HUBSPOT_TOKEN");
        command.env("HUBSPOT_CLIENT_ID", settings.oauth.client_id);
        command.env("HUBSPOT_CLIENT_SECRET", settings.oauth.client_secret);
        command.env("HUBSPOT_REFRESH_TOKEN", settings.oauth.refresh_token);
        let ended = ended(command).await;
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(found["limits"]["daily"]["limit"], 625_000);
        assert_eq!(found["missing_scopes"], missing, "{found:#}");
    }
}

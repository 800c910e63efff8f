//! A missing scope or product costs only the collections that need it, and the report names them.

use std::collections::BTreeSet;

use fake_hubspot::{Behaviour, PerType, Settings, V1Contacts};
use serde_json::Value;
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal};

use super::degraded;
use super::v1::assert_degraded;

const OF_CONTENT: [&str; 4] =
    ["email_campaigns", "email_events", "email_subscriptions", "email_subscription_event_changes"];
const OF_SUBSCRIPTIONS: [&str; 2] = ["email_subscriptions", "email_subscription_event_changes"];

fn small() -> Settings {
    Settings { records: PerType { contacts: 300, companies: 50, deals: 50 }, ..Settings::default() }
}

fn without_product(family: &str) -> Behaviour {
    Behaviour { not_in_product: BTreeSet::from([family.to_owned()]), ..Behaviour::default() }
}

/// Collections that are skipped when a scope is missing.
struct Refusal {
    scope: &'static str,
    skipped: &'static [&'static str],
    /// Collections that need the scope for a part of their columns: skipped, or complete without that part.
    may_be_skipped: &'static [&'static str],
}

impl Refusal {
    fn new(scope: &'static str, skipped: &'static [&'static str]) -> Self {
        Self { scope, skipped, may_be_skipped: &[] }
    }

    /// Syncs, and compares the collections that don't depend on the scope.
    async fn check(
        &self,
        settings: &Settings,
        behaviour: Behaviour,
        expectations: &Expectations<'_>,
    ) -> Value {
        let sandbox = Sandbox::new(settings, behaviour).await;
        let ended = sandbox.sync(&[]).await;
        let report = ended.report();
        for name in COLLECTIONS {
            let outcome = report["collections"][name]["outcome"].as_str().unwrap_or("missing");
            let reason = report["collections"][name]["reason"].as_str().unwrap_or_default();
            let is_skipped = outcome == "skipped" && reason.contains(self.scope);
            let is_right = if self.skipped.contains(&name) {
                is_skipped
            } else if self.may_be_skipped.contains(&name) {
                is_skipped || outcome == "complete"
            } else {
                outcome == "complete"
            };
            assert!(is_right, "without {}: {name} is {outcome}, {reason:?}\n{report:#}", self.scope);
        }
        assert_eq!(ended.code, Some(i32::from(!self.skipped.is_empty())), "{report:#}");
        let without = [self.skipped, self.may_be_skipped].concat();
        let expectations = Expectations { without: &without, ..*expectations };
        assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
        report
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_content_nothing_of_e_mails_is_read() {
    let refusal = Refusal::new("content", &OF_CONTENT);
    refusal.check(&small().without_scope("content"), Behaviour::default(), &Expectations::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_family_of_e_mails_can_be_missing_alone() {
    for (family, skipped) in [
        ("email_events", &["email_events"][..]),
        ("campaigns", &["email_campaigns"]),
        ("subscriptions", &OF_SUBSCRIPTIONS),
    ] {
        let refusal = Refusal::new("content", skipped);
        refusal.check(&small(), without_product(family), &Expectations::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lists_contacts_say_that_they_have_none() {
    let expectations = Expectations { has_memberships: false, ..Expectations::default() };
    let refusal = Refusal::new("crm.lists.read", &["contact_lists"]);
    for (settings, behaviour) in
        [(small().without_scope("crm.lists.read"), Behaviour::default()), (small(), without_product("lists"))]
    {
        let report = refusal.check(&settings, behaviour, &expectations).await;
        assert!(!degraded(&report, "contacts").is_empty(), "{report:#}");
    }
}

/// Checks a missing scope of forms: contacts show their submissions themselves.
#[tokio::test(flavor = "multi_thread")]
async fn forms_are_not_needed_while_v1_answers() {
    let refusal = Refusal::new("forms", &[]);
    refusal.check(&small().without_scope("forms"), Behaviour::default(), &Expectations::default()).await;
    refusal.check(&small(), without_product("forms"), &Expectations::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_v1_and_forms_there_are_no_submissions() {
    let behaviour = Behaviour { v1_contacts: V1Contacts::Gone, ..Behaviour::default() };
    let sandbox = Sandbox::new(&small().without_scope("forms"), behaviour).await;
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    let skipped = ["contact_identity_profiles", "form_submissions"];
    for name in COLLECTIONS {
        let expected = if skipped.contains(&name) { "skipped" } else { "complete" };
        assert_eq!(report["collections"][name]["outcome"], expected, "{name}: {report:#}");
    }
    let reason = report["collections"]["form_submissions"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("forms"), "{report:#}");
    let expectations = Expectations { has_v1: false, without: &skipped, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

/// Checks forms that are listed, and whose submissions are refused.
#[tokio::test(flavor = "multi_thread")]
async fn without_v1_and_the_submissions_of_forms_the_rest_is_read() {
    let not_in_product = BTreeSet::from(["contacts_v1".to_owned(), "form_submissions".to_owned()]);
    let sandbox = Sandbox::new(&small(), Behaviour { not_in_product, ..Behaviour::default() }).await;
    let skipped = ["contact_identity_profiles", "form_submissions"];
    for _ in 0..2 {
        let ended = sandbox.sync(&[]).await;
        let report = ended.report();
        assert_eq!(ended.code, Some(1), "{report:#}");
        for name in COLLECTIONS {
            let expected = if skipped.contains(&name) { "skipped" } else { "complete" };
            assert_eq!(report["collections"][name]["outcome"], expected, "{name}: {report:#}");
        }
    }
    let expectations = Expectations { has_v1: false, without: &skipped, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_can_be_missing_from_the_product() {
    let sandbox = Sandbox::new(&small(), without_product("contacts_v1")).await;
    let ended = sandbox.sync(&[]).await;
    let report = ended.report();
    assert_eq!(ended.code, Some(1), "{report:#}");
    assert_degraded(&report);
    let reason = report["collections"]["contact_identity_profiles"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("crm.objects.contacts.read"), "{report:#}");
    let expectations = Expectations { has_v1: false, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

/// Checks the scopes of records and of their definitions. Deals need those of contacts and companies for their links.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_record_has_its_scopes() {
    let around_contacts: &[&str] =
        &["contact_identity_profiles", "contact_identities", "form_submissions", "deals"];
    for (scope, skipped, may_be_skipped) in [
        ("crm.objects.contacts.read", &["contacts"], around_contacts),
        ("crm.schemas.contacts.read", &["contacts"], around_contacts),
        ("crm.objects.companies.read", &["companies"], &["deals"]),
        ("crm.schemas.companies.read", &["companies"], &[]),
        ("crm.objects.deals.read", &["deals"], &[]),
        ("crm.schemas.deals.read", &["deals"], &[]),
    ] {
        let refusal = Refusal { scope, skipped, may_be_skipped };
        refusal.check(&small().without_scope(scope), Behaviour::default(), &Expectations::default()).await;
    }
}

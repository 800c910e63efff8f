//! The warehouse against the account, row by row and value by value. Expected values are worked out here from what the
//! account knows, apart from the code under test.

mod contact_lists;
mod contacts_v1;
mod email_campaigns;
mod email_events;
mod form_submissions;
mod identities;
mod records;
mod row;
mod subscriptions;

use chrono::{TimeDelta, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, ObjectType};

use self::row::Findings;

/// All tables, as users name them.
pub const COLLECTIONS: [&str; 11] = [
    "contacts",
    "companies",
    "deals",
    "contact_identity_profiles",
    "contact_identities",
    "form_submissions",
    "contact_lists",
    "email_campaigns",
    "email_events",
    "email_subscriptions",
    "email_subscription_event_changes",
];

/// What a comparison of all tables allows for.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// Properties that HubSpot calculates: they change without a trace in the record.
    pub calculated: &'a [&'a str],
    /// Collections that are not compared.
    pub without: &'a [&'a str],
    /// Where the window of events began, in milliseconds since 1970. What happened earlier may be missing.
    pub since_ms: i64,
    /// E-mail events created before this are not read again: what made one obsolete meanwhile may be missing.
    pub obsoleted_since_ms: i64,
    /// Whether `contacts.list_membership` is compared: a contact that joins or leaves a list shows no trace of it.
    pub has_memberships: bool,
    /// Conversion ids of form submissions that were deleted, which leaves no trace. They may still be there.
    pub deleted_submissions: &'a [String],
    /// The contact reads of v1 never failed. Without them identities are e-mail addresses only, and submissions are
    /// read from their forms.
    pub has_v1: bool,
    /// The tables were compared with HubSpot's records: what it shows nowhere is deleted in them.
    pub is_reconciled: bool,
}

impl Default for Expectations<'_> {
    /// All of it, exactly; events of the last 31 days.
    fn default() -> Self {
        Self {
            calculated: &[],
            without: &[],
            since_ms: (Utc::now() - TimeDelta::days(31)).timestamp_millis(),
            obsoleted_since_ms: 0,
            has_memberships: true,
            deleted_submissions: &[],
            has_v1: true,
            is_reconciled: false,
        }
    }
}

/// Contacts, companies and deals.
#[track_caller]
pub fn assert_equal(database: &Connection, account: &Account) {
    assert_equal_but_for(&[], database, account);
}

/// Leaves out properties that HubSpot calculates: they change without a trace in the record.
#[track_caller]
pub fn assert_equal_but_for(calculated: &[&str], database: &Connection, account: &Account) {
    for object in ObjectType::ALL {
        let expectations = Expectations { calculated, ..Expectations::default() };
        let findings = records::differences(&expectations, database, account, object);
        assert!(findings.is_empty(), "{object:?} differs from the account:\n{findings}");
    }
}

type Differences = fn(&Connection, &Account, &Expectations<'_>) -> Findings;

/// The columns of contacts that come from elsewhere are compared apart from its properties.
const COMPARISONS: [(&str, Differences); 12] = [
    ("contacts", |database, account, expectations| {
        records::differences(expectations, database, account, ObjectType::Contacts)
    }),
    ("contacts", contacts_v1::contact_differences),
    ("companies", |database, account, expectations| {
        records::differences(expectations, database, account, ObjectType::Companies)
    }),
    ("deals", |database, account, expectations| {
        records::differences(expectations, database, account, ObjectType::Deals)
    }),
    ("contact_identity_profiles", contacts_v1::profile_differences),
    ("contact_identities", identities::differences),
    ("form_submissions", form_submissions::differences),
    ("contact_lists", contact_lists::differences),
    ("email_campaigns", email_campaigns::differences),
    ("email_events", email_events::differences),
    ("email_subscriptions", subscriptions::differences),
    ("email_subscription_event_changes", subscriptions::change_differences),
];

/// All collections; whatever differs is shown at once.
#[track_caller]
pub fn assert_all_equal(database: &Connection, account: &Account, expectations: &Expectations<'_>) {
    let differences = all_differences(database, account, expectations);
    assert!(differences.is_empty(), "{differences}");
}

/// What the tables have otherwise than the account; empty when they are equal.
pub fn all_differences(database: &Connection, account: &Account, expectations: &Expectations<'_>) -> String {
    let mut differences = String::new();
    for (collection, compare) in COMPARISONS {
        if expectations.without.contains(&collection) {
            continue;
        }
        let findings = compare(database, account, expectations);
        if !findings.is_empty() {
            differences.push_str(&format!("{collection} differs from the account:\n{findings}\n"));
        }
    }
    differences
}

//! Comparison of the warehouse with the account, row by row and value by value. The expected values are computed here
//! from the fake account, without the code under test.

mod associations;
mod contact_lists;
mod contacts_v1;
mod email_campaigns;
mod email_events;
mod form_submissions;
mod identities;
mod marketing_tools;
mod metadata;
mod property_history;
mod records;
mod row;
mod subscriptions;

use chrono::{TimeDelta, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, ObjectType};

pub use self::records::table_of;
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

/// Known differences that a comparison of all tables allows.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// Properties that HubSpot calculates: they change without a new modified date.
    pub calculated: &'a [&'a str],
    /// Collections that are not compared.
    pub without: &'a [&'a str],
    /// Start of the window of events, in milliseconds since 1970. Earlier events may be missing.
    pub since_ms: i64,
    /// Time before which e-mail events are not read again: their `obsoletedBy` may be missing.
    pub obsoleted_since_ms: i64,
    /// `true`: `contacts.list_membership` is compared. Joining or leaving a list does not modify the contact.
    pub has_memberships: bool,
    /// Conversion ids of deleted form submissions. HubSpot does not show the deletion, so they may still be there.
    pub deleted_submissions: &'a [String],
    /// `true`: the contact reads of v1 never failed. Without them identities are e-mail addresses only, and
    /// submissions are read from their forms.
    pub has_v1: bool,
    /// `true`: the tables were compared with HubSpot's records, and those that it shows no more are deleted in them.
    pub is_reconciled: bool,
}

impl Default for Expectations<'_> {
    /// Expects all tables to be exact, with the events of the last 31 days.
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

/// Compares contacts, companies and deals.
#[track_caller]
pub fn assert_equal(database: &Connection, account: &Account) {
    assert_equal_but_for(&[], database, account);
}

/// Compares contacts, companies and deals without properties that HubSpot calculates, which change without a new
/// modified date.
#[track_caller]
pub fn assert_equal_but_for(calculated: &[&str], database: &Connection, account: &Account) {
    for object in ObjectType::CORE {
        let expectations = Expectations { calculated, ..Expectations::default() };
        let findings = records::differences(&expectations, database, account, object);
        assert!(findings.is_empty(), "{object:?} differs from the account:\n{findings}");
    }
}

/// Compares the tables of metadata. `objects` are those whose pipelines are read.
#[track_caller]
pub fn assert_metadata_equal(database: &Connection, account: &Account, objects: &[ObjectType]) {
    let differences = metadata_differences(objects, database, account);
    assert!(differences.is_empty(), "{differences}");
}

/// Returns the differences between the tables of metadata and the account; empty when they are equal.
pub(crate) fn metadata_differences(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
) -> String {
    let findings = metadata::differences(database, account, objects);
    if findings.is_empty() {
        String::new()
    } else {
        format!("metadata differs from the account:\n{findings}\n")
    }
}

/// Compares the definitions of the objects' properties with their tables.
#[track_caller]
pub fn assert_definitions_equal(database: &Connection, account: &Account, objects: &[ObjectType]) {
    let findings = metadata::definition_differences(database, account, objects);
    assert!(findings.is_empty(), "definitions differ from the account:\n{findings}");
}

/// Compares objects with their tables.
#[track_caller]
pub fn assert_objects_equal(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) {
    let differences = object_differences(objects, database, account, expectations);
    assert!(differences.is_empty(), "{differences}");
}

/// Compares the links among these objects with the table of associations.
#[track_caller]
pub fn assert_associations_equal(objects: &[ObjectType], database: &Connection, account: &Account) {
    let findings = associations::differences(objects, database, account);
    assert!(findings.is_empty(), "associations differ from the account:\n{findings}");
}

/// # Panics
/// If the tables of marketing that are read whole are not what the account has.
pub fn assert_marketing_tools_equal(database: &Connection, account: &Account) {
    let findings = marketing_tools::differences(database, account);
    assert!(findings.is_empty(), "marketing differs from the account:\n{findings}");
}

/// # Panics
/// If the table of list memberships is not what the account has of contacts.
pub fn assert_memberships_equal(database: &Connection, account: &Account) {
    assert_memberships_of_equal(&[ObjectType::Contacts], database, account);
}

/// # Panics
/// If the table of list memberships is not what the account has of these objects.
pub fn assert_memberships_of_equal(objects: &[ObjectType], database: &Connection, account: &Account) {
    let findings = contact_lists::membership_differences(objects, database, account);
    assert!(findings.is_empty(), "list memberships differ from the account:\n{findings}");
}

/// # Panics
/// If the table of association types is not what the account has of the pairs of these objects that are linked.
pub fn assert_association_types_equal(objects: &[ObjectType], database: &Connection, account: &Account) {
    let findings = associations::type_differences(objects, database, account);
    assert!(findings.is_empty(), "types of associations differ from the account:\n{findings}");
}

/// Returns the differences between the lists that the records of these objects are in and their table; empty when they
/// are equal.
pub(crate) fn membership_differences(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
) -> String {
    let findings = contact_lists::membership_differences(objects, database, account);
    if findings.is_empty() { String::new() } else { format!("list memberships differ:\n{findings}\n") }
}

/// Returns the differences between the links among these objects and the table of associations; empty when they are
/// equal.
pub(crate) fn association_differences(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
) -> String {
    let findings = associations::differences(objects, database, account);
    if findings.is_empty() { String::new() } else { format!("associations differ:\n{findings}\n") }
}

/// Compares the past of these properties with the table of past values. `is_reconciled`: that of records which HubSpot
/// shows no more is gone, too.
#[track_caller]
pub fn assert_history_equal(
    properties: &[(ObjectType, &str)],
    is_reconciled: bool,
    database: &Connection,
    account: &Account,
) {
    let differences = history_differences(properties, is_reconciled, database, account);
    assert!(differences.is_empty(), "{differences}");
}

/// Returns the differences between the past of these properties and the table of past values; empty when they are equal.
pub(crate) fn history_differences(
    properties: &[(ObjectType, &str)],
    is_reconciled: bool,
    database: &Connection,
    account: &Account,
) -> String {
    let findings = property_history::differences(properties, is_reconciled, database, account);
    if findings.is_empty() { String::new() } else { format!("property_history differs:\n{findings}\n") }
}

/// Returns the differences between objects and their tables; empty when they are equal.
pub(crate) fn object_differences(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> String {
    let mut differences = String::new();
    for object in objects {
        let findings = records::differences(expectations, database, account, *object);
        if !findings.is_empty() {
            differences.push_str(&format!("{} differs from the account:\n{findings}\n", table_of(*object)));
        }
    }
    differences
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

/// Compares all collections, and shows all differences together.
#[track_caller]
pub fn assert_all_equal(database: &Connection, account: &Account, expectations: &Expectations<'_>) {
    let differences = all_differences(database, account, expectations);
    assert!(differences.is_empty(), "{differences}");
}

/// Returns the differences between the tables and the account; empty when they are equal.
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

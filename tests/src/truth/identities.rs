//! Identities, with the ids that their contacts had before they were merged. Without v1 they are the contacts' e-mail
//! addresses, as the properties have them.

use std::collections::BTreeMap;

use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthIdentity, TruthRecord};

use super::Expectations;
use super::contacts_v1::Gone;
use super::row::{Cell, Findings, each_row};

/// The expected values of an identity.
#[derive(Debug, Default)]
struct Identity {
    canonical: u64,
    timestamp: Option<i64>,
    is_primary: Option<bool>,
    is_secondary: Option<bool>,
    /// `true`: the value is no e-mail address, though the property holds addresses. It may be left out.
    is_doubtful: bool,
}

/// Identities by profile, type and value.
type Identities = BTreeMap<(u64, String, String), Identity>;

pub(super) fn differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    let mut expected = if expectations.has_v1 { of_v1(account) } else { of_properties(account) };
    let gone = Gone::new(account, expectations);
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.contact_identities", |row| {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let key = (row.id_in("contact_id"), text("type"), text("value"));
        let name = format!("{key:?}");
        if gone.is_dead(row, &name, &mut findings) {
            return;
        }
        match expected.remove(&key) {
            Some(identity) => {
                let mut check = row.check(&name, &mut findings);
                check.is("canonical_vid", identity.canonical);
                check.is("timestamp", identity.timestamp.map(Cell::Instant));
                check.is("is_primary", identity.is_primary);
                check.is("is_secondary", identity.is_secondary);
                check.are_null(&["source", "deleted_at", "deleted_reason", "_unparsed"]);
            }
            None if gone.is_without_a_trace(row) => {}
            None => findings.note(|| format!("{name}: live, or twice in the table, but no contact shows it")),
        }
    });
    for (key, identity) in expected.iter().filter(|(_, identity)| !identity.is_doubtful) {
        findings.note(|| format!("{key:?}: missing, or dead; contact {} shows it", identity.canonical));
    }
    findings
}

fn of_v1(account: &Account) -> Identities {
    let mut identities = Identities::new();
    for contact in account.truth_v1_contacts() {
        for profile in contact.profiles {
            for TruthIdentity { r#type, value, timestamp, is_primary } in profile.identities {
                let identity = Identity {
                    canonical: contact.vid,
                    timestamp: Some(timestamp),
                    is_primary,
                    ..Identity::default()
                };
                identities.insert((profile.vid, r#type.to_owned(), value), identity);
            }
        }
    }
    identities
}

fn of_properties(account: &Account) -> Identities {
    let mut identities = Identities::new();
    let is_live = |record: &TruthRecord| !record.archived && record.merged_into.is_none();
    for record in account.truth(ObjectType::Contacts).filter(is_live) {
        let value = |name: &str| record.properties.get(name).cloned().flatten().unwrap_or_default();
        let additional = value("hs_additional_emails");
        let email = value("email");
        let additional = additional.split(';').map(str::trim).filter(|other| *other != email);
        for (email, is_primary) in [(email.as_str(), true)].into_iter().chain(additional.map(|e| (e, false)))
        {
            let identity = Identity {
                canonical: record.id,
                is_primary: is_primary.then_some(true),
                is_secondary: (!is_primary).then_some(true),
                is_doubtful: !email.contains('@'),
                ..Identity::default()
            };
            if !email.is_empty() {
                identities.insert((record.id, "EMAIL".to_owned(), email.to_owned()), identity);
            }
        }
    }
    identities
}

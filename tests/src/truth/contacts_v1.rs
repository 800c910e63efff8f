//! The parts of a contact that only v1 shows: a profile for each id it ever had, and its form submissions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthIdentity, TruthProfile, TruthV1Contact};
use serde_json::{Value, json};

use super::Expectations;
use super::row::{Cell, Check, Findings, Row, each_row};

const CONTACTS: ObjectType = ObjectType::Contacts;

/// Compares the columns of `contacts` that don't come from the record.
pub(super) fn contact_differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    let live: HashMap<u64, TruthV1Contact> =
        account.truth_v1_contacts().map(|contact| (contact.vid, contact)).collect();
    let archived: BTreeSet<u64> = account.archived_ids(CONTACTS).into_iter().collect();
    let mut lists: HashMap<u64, BTreeSet<String>> = HashMap::new();
    for membership in account.truth_memberships().iter().filter(|one| one.object == CONTACTS) {
        lists.entry(membership.record).or_default().insert(membership.list.to_string());
    }
    let mut findings = Findings::default();
    let query = "SELECT id, added_at, lead_guid, form_submissions, list_membership FROM hubspot.contacts";
    each_row(database, query, |row| {
        let id = row.id_in("id");
        let mut check = row.check(id, &mut findings);
        if let Some(contact) = live.get(&id) {
            check.is("added_at", Cell::Instant(contact.added_at));
            check_v1_columns(row, &mut check, contact, expectations);
            if expectations.has_memberships {
                let expected = lists.get(&id).cloned().unwrap_or_default();
                check.holds("list_membership", &shown(&expected), |found| {
                    names_in(found, "listId").as_ref() == Some(&expected)
                });
            }
        } else if archived.contains(&id) {
            check.are_null(&["lead_guid", "form_submissions", "list_membership"]);
        }
    });
    findings
}

fn check_v1_columns(
    row: Row<'_>,
    check: &mut Check<'_>,
    contact: &TruthV1Contact,
    expectations: &Expectations<'_>,
) {
    if !expectations.has_v1 {
        check.are_null(&["lead_guid", "form_submissions"]);
        return;
    }
    let mut identities = contact.profiles.iter().flat_map(|profile| &profile.identities);
    let lead = identities.find(|identity| identity.r#type == "LEAD_GUID");
    check.is("lead_guid", lead.map(|lead| lead.value.as_str()));
    let expected: BTreeSet<String> =
        contact.form_submissions.iter().map(|submission| submission.conversion_id.clone()).collect();
    let is_deleted = |id: &&String| expectations.deleted_submissions.contains(id);
    check.holds("form_submissions", &shown(&expected), |found| {
        let Some(found) = names_in(found, "conversion-id") else { return false };
        let is_complete = expected.is_subset(&found) && found.difference(&expected).all(|id| is_deleted(&id));
        // As many as there are different ones.
        is_complete && row.json_list("form_submissions").is_some_and(|items| items.len() == found.len())
    });
}

/// Returns the texts under one key of all items of a JSON list.
fn names_in(cell: &Cell, key: &str) -> Option<BTreeSet<String>> {
    let Some(Value::Array(items)) = cell.json() else { return None };
    items.iter().map(|item| Some(item[key].as_str()?.to_owned())).collect()
}

fn shown(names: &BTreeSet<String>) -> String {
    format!("{names:?}")
}

/// The expected values of a profile.
struct Profile {
    canonical: u64,
    updated_at: DateTime<Utc>,
    /// `true`: the row may be newer than the profile, since it had to win over a tombstone.
    is_unmerged: bool,
    profile: TruthProfile,
}

pub(super) fn profile_differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    let mut findings = Findings::default();
    if !expectations.has_v1 {
        each_row(database, "SELECT contact_id FROM hubspot.contact_identity_profiles", |row| {
            findings.note(|| format!("{}: in the table, but v1 never answered", row.id_in("contact_id")));
        });
        return findings;
    }
    let updated: HashMap<u64, DateTime<Utc>> =
        account.truth(CONTACTS).map(|record| (record.id, record.updated_at)).collect();
    let unmerged = account.unmerged_ids(CONTACTS);
    let mut expected: HashMap<u64, Profile> = HashMap::new();
    for contact in account.truth_v1_contacts() {
        for profile in contact.profiles {
            let (canonical, updated_at) = (contact.vid, updated[&contact.vid]);
            let is_unmerged = unmerged.contains(&contact.vid);
            expected.insert(profile.vid, Profile { canonical, updated_at, is_unmerged, profile });
        }
    }
    let gone = Gone::new(account, expectations);
    each_row(database, "SELECT * FROM hubspot.contact_identity_profiles", |row| {
        let vid = row.id_in("contact_id");
        if gone.is_dead(row, vid, &mut findings) {
            return;
        }
        match expected.remove(&vid) {
            Some(profile) => compare_profile(&mut row.check(vid, &mut findings), &profile),
            None if gone.is_without_a_trace(row) => {}
            None => findings.note(|| format!("{vid}: live, or twice in the table, but no contact shows it")),
        }
    });
    for (vid, profile) in expected {
        findings.note(|| format!("{vid}: missing, or dead; contact {} shows it", profile.canonical));
    }
    findings
}

fn compare_profile(check: &mut Check<'_>, expected: &Profile) {
    let Profile { canonical, updated_at, is_unmerged, profile } = expected;
    let identities: Vec<Value> = profile.identities.iter().map(as_sent).collect();
    check.is("canonical_vid", *canonical);
    check.is_json("identities", &Value::Array(identities));
    check.is("saved_at_timestamp", Cell::Instant(profile.saved_at_timestamp));
    check.is("deleted_changed_timestamp", Cell::BigInt(profile.deleted_changed_timestamp));
    let updated_ms = updated_at.timestamp_millis();
    check.holds("_source_updated_at", &Cell::Instant(updated_ms), |found| match found {
        Cell::Instant(ms) => *ms == updated_ms || (*is_unmerged && *ms > updated_ms),
        _ => false,
    });
    check.are_null(&["is_contact", "pointer_vid", "previous_vid", "linked_vids"]);
    check.are_null(&["deleted_at", "deleted_reason", "_unparsed"]);
}

fn as_sent(identity: &TruthIdentity) -> Value {
    let mut sent = json!({"type": identity.r#type, "value": identity.value, "timestamp": identity.timestamp});
    if let Some(is_primary) = identity.is_primary {
        sent["is-primary"] = is_primary.into();
    }
    sent
}

/// Contacts that HubSpot shows no more: purged or merged.
pub(super) struct Gone {
    purged: BTreeSet<u64>,
    merged: BTreeMap<u64, u64>,
    is_reconciled: bool,
}

impl Gone {
    pub(super) fn new(account: &Account, expectations: &Expectations<'_>) -> Self {
        Self {
            purged: account.purged_ids(CONTACTS),
            merged: account.merged_away(CONTACTS),
            is_reconciled: expectations.is_reconciled,
        }
    }

    /// `true`: the row is a tombstone. Checks its reason.
    pub(super) fn is_dead(&self, row: Row<'_>, name: impl fmt::Display, findings: &mut Findings) -> bool {
        let is_dead = *row.get("is_deleted") == Cell::Boolean(true);
        if is_dead {
            let reasons = ["removed", "archived", "merged"];
            let is_reason =
                |found: &Cell| matches!(found, Cell::Text(text) if reasons.contains(&text.as_str()));
            row.check(name, findings).holds("deleted_reason", &"one of three reasons", is_reason);
        } else {
            row.check(name, findings).is("is_deleted", false);
        }
        is_dead
    }

    /// `true`: the contact that had the row was purged, or merged into one that was. Only a comparison of all ids
    /// finds that.
    pub(super) fn is_without_a_trace(&self, row: Row<'_>) -> bool {
        let canonical = row.number("canonical_vid").map(|canonical| canonical as u64);
        let is_purged = |id: u64| self.purged.contains(self.merged.get(&id).unwrap_or(&id));
        !self.is_reconciled && canonical.is_some_and(is_purged)
    }
}

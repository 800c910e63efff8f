//! Lists of contacts. One that was deleted may be there, as a tombstone, if it was read before.

use std::collections::{BTreeMap, HashMap};

use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, Processing, TruthList};

use super::Expectations;
use super::records::table_of;
use super::row::{Cell, Check, Findings, each_row};

pub(super) fn differences(database: &Connection, account: &Account, _: &Expectations<'_>) -> Findings {
    let of_contacts = |list: &TruthList| list.object == ObjectType::Contacts;
    let lists = account.truth_lists().into_iter().filter(of_contacts);
    let mut expected: HashMap<u64, TruthList> = lists.map(|list| (list.id, list)).collect();
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.contact_lists", |row| {
        let id = row.id_in("id");
        let Some(list) = expected.remove(&id) else {
            findings.note(|| format!("{id}: in the table, or twice in it, but no list of contacts"));
            return;
        };
        let mut check = row.check(id, &mut findings);
        let is_deleted = list.deleted_at.is_some();
        check.is("archived", is_deleted);
        check.is("is_deleted", is_deleted);
        check.is("deleted_reason", is_deleted.then_some("removed"));
        if !is_deleted {
            compare(&mut check, &list, account.settings().account_id);
        }
    });
    for list in expected.values().filter(|list| list.deleted_at.is_none()) {
        findings.note(|| format!("{}: missing ({:?})", list.id, list.name));
    }
    findings
}

fn compare(check: &mut Check<'_>, list: &TruthList, account_id: u32) {
    let is_dynamic = list.processing == Processing::Dynamic;
    let processing = match list.processing {
        Processing::Manual => "MANUAL",
        Processing::Dynamic => "DYNAMIC",
        Processing::Snapshot => "SNAPSHOT",
    };
    check.is("author_id", list.created_by);
    check.is("created_at", list.created_at);
    check.is("dynamic", is_dynamic);
    check.is("list_type", if is_dynamic { "DYNAMIC" } else { "STATIC" });
    check.is("meta_data_last_size_change_at", list.last_added_at.max(list.last_removed_at));
    check.is("meta_data_processing", list.processing_status);
    check.is("meta_data_size", list.size as u64);
    check.is("name", list.name.as_str());
    check.is("portal_id", account_id);
    check.is("updated_at", list.updated_at);
    check.is("list_version", list.version);
    check.is("object_type_id", ObjectType::Contacts.id());
    check.is("processing_type", processing);
    check.is("filters_updated_at", list.filters_updated_at);
    check.is("updated_by_id", list.updated_by);
    check.is_json("filter_branch", list.filter_branch.as_ref().unwrap_or_default());
    check.is("folder_name", list.folder);
    check.is("reference_count", list.reference_count);
    check.is("_source_updated_at", Cell::Null);
    check.is("deleted_at", Cell::Null);
    check.are_null(&[
        "deleteable",
        "filters_0_0_filter_family",
        "internal_list_id",
        "meta_data_last_processing_state_change_at",
        "_unparsed",
    ]);
}

/// Compares the lists that the records of these objects are in.
pub(super) fn membership_differences(
    objects: &[ObjectType],
    database: &Connection,
    account: &Account,
) -> Findings {
    let memberships = account.truth_memberships().into_iter().filter(|one| objects.contains(&one.object));
    let mut expected: BTreeMap<(String, u64, u64), _> = memberships
        .map(|one| ((table_of(one.object).to_owned(), one.record, one.list), one.membership))
        .collect();
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.list_memberships WHERE NOT is_deleted", |row| {
        let key = (row.text_in("object"), row.id_in("record_id"), row.id_in("list_id"));
        let name = format!("{key:?}");
        let is_of_contact = key.0 == table_of(ObjectType::Contacts);
        match expected.remove(&key) {
            Some(membership) => {
                let first_added_at = Cell::Instant(membership.first_added_at.timestamp_millis());
                let mut check = row.check(&name, &mut findings);
                check.is("added_at", Cell::Instant(membership.last_added_at.timestamp_millis()));
                check.is("first_added_at", if is_of_contact { first_added_at } else { Cell::Null });
                check.is("portal_id", account.settings().account_id);
                check.are_null(&["deleted_at", "deleted_reason", "_unparsed", "_extra"]);
            }
            None => findings.note(|| format!("record and list {name}: not in the account")),
        }
    });
    for key in expected.keys() {
        findings.note(|| format!("record and list {key:?}: missing"));
    }
    findings
}

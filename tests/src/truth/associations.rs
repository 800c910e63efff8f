//! Associations: the links between live records, once for each of their types, in the direction that the documentation
//! names.

use std::collections::BTreeMap;

use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthLink};

use super::row::{Cell, Findings, each_row};
use super::table_of;

/// A link's key: the object and the id at both ends, the category, the type.
type Key = (String, u64, String, u64, String, u64);

/// Place of an object in the documented order: of a pair, the one with the lower place is read from.
fn place(object: ObjectType) -> (usize, &'static str) {
    use ObjectType::{
        Carts, CommercePayments, Companies, Contacts, Deals, Discounts, FeedbackSubmissions, Fees, Invoices,
        LineItems, Orders, Quotes, Subscriptions, Taxes, Tickets,
    };
    let place = match object {
        _ if object.is_custom() => 0,
        _ if ObjectType::ACTIVITIES.contains(&object) => 1,
        FeedbackSubmissions => 2,
        LineItems | Discounts | Fees | Taxes => 3,
        Orders | Carts | Invoices | CommercePayments | Subscriptions | Quotes => 4,
        Tickets => 6,
        Deals => 7,
        Contacts => 8,
        Companies => 9,
        _ => 5,
    };
    (place, table_of(object))
}

/// Compares the links among these objects.
pub(super) fn differences(objects: &[ObjectType], database: &Connection, account: &Account) -> Findings {
    let mut expected: BTreeMap<Key, Option<&'static str>> = BTreeMap::new();
    for &from in objects {
        for &to in objects.iter().filter(|to| place(from) <= place(**to)) {
            for TruthLink { from_id, to_id, category, type_id, label } in account.truth_links(from, to) {
                let (from, to) = (table_of(from).to_owned(), table_of(to).to_owned());
                let key = (from, from_id, to, to_id, category.to_owned(), u64::from(type_id));
                expected.insert(key, label);
            }
        }
    }
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.associations", |row| {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let key: Key = (
            text("from_object"),
            row.id_in("from_id"),
            text("to_object"),
            row.id_in("to_id"),
            text("category"),
            row.id_in("type_id"),
        );
        let name = format!("{key:?}");
        let is_live = *row.get("is_deleted") == Cell::Boolean(false);
        match expected.remove(&key) {
            Some(label) => {
                let mut check = row.check(&name, &mut findings);
                check.is("is_deleted", false);
                check.is("label", label);
                check.is("portal_id", u64::from(account.settings().account_id));
                check.are_null(&["deleted_at", "deleted_reason", "_extra", "_unparsed"]);
            }
            None if !is_live => {}
            None => {
                findings.note(|| format!("{name}: live, or twice in the table, but no link of the account"))
            }
        }
    });
    for key in expected.keys() {
        findings.note(|| format!("{key:?}: missing"));
    }
    findings
}

/// Compares the types between these objects: those of each pair with links, in both directions.
pub(super) fn type_differences(objects: &[ObjectType], database: &Connection, account: &Account) -> Findings {
    let mut expected = BTreeMap::new();
    for &from in objects {
        for &to in objects.iter().filter(|to| place(from) <= place(**to)) {
            if account.truth_links(from, to).is_empty() {
                continue;
            }
            for (from, to) in [(from, to), (to, from)] {
                for (category, type_id, label) in account.truth_link_types(from, to) {
                    let key = (table_of(from).to_owned(), table_of(to).to_owned(), category, type_id);
                    expected.insert(format!("{key:?}"), label);
                }
            }
        }
    }
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.association_types WHERE NOT is_deleted", |row| {
        let text = |column| row.text(column).unwrap_or_default();
        let key = (text("from_object"), text("to_object"), text("category"), row.id_in("type_id"));
        let name = format!("{key:?}");
        match expected.remove(&name) {
            Some(label) => row.check(&name, &mut findings).is("label", label),
            None => findings.note(|| format!("{name}: no type of the account")),
        }
    });
    for key in expected.keys() {
        findings.note(|| format!("{key}: missing"));
    }
    findings
}

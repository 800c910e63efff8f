//! Past values of properties: each value that a record that HubSpot shows has or had, in its place, and no other.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthPastValue};

use super::row::{Cell, Findings, each_row};
use super::table_of;

/// An object's table, a record's id, a property, and the place of a value among the others, from 1 on.
type Key = (&'static str, u64, String, i64);

/// Compares the past of these properties. `is_reconciled`: those of records that HubSpot shows no more are gone, too.
pub(super) fn differences(
    properties: &[(ObjectType, &str)],
    is_reconciled: bool,
    database: &Connection,
    account: &Account,
) -> Findings {
    let mut expected: BTreeMap<Key, TruthPastValue> = BTreeMap::new();
    for &(object, name) in properties {
        for value in account.truth_past(object, name) {
            let place = value.place as i64 + 1;
            expected.insert((table_of(object), value.id, name.to_owned(), place), value);
        }
    }
    let purged = |object: &str, id: u64| {
        let of = properties.iter().find(|(of, _)| table_of(*of) == object);
        of.is_some_and(|(of, _)| account.purged_ids(*of).contains(&id))
    };
    // What left the recycle bin since then left no trace: the record's own row says so, too.
    let was_archived = |object: &str, id: u64| {
        let sql =
            format!("SELECT count(*) FROM hubspot.{object} WHERE id = {id} AND deleted_reason = 'archived'");
        database.query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap() > 0
    };
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.property_history WHERE NOT is_deleted", |row| {
        let object = row.text("object").unwrap_or_default();
        let property = row.text("property").unwrap_or_default();
        let Some(&(of, _)) =
            properties.iter().find(|(of, name)| table_of(*of) == object && *name == property)
        else {
            return;
        };
        let (id, place) = (row.id_in("object_id"), row.number("position").unwrap_or_default());
        let key: Key = (table_of(of), id, property.to_owned(), place);
        let name = format!("{key:?}");
        let Some(truth) = expected.remove(&key) else {
            if (is_reconciled || !purged(object, id)) && !was_archived(object, id) {
                findings.note(|| format!("{name}: there, or twice, and no value of the account"));
            }
            return;
        };
        let ms = |at: DateTime<Utc>| at.timestamp_millis();
        let mut check = row.check(&name, &mut findings);
        check.is("value", Some(truth.value.as_str()).filter(|value| !value.is_empty()));
        check.is("changed_at", Cell::Instant(ms(truth.at)));
        check.is("valid_to", truth.until.map_or(Cell::Null, |until| Cell::Instant(ms(until))));
        check.is("source_type", truth.source_type);
        check.is("source_id", truth.source_id.as_deref());
        check.is("source_label", truth.source_label);
        check.is("updated_by_user_id", truth.user.map_or(Cell::Null, |user| Cell::BigInt(i64::from(user))));
        check.is("portal_id", u64::from(account.settings().account_id));
        check.are_null(&["deleted_at", "deleted_reason", "_extra", "_unparsed"]);
    });
    // An archived record that a survivor still names as merged into it is taken for merged.
    let is_named = |object: &str, id: u64| {
        let of = properties.iter().find(|(of, _)| table_of(*of) == object);
        of.is_some_and(|(of, _)| {
            account.unmerged_ids(*of).contains(&id) && account.archived_ids(*of).contains(&id)
        })
    };
    for key in expected.keys().filter(|(object, id, ..)| !is_named(object, *id)) {
        findings.note(|| format!("{key:?}: missing"));
    }
    findings
}

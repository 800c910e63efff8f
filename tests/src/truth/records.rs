//! Contacts, companies and deals: their properties, deletions and merges, and the deals' associations.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use duckdb::Connection;
use fake_hubspot::{Account, ObjectType, TruthRecord};
use serde_json::Value;

use super::Expectations;
use super::row::{Cell, Findings, Row, each_row};

pub(super) fn differences(
    expectations: &Expectations<'_>,
    database: &Connection,
    account: &Account,
    object: ObjectType,
) -> Findings {
    let without_calculated = |mut record: TruthRecord| {
        record.properties.retain(|name, _| !expectations.calculated.contains(&name.as_str()));
        (record.id, record)
    };
    let mut expected: HashMap<u64, TruthRecord> = account.truth(object).map(without_calculated).collect();
    let purged = account.purged_ids(object);
    let mut findings = Findings::default();
    each_row(database, &format!("SELECT * FROM hubspot.{}", table_of(object)), |row| {
        let id = row.id_in("id");
        match expected.remove(&id) {
            _ if findings.is_full() => {}
            // Without a trace in HubSpot: only a comparison of all ids can find it.
            Some(record) if record.merged_into.is_some_and(|into| purged.contains(&into)) => {
                is_dead(row, id, expectations, &mut findings);
            }
            None if purged.contains(&id) => is_dead(row, id, expectations, &mut findings),
            Some(record) => compare(row, &record, object, &mut findings),
            None => {
                findings.note(|| format!("{id}: in the table, or twice in it, but not in the account"));
            }
        }
    });
    for record in expected.values().filter(|record| !is_dead_before_any_read(record)) {
        findings.note(|| {
            format!(
                "{}: missing (archived: {}, merged into {:?})",
                record.id, record.archived, record.merged_into
            )
        });
    }
    findings
}

/// Returns the table of an object: HubSpot's plural, but where that would be mistaken for something else.
pub fn table_of(object: ObjectType) -> &'static str {
    match object {
        ObjectType::GoalTargets => "goals",
        ObjectType::Subscriptions => "commerce_subscriptions",
        ObjectType::Cars => "cars",
        ObjectType::OwnTickets => "custom_tickets",
        ObjectType::Rentals => "car_rentals",
        _ => object.plural(),
    }
}

fn is_dead(row: Row<'_>, id: u64, expectations: &Expectations<'_>, findings: &mut Findings) {
    if expectations.is_reconciled {
        row.check(id, findings).is("is_deleted", true);
    }
}

/// `true`: the record was merged into one that is purged, so that no record names it any more.
fn is_dead_before_any_read(record: &TruthRecord) -> bool {
    record.merged_into.is_some()
}

/// Returns the column of a property. One whose name differs from an older property's by case alone, or is that of one
/// of our columns, has its own, since the older one keeps its column for ever.
fn column(object: ObjectType, property: &str) -> String {
    let is_twin = property == "is_deleted" || property.bytes().any(|byte| byte.is_ascii_uppercase());
    let twin = if is_twin { "property_" } else { "" };
    match object {
        ObjectType::Contacts => format!("{twin}properties_{property}_value"),
        _ => format!("{twin}{property}"),
    }
}

fn compare(row: Row<'_>, record: &TruthRecord, object: ObjectType, findings: &mut Findings) {
    let mut check = row.check(record.id, findings);
    let is_gone = record.archived || record.merged_into.is_some();
    check.is("is_deleted", is_gone);
    if let Some(survivor) = record.merged_into {
        check.is("deleted_reason", "merged");
        check.is("merged_into_id", survivor);
        return;
    }
    if record.is_unmerged && record.archived {
        // The recycle bin shows it, and the record that names it as merged is newer: it is gone for either reason.
        return;
    }
    check.is("deleted_reason", record.archived.then_some("archived"));
    check.is("deleted_at", record.archived_at);
    let updated_ms = record.updated_at.timestamp_millis();
    check.holds("_source_updated_at", &Cell::Instant(updated_ms), |found| match found {
        // It has to be newer than the tombstone that the table may hold.
        Cell::Instant(ms) if record.is_unmerged => *ms >= updated_ms,
        Cell::Instant(ms) => *ms == updated_ms,
        _ => false,
    });
    if object == ObjectType::Deals && !record.archived {
        check.is("associated_vids", json_list(record.associations.contacts.iter().copied()));
        check.is("associated_company_ids", json_list(primary_first(&record.associations.companies)));
    }
    compare_properties(row, record, object, findings);
}

fn compare_properties(row: Row<'_>, record: &TruthRecord, object: ObjectType, findings: &mut Findings) {
    let unparsed: BTreeMap<String, Value> = match row.get("_unparsed") {
        Cell::Text(json) => serde_json::from_str(json).unwrap(),
        _ => BTreeMap::new(),
    };
    let mut check = row.check(record.id, findings);
    for (property, text) in &record.properties {
        let column = column(object, property);
        let text = text.as_deref().unwrap_or_default();
        check.holds(&column, &Cell::from(text), |found| match unparsed.get(&column) {
            // What did not parse is kept as it came, and beside the nearest double what is longer than it.
            Some(kept) => kept.as_str() == Some(text) && (*found == Cell::Null || is_nearest(found, text)),
            None => is_value_of(found, text),
        });
    }
}

/// `true`: the cell has the value of a property's text. Only an empty text is NULL; white space around a number or a
/// date is ignored.
fn is_value_of(cell: &Cell, text: &str) -> bool {
    if let Cell::Text(value) = cell {
        return value == text;
    }
    let text = text.trim();
    match cell {
        Cell::Null => text.is_empty(),
        Cell::Text(_) => false,
        Cell::Boolean(value) => text.eq_ignore_ascii_case(&value.to_string()),
        Cell::BigInt(value) => text.parse() == Ok(*value),
        Cell::Double(value) => text.parse() == Ok(*value) && !is_rounded(*value, text),
        Cell::Day(days) => instant_ms(text).is_some_and(|ms| ms.div_euclid(86_400_000) == i64::from(*days)),
        Cell::Instant(ms) => instant_ms(text) == Some(*ms),
    }
}

/// `true`: the cell is the double nearest to the text, which is a fraction. Other numbers must be exact.
fn is_nearest(cell: &Cell, text: &str) -> bool {
    matches!(cell, Cell::Double(value) if text.trim().parse() == Ok(*value) && text.contains('.'))
}

fn is_rounded(value: f64, text: &str) -> bool {
    text.parse::<i128>().is_ok_and(|whole| value as i128 != whole)
}

fn instant_ms(text: &str) -> Option<i64> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_millis());
    }
    if let Ok(instant) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        return Some(instant.and_utc().timestamp_millis());
    }
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|ms| ms.floor() as i64))
}

fn primary_first(companies: &[(u64, bool)]) -> Vec<u64> {
    let ids = |wanted: bool| {
        companies.iter().filter(move |(_, is_primary)| *is_primary == wanted).map(|(id, _)| *id)
    };
    let mut primary: Vec<u64> = ids(true).collect();
    let mut others: Vec<u64> = ids(false).collect();
    primary.sort_unstable();
    others.sort_unstable();
    primary.extend(others);
    primary
}

fn json_list(ids: impl IntoIterator<Item = u64>) -> String {
    let mut ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    ids.dedup();
    format!("[{}]", ids.join(","))
}

//! The warehouse against the account, row by row and value by value. Expected values are worked out here from the
//! texts in the account, apart from the code under test.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use duckdb::Connection;
use duckdb::types::{TimeUnit, ValueRef};
use fake_hubspot::{Account, ObjectType, TruthRecord};
use serde_json::Value;

/// Enough to see what is wrong.
const MOST_DIFFERENCES: usize = 20;

#[track_caller]
pub fn assert_equal(database: &Connection, account: &Account) {
    assert_equal_but_for(&[], database, account);
}

/// Leaves out properties that HubSpot calculates: they change without a trace in the record.
#[track_caller]
pub fn assert_equal_but_for(calculated: &[&str], database: &Connection, account: &Account) {
    for object in ObjectType::ALL {
        let differences = differences(calculated, database, account, object);
        assert!(differences.is_empty(), "{object:?} differs from the account:\n{}", differences.join("\n"));
    }
}

/// What the warehouse's table has otherwise than the account; empty when they are equal.
fn differences(
    calculated: &[&str],
    database: &Connection,
    account: &Account,
    object: ObjectType,
) -> Vec<String> {
    let without_calculated = |mut record: TruthRecord| {
        record.properties.retain(|name, _| !calculated.contains(&name.as_str()));
        (record.id, record)
    };
    let mut expected: HashMap<u64, TruthRecord> = account.truth(object).map(without_calculated).collect();
    let purged = account.purged_ids(object);
    let mut differences = Vec::new();
    each_row(database, table(object), |row| {
        let id = row.id();
        match expected.remove(&id) {
            _ if differences.len() >= MOST_DIFFERENCES => {}
            Some(record) => differences.extend(row_differences(row, &record, object)),
            // Without a trace in HubSpot: only a comparison of all ids can find it.
            None if purged.contains(&id) => {}
            None => differences.push(format!("{id}: in the table, or twice in it, but not in the account")),
        }
    });
    let missing = expected.values().filter(|record| !is_dead_before_any_read(record));
    differences.extend(missing.take(MOST_DIFFERENCES).map(|record| {
        format!(
            "{}: missing (archived: {}, merged into {:?})",
            record.id, record.archived, record.merged_into
        )
    }));
    differences
}

/// Merged into a record that is gone without a trace, so nothing names it any more.
fn is_dead_before_any_read(record: &TruthRecord) -> bool {
    record.merged_into.is_some()
}

fn table(object: ObjectType) -> &'static str {
    match object {
        ObjectType::Contacts => "contacts",
        ObjectType::Companies => "companies",
        ObjectType::Deals => "deals",
    }
}

fn column(object: ObjectType, property: &str) -> String {
    match object {
        ObjectType::Contacts => format!("properties_{property}_value"),
        ObjectType::Companies | ObjectType::Deals => property.to_owned(),
    }
}

/// One row, its values by column name.
struct Row<'a> {
    values: &'a BTreeMap<String, Cell>,
}

/// A value as DuckDB gave it, times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Boolean(bool),
    BigInt(i64),
    Double(f64),
    Text(String),
    Day(i32),
    Instant(i64),
}

impl Row<'_> {
    fn get(&self, column: &str) -> &Cell {
        self.values.get(column).unwrap_or_else(|| panic!("the table has no column {column}"))
    }

    fn id(&self) -> u64 {
        match self.get("id") {
            Cell::BigInt(id) => *id as u64,
            other => panic!("an id is {other:?}"),
        }
    }
}

fn each_row(database: &Connection, table: &str, mut each: impl FnMut(Row<'_>)) {
    let mut statement = database.prepare(&format!("SELECT * FROM hubspot.{table}")).unwrap();
    let mut rows = statement.query([]).unwrap();
    let names = rows.as_ref().unwrap().column_names();
    let mut values: BTreeMap<String, Cell> = names.iter().map(|name| (name.clone(), Cell::Null)).collect();
    while let Some(row) = rows.next().unwrap() {
        for (index, name) in names.iter().enumerate() {
            *values.get_mut(name).unwrap() = cell(row.get_ref(index).unwrap());
        }
        each(Row { values: &values });
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Boolean(value) => Cell::Boolean(value),
        ValueRef::BigInt(value) => Cell::BigInt(value),
        ValueRef::Double(value) => Cell::Double(value),
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Date32(days) => Cell::Day(days),
        ValueRef::Timestamp(TimeUnit::Microsecond, micros) => Cell::Instant(micros / 1_000),
        ValueRef::Timestamp(TimeUnit::Millisecond, millis) => Cell::Instant(millis),
        other => panic!("a value of a type that no column has: {other:?}"),
    }
}

fn row_differences(row: Row<'_>, record: &TruthRecord, object: ObjectType) -> Vec<String> {
    let id = record.id;
    let mut differences = Vec::new();
    let mut expect = |column: &str, expected: Cell| {
        let found = row.get(column);
        if *found != expected {
            differences.push(format!(
                "{id}: {column} is {}, in the account {}",
                shown(found),
                shown(&expected)
            ));
        }
    };
    let is_gone = record.archived || record.merged_into.is_some();
    expect("is_deleted", Cell::Boolean(is_gone));
    if let Some(survivor) = record.merged_into {
        expect("deleted_reason", Cell::Text("merged".to_owned()));
        expect("merged_into_id", Cell::BigInt(survivor as i64));
        return differences;
    }
    expect("deleted_reason", if record.archived { Cell::Text("archived".to_owned()) } else { Cell::Null });
    expect("deleted_at", record.archived_at.map_or(Cell::Null, |at| Cell::Instant(at.timestamp_millis())));
    expect("_source_updated_at", Cell::Instant(record.updated_at.timestamp_millis()));
    if object == ObjectType::Deals && !record.archived {
        let contacts = json_list(record.associations.contacts.iter().copied());
        expect("associated_vids", Cell::Text(contacts));
        expect(
            "associated_company_ids",
            Cell::Text(json_list(primary_first(&record.associations.companies))),
        );
    }
    differences.extend(property_differences(&row, record, object));
    differences
}

/// A cell, cut to what fits a line.
fn shown(cell: &Cell) -> String {
    format!("{cell:?}").chars().take(120).collect()
}

fn property_differences(row: &Row<'_>, record: &TruthRecord, object: ObjectType) -> Vec<String> {
    let unparsed: BTreeMap<String, Value> = match row.get("_unparsed") {
        Cell::Text(json) => serde_json::from_str(json).unwrap(),
        _ => BTreeMap::new(),
    };
    let mut differences = Vec::new();
    for (property, text) in &record.properties {
        let column = column(object, property);
        let Some(found) = row.values.get(&column) else {
            differences.push(format!("{}: no column {column}", record.id));
            continue;
        };
        let text = text.as_deref().unwrap_or_default();
        let is_right = match unparsed.get(&column) {
            // What did not parse is kept as it came.
            Some(kept) => *found == Cell::Null && kept.as_str() == Some(text),
            None => is_value_of(found, text),
        };
        if !is_right {
            let text = Cell::Text(text.to_owned());
            differences.push(format!(
                "{}: {column} is {}, in the account {}",
                record.id,
                shown(found),
                shown(&text)
            ));
        }
    }
    differences
}

/// Whether a cell says what a property's text says. An empty text is NULL, and so is nothing else; white space around
/// a number or a date is not part of it.
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
        Cell::Double(value) => text.parse() == Ok(*value),
        Cell::Day(days) => instant_ms(text).is_some_and(|ms| ms.div_euclid(86_400_000) == i64::from(*days)),
        Cell::Instant(ms) => instant_ms(text) == Some(*ms),
    }
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
    text.parse().ok()
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

//! E-mail events: every key HubSpot sends in the column of its name, and NULL in all the others.

use std::collections::{BTreeMap, HashMap};

use duckdb::Connection;
use fake_hubspot::Account;
use serde_json::Value;

use super::Expectations;
use super::row::{Cell, Findings, Row, each_row};

const OBSOLETED_BY: [&str; 2] = ["obsoleted_by_id", "obsoleted_by_created"];

pub(super) fn differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    // As text: a tree for each of 200,000 events takes a gigabyte.
    let mut expected: HashMap<(String, i64), String> = account
        .truth_email_events()
        .map(|event| ((event.id.id, event.id.created), event.body.to_string()))
        .collect();
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.email_events", |row| {
        let key = (row.text("id").unwrap_or_default().to_owned(), row.instant("created").unwrap_or_default());
        match expected.remove(&key) {
            _ if findings.is_full() => {}
            None => {
                findings.note(|| format!("{key:?}: in the table, or twice in it, but not in the account"))
            }
            // Earlier ones need not be there, nor be up to date.
            Some(_) if key.1 < expectations.since_ms => {}
            Some(body) => {
                let body = serde_json::from_str(&body).unwrap();
                let may_be_obsolete = key.1 < expectations.obsoleted_since_ms;
                compare(row, &key, &body, may_be_obsolete, &mut findings);
            }
        }
    });
    let missing: Vec<_> = expected.keys().filter(|(_, created)| *created >= expectations.since_ms).collect();
    if !missing.is_empty() {
        findings.note(|| format!("{} events are missing", missing.len()));
    }
    for key in missing {
        findings.note(|| format!("{key:?}: missing"));
    }
    findings
}

fn compare(row: Row<'_>, key: &(String, i64), body: &Value, may_be_obsolete: bool, findings: &mut Findings) {
    let mut expected = BTreeMap::new();
    flatten("", body, &mut expected);
    let mut check = row.check(format!("{key:?}"), findings);
    check.is("_source_updated_at", Cell::Instant(key.1));
    check.are_null(&["_extra", "_unparsed"]);
    for (column, value) in &expected {
        check.holds(column, value, |found| {
            let is_late = may_be_obsolete && OBSOLETED_BY.contains(&column.as_str());
            is_value_of(found, column, value) || (is_late && *found == Cell::Null)
        });
    }
    let is_ours = |column: &str| column.starts_with('_') || column == "received_at";
    for (column, _) in row.columns() {
        if !is_ours(column) && !expected.contains_key(column) {
            check.is(column, Cell::Null);
        }
    }
}

/// Flattens an event: `{"sentBy": {"id": ...}}` becomes `sent_by_id`; a list is one value.
fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    let Value::Object(fields) = value else {
        into.insert(prefix.to_owned(), value.clone());
        return;
    };
    for (name, value) in fields {
        let name = snake_case(name);
        let path = if prefix.is_empty() { name } else { format!("{prefix}_{name}") };
        flatten(&path, value, into);
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `true`: the cell has this value. An empty text may be NULL.
fn is_value_of(cell: &Cell, column: &str, value: &Value) -> bool {
    match value {
        Value::Null => *cell == Cell::Null,
        Value::Bool(value) => *cell == Cell::Boolean(*value),
        Value::Number(number) if column.ends_with("created") => {
            number.as_i64().map(Cell::Instant).as_ref() == Some(cell)
        }
        Value::Number(number) => match cell {
            Cell::BigInt(found) => number.as_i64() == Some(*found),
            Cell::Double(found) => number.as_f64() == Some(*found),
            _ => false,
        },
        Value::String(text) => *cell == Cell::from(text.as_str()) || (text.is_empty() && *cell == Cell::Null),
        Value::Array(_) | Value::Object(_) => cell.json().as_ref() == Some(value),
    }
}

//! Rows of the warehouse, and their comparison: column by column, each difference a line.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use duckdb::Connection;
use duckdb::types::{TimeUnit, ValueRef};
use serde_json::Value;

/// Most findings that are shown.
const MOST_FINDINGS: usize = 20;

/// Differences between a table and the account.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<String>);

/// A value as DuckDB gave it, times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    BigInt(i64),
    Double(f64),
    Text(String),
    Day(i32),
    Instant(i64),
}

/// One row, its values by column name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    values: &'a BTreeMap<String, Cell>,
}

/// A row that is being compared.
#[derive(Debug)]
pub(super) struct Check<'a> {
    row: Row<'a>,
    /// Name of the row in a finding.
    key: String,
    findings: &'a mut Findings,
}

pub(super) fn each_row(database: &Connection, query: &str, mut each: impl FnMut(Row<'_>)) {
    let mut statement = database.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
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

impl<'a> Row<'a> {
    pub(super) fn find(self, column: &str) -> Option<&'a Cell> {
        self.values.get(column)
    }

    pub(super) fn get(self, column: &str) -> &'a Cell {
        self.find(column).unwrap_or_else(|| panic!("the table has no column {column}"))
    }

    pub(super) fn columns(self) -> impl Iterator<Item = (&'a str, &'a Cell)> {
        self.values.iter().map(|(name, cell)| (name.as_str(), cell))
    }

    /// Returns the record's id in a column that is never NULL.
    pub(super) fn id_in(self, column: &str) -> u64 {
        match self.get(column) {
            Cell::BigInt(id) => *id as u64,
            other => panic!("{column} is {other:?}, which is no id"),
        }
    }

    /// Returns the text in a column that is never NULL.
    pub(super) fn text_in(self, column: &str) -> String {
        match self.get(column) {
            Cell::Text(text) => text.clone(),
            other => panic!("{column} is {other:?}, which is no text"),
        }
    }

    pub(super) fn number(self, column: &str) -> Option<i64> {
        match self.get(column) {
            Cell::BigInt(number) => Some(*number),
            Cell::Null => None,
            other => panic!("{column} is {other:?}, which is no number"),
        }
    }

    pub(super) fn text(self, column: &str) -> Option<&'a str> {
        match self.get(column) {
            Cell::Text(text) => Some(text),
            Cell::Null => None,
            other => panic!("{column} is {other:?}, which is no text"),
        }
    }

    /// Returns a time in milliseconds since 1970.
    pub(super) fn instant(self, column: &str) -> Option<i64> {
        match self.get(column) {
            Cell::Instant(ms) => Some(*ms),
            Cell::Null => None,
            other => panic!("{column} is {other:?}, which is no time"),
        }
    }

    /// Returns the list in a JSON column; `None` if it is NULL.
    pub(super) fn json_list(self, column: &str) -> Option<Vec<Value>> {
        match self.get(column).json() {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        }
    }

    pub(super) fn check(self, key: impl fmt::Display, findings: &'a mut Findings) -> Check<'a> {
        Check { row: self, key: key.to_string(), findings }
    }
}

impl Cell {
    /// Parses the cell of a JSON column.
    pub(super) fn json(&self) -> Option<Value> {
        match self {
            Cell::Text(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Cell {
    /// Writes the cell, cut to the length of a line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = format!("{self:?}").chars().take(120).collect();
        formatter.write_str(&shown)
    }
}

impl Check<'_> {
    pub(super) fn is(&mut self, column: &str, expected: impl Into<Cell>) {
        let expected = expected.into();
        self.holds(column, &expected, |found| *found == expected);
    }

    /// Checks that a column has this JSON, in any spelling; `Value::Null` is NULL.
    pub(super) fn is_json(&mut self, column: &str, expected: &Value) {
        self.holds(column, &Cell::from(expected.to_string()), |found| match expected {
            Value::Null => *found == Cell::Null,
            _ => found.json().as_ref() == Some(expected),
        });
    }

    pub(super) fn are_null(&mut self, columns: &[&str]) {
        for column in columns {
            self.is(column, Cell::Null);
        }
    }

    /// Checks a column by a function; a failure shows `expected`.
    pub(super) fn holds(
        &mut self,
        column: &str,
        expected: &dyn fmt::Display,
        is_right: impl FnOnce(&Cell) -> bool,
    ) {
        match self.row.find(column) {
            None => self.findings.note(|| format!("{}: no column {column}", self.key)),
            Some(found) if is_right(found) => {}
            Some(found) => {
                self.findings
                    .note(|| format!("{}: {column} is {found}, in the account {expected}", self.key));
            }
        }
    }
}

impl Findings {
    pub(super) fn note(&mut self, finding: impl FnOnce() -> String) {
        if !self.is_full() {
            self.0.push(finding());
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST_FINDINGS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Boolean(value)
    }
}

impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        Cell::BigInt(value as i64)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Cell::BigInt(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

impl From<DateTime<Utc>> for Cell {
    fn from(value: DateTime<Utc>) -> Self {
        Cell::Instant(value.timestamp_millis())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

//! Rows that statements wrote, by the tables that they name: what engines in this process count for tests.

use std::sync::{Mutex, PoisonError};

static WRITTEN: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());
/// Characters of a statement that name its table.
const BEGINNING: usize = 200;

/// Remembers that a statement wrote some rows.
pub(crate) fn note(sql: &str, rows: u64) {
    if rows > 0 {
        let beginning = sql.chars().take(BEGINNING).collect();
        WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).push((beginning, rows));
    }
}

/// Returns how often a row of the table, whose name is quoted, was written.
pub(crate) fn written(table: &str) -> u64 {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let of_table = written.iter().filter(|(sql, _)| beginnings(table).iter().any(|it| sql.starts_with(it)));
    of_table.map(|(_, rows)| rows).sum()
}

/// Returns the beginnings of statements that write rows of the table.
pub(crate) fn beginnings(table: &str) -> [String; 4] {
    ["INSERT INTO", "UPDATE", "DELETE FROM", "MERGE INTO"].map(|verb| format!("{verb} {table} "))
}

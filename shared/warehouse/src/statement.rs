//! Statements and their purposes.

use staging::ColumnType;

use crate::dialect::Dialect;

#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) purpose: Purpose,
}

/// Purpose of a statement, from which the meaning of its failure follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Makes or changes tables that stay.
    Shape,
    /// Makes a scratch table.
    CreateScratch,
    /// Fills scratch tables.
    Scratch,
    /// Reads the file that has this key, or those that have these.
    Read(String),
    /// Changes rows of tables that stay.
    Write,
    /// Returns rows that the caller needs.
    Count,
    /// Fails if somebody else merged meanwhile.
    Unchanged,
    /// Fails if the table did not take all rows.
    Arrived,
    /// Fails if rows are left that are gone from their sets.
    Swept,
}

impl Statement {
    pub(crate) fn writes(&self) -> bool {
        matches!(self.purpose, Purpose::Shape | Purpose::Write)
    }

    pub(crate) fn new(purpose: Purpose, sql: impl Into<String>) -> Statement {
        Statement { sql: sql.into(), purpose }
    }

    pub(crate) fn shape(sql: impl Into<String>) -> Statement {
        Statement::new(Purpose::Shape, sql)
    }

    pub(crate) fn create_scratch(sql: impl Into<String>) -> Statement {
        Statement::new(Purpose::CreateScratch, sql)
    }

    pub(crate) fn scratch(sql: impl Into<String>) -> Statement {
        Statement::new(Purpose::Scratch, sql)
    }

    pub(crate) fn write(sql: impl Into<String>) -> Statement {
        Statement::new(Purpose::Write, sql)
    }

    pub(crate) fn count(sql: impl Into<String>) -> Statement {
        Statement::new(Purpose::Count, sql)
    }
}

/// Returns a statement that fails unless the condition holds: with `words`, or since it casts them, which are no
/// number.
pub(crate) fn check(dialect: &Dialect, condition: &str, words: &str) -> String {
    if let Some(raise) = dialect.raise {
        return format!("SELECT CASE WHEN {condition} THEN 1 ELSE {} END", raise(words));
    }
    let number = (dialect.type_name)(ColumnType::BigInt);
    format!("SELECT CAST(CASE WHEN {condition} THEN '1' ELSE '{words}' END AS {number})")
}

//! A statement, and what it is for.

use staging::ColumnType;

use crate::dialect::Dialect;

#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) purpose: Purpose,
}

/// The purpose of a statement, and so what its failure means.
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
    /// Its rows are wanted.
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

/// A statement that fails unless the condition holds: `words` are no number.
pub(crate) fn check(dialect: &Dialect, condition: &str, words: &str) -> String {
    let number = (dialect.type_name)(ColumnType::BigInt);
    format!("SELECT CAST(CASE WHEN {condition} THEN '1' ELSE '{words}' END AS {number})")
}

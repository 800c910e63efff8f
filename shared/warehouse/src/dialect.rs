//! SQL that all warehouses share, as text: quoting, and the statements that shape tables. What differs between them
//! is a value, [`Dialect`]. Nothing else in this crate puts quotes around anything.

use staging::{Column, ColumnType};

use crate::error::{Error, Kind, Result};

/// Which files were merged, one row each.
pub(crate) const LEDGER: &str = "_loaded_files";
/// The account the schema is bound to, one row.
pub(crate) const ACCOUNT: &str = "_account";

/// How one warehouse names the types of columns.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) type_name: fn(ColumnType) -> &'static str,
    /// The narrowest [`ColumnType`] that holds every value of a type the warehouse knows; types that no merge
    /// creates may occur, since tables can be changed by hand.
    pub(crate) column_type: fn(&str) -> ColumnType,
}

pub(crate) const DUCKDB: Dialect = Dialect { type_name: duckdb_type_name, column_type: duckdb_column_type };

fn duckdb_type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // The JSON type is an alias of VARCHAR that refuses what does not parse; its functions take VARCHAR as well.
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP WITH TIME ZONE",
    }
}

fn duckdb_column_type(type_name: &str) -> ColumnType {
    match type_name {
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "UTINYINT" | "USMALLINT" | "UINTEGER" => {
            ColumnType::BigInt
        }
        "FLOAT" | "DOUBLE" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP WITH TIME ZONE" => ColumnType::Timestamp,
        // Text holds everything: VARCHAR, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

impl Dialect {
    pub(crate) fn create_table(&self, table: &str, columns: &[Column]) -> String {
        let columns: Vec<String> = columns.iter().map(|column| self.definition(column)).collect();
        format!("CREATE TABLE {table} ({})", columns.join(", "))
    }

    pub(crate) fn add_column(&self, table: &str, column: &Column) -> String {
        format!("ALTER TABLE {table} ADD COLUMN {}", self.definition(column))
    }

    fn definition(&self, column: &Column) -> String {
        format!("{} {}", quote_identifier(&column.name), (self.type_name)(column.column_type))
    }

    /// The two tables that every schema has besides its collections.
    pub(crate) fn create_bookkeeping(&self, account: &str, ledger: &str) -> [String; 2] {
        let text = (self.type_name)(ColumnType::Text);
        let count = (self.type_name)(ColumnType::BigInt);
        let time = (self.type_name)(ColumnType::Timestamp);
        [
            format!(
                "CREATE TABLE IF NOT EXISTS {account} (account_id {count} NOT NULL, bound_at {time} NOT NULL)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {ledger} (collection {text} NOT NULL, file_key {text} NOT NULL, \
                 run_id {text} NOT NULL, rows {count} NOT NULL, merged_rows {count} NOT NULL, \
                 loaded_at {time} NOT NULL)"
            ),
        ]
    }
}

/// The one function that quotes identifiers: `"` doubled inside `"`, as the SQL standard has it. Any text but the
/// empty one and one with NUL is a legal name.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The one function that quotes text values.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Refuses the names that no quoting makes legal. `what` says whose name it is.
pub(crate) fn check_identifier(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        let message = format!("{what} name {name:?} is not legal: it must not be empty or contain NUL");
        return Err(Error::new(Kind::Unsupported, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_names_are_doubled() {
        assert_eq!(quote_identifier(r#"a"b""#), r#""a""b""""#);
        assert_eq!(quote_literal("it's"), "'it''s'");
    }

    #[test]
    fn every_type_that_is_written_is_read_back() {
        use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};
        for column_type in [Text, BigInt, Double, Boolean, Date, Timestamp] {
            assert_eq!((DUCKDB.column_type)((DUCKDB.type_name)(column_type)), column_type);
        }
        assert_eq!((DUCKDB.column_type)((DUCKDB.type_name)(Json)), Text);
    }
}

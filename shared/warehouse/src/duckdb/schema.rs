//! What a schema of a DuckDB file holds: the account it is bound to, the ledger, and the columns of its tables.

use std::collections::HashSet;

use duckdb::{Connection, Row, params};

use super::session::{rows, rows_if_any};
use crate::checks;
use crate::dialect::{ACCOUNT, LEDGER, TableName, quote_identifier};
use crate::error::Result;
use crate::plan::TableColumn;

#[derive(Debug)]
pub(super) struct Schema {
    name: String,
    /// The database's own name, without which `hubspot.contacts` is ambiguous in a file called `hubspot.duckdb`.
    catalog: String,
}

impl Schema {
    pub(super) fn of(connection: &Connection, name: &str) -> Result<Schema> {
        let catalog = rows(connection, "SELECT current_database()", [], |row| row.get(0))?;
        Ok(Schema { name: name.to_owned(), catalog: catalog.into_iter().next().unwrap_or_default() })
    }

    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.catalog), quote_identifier(&self.name))
    }

    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{}", self.quoted(), quote_identifier(name))
    }

    pub(super) fn table_name(&self, name: &str) -> TableName {
        TableName { qualified: self.table(name), alone: quote_identifier(name) }
    }

    /// `None` if there is no such table. Asked several times a merge: DuckDB's own table of columns lists those of
    /// every table there is, which takes longer than a small merge.
    pub(super) fn columns(&self, connection: &Connection, table: &str) -> Result<Option<Vec<TableColumn>>> {
        let sql = format!("DESCRIBE {}", self.table(table));
        let column = |row: &Row<'_>| Ok(TableColumn { name: row.get(0)?, type_name: row.get(1)? });
        rows_if_any(connection, &sql, [], column)
    }

    pub(super) fn account(&self, connection: &Connection) -> Result<Option<u64>> {
        let sql = format!("SELECT account_id FROM {}", self.table(ACCOUNT));
        let accounts: Vec<i64> = rows_if_any(connection, &sql, [], |row| row.get(0))?.unwrap_or_default();
        checks::account(&self.name, &accounts)
    }

    /// Empty when the collection's table is missing, whatever the ledger says.
    pub(super) fn loaded(&self, connection: &Connection, collection: &str) -> Result<HashSet<String>> {
        match self.columns(connection, collection)? {
            Some(_) => self.ledger(connection, collection),
            None => Ok(HashSet::new()),
        }
    }

    /// The files that the ledger names for a collection whose table is there.
    pub(super) fn ledger(&self, connection: &Connection, collection: &str) -> Result<HashSet<String>> {
        let sql = format!("SELECT file_key FROM {} WHERE collection = ?", self.table(LEDGER));
        let keys = rows_if_any(connection, &sql, params![collection], |row| row.get(0))?;
        Ok(keys.into_iter().flatten().collect())
    }
}

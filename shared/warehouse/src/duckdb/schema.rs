//! What a schema of a DuckDB file holds: the account it is bound to, the ledger, and the columns of its tables.

use std::collections::HashSet;

use duckdb::{Connection, params};

use super::session::rows;
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

    /// `None` if there is no such table.
    pub(super) fn columns(&self, connection: &Connection, table: &str) -> Result<Option<Vec<TableColumn>>> {
        let found = rows(
            connection,
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() \
             WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?) \
             ORDER BY column_index",
            params![self.catalog, self.name, table],
            |row| {
                let column = TableColumn { name: row.get(2)?, type_name: row.get(3)? };
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, column))
            },
        )?;
        // DuckDB ignores the case of ASCII letters in names, and no other.
        let is_it = |schema: &str, name: &str| {
            schema.eq_ignore_ascii_case(&self.name) && name.eq_ignore_ascii_case(table)
        };
        let columns: Vec<TableColumn> = found
            .into_iter()
            .filter(|(schema, name, _)| is_it(schema, name))
            .map(|(_, _, column)| column)
            .collect();
        Ok((!columns.is_empty()).then_some(columns))
    }

    pub(super) fn account(&self, connection: &Connection) -> Result<Option<u64>> {
        if self.columns(connection, ACCOUNT)?.is_none() {
            return Ok(None);
        }
        let sql = format!("SELECT account_id FROM {}", self.table(ACCOUNT));
        let accounts: Vec<i64> = rows(connection, &sql, [], |row| row.get(0))?;
        checks::account(&self.name, &accounts)
    }

    /// Empty when the collection's table is missing, whatever the ledger says.
    pub(super) fn loaded(&self, connection: &Connection, collection: &str) -> Result<HashSet<String>> {
        if self.columns(connection, LEDGER)?.is_none() || self.columns(connection, collection)?.is_none() {
            return Ok(HashSet::new());
        }
        let sql = format!("SELECT file_key FROM {} WHERE collection = ?", self.table(LEDGER));
        Ok(rows(connection, &sql, params![collection], |row| row.get(0))?.into_iter().collect())
    }
}

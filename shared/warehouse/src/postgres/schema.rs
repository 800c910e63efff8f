//! What a schema of a PostgreSQL database holds: the account it is bound to, the ledger, and the columns and keys of its
//! tables.

use std::collections::HashSet;

use super::dialect::identifier;
use super::session::{Session, get};
use crate::checks;
use crate::dialect::{ACCOUNT, LEDGER, TableName, quote_identifier};
use crate::error::Result;
use crate::plan::TableColumn;

/// Finds a relation by schema and name, exactly as spelled.
const RELATION: &str = "FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                        WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')";

#[derive(Debug, Clone)]
pub(super) struct Schema {
    name: String,
}

/// The columns of a table.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) present: Vec<TableColumn>,
    /// Columns that were dropped go on counting towards the limit.
    pub(super) dropped: usize,
}

impl Schema {
    pub(super) fn new(name: &str) -> Schema {
        Schema { name: identifier(name) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn quoted(&self) -> String {
        quote_identifier(&self.name)
    }

    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{}", self.quoted(), quote_identifier(&identifier(name)))
    }

    pub(super) fn table_name(&self, name: &str) -> TableName {
        TableName { qualified: self.table(name), alone: quote_identifier(&identifier(name)) }
    }

    /// `None` if there is no such table.
    pub(super) async fn columns(&self, session: &Session<'_>, table: &str) -> Result<Option<Columns>> {
        let sql = format!(
            "SELECT CAST(a.attname AS text), pg_catalog.format_type(a.atttypid, NULL), a.attisdropped \
             FROM pg_catalog.pg_attribute AS a WHERE a.attnum > 0 AND a.attrelid = (SELECT c.oid {RELATION}) \
             ORDER BY a.attnum"
        );
        let rows = session.rows(&sql, &[&self.name, &identifier(table)]).await?;
        let mut columns = Columns::default();
        for row in &rows {
            if get(row, 2)? {
                columns.dropped += 1;
            } else {
                columns.present.push(TableColumn { name: get(row, 0)?, type_name: get(row, 1)? });
            }
        }
        Ok((!columns.present.is_empty()).then_some(columns))
    }

    /// The columns of each unique index, and whether it is the primary key.
    pub(super) async fn unique_keys(
        &self,
        session: &Session<'_>,
        table: &str,
    ) -> Result<Vec<(HashSet<String>, bool)>> {
        let sql = format!(
            "SELECT ARRAY(SELECT CAST(a.attname AS text) FROM pg_catalog.pg_attribute AS a \
             WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)), i.indisprimary \
             FROM pg_catalog.pg_index AS i WHERE i.indrelid = (SELECT c.oid {RELATION}) AND i.indisunique \
             AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
             AND i.indnatts = i.indnkeyatts"
        );
        let rows = session.rows(&sql, &[&self.name, &identifier(table)]).await?;
        rows.iter().map(|row| Ok((get::<Vec<String>>(row, 0)?.into_iter().collect(), get(row, 1)?))).collect()
    }

    pub(super) async fn account(&self, session: &Session<'_>) -> Result<Option<u64>> {
        if self.columns(session, ACCOUNT).await?.is_none() {
            return Ok(None);
        }
        let rows = session.rows(&format!("SELECT account_id FROM {}", self.table(ACCOUNT)), &[]).await?;
        let accounts: Vec<i64> = rows.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
        checks::account(&self.name, &accounts)
    }

    /// Empty when the collection's table is missing, whatever the ledger says.
    pub(super) async fn loaded(&self, session: &Session<'_>, collection: &str) -> Result<HashSet<String>> {
        if self.columns(session, LEDGER).await?.is_none()
            || self.columns(session, collection).await?.is_none()
        {
            return Ok(HashSet::new());
        }
        let sql = format!("SELECT file_key FROM {} WHERE collection = $1", self.table(LEDGER));
        session.rows(&sql, &[&collection]).await?.iter().map(|row| get(row, 0)).collect()
    }
}

//! Checks of every merge, whatever the engine: the files are of the schema's account, and no row was lost or doubled.

use crate::LocatedFile;
use crate::dialect::ACCOUNT;
use crate::error::{Error, Kind, Result};

/// Returns the account of a schema, from the rows of its table.
pub(crate) fn account(schema: &str, rows: &[i64]) -> Result<Option<u64>> {
    match *rows {
        [] => Ok(None),
        [account] => Ok(Some(u64::try_from(account).unwrap_or_default())),
        _ => Err(Error::new(
            Kind::OtherAccount,
            format!(
                "table {schema}.{ACCOUNT} holds several accounts: it must hold the one it was loaded from"
            ),
        )),
    }
}

/// Refuses a file of another account. Returns `true` if the schema is bound already. `schema` is quoted.
pub(crate) fn check_account(schema: &str, bound: Option<u64>, file: &LocatedFile) -> Result<bool> {
    let account = file.description.account_id;
    match bound {
        Some(bound) if bound != account => Err(Error::new(
            Kind::OtherAccount,
            format!(
                "staged file {} is of account {account}, but schema {schema} is bound to account {bound}: use another schema",
                file.key,
            ),
        )),
        bound => Ok(bound.is_some()),
    }
}

/// Refuses a file whose rows are not those that its description promises. `incomplete` counts the rows without a
/// primary key or a time of reading.
pub(crate) fn check_rows(file: &LocatedFile, rows: u64, incomplete: u64) -> Result<()> {
    let (key, promised) = (&file.key, file.description.rows);
    if rows != promised {
        let message = format!(
            "staged file {key} holds {rows} rows, but its description says {promised}: stage it again"
        );
        return Err(Error::new(Kind::RowCount, message));
    }
    if incomplete > 0 {
        let message =
            format!("staged file {key} holds {incomplete} rows whose primary key or _read_at is NULL");
        return Err(Error::new(Kind::BadFile, message));
    }
    Ok(())
}

/// The rows that a group's merge set out to write, and those that it wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupCounts {
    pub(crate) changed: u64,
    pub(crate) written: u64,
    /// Primary keys among the staged rows.
    pub(crate) keys: u64,
    /// Rows of the table that hold one of them, in the staged version or a newer one.
    pub(crate) arrived: u64,
}

impl GroupCounts {
    pub(crate) fn check(self, table: &str) -> Result<()> {
        let GroupCounts { changed, written, keys, arrived } = self;
        if written == changed && arrived == keys {
            return Ok(());
        }
        let message = format!(
            "table {table} did not take all rows: {changed} were to be written and {written} were, {keys} primary \
             keys were staged and {arrived} rows hold them: remove rows that share a primary key from the table"
        );
        Err(Error::new(Kind::RowCount, message))
    }
}

pub(crate) fn check_deleted(table: &str, gone: u64, deleted: u64) -> Result<()> {
    if deleted == gone {
        return Ok(());
    }
    let message = format!(
        "table {table} kept rows that are gone from their sets: {gone} were to be deleted and {deleted} were"
    );
    Err(Error::new(Kind::RowCount, message))
}

/// Numbers of one file's rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) staged: u64,
    pub(crate) changed: u64,
    /// Changed ones that replaced a row.
    pub(crate) replaced: u64,
}

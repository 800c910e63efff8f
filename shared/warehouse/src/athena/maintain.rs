//! Maintenance. Merges leave small and replaced files behind. `OPTIMIZE` rewrites the files; `VACUUM` expires
//! snapshots older than the table's property says, and removes files that only they need.

use std::time::Instant;

use super::api::Api;
use super::dialect::in_ddl;
use crate::Maintained;
use crate::dialect::quote_identifier;
use crate::error::{Error, Result};

/// Errors of statements that did a part of their work and have to be run again.
const MORE: [&str; 2] = ["ICEBERG_VACUUM_MORE_RUNS_NEEDED", "ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED"];

pub(super) async fn maintain(
    api: &Api,
    schema: &str,
    tables: &[String],
    until: Instant,
) -> Result<Maintained> {
    let mut maintained = Maintained::default();
    for table in tables {
        if Instant::now() >= until || !tidy(api, schema, table, until).await? {
            maintained.tables_left += 1;
        } else {
            maintained.tables += 1;
        }
    }
    Ok(maintained)
}

/// Maintains one table. `true`: it was finished in time.
async fn tidy(api: &Api, schema: &str, table: &str, until: Instant) -> Result<bool> {
    let name = quote_identifier(table);
    let optimize = format!("OPTIMIZE {}.{name} REWRITE DATA USING BIN_PACK", quote_identifier(schema));
    // A database's name must not be quoted here, and a table's must be.
    let vacuum = format!("VACUUM {}", in_ddl(&name));
    for statement in [optimize, vacuum] {
        while let Err(error) = api.execute(&statement, Some(schema)).await {
            if !has_more(&error) {
                return Err(error);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn has_more(error: &Error) -> bool {
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    MORE.iter().any(|more| words.contains(more))
}

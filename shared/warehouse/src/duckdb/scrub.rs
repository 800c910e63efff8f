//! A DuckDB file written anew. DuckDB gives no bytes back by itself: a deleted row stays in its row group, and what a
//! checkpoint replaces stays in free blocks. So everything is copied into a new file, which takes the place of the old
//! one once both were found equal.

use std::path::Path;

use duckdb::Connection;

use super::dialect::DUCKDB;
use super::session::{rows, run};
use crate::dialect::quote_identifier;
use crate::error::{Error, Kind, Result};

/// The name of the new file while it is attached.
const NEXT: &str = "hubspot_source_next";

/// Queries that answer the same of both files.
const KEPT: [&str; 3] = [
    "SELECT schema_name, table_name, column_count, index_count, check_constraint_count FROM duckdb_tables() \
     WHERE database_name = {} AND NOT internal ORDER BY ALL",
    "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = {} AND NOT internal ORDER BY ALL",
    "SELECT schema_name, function_name FROM duckdb_functions() WHERE database_name = {} AND NOT internal ORDER BY ALL",
];

/// Copies the open file to `next`, which must not exist.
pub(super) fn copy(connection: &Connection, next: &Path) -> Result<()> {
    let path = next.to_str().ok_or_else(|| unlike("it is at a path that is not UTF-8"))?;
    let database = rows(connection, "SELECT current_database()")?.into_iter().flatten().flatten().next();
    let database = database.unwrap_or_default();
    // A merge's own limits may be too low for tables of others.
    run(connection, "RESET memory_limit; SET threads = 1; SET preserve_insertion_order = true; CHECKPOINT")?;
    run(connection, &format!("ATTACH {} AS {NEXT}", (DUCKDB.literal)(path)))?;
    let copied = run(connection, &format!("COPY FROM DATABASE {} TO {NEXT}", quote_identifier(&database)))
        .and_then(|()| check(connection, &database));
    let detached = run(connection, &format!("DETACH {NEXT}"));
    copied.and(detached)
}

fn check(connection: &Connection, database: &str) -> Result<()> {
    for query in KEPT {
        let [now, next] = [database, NEXT].map(|name| query.replace("{}", &(DUCKDB.literal)(name)));
        if rows(connection, &now)? != rows(connection, &next)? {
            return Err(unlike("tables or views of it are not the same in the copy"));
        }
    }
    let tables =
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = {} AND NOT internal";
    for table in rows(connection, &tables.replace("{}", &(DUCKDB.literal)(database)))? {
        let table: Vec<String> = table.iter().flatten().map(|name| quote_identifier(name)).collect();
        let count = |of: &str| {
            rows(connection, &format!("SELECT count(*) FROM {}.{}", quote_identifier(of), table.join(".")))
        };
        if count(database)? != count(NEXT)? {
            return Err(unlike("a table of it has other rows in the copy"));
        }
    }
    Ok(())
}

fn unlike(why: &str) -> Error {
    let message = format!(
        "the duckdb file can't be written anew, so bytes of deleted rows may stay in it: {why}. Export it, and import it \
         into a new file (EXPORT DATABASE, IMPORT DATABASE)"
    );
    Error::new(Kind::Unsupported, message)
}

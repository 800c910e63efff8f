//! Maintenance. Merges leave small and replaced files behind. `OPTIMIZE` rewrites the files; `VACUUM` expires
//! snapshots older than the table's property says, and removes files that only they need.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::api::Api;
use super::dialect::{ATHENA, identifier};
use crate::Maintained;
use crate::dialect::{ACCOUNT, LEDGER, RUNS, quote_identifier};
use crate::error::{Error, Result};
use crate::mode::{deleted_table, history_table};

/// Age from which on a scratch table counts as left behind by a program that ended.
const SCRATCH_AGE: Duration = Duration::from_secs(24 * 3600);
/// Errors of statements that did a part of their work and have to be run again.
const MORE: [&str; 2] = ["ICEBERG_VACUUM_MORE_RUNS_NEEDED", "ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED"];

/// Maintains the tables that merges fill, from another one on each time, so that all get their turn where time is
/// short.
pub(super) async fn maintain(
    api: &Api,
    schema: &str,
    present: &HashSet<String>,
    until: Instant,
) -> Result<Maintained> {
    let mut maintained = Maintained::default();
    let ours = ours(api, schema, present).await?;
    let first = Uuid::now_v7().as_u128() as usize % ours.len().max(1);
    for table in ours.iter().cycle().skip(first).take(ours.len()) {
        if Instant::now() >= until || !tidy(api, schema, table, until).await? {
            maintained.tables_left += 1;
        } else {
            maintained.tables += 1;
        }
    }
    Ok(maintained)
}

/// Returns all tables of the database.
pub(super) async fn tables(api: &Api, schema: &str) -> Result<HashSet<String>> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {}",
        (ATHENA.literal)(schema)
    );
    Ok(api.query(&sql).await?.into_iter().flatten().flatten().collect())
}

/// Returns the tables that merges fill. Others in the database are somebody else's.
async fn ours(api: &Api, schema: &str, present: &HashSet<String>) -> Result<Vec<String>> {
    if !present.contains(LEDGER) {
        return Ok(Vec::new());
    }
    let ledger = format!("{}.{}", quote_identifier(schema), quote_identifier(LEDGER));
    let rows = api.query(&format!("SELECT DISTINCT collection FROM {ledger}")).await?;
    let of_collection = |collection: String| {
        let companions = [deleted_table(&collection), history_table(&collection)];
        [collection].into_iter().chain(companions).map(|table| identifier(&table))
    };
    let collections = rows.into_iter().flatten().flatten().flat_map(of_collection);
    let mut ours: Vec<String> = collections.chain([LEDGER, ACCOUNT, RUNS].map(str::to_owned)).collect();
    ours.retain(|table| present.contains(table));
    ours.sort();
    Ok(ours)
}

/// Maintains one table. `true`: it was finished in time.
async fn tidy(api: &Api, schema: &str, table: &str, until: Instant) -> Result<bool> {
    let name = quote_identifier(table);
    let optimize = format!("OPTIMIZE {}.{name} REWRITE DATA USING BIN_PACK", quote_identifier(schema));
    // A database's name must not be quoted here, and a table's must be.
    let vacuum = format!("VACUUM {}", super::dialect::in_ddl(&name));
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

/// Returns scratch tables that a program left behind, as SQL needs their names.
pub(super) fn left_behind(schema: &str, present: &HashSet<String>) -> Vec<String> {
    let left = present.iter().filter(|name| is_left_behind(name, SystemTime::now()));
    left.map(|name| format!("{}.{}", quote_identifier(schema), quote_identifier(name))).collect()
}

/// `true`: the scratch table is old, by the time in its name.
fn is_left_behind(table: &str, now: SystemTime) -> bool {
    let id = table.strip_prefix("merge_").and_then(|rest| rest.split_once('_')).map(|(id, _)| id);
    let made = id.and_then(|id| Uuid::try_parse(id).ok()).and_then(|id| id.get_timestamp());
    let made = made.map(|made| {
        let (seconds, nanos) = made.to_unix();
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    });
    made.and_then(|made| now.duration_since(made).ok()).is_some_and(|age| age > SCRATCH_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_scratch_tables_are_left_behind() {
        let name = format!("merge_{}_0_staged", Uuid::now_v7().simple());
        let tomorrow = SystemTime::now() + SCRATCH_AGE + Duration::from_secs(60);
        assert!(is_left_behind(&name, tomorrow));
        assert!(!is_left_behind(&name, SystemTime::now()));
        for name in ["merge_requests", "merge_", "contacts", "merge_of_contacts_2020"] {
            assert!(!is_left_behind(name, tomorrow), "{name}");
        }
    }
}

//! Merges leave small files behind, and what they replaced. `OPTIMIZE` writes the files anew; `VACUUM` forgets
//! snapshots that are older than the table's property says, and removes what only they needed.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::api::Api;
use super::dialect::{ATHENA, identifier};
use crate::Maintained;
use crate::dialect::{ACCOUNT, LEDGER, RUNS, quote_identifier};
use crate::error::{Error, Result};
use crate::mode::{deleted_table, history_table};

/// Scratch tables that are older have been left by a program that ended.
const SCRATCH_AGE: Duration = Duration::from_secs(24 * 3600);
/// A statement does a part of its work, and says that there is more.
const MORE: [&str; 2] = ["ICEBERG_VACUUM_MORE_RUNS_NEEDED", "ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED"];

/// The tables that merges fill. Not always from the same one on, so that each gets its turn where the time is short.
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

/// All tables of the database.
pub(super) async fn tables(api: &Api, schema: &str) -> Result<HashSet<String>> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {}",
        (ATHENA.literal)(schema)
    );
    Ok(api.query(&sql).await?.into_iter().flatten().flatten().collect())
}

/// Tables that merges fill. Others in the database are somebody else's.
async fn ours(api: &Api, schema: &str, present: &HashSet<String>) -> Result<Vec<String>> {
    if !present.contains(LEDGER) {
        return Ok(Vec::new());
    }
    let ledger = format!("{}.{}", quote_identifier(schema), quote_identifier(LEDGER));
    let rows = api.query(&format!("SELECT DISTINCT collection FROM {ledger}")).await?;
    let of_collection = |collection: String| {
        let beside = [deleted_table(&collection), history_table(&collection)];
        [collection].into_iter().chain(beside).map(|table| identifier(&table))
    };
    let collections = rows.into_iter().flatten().flatten().flat_map(of_collection);
    let mut ours: Vec<String> = collections.chain([LEDGER, ACCOUNT, RUNS].map(str::to_owned)).collect();
    ours.retain(|table| present.contains(table));
    ours.sort();
    Ok(ours)
}

/// Says whether it came to its end in time.
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

/// Scratch tables that a program left which ended, as SQL needs their names.
pub(super) fn left_behind(schema: &str, present: &HashSet<String>) -> Vec<String> {
    let left = present.iter().filter(|name| is_left_behind(name, SystemTime::now()));
    left.map(|name| format!("{}.{}", quote_identifier(schema), quote_identifier(name))).collect()
}

/// A scratch table's name has the time in it.
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

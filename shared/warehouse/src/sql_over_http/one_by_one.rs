//! Parts shared by engines in which each statement is a commit of its own: scripts that run in order, columns that become
//! wider in several statements, and maintenance.

use std::collections::HashSet;
use std::mem::discriminant;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::engine::{Engine, Failed};
use crate::catalog::Rows;
use crate::dialect::{ACCOUNT, LEDGER, RUNS, quote_identifier};
use crate::error::{Error, Result};
use crate::mode::{deleted_table, history_table};
use crate::statement::{Purpose, Statement};
use crate::table::TableColumn;

/// While a column becomes wider, its values are in one that is called so and by its name.
pub(crate) const WIDENED: &str = "_widened_";
/// Statements of one script that are executed at once, where none depends on another: each takes a second, however
/// little it does.
pub(crate) const AT_ONCE: usize = 8;
/// Age from which on a scratch table counts as left behind by a program that ended.
const SCRATCH_AGE: Duration = Duration::from_secs(24 * 3600);

/// Runs a script in order, with neighbours that do not depend on each other at once. `failed` says what the failure of
/// the statement in this place means.
pub(crate) async fn run_in_order<'a, A>(
    script: &'a [Statement],
    answer: impl Fn(&'a Statement) -> A,
    failed: impl Fn(usize, Error) -> Failed,
) -> Result<Vec<Rows>, Failed>
where
    A: Future<Output = Result<Option<Rows>>>,
{
    let mut rows = Vec::new();
    let mut begin = 0;
    while let Some(first) = script.get(begin) {
        let is_alike =
            |it: &&Statement| discriminant(&it.purpose) == discriminant(&first.purpose) && is_independent(it);
        let alike = script.iter().skip(begin).take(AT_ONCE).take_while(is_alike).count().max(1);
        let together = script.iter().skip(begin).take(alike).map(&answer);
        for (n, answer) in futures::future::join_all(together).await.into_iter().enumerate() {
            rows.extend(answer.map_err(|error| failed(begin + n, error))?);
        }
        begin += alike;
    }
    Ok(rows)
}

/// Reads of files only add rows.
fn is_independent(statement: &Statement) -> bool {
    matches!(statement.purpose, Purpose::CreateScratch | Purpose::Read(_) | Purpose::Count)
}

/// Finishes an interrupted widening. `drop` drops a column, `rename` gives one another name. While the old column
/// exists, its values may not be in the new one yet.
pub(crate) fn mend(
    columns: &[TableColumn],
    drop: impl Fn(&str) -> String,
    rename: impl Fn(&TableColumn, &str) -> String,
) -> Vec<String> {
    let statement = |new: &TableColumn| {
        let column = new.name.strip_prefix(WIDENED)?;
        Some(match columns.iter().any(|other| other.name == column) {
            true => drop(&new.name),
            false => rename(new, column),
        })
    };
    columns.iter().filter_map(statement).collect()
}

/// Returns all tables of the schema.
pub(crate) async fn tables<E: Engine>(engine: &E, schema: &str) -> Result<HashSet<String>> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {}",
        (engine.dialect().literal)(schema)
    );
    Ok(engine.query(&sql).await?.into_iter().flatten().flatten().collect())
}

/// Returns the tables that merges fill, from another one on each time, so that all get their turn where time is short.
/// Others in the schema are somebody else's.
pub(crate) async fn tables_of_merges<E: Engine>(
    engine: &E,
    schema: &str,
    present: &HashSet<String>,
) -> Result<Vec<String>> {
    if !present.contains(LEDGER) {
        return Ok(Vec::new());
    }
    let ledger = format!("{}.{}", quote_identifier(schema), quote_identifier(LEDGER));
    let rows = engine.query(&format!("SELECT DISTINCT collection FROM {ledger}")).await?;
    let of_collection = |collection: String| {
        let companions = [deleted_table(&collection), history_table(&collection)];
        [collection].into_iter().chain(companions).map(|table| (engine.dialect().identifier)(&table))
    };
    let collections = rows.into_iter().flatten().flatten().flat_map(of_collection);
    let mut ours: Vec<String> = collections.chain([LEDGER, ACCOUNT, RUNS].map(str::to_owned)).collect();
    ours.retain(|table| present.contains(table));
    ours.sort();
    let first = Uuid::now_v7().as_u128() as usize % ours.len().max(1);
    ours.rotate_left(first);
    Ok(ours)
}

/// Returns scratch tables that a program left behind, as SQL needs their names.
pub(crate) fn left_behind(schema: &str, present: &HashSet<String>) -> Vec<String> {
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

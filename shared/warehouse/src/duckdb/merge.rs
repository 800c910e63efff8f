//! A merge, in one transaction. Keys and versions decide in narrow scratch tables which rows change; only those are
//! then read whole. Replaced rows are deleted and inserted anew: DuckDB's own MERGE keeps whole rows in its hash join
//! and in its undo log, and needs several times the memory.

use std::collections::HashSet;

use duckdb::types::Value;
use duckdb::{Connection, params, params_from_iter};

use super::beside::Beside;
use super::budget::Budget;
use super::dialect::DUCKDB;
use super::schema::Schema;
use super::session::{Session, failed, is_out_of_memory};
use super::sql::{self, GONE, GroupMerge, NEWEST, STAGED, TOUCHED};
use crate::checks::{Count, Outcome, check_account, check_deleted, check_rows};
use crate::dialect::{ACCOUNT, LEDGER, RUNS};
use crate::error::{Error, Kind, Result};
use crate::plan::{Group, Plan, TableChange, plan};
use crate::sweep::Sweep;
use crate::{LocatedFile, Merged, RunRow, TableMode, extent, runs};

/// `files` has passed [`crate::plan::check_batch`].
pub(super) fn merge(
    connection: &mut Connection,
    schema: &Schema,
    files: &[LocatedFile],
    mode: TableMode,
) -> Result<Merged> {
    let columns = files.iter().map(|file| file.description.table.columns.len()).max().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = files.iter().map(|file| file.description.rows).sum();
    merge_within(Budget::new(rows, columns, cores), connection, schema, files, mode)
}

/// Takes more memory when the budget turns out too small.
pub(super) fn merge_within(
    mut budget: Budget,
    connection: &mut Connection,
    schema: &Schema,
    files: &[LocatedFile],
    mode: TableMode,
) -> Result<Merged> {
    loop {
        let Budget { memory_mib, threads } = budget;
        let settings = format!("SET memory_limit = '{memory_mib}MiB'; SET threads = {threads}");
        connection.execute_batch(&settings).map_err(failed(&settings))?;
        match merge_once(connection, schema, files, mode) {
            Err(error) if is_out_of_memory(&error) => match budget.larger() {
                Some(larger) => budget = larger,
                None => return Err(error),
            },
            outcome => return outcome,
        }
        tracing::info!(
            memory.mib = budget.memory_mib,
            "merge did not fit into memory, trying again with more"
        );
    }
}

fn merge_once(
    connection: &mut Connection,
    schema: &Schema,
    files: &[LocatedFile],
    mode: TableMode,
) -> Result<Merged> {
    let Some(first) = files.first() else { return Ok(Merged::default()) };
    let collection = &first.description.table.collection;
    let mut session = Session::begin(connection)?;

    let account = schema.account(session.connection())?;
    let bound = check_account(&schema.quoted(), account, first)?;
    let present = schema.columns(session.connection(), collection)?;
    let loaded = match &present {
        Some(_) => schema.ledger(session.connection(), collection)?,
        None => HashSet::new(),
    };
    let new: Vec<&LocatedFile> = files.iter().filter(|file| !loaded.contains(&file.key)).collect();
    if new.is_empty() {
        return Ok(Merged::default());
    }

    let plan = plan(&DUCKDB, present.as_deref(), new)?;
    if !bound {
        bind_account(&mut session, schema, first.description.account_id)?;
    }
    change_table(&mut session, schema, collection, &plan.change)?;
    let beside = Beside::begin(&mut session, schema, collection, &plan, mode)?;
    let table = schema.table_name(collection);
    let sweep = Sweep::new(&DUCKDB, &table, &plan, [TOUCHED, GONE].map(str::to_owned));
    if let Some(sweep) = &sweep {
        begin_sweep(&session, sweep)?;
    }
    let mut merged = Merged::default();
    for group in &plan.groups {
        let sweep = sweep.as_ref().filter(|_| group.has_sets);
        let counts = merge_group(&mut session, &table.qualified, &plan, group, sweep, &beside)?;
        write_ledger(&mut session, schema, group, &counts)?;
        for count in counts {
            merged.files += 1;
            merged.staged_rows += count.staged;
            merged.inserted += count.changed - count.replaced;
            merged.updated += count.replaced;
        }
    }
    if let Some(sweep) = &sweep {
        merged.updated += delete_gone(&mut session, sweep, &table.qualified)?;
    }
    beside.end(&mut session)?;
    merged.merged_rows = merged.inserted + merged.updated;
    merged.statements_that_write = session.commit()?;
    Ok(merged)
}

fn begin_sweep(session: &Session<'_>, sweep: &Sweep<'_>) -> Result<()> {
    for (table, columns) in sweep.scratch() {
        session.scratch(&sql::create_scratch(table, &columns))?;
    }
    Ok(())
}

/// Answers with the number of rows that became deleted.
fn delete_gone(session: &mut Session<'_>, sweep: &Sweep<'_>, table: &str) -> Result<u64> {
    session.scratch(&sweep.find_gone())?;
    let gone = session.count(&sweep.count_gone())?;
    let deleted = if gone > 0 { session.write(&sweep.delete_gone(), [])? } else { 0 };
    session.scratch(&sql::dropped(&[TOUCHED, GONE]))?;
    check_deleted(table, gone, deleted)?;
    Ok(deleted)
}

/// Adds the runs that the schema does not hold yet, once it is bound to an account.
pub(super) fn record_runs(connection: &mut Connection, schema: &Schema, rows: &[RunRow]) -> Result<u64> {
    let mut session = Session::begin(connection)?;
    let Some(oldest) = runs::oldest(rows) else { return Ok(0) };
    if schema.account(session.connection())?.is_none() {
        return Ok(0);
    }
    let table = schema.table(RUNS);
    let mut known = Vec::new();
    if schema.columns(session.connection(), RUNS)?.is_some() {
        known = session.rows(&DUCKDB.select_runs(&table, oldest), |row| Ok((row.get(0)?, row.get(1)?)))?;
    } else {
        session.write(&DUCKDB.create_runs(&table), [])?;
    }
    let missing = runs::missing(rows, known);
    if missing.is_empty() {
        return Ok(0);
    }
    let mut added = 0;
    for some in missing.chunks(runs::AT_ONCE) {
        added += session.write(&DUCKDB.insert_runs(&table, some), [])?;
    }
    session.commit()?;
    Ok(added)
}

/// [`crate::Warehouse::forget`].
pub(super) fn forget(connection: &mut Connection, schema: &Schema, collection: &str) -> Result<()> {
    let mut session = Session::begin(connection)?;
    let Some(present) = schema.columns(session.connection(), collection)? else { return Ok(()) };
    let forget = format!("DELETE FROM {} WHERE collection = ?", schema.table(LEDGER));
    session.write(&forget, params![collection])?;
    if let Some(outdate) = extent::outdate(&DUCKDB, &schema.table(collection), &present) {
        session.write(&outdate, [])?;
    }
    session.commit().map(drop)
}

fn bind_account(session: &mut Session<'_>, schema: &Schema, account: u64) -> Result<()> {
    session.write(&format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted()), [])?;
    for statement in DUCKDB.create_bookkeeping(&schema.table(ACCOUNT), &schema.table(LEDGER)) {
        session.write(&statement, [])?;
    }
    session.write(&format!("INSERT INTO {} VALUES (?, now())", schema.table(ACCOUNT)), params![account])?;
    Ok(())
}

fn change_table(
    session: &mut Session<'_>,
    schema: &Schema,
    collection: &str,
    change: &TableChange,
) -> Result<()> {
    let table = schema.table(collection);
    match change {
        TableChange::Create(columns) => {
            session.write(&DUCKDB.create_table(&table, columns), [])?;
            // What a dropped table held is not loaded any more.
            let forget = format!("DELETE FROM {} WHERE collection = ?", schema.table(LEDGER));
            session.write(&forget, params![collection])?;
        }
        TableChange::Alter { add, widen } => {
            for column in add {
                session.write(&sql::alter_table(&table, &DUCKDB.add_column(column)), [])?;
            }
            for widening in widen {
                session.write(&sql::alter_table(&table, &DUCKDB.widen(widening)), [])?;
            }
        }
    }
    Ok(())
}

/// The counts are in the order of the group's files.
fn merge_group(
    session: &mut Session<'_>,
    table: &str,
    plan: &Plan<'_>,
    group: &Group<'_>,
    sweep: Option<&Sweep<'_>>,
    beside: &Beside,
) -> Result<Vec<Count>> {
    let paths = paths(group)?;
    let columns_read = columns_read(session, group, &paths)?;
    let merge = GroupMerge::new(table, plan, group, &paths, &columns_read).map_err(|column| {
        bad_file(group, &format!("lacks the column {column:?} that its description names"))
    })?;

    session.scratch(&merge.stage()).map_err(|error| unreadable(group, error))?;
    let mut counts = count_staged(session, group, &merge)?;
    beside.staged(session, &merge)?;
    let staged = counts.iter().map(|count| count.staged).sum();
    let keys = session.count(&merge.count_keys())?;
    let newest = keep_newest(session, &merge, staged, keys)?;
    find_changed(session, &merge, newest, &mut counts)?;
    if let Some(sweep) = sweep {
        session.scratch(&sweep.touch(STAGED))?;
    }
    let written = write_changed(session, &merge, &counts)?;
    let arrived = session.count(&merge.count_arrived(newest))?;
    session.scratch(&sql::drop_scratch())?;

    let changed = counts.iter().map(|count| count.changed).sum();
    Outcome { changed, written, keys, arrived }.check(table)?;
    Ok(counts)
}

fn paths(group: &Group<'_>) -> Result<Vec<String>> {
    let utf8 = |file: &&LocatedFile| match file.path()?.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(bad_file(group, "is at a path that is not UTF-8: use another folder")),
    };
    group.files.iter().map(utf8).collect()
}

/// The columns in the order in which DuckDB reads them; their types must be those of the description.
fn columns_read(session: &Session<'_>, group: &Group<'_>, paths: &[String]) -> Result<Vec<String>> {
    let read: Vec<(String, String)> = session
        .rows(&sql::describe(paths), |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| unreadable(group, error))?;
    for field in &group.fields {
        let expected = (DUCKDB.type_name)(field.from);
        let mut same_name = read.iter().filter(|(name, _)| *name == field.source);
        if let Some((name, other)) = same_name.find(|(_, type_name)| type_name != expected) {
            let what = format!("has the column {name:?} as {other}, but its description says {expected}");
            return Err(bad_file(group, &what));
        }
    }
    Ok(read.into_iter().map(|(name, _)| name).collect())
}

/// Reads keys and versions, and refuses files whose rows are not those that the description promises.
fn count_staged(session: &Session<'_>, group: &Group<'_>, merge: &GroupMerge) -> Result<Vec<Count>> {
    let mut counts = vec![Count::default(); group.files.len()];
    let mut incomplete = vec![0; group.files.len()];
    for [file, staged, without_key] in session.counts(&merge.count_staged())? {
        let file = file as usize;
        if let (Some(count), Some(rows)) = (counts.get_mut(file), incomplete.get_mut(file)) {
            (count.staged, *rows) = (staged, without_key);
        }
    }
    for ((file, count), incomplete) in group.files.iter().zip(&counts).zip(incomplete) {
        check_rows(file, count.staged, incomplete)?;
    }
    Ok(counts)
}

/// The scratch table that holds one row per key.
fn keep_newest(session: &Session<'_>, merge: &GroupMerge, staged: u64, keys: u64) -> Result<&'static str> {
    if staged == keys {
        return Ok(STAGED);
    }
    session.scratch(&merge.keep_newest())?;
    if session.count(&sql::count_newest())? > keys {
        session.scratch(&merge.break_ties_in_files())?;
    }
    Ok(NEWEST)
}

fn find_changed(session: &Session<'_>, merge: &GroupMerge, newest: &str, counts: &mut [Count]) -> Result<()> {
    session.scratch(&merge.find_changed(newest))?;
    if session.count(&sql::count_ties())? > 0 {
        session.scratch(&merge.break_ties_with_table())?;
    }
    for [file, changed, replaced] in session.counts(&sql::count_changed())? {
        if let Some(count) = counts.get_mut(file as usize) {
            (count.changed, count.replaced) = (changed, replaced);
        }
    }
    Ok(())
}

/// How many rows were inserted. Replaced rows go first, so that a unique index on the table holds throughout.
fn write_changed(session: &mut Session<'_>, merge: &GroupMerge, counts: &[Count]) -> Result<u64> {
    let staged: u64 = counts.iter().map(|count| count.staged).sum();
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    let replaced: u64 = counts.iter().map(|count| count.replaced).sum();
    if changed == 0 {
        return Ok(0);
    }
    let keeps_values = merge.keeps_values() && replaced > 0;
    if keeps_values {
        session.scratch(&merge.keep_values())?;
    }
    if replaced > 0 {
        session.write(&merge.delete_replaced(), [])?;
    }
    if keeps_values {
        let new = if changed > replaced { session.write(&merge.insert_new(), [])? } else { 0 };
        Ok(new + session.write(&merge.insert_replacing(), [])?)
    } else if changed == staged {
        session.write(&merge.insert_all(), [])
    } else {
        session.write(&merge.insert_changed(), [])
    }
}

fn write_ledger(
    session: &mut Session<'_>,
    schema: &Schema,
    group: &Group<'_>,
    counts: &[Count],
) -> Result<()> {
    let values = vec!["(?, ?, ?, ?, ?, now())"; group.files.len()].join(", ");
    let row = |(file, count): (&&LocatedFile, &Count)| {
        let description = &file.description;
        [
            Value::Text(description.table.collection.clone()),
            Value::Text(file.key.clone()),
            Value::Text(description.run_id.clone()),
            Value::UBigInt(count.staged),
            Value::UBigInt(count.changed),
        ]
    };
    let row_values = group.files.iter().zip(counts).flat_map(row);
    let sql = format!("INSERT INTO {} VALUES {values}", schema.table(LEDGER));
    session.write(&sql, params_from_iter(row_values)).map(drop)
}

/// DuckDB reads a group at once and does not always say which file it means.
fn bad_file(group: &Group<'_>, what: &str) -> Error {
    let key = group.files.first().map_or("", |file| file.key.as_str());
    let others = match group.files.len() {
        0 | 1 => String::new(),
        files => format!(", or one of the {} merged with it,", files - 1),
    };
    Error::new(Kind::BadFile, format!("staged file {key}{others} {what}"))
}

fn unreadable(group: &Group<'_>, error: Error) -> Error {
    if is_out_of_memory(&error) {
        error
    } else {
        bad_file(group, "can't be read: stage it again").because(error)
    }
}

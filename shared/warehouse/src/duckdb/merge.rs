//! A group's merge. Keys and versions decide in narrow scratch tables which rows change; only those are then read
//! whole. Replaced rows are deleted and inserted anew: DuckDB's own MERGE keeps whole rows in its hash join and in its
//! undo log, and needs several times the memory. So this is a path of DuckDB's own: the table in
//! docs/warehouses/duckdb.md, measured by `examples/measure.rs`, says what it costs beside a bare `CREATE TABLE AS SELECT`.

use staging::ColumnType;

use super::dialect::DUCKDB;
use super::session::{Session, is_out_of_memory};
use super::sql::{self, GroupMerge, NEWEST, STAGED};
use crate::LocatedFile;
use crate::catalog::row_counts;
use crate::checks::{Count, GroupCounts, check_rows};
use crate::error::{Error, Kind, Result};
use crate::history::{Place, StagedRows};
use crate::plan::Group;
use crate::transaction::{GroupOf, create_scratch};

/// The counts are in the order of the group's files.
pub(super) fn merge_group(session: &mut Session<'_>, of: &GroupOf<'_>) -> Result<Vec<Count>> {
    let (table, group) = (&of.table.qualified, of.group);
    let paths = paths(group)?;
    let columns_read = columns_read(session, group, &paths)?;
    let merge = GroupMerge::new(table, of.plan, group, &paths, &columns_read).map_err(|column| {
        bad_file(group, &format!("lacks the column {column:?} that its description names"))
    })?;

    session.run(&merge.stage()).map_err(|error| unreadable(group, error))?;
    let mut counts = count_staged(session, group, &merge)?;
    let keys: Vec<String> = (0..merge.columns.keys.len()).map(|n| format!("s.k{n}")).collect();
    keep_past(session, &merge, &keys, of)?;
    let staged = counts.iter().map(|count| count.staged).sum();
    let keys = session.number(&merge.count_keys())?;
    let newest = keep_newest(session, &merge, staged, keys)?;
    find_changed(session, &merge, newest, &mut counts)?;
    if let Some(sweep) = of.sweep {
        session.run(&sweep.touch(STAGED))?;
    }
    let written = write_changed(session, &merge, &counts)?;
    let arrived = session.number(&merge.count_arrived(newest))?;
    session.run(&sql::drop_scratch())?;

    let changed = counts.iter().map(|count| count.changed).sum();
    GroupCounts { changed, written, keys, arrived }.check(table)?;
    Ok(counts)
}

/// Writes the companion tables, before the table is changed.
fn keep_past(session: &mut Session<'_>, merge: &GroupMerge, keys: &[String], of: &GroupOf<'_>) -> Result<()> {
    let place = ["file_index", "file_row_number"].map(|place| format!("staged.{place}"));
    let place = Place {
        columns: place.map(|place| (place, ColumnType::BigInt)).to_vec(),
        same: "staged.file_index = n.p0 AND staged.file_row_number = n.p1".to_owned(),
    };
    let staged = format!("{STAGED} AS s");
    let scratch = ["history_reads", "history_changes"].map(|table| format!("temp.main.{table}"));
    let rows = StagedRows { all: &merge.source, keys: (&staged, keys), place, scratch };
    let columns = of.companions.scratch(&merge.columns, &rows.place);
    for (table, columns) in rows.scratch.iter().zip(columns.iter().flatten()) {
        session.run(&create_scratch(&DUCKDB, table, columns))?;
    }
    session.execute_all(of.companions.staged(&merge.columns, &rows))?;
    rows.scratch
        .iter()
        .filter(|_| columns.is_some())
        .try_for_each(|table| session.run(&format!("DROP TABLE {table}")))
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
    let described = session.rows(&sql::describe(paths)).map_err(|error| unreadable(group, error))?;
    let column = |row: Vec<Option<String>>| {
        let mut row = row.into_iter().flatten();
        Some((row.next()?, row.next()?))
    };
    let read: Vec<(String, String)> = described.into_iter().filter_map(column).collect();
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
    for row in session.rows(&merge.count_staged())? {
        let [file, staged, without_key] = row_counts(&row)?;
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
    session.run(&merge.keep_newest())?;
    if session.number(&sql::count_newest())? > keys {
        session.run(&merge.break_ties_in_files())?;
    }
    Ok(NEWEST)
}

fn find_changed(session: &Session<'_>, merge: &GroupMerge, newest: &str, counts: &mut [Count]) -> Result<()> {
    session.run(&merge.find_changed(newest))?;
    if session.number(&sql::count_ties())? > 0 {
        session.run(&merge.break_ties_with_table())?;
    }
    for row in session.rows(&sql::count_changed())? {
        let [file, changed, replaced] = row_counts(&row)?;
        if let Some(count) = counts.get_mut(file as usize) {
            (count.changed, count.replaced) = (changed, replaced);
        }
    }
    Ok(())
}

/// Answers with the number of inserted rows. Replaced rows go first, so that a unique index on the table holds
/// throughout.
fn write_changed(session: &mut Session<'_>, merge: &GroupMerge, counts: &[Count]) -> Result<u64> {
    let staged: u64 = counts.iter().map(|count| count.staged).sum();
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    let replaced: u64 = counts.iter().map(|count| count.replaced).sum();
    if changed == 0 {
        return Ok(0);
    }
    let keeps_values = merge.keeps_values() && replaced > 0;
    if keeps_values {
        session.run(&merge.keep_values())?;
    }
    if replaced > 0 {
        session.execute(&merge.delete_replaced())?;
    }
    if keeps_values {
        let new = if changed > replaced { session.execute(&merge.insert_new())? } else { 0 };
        Ok(new + session.execute(&merge.insert_replacing())?)
    } else if changed == staged {
        session.execute(&merge.insert_all())
    } else {
        session.execute(&merge.insert_changed())
    }
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

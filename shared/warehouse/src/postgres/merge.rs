//! Merge of a group whose rows are in a scratch table: keys and versions decide which of them change the table; those
//! replace its rows or are added to it.

use staging::ColumnType;

use super::dialect::POSTGRES;
use super::layout::{Target, measure};
use super::session::Session;
use super::sql::{self, GroupMerge};
use super::staged::StagedGroup;
use crate::catalog::{Catalog, counts, row_counts};
use crate::checks::{Count, GroupCounts};
use crate::error::{Error, Kind, Result};
use crate::history::{Place, StagedRows};
use crate::plan::Group;
use crate::table::TableColumn;
use crate::transaction::{GroupOf, create_scratch};

/// Merges a group. The counts are in the order of its files.
pub(super) async fn merge_group(
    session: &mut Session<'_>,
    target: &Target,
    mut staged: StagedGroup,
    of: &GroupOf<'_>,
) -> Result<Vec<Count>> {
    let GroupOf { table, plan, group, .. } = *of;
    let mut is_first = true;
    let (merge, keys) = loop {
        let merge = GroupMerge::new(&table.qualified, plan, group, &staged.layout, &staged.staging)
            .map_err(|column| Error::new(Kind::Engine, format!("column {column:?} was not staged")))?;
        if std::mem::take(&mut is_first) {
            keep_past(session, &merge, &staged, of).await?;
        }
        let keys = find_changed(session, &merge, &mut staged.staged.counts).await?;
        let kept_bytes = widest_kept(session, target, group, &merge).await?;
        // What the files lack stays in the rows: does what they have fit beside it?
        if staged.staged.widest + kept_bytes.saturating_sub(staged.kept_bytes) <= staged.room() {
            break (merge, keys);
        }
        session.scratch(&staged.staging.drop()).await?;
        session.scratch(&sql::drop_scratch()).await?;
        staged = StagedGroup::stage(session, target, table, plan, group, of.number, kept_bytes).await?;
    };
    if let Some(sweep) = of.sweep {
        session.scratch(&sweep.touch(sql::NEWEST)).await?;
    }
    let counts = staged.staged.counts;
    let written = write_changed(session, &table.qualified, &merge, &counts).await?;
    session.scratch(&staged.staging.drop()).await?;
    session.scratch(&sql::drop_scratch()).await?;
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    // The unique index sees to it that each key is there once: a row that was not written is one that somebody else
    // changed or removed since it was found.
    if written != changed {
        return Err(changed_meanwhile(&table.qualified));
    }
    // Those that were not to be changed are there, in a newer version.
    GroupCounts { changed, written, keys, arrived: keys }.check(&table.qualified)?;
    Ok(counts)
}

/// Writes the companion tables, before the table is changed.
async fn keep_past(
    session: &mut Session<'_>,
    merge: &GroupMerge,
    staged: &StagedGroup,
    of: &GroupOf<'_>,
) -> Result<()> {
    let rows = format!("{} AS s", staged.staging.table());
    let key: Vec<String> = merge.columns.keys.iter().map(|key| key.staged.clone()).collect();
    // A `ctid` as text, since scratch tables have columns of our own types.
    let place = Place {
        columns: vec![("CAST(s.ctid AS text)".to_owned(), ColumnType::Text)],
        same: "s.ctid = CAST(n.p0 AS tid)".to_owned(),
    };
    let scratch = ["history_reads", "history_changes"].map(|table| format!("pg_temp.{table}"));
    let rows = StagedRows { all: &rows, keys: (&rows, &key), place, scratch };
    let columns = of.companions.scratch(&merge.columns, &rows.place);
    for (table, columns) in rows.scratch.iter().zip(columns.iter().flatten()) {
        session.scratch(&create_scratch(&POSTGRES, table, columns)).await?;
    }
    for statement in of.companions.staged(&merge.columns, &rows) {
        if statement.writes() {
            session.scratch(sql::LOOK_UP).await?;
            session.write(&statement.sql).await?;
            session.scratch(sql::AS_PLANNED).await?;
        } else {
            session.scratch(&statement.sql).await?;
            for table in rows
                .scratch
                .iter()
                .filter(|table| statement.sql.starts_with(&format!("INSERT INTO {table} ")))
            {
                session.scratch(&format!("ANALYZE {table}")).await?;
            }
        }
    }
    for table in rows.scratch.iter().filter(|_| columns.is_some()) {
        session.scratch(&format!("DROP TABLE {table}")).await?;
    }
    Ok(())
}

/// Finds the staged rows that change the table. Returns the number of staged keys.
async fn find_changed(session: &mut Session<'_>, merge: &GroupMerge, counted: &mut [Count]) -> Result<u64> {
    session.scratch(sql::LOOK_UP).await?;
    session.scratch(&merge.find_newest()).await?;
    session.scratch(sql::AS_PLANNED).await?;
    let [keys, newest, ties] = counts(&session.query(&sql::count_newest()).await?)?;
    if newest > keys {
        session.scratch(&merge.break_ties_in_files()).await?;
    }
    if ties > 0 {
        session.scratch(sql::LOOK_UP).await?;
        session.scratch(&merge.break_ties_with_table()).await?;
        session.scratch(sql::AS_PLANNED).await?;
    }
    for row in session.query(&sql::count_changed()).await? {
        let [file, changed, replaced] = row_counts(&row)?;
        if let Some(count) = counted.get_mut(file as usize) {
            (count.changed, count.replaced) = (changed, replaced);
        }
    }
    Ok(keys)
}

async fn widest_kept(
    session: &mut Session<'_>,
    target: &Target,
    group: &Group<'_>,
    merge: &GroupMerge,
) -> Result<usize> {
    let is_kept = |column: &&TableColumn| group.kept.contains(&column.name);
    let kept: Vec<TableColumn> = target.present.iter().filter(is_kept).cloned().collect();
    match measure(&kept) {
        Some(measure) if target.is_wide => {
            let bytes = session.count(&merge.widest_kept(&measure)).await?;
            Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        _ => Ok(0),
    }
}

/// Writes those rows. Returns the number of updated or inserted rows.
async fn write_changed(
    session: &mut Session<'_>,
    table: &str,
    merge: &GroupMerge,
    counts: &[Count],
) -> Result<u64> {
    let staged: u64 = counts.iter().map(|count| count.staged).sum();
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    let replaced: u64 = counts.iter().map(|count| count.replaced).sum();
    let mut written = 0;
    session.scratch(sql::LOOK_UP).await?;
    if replaced > 0 {
        written += session.write(&merge.update_replaced()).await?;
    }
    if changed > replaced {
        let all_are_new = changed - replaced == staged;
        let insert = if all_are_new { merge.insert_all() } else { merge.insert_new() };
        written += session.write(&insert).await.map_err(|error| match error.kind() {
            Kind::RowCount => changed_meanwhile(table).because(error),
            _ => error,
        })?;
    }
    session.scratch(sql::AS_PLANNED).await?;
    Ok(written)
}

fn changed_meanwhile(table: &str) -> Error {
    let message = format!("another program changed rows of table {table} while they were merged, try again");
    Error::new(Kind::Locked, message)
}

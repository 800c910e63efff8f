//! A merge, in one transaction: staged rows are copied into scratch tables, keys and versions decide which of them
//! change the table, and those replace its rows or are added to it.
//!
//! Readers are kept out only while columns change, and all files are there by then.

use std::collections::HashSet;
use std::time::Duration;

use staging::{Column, ColumnType};
use tokio_postgres::Client;

use super::beside::Beside;
use super::copy::{Staged, stage};
use super::dialect::{OVERFLOW, POSTGRES};
use super::layout::{self, Layout, MAX_COLUMNS};
use super::schema::{Columns, Schema};
use super::session::{Session, counts, get};
use super::sql::{self, GONE, GroupMerge, Staging, TOUCHED};
use crate::checks::{Count, Outcome, check_account, check_deleted};
use crate::dialect::{ACCOUNT, LEDGER, RUNS, TableName};
use crate::error::{Error, Kind, Result};
use crate::plan::{Group, Plan, TableChange, TableColumn, Widening, check_names, plan_within};
use crate::sweep::Sweep;
use crate::{LocatedFile, Merged, RunRow, TableMode, extent, runs};

/// `files` has passed [`crate::plan::check_batch`]. Waits no longer than `patience` for other loads and programs.
pub(super) async fn merge(
    client: &mut Client,
    schema: &Schema,
    files: &[LocatedFile],
    mode: TableMode,
    patience: Duration,
) -> Result<Merged> {
    let Some(first) = files.first() else { return Ok(Merged::default()) };
    let collection = &first.description.table.collection;
    let mut session = Session::begin(client, patience).await?;

    take_turn(&session, &format!("{}.{collection}", schema.name())).await?;
    let bound = check_account(&schema.quoted(), schema.account(&session).await?, first)?;
    let loaded = schema.loaded(&session, collection).await?;
    let new: Vec<&LocatedFile> = files.iter().filter(|file| !loaded.contains(&file.key)).collect();
    if new.is_empty() {
        return Ok(Merged::default());
    }

    let target = Target::of(&session, schema, collection, new).await?;
    let mut staged = Vec::with_capacity(target.plan.groups.len());
    for (number, group) in target.plan.groups.iter().enumerate() {
        staged.push(StagedGroup::stage(&session, &target, group, Staging { number }, 0).await?);
    }
    if !bound {
        bind_account(&mut session, schema, first).await?;
    }
    change_table(&mut session, schema, collection, &target, &staged).await?;
    let beside = Beside::begin(&mut session, schema, collection, &target.plan, mode).await?;
    let sweep = Sweep::new(&POSTGRES, &target.table, &target.plan, [TOUCHED, GONE].map(str::to_owned));
    if let Some(sweep) = &sweep {
        begin_sweep(&session, sweep).await?;
    }
    let mut merged = Merged::default();
    for (group, staged) in target.plan.groups.iter().zip(staged) {
        let sweep = sweep.as_ref().filter(|_| group.has_sets);
        let counts = merge_group(&mut session, &target, group, staged, sweep, &beside).await?;
        write_ledger(&mut session, schema, group, &counts).await?;
        for count in counts {
            merged.files += 1;
            merged.staged_rows += count.staged;
            merged.inserted += count.changed - count.replaced;
            merged.updated += count.replaced;
        }
    }
    if let Some(sweep) = &sweep {
        merged.updated += delete_gone(&mut session, sweep, &target.table.qualified).await?;
    }
    beside.end(&mut session).await?;
    merged.merged_rows = merged.inserted + merged.updated;
    merged.statements_that_write = session.commit().await?;
    Ok(merged)
}

async fn begin_sweep(session: &Session<'_>, sweep: &Sweep<'_>) -> Result<()> {
    for (table, columns) in sweep.scratch() {
        session.scratch(&sql::create_scratch(table, &columns)).await?;
    }
    Ok(())
}

/// Answers with the number of rows that became deleted.
async fn delete_gone(session: &mut Session<'_>, sweep: &Sweep<'_>, table: &str) -> Result<u64> {
    session.scratch(&format!("ANALYZE {TOUCHED}")).await?;
    session.scratch(&sweep.find_gone()).await?;
    session.scratch(&format!("ANALYZE {GONE}")).await?;
    let [gone] = session.counts(&sweep.count_gone()).await?;
    let deleted = if gone > 0 { session.write(&sweep.delete_gone(), &[]).await? } else { 0 };
    check_deleted(table, gone, deleted)?;
    Ok(deleted)
}

/// Adds the runs that the schema does not hold yet, once it is bound to an account.
pub(super) async fn record_runs(
    client: &mut Client,
    schema: &Schema,
    rows: &[RunRow],
    patience: Duration,
) -> Result<u64> {
    let mut session = Session::begin(client, patience).await?;
    let Some(oldest) = runs::oldest(rows) else { return Ok(0) };
    if schema.account(&session).await?.is_none() {
        return Ok(0);
    }
    take_turn(&session, &format!("{}.{RUNS}", schema.name())).await?;
    let table = schema.table(RUNS);
    let mut known = Vec::new();
    if schema.columns(&session, RUNS).await?.is_some() {
        for row in session.rows(&POSTGRES.select_runs(&table, oldest), &[]).await? {
            known.push((get(&row, 0)?, get(&row, 1)?));
        }
    } else {
        session.write(&POSTGRES.create_runs(&table), &[]).await?;
    }
    let mut added = 0;
    for some in runs::missing(rows, known).chunks(runs::AT_ONCE) {
        added += session.write(&POSTGRES.insert_runs(&table, some), &[]).await?;
    }
    session.commit().await?;
    Ok(added)
}

/// [`crate::Warehouse::forget`].
pub(super) async fn forget(
    client: &mut Client,
    schema: &Schema,
    collection: &str,
    patience: Duration,
) -> Result<()> {
    let mut session = Session::begin(client, patience).await?;
    take_turn(&session, &format!("{}.{collection}", schema.name())).await?;
    let Some(Columns { present, .. }) = schema.columns(&session, collection).await? else { return Ok(()) };
    let forget = format!("DELETE FROM {} WHERE collection = $1", schema.table(LEDGER));
    session.write(&forget, &[&collection]).await?;
    if let Some(outdate) = extent::outdate(&POSTGRES, &schema.table(collection), &present) {
        session.write(&outdate, &[]).await?;
    }
    session.commit().await.map(drop)
}

/// Waits until no other load works on what has this name, and keeps them out until the end of the transaction.
async fn take_turn(session: &Session<'_>, name: &str) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended('hubspot-source ' || $1, 0))";
    session.rows(sql, &[&name]).await.map(drop)
}

async fn bind_account(session: &mut Session<'_>, schema: &Schema, file: &LocatedFile) -> Result<()> {
    take_turn(session, schema.name()).await?;
    if check_account(&schema.quoted(), schema.account(session).await?, file)? {
        return Ok(());
    }
    session.write(&format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted()), &[]).await?;
    for statement in POSTGRES.create_bookkeeping(&schema.table(ACCOUNT), &schema.table(LEDGER)) {
        session.write(&statement, &[]).await?;
    }
    let Ok(account) = i64::try_from(file.description.account_id) else {
        let message = format!("staged file {} has an account id that no HubSpot account has", file.key);
        return Err(Error::new(Kind::BadFile, message));
    };
    let insert = format!("INSERT INTO {} VALUES ($1, now())", schema.table(ACCOUNT));
    session.write(&insert, &[&account]).await.map(drop)
}

/// The table that a merge is about, and what is to become of it.
struct Target<'a> {
    table: TableName,
    plan: Plan<'a>,
    /// But for the overflow.
    present: Vec<TableColumn>,
    has_overflow: bool,
    /// Rows may not fit.
    is_wide: bool,
    /// The primary key, set key first.
    key: Vec<String>,
    key_exists: bool,
    has_primary_key: bool,
}

impl<'a> Target<'a> {
    async fn of(
        session: &Session<'_>,
        schema: &Schema,
        collection: &str,
        files: Vec<&'a LocatedFile>,
    ) -> Result<Target<'a>> {
        check_names(&POSTGRES, "postgres", &files)?;
        let columns = schema.columns(session, collection).await?;
        let exists = columns.is_some();
        let Columns { mut present, dropped } = columns.unwrap_or_default();
        let all = present.len();
        present.retain(|column| column.name != OVERFLOW);
        let has_overflow = present.len() < all;
        // The overflow takes one more.
        let max_columns = (MAX_COLUMNS - 1).saturating_sub(dropped);
        let plan = plan_within(&POSTGRES, max_columns, exists.then_some(present.as_slice()), files)?;

        let is_wide = has_overflow || layout::is_wide(&plan, types_after(&plan, &present));
        let in_set_key = |name: &String| plan.sets.as_ref().is_some_and(|sets| sets.key.contains(name));
        let (first, then): (Vec<String>, Vec<String>) =
            plan.primary_key.iter().cloned().partition(in_set_key);
        let key = [first, then].concat();
        let wanted: HashSet<String> = key.iter().cloned().collect();
        let unique = schema.unique_keys(session, collection).await?;
        Ok(Target {
            table: schema.table_name(collection),
            key_exists: unique.iter().any(|(columns, _)| *columns == wanted),
            has_primary_key: unique.iter().any(|(_, is_primary)| *is_primary),
            plan,
            present,
            has_overflow,
            is_wide,
            key,
        })
    }
}

fn types_after(plan: &Plan<'_>, present: &[TableColumn]) -> Vec<ColumnType> {
    match &plan.change {
        TableChange::Create(columns) => columns.iter().map(|column| column.column_type).collect(),
        TableChange::Alter { add, widen } => {
            let after = |column: &TableColumn| match widen.iter().find(|other| other.column == column.name) {
                Some(widening) => widening.to,
                None => (POSTGRES.column_type)(&column.type_name),
            };
            present.iter().map(after).chain(add.iter().map(|column| column.column_type)).collect()
        }
    }
}

async fn change_table(
    session: &mut Session<'_>,
    schema: &Schema,
    collection: &str,
    target: &Target<'_>,
    staged: &[StagedGroup],
) -> Result<()> {
    let table = &target.table.qualified;
    let needs_overflow = target.is_wide && !target.has_overflow;
    let mut actions = Vec::new();
    match &target.plan.change {
        TableChange::Create(columns) => {
            create_table(session, schema, collection, target, columns, staged).await?;
            actions.extend(needs_overflow.then(sql::add_overflow));
        }
        TableChange::Alter { add, widen } => {
            session.scratch(&sql::lock_table(table)).await?;
            actions.extend(add.iter().map(|column| POSTGRES.add_column(column)));
            if needs_overflow {
                session.write(&sql::alter_table(table, &[sql::add_overflow()]), &[]).await?;
            }
            if target.is_wide {
                make_room(session, target, widen).await?;
            }
            actions.extend(widen.iter().map(|widening| POSTGRES.widen(widening)));
        }
    }
    if !actions.is_empty() {
        session.write(&sql::alter_table(table, &actions), &[]).await?;
    }
    if !target.key_exists {
        let statement = if target.has_primary_key {
            sql::create_unique_index(table, &target.key)
        } else {
            sql::add_primary_key(table, &target.key)
        };
        session.write(&statement, &[]).await?;
    }
    Ok(())
}

async fn create_table(
    session: &mut Session<'_>,
    schema: &Schema,
    collection: &str,
    target: &Target<'_>,
    columns: &[Column],
    staged: &[StagedGroup],
) -> Result<()> {
    let (mut rows, mut bytes) = (0, 0);
    for group in staged {
        let [size] = session.counts(&group.staging.bytes()).await?;
        bytes += size;
        rows += group.staged.counts.iter().map(|count| count.staged).sum::<u64>();
    }
    session.write(&sql::create_table(&target.table.qualified, columns, (rows, bytes)), &[]).await?;
    // What a dropped table held is not loaded any more.
    let forget = format!("DELETE FROM {} WHERE collection = $1", schema.table(LEDGER));
    session.write(&forget, &[&collection]).await.map(drop)
}

/// Values grow as their columns are widened; where a row has no room for that, they go into its overflow.
async fn make_room(session: &mut Session<'_>, target: &Target<'_>, widen: &[Widening]) -> Result<()> {
    let may_go = |widening: &&Widening| !target.key.contains(&widening.column);
    let going: Vec<&Widening> = widen.iter().filter(may_go).collect();
    let growth: usize = widen.iter().map(|widening| layout::most(widening.to)).sum();
    if let (false, Some(measure)) = (going.is_empty(), measure(&target.present)) {
        session.write(&sql::make_room(&target.table.qualified, &going, &measure, growth), &[]).await?;
    }
    Ok(())
}

fn measure(columns: &[TableColumn]) -> Option<String> {
    layout::measure(columns, |type_name| {
        let is_ours = (POSTGRES.type_name)((POSTGRES.column_type)(type_name)) == type_name;
        let column_type = (POSTGRES.column_type)(type_name);
        (is_ours && layout::fixed(column_type).is_some()).then(|| layout::most(column_type))
    })
}

/// A group whose rows are in a scratch table.
struct StagedGroup {
    layout: Layout,
    staging: Staging,
    staged: Staged,
    kept_bytes: usize,
}

impl StagedGroup {
    async fn stage(
        session: &Session<'_>,
        target: &Target<'_>,
        group: &Group<'_>,
        staging: Staging,
        kept_bytes: usize,
    ) -> Result<StagedGroup> {
        let Some(layout) = Layout::new(&target.plan, group, target.is_wide, kept_bytes) else {
            let message = format!(
                "table {} has rows that are full of values which HubSpot does not send any more, and what it sends \
                 has no room beside them: drop columns that are not needed",
                target.table.qualified
            );
            return Err(Error::new(Kind::Unsupported, message));
        };
        let staged = stage(session, group, &layout, &staging).await?;
        Ok(StagedGroup { layout, staging, staged, kept_bytes })
    }

    fn room(&self) -> usize {
        self.layout.overflow.as_ref().map_or(usize::MAX, |overflow| overflow.room)
    }
}

/// The counts are in the order of the group's files.
async fn merge_group(
    session: &mut Session<'_>,
    target: &Target<'_>,
    group: &Group<'_>,
    mut staged: StagedGroup,
    sweep: Option<&Sweep<'_>>,
    beside: &Beside,
) -> Result<Vec<Count>> {
    let mut is_first = true;
    let (merge, keys) = loop {
        let merge =
            GroupMerge::new(&target.table.qualified, &target.plan, group, &staged.layout, &staged.staging)
                .map_err(|column| Error::new(Kind::Engine, format!("column {column:?} was not staged")))?;
        if std::mem::take(&mut is_first) {
            beside.staged(session, &merge).await?;
        }
        let keys = find_changed(session, &merge, &mut staged.staged.counts).await?;
        let kept_bytes = widest_kept(session, target, group, &merge).await?;
        // What the files lack stays in the rows: does what they have fit beside it?
        if staged.staged.widest + kept_bytes.saturating_sub(staged.kept_bytes) <= staged.room() {
            break (merge, keys);
        }
        session.scratch(&staged.staging.drop()).await?;
        session.scratch(&sql::drop_scratch()).await?;
        staged = StagedGroup::stage(session, target, group, staged.staging, kept_bytes).await?;
    };
    if let Some(sweep) = sweep {
        session.scratch(&sweep.touch(sql::NEWEST)).await?;
    }
    let counts = staged.staged.counts;
    let written = write_changed(session, &merge, &counts).await?;
    session.scratch(&staged.staging.drop()).await?;
    session.scratch(&sql::drop_scratch()).await?;
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    // The unique index sees to it that each key is there once, and nobody else writes: those that were not to be
    // changed are there, in a newer version.
    let arrived = keys - changed + written;
    Outcome { changed, written, keys, arrived }.check(&target.table.qualified)?;
    Ok(counts)
}

/// Answers with the number of staged keys.
async fn find_changed(session: &Session<'_>, merge: &GroupMerge, counted: &mut [Count]) -> Result<u64> {
    session.scratch(sql::LOOK_UP).await?;
    session.scratch(&merge.find_newest()).await?;
    session.scratch(sql::AS_PLANNED).await?;
    let [keys, newest, ties] = session.counts(&sql::count_newest()).await?;
    if newest > keys {
        session.scratch(&merge.break_ties_in_files()).await?;
    }
    if ties > 0 {
        session.scratch(sql::LOOK_UP).await?;
        session.scratch(&merge.break_ties_with_table()).await?;
        session.scratch(sql::AS_PLANNED).await?;
    }
    for row in session.rows(&sql::count_changed(), &[]).await? {
        let [file, changed, replaced] = counts(&row, 0)?;
        if let Some(count) = counted.get_mut(file as usize) {
            (count.changed, count.replaced) = (changed, replaced);
        }
    }
    Ok(keys)
}

async fn widest_kept(
    session: &Session<'_>,
    target: &Target<'_>,
    group: &Group<'_>,
    merge: &GroupMerge,
) -> Result<usize> {
    let is_kept = |column: &&TableColumn| group.kept.contains(&column.name);
    let kept: Vec<TableColumn> = target.present.iter().filter(is_kept).cloned().collect();
    match measure(&kept) {
        Some(measure) if target.is_wide => {
            let [bytes] = session.counts(&merge.widest_kept(&measure)).await?;
            Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        _ => Ok(0),
    }
}

/// How many rows were updated or inserted.
async fn write_changed(session: &mut Session<'_>, merge: &GroupMerge, counts: &[Count]) -> Result<u64> {
    let staged: u64 = counts.iter().map(|count| count.staged).sum();
    let changed: u64 = counts.iter().map(|count| count.changed).sum();
    let replaced: u64 = counts.iter().map(|count| count.replaced).sum();
    let mut written = 0;
    session.scratch(sql::LOOK_UP).await?;
    if replaced > 0 {
        written += session.write(&merge.update_replaced(), &[]).await?;
    }
    if changed > replaced {
        let all_are_new = changed - replaced == staged;
        let insert = if all_are_new { merge.insert_all() } else { merge.insert_new() };
        written += session.write(&insert, &[]).await?;
    }
    session.scratch(sql::AS_PLANNED).await?;
    Ok(written)
}

async fn write_ledger(
    session: &mut Session<'_>,
    schema: &Schema,
    group: &Group<'_>,
    counts: &[Count],
) -> Result<()> {
    let descriptions = || group.files.iter().map(|file| &file.description);
    let collections: Vec<&str> = descriptions().map(|it| it.table.collection.as_str()).collect();
    let keys: Vec<&str> = group.files.iter().map(|file| file.key.as_str()).collect();
    let runs: Vec<&str> = descriptions().map(|it| it.run_id.as_str()).collect();
    let staged: Vec<i64> = counts.iter().map(|count| count.staged as i64).collect();
    let changed: Vec<i64> = counts.iter().map(|count| count.changed as i64).collect();
    let sql = format!(
        "INSERT INTO {} SELECT file.*, now() FROM unnest(CAST($1 AS text[]), CAST($2 AS text[]), \
         CAST($3 AS text[]), CAST($4 AS bigint[]), CAST($5 AS bigint[])) AS file",
        schema.table(LEDGER)
    );
    session.write(&sql, &[&collections, &keys, &runs, &staged, &changed]).await.map(drop)
}

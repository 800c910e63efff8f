//! A merge: files into scratch tables, which are counted, and then one script that changes the table.
//!
//! A script has room for a number of statements. What needs more becomes several merges, each of them whole: of files
//! with several sets of columns, or of more files than [`MAX_FILES`]. Where the columns alone are too many for a
//! script, they are added ahead, in scripts of their own: a crash then leaves columns without values.

use std::time::Duration;

use staging::ColumnType;

use super::engine::{Engine, Failed};
use super::schema::Schema;
use super::sql::{GroupMerge, Ties};
use super::target::{Moment, Target};
use crate::catalog::{Catalog, Present, Rows, counts, row_counts};
use crate::checks::check_account;
use crate::dialect::LEDGER;
use crate::error::{Error, Kind, Result};
use crate::mode::{deleted_table, history_table};
use crate::plan::{check_maker, check_names};
use crate::statement::{Purpose, Statement, check};
use crate::sweep::Sweep;
use crate::table::TableColumn;
use crate::{LocatedFile, Merged, TableMode};

/// Files of one script: each has a row of the ledger's statement.
const MAX_FILES: usize = 100;
/// Number of times that a merge is tried again because another one came first.
const MAX_ATTEMPTS: u32 = 8;
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// `files` has passed [`crate::plan::check_batch`].
pub(super) async fn merge<E: Engine>(
    schema: &Schema<E>,
    files: &[LocatedFile],
    mode: TableMode,
) -> Result<Merged> {
    let mut merged = Merged::default();
    let mut attempts = 0;
    loop {
        match step(schema, files, mode, &mut merged).await {
            Ok(Step::Last) => {
                merged.merged_rows = merged.inserted + merged.updated;
                return Ok(merged);
            }
            Ok(Step::More) => attempts = 0,
            Err(error) if error.kind() == Kind::Locked && attempts < MAX_ATTEMPTS => {
                tracing::info!(attempt = attempts, "another merge came first, trying again: {error}");
                tokio::time::sleep(FIRST_DELAY * 2_u32.pow(attempts)).await;
                attempts += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Last,
    More,
}

/// As much of the merge as one script has room for.
async fn step<E: Engine>(
    schema: &Schema<E>,
    files: &[LocatedFile],
    mode: TableMode,
    merged: &mut Merged,
) -> Result<Step> {
    let Some(first) = files.first() else { return Ok(Step::Last) };
    let collection = &first.description.table.collection;
    let mut catalog = schema;
    let present = catalog.present(collection, files, mode).await?;
    check_account(&schema.name.quoted(), present.account, first)?;
    let mend = mend(schema, collection, &present);
    if !mend.is_empty() {
        tracing::info!(
            collection.name = collection,
            "a change of columns was interrupted, and is brought to an end"
        );
        schema.run(&mend).await?;
        return Ok(Step::More);
    }
    let mut new = present.lacking(files);
    if new.is_empty() {
        return Ok(Step::Last);
    }
    check_names(schema.engine.dialect(), "the warehouse", &new)?;
    check_maker(schema.engine.dialect(), present.columns.as_deref(), &new)?;
    new.sort_by_key(|file| (&file.description.run_id, &file.key));
    let all = new.len();
    new.truncate(MAX_FILES);

    let mut target = Target::of(schema, collection, &present, mode, Moment::now(), new)?;
    // What can't be merged is refused before anything is changed for it.
    let mut fits = target.fits()?;
    if present.is_to_be_forgotten() {
        merged.statements_that_write += target.forget().await?;
        return Ok(Step::More);
    }
    if let Some(written) = target.change_mode().await? {
        merged.statements_that_write += written;
        return Ok(Step::More);
    }
    while !fits {
        if target.plan.groups.len() == 1 {
            merged.statements_that_write += target.shape_ahead().await?;
            return Ok(Step::More);
        }
        target = target.with_fewer_groups()?;
        fits = target.fits()?;
    }
    let taken: usize = target.plan.groups.iter().map(|group| group.files.len()).sum();
    let mut session = E::Session::default();
    let outcome = target.merge(&mut session, merged).await;
    schema.engine.end(session, &target.scratch_tables()).await;
    outcome?;
    Ok(if taken == all { Step::Last } else { Step::More })
}

/// Statements that bring interrupted changes of columns to an end.
fn mend<E: Engine>(schema: &Schema<E>, collection: &str, present: &Present) -> Vec<Statement> {
    let tables = [
        (collection, &present.columns),
        (&deleted_table(collection), &present.deleted),
        (&history_table(collection), &present.history),
    ];
    let mend = |(table, columns): (&str, &Option<Vec<TableColumn>>)| {
        schema.engine.mend(&schema.name.table(table), columns.as_deref().unwrap_or_default())
    };
    tables.into_iter().flat_map(mend).map(Statement::shape).collect()
}

impl<E: Engine> Target<'_, E> {
    async fn merge(&self, session: &mut E::Session, merged: &mut Merged) -> Result<()> {
        let merges = self.merges()?;
        let ties = self.stage(session, &merges).await?;
        let script = self.script(&merges, &ties);
        let rows = self.run(session, &script).await?;
        self.count(&merges, &script, &rows, merged)
    }

    /// The second half: all that changes the table, or nothing.
    pub(super) fn script(&self, merges: &[GroupMerge<'_>], ties: &[Ties]) -> Vec<Statement> {
        let engine = &self.schema.engine;
        let sweep = Sweep::new(engine.dialect(), &self.table, &self.plan, self.touched_and_gone.clone());
        let create = |table: &str, columns: &[(String, ColumnType)]| {
            Statement::create_scratch(engine.create_scratch(table, columns))
        };
        let mut script = self.begin();
        script.extend(self.shapes().concat());
        for (merge, scratch) in merges.iter().zip(&self.scratch) {
            script.push(create(&scratch.keys, &merge.key_columns()));
            script.push(create(&scratch.newest, &merge.newest_columns()));
            script.push(create(&scratch.changed, &merge.changed_columns()));
            let past = merge.past_scratch(&self.companions);
            script.extend(past.iter().map(|(table, columns)| create(table, columns)));
        }
        script.extend(sweep.iter().flat_map(Sweep::scratch).map(|(table, columns)| create(table, &columns)));
        script.extend(self.bind());
        let now = self.now();
        let groups = self.plan.groups.iter().zip(merges).zip(&self.scratch).zip(ties);
        for (((group, merge), scratch), ties) in groups {
            script.extend(merge.keep_past(&self.companions));
            script.push(Statement::scratch(merge.find_keys(*ties)));
            script.push(Statement::scratch(merge.find_newest()));
            script.extend(ties.with_table.then(|| Statement::scratch(merge.break_ties())));
            script.extend(engine.analyze(&scratch.newest));
            script.push(Statement::scratch(merge.find_changed()));
            script.extend(engine.analyze(&scratch.changed));
            script.extend(merge.write_changed(engine.limits()));
            script.push(Statement::new(Purpose::Arrived, merge.check_arrived()));
            script.push(Statement::count(merge.count_changed()));
            let sweep = sweep.as_ref().filter(|_| group.has_sets);
            script.extend(sweep.map(|sweep| Statement::scratch(sweep.touch(&scratch.newest))));
        }
        script.extend(sweep.iter().flat_map(|sweep| self.delete_gone(sweep)));
        script.extend(self.companions.end());
        // What is in the ledger needs nothing more to be done.
        let ledger = self.schema.name.table(LEDGER);
        script.extend(merges.iter().map(|merge| Statement::write(merge.write_ledger(&ledger, &now))));
        script
    }

    /// The one statement that counts has the number of rows that became deleted.
    fn delete_gone(&self, sweep: &Sweep<'_>) -> [Statement; 4] {
        let are_deleted = format!("({}) = 0", sweep.count_left());
        let are_deleted = check(self.schema.engine.dialect(), &are_deleted, "rows are left");
        [
            Statement::scratch(sweep.find_gone()),
            Statement::write(sweep.delete_gone()),
            Statement::new(Purpose::Swept, are_deleted),
            Statement::count(sweep.count_gone()),
        ]
    }

    pub(super) async fn run(&self, session: &mut E::Session, script: &[Statement]) -> Result<Vec<Rows>> {
        let failed = |failed: Failed| self.explained(script, failed);
        self.schema.engine.run(session, script).await.map_err(failed)
    }

    /// Says what the failure of a statement means.
    fn explained(&self, script: &[Statement], Failed { statement, error }: Failed) -> Error {
        let Some(statement) = statement.and_then(|position| script.get(position)) else { return error };
        if let (Kind::BadFile, Purpose::Read(key)) = (error.kind(), &statement.purpose) {
            return Error::new(Kind::BadFile, format!("staged file {key}: {error}")).because(error);
        }
        if error.kind() != Kind::Engine {
            return error;
        }
        let table = &self.table.qualified;
        let (kind, message) = match &statement.purpose {
            Purpose::Read(key) => {
                (Kind::BadFile, format!("staged file {key} can't be read by the warehouse: stage it again"))
            }
            Purpose::Unchanged => (
                Kind::Locked,
                format!("another merge into {table}, or into its schema, came first: merge again later"),
            ),
            Purpose::Arrived => (
                Kind::RowCount,
                format!(
                    "table {table} did not take all rows: remove rows that share a primary key from the table"
                ),
            ),
            Purpose::Swept => {
                (Kind::RowCount, format!("table {table} kept rows that are gone from their sets"))
            }
            Purpose::Shape | Purpose::CreateScratch | Purpose::Scratch | Purpose::Write | Purpose::Count => {
                return error;
            }
        };
        Error::new(kind, message).because(error)
    }

    fn count(
        &self,
        merges: &[GroupMerge<'_>],
        script: &[Statement],
        rows: &[Rows],
        merged: &mut Merged,
    ) -> Result<()> {
        let mut rows = rows.iter();
        let mut unwritten = 0;
        for (group, merge) in self.plan.groups.iter().zip(merges) {
            let mut written = 0;
            for row in rows.next().into_iter().flatten() {
                let [_, changed, new] = row_counts(row)?;
                written += changed;
                merged.inserted += new;
                merged.updated += changed - new.min(changed);
            }
            if written == 0 {
                unwritten += merge.write_changed(self.schema.engine.limits()).len() as u64;
            }
            merged.files += group.files.len() as u64;
            merged.staged_rows += group.files.iter().map(|file| file.description.rows).sum::<u64>();
        }
        if let Some(rows) = rows.next() {
            let [deleted] = counts(rows)?;
            unwritten += u64::from(deleted == 0);
            merged.updated += deleted;
        }
        let statements = script.iter().filter(|statement| statement.writes()).count() as u64;
        merged.statements_that_write += statements - unwritten.min(statements);
        Ok(())
    }
}

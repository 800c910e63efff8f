//! A merge: files into scratch tables, which are counted, and then one script that changes the table.
//!
//! A script has room for a number of statements. What needs more becomes several merges, each of them whole: of files
//! with several sets of columns, or of more files than [`MAX_FILES`]. Where the columns alone are too many for a script,
//! they are added ahead, in scripts of their own: a crash then leaves columns without values.

use std::time::Duration;

use chrono::{DateTime, Utc};
use staging::ColumnType;
use uuid::Uuid;

use super::engine::{Engine, Failed, Purpose, Rows, Staging, Statement};
use super::schema::{Present, Schema, counts, row_counts};
use super::sets::Sweep;
use super::sql::{GroupMerge, Scratch, TableName, Ties};
use crate::checks::{Outcome, check_account, check_rows};
use crate::columns::ColumnSql;
use crate::dialect::{LEDGER, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::{Group, Plan, check_names, folded, plan_within};
use crate::{LocatedFile, Merged};

/// Files of one script: each has a row of the ledger's statement.
const MAX_FILES: usize = 100;
/// How often a merge is tried again because another one came first.
const MAX_ATTEMPTS: u32 = 8;
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// `files` has passed [`crate::plan::check_batch`].
pub(super) async fn merge<E: Engine>(schema: &Schema<E>, files: &[LocatedFile]) -> Result<Merged> {
    let mut merged = Merged::default();
    let mut attempts = 0;
    loop {
        match step(schema, files, &mut merged).await {
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
async fn step<E: Engine>(schema: &Schema<E>, files: &[LocatedFile], merged: &mut Merged) -> Result<Step> {
    let Some(first) = files.first() else { return Ok(Step::Last) };
    let collection = &first.description.table.collection;
    let present = schema.present(collection).await?;
    check_account(&schema.quoted(), present.account, first)?;
    let mend = schema.engine.mend(&schema.table(collection), present.columns.as_deref().unwrap_or_default());
    if !mend.is_empty() {
        tracing::info!(
            collection.name = collection,
            "a change of columns was interrupted, and is brought to an end"
        );
        schema.run(&mend.into_iter().map(Statement::shape).collect::<Vec<_>>()).await?;
        return Ok(Step::More);
    }
    let is_loaded = |file: &LocatedFile| present.columns.is_some() && present.ledger.contains(&file.key);
    let mut new: Vec<&LocatedFile> = files.iter().filter(|file| !is_loaded(file)).collect();
    if new.is_empty() {
        return Ok(Step::Last);
    }
    check_names(schema.engine.dialect(), "the warehouse", &new)?;
    new.sort_by_key(|file| (&file.description.run_id, &file.key));
    let all = new.len();
    new.truncate(MAX_FILES);

    let mut target = Target::of(schema, collection, &present, Moment::now(), new)?;
    if present.columns.is_none() && !present.ledger.is_empty() {
        merged.statements_that_write += target.forget().await?;
        return Ok(Step::More);
    }
    while !target.fits()? {
        if target.plan.groups.len() == 1 {
            merged.statements_that_write += target.shape_ahead().await?;
            return Ok(Step::More);
        }
        target = target.with_fewer_groups()?;
    }
    let taken: usize = target.plan.groups.iter().map(|group| group.files.len()).sum();
    let mut session = E::Session::default();
    let outcome = target.merge(&mut session, merged).await;
    schema.engine.end(session, &target.scratch_tables()).await;
    outcome?;
    Ok(if taken == all { Step::Last } else { Step::More })
}

/// What makes one step's statements differ from all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    id: Uuid,
    pub(super) now: DateTime<Utc>,
}

impl Moment {
    fn now() -> Moment {
        Moment { id: Uuid::now_v7(), now: Utc::now() }
    }
}

/// The table that a step is about, and what is to become of it.
pub(super) struct Target<'a, E> {
    pub(super) schema: &'a Schema<E>,
    pub(super) collection: &'a str,
    pub(super) present: &'a Present,
    pub(super) moment: Moment,
    pub(super) table: TableName,
    pub(super) plan: Plan<'a>,
    /// Of each group.
    scratch: Vec<Scratch>,
    /// Of the sweep.
    touched_and_gone: [String; 2],
}

impl<'a, E: Engine> Target<'a, E> {
    fn of(
        schema: &'a Schema<E>,
        collection: &'a str,
        present: &'a Present,
        moment: Moment,
        files: Vec<&'a LocatedFile>,
    ) -> Result<Target<'a, E>> {
        let engine = &schema.engine;
        let limit = engine.limits().columns;
        let mut plan = plan_within(engine.dialect(), limit, present.columns.as_deref(), files)?;
        plan.groups = plan.groups.into_iter().flat_map(in_one_order).collect();
        if let Some(field) = plan.groups.iter().flat_map(|group| &group.overflow).next() {
            let message = format!(
                "table {collection} has no room for the column {}: it can have {limit} columns; leave out properties, \
                 or drop columns that are not needed",
                field.source
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
        let id = moment.id.simple();
        let scratch = |name: String| engine.scratch(&schema.quoted(), &format!("merge_{id}_{name}"));
        let of_group = |n: usize| Scratch {
            staged: scratch(format!("{n}_staged")),
            helper: scratch(format!("{n}_helper")),
            newest: scratch(format!("{n}_newest")),
            changed: scratch(format!("{n}_changed")),
        };
        Ok(Target {
            schema,
            collection,
            present,
            moment,
            table: TableName { qualified: schema.table(collection), alone: schema.unqualified(collection) },
            scratch: (0..plan.groups.len()).map(of_group).collect(),
            touched_and_gone: [scratch("touched".to_owned()), scratch("gone".to_owned())],
            plan,
        })
    }

    /// The same for the files of all groups but the last.
    fn with_fewer_groups(&self) -> Result<Target<'a, E>> {
        let groups = self.plan.groups.split_last().map_or(&[][..], |(_, others)| others);
        let files = groups.iter().flat_map(|group| group.files.iter().copied()).collect();
        Target::of(self.schema, self.collection, self.present, self.moment, files)
    }

    fn scratch_tables(&self) -> Vec<String> {
        let of_group = |scratch: &Scratch| {
            [&scratch.staged, &scratch.helper, &scratch.newest, &scratch.changed].map(String::clone)
        };
        self.scratch.iter().flat_map(of_group).chain(self.touched_and_gone.clone()).collect()
    }

    /// Whether one script has room for it.
    ///
    /// # Errors
    /// When a statement is too long, however few there are.
    fn fits(&self) -> Result<bool> {
        let limits = self.schema.engine.limits();
        let ties = vec![Ties { in_files: true, with_table: true }; self.plan.groups.len()];
        let script = self.script(&self.merges()?, &ties)?;
        self.check_bytes(&script)?;
        let bytes: usize = script.iter().map(|statement| statement.sql.len()).sum();
        Ok(script.len() <= limits.statements && bytes <= limits.script_bytes)
    }

    pub(super) fn check_bytes(&self, script: &[Statement]) -> Result<()> {
        let limit = self.schema.engine.limits().statement_bytes;
        match script.iter().map(|statement| statement.sql.len()).max() {
            Some(bytes) if bytes > limit => {
                let message = format!(
                    "a merge into {} needs a statement of {bytes} bytes, and the warehouse takes {limit}: leave out \
                     properties, or merge fewer files at a time",
                    self.table.qualified
                );
                Err(Error::new(Kind::Unsupported, message))
            }
            _ => Ok(()),
        }
    }

    fn merges(&self) -> Result<Vec<GroupMerge<'_>>> {
        // One statement compares rows in the files and with the table: three contents, and what is around them.
        let content_bytes = self.schema.engine.limits().statement_bytes / 10 * 4;
        let dialect = self.schema.engine.dialect();
        let mut merges = Vec::with_capacity(self.plan.groups.len());
        for (group, scratch) in self.plan.groups.iter().zip(&self.scratch) {
            let is_alone = self.schema.engine.is_transactional();
            let merge =
                GroupMerge::new(dialect, &self.table, &self.plan, group, scratch, content_bytes, is_alone);
            merges.push(merge.map_err(|column| {
                let key = group.files.first().map_or("", |file| file.key.as_str());
                let what =
                    format!("staged file {key} lacks the column {column:?} that its description names");
                Error::new(Kind::BadFile, what)
            })?);
        }
        Ok(merges)
    }

    async fn merge(&self, session: &mut E::Session, merged: &mut Merged) -> Result<()> {
        let merges = self.merges()?;
        let ties = self.stage(session, &merges).await?;
        let script = self.script(&merges, &ties)?;
        let rows = self.run(session, &script).await?;
        self.count(&merges, &script, &rows, merged)
    }

    /// Reads the files into scratch tables and refuses those whose rows are not what their descriptions promise.
    async fn stage(&self, session: &mut E::Session, merges: &[GroupMerge<'_>]) -> Result<Vec<Ties>> {
        let mut all = Vec::new();
        for ((group, merge), scratch) in self.plan.groups.iter().zip(merges).zip(&self.scratch) {
            let mut statements = self.schema_ahead();
            statements.extend(self.read(group, scratch)?);
            self.schema.engine.prepare(&scratch.helper, &group.files).await?;
            statements.push(Statement::count(merge.count_staged()));
            statements.push(Statement::count(merge.count_keys()));
            let present = self.present_key();
            if let Some(present) = &present {
                statements.push(Statement::count(merge.count_present(present)));
            }
            self.check_bytes(&statements)?;
            let mut rows = Vec::new();
            for part in statements.chunks(self.schema.engine.limits().statements) {
                rows.extend(self.run(session, part).await?);
            }
            let mut rows = rows.iter();
            self.check_staged(group, rows.next())?;
            let [keys, alike] = counts(rows.next().unwrap_or(&Vec::new()))?;
            let [_, holders, ties] = match rows.next() {
                Some(rows) => counts(rows)?,
                None => [0, 0, 0],
            };
            if holders > 1 {
                let arrived = keys + holders - 1;
                Outcome { changed: 0, written: 0, keys, arrived }.check(&self.table.qualified)?;
            }
            // What groups before this one bring can be of the same versions.
            let with_table = ties > 0 || !all.is_empty();
            all.push(Ties { in_files: alike > 1, with_table });
        }
        Ok(all)
    }

    /// Where scratch tables are in the schema itself, it comes first.
    fn schema_ahead(&self) -> Vec<Statement> {
        let engine = &self.schema.engine;
        match engine.is_transactional() || self.present.has_ledger {
            true => Vec::new(),
            false => vec![Statement::shape(engine.create_schema(&self.schema.quoted()))],
        }
    }

    fn read(&self, group: &Group<'_>, scratch: &Scratch) -> Result<Vec<Statement>> {
        let engine = &self.schema.engine;
        let columns = group.files.first().map(|file| file.description.table.columns.as_slice());
        let types: Vec<ColumnType> = columns.unwrap_or_default().iter().map(|c| c.column_type).collect();
        let numbered = |(n, column_type): (usize, &ColumnType)| (format!("c{n}"), *column_type);
        let places = ["file_no", "row_no"].map(|name| (name.to_owned(), ColumnType::BigInt));
        let columns: Vec<(String, ColumnType)> =
            places.into_iter().chain(types.iter().enumerate().map(numbered)).collect();
        let mut statements =
            vec![Statement::create_scratch(engine.create_scratch(&scratch.staged, &columns))];
        let staging =
            Staging { table: &scratch.staged, helper: &scratch.helper, types: &types, files: &group.files };
        statements.extend(engine.stage(&staging)?);
        Ok(statements)
    }

    fn check_staged(&self, group: &Group<'_>, rows: Option<&Rows>) -> Result<()> {
        let mut staged = vec![[0, 0]; group.files.len()];
        for row in rows.into_iter().flatten() {
            let [file, rows, incomplete] = row_counts(row)?;
            if let Some(counts) = staged.get_mut(file as usize) {
                *counts = [rows, incomplete];
            }
        }
        let check =
            |(file, [rows, incomplete]): (&&LocatedFile, [u64; 2])| check_rows(file, rows, incomplete);
        group.files.iter().zip(staged).try_for_each(check)
    }

    /// How the table's keys are compared before its columns change; `None` if it has no rows that could be compared.
    fn present_key(&self) -> Option<impl Fn(&ColumnSql) -> String> {
        let columns = self.present.columns.as_ref()?;
        let has = |name: &str| columns.iter().any(|column| folded(&column.name) == folded(name));
        let versions = [staging::SOURCE_UPDATED_AT, staging::READ_AT];
        if !self.plan.primary_key.iter().map(String::as_str).chain(versions).all(has) {
            return None;
        }
        let dialect = self.schema.engine.dialect();
        let now = |name: &str| {
            let column = columns.iter().find(|column| quote_identifier(&column.name) == name);
            column.map_or(ColumnType::Text, |column| (dialect.column_type)(&column.type_name))
        };
        Some(move |key: &ColumnSql| dialect.converted(&key.in_table(), now(&key.name), key.column_type))
    }

    /// The second half: all that changes the table, or nothing.
    fn script(&self, merges: &[GroupMerge<'_>], ties: &[Ties]) -> Result<Vec<Statement>> {
        let engine = &self.schema.engine;
        let is_alone = engine.is_transactional();
        let mut sweep =
            Sweep::new(engine.dialect(), &self.table, &self.plan, self.touched_and_gone.clone(), is_alone);
        let create = |table: &str, columns: &[(String, ColumnType)]| {
            Statement::create_scratch(engine.create_scratch(table, columns))
        };
        let mut script = self.begin();
        script.extend(self.shapes()?.concat());
        for (merge, scratch) in merges.iter().zip(&self.scratch) {
            script.push(create(&scratch.newest, &merge.newest_columns()));
            script.push(create(&scratch.changed, &merge.changed_columns()));
        }
        for (table, columns) in sweep.iter().flat_map(Sweep::scratch) {
            script.push(create(table, &columns));
        }
        script.extend(self.bind()?);
        let now = self.now();
        let groups = self.plan.groups.iter().zip(merges).zip(&self.scratch).zip(ties);
        for (((group, merge), scratch), ties) in groups {
            script.push(Statement::scratch(merge.find_newest(*ties)));
            script.push(Statement::scratch(merge.find_changed()));
            script.extend(merge.write_changed(engine.limits().statement_bytes));
            script.push(Statement::new(Purpose::Arrived, merge.check_arrived()));
            script.push(Statement::count(merge.count_changed()));
            script
                .extend(sweep.as_ref().filter(|_| group.has_sets).map(|sweep| sweep.touch(&scratch.newest)));
        }
        script.extend(sweep.take().into_iter().flat_map(|sweep| sweep.end()));
        // What is in the ledger needs nothing more to be done.
        let ledger = self.schema.table(LEDGER);
        script.extend(merges.iter().map(|merge| Statement::write(merge.write_ledger(&ledger, &now))));
        Ok(script)
    }

    pub(super) async fn run(&self, session: &mut E::Session, script: &[Statement]) -> Result<Vec<Rows>> {
        let failed = |failed: Failed| self.explained(script, failed);
        self.schema.engine.run(session, script).await.map_err(failed)
    }

    /// What the failure of a statement means.
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
                unwritten += merge.write_changed(self.schema.engine.limits().statement_bytes).len() as u64;
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

/// Engines read files by the places of their columns, so files that differ in them are not read together.
fn in_one_order(group: Group<'_>) -> Vec<Group<'_>> {
    let names = |file: &&LocatedFile| {
        let columns = &file.description.table.columns;
        columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
    };
    let alike = group.files.chunk_by(|a, b| names(a) == names(b));
    alike.map(|files| Group { files: files.to_vec(), ..group.clone() }).collect()
}

impl Statement {
    pub(super) fn writes(&self) -> bool {
        matches!(self.purpose, Purpose::Shape | Purpose::Write)
    }
}

/// All statements of a merge of one file into a table with these columns, for golden files.
#[cfg(test)]
pub(super) fn statements<E: Engine>(
    schema: &Schema<E>,
    file: &LocatedFile,
    columns: Option<&[(&str, &str)]>,
) -> Vec<String> {
    let column = |&(name, type_name): &(&str, &str)| crate::plan::TableColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let present = Present {
        account: columns.map(|_| 42),
        has_ledger: columns.is_some(),
        ledger: std::collections::HashSet::new(),
        columns: columns.map(|columns| columns.iter().map(column).collect()),
    };
    let moment = Moment { id: Uuid::nil(), now: DateTime::UNIX_EPOCH };
    let collection = &file.description.table.collection;
    let target = Target::of(schema, collection, &present, moment, vec![file]).unwrap();
    let merges = target.merges().unwrap();
    let mut script = target.read(&target.plan.groups[0], &target.scratch[0]).unwrap();
    script.extend([merges[0].count_staged(), merges[0].count_keys()].map(Statement::count));
    script.extend(target.present_key().map(|present| Statement::count(merges[0].count_present(present))));
    script.extend(target.script(&merges, &[Ties { in_files: true, with_table: true }]).unwrap());
    script.extend(merges[0].write_changed(600));
    script.into_iter().map(|statement| statement.sql).collect()
}

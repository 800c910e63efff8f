//! Merges into engines that answer each statement of a transaction (DuckDB, PostgreSQL): a merge is one transaction,
//! and its counts decide the next steps. Each engine reads staged rows and writes groups in its own way; all else is
//! here.

use async_trait::async_trait;
use staging::ColumnType;

use crate::catalog::{Catalog, Present};
use crate::checks::{Count, check_account, check_deleted};
use crate::companion_tables::{CompanionTables, Preparation, Shaping};
use crate::dialect::{ACCOUNT, Dialect, LEDGER, TableName};
use crate::error::Result;
use crate::plan::{Group, Plan, check_maker, check_names};
use crate::statement::Statement;
use crate::sweep::Sweep;
use crate::{LocatedFile, Merged, TableMode};

/// A transaction. Dropped without a commit, it rolls back.
#[async_trait]
pub(crate) trait Transaction: Catalog {
    /// Changes the warehouse. Returns the number of rows.
    async fn write(&mut self, sql: &str) -> Result<u64>;

    /// Changes nothing but this transaction's scratch tables and settings.
    async fn scratch(&mut self, sql: &str) -> Result<()>;

    /// Commits. Returns the number of statements that wrote.
    async fn commit(&mut self) -> Result<u64>;

    /// A scratch table's name as SQL needs it.
    fn scratch_table(&self, name: &str) -> String;

    /// Tells the planner what is in a scratch table, if it does not see that by itself.
    async fn analyze(&mut self, _table: &str) -> Result<()> {
        Ok(())
    }

    /// Takes the lock of this name, and holds it until the end of the transaction.
    async fn take_turn(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Plans the changes of a table with these columns, and refuses files that it can't hold.
    async fn plan<'f>(
        &mut self,
        present: Option<&[crate::table::TableColumn]>,
        files: Vec<&'f LocatedFile>,
        mode: TableMode,
    ) -> Result<Plan<'f>>;

    /// Fails where tables that exist have to be changed before, if the engine does that outside of this transaction.
    async fn check_shapes(
        &mut self,
        _collection: &str,
        _plan: &Plan<'_>,
        _companions: &CompanionTables,
        _present: &Present,
    ) -> Result<()> {
        Ok(())
    }

    /// Reads the files, if they are to be read before the table is changed.
    async fn stage(&mut self, _table: &TableName, _plan: &Plan<'_>) -> Result<()> {
        Ok(())
    }

    async fn change_table(&mut self, table: &TableName, plan: &Plan<'_>) -> Result<()>;

    /// Adds indexes to the companion tables: of deleted rows, and of the history. `is_new` marks those that have just
    /// been made.
    async fn index_companions(
        &mut self,
        _collection: &str,
        _companions: &CompanionTables,
        _is_new: [bool; 2],
    ) -> Result<()> {
        Ok(())
    }

    /// Merges the rows of a group; the counts are in the order of its files.
    async fn merge_group(&mut self, merge: &GroupOf<'_>) -> Result<Vec<Count>>;
}

/// A group of a merge.
#[derive(Debug)]
pub(crate) struct GroupOf<'a> {
    pub(crate) table: &'a TableName,
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) number: usize,
    pub(crate) group: &'a Group<'a>,
    pub(crate) companions: &'a CompanionTables,
    /// The sweep that has to know the group's rows, if they are read in sets.
    pub(crate) sweep: Option<&'a Sweep<'a>>,
}

/// Merges the files, which have passed [`check_batch`].
pub(crate) async fn merge(
    transaction: &mut dyn Transaction,
    files: &[LocatedFile],
    mode: TableMode,
) -> Result<Merged> {
    let Some(first) = files.first() else { return Ok(Merged::default()) };
    let collection = &first.description.table.collection;
    let schema = transaction.schema().clone();
    let dialect = schema.dialect;

    transaction.take_turn(&format!("{}.{collection}", schema.name)).await?;
    let mut present = transaction.present(collection, files, mode).await?;
    check_account(&schema.quoted(), present.account, first)?;
    let new = present.lacking(files);
    if new.is_empty() {
        return Ok(Merged::default());
    }

    check_names(dialect, "the warehouse", &new)?;
    check_maker(dialect, present.columns.as_deref(), &new)?;
    let plan = transaction.plan(present.columns.as_deref(), new, mode).await?;
    let table = schema.table_name(collection);
    let companions = CompanionTables::new(&schema, collection, &present, &plan, mode)?;
    transaction.check_shapes(collection, &plan, &companions, &present).await?;
    transaction.stage(&table, &plan).await?;
    if present.account.is_none() {
        bind_account(transaction, first).await?;
    }
    if present.is_to_be_forgotten() {
        transaction.write(&schema.forget(collection)).await?;
    }
    transaction.change_table(&table, &plan).await?;
    shape_companions(transaction, dialect, collection, &plan, &companions, &mut present, mode).await?;
    let touched_and_gone = ["touched_sets", "gone_rows"].map(|name| transaction.scratch_table(name));
    let sweep = Sweep::new(dialect, &table, &plan, touched_and_gone);
    for (table, columns) in sweep.iter().flat_map(Sweep::scratch) {
        transaction.scratch(&create_scratch(dialect, table, &columns)).await?;
    }
    let mut merged = Merged::default();
    for (number, group) in plan.groups.iter().enumerate() {
        let sweep = sweep.as_ref().filter(|_| group.has_sets);
        let of = GroupOf { table: &table, plan: &plan, number, group, companions: &companions, sweep };
        let counts = transaction.merge_group(&of).await?;
        transaction.write(&write_ledger(dialect, &schema.table(LEDGER), group, &counts)).await?;
        for count in counts {
            merged.files += 1;
            merged.staged_rows += count.staged;
            merged.inserted += count.changed - count.replaced;
            merged.updated += count.replaced;
        }
    }
    if let Some(sweep) = &sweep {
        merged.updated += delete_gone(transaction, sweep, &table.qualified).await?;
    }
    run(transaction, companions.end()).await?;
    merged.merged_rows = merged.inserted + merged.updated;
    merged.statements_that_write = transaction.commit().await?;
    Ok(merged)
}

async fn run(transaction: &mut dyn Transaction, statements: Vec<Statement>) -> Result<()> {
    for statement in statements {
        transaction.write(&statement.sql).await?;
    }
    Ok(())
}

async fn bind_account(transaction: &mut dyn Transaction, file: &LocatedFile) -> Result<()> {
    let schema = transaction.schema().clone();
    transaction.take_turn(&schema.name).await?;
    if check_account(&schema.quoted(), transaction.account().await?, file)? {
        return Ok(());
    }
    transaction.write(&format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted())).await?;
    for statement in schema.dialect.create_bookkeeping(&schema.table(ACCOUNT), &schema.table(LEDGER)) {
        transaction.write(&statement).await?;
    }
    let account = file.description.account_id;
    let insert = format!("INSERT INTO {} VALUES ({account}, now())", schema.table(ACCOUNT));
    transaction.write(&insert).await.map(drop)
}

/// Brings the companion tables to their columns, after those of the collection's table.
async fn shape_companions(
    transaction: &mut dyn Transaction,
    dialect: &'static Dialect,
    collection: &str,
    plan: &Plan<'_>,
    companions: &CompanionTables,
    present: &mut Present,
    mode: TableMode,
) -> Result<()> {
    let is_new = [present.deleted.is_none(), present.history.is_none()];
    let ends = match present.deleted.as_deref().filter(|_| !mode.hard_delete) {
        Some(now) => companions.end_of_hard_deletes(dialect, plan, &companions.columns, now)?,
        None => None,
    };
    let begins = match present.columns {
        Some(_) => companions.beginning_of_history(dialect, &companions.columns, present.history.as_deref()),
        None => None,
    };
    if begins.is_some() {
        present.history = companions.history_columns();
    }
    for Preparation { together, then } in ends.into_iter().chain(begins) {
        run(transaction, [together.concat(), then].concat()).await?;
    }
    run(transaction, companions.shapes(dialect, present).concat()).await?;
    transaction.index_companions(collection, companions, is_new).await
}

pub(crate) fn create_scratch(dialect: &Dialect, table: &str, columns: &[(String, ColumnType)]) -> String {
    let column = |(name, is): &(String, ColumnType)| format!("{name} {}", (dialect.type_name)(*is));
    let columns: Vec<String> = columns.iter().map(column).collect();
    format!("CREATE TEMP TABLE {table} ({})", columns.join(", "))
}

fn write_ledger(dialect: &Dialect, ledger: &str, group: &Group<'_>, counts: &[Count]) -> String {
    let literal = dialect.literal;
    let row = |(file, count): (&&LocatedFile, &Count)| {
        let description = &file.description;
        let texts = [&description.table.collection, &file.key, &description.run_id].map(|text| literal(text));
        format!("({}, {}, {}, now())", texts.join(", "), count.staged, count.changed)
    };
    let rows: Vec<String> = group.files.iter().zip(counts).map(row).collect();
    format!("INSERT INTO {ledger} VALUES {}", rows.join(", "))
}

/// Deletes rows that are gone from their sets. Returns their number.
async fn delete_gone(transaction: &mut dyn Transaction, sweep: &Sweep<'_>, table: &str) -> Result<u64> {
    let [touched, gone] = sweep.scratch().map(|(table, _)| table.to_owned());
    transaction.analyze(&touched).await?;
    transaction.scratch(&sweep.find_gone()).await?;
    transaction.analyze(&gone).await?;
    let found = transaction.count(&sweep.count_gone()).await?;
    let deleted = if found > 0 { transaction.write(&sweep.delete_gone()).await? } else { 0 };
    for scratch in [touched, gone] {
        transaction.scratch(&format!("DROP TABLE {scratch}")).await?;
    }
    check_deleted(table, found, deleted)?;
    Ok(deleted)
}

/// Actions on a table are one statement where an engine takes several at once: it then rewrites the table once at
/// most.
impl Shaping for Dialect {
    fn creation(&self, table: &str, _key: &[String], columns: &[staging::Column]) -> Vec<Vec<Statement>> {
        vec![vec![Statement::shape(self.create_table(table, columns))]]
    }

    fn alteration(
        &self,
        table: &str,
        add: &[staging::Column],
        widen: &[crate::table::Widening],
    ) -> Vec<Vec<Statement>> {
        let added = add.iter().map(|column| self.add_column(column));
        let actions: Vec<String> = added.chain(widen.iter().map(|widening| self.widen(widening))).collect();
        vec![self.alter_table(table, &actions).into_iter().map(Statement::shape).collect()]
    }

    fn removal(&self, table: &str) -> Statement {
        Statement::shape(format!("DROP TABLE IF EXISTS {table}"))
    }
}

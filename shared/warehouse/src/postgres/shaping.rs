//! Changes that tables need before rows can be merged into them. They come before the merge's own transaction, each
//! in a short one: a crash in between leaves a table that has its columns already, and the next merge plans anew.

use std::cell::RefCell;
use std::time::Duration;

use staging::Column;
use tokio_postgres::Client;

use super::brief::Brief;
use super::dialect::{POSTGRES, identifier};
use super::layout::{self, Target, measure};
use super::session::Session;
use super::sql;
use super::widening::Widen;
use crate::catalog::{Catalog, Present, SchemaName};
use crate::companion_tables::{CompanionTables, Shaping};
use crate::dialect::{TableName, quote_identifier};
use crate::error::Result;
use crate::plan::{Plan, TableChange};
use crate::statement::Statement;
use crate::table::{TableColumn, Widening};

/// Changes of the tables of one collection, its own first.
#[derive(Debug)]
pub(super) struct Changes(Vec<TableChanges>);

#[derive(Debug)]
struct TableChanges {
    /// Quoted and qualified.
    table: String,
    /// Actions that add columns.
    add: Vec<String>,
    /// The statement that makes room in rows for wider values.
    make_room: Option<String>,
    widen: Vec<Widening>,
    /// Rows have room for old and new values at once.
    has_room: bool,
    /// Statements that make indexes, which keep no reader out.
    index: Vec<String>,
}

impl Changes {
    /// Finds the changes of tables that exist; new ones are made by the merge itself.
    pub(super) async fn find(
        session: &mut Session<'_>,
        target: &Target,
        plan: &Plan<'_>,
        companions: &CompanionTables,
        (collection, table, present): (&str, &TableName, &Present),
    ) -> Result<Changes> {
        let mut tables = Vec::new();
        if let TableChange::Alter { add, widen } = &plan.change {
            let columns =
                target.present.iter().map(of_ours).chain(add.iter().map(|column| column.column_type));
            let growth = widen.iter().map(|widening| widening.to);
            let mut changes = TableChanges {
                has_room: target.is_wide || layout::fits(columns.chain(growth)),
                make_room: if target.is_wide { make_room(&table.qualified, target, widen) } else { None },
                ..TableChanges::new(&table.qualified, add, widen)
            };
            changes.add.extend((target.is_wide && !target.has_overflow).then(sql::add_overflow));
            changes
                .index
                .extend((!target.has_key).then(|| sql::create_unique_index(&table.qualified, &target.key)));
            changes.index.extend(index_of_deleted(session, collection, companions).await?);
            tables.push(changes);
        }
        let followed = Followed::default();
        companions.shapes(&followed, present);
        let history = companions.history_columns().unwrap_or_default();
        for mut changes in followed.0.into_inner() {
            // No companion has more columns than the history.
            let growth = changes.widen.iter().map(|widening| widening.to);
            changes.has_room = layout::fits(history.iter().map(of_ours).chain(growth));
            tables.push(changes);
        }
        tables.retain(|changes| !changes.is_empty());
        Ok(Changes(tables))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the changes. Each is a transaction; those that are done stay done.
    pub(super) async fn make(
        &self,
        client: &Client,
        schema: &SchemaName,
        patience: Duration,
        small_bytes: u64,
    ) -> Result<()> {
        for TableChanges { table, add, make_room, widen, has_room, index } in &self.0 {
            if !add.is_empty() {
                let statements = POSTGRES.alter_table(table, add);
                Brief { table, retyped: Vec::new(), statements }.run(client, schema, patience).await?;
            }
            if let Some(statement) = make_room {
                write(client, schema, patience, statement).await?;
            }
            if !widen.is_empty() {
                let has_room = *has_room;
                Widen { table, columns: widen, has_room, small_bytes, schema, patience }.run(client).await?;
            }
            for statement in index {
                write(client, schema, patience, statement).await?;
            }
        }
        Ok(())
    }
}

impl TableChanges {
    fn new(table: &str, add: &[Column], widen: &[Widening]) -> TableChanges {
        TableChanges {
            table: table.to_owned(),
            add: add.iter().map(|column| POSTGRES.add_column(column)).collect(),
            make_room: None,
            widen: widen.to_vec(),
            has_room: false,
            index: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.widen.is_empty() && self.index.is_empty()
    }
}

fn of_ours(column: &TableColumn) -> staging::ColumnType {
    (POSTGRES.column_type)(&column.type_name)
}

async fn write(client: &Client, schema: &SchemaName, patience: Duration, sql: &str) -> Result<()> {
    let mut session = Session::begin(client, schema.clone(), patience).await?;
    session.write(sql).await?;
    session.commit().await.map(drop)
}

/// Values grow as their columns are widened; where a row has no room for that, they go into its overflow.
fn make_room(table: &str, target: &Target, widen: &[Widening]) -> Option<String> {
    let may_go = |widening: &&Widening| !target.key.contains(&widening.column);
    let going: Vec<&Widening> = widen.iter().filter(may_go).collect();
    let growth: usize = widen.iter().map(|widening| layout::most(widening.to)).sum();
    let measure = measure(&target.present).filter(|_| !going.is_empty())?;
    Some(sql::make_room(table, &going, &measure, growth))
}

/// Returns the statement that makes the index of deleted rows, by which they are found at the end of a merge without
/// reading the table; `None` if it is there, or not needed.
pub(super) async fn index_of_deleted(
    session: &mut Session<'_>,
    collection: &str,
    companions: &CompanionTables,
) -> Result<Option<String>> {
    let Some(it) = &companions.hard_delete else { return Ok(None) };
    let name = identifier(&format!("{collection}_is_deleted"));
    if session.count(&sql::count_indexes(&session.schema().name, &name)).await? > 0 {
        return Ok(None);
    }
    let table = session.schema().table(collection);
    Ok(Some(sql::create_index_of_deleted(&quote_identifier(&name), &table, it.key())))
}

/// Collects what the companion tables need to follow their table.
#[derive(Default)]
struct Followed(RefCell<Vec<TableChanges>>);

impl Shaping for Followed {
    fn creation(&self, _table: &str, _columns: &[Column]) -> Vec<Vec<Statement>> {
        Vec::new()
    }

    fn alteration(&self, table: &str, add: &[Column], widen: &[Widening]) -> Vec<Vec<Statement>> {
        self.0.borrow_mut().push(TableChanges::new(table, add, widen));
        Vec::new()
    }

    fn removal(&self, table: &str) -> Statement {
        Statement::shape(format!("DROP TABLE IF EXISTS {table}"))
    }
}

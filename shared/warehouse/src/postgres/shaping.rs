//! Changes that tables need before rows can be merged into them. They come before the merge's own transaction, each
//! in a short one: a crash in between leaves a table that has its columns already, and the next merge plans anew.

use std::cell::RefCell;
use std::time::Duration;

use staging::Column;
use tokio_postgres::Client;

use super::beside::Beside;
use super::brief::{Brief, Views};
use super::dialect::{POSTGRES, identifier};
use super::layout::{self, Target, measure};
use super::session::Session;
use super::sql;
use super::widening::{Refused, Widen};
use crate::LocatedFile;
use crate::catalog::{Catalog, Present, SchemaName};
use crate::companion_tables::{CompanionTables, Shaping};
use crate::dialect::{TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, TableChange, needed_columns};
use crate::statement::Statement;
use crate::table::{TableColumn, Widening, folded};

/// Limits of the changes of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Time for which a change is tried again.
    pub(super) patience: Duration,
    /// Tables up to this size are written anew.
    pub(super) small_bytes: u64,
}

/// Changes of the tables of one collection.
#[derive(Debug)]
pub(super) struct Changes {
    /// Companions come first: a column whose type can't be changed in one of them keeps it in the collection's table.
    tables: Vec<TableChanges>,
    /// Columns that no other can stand beside, since a merge decides by them.
    needed: Vec<String>,
}

#[derive(Debug)]
struct TableChanges {
    /// Quoted and qualified.
    table: String,
    /// `false`: of a companion.
    is_own: bool,
    /// Actions that add columns.
    add: Vec<String>,
    /// The statement that makes room in rows for wider values.
    make_room: Option<String>,
    widen: Vec<Widening>,
    /// Columns that stand beside others.
    beside: Vec<Beside>,
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
        let followed = Followed::default();
        companions.shapes(&followed, present);
        let history = companions.history_columns().unwrap_or_default();
        for (table, mut add, widen) in followed.0.into_inner() {
            let is_history = companions.history.as_ref().is_some_and(|it| it.history.qualified == table);
            let now = present.history.as_deref().filter(|_| is_history).unwrap_or_default();
            let beside = Beside::take(now, &mut add);
            // No companion has more columns than the history.
            let growth = growth(&widen, &beside);
            let has_room = layout::fits(history.iter().map(of_ours).chain(growth));
            tables.push(TableChanges { has_room, beside, ..TableChanges::new(&table, &add, &widen) });
        }
        if let TableChange::Alter { add, widen } = &plan.change {
            let mut add = add.clone();
            let beside = Beside::take(&target.present, &mut add);
            let columns =
                target.present.iter().map(of_ours).chain(add.iter().map(|column| column.column_type));
            let mut changes = TableChanges {
                has_room: target.is_wide || layout::fits(columns.chain(growth(widen, &beside))),
                make_room: if target.is_wide { make_room(&table.qualified, target, widen) } else { None },
                beside,
                is_own: true,
                ..TableChanges::new(&table.qualified, &add, widen)
            };
            changes.add.extend((target.is_wide && !target.has_overflow).then(sql::add_overflow));
            changes
                .index
                .extend((!target.has_key).then(|| sql::create_unique_index(&table.qualified, &target.key)));
            changes.index.extend(index_of_deleted(session, collection, companions).await?);
            tables.push(changes);
        }
        tables.retain(|changes| !changes.is_empty());
        let files: Vec<&LocatedFile> = plan.groups.iter().flat_map(|group| &group.files).copied().collect();
        let needed = needed_columns(&files).map(|name| folded(&(POSTGRES.column_name)(name)));
        Ok(Changes { tables, needed: needed.collect() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Makes the changes. Each is a transaction; those that are done stay done. A column whose type can't be changed
    /// stays, and another one is made beside it; the next merge finds it by its name.
    pub(super) async fn make(&self, client: &Client, schema: &SchemaName, limits: Limits) -> Result<()> {
        let mut refused: Vec<Refused> = Vec::new();
        for changes in &self.tables {
            let TableChanges { table, add, make_room, index, .. } = changes;
            if !add.is_empty() {
                let statements = POSTGRES.alter_table(table, add);
                let brief = Brief { table, retyped: Vec::new(), statements, views: Views::MadeAgain };
                brief.run(client, schema, limits.patience).await?;
            }
            if let Some(statement) = make_room {
                write(client, schema, limits.patience, statement).await?;
            }
            let is_refused = |widening: &&Widening| {
                refused.iter().any(|it| folded(&it.widening.column) == folded(&widening.column))
            };
            let widen: Vec<Widening> = changes.widen.iter().filter(|it| !is_refused(it)).cloned().collect();
            if !widen.is_empty() {
                let more = changes.widening(&widen, schema, limits).run(client).await?;
                refused.extend(more);
            }
            let mut beside = changes.beside.clone();
            if changes.is_own {
                beside.extend(changes.instead_of(std::mem::take(&mut refused), &self.needed)?);
            }
            changes.stand_beside(&beside, client, schema, limits).await?;
            for statement in index {
                write(client, schema, limits.patience, statement).await?;
            }
        }
        // A companion alone can't have another column than its table.
        match (refused.pop(), self.tables.first()) {
            (Some(Refused { widening, why }), Some(first)) => {
                Err(needs(&first.table, &widening).because(why))
            }
            _ => Ok(()),
        }
    }
}

/// Makes the error of a column that no other one can stand beside.
fn needs(table: &str, widening: &Widening) -> Error {
    let message = format!(
        "column {} of {table} has to become {}, and something depends on its type: drop that, and make it again after \
         the next load",
        widening.column,
        (POSTGRES.type_name)(widening.to)
    );
    Error::new(Kind::Unsupported, message)
}

impl TableChanges {
    fn widening<'a>(&'a self, columns: &'a [Widening], schema: &'a SchemaName, limits: Limits) -> Widen<'a> {
        let Limits { patience, small_bytes } = limits;
        Widen { table: &self.table, columns, has_room: self.has_room, small_bytes, schema, patience }
    }

    /// Returns columns beside those whose type could not be changed, here or in a companion.
    fn instead_of(&self, refused: Vec<Refused>, needed: &[String]) -> Result<Vec<Beside>> {
        let mut all = Vec::new();
        for Refused { widening, why } in refused {
            let name = folded(&widening.column);
            let own = self.widen.iter().find(|own| folded(&own.column) == name && !needed.contains(&name));
            match own.and_then(|own| Beside::instead_of(own, &why)) {
                Some(beside) => all.push(beside),
                None => return Err(needs(&self.table, &widening).because(why)),
            }
        }
        Ok(all)
    }

    async fn stand_beside(
        &self,
        beside: &[Beside],
        client: &Client,
        schema: &SchemaName,
        limits: Limits,
    ) -> Result<()> {
        if beside.is_empty() {
            return Ok(());
        }
        for Beside { name, of, .. } in beside {
            tracing::warn!(
                table = self.table,
                column = of.column,
                beside = name,
                "the column's type can't be changed: another column stands beside it"
            );
        }
        let columns: Vec<Widening> = beside.iter().map(|it| it.of.clone()).collect();
        self.widening(&columns, schema, limits).stand_beside(client, beside).await
    }

    fn new(table: &str, add: &[Column], widen: &[Widening]) -> TableChanges {
        TableChanges {
            table: table.to_owned(),
            is_own: false,
            add: add.iter().map(|column| POSTGRES.add_column(column)).collect(),
            make_room: None,
            widen: widen.to_vec(),
            beside: Vec::new(),
            has_room: false,
            index: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.widen.is_empty() && self.beside.is_empty() && self.index.is_empty()
    }
}

/// Types that rows get on top.
fn growth<'a>(widen: &'a [Widening], beside: &'a [Beside]) -> impl Iterator<Item = staging::ColumnType> + 'a {
    widen.iter().chain(beside.iter().map(|it| &it.of)).map(|widening| widening.to)
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
struct Followed(RefCell<Vec<Following>>);

/// A companion table, and the columns that it lacks or has too narrow.
type Following = (String, Vec<Column>, Vec<Widening>);

impl Shaping for Followed {
    fn creation(&self, _table: &str, _key: &[String], _columns: &[Column]) -> Vec<Vec<Statement>> {
        Vec::new()
    }

    fn alteration(&self, table: &str, add: &[Column], widen: &[Widening]) -> Vec<Vec<Statement>> {
        self.0.borrow_mut().push((table.to_owned(), add.to_vec(), widen.to_vec()));
        Vec::new()
    }

    fn removal(&self, table: &str) -> Statement {
        Statement::shape(format!("DROP TABLE IF EXISTS {table}"))
    }
}

//! Views over the tables that a program keeps for its users: made where they are missing, made anew where their query is
//! another one, and left alone otherwise. `_views` has a hash of each query.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use staging::{Column, ColumnType};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::{Catalog, SchemaName};
use crate::database::{Database, Work};
use crate::dialect::Dialect;
use crate::error::{Error, Kind, Result};
use crate::table::TableColumn;
use crate::transaction::Transaction;
use crate::warehouse::{KeptView, KeptViews};

/// Table of the views that are kept, one row each.
pub(crate) const VIEWS: &str = "_views";
const COLUMNS: [&str; 3] = ["view_schema", "name", "query_hash"];

/// Work that is to be done.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Statements that make `_views`, unless it is there.
    pub(crate) table: Vec<String>,
    /// Views that are missing or have another query.
    pub(crate) views: Vec<Wanted>,
    /// The schema of the views has some, so nobody needs to make it.
    pub(crate) is_schema_there: bool,
}

/// A view that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) query: String,
}

/// Finds out what is to be done. `there` are views of the schema `target`, `relation` tells how a table is called in a
/// query, and `create` makes the statement for a table.
pub(crate) async fn changed<C: Catalog + ?Sized>(
    catalog: &mut C,
    target: &SchemaName,
    views: &[KeptView],
    there: &HashSet<String>,
    relation: &(dyn Fn(&str) -> String + Sync),
    create: impl Fn(&str, &[Column]) -> String,
) -> Result<Changed> {
    let schema = catalog.schema().clone();
    let (literal, table) = (schema.dialect.literal, schema.table(VIEWS));
    let mut changed = Changed { is_schema_there: !there.is_empty(), ..Changed::default() };
    let mut hashes = HashMap::new();
    match catalog.columns_of_table(VIEWS).await? {
        Some(columns) if is_current(&schema, &columns) => {
            let of_target = literal(&target.name);
            let rows = format!("SELECT name, query_hash FROM {table} WHERE view_schema = {of_target}");
            for row in catalog.query(&rows).await? {
                if let Ok([Some(name), Some(hash)]) = <[Option<String>; 2]>::try_from(row) {
                    hashes.insert(name, hash);
                }
            }
        }
        columns => {
            changed.table.extend(columns.map(|_| format!("DROP TABLE {table}")));
            changed.table.push(create(&table, &columns_of_views(schema.dialect)));
        }
    }
    let wanted = views.iter().map(|view| Wanted { name: view.name.clone(), query: (view.query)(relation) });
    let is_other = |it: &Wanted| {
        let name = (schema.dialect.identifier)(&it.name);
        !there.contains(&name) || hashes.get(&it.name) != Some(&hash(&it.query))
    };
    changed.views = wanted.filter(is_other).collect();
    Ok(changed)
}

/// The statements that note a view in `_views`.
pub(crate) fn note(schema: &SchemaName, target: &SchemaName, view: &Wanted) -> [String; 2] {
    let (literal, table) = (schema.dialect.literal, schema.table(VIEWS));
    let [of, name, hash] = [&target.name, &view.name, &hash(&view.query)].map(|text| literal(text));
    [
        format!("DELETE FROM {table} WHERE view_schema = {of} AND name = {name}"),
        format!("INSERT INTO {table} VALUES ({of}, {name}, {hash})"),
    ]
}

/// The columns of `_views`, as the warehouse spells them.
pub(crate) fn columns_of_views(dialect: &Dialect) -> [Column; 3] {
    COLUMNS.map(|name| Column::new((dialect.column_name)(name), ColumnType::Text))
}

/// `false`: an older version made the table, which had the queries themselves.
fn is_current(schema: &SchemaName, columns: &[TableColumn]) -> bool {
    COLUMNS.iter().all(|name| schema.dialect.find(columns, name).is_some())
}

fn hash(query: &str) -> String {
    format!("{:016x}", xxh3_64(query.as_bytes()))
}

/// Makes views one after the other until the time is over. `created` says what has become of their schema.
pub(crate) async fn make_all<F: Future<Output = Result<()>>>(
    created: Result<()>,
    views: Vec<Wanted>,
    until: Instant,
    make: impl Fn(Wanted) -> F,
) -> Result<KeptViews> {
    let mut kept = KeptViews::default();
    for view in views {
        if Instant::now() >= until {
            kept.left += 1;
            continue;
        }
        let name = view.name.clone();
        match make(view).await {
            Ok(()) => kept.made += 1,
            Err(error) => kept.failed.push((name, error)),
        }
    }
    match created {
        // Somebody else has made it, for a loader that may not.
        Err(_) if kept.made > 0 => Ok(kept),
        created => created.map(|()| kept),
    }
}

/// Brings the views of the schema `of` to these queries. Each is a transaction of its own, which waits for readers of the
/// view for a moment at the most.
pub(crate) async fn keep<D: Database>(
    database: &D,
    of: &str,
    views: &[KeptView],
    until: Instant,
) -> Result<KeptViews> {
    let (name, wanted) = (of.to_owned(), views.to_vec());
    let look: Work<_> = Box::new(move |it| Box::pin(async move { look(it, &name, &wanted).await }));
    let Changed { table, views, is_schema_there } = database.look(look).await?.unwrap_or_default();
    if views.is_empty() {
        return Ok(KeptViews::default());
    }
    if !table.is_empty() {
        database.change(written(move |_| table)).await?;
    }
    let name = of.to_owned();
    let create = move |schema: &SchemaName| {
        vec![format!("CREATE SCHEMA IF NOT EXISTS {}", schema.other(&name).quoted())]
    };
    let created = if is_schema_there { Ok(()) } else { database.change(written(create)).await };
    make_all(created, views, until, async |view: Wanted| {
        let make = |replaces| {
            let (of, view) = (of.to_owned(), view.clone());
            let work: Work<()> =
                Box::new(move |it| Box::pin(async move { make(it, &of, &view, replaces).await }));
            database.change_briefly(work)
        };
        match make(true).await {
            // Its columns have another order or other types: it is dropped and made again, unless views of others need it.
            Err(error) if error.kind() != Kind::Locked => make(false).await,
            made => made,
        }
    })
    .await
}

/// None before the schema is bound to an account.
async fn look(transaction: &mut dyn Transaction, of: &str, views: &[KeptView]) -> Result<Changed> {
    if transaction.account().await?.is_none() {
        return Ok(Changed::default());
    }
    let schema = transaction.schema().clone();
    let target = schema.other(of);
    let there = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_catalog = current_database()",
        (schema.dialect.literal)(&target.name)
    );
    let there = transaction.texts(&there).await?;
    let create = |table: &str, columns: &[Column]| schema.dialect.create_table(table, columns);
    changed(transaction, &target, views, &there, &|table| schema.in_view(table), create).await
}

/// Writes statements as a transaction.
fn written(statements: impl FnOnce(&SchemaName) -> Vec<String> + Send + 'static) -> Work<()> {
    Box::new(move |transaction| {
        Box::pin(async move {
            let schema = transaction.schema().clone();
            for statement in statements(&schema) {
                transaction.write(&statement).await?;
            }
            transaction.commit().await.map(drop)
        })
    })
}

/// Makes a view. `replaces`: in the place of the one that is there, else after it is dropped.
async fn make(transaction: &mut dyn Transaction, of: &str, view: &Wanted, replaces: bool) -> Result<()> {
    let schema = transaction.schema().clone();
    let target = schema.other(of);
    transaction.take_turn(&format!("{}.{VIEWS}", schema.name)).await?;
    let name = target.table(&view.name);
    if !replaces {
        transaction.write(&format!("DROP VIEW IF EXISTS {name}")).await?;
    }
    transaction.write(&format!("CREATE OR REPLACE VIEW {name} AS {}", view.query)).await?;
    for statement in note(&schema, &target, view) {
        transaction.write(&statement).await?;
    }
    transaction.commit().await.map(drop)
}

/// The error of a view whose statement is longer than the warehouse takes.
pub(crate) fn too_long(bytes: usize, limit: usize) -> Error {
    let message = format!(
        "its statement has {bytes} bytes, and the warehouse takes {limit}: archive properties in HubSpot that nobody needs, \
         or have dbt make the view, from what hubspot-source dbt writes"
    );
    Error::new(Kind::Unsupported, message)
}

/// The error where no views are kept.
pub(crate) fn no_views() -> Error {
    Error::new(Kind::Unsupported, "views are not kept in this warehouse: nothing reads them there")
}

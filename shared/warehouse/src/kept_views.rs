//! Views over the tables that a program keeps for its users: made where they are missing, made anew where their query is
//! another one, and left alone otherwise. `_views` has the query of each.

use std::collections::HashMap;

use staging::ColumnType;

use crate::database::{Database, Work};
use crate::dialect::quote_identifier;
use crate::error::{Kind, Result};
use crate::transaction::Transaction;
use crate::warehouse::{KeptView, KeptViews};

/// Table of the views that are kept, one row each.
const VIEWS: &str = "_views";
const COLUMNS: [&str; 3] = ["view_schema", "name", "query"];

/// Brings the views of the schema `of` to these queries. Each is a transaction of its own, which waits for readers of the
/// view for a moment at the most.
pub(crate) async fn keep<D: Database>(database: &D, of: &str, views: &[KeptView]) -> Result<KeptViews> {
    let (name, wanted) = (of.to_owned(), views.to_vec());
    let look: Work<_> = Box::new(move |it| Box::pin(async move { changed(it, &name, &wanted).await }));
    let Some(changed) = database.look(look).await? else { return Ok(KeptViews::default()) };
    let mut kept = KeptViews::default();
    for (view, query) in changed {
        let make = |replaces| {
            let (of, view, query) = (of.to_owned(), view.clone(), query.clone());
            let work: Work<()> =
                Box::new(move |it| Box::pin(async move { make(it, &of, &view, &query, replaces).await }));
            database.change_briefly(work)
        };
        let made = match make(true).await {
            // Its columns have another order or other types: it is dropped and made again, unless views of others need it.
            Err(error) if error.kind() != Kind::Locked => make(false).await,
            made => made,
        };
        match made {
            Ok(()) => kept.made += 1,
            Err(error) => kept.failed.push((view, error)),
        }
    }
    Ok(kept)
}

/// Returns the views that are missing or have another query, with their names and queries. None before the schema is bound
/// to an account.
async fn changed(
    transaction: &mut dyn Transaction,
    of: &str,
    views: &[KeptView],
) -> Result<Vec<(String, String)>> {
    let schema = transaction.schema().clone();
    if transaction.account().await?.is_none() {
        return Ok(Vec::new());
    }
    let literal = schema.dialect.literal;
    let target = schema.other(of);
    let there = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_catalog = current_database()",
        literal(&target.name)
    );
    let there = transaction.texts(&there).await?;
    let mut recorded = HashMap::new();
    if transaction.columns_of_table(VIEWS).await?.is_some() {
        let rows = format!(
            "SELECT name, query FROM {} WHERE view_schema = {}",
            schema.table(VIEWS),
            literal(&target.name)
        );
        for row in transaction.query(&rows).await? {
            if let Ok([Some(name), Some(query)]) = <[Option<String>; 2]>::try_from(row) {
                recorded.insert(name, query);
            }
        }
    }
    let relation = |table: &str| schema.in_view(table);
    let queries = views.iter().map(|view| (view.name.clone(), (view.query)(&relation)));
    Ok(queries.filter(|(name, query)| !there.contains(name) || recorded.get(name) != Some(query)).collect())
}

/// Makes a view. `replaces`: in the place of the one that is there, else after it is dropped.
async fn make(
    transaction: &mut dyn Transaction,
    of: &str,
    view: &str,
    query: &str,
    replaces: bool,
) -> Result<()> {
    let schema = transaction.schema().clone();
    let (dialect, target, table) = (schema.dialect, schema.other(of), schema.table(VIEWS));
    transaction.take_turn(&format!("{}.{VIEWS}", schema.name)).await?;
    let name = target.table(view);
    transaction.write(&format!("CREATE SCHEMA IF NOT EXISTS {}", target.quoted())).await?;
    if !replaces {
        transaction.write(&format!("DROP VIEW IF EXISTS {name}")).await?;
    }
    transaction.write(&format!("CREATE OR REPLACE VIEW {name} AS {query}")).await?;
    let text = (dialect.type_name)(ColumnType::Text);
    let columns = COLUMNS.map(|column| format!("{} {text}", quote_identifier(column))).join(", ");
    transaction.write(&format!("CREATE TABLE IF NOT EXISTS {table} ({columns})")).await?;
    let [of, view, query] = [&target.name, view, query].map(|text| (dialect.literal)(text));
    transaction.write(&format!("DELETE FROM {table} WHERE view_schema = {of} AND name = {view}")).await?;
    transaction.write(&format!("INSERT INTO {table} VALUES ({of}, {view}, {query})")).await?;
    transaction.commit().await.map(drop)
}

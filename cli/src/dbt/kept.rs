//! The same views, kept by a sync.

use std::sync::Arc;

use staging::ColumnType;
use warehouse::{KeptView, Warehouse};

use super::known::{Known, Table};
use super::select::select;
use super::view::View;
use super::views::views;
use super::{compat_schema, dialect_of_url};

/// Brings the views to the tables that are there: new properties become columns. Returns what could not be done, in words.
///
/// # Errors
/// If the warehouse can't be read, or its views can't be kept at all.
pub(crate) async fn keep_views(
    warehouse: &dyn Warehouse,
    url: &str,
    schema: &str,
) -> anyhow::Result<Vec<String>> {
    let Some(dialect) = dialect_of_url(url) else { return Ok(Vec::new()) };
    let known = Arc::new(Known::of(warehouse).await?);
    let kept: Vec<KeptView> = views()
        .map(|view| {
            let known = Arc::clone(&known);
            let query = move |relation: &dyn Fn(&str) -> String| {
                let sql = select(view, &known, dialect, relation).sql;
                format!("{sql}\n/* {} */", types(view, &known))
            };
            KeptView { name: view.name.to_owned(), query: Arc::new(query) }
        })
        .collect();
    let schema = compat_schema(schema);
    let kept = warehouse.keep_views(&schema, &kept).await?;
    let failed = kept.failed.iter();
    Ok(failed.map(|(view, error)| format!("the view {schema}.{view} stays as it was: {error:#}")).collect())
}

/// Returns the types of the columns that a view reads: it is made anew where one changes.
fn types(view: &View, known: &Known) -> String {
    let letter = |column: &staging::Column| match column.column_type {
        ColumnType::Text | ColumnType::Json => 't',
        ColumnType::BigInt => 'i',
        ColumnType::Double => 'n',
        ColumnType::Boolean => 'b',
        ColumnType::Date => 'd',
        ColumnType::Timestamp => 's',
    };
    let of_table = |table: &Table| table.columns.iter().map(letter).collect::<String>();
    let tables = view.ways.iter().flat_map(|way| way.parts).filter_map(|part| known.table(part.table));
    tables.map(of_table).collect::<Vec<_>>().join(" ")
}

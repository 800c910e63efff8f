//! Views that are kept by loads.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use staging::ColumnType;
use warehouse::{KeptView, Warehouse};

use crate::dialect::dialect_of_url;
use crate::fivetran::views;
use crate::select::select;
use crate::tables::{Table, Tables};
use crate::view::View;

/// The product whose names the views have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Fivetran,
}

impl FromStr for Product {
    type Err = String;

    fn from_str(name: &str) -> Result<Product, String> {
        match name {
            "fivetran" => Ok(Product::Fivetran),
            other => Err(format!("{other:?} is no product that there are views for: fivetran")),
        }
    }
}

/// Returns the schema of the views over the tables of a schema, where nobody named one.
pub fn schema_of_views(schema: &str) -> String {
    format!("{schema}_fivetran")
}

/// Brings the views to the tables that are there: new properties become columns. Returns what could not be done, in words.
/// Before the first merge it makes none, and after `until` it begins none.
///
/// # Errors
/// If the warehouse can't be read, or its views can't be kept at all.
pub async fn keep(
    warehouse: &dyn Warehouse,
    url: &str,
    schema: &str,
    until: Instant,
) -> warehouse::Result<Vec<String>> {
    let Some(dialect) = dialect_of_url(url) else {
        return Ok(vec!["there are no views for this warehouse: leave Compat empty".to_owned()]);
    };
    let tables = Arc::new(Tables::of(warehouse).await?);
    let kept: Vec<KeptView> = views()
        .map(|view| {
            let tables = Arc::clone(&tables);
            let query = move |relation: &dyn Fn(&str) -> String| {
                let sql = select(view, &tables, &(), dialect, relation).sql;
                format!("{sql}\n/* {} */", types(view, &tables))
            };
            KeptView { name: view.name.to_owned(), query: Arc::new(query) }
        })
        .collect();
    let schema = schema_of_views(schema);
    let kept = warehouse.keep_views(&schema, &kept, until).await?;
    let failed = kept.failed.iter();
    let mut words: Vec<String> =
        failed.map(|(view, error)| format!("the view {schema}.{view} stays as it was: {error:#}")).collect();
    if kept.left > 0 {
        words.push(format!(
            "{} views of {schema} are left to the next load that merges something, since the time was over",
            kept.left
        ));
    }
    Ok(words)
}

/// Returns the types of the columns that a view reads: it is made anew where one changes.
fn types(view: &View, tables: &Tables) -> String {
    let letter = |column: &staging::Column| match column.column_type {
        ColumnType::Text | ColumnType::Json => 't',
        ColumnType::BigInt => 'i',
        ColumnType::Double => 'n',
        ColumnType::Boolean => 'b',
        ColumnType::Date => 'd',
        ColumnType::Timestamp => 's',
    };
    let of_table = |table: &Table| table.columns.iter().map(letter).collect::<String>();
    let read = view.ways.iter().flat_map(|way| way.parts).filter_map(|part| tables.get(part.table));
    read.map(of_table).collect::<Vec<_>>().join(" ")
}

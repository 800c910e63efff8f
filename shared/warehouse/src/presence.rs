//! Records that HubSpot shows, and those that it shows no more, by a collection's table and the snapshot that it was
//! last compared with. Queries alone: nothing is changed.

use std::collections::BTreeSet;

use staging::{ColumnType, DELETED_AT, DELETED_REASON, IS_DELETED, READ_AT, REMOVED, snapshot_name};

use crate::catalog::Catalog;
use crate::dialect::{Dialect, instant, quote_identifier, quote_literal};
use crate::error::{Error, Kind, Result};
use crate::mode::deleted_table;
use crate::table::TableColumn;
use crate::warehouse::{AskedFor, Presence};

/// The column that tells records apart.
const ID: &str = "id";
/// Why records in the recycle bin are deleted.
const ARCHIVED: &str = "archived";
/// Ids in one statement: engines limit its length.
const NAMED: usize = 1_000;

/// Does the work of [`crate::Warehouse::presence`].
pub(crate) async fn presence<C: Catalog + ?Sized>(
    catalog: &mut C,
    presence: &Presence,
) -> Result<BTreeSet<u64>> {
    let collection = &presence.collection;
    let names = [collection.clone(), snapshot_name(collection), deleted_table(collection)];
    let mut found = catalog.columns_of(&names.each_ref().map(String::as_str)).await?.into_iter();
    let mut next = || found.next().flatten();
    let (Some(table), Some(snapshot), deleted) = (next(), next(), next()) else {
        return Ok(BTreeSet::new());
    };
    let schema = catalog.schema();
    let quoted = names.each_ref().map(|name| schema.table(name));
    let Some(sql) = queries(schema.dialect, presence, [&table, &snapshot], deleted.as_deref(), &quoted)
    else {
        return Ok(BTreeSet::new());
    };
    let mut ids = BTreeSet::new();
    for sql in sql {
        for row in catalog.query(&sql).await? {
            let [Some(id)] = row.as_slice() else { return Err(unlike(&row)) };
            ids.insert(id.parse().map_err(|_| unlike(&row))?);
        }
    }
    Ok(ids)
}

fn unlike(row: &[Option<String>]) -> Error {
    Error::new(Kind::Engine, format!("a query for ids answers with {row:?}"))
}

/// `None`: the tables lack the columns that tell.
fn queries(
    dialect: &Dialect,
    presence: &Presence,
    [table, snapshot]: [&[TableColumn]; 2],
    deleted: Option<&[TableColumn]>,
    [table_name, snapshot_name, deleted_name]: &[String; 3],
) -> Option<Vec<String>> {
    let column = |present: &[TableColumn], name: &str| {
        dialect.find(present, name).map(|column| quote_identifier(&column.name))
    };
    let instant = |ms: i64| instant(dialect, ms);
    let (id, is_deleted) = (column(table, ID)?, column(table, IS_DELETED)?);
    let live = format!("SELECT {id} AS id FROM {table_name} WHERE NOT coalesce({is_deleted}, false)");
    let shown = format!(
        "SELECT {} AS id FROM {snapshot_name} WHERE {} >= {}",
        column(snapshot, ID)?,
        column(snapshot, READ_AT)?,
        instant(presence.snapshot_ms)
    );
    let id = (dialect.text_of)("t.id", ColumnType::BigInt);
    match &presence.asked {
        AskedFor::Shown(ids) => {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            let query = |ids: &[String]| {
                let ids = ids.join(", ");
                format!("SELECT {id} FROM ({live} UNION ALL {shown}) AS t WHERE t.id IN ({ids})")
            };
            Some(ids.chunks(NAMED).map(query).collect())
        }
        AskedFor::Removed { read_before_ms, archived_before_ms } => {
            let of = |present: &[TableColumn], from: &str| {
                let no_time = || format!("CAST(NULL AS {})", (dialect.type_name)(ColumnType::Timestamp));
                Some(format!(
                    "SELECT {} AS id, {} AS reason, {} AS read_at, {} AS deleted_at FROM {from} WHERE {}",
                    column(present, ID)?,
                    column(present, DELETED_REASON)?,
                    column(present, READ_AT)?,
                    column(present, DELETED_AT).unwrap_or_else(no_time),
                    column(present, IS_DELETED)?
                ))
            };
            let mut held = of(table, table_name)?;
            if let Some(beside) = deleted.and_then(|deleted| of(deleted, deleted_name)) {
                held = format!("{held} UNION ALL {beside}");
            }
            Some(vec![format!(
                "SELECT {id} FROM ({held}) AS t LEFT JOIN ({live} UNION ALL {shown}) AS s ON s.id = t.id WHERE s.id IS NULL \
                 AND ((t.reason = {} AND t.read_at < {}) OR (t.reason = {} AND t.deleted_at < {}))",
                quote_literal(REMOVED),
                instant(*read_before_ms),
                quote_literal(ARCHIVED),
                instant(*archived_before_ms),
            )])
        }
    }
}

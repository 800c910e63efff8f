//! The query of a comparison: snapshot and table are joined by id, and each pair is told what it differs in.

use chrono::DateTime;
use staging::{ColumnType, IS_DELETED, MERGED_INTO_ID, READ_AT, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT};

use super::{Compare, Difference, nothing_to_compare};
use crate::dialect::{Dialect, quote_identifier, quote_literal};
use crate::error::{Error, Kind, Result};
use crate::table::TableColumn;

/// The one column that tells records apart, in the table and in the snapshot.
const ID: &str = "id";

/// The columns of the tables that a comparison reads; `None` where there is no such table. Only the snapshot has to be
/// there.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) table: Option<Vec<TableColumn>>,
    pub(crate) snapshot: Option<Vec<TableColumn>>,
    pub(crate) deleted: Option<Vec<TableColumn>>,
}

/// The query. Its rows are texts: kind, id, version, and how many there are of the kind. `quoted` are the tables'
/// names, as SQL needs them.
pub(crate) fn query(
    dialect: &Dialect,
    compare: &Compare,
    tables: &Tables,
    quoted: &[String; 3],
) -> Result<String> {
    let Some(snapshot) = &tables.snapshot else { return Err(nothing_to_compare(&compare.collection)) };
    let [table_name, snapshot_name, deleted_name] = quoted;
    // A table that is not there is an empty one: the snapshot without its rows.
    let (table, rows) = match &tables.table {
        Some(table) => (table, table_name.clone()),
        None => (snapshot, format!("{snapshot_name} WHERE 1 = 0")),
    };
    let sides = Sides::of(dialect, compare, table, snapshot, tables.deleted.as_deref())?;
    let read = |columns: &[String], rows: &str| format!("SELECT {} FROM {rows}", columns.join(", "));
    let mut held = read(&sides.table, &rows);
    if tables.deleted.is_some() {
        held = format!("{held} UNION ALL {}", read(&sides.deleted, deleted_name));
    }
    let instant = |ms: i64| {
        let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = (dialect.literal)(&(dialect.time_text)(time));
        format!("CAST({text} AS {})", (dialect.type_name)(ColumnType::Timestamp))
    };
    let (began, caught_up) = (instant(compare.snapshot.began_ms), instant(compare.snapshot.caught_up_ms));
    let whole_since = compare.snapshot.whole_since_ms.map(instant);
    let read_at = needed(dialect, compare, snapshot, READ_AT)?;
    let shown = format!("{} WHERE {read_at} >= {began}", read(&sides.snapshot, snapshot_name));
    let survivor = dialect.find(table, MERGED_INTO_ID);
    let absorbed =
        survivor.map(|survivor| absorbed(&sides, &rows, &quote_identifier(&survivor.name), &began));
    let known = (dialect.text_of)("d.updated", ColumnType::Timestamp);
    let text = |expression: &str| (dialect.text_of)(expression, ColumnType::BigInt);
    Ok(format!(
        "WITH j AS (SELECT {} AS why, coalesce(s.id, t.id) AS id, t.updated AS updated FROM ({shown}) AS s \
         FULL OUTER JOIN ({held}) AS t ON s.id = t.id), \
         d AS (SELECT j.why AS why, j.id AS id, j.updated AS updated FROM j WHERE j.why IS NOT NULL{}), \
         f AS (SELECT d.why AS why, d.id AS id, {known} AS known, count(*) OVER (PARTITION BY d.why) AS n, \
         row_number() OVER (PARTITION BY d.why ORDER BY d.id) AS place FROM d) \
         SELECT f.why, {}, f.known, {} FROM f WHERE f.place <= {}",
        why(dialect, &sides.differ, (&began, &caught_up, whole_since.as_deref())),
        absorbed.unwrap_or_default(),
        text("f.id"),
        text("f.n"),
        compare.most,
    ))
}

/// The columns that are read of the table, of the snapshot and of the deleted rows, in one order; and, by column that
/// is compared, the condition that a row `s` of the snapshot and a row `t` of the others differ in it.
#[derive(Default)]
struct Sides {
    table: Vec<String>,
    snapshot: Vec<String>,
    deleted: Vec<String>,
    differ: Vec<String>,
}

impl Sides {
    fn of(
        dialect: &Dialect,
        compare: &Compare,
        table: &[TableColumn],
        snapshot: &[TableColumn],
        deleted: Option<&[TableColumn]>,
    ) -> Result<Sides> {
        let mut sides = Sides::default();
        for (held, shown, alias) in [
            (ID, ID, "id"),
            (IS_DELETED, IS_DELETED, "is_deleted"),
            (READ_AT, READ_AT, "read_at"),
            (SOURCE_UPDATED_AT, SHOWN_UPDATED_AT, "updated"),
        ] {
            let column = |columns: &[TableColumn], name: &str| {
                needed(dialect, compare, columns, name).map(|column| format!("{column} AS {alias}"))
            };
            sides.table.push(column(table, held)?);
            sides.snapshot.push(column(snapshot, shown)?);
            sides.deleted.extend(deleted.map(|deleted| column(deleted, held)).transpose()?);
        }
        for (n, name) in compare.columns.iter().enumerate() {
            let both = (dialect.find(table, name), dialect.find(snapshot, name));
            let (Some(held), Some(shown)) = both else { continue };
            let type_of = |column: &TableColumn| (dialect.column_type)(&column.type_name);
            let wider = type_of(held).widened(type_of(shown));
            let as_wider = |column: &TableColumn| {
                let value = dialect.converted(&quote_identifier(&column.name), type_of(column), wider);
                format!("{value} AS c{n}")
            };
            sides.table.push(as_wider(held));
            sides.snapshot.push(as_wider(shown));
            sides.deleted.push(format!("CAST(NULL AS {}) AS c{n}", (dialect.type_name)(wider)));
            sides.differ.push(format!(
                "s.c{n} <> t.c{n} OR (s.c{n} IS NULL AND t.c{n} IS NOT NULL) OR (s.c{n} IS NOT NULL AND t.c{n} IS NULL)"
            ));
        }
        Ok(sides)
    }
}

fn needed(dialect: &Dialect, compare: &Compare, columns: &[TableColumn], name: &str) -> Result<String> {
    let found = dialect.find(columns, name).map(|column| quote_identifier(&column.name));
    found.ok_or_else(|| {
        let collection = &compare.collection;
        let message =
            format!("table {collection} or its snapshot has no column {name}, which tells versions");
        Error::new(Kind::Unsupported, message)
    })
}

/// The kind of difference, or NULL. Parts that are read later than the snapshot hold what came after it.
fn why(
    dialect: &Dialect,
    differ: &[String],
    (began, caught_up, whole_since): (&str, &str, Option<&str>),
) -> String {
    let is_due = format!("(s.updated IS NULL OR s.updated <= {caught_up})");
    let is_newer = format!("s.updated > {}", dialect.or_lowest("t.updated"));
    let drifted = match differ.is_empty() {
        true => String::new(),
        false => format!(
            " WHEN NOT s.is_deleted AND s.updated <= t.updated AND ({}) THEN {}",
            differ.join(" OR "),
            literal(Difference::Drifted)
        ),
    };
    let overlooked = whole_since.map_or(String::new(), |whole_since| {
        let overlooked = literal(Difference::Overlooked);
        format!(" WHEN NOT s.is_deleted AND t.read_at < {whole_since} THEN {overlooked}")
    });
    format!(
        "CASE WHEN t.id IS NOT NULL AND (t.is_deleted IS NULL OR t.read_at IS NULL) THEN {foreign} \
         WHEN s.id IS NULL THEN CASE WHEN NOT t.is_deleted AND t.read_at < {began} THEN {gone} END \
         WHEN t.id IS NULL THEN CASE WHEN {is_due} THEN {missing} END \
         WHEN t.read_at >= s.read_at THEN NULL \
         WHEN s.is_deleted AND t.is_deleted THEN NULL \
         WHEN s.is_deleted THEN {archived} \
         WHEN t.is_deleted THEN {revived} \
         WHEN s.updated IS NULL THEN {unread} \
         WHEN {is_newer} AND {is_due} THEN {stale}{drifted}{overlooked} END",
        foreign = literal(Difference::Foreign),
        gone = literal(Difference::Gone),
        missing = literal(Difference::Missing),
        archived = literal(Difference::Archived),
        revived = literal(Difference::Revived),
        stale = literal(Difference::Stale),
        unread = literal(Difference::Unread),
    )
}

/// Finds the records that were merged into one that is gone: nobody will name them any more, and something may still
/// be there in their name.
fn absorbed(sides: &Sides, rows: &str, survivor: &str, began: &str) -> String {
    format!(
        " UNION ALL SELECT {absorbed} AS why, a.id AS id, a.updated AS updated FROM \
         (SELECT {}, {survivor} AS survivor FROM {rows}) AS a JOIN j ON a.survivor = j.id \
         WHERE j.why = {gone} AND a.is_deleted AND a.read_at < {began}",
        sides.table.join(", "),
        absorbed = literal(Difference::Absorbed),
        gone = literal(Difference::Gone),
    )
}

fn literal(difference: Difference) -> String {
    quote_literal(difference.name())
}

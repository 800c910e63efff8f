//! What a snapshot shows that a table does not, and the other way round: one join of the two, whatever their size.
//!
//! The snapshot is a table like any other by then, merged from its files; rows that are older than it are of snapshots
//! before.

use chrono::{DateTime, NaiveDate, NaiveTime};
use staging::{
    ColumnType, IS_DELETED, MERGED_INTO_ID, READ_AT, SHOWN_UPDATED_AT, SOURCE_UPDATED_AT, SnapshotPart,
    snapshot_name,
};

use crate::dialect::{Dialect, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::mode::deleted_table;
use crate::table::{TableColumn, folded};

/// The one column that tells records apart, in the table and in the snapshot.
const ID: &str = "id";

/// What is to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub collection: String,
    pub snapshot: SnapshotPart,
    /// The snapshot's columns whose values are compared as well; those that one of the two tables lacks are not.
    pub columns: Vec<String>,
    /// Records that are wanted of each kind, by id. All are counted.
    pub most: u64,
}

/// In what way a record is other in the snapshot than in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// HubSpot shows it, and the table does not hold it.
    Missing,
    /// HubSpot shows a newer version, of a time that earlier runs have read.
    Stale,
    /// The same version with other values: they change without a new one.
    Drifted,
    /// It is in HubSpot's recycle bin, and the table holds it as live.
    Archived,
    /// It is live, and the table holds it as deleted.
    Revived,
    /// The table holds it as live, and HubSpot shows it nowhere.
    Gone,
    /// It was merged into one that is gone.
    Absorbed,
    /// The snapshot shows that it is there, and nothing else of it: nothing is compared.
    Unread,
    /// The table holds it without what each load writes: somebody else did.
    Foreign,
}

impl Difference {
    pub const ALL: [Difference; 9] = [
        Difference::Missing,
        Difference::Stale,
        Difference::Drifted,
        Difference::Archived,
        Difference::Revived,
        Difference::Gone,
        Difference::Absorbed,
        Difference::Unread,
        Difference::Foreign,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Stale => "stale",
            Difference::Drifted => "drifted",
            Difference::Archived => "archived",
            Difference::Revived => "revived",
            Difference::Gone => "gone",
            Difference::Absorbed => "absorbed",
            Difference::Unread => "unread",
            Difference::Foreign => "foreign",
        }
    }

    /// HubSpot shows the record: reading everything brings it. Nobody knows of a foreign one.
    pub fn is_shown(self) -> bool {
        !matches!(self, Difference::Gone | Difference::Absorbed | Difference::Foreign)
    }
}

/// A record that is not as the snapshot shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing {
    pub id: i64,
    pub difference: Difference,
    /// The version that the table holds; `None` where it holds none.
    pub updated_ms: Option<i64>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many there are of each kind; of those that there are any of.
    pub counts: Vec<(Difference, u64)>,
    /// At most [`Compare::most`] of each.
    pub records: Vec<Differing>,
}

/// The columns of the tables that a comparison reads; `None` where there is no such table. Only the snapshot has to be
/// there.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) table: Option<Vec<TableColumn>>,
    pub(crate) snapshot: Option<Vec<TableColumn>>,
    pub(crate) deleted: Option<Vec<TableColumn>>,
}

/// The tables' names, in the order of [`Tables`].
pub(crate) fn table_names(collection: &str) -> [String; 3] {
    [collection.to_owned(), snapshot_name(collection), deleted_table(collection)]
}

/// The query. Its rows are texts: kind, id, version, and how many there are of the kind. `quoted` are the tables' names,
/// as SQL needs them.
pub(crate) fn query(
    dialect: &Dialect,
    compare: &Compare,
    tables: &Tables,
    quoted: &[String; 3],
) -> Result<String> {
    let collection = &compare.collection;
    let Some(snapshot) = &tables.snapshot else { return Err(nothing_to_compare(collection)) };
    let [table_name, snapshot_name, deleted_name] = quoted;
    // A table that is not there is an empty one: the snapshot without its rows.
    let (table, table_rows) = match &tables.table {
        Some(table) => (table, table_name.clone()),
        None => (snapshot, format!("{snapshot_name} WHERE 1 = 0")),
    };
    let find = |columns: &[TableColumn], name: &str| {
        let name = folded(&(dialect.column_name)(name));
        columns.iter().find(|column| folded(&column.name) == name).cloned()
    };
    let needed = |columns: &[TableColumn], name: &str| {
        find(columns, name).map(|column| quote_identifier(&column.name)).ok_or_else(|| {
            let message =
                format!("table {collection} or its snapshot has no column {name}, which tells versions");
            Error::new(Kind::Unsupported, message)
        })
    };
    let (mut of_table, mut of_snapshot, mut of_deleted, mut differ) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (column, alias) in [(ID, "id"), (IS_DELETED, "is_deleted"), (READ_AT, "read_at")] {
        of_table.push(format!("{} AS {alias}", needed(table, column)?));
        of_snapshot.push(format!("{} AS {alias}", needed(snapshot, column)?));
        if let Some(deleted) = &tables.deleted {
            of_deleted.push(format!("{} AS {alias}", needed(deleted, column)?));
        }
    }
    of_table.push(format!("{} AS updated", needed(table, SOURCE_UPDATED_AT)?));
    of_snapshot.push(format!("{} AS updated", needed(snapshot, SHOWN_UPDATED_AT)?));
    if let Some(deleted) = &tables.deleted {
        of_deleted.push(format!("{} AS updated", needed(deleted, SOURCE_UPDATED_AT)?));
    }
    for (n, name) in compare.columns.iter().enumerate() {
        let (Some(held), Some(shown)) = (find(table, name), find(snapshot, name)) else { continue };
        let type_of = |column: &TableColumn| (dialect.column_type)(&column.type_name);
        let wider = type_of(&held).widened(type_of(&shown));
        let as_wider =
            |column: &TableColumn| dialect.converted(&quote_identifier(&column.name), type_of(column), wider);
        of_table.push(format!("{} AS c{n}", as_wider(&held)));
        of_snapshot.push(format!("{} AS c{n}", as_wider(&shown)));
        of_deleted.push(format!("CAST(NULL AS {}) AS c{n}", (dialect.type_name)(wider)));
        differ.push(format!(
            "s.c{n} <> t.c{n} OR (s.c{n} IS NULL AND t.c{n} IS NOT NULL) OR (s.c{n} IS NOT NULL AND t.c{n} IS NULL)"
        ));
    }
    let held = match &tables.deleted {
        None => format!("SELECT {} FROM {table_rows}", of_table.join(", ")),
        Some(_) => format!(
            "SELECT {} FROM {table_rows} UNION ALL SELECT {} FROM {deleted_name}",
            of_table.join(", "),
            of_deleted.join(", ")
        ),
    };
    let instant = |ms: i64| {
        let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = (dialect.literal)(&(dialect.time_text)(time));
        format!("CAST({text} AS {})", (dialect.type_name)(ColumnType::Timestamp))
    };
    let (began, caught_up) = (instant(compare.snapshot.began_ms), instant(compare.snapshot.caught_up_ms));
    let shown = format!(
        "SELECT {} FROM {snapshot_name} WHERE {} >= {began}",
        of_snapshot.join(", "),
        needed(snapshot, READ_AT)?
    );
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
    // Parts that are read later than the snapshot hold what came after it.
    let why = format!(
        "CASE WHEN t.id IS NOT NULL AND (t.is_deleted IS NULL OR t.read_at IS NULL) THEN {foreign} \
         WHEN s.id IS NULL THEN CASE WHEN NOT t.is_deleted AND t.read_at < {began} THEN {gone} END \
         WHEN t.id IS NULL THEN CASE WHEN {is_due} THEN {missing} END \
         WHEN t.read_at >= s.read_at THEN NULL \
         WHEN s.is_deleted AND t.is_deleted THEN NULL \
         WHEN s.is_deleted THEN {archived} \
         WHEN t.is_deleted THEN {revived} \
         WHEN s.updated IS NULL THEN {unread} \
         WHEN {is_newer} AND {is_due} THEN {stale}{drifted} END",
        foreign = literal(Difference::Foreign),
        gone = literal(Difference::Gone),
        missing = literal(Difference::Missing),
        archived = literal(Difference::Archived),
        revived = literal(Difference::Revived),
        stale = literal(Difference::Stale),
        unread = literal(Difference::Unread),
    );
    // Nobody will name them any more, and something may still be there in their name.
    let absorbed = match find(table, MERGED_INTO_ID) {
        None => String::new(),
        Some(survivor) => format!(
            " UNION ALL SELECT {absorbed} AS why, a.id AS id, a.updated AS updated FROM \
             (SELECT {}, {} AS survivor FROM {table_rows}) AS a JOIN j ON a.survivor = j.id \
             WHERE j.why = {gone} AND a.is_deleted AND a.read_at < {began}",
            of_table.join(", "),
            quote_identifier(&survivor.name),
            absorbed = literal(Difference::Absorbed),
            gone = literal(Difference::Gone),
        ),
    };
    let known = (dialect.text_of)("d.updated", ColumnType::Timestamp);
    let text = |expression: &str| (dialect.text_of)(expression, ColumnType::BigInt);
    Ok(format!(
        "WITH j AS (SELECT {why} AS why, coalesce(s.id, t.id) AS id, t.updated AS updated FROM ({shown}) AS s \
         FULL OUTER JOIN ({held}) AS t ON s.id = t.id), \
         d AS (SELECT j.why AS why, j.id AS id, j.updated AS updated FROM j WHERE j.why IS NOT NULL{absorbed}), \
         f AS (SELECT d.why AS why, d.id AS id, {known} AS known, count(*) OVER (PARTITION BY d.why) AS n, \
         row_number() OVER (PARTITION BY d.why ORDER BY d.id) AS place FROM d) \
         SELECT f.why, {}, f.known, {} FROM f WHERE f.place <= {}",
        text("f.id"),
        text("f.n"),
        compare.most,
    ))
}

pub(crate) fn nothing_to_compare(collection: &str) -> Error {
    let message = format!("the snapshot of {collection} is missing: load the staged files first");
    Error::new(Kind::Unsupported, message)
}

fn literal(difference: Difference) -> String {
    crate::dialect::quote_literal(difference.name())
}

/// From the rows of [`query`].
pub(crate) fn comparison(rows: Vec<[Option<String>; 4]>) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    for row in rows {
        let unlike = || Error::new(Kind::Engine, format!("a comparison answers with {row:?}"));
        let [Some(why), Some(id), known, Some(count)] = &row else { return Err(unlike()) };
        let mut named = Difference::ALL.into_iter().filter(|difference| difference.name() == why);
        let difference = named.next().ok_or_else(unlike)?;
        let id = id.parse().map_err(|_| unlike())?;
        let updated_ms = known.as_deref().map(instant_ms).map(|ms| ms.ok_or_else(unlike)).transpose()?;
        if !comparison.counts.iter().any(|(counted, _)| *counted == difference) {
            comparison.counts.push((difference, count.parse().map_err(|_| unlike())?));
        }
        comparison.records.push(Differing { id, difference, updated_ms });
    }
    comparison.counts.sort_unstable();
    comparison.records.sort_unstable_by_key(|record| record.id);
    Ok(comparison)
}

/// As [`Dialect::text_of`] writes an instant.
fn instant_ms(text: &str) -> Option<i64> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_a_comparison() {
        let text = |text: &str| Some(text.to_owned());
        let rows = vec![
            [text("stale"), text("9"), text("2026-09-01T00:00:00.500Z"), text("7")],
            [text("gone"), text("3"), text("2026-09-01"), text("1")],
            [text("stale"), text("10"), None, text("7")],
        ];
        let found = comparison(rows).unwrap();
        assert_eq!(found.counts, [(Difference::Stale, 7), (Difference::Gone, 1)]);
        let versions: Vec<_> = found.records.iter().map(|record| (record.id, record.updated_ms)).collect();
        assert_eq!(versions, [(3, Some(1_788_220_800_000)), (9, Some(1_788_220_800_500)), (10, None)]);
        assert!(comparison(vec![[text("odd"), text("3"), None, text("1")]]).is_err());
        assert!(comparison(vec![[text("gone"), text("x"), None, text("1")]]).is_err());
    }
}

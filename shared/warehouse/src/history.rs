//! The past of a table: every version of its rows that was staged, and when it held. Versions are only ever added; when
//! they held is found anew for each key that gets one. So the history does not depend on the order in which files
//! arrive.
//!
//! A version holds from `_valid_from` until `_valid_to`, which is NULL for the newest. It begins when HubSpot changed
//! the record; where HubSpot tells no time of its own for a change (calculated values), when we read it. A version that
//! shows what the one before it showed, as a backfill reads it, holds for no time: `_valid_from` equals `_valid_to`.

use staging::{ColumnType, FILE, READ_AT, RECEIVED_AT, RUN_ID, SOURCE_UPDATED_AT};

use crate::columns::{ColumnSql, GroupColumns};
use crate::dialect::{Dialect, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, TableColumn, folded};

pub(crate) const VALID_FROM: &str = "_valid_from";
pub(crate) const VALID_TO: &str = "_valid_to";
/// What the version shows, as a hash: where it was read from is not part of it.
pub(crate) const CONTENT: &str = "_content";

/// Stands before each name in what is hashed.
const SEPARATOR: char = '\u{1f}';

/// Which version a row is and where it was read; not what it shows.
fn is_lineage(column: &str) -> bool {
    [SOURCE_UPDATED_AT, READ_AT, RECEIVED_AT, RUN_ID, FILE].contains(&folded(column).as_str())
}

/// The statements for one table and its history.
#[derive(Debug)]
pub(crate) struct History<'a> {
    dialect: &'a Dialect,
    table: String,
    pub(crate) history: String,
    /// Quoted.
    pub(crate) key: Vec<String>,
}

/// Refuses a table whose rows come in sets: what leaves a set has no version of its own to begin at.
pub(crate) fn check_history(collection: &str, plan: &Plan<'_>) -> Result<()> {
    if plan.sets.is_none() {
        return Ok(());
    }
    let message = format!(
        "table {collection} can't have a history: its rows are members of sets, without versions of \
                           their own; leave it out"
    );
    Err(Error::new(Kind::Unsupported, message))
}

impl<'a> History<'a> {
    /// Both names are quoted and qualified.
    pub(crate) fn new(dialect: &'a Dialect, table: &str, history: &str, plan: &Plan<'_>) -> History<'a> {
        History {
            dialect,
            table: table.to_owned(),
            history: history.to_owned(),
            key: plan.primary_key.iter().map(|key| quote_identifier(key)).collect(),
        }
    }

    /// With the rows that the table has now; `columns` are the table's.
    pub(crate) fn create(&self, columns: &[TableColumn]) -> String {
        let column = |column: &TableColumn| {
            let (name, column_type) =
                (quote_identifier(&column.name), (self.dialect.column_type)(&column.type_name));
            ColumnSql { staged: format!("t.{name}"), name, column_type }
        };
        let columns: Vec<ColumnSql> = columns.iter().map(column).collect();
        let time = (self.dialect.type_name)(ColumnType::Timestamp);
        format!(
            "CREATE TABLE {} AS SELECT {}, {} AS {}, CAST(NULL AS {time}) AS {}, CAST(NULL AS {time}) AS {} FROM {} AS t",
            self.history,
            columns.iter().map(|column| column.staged.clone()).collect::<Vec<_>>().join(", "),
            self.content(&columns),
            quote_identifier(CONTENT),
            quote_identifier(VALID_FROM),
            quote_identifier(VALID_TO),
            self.table
        )
    }

    /// Adds the versions of a group that it lacks. `source` reads the staged rows.
    pub(crate) fn add(&self, columns: &GroupColumns, source: &str) -> String {
        let all = &columns.columns;
        let place =
            |wanted: &ColumnSql| all.iter().position(|column| column.name == wanted.name).unwrap_or_default();
        let version = || columns.keys.iter().chain([&columns.read_at, &columns.run_id]);
        let content = self.content(all);
        let list = |items: Vec<String>| items.join(", ");
        let same = |column: &ColumnSql| format!("h.{} = s.v{}", column.name, place(column));
        format!(
            "INSERT INTO {history} ({}, {content_name}) SELECT {}, s.content FROM (SELECT {}, {content} AS content, \
             row_number() OVER (PARTITION BY {}, {content} ORDER BY {}) AS place FROM {source}) AS s \
             WHERE s.place = 1 AND NOT EXISTS (SELECT 1 FROM {history} AS h WHERE {} AND h.{content_name} = s.content)",
            list(all.iter().map(|column| column.name.clone()).collect()),
            list((0..all.len()).map(|n| format!("s.v{n}")).collect()),
            list(all.iter().enumerate().map(|(n, column)| format!("{} AS v{n}", column.staged)).collect()),
            list(version().map(|column| column.staged.clone()).collect()),
            self.file_of(all).unwrap_or(&columns.read_at.staged),
            version().map(same).collect::<Vec<_>>().join(" AND "),
            history = self.history,
            content_name = quote_identifier(CONTENT),
        )
    }

    /// Of two files that hold the same version, the one that is named first.
    fn file_of<'c>(&self, columns: &'c [ColumnSql]) -> Option<&'c str> {
        let file = quote_identifier(FILE);
        columns.iter().find(|column| column.name == file).map(|column| column.staged.as_str())
    }

    /// Finds anew when the versions held that have the key of one without a beginning.
    pub(crate) fn set_times(&self) -> String {
        let History { history, .. } = self;
        let [content, from, to] = [CONTENT, VALID_FROM, VALID_TO].map(quote_identifier);
        let [updated_at, read_at, run_id] = [SOURCE_UPDATED_AT, READ_AT, RUN_ID].map(quote_identifier);
        let keys = |of: &str| self.key.iter().map(|key| format!("{of}{key}")).collect::<Vec<_>>().join(", ");
        let equal = |a: &str, b: &str| {
            self.key.iter().map(|key| format!("{a}.{key} = {b}.{key}")).collect::<Vec<_>>().join(" AND ")
        };
        let order = format!(
            "PARTITION BY {} ORDER BY {}, {read_at}, coalesce({run_id}, ''), {content}",
            keys(""),
            self.dialect.or_lowest(&updated_at)
        );
        // By version: what came before, and when this one is seen to begin.
        let seen = format!(
            "SELECT {}, {read_at}, {run_id}, {updated_at}, {content}, CASE WHEN {updated_at} IS NULL \
             OR {updated_at} = lag({updated_at}) OVER ({order}) THEN {read_at} ELSE {updated_at} END AS seen_from, \
             CASE WHEN {content} = lag({content}) OVER ({order}) THEN 1 ELSE 0 END AS is_repeat \
             FROM {history} AS h WHERE EXISTS (SELECT 1 FROM {history} AS n WHERE n.{from} IS NULL AND {})",
            keys(""),
            equal("n", "h")
        );
        // A version that is newer in HubSpot's own time began no earlier than it says.
        let begun = format!(
            "SELECT *, min(seen_from) OVER ({order} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS held_from \
             FROM ({seen}) AS seen"
        );
        let held = format!(
            "SELECT *, CASE WHEN is_repeat = 1 THEN held_from ELSE min(CASE WHEN is_repeat = 0 THEN held_from END) \
             OVER ({order} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) END AS held_to FROM ({begun}) AS begun"
        );
        format!(
            "UPDATE {history} AS h SET {from} = v.held_from, {to} = v.held_to FROM ({held}) AS v \
             WHERE {} AND h.{read_at} = v.{read_at} AND coalesce(h.{run_id}, '') = coalesce(v.{run_id}, '') \
             AND h.{content} = v.{content}",
            equal("h", "v")
        )
    }

    /// What a version shows, whichever columns the table had when it came, and in whatever type.
    fn content(&self, columns: &[ColumnSql]) -> String {
        let mut shown: Vec<&ColumnSql> =
            columns.iter().filter(|column| !is_lineage(column.name.trim_matches('"'))).collect();
        shown.sort_by_key(|column| folded(&column.name));
        let text = |column: &&ColumnSql| {
            let name = (self.dialect.literal)(&format!("{SEPARATOR}{}=", folded(&column.name)));
            let text = (self.dialect.text_of)(&column.staged, column.column_type);
            format!("coalesce({name} || {text}, '')")
        };
        let texts: Vec<String> = shown.iter().map(text).collect();
        (self.dialect.md5_of)(&[joined(&texts)])
    }
}

/// One text after the other; in halves, since parsers nest as deep as a chain is long.
fn joined(texts: &[String]) -> String {
    match texts {
        [] => "''".to_owned(),
        [text] => text.clone(),
        texts => {
            let (first, then) = texts.split_at(texts.len() / 2);
            format!("({} || {})", joined(first), joined(then))
        }
    }
}

//! The history of a table: every version of its rows that was staged, with the time for which it held. Versions are
//! only ever added; their times are computed anew for each key that gets one. So the history does not depend on the
//! order in which files arrive.
//!
//! A version holds from `_valid_from` until `_valid_to`, which is NULL for the newest. It begins when HubSpot changed
//! the record; where HubSpot has no time for a change (calculated values), when we read it. A version that equals the
//! one before it, as a backfill reads it, holds for no time: `_valid_from` equals `_valid_to`.

use staging::{ColumnType, FILE, READ_AT, RECEIVED_AT, RUN_ID, SOURCE_UPDATED_AT};

use crate::columns::{ColumnSql, GroupColumns};
use crate::dialect::{Dialect, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::table::{TableColumn, folded};

pub(crate) const VALID_FROM: &str = "_valid_from";
pub(crate) const VALID_TO: &str = "_valid_to";
/// Column with a hash of the version's values, without those about its read.
pub(crate) const CONTENT: &str = "_content";

/// Character before each name in the hashed text.
const SEPARATOR: char = '\u{1f}';

/// `true`: the column is about the row's version and its read, not a value of the record.
fn is_lineage(column: &str) -> bool {
    [SOURCE_UPDATED_AT, READ_AT, RECEIVED_AT, RUN_ID, FILE].contains(&folded(column).as_str())
}

/// The statements for one table and its history.
#[derive(Debug)]
pub(crate) struct History {
    dialect: &'static Dialect,
    table: TableName,
    pub(crate) history: TableName,
    /// Quoted.
    pub(crate) key: Vec<String>,
    version: VersionColumns,
    /// Types of the history's columns: a table that was dropped may come back with narrower ones.
    present: Vec<(String, ColumnType)>,
}

/// Quoted.
#[derive(Debug)]
struct VersionColumns {
    updated_at: String,
    read_at: String,
    run_id: String,
    content: String,
    from: String,
    to: String,
}

/// Refuses a table whose rows are read in sets: a row that leaves its set has no version that says so.
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

impl History {
    /// Makes the statements. `present` are the columns of the history, if it exists.
    pub(crate) fn new(
        dialect: &'static Dialect,
        table: &TableName,
        history: &TableName,
        plan: &Plan<'_>,
        present: Option<&[TableColumn]>,
    ) -> History {
        let type_of = |column: &TableColumn| (folded(&column.name), (dialect.column_type)(&column.type_name));
        let [updated_at, read_at, run_id] =
            [SOURCE_UPDATED_AT, READ_AT, RUN_ID].map(|name| dialect.quoted(name));
        let [content, from, to] = [CONTENT, VALID_FROM, VALID_TO].map(|name| dialect.quoted(name));
        History {
            dialect,
            table: table.clone(),
            history: history.clone(),
            key: plan.primary_key.iter().map(|key| quote_identifier(key)).collect(),
            version: VersionColumns { updated_at, read_at, run_id, content, from, to },
            present: present.unwrap_or_default().iter().map(type_of).collect(),
        }
    }

    /// Returns the columns of the history that the table does not have.
    pub(crate) fn own_columns(&self) -> [TableColumn; 3] {
        let column = |(name, column_type)| TableColumn {
            name: (self.dialect.column_name)(name),
            type_name: (self.dialect.type_name)(column_type).to_owned(),
        };
        let time = ColumnType::Timestamp;
        [(CONTENT, ColumnType::Text), (VALID_FROM, time), (VALID_TO, time)].map(column)
    }

    /// Adds the table's present rows, unless there are any versions. `columns` are the table's.
    pub(crate) fn begin(&self, columns: &[TableColumn]) -> String {
        let columns = self.of_table(columns);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = columns.iter().map(|column| self.kept(column, &column.staged)).collect();
        format!(
            "INSERT INTO {history} ({}, {}) SELECT {}, {} FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {history})",
            names.join(", "),
            self.version.content,
            values.join(", "),
            self.content(&columns),
            self.table.qualified,
            history = self.history.qualified
        )
    }

    fn of_table(&self, columns: &[TableColumn]) -> Vec<ColumnSql> {
        let column = |column: &TableColumn| {
            let (name, column_type) =
                (quote_identifier(&column.name), (self.dialect.column_type)(&column.type_name));
            ColumnSql { staged: format!("t.{name}"), name, column_type }
        };
        columns.iter().map(column).collect()
    }

    /// Converts a value from the table's type to the history's.
    fn kept(&self, column: &ColumnSql, value: &str) -> String {
        let name = folded(column.name.trim_matches('"'));
        let present = self.present.iter().find(|(present, _)| *present == name);
        let kept = present.map_or(column.column_type, |(_, present)| present.widened(column.column_type));
        self.dialect.converted(value, column.column_type, kept)
    }

    /// Adds a group's versions that the history lacks. `source` reads the staged rows.
    pub(crate) fn add(&self, columns: &GroupColumns, source: &str) -> String {
        let all = &columns.columns;
        let place =
            |wanted: &ColumnSql| all.iter().position(|column| column.name == wanted.name).unwrap_or_default();
        let list = |items: Vec<String>| items.join(", ");
        let run = format!("v{}", place(&columns.run_id));
        let staged = |column: &ColumnSql| format!("v{}", place(column));
        let partition = columns.keys.iter().chain([&columns.read_at, &columns.run_id]).map(staged);
        let same = |column: &ColumnSql| format!("h.{} = s.{}", column.name, staged(column));
        let same = columns.keys.iter().chain([&columns.read_at]).map(same);
        // Of two files that hold the same version, the one that is named first.
        let file = all.iter().find(|column| folded(column.name.trim_matches('"')) == FILE);
        let VersionColumns { run_id, content, .. } = &self.version;
        format!(
            "INSERT INTO {history} ({}, {content}) SELECT {}, s.content FROM (SELECT v.*, row_number() OVER \
             (PARTITION BY {}, content ORDER BY {}) AS place FROM (SELECT {}, {} AS content FROM {source}) AS v) AS s \
             WHERE s.place = 1 AND NOT EXISTS (SELECT 1 FROM {history} AS h WHERE {} \
             AND coalesce(h.{run_id}, '') = coalesce(s.{run}, '') AND h.{content} = s.content)",
            list(all.iter().map(|column| column.name.clone()).collect()),
            list(all.iter().enumerate().map(|(n, column)| self.kept(column, &format!("s.v{n}"))).collect()),
            list(partition.collect()),
            staged(file.unwrap_or(&columns.read_at)),
            list(all.iter().enumerate().map(|(n, column)| format!("{} AS v{n}", column.staged)).collect()),
            self.content(all),
            same.collect::<Vec<_>>().join(" AND "),
            history = self.history.qualified,
        )
    }

    /// Computes the times of all versions with the key of one that has no beginning yet.
    pub(crate) fn set_times(&self) -> String {
        let VersionColumns { updated_at, read_at, run_id, content, from, to } = &self.version;
        let TableName { qualified, alone } = &self.history;
        let same_version = format!(
            "{} AND {alone}.{read_at} = v.{read_at} AND coalesce({alone}.{run_id}, '') = coalesce(v.{run_id}, '') \
             AND {alone}.{content} = v.{content}",
            self.same_key(alone, "v")
        );
        let is_to_be_timed = format!(
            "EXISTS (SELECT 1 FROM {qualified} AS n WHERE n.{from} IS NULL AND {})",
            self.same_key("n", "h")
        );
        if self.dialect.is_transactional {
            let held = self.held(&format!("{qualified} AS h WHERE {is_to_be_timed}"));
            return format!(
                "UPDATE {qualified} SET {from} = v.held_from, {to} = v.held_to FROM ({held}) AS v WHERE {same_version}"
            );
        }
        // Athena updates from another table by MERGE alone. A version that is there twice is one.
        let versions = format!(
            "(SELECT DISTINCT {}, h.{updated_at}, h.{read_at}, h.{run_id}, h.{content} FROM {qualified} AS h \
             WHERE {is_to_be_timed}) AS h",
            self.key.iter().map(|key| format!("h.{key}")).collect::<Vec<_>>().join(", ")
        );
        format!(
            "MERGE INTO {qualified} USING ({}) AS v ON {same_version} \
             WHEN MATCHED THEN UPDATE SET {from} = v.held_from, {to} = v.held_to",
            self.held(&versions)
        )
    }

    /// Selects `held_from` and `held_to` of the versions in `source`, which has all versions of its keys.
    fn held(&self, source: &str) -> String {
        let VersionColumns { updated_at, read_at, run_id, content, .. } = &self.version;
        let keys = self.key.join(", ");
        let order = format!(
            "PARTITION BY {keys} ORDER BY {}, {read_at}, coalesce({run_id}, ''), {content}",
            self.dialect.or_lowest(updated_at)
        );
        // By version: what came before, and when this one is seen to begin.
        let seen = format!(
            "SELECT {keys}, {read_at}, {run_id}, {updated_at}, {content}, CASE WHEN {updated_at} IS NULL \
             OR {updated_at} = lag({updated_at}) OVER ({order}) THEN {read_at} ELSE {updated_at} END AS seen_from, \
             CASE WHEN {content} = lag({content}) OVER ({order}) THEN 1 ELSE 0 END AS is_repeat FROM {source}"
        );
        // A version that is newer in HubSpot's own time began no earlier than it says.
        let begun = format!(
            "SELECT *, min(seen_from) OVER ({order} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS held_from \
             FROM ({seen}) AS seen"
        );
        format!(
            "SELECT *, CASE WHEN is_repeat = 1 THEN held_from ELSE min(CASE WHEN is_repeat = 0 THEN held_from END) \
             OVER ({order} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) END AS held_to FROM ({begun}) AS begun"
        )
    }

    fn same_key(&self, one: &str, other: &str) -> String {
        let equal = |key: &String| format!("{one}.{key} = {other}.{key}");
        self.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// Returns a text of a version's values, the same whatever columns and types the table had when it was staged.
    fn content(&self, columns: &[ColumnSql]) -> String {
        let mut shown: Vec<&ColumnSql> =
            columns.iter().filter(|column| !is_lineage(column.name.trim_matches('"'))).collect();
        shown.sort_by_key(|column| folded(&column.name));
        let text = |column: &&ColumnSql| {
            let name = (self.dialect.literal)(&format!("{SEPARATOR}{}=", folded(&column.name)));
            let text = (self.dialect.text_of)(&column.staged, column.column_type);
            match self.dialect.holds_whole_rows {
                true => format!("coalesce({name} || {text}, '')"),
                false => format!("coalesce(md5({name} || md5({text})), '')"),
            }
        };
        let texts: Vec<String> = shown.iter().map(text).collect();
        (self.dialect.md5_of)(&[joined(&texts)])
    }
}

/// Joins texts by halves, since parsers nest as deep as a chain is long.
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

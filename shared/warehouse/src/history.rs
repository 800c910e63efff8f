//! The history of a table: the versions of its rows, with the time for which each of them held.
//!
//! A version holds from `_valid_from` until `_valid_to`, which is NULL for the newest. It begins when HubSpot changed
//! the record; where HubSpot has no time for a change (calculated values), when we asked for it. A version that equals
//! the one before it, but is newer in HubSpot's own time, holds for no time: `_valid_from` equals `_valid_to`.
//!
//! A read that shows what the read before it showed, of the same time in HubSpot, is not a version of its own. The
//! history holds such a run of equal reads as its first one, and the time of the last one: the table's row has it for
//! the present run, `_last_read_at` for those before. What comes late, between the two, divides the run
//! ([`runs`]).

mod runs;

use staging::{ColumnType, FILE, READ_AT, RECEIVED_AT, RUN_ID, SOURCE_UPDATED_AT};

pub(crate) use self::runs::{Place, StagedRows};
use crate::beside;
use crate::columns::ColumnSql;
use crate::dialect::{Dialect, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::in_parts::{InParts, divided};
use crate::plan::Plan;
use crate::table::{TableColumn, folded};

pub(crate) const VALID_FROM: &str = "_valid_from";
pub(crate) const VALID_TO: &str = "_valid_to";
/// Column with the last read that showed the version, if it was not the first one and another version followed.
pub(crate) const LAST_READ_AT: &str = "_last_read_at";
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
    /// Columns that the history has: a table that was dropped may come back with fewer and narrower ones.
    present: Vec<TableColumn>,
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
    last_read_at: String,
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
        let [updated_at, read_at, run_id] =
            [SOURCE_UPDATED_AT, READ_AT, RUN_ID].map(|name| dialect.quoted(name));
        let [content, from, to, last_read_at] =
            [CONTENT, VALID_FROM, VALID_TO, LAST_READ_AT].map(|name| dialect.quoted(name));
        History {
            dialect,
            table: table.clone(),
            history: history.clone(),
            key: plan.primary_key.iter().map(|key| quote_identifier(key)).collect(),
            version: VersionColumns { updated_at, read_at, run_id, content, from, to, last_read_at },
            present: present.unwrap_or_default().to_vec(),
        }
    }

    /// Returns the columns of the history that the table does not have.
    pub(crate) fn own_columns(&self) -> [TableColumn; 4] {
        let column = |(name, column_type)| TableColumn {
            name: (self.dialect.column_name)(name),
            type_name: (self.dialect.type_name)(column_type).to_owned(),
        };
        let time = ColumnType::Timestamp;
        [(CONTENT, ColumnType::Text), (VALID_FROM, time), (LAST_READ_AT, time), (VALID_TO, time)].map(column)
    }

    /// Adds the table's present rows, unless there are any versions. `columns` are the table's.
    pub(crate) fn begin(&self, columns: &[TableColumn]) -> String {
        let columns = self.of_table(columns);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = columns.iter().map(|column| self.kept(column, &column.staged)).collect();
        let VersionColumns { updated_at, read_at, content: content_name, from, .. } = &self.version;
        let times = [updated_at, read_at].map(|time| columns.iter().find(|column| column.name == *time));
        let times: Vec<&str> = times.into_iter().flatten().map(|column| column.staged.as_str()).collect();
        let content = self.content("t", &columns);
        let rows = content.rows(&format!("{} AS t", self.table.qualified), "t");
        format!(
            "INSERT INTO {history} ({}, {content_name}, {from}) SELECT {}, {}, {} FROM {rows} \
             WHERE NOT EXISTS (SELECT 1 FROM {history})",
            names.join(", "),
            values.join(", "),
            content.text,
            match times.as_slice() {
                [] => self.no_time(),
                [time] => (*time).to_owned(),
                times => format!("coalesce({})", times.join(", ")),
            },
            history = self.history.qualified
        )
    }

    fn no_time(&self) -> String {
        format!("CAST(NULL AS {})", (self.dialect.type_name)(ColumnType::Timestamp))
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
        self.dialect.converted(value, column.column_type, self.kept_type(column))
    }

    fn kept_type(&self, column: &ColumnSql) -> ColumnType {
        let name = folded(column.name.trim_matches('"'));
        let present = self.present.iter().find(|present| folded(&present.name) == name);
        let type_of = |present: &TableColumn| (self.dialect.column_type)(&present.type_name);
        present.map_or(column.column_type, |present| type_of(present).widened(column.column_type))
    }

    /// Returns a text of a version's values, the same whatever columns and types the table had when it was staged, and
    /// whether it is in parts or not. The values are in rows `alias`.
    fn content(&self, alias: &str, columns: &[ColumnSql]) -> InParts {
        let mut shown: Vec<(String, &ColumnSql)> = self
            .properties(columns)
            .into_iter()
            .filter(|(_, column)| !is_lineage(column.name.trim_matches('"')))
            .collect();
        shown.sort_by(|(a, _), (b, _)| a.cmp(b));
        let text = |(name, column): &(String, &ColumnSql)| {
            let name = (self.dialect.literal)(&format!("{SEPARATOR}{name}="));
            let text = (self.dialect.hashed_text_of)(&column.staged, column.column_type);
            match self.dialect.holds_whole_rows {
                true => format!("coalesce({name} || {text}, '')"),
                false => format!("coalesce(md5({name} || md5({text})), '')"),
            }
        };
        let texts: Vec<String> = shown.iter().map(text).collect();
        let hash = |text: String| (self.dialect.md5_of)(&[text]);
        match divided(self.dialect, &texts) {
            None => InParts::whole(hash(joined(&texts))),
            Some(parts) => {
                let parts = parts.into_iter().map(joined).collect();
                InParts::new(alias, "values", parts, |parts| hash(joined(parts)))
            }
        }
    }

    /// Returns the columns that hold all values of their properties, with the folded and quoted names of these.
    fn properties<'a>(&self, columns: &'a [ColumnSql]) -> Vec<(String, &'a ColumnSql)> {
        let names = columns.iter().map(|column| column.name.trim_matches('"'));
        let found = beside::find(self.dialect, names);
        let name_of = |column: &'a ColumnSql| {
            let name = column.name.trim_matches('"');
            match found.iter().find(|it| it.own == name || it.beside.iter().any(|beside| beside == name)) {
                Some(it) if it.widest() == name => Some((folded(&quote_identifier(&it.own)), column)),
                Some(_) => None,
                None => Some((folded(&column.name), column)),
            }
        };
        columns.iter().filter_map(name_of).collect()
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

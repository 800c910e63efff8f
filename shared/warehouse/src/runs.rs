//! `_runs`: a table with one row for each run, in the schema of the tables that it filled.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use staging::ColumnType;

use crate::dialect::Dialect;

/// One run of a feed, or one load. A run is known by its id and its name.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Sorts by time; `_run_id` in the rows that it read.
    pub run_id: String,
    /// The feed, or `load`.
    pub name: String,
    pub mode: Option<String>,
    pub outcome: String,
    pub reason: Option<String>,
    pub ended_at: DateTime<Utc>,
    pub seconds: f64,
    /// Rows staged, or merged.
    pub rows: u64,
    /// The whole report, JSON.
    pub report: String,
}

/// The report of a run in the table `_runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReport {
    pub run_id: String,
    pub name: String,
    /// JSON; `{}` of a run whose report did not fit.
    pub report: String,
}

pub(crate) const COLUMNS: [(&str, ColumnType); 9] = [
    ("run_id", ColumnType::Text),
    ("name", ColumnType::Text),
    ("mode", ColumnType::Text),
    ("outcome", ColumnType::Text),
    ("reason", ColumnType::Text),
    ("ended_at", ColumnType::Timestamp),
    ("seconds", ColumnType::Double),
    ("rows", ColumnType::BigInt),
    ("report", ColumnType::Json),
];

impl RunRow {
    /// In the order of [`COLUMNS`].
    fn literals(&self, dialect: &Dialect) -> [String; 9] {
        let quote_literal = dialect.literal;
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "NULL".to_owned(), quote_literal);
        [
            quote_literal(&self.run_id),
            quote_literal(&self.name),
            text(&self.mode),
            quote_literal(&self.outcome),
            text(&self.reason),
            quote_literal(&(dialect.time_text)(self.ended_at)),
            self.seconds.to_string(),
            self.rows.to_string(),
            quote_literal(&self.report),
        ]
    }
}

pub(crate) fn oldest(runs: &[RunRow]) -> Option<&str> {
    runs.iter().map(|run| run.run_id.as_str()).min()
}

/// Returns the runs that are not among the known ones, by run id and name.
pub(crate) fn missing(runs: &[RunRow], known: impl IntoIterator<Item = (String, String)>) -> Vec<RunRow> {
    let known: HashSet<(String, String)> = known.into_iter().collect();
    let is_missing = |run: &&RunRow| !known.contains(&(run.run_id.clone(), run.name.clone()));
    runs.iter().filter(is_missing).cloned().collect()
}

impl Dialect {
    pub(crate) fn create_runs(&self, table: &str) -> String {
        let column = |(name, column_type): (&str, ColumnType)| {
            format!("{} {}", self.quoted(name), (self.type_name)(column_type))
        };
        format!("CREATE TABLE {table} ({})", COLUMNS.map(column).join(", "))
    }

    /// Selects run id and name of the runs from this oldest one on.
    pub(crate) fn select_runs(&self, table: &str, oldest: &str) -> String {
        let (run_id, name) = (self.quoted("run_id"), self.quoted("name"));
        format!("SELECT {run_id}, {name} FROM {table} WHERE {run_id} >= {}", (self.literal)(oldest))
    }

    /// Selects the reports of the runs from this oldest one on.
    pub(crate) fn select_reports(&self, table: &str, oldest: &str) -> String {
        let (run_id, name, report) = (self.quoted("run_id"), self.quoted("name"), self.quoted("report"));
        format!("SELECT {run_id}, {name}, {report} FROM {table} WHERE {run_id} >= {}", (self.literal)(oldest))
    }

    /// Inserts the runs that the table lacks, in as few statements as the limit allows. A report that does not fit is
    /// left out.
    pub(crate) fn insert_runs(&self, table: &str, runs: &[RunRow], max_bytes: usize) -> Vec<String> {
        let statement = self.insert_lacking_runs(table, runs);
        match runs {
            _ if statement.len() <= max_bytes => vec![statement],
            [run] => {
                let without_report = RunRow { report: "{}".to_owned(), ..run.clone() };
                vec![self.insert_lacking_runs(table, &[without_report])]
            }
            runs => {
                let (first, then) = runs.split_at(runs.len() / 2);
                [self.insert_runs(table, first, max_bytes), self.insert_runs(table, then, max_bytes)].concat()
            }
        }
    }

    /// Inserts the runs unless another load has added them meanwhile. `runs` must not be empty.
    fn insert_lacking_runs(&self, table: &str, runs: &[RunRow]) -> String {
        let row = |run: &RunRow| {
            let named = COLUMNS.iter().zip(run.literals(self));
            let values = named.map(|((name, is), value)| {
                format!("CAST({value} AS {}) AS {}", (self.type_name)(*is), self.quoted(name))
            });
            format!("SELECT {}", values.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = runs.iter().map(row).collect();
        let names = COLUMNS.map(|(name, _)| self.quoted(name)).join(", ");
        let (run_id, name) = (self.quoted("run_id"), self.quoted("name"));
        format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM ({}) AS run WHERE NOT EXISTS (SELECT 1 FROM {table} \
             AS known WHERE known.{run_id} = run.{run_id} AND known.{name} = run.{name})",
            rows.join(" UNION ALL ")
        )
    }
}

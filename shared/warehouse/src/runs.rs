//! `_runs`: what each run did, one row each, beside the tables that it filled.

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

impl Dialect {
    pub(crate) fn create_runs(&self, table: &str) -> String {
        let column = |(name, column_type): (&str, ColumnType)| {
            format!("{} {}", self.quoted(name), (self.type_name)(column_type))
        };
        format!("CREATE TABLE {table} ({})", COLUMNS.map(column).join(", "))
    }

    /// Those that the table lacks. There must be some.
    pub(crate) fn insert_runs(&self, table: &str, runs: &[RunRow]) -> String {
        let row = |run: &RunRow| {
            let casts = COLUMNS.iter().zip(run.literals(self));
            let values = casts.map(|((name, column_type), value)| {
                format!("CAST({value} AS {}) AS {}", (self.type_name)(*column_type), self.quoted(name))
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

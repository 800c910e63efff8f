//! Changes of tables' columns, which loads have made as HubSpot's properties changed.

use crate::changes::{ColumnChanges, Retyped};
use chrono::{DateTime, Utc};

use super::days::Days;
use super::sources::Sources;

/// Changes of one table in one load.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Changed {
    pub(super) at: DateTime<Utc>,
    pub(super) table: String,
    pub(super) changes: ColumnChanges,
}

/// Returns the changes of these days, the latest first.
pub(super) fn changed(sources: &Sources, days: &Days) -> Vec<Changed> {
    let loads = sources.loads.iter().rev().filter(|load| load.at >= days.begin());
    let tables = loads.flat_map(|load| load.report.tables.iter().map(|(name, table)| (load.at, name, table)));
    let changed = tables.filter(|(_, _, table)| !table.columns.is_empty());
    changed.map(|(at, name, of)| Changed { at, table: name.clone(), changes: of.columns.clone() }).collect()
}

pub(super) fn retyped_text(retyped: &Retyped) -> String {
    format!("{} ({} → {})", retyped.column, retyped.from, retyped.to)
}

//! Comparing a table with a snapshot of HubSpot: one join of the two, whatever their size.
//!
//! The snapshot is a table like any other by then, merged from its files; rows that are older than it are of snapshots
//! before.

pub(crate) mod query;

use chrono::{DateTime, NaiveDate, NaiveTime};
use staging::{SnapshotPart, snapshot_name};

use crate::error::{Error, Kind, Result};
use crate::mode::deleted_table;

/// A comparison that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub collection: String,
    pub snapshot: SnapshotPart,
    /// Columns whose values are compared as well, if both the snapshot and the table have them.
    pub columns: Vec<String>,
    /// Most records that are returned of each kind, by id. All are counted.
    pub most: u64,
}

/// Kind of difference between the snapshot and the table, for a record.
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
    /// The record was merged into one that is gone.
    Absorbed,
    /// The last read of everything has not met it: it was in the recycle bin for that time, say.
    Overlooked,
    /// The snapshot has only the record's id, so nothing is compared.
    Unread,
    /// The table's row lacks the columns that each load writes: somebody else wrote it.
    Foreign,
}

impl Difference {
    pub const ALL: [Difference; 10] = [
        Difference::Missing,
        Difference::Stale,
        Difference::Drifted,
        Difference::Archived,
        Difference::Revived,
        Difference::Gone,
        Difference::Absorbed,
        Difference::Overlooked,
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
            Difference::Overlooked => "overlooked",
            Difference::Unread => "unread",
            Difference::Foreign => "foreign",
        }
    }

    /// `true`: HubSpot shows the record, so that a full read includes it. Of a foreign one that is not known.
    pub fn is_shown(self) -> bool {
        !matches!(self, Difference::Gone | Difference::Absorbed | Difference::Foreign)
    }
}

/// A record that differs between the snapshot and the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Differing {
    pub id: i64,
    pub difference: Difference,
    /// The version that the table holds; `None` where it holds none.
    pub updated_ms: Option<i64>,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Number of records of each kind that occurs.
    pub counts: Vec<(Difference, u64)>,
    /// At most [`Compare::most`] of each.
    pub records: Vec<Differing>,
}

/// Returns the tables' names, in the order of [`Tables`].
pub(crate) fn table_names(collection: &str) -> [String; 3] {
    [collection.to_owned(), snapshot_name(collection), deleted_table(collection)]
}

pub(crate) fn nothing_to_compare(collection: &str) -> Error {
    let message = format!("the snapshot of {collection} is missing: load the staged files first");
    Error::new(Kind::Unsupported, message)
}

/// Makes the outcome from the rows of [`query::query`].
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

/// Parses an instant as [`Dialect::text_of`] writes it.
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

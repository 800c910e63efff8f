//! Definition of a table: its collection, primary key and typed columns. Everything downstream of a feed (Parquet
//! schema, warehouse DDL, merge) is derived from a [`Table`], and a staged file carries the one it was written with.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// When HubSpot last changed the record, in its own words; the first half of a row's version. NULL sorts lowest.
pub const SOURCE_UPDATED_AT: &str = "_source_updated_at";
/// When the answer that carried the row arrived here; the second half of a row's version. Never NULL.
pub const READ_AT: &str = "_read_at";
/// In a snapshot: when HubSpot last changed the record. Rows of a snapshot have no version but the time of their read.
pub const SHOWN_UPDATED_AT: &str = "_updated_at";
/// The extract run that staged the row.
pub const RUN_ID: &str = "_run_id";
/// The key of the staged file that holds the row, as it is registered and as a warehouse's ledger knows it.
pub const FILE: &str = "_file";
/// JSON object of the values that did not parse as their column's type: column name to the text HubSpot sent.
pub const UNPARSED: &str = "_unparsed";
/// Segment's name for the time of the call; equal to [`READ_AT`].
pub const RECEIVED_AT: &str = "received_at";
/// True for a tombstone. On every CRM table.
pub const IS_DELETED: &str = "is_deleted";
/// When HubSpot says that the record was deleted; NULL where it does not say.
pub const DELETED_AT: &str = "deleted_at";
/// Why the row is a tombstone.
pub const DELETED_REASON: &str = "deleted_reason";
/// The record that this one was merged into; on tables of records.
pub const MERGED_INTO_ID: &str = "merged_into_id";
/// The [`DELETED_REASON`] of what HubSpot no longer shows.
pub const REMOVED: &str = "removed";

/// The types a column can have. Warehouses map each of them, exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Text,
    BigInt,
    Double,
    Boolean,
    /// A calendar day, no zone.
    Date,
    /// An instant, UTC, whole milliseconds.
    Timestamp,
    /// JSON text.
    Json,
}

impl ColumnType {
    /// The narrowest type that holds every value of both: integers fit doubles, days fit instants (midnight UTC),
    /// anything else meets in text. Commutative, associative and idempotent, so the order in which files with
    /// different schemas arrive does not change the table.
    pub fn widened(self, other: ColumnType) -> ColumnType {
        use ColumnType::{BigInt, Date, Double, Text, Timestamp};
        match (self, other) {
            (a, b) if a == b => a,
            (BigInt, Double) | (Double, BigInt) => Double,
            (Date, Timestamp) | (Timestamp, Date) => Timestamp,
            _ => Text,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

impl Column {
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Column {
        Column { name: name.into(), column_type }
    }
}

/// One table: column names are unique even when case is ignored (most warehouses ignore it), and the primary key
/// names columns that exist. [`Table::new`] refuses anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub collection: String,
    pub primary_key: Vec<String>,
    /// Empty, or a part of the primary key. Rows with equal values in it are a set, which HubSpot shows whole in one
    /// answer: what a newer read of the set does not show is gone, and a merge deletes it. A set that is read and
    /// found empty is staged as one tombstone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_key: Vec<String>,
    /// Of sets that are read in many answers: a whole number of the primary key, which is 0 in no row of HubSpot's. A
    /// tombstone that has 0 there is staged behind all other rows of a read, with their version: only what is older than
    /// the newest such row of its set is gone. A read that was broken off so deletes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("table {collection} has two columns named {column:?} (case is ignored)")]
    DuplicateColumn { collection: String, column: String },
    #[error("table {collection} has no column {column:?}, which its primary key names")]
    NoKeyColumn { collection: String, column: String },
    #[error("table {collection} has no primary key")]
    NoKey { collection: String },
    #[error("table {collection} has no {column:?} in its primary key, which its set key names")]
    NotOfPrimaryKey { collection: String, column: String },
    #[error(
        "table {collection} can't close its sets by {column:?}: no whole number of the primary key alone"
    )]
    NotToCloseBy { collection: String, column: String },
    #[error("table {collection} has no {column_type:?} column {column:?}, which its set key needs")]
    NoDeletionColumn { collection: String, column: String, column_type: ColumnType },
}

impl Table {
    pub fn new(
        collection: impl Into<String>,
        primary_key: &[&str],
        columns: Vec<Column>,
    ) -> Result<Table, TableError> {
        let table = Table {
            collection: collection.into(),
            primary_key: primary_key.iter().map(|&name| name.to_owned()).collect(),
            set_key: Vec::new(),
            closed_by: None,
            columns,
        };
        table.check()?;
        Ok(table)
    }

    /// Refuses names that are not in the primary key, and a table whose rows can't be marked as deleted.
    pub fn with_set_key(mut self, set_key: &[&str]) -> Result<Table, TableError> {
        self.set_key = set_key.iter().map(|&name| name.to_owned()).collect();
        self.check()?;
        Ok(self)
    }

    /// Refuses a column that is no whole number of the primary key, or is in the set key; and a table without sets.
    pub fn with_sets_closed_by(mut self, column: &str) -> Result<Table, TableError> {
        self.closed_by = Some(column.to_owned());
        self.check()?;
        Ok(self)
    }

    /// The rules of [`Table`], for a table that came from a file.
    pub fn check(&self) -> Result<(), TableError> {
        let collection = self.collection.clone();
        let mut seen = HashSet::new();
        for column in &self.columns {
            if !seen.insert(column.name.to_lowercase()) {
                return Err(TableError::DuplicateColumn { collection, column: column.name.clone() });
            }
        }
        if self.primary_key.is_empty() {
            return Err(TableError::NoKey { collection });
        }
        match self.primary_key.iter().find(|name| self.position(name).is_none()) {
            Some(name) => Err(TableError::NoKeyColumn { collection, column: name.clone() }),
            None => self.check_set_key(),
        }
    }

    fn check_set_key(&self) -> Result<(), TableError> {
        let collection = self.collection.clone();
        if let Some(name) = &self.closed_by {
            let is_number = self.columns.contains(&Column::new(name.clone(), ColumnType::BigInt));
            let is_of_row = self.primary_key.contains(name) && !self.set_key.contains(name);
            if !is_number || !is_of_row || self.set_key.is_empty() {
                return Err(TableError::NotToCloseBy { collection, column: name.clone() });
            }
        }
        if self.set_key.is_empty() {
            return Ok(());
        }
        if let Some(name) = self.set_key.iter().find(|name| !self.primary_key.contains(name)) {
            return Err(TableError::NotOfPrimaryKey { collection, column: name.clone() });
        }
        let needed =
            [Column::new(IS_DELETED, ColumnType::Boolean), Column::new(DELETED_REASON, ColumnType::Text)];
        match needed.into_iter().find(|column| !self.columns.contains(column)) {
            Some(Column { name: column, column_type }) => {
                Err(TableError::NoDeletionColumn { collection, column, column_type })
            }
            None => Ok(()),
        }
    }

    /// The place of the column of exactly this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnType::*;

    const ALL: [ColumnType; 7] = [Text, BigInt, Double, Boolean, Date, Timestamp, Json];

    #[test]
    fn widening_does_not_depend_on_order() {
        for a in ALL {
            assert_eq!(a.widened(a), a);
            for b in ALL {
                assert_eq!(a.widened(b), b.widened(a));
                for c in ALL {
                    assert_eq!(a.widened(b).widened(c), a.widened(b.widened(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    #[test]
    fn names_equal_but_for_case_are_refused() {
        let columns = vec![Column::new("id", BigInt), Column::new("Id", Text)];
        let refused = Table::new("contacts", &["id"], columns).unwrap_err();
        assert_eq!(
            refused,
            TableError::DuplicateColumn { collection: "contacts".into(), column: "Id".into() }
        );
    }

    #[test]
    fn a_key_must_name_a_column() {
        let refused = Table::new("contacts", &["vid"], vec![Column::new("id", BigInt)]).unwrap_err();
        assert_eq!(refused, TableError::NoKeyColumn { collection: "contacts".into(), column: "vid".into() });
    }

    fn identities(deletion: &[(&str, ColumnType)]) -> Table {
        let mut columns = vec![Column::new("contact_id", BigInt), Column::new("value", Text)];
        columns.extend(deletion.iter().map(|&(name, column_type)| Column::new(name, column_type)));
        Table::new("contact_identities", &["contact_id", "value"], columns).unwrap()
    }

    #[test]
    fn a_set_key_is_a_part_of_the_primary_key() {
        let table = identities(&[(IS_DELETED, Boolean), (DELETED_REASON, Text)]);
        assert_eq!(table.clone().with_set_key(&["contact_id"]).unwrap().set_key, ["contact_id"]);
        for name in ["Contact_ID", "is_deleted", "none"] {
            let refused = table.clone().with_set_key(&["contact_id", name]).unwrap_err();
            let collection = "contact_identities".to_owned();
            assert_eq!(refused, TableError::NotOfPrimaryKey { collection, column: name.to_owned() });
        }
    }

    #[test]
    fn sets_are_closed_by_a_number_that_tells_their_rows_apart() {
        let columns = [("list_id", BigInt), ("record_id", BigInt), ("name", Text), (IS_DELETED, Boolean)];
        let columns = columns.into_iter().chain([(DELETED_REASON, Text)]);
        let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).collect();
        let table = Table::new("list_memberships", &["list_id", "record_id", "name"], columns).unwrap();
        assert!(table.clone().with_sets_closed_by("record_id").is_err(), "there are no sets");
        let table = table.with_set_key(&["list_id"]).unwrap();
        for name in ["list_id", "name", "is_deleted", "none"] {
            let refused = table.clone().with_sets_closed_by(name).unwrap_err().to_string();
            assert!(refused.contains("can't close its sets"), "{refused}");
        }
        let closed = table.with_sets_closed_by("record_id").unwrap();
        assert_eq!(serde_json::from_str::<Table>(&serde_json::to_string(&closed).unwrap()).unwrap(), closed);
    }

    #[test]
    fn a_set_key_needs_columns_to_delete_by() {
        let refusal = |deletion: &[(&str, ColumnType)]| {
            identities(deletion).with_set_key(&["contact_id"]).unwrap_err().to_string()
        };
        assert!(refusal(&[(DELETED_REASON, Text)]).contains("no Boolean column \"is_deleted\""));
        assert!(refusal(&[(IS_DELETED, Text), (DELETED_REASON, Text)]).contains("no Boolean column"));
        assert!(refusal(&[(IS_DELETED, Boolean)]).contains("no Text column \"deleted_reason\""));
    }

    #[test]
    fn a_table_without_a_set_key_is_written_as_it_always_was() {
        let table = identities(&[(IS_DELETED, Boolean), (DELETED_REASON, Text)]);
        let json = serde_json::to_string(&table).unwrap();
        assert!(!json.contains("set_key") && !json.contains("closed_by"), "{json}");
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
    }
}

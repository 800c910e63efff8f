//! The way of a row of Segment's into a table of ours: which columns are the same, and what each text becomes.

use std::collections::HashMap;

use hubspot::feeds::CollectionEntry;
use serde_json::{Map, Value};
use staging::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, MERGED_INTO_ID, READ_AT, REMOVED,
    RUN_ID, Rows, SOURCE_UPDATED_AT, Table, UNPARSED,
};
use warehouse::Shape;

/// Columns about a row itself, which a load writes.
const OURS: [&str; 9] = [
    IS_DELETED,
    DELETED_AT,
    DELETED_REASON,
    MERGED_INTO_ID,
    SOURCE_UPDATED_AT,
    READ_AT,
    RUN_ID,
    FILE,
    UNPARSED,
];
/// A version before that of each row that HubSpot shows, whenever it was read.
const OLDEST_MS: i64 = 0;

/// Columns of a table of Segment's that are also in ours.
#[derive(Debug)]
pub(super) struct Columns {
    /// Of the key: Segment's names, and ours.
    pub(super) key: Vec<(String, String)>,
    /// Segment's names of all others.
    pub(super) further: Vec<String>,
    /// Segment's columns that ours lacks, and those that say nothing of a record.
    pub(super) aside: Vec<String>,
    /// The staged table: the key, the further columns, and those about the row.
    pub(super) table: Table,
}

/// Outcome of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is staged; so many of its values did not parse.
    Staged(u64),
    /// Its key is none of HubSpot's.
    WithoutKey,
}

impl Columns {
    /// # Errors
    /// The reason why rows of that table have no key.
    pub(super) fn new(entry: &CollectionEntry, ours: &Shape, theirs: &Shape) -> Result<Columns, String> {
        let is_json = |name: &str| {
            entry
                .columns
                .iter()
                .any(|it| it.column_type == ColumnType::Json && it.name.eq_ignore_ascii_case(name))
        };
        let beside: Vec<&str> = ours.beside.iter().map(|(_, holder)| holder.as_str()).collect();
        let is_of_record = |column: &&Column| {
            let name = column.name.to_lowercase();
            !name.starts_with('_')
                && !OURS.contains(&name.as_str())
                && !beside.contains(&column.name.as_str())
        };
        let mut wanted: HashMap<String, &Column> = ours
            .columns
            .iter()
            .filter(is_of_record)
            .map(|column| (column.name.to_lowercase(), column))
            .collect();
        // Of names that are equal but for case, the one that is spelled as ours comes first.
        let mut of_segment: Vec<&Column> = theirs.columns.iter().collect();
        of_segment.sort_by_key(|column| !ours.columns.iter().any(|it| it.name == column.name));
        let (mut same, mut aside) = (Vec::new(), Vec::new());
        for column in of_segment {
            match wanted.remove(&column.name.to_lowercase()) {
                Some(own) if is_json(&own.name) => {
                    same.push((column, Column::new(own.name.clone(), ColumnType::Json)));
                }
                Some(own) => same.push((column, own.clone())),
                None => aside.push(column.name.clone()),
            }
        }
        aside.sort();
        let mut key = Vec::new();
        for name in entry.primary_key {
            let place = same.iter().position(|(_, own)| own.name.eq_ignore_ascii_case(name));
            let Some(place) = place else {
                return Err(format!("it has no column {name}, by which rows are told apart"));
            };
            key.push(same.remove(place));
        }
        let mut columns: Vec<Column> = key.iter().chain(&same).map(|(_, own)| own.clone()).collect();
        if ours.columns.iter().any(|column| column.name.eq_ignore_ascii_case(IS_DELETED)) {
            columns.push(Column::new(IS_DELETED, ColumnType::Boolean));
            columns.push(Column::new(DELETED_REASON, ColumnType::Text));
        }
        let about = [
            (SOURCE_UPDATED_AT, ColumnType::Timestamp),
            (READ_AT, ColumnType::Timestamp),
            (RUN_ID, ColumnType::Text),
            (FILE, ColumnType::Text),
            (UNPARSED, ColumnType::Json),
        ];
        columns.extend(about.map(|(name, column_type)| Column::new(name, column_type)));
        let names: Vec<&str> = key.iter().map(|(_, own)| own.name.as_str()).collect();
        let table = Table::new(entry.name, &names, columns).map_err(|error| error.to_string())?;
        Ok(Columns {
            key: key.iter().map(|(column, own)| (column.name.clone(), own.name.clone())).collect(),
            further: same.iter().map(|(column, _)| column.name.clone()).collect(),
            aside,
            table,
        })
    }

    /// `true`: rows come in as deleted ones.
    pub(super) fn has_deletions(&self) -> bool {
        self.table.position(IS_DELETED).is_some()
    }

    /// Appends a row: the texts of the key, then of the further columns.
    pub(super) fn append(&self, rows: &mut Rows, texts: &[Option<String>], run_id: &str) -> Taken {
        let mut unparsed = Map::new();
        for (place, (column, text)) in self.table.columns.iter().zip(texts).enumerate() {
            let text = text.as_deref().unwrap_or_default();
            let is_key = place < self.key.len();
            let is_set = match rows.cell(place) {
                Some(_) if is_key && text.trim().is_empty() => false,
                Some(cell) => hubspot::set_text(cell, column.column_type, text),
                None => true,
            };
            match is_set {
                true => {}
                false if is_key => {
                    rows.discard_row();
                    return Taken::WithoutKey;
                }
                false => _ = unparsed.insert(column.name.clone(), Value::from(text)),
            }
        }
        self.finish(rows, run_id, &unparsed);
        Taken::Staged(unparsed.len() as u64)
    }

    fn finish(&self, rows: &mut Rows, run_id: &str, unparsed: &Map<String, Value>) {
        let cell = |rows: &mut Rows, name: &str, set: &dyn Fn(staging::Cell<'_>)| {
            if let Some(place) = self.table.position(name)
                && let Some(cell) = rows.cell(place)
            {
                set(cell);
            }
        };
        cell(rows, IS_DELETED, &|cell| cell.boolean(true));
        cell(rows, DELETED_REASON, &|cell| cell.text(REMOVED));
        cell(rows, READ_AT, &|cell| cell.timestamp(OLDEST_MS));
        cell(rows, RUN_ID, &|cell| cell.text(run_id));
        if !unparsed.is_empty() {
            let json = serde_json::to_string(unparsed).unwrap_or_default();
            cell(rows, UNPARSED, &|cell| cell.text(&json));
        }
        rows.finish_row();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::entry;
    use super::*;
    use ColumnType::{BigInt, Boolean, Double, Text, Timestamp};

    fn shape(columns: &[(&str, ColumnType)]) -> Shape {
        let columns = columns.iter().map(|(name, column_type)| Column::new(*name, *column_type)).collect();
        Shape { columns, beside: Vec::new() }
    }

    fn ours() -> Shape {
        shape(&[
            ("id", BigInt),
            ("amount", Double),
            ("closedate", Timestamp),
            ("associated_vids", Text),
            ("received_at", Timestamp),
            (IS_DELETED, Boolean),
            (DELETED_REASON, Text),
            (READ_AT, Timestamp),
            ("_extra", Text),
        ])
    }

    fn of_deals(theirs: &[&str]) -> Result<Columns, String> {
        let theirs: Vec<(&str, ColumnType)> = theirs.iter().map(|name| (*name, Text)).collect();
        Columns::new(&entry("deals").unwrap(), &ours(), &shape(&theirs))
    }

    #[test]
    fn columns_are_the_same_by_name_in_any_case() {
        let found = of_deals(&[
            "uuid_ts",
            "AMOUNT",
            "amount",
            "ID",
            "is_deleted",
            "Received_At",
            "_extra",
            "old_one",
        ])
        .unwrap();
        assert_eq!(found.key, [("ID".to_owned(), "id".to_owned())]);
        assert_eq!(found.further, ["amount", "Received_At"]);
        assert_eq!(found.aside, ["AMOUNT", "_extra", "is_deleted", "old_one", "uuid_ts"]);
        let names: Vec<&str> = found.table.columns.iter().map(|column| column.name.as_str()).collect();
        let about = ["_source_updated_at", "_read_at", "_run_id", "_file", "_unparsed"];
        let all = [&["id", "amount", "received_at", "is_deleted", "deleted_reason"][..], &about].concat();
        assert_eq!(names, all);
        assert!(of_deals(&["amount"]).unwrap_err().contains("no column id"));
    }

    #[test]
    fn a_value_that_does_not_parse_is_kept_and_a_key_that_does_not_leaves_the_row_aside() {
        let columns = of_deals(&["id", "amount", "closedate", "associated_vids"]).unwrap();
        let mut rows = Rows::new(&columns.table);
        let mut append = |texts: [&str; 4]| {
            let texts: Vec<_> = texts.iter().map(|text| Some((*text).to_owned())).collect();
            columns.append(&mut rows, &texts, "run-1")
        };
        assert_eq!(append(["7", "12.5", "1633996800000", "[1,2]"]), Taken::Staged(0));
        assert_eq!(append(["8", "a lot", "soon", "1;2"]), Taken::Staged(3));
        assert_eq!(append(["", "1", "", ""]), Taken::WithoutKey);
        assert_eq!(append(["abc", "1", "", ""]), Taken::WithoutKey);
        assert_eq!(append(["9", "", "2021-10-12 00:00:00", ""]), Taken::Staged(0));
        assert_eq!(rows.len(), 3);
    }
}

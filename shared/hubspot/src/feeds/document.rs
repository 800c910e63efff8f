//! From a JSON object to a row of a collection whose columns are known beforehand: each field straight into its
//! column's builder, nested objects by their path. What no column is for is kept in `_extra`, so nothing HubSpot
//! sends is lost, and a key that appears one day breaks nothing.

use std::collections::HashMap;

use staging::{Cell, ColumnType, Rows, Table};

use super::collection::{Collection, Origin};
use super::lineage::{DeletedReason, Deletes, EXTRA, JsonFields, Lineage, Reading, set};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Malformed, Scanner, Str};
use crate::value;

/// Levels of a JSON value that a column takes.
const MAX_JSON_DEPTH: usize = 450;

/// The table of one collection, for one run.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) table: Table,
    fields: Node,
    extra: usize,
    deletes: Option<Deletes>,
    lineage: Lineage,
}

/// The known fields at one level of nesting.
#[derive(Debug, Default)]
struct Node {
    column: Option<Target>,
    below: HashMap<Box<str>, Node>,
}

#[derive(Debug, Clone)]
struct Target {
    column: usize,
    column_type: ColumnType,
    /// The column's name, quoted for a JSON object.
    json_name: Box<str>,
}

impl Document {
    /// `without` names columns that this run can't fill: a file that lacks a column leaves the table's values alone,
    /// where NULL would clear them.
    pub(super) fn new(collection: &'static Collection, without: &[&str]) -> Result<Document> {
        let mut columns: Vec<staging::Column> = Vec::new();
        let mut add = |name: &'static str, column_type: ColumnType| {
            columns.push(staging::Column::new(name, column_type));
            columns.len() - 1
        };
        let mut fields = Node::default();
        for column in collection.columns.iter().filter(|column| !without.contains(&column.name)) {
            let place = add(column.name, column.column_type);
            if let Origin::Field(path) = column.origin {
                let json_name = serde_json::Value::from(column.name).to_string().into();
                fields.at(path).column =
                    Some(Target { column: place, column_type: column.column_type, json_name });
            }
        }
        let deletes = collection.is_deletable.then(|| Deletes::new(&mut add));
        let extra = add(EXTRA, ColumnType::Json);
        let lineage = Lineage::new(&mut add);
        let table = Table::new(collection.name, collection.primary_key, columns)
            .and_then(|table| table.with_set_key(collection.set_key))
            .map_err(|source| {
                let message = format!("the columns of {} make no table", collection.name);
                Error::new(ErrorKind::Malformed, message).caused_by(source)
            })?;
        Ok(Document { table, fields, extra, deletes, lineage })
    }

    /// A writer of rows of this table, all from one page.
    pub(super) fn writer<'a>(&'a self, rows: &'a mut Rows, reading: Reading<'a>) -> Writer<'a> {
        Writer {
            document: self,
            rows,
            reading,
            unknown: JsonFields::default(),
            unparsed: JsonFields::default(),
            unparsed_in_row: 0,
            written: Written::default(),
        }
    }
}

/// Counts of what one page wrote into one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    /// Tombstones among them.
    pub deleted: u64,
    pub unparsed_values: u64,
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Written) {
        self.rows += other.rows;
        self.deleted += other.deleted;
        self.unparsed_values += other.unparsed_values;
    }
}

#[derive(Debug)]
pub(super) struct Writer<'a> {
    document: &'a Document,
    rows: &'a mut Rows,
    reading: Reading<'a>,
    unknown: JsonFields,
    unparsed: JsonFields,
    unparsed_in_row: u64,
    pub(super) written: Written,
}

/// A writer's counts at some moment, to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    rows: usize,
    written: Written,
}

impl Writer<'_> {
    /// To be asked between two rows.
    pub(super) fn mark(&self) -> Mark {
        Mark { rows: self.rows.len(), written: self.written }
    }

    /// Takes back all rows since then, the open one included.
    pub(super) fn take_back(&mut self, to: Mark) {
        self.rows.truncate(to.rows);
        self.unknown.clear();
        self.unparsed.clear();
        self.unparsed_in_row = 0;
        self.written = to.written;
    }

    /// Fills the open row from an object.
    pub(super) fn fill(&mut self, object: &mut Scanner<'_>) -> Result<(), Malformed> {
        self.fields(&self.document.fields, "", object)
    }

    /// Fills the open row from an object, without the fields of these names.
    pub(super) fn fill_without(
        &mut self,
        object: &mut Scanner<'_>,
        without: &[&str],
    ) -> Result<(), Malformed> {
        let fields = &self.document.fields;
        object.each_field(|key, value| match without.contains(&key.raw()) {
            true => value.skip(),
            false => self.field(fields, "", key, value),
        })
    }

    /// The rows that follow are of a page that was read then. Answers when this one was.
    pub(super) fn read_at(&mut self, read_ms: i64) -> i64 {
        std::mem::replace(&mut self.reading.read_ms, read_ms)
    }

    pub(super) fn account_id(&self) -> u64 {
        self.reading.account_id
    }

    /// Keeps a field that no column is for; `null` says nothing, wherever it stands.
    pub(super) fn keep(&mut self, name: &str, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        let json = value.raw()?;
        if json != "null" {
            self.unknown.add_raw(&serde_json::Value::from(name).to_string(), json);
        }
        Ok(())
    }

    /// Sets a column by name, unless it has a value or this run leaves it out.
    pub(super) fn set(&mut self, column: &str, value: impl FnOnce(Cell<'_>)) {
        if let Some(column) = self.document.table.position(column) {
            set(self.rows.cell(column), value);
        }
    }

    /// Sets a column of JSON by name; what nests too deep for one is kept as text.
    pub(super) fn set_json(&mut self, column: &str, json: &str) {
        if is_too_deep(json) {
            let quoted = serde_json::Value::from(column).to_string();
            self.unparsed.add_text(&quoted, json);
            self.unparsed_in_row += 1;
        } else {
            self.set(column, |cell| cell.text(json));
        }
    }

    /// Drops the open row.
    pub(super) fn discard(&mut self) {
        self.rows.discard_row();
        self.unknown.clear();
        self.unparsed.clear();
        self.unparsed_in_row = 0;
    }

    /// Ends the open row, of something that is there.
    pub(super) fn finish(&mut self, updated_ms: Option<i64>) {
        if let Some(deletes) = &self.document.deletes {
            deletes.is_live(self.rows);
        }
        self.end(updated_ms);
    }

    /// Ends the open row as a tombstone.
    pub(super) fn finish_gone(&mut self, updated_ms: Option<i64>, reason: DeletedReason, at_ms: Option<i64>) {
        if let Some(deletes) = &self.document.deletes {
            deletes.is_gone(self.rows, reason, at_ms);
        }
        self.written.deleted += 1;
        self.end(updated_ms);
    }

    fn end(&mut self, updated_ms: Option<i64>) {
        self.unknown.put(self.rows, self.document.extra);
        self.document.lineage.finish(self.rows, &self.reading, updated_ms, &mut self.unparsed);
        self.written.rows += 1;
        self.written.unparsed_values += std::mem::take(&mut self.unparsed_in_row);
    }

    /// `path` leads to the object, with a dot behind it.
    fn fields(&mut self, node: &Node, path: &str, object: &mut Scanner<'_>) -> Result<(), Malformed> {
        object.each_field(|key, value| self.field(node, path, key, value))
    }

    fn field(
        &mut self,
        node: &Node,
        path: &str,
        key: Str<'_>,
        value: &mut Scanner<'_>,
    ) -> Result<(), Malformed> {
        let name = key.text();
        let known = node.below.get(&*name);
        match known.map(|known| (known, &known.column)) {
            Some((_, Some(target))) => self.value(target, value),
            Some((known, None)) if value.is_object() => self.fields(known, &format!("{path}{name}."), value),
            _ => self.keep(&format!("{path}{name}"), value),
        }
    }

    fn value(&mut self, target: &Target, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        if target.column_type == ColumnType::Json {
            let json = value.raw()?;
            if is_too_deep(json) {
                self.not_parsed(target, json);
            } else if json != "null" {
                set(self.rows.cell(target.column), |cell| cell.text(json));
            }
            return Ok(());
        }
        if value.is_nested() {
            self.not_parsed(target, value.raw()?);
            return Ok(());
        }
        let Some(text) = value.scalar()? else { return Ok(()) };
        if let Some(cell) = self.rows.cell(target.column)
            && !value::set(cell, target.column_type, text)
        {
            self.not_parsed(target, &text.text());
        }
        Ok(())
    }

    fn not_parsed(&mut self, target: &Target, text: &str) {
        self.unparsed.add_text(&target.json_name, text);
        self.unparsed_in_row += 1;
    }
}

/// No warehouse takes it for JSON: BigQuery's take 500 levels, Redshift's 1,000.
fn is_too_deep(json: &str) -> bool {
    json.len() > 2 * MAX_JSON_DEPTH && json::depth(json) > MAX_JSON_DEPTH
}

impl Node {
    fn at(&mut self, path: &str) -> &mut Node {
        path.split('.').fold(self, |node, key| node.below.entry(key.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, ArrayRef};
    use arrow_schema::ArrowError;
    use proptest::prelude::*;

    use super::super::collection::{field, made, never};
    use super::*;

    static THINGS: Collection = Collection {
        name: "things",
        about: "A thing.",
        primary_key: &["id"],
        key_reason: "its id",
        set_key: &[],
        is_deletable: true,
        calls: "1",
        columns: &[
            field("id", ColumnType::BigInt, "id"),
            field("place_city", ColumnType::Text, "place.city"),
            field("tags", ColumnType::Json, "tags"),
            made("label", ColumnType::Text, "a label"),
            never("lost", ColumnType::Text, "nobody tells"),
        ],
    };
    const READING: Reading<'_> = Reading { account_id: 7, run_id: "run-1", read_ms: 5, theirs_ms: 5 };

    fn columns(document: &Document, rows: &mut Rows) -> BTreeMap<String, ArrayRef> {
        let mut columns = BTreeMap::new();
        rows.drain(|place, array| {
            columns.insert(document.table.columns[place].name.clone(), array);
            Ok::<_, ArrowError>(())
        })
        .unwrap();
        columns
    }

    /// The texts of one row, without the columns that every row has.
    fn row_of(json: &str) -> (BTreeMap<String, String>, Written) {
        let document = Document::new(&THINGS, &[]).unwrap();
        let mut rows = Rows::new(&document.table);
        let mut writer = document.writer(&mut rows, READING);
        writer.fill(&mut Scanner::new(json)).unwrap();
        writer.finish(None);
        let written = writer.written;
        let columns = columns(&document, &mut rows);
        let texts =
            ["place_city", "tags", "label", "lost", "_extra", "_unparsed"].into_iter().filter_map(|name| {
                let column = columns[name].as_string::<i32>();
                column.is_valid(0).then(|| (name.to_owned(), column.value(0).to_owned()))
            });
        let mut row: BTreeMap<String, String> = texts.collect();
        let id = columns["id"].as_primitive::<Int64Type>();
        row.extend(id.is_valid(0).then(|| ("id".to_owned(), id.value(0).to_string())));
        (row, written)
    }

    fn fields(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn nested_fields_have_columns_and_lists_stay_json() {
        let (row, written) = row_of(r#"{"id":"9","place":{"city":"Ulm"},"tags":["a", {"b":1}]}"#);
        assert_eq!(row, fields(&[("id", "9"), ("place_city", "Ulm"), ("tags", r#"["a", {"b":1}]"#)]));
        assert_eq!(written, Written { rows: 1, deleted: 0, unparsed_values: 0 });
    }

    #[test]
    fn what_no_column_is_for_is_kept_by_its_path() {
        let (row, _) =
            row_of(r#"{"id":1,"new":{"x":[1]},"place":{"zip":"89073","gone":null},"label":"ours"}"#);
        let extra = r#"{"new":{"x":[1]},"place.zip":"89073","label":"ours"}"#;
        assert_eq!(row, fields(&[("id", "1"), ("_extra", extra)]));
    }

    #[test]
    fn a_value_of_another_type_costs_itself_alone() {
        let (row, written) = row_of(r#"{"id":"x","place":"nowhere","tags":null}"#);
        assert_eq!(row, fields(&[("_unparsed", r#"{"id":"x"}"#), ("_extra", r#"{"place":"nowhere"}"#)]));
        assert_eq!(written.unparsed_values, 1);
    }

    #[test]
    fn a_column_left_out_is_not_in_the_table() {
        let document = Document::new(&THINGS, &["label"]).unwrap();
        assert_eq!(document.table.position("label"), None);
        let mut rows = Rows::new(&document.table);
        let mut writer = document.writer(&mut rows, READING);
        writer.set("label", |cell| cell.text("nowhere to go"));
        writer.finish(Some(3));
        assert_eq!(rows.len(), 1);
    }

    proptest! {
        #[test]
        fn no_object_is_too_odd(keys in proptest::collection::vec(("[a-z.\"]{0,6}", ".{0,9}"), 0..6)) {
            let object: serde_json::Map<String, serde_json::Value> =
                keys.into_iter().map(|(key, value)| (key, value.into())).collect();
            let json = serde_json::Value::from(object.clone()).to_string();
            let (row, _) = row_of(&json);
            let known = ["id", "place", "tags"];
            let unknown = object.keys().filter(|key| !known.contains(&key.as_str())).count();
            let extra = row.get("_extra").map_or("{}", String::as_str);
            let kept: serde_json::Map<String, serde_json::Value> = serde_json::from_str(extra).unwrap();
            prop_assert!(kept.len() >= unknown);
        }
    }
}

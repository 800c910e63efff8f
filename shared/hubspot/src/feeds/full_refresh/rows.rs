//! Turns a list into rows of its tables. A list is one set of each of them: what it does not show any more is gone.

use std::borrow::Cow;
use std::collections::BTreeSet;

use staging::ColumnType;
use xxhash_rust::xxh3::xxh3_64;

use super::source::{Fill, Key, RESULTS, RowsOf, Source};
use super::state::Known;
use crate::decimal;
use crate::feeds::document::Writer;
use crate::feeds::lineage::DeletedReason;
use crate::json::{Body, Malformed, Scanner, Str};

/// A list, as rows of each table of its source.
#[derive(Debug)]
pub(in crate::feeds) struct List<'a> {
    source: &'static Source,
    tables: Vec<Vec<Row<'a>>>,
    /// Items without an id, with one that the column can't hold, or without a list that each of them has.
    pub(in crate::feeds) odd: usize,
    pub(in crate::feeds) known: Known,
}

/// A row, and what it is filled from.
#[derive(Debug)]
struct Row<'a> {
    /// The id of the item that it is in, where that is not its own.
    parent: Cow<'a, str>,
    key: Cow<'a, str>,
    item: Item<'a>,
}

#[derive(Debug)]
enum Item<'a> {
    Object(&'a str),
    /// The key alone; `true` in the list of primary ones.
    Id {
        is_primary: bool,
    },
}

impl<'a> List<'a> {
    /// Reads the items of the answers. The first of those with the same key counts: HubSpot has shown live owners among
    /// the archived ones.
    pub(in crate::feeds) fn of(source: &'static Source, answers: &'a [Body]) -> Result<List<'a>, Malformed> {
        let mut list = List { source, tables: Vec::new(), odd: 0, known: Known::default() };
        let mut items = Vec::new();
        for body in answers {
            each_in(body, RESULTS, |item| item.raw().map(|json| items.push(json)))?;
        }
        for fill in source.fills {
            let rows = match fill.rows {
                RowsOf::Items => list.objects(fill, &Cow::Borrowed(""), &items)?,
                RowsOf::Pairs { field, .. } => {
                    let mut rows = Vec::new();
                    for &json in &items {
                        match text_of(field, json)? {
                            Some(parent) => rows.extend(list.objects(fill, &parent, &[json])?),
                            None => list.odd += 1,
                        }
                    }
                    rows
                }
                RowsOf::Objects { list: name, .. } => list.of_items(|list, parent, json| {
                    let mut objects = Vec::new();
                    let is_there = each_in(json, name, |object| object.raw().map(|json| objects.push(json)))?;
                    list.odd += usize::from(!is_there && fill.needs_list);
                    list.objects(fill, parent, &objects)
                })?,
                RowsOf::Ids { lists, .. } => list.of_items(|list, parent, json| {
                    let mut rows = Vec::new();
                    for &(name, is_primary) in lists {
                        let is_there = each_in(json, name, |id| {
                            match key_of(fill, id)? {
                                Some(key) => {
                                    let item = Item::Id { is_primary };
                                    rows.push(Row { parent: parent.clone(), key, item });
                                }
                                None => list.odd += 1,
                            }
                            Ok(())
                        })?;
                        list.odd += usize::from(!is_there && fill.needs_list);
                    }
                    Ok(rows)
                })?,
            };
            list.tables.push(first_of_each(rows));
        }
        list.known =
            Known { hash: list.hash(), rows: list.tables.iter().map(Vec::len).collect(), read_ms: 0 };
        Ok(list)
    }

    /// Returns the rows that objects make.
    fn objects(
        &mut self,
        fill: &Fill,
        parent: &Cow<'a, str>,
        objects: &[&'a str],
    ) -> Result<Vec<Row<'a>>, Malformed> {
        let mut rows = Vec::new();
        for &json in objects {
            match id(fill, json)? {
                Some(key) => rows.push(Row { parent: parent.clone(), key, item: Item::Object(json) }),
                None => self.odd += 1,
            }
        }
        Ok(rows)
    }

    /// Returns the rows that lists in the items make, which have a table already.
    fn of_items(
        &mut self,
        mut rows_of: impl FnMut(&mut Self, &Cow<'a, str>, &'a str) -> Result<Vec<Row<'a>>, Malformed>,
    ) -> Result<Vec<Row<'a>>, Malformed> {
        let items = self.tables.first().into_iter().flatten();
        let items: Vec<(Cow<'a, str>, &'a str)> = items
            .filter_map(|row| match row.item {
                Item::Object(json) => Some((row.key.clone(), json)),
                Item::Id { .. } => None,
            })
            .collect();
        let mut rows = Vec::new();
        for (key, json) in items {
            rows.extend(rows_of(self, &key, json)?);
        }
        Ok(rows)
    }

    /// HubSpot promises no order: the items alone count, and the columns that they are read into.
    fn hash(&self) -> u64 {
        let items = self.tables.first().into_iter().flatten();
        let mut hashes: Vec<u64> = items
            .map(|row| match row.item {
                Item::Object(json) => xxh3_64(json.as_bytes()),
                Item::Id { .. } => xxh3_64(row.key.as_bytes()),
            })
            .collect();
        hashes.sort_unstable();
        let columns = self.source.fills.iter().flat_map(|fill| fill.collection.columns);
        hashes.extend(columns.map(|column| xxh3_64(format!("{column:?}").as_bytes())));
        let bytes: Vec<u8> = hashes.into_iter().flat_map(u64::to_le_bytes).collect();
        xxh3_64(&bytes)
    }

    /// Writes the rows of one of the source's tables; `object` is the one whose list it is. Of a set that had rows and has none, it writes that it is empty.
    pub(in crate::feeds) fn write(
        &self,
        place: usize,
        object: Option<&str>,
        had_rows: bool,
        writer: &mut Writer<'_>,
    ) -> Result<(), Malformed> {
        let (Some(fill), Some(rows)) = (self.source.fills.get(place), self.tables.get(place)) else {
            return Ok(());
        };
        for row in rows {
            set_set(object, writer);
            if let Some(parent) = fill.parent() {
                writer.set(parent, |cell| cell.text(&row.parent));
            }
            match row.item {
                Item::Object(json) => {
                    writer.fill_without(&mut Scanner::new(json), &self.source.nested())?;
                }
                Item::Id { is_primary } => {
                    if let Some(id) = decimal::whole(&row.key) {
                        writer.set(fill.key.column, |cell| cell.bigint(id));
                    }
                    writer.set("is_primary", |cell| cell.boolean(is_primary));
                }
            }
            // The rows of a set have one version: the time at which they were read.
            writer.finish(None);
        }
        if rows.is_empty() && had_rows {
            set_set(object, writer);
            for name in fill.collection.primary_key {
                match fill.column_type(name) {
                    Some(ColumnType::BigInt) => writer.set(name, |cell| cell.bigint(0)),
                    _ => writer.set(name, |cell| cell.text("")),
                }
            }
            writer.finish_gone(None, DeletedReason::Removed, None);
        }
        Ok(())
    }
}

/// Fills the columns that tell which set a row belongs to.
fn set_set(object: Option<&str>, writer: &mut Writer<'_>) {
    let account_id = writer.account_id();
    writer.set("portal_id", |cell| cell.bigint(account_id as i64));
    if let Some(object) = object {
        writer.set("object", |cell| cell.text(object));
    }
}

fn first_of_each(mut rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert((row.parent.clone(), row.key.clone())));
    rows
}

/// Calls it with each item of a list in an object. `false`: the object does not have the list.
fn each_in<'a>(
    object: &'a str,
    list: &str,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), Malformed>,
) -> Result<bool, Malformed> {
    let mut scanner = Scanner::new(object);
    let mut is_there = false;
    if !scanner.is_object() {
        return Ok(is_there);
    }
    scanner.each_field(|key, value| match key.raw() == list && value.is_nested() && !value.is_object() {
        true => {
            is_there = true;
            value.each_item(&mut item)
        }
        false => value.skip(),
    })?;
    Ok(is_there)
}

/// Returns the key of the row that an object makes; `None` if the column can't hold it.
fn id<'a>(fill: &Fill, object: &'a str) -> Result<Option<Cow<'a, str>>, Malformed> {
    let mut found = None;
    let mut scanner = Scanner::new(object);
    if !scanner.is_object() {
        return Ok(None);
    }
    scanner.each_field(|key, value| {
        if key.raw() == fill.key.field && found.is_none() {
            found = key_of(fill, value)?;
            return Ok(());
        }
        value.skip()
    })?;
    Ok(found)
}

/// Returns a text in an object; `None` if there is none, or it is empty.
fn text_of<'a>(field: &str, object: &'a str) -> Result<Option<Cow<'a, str>>, Malformed> {
    let mut found = None;
    let mut scanner = Scanner::new(object);
    if !scanner.is_object() {
        return Ok(None);
    }
    scanner.each_field(|key, value| {
        if key.raw() == field && !value.is_nested() {
            found = value.scalar()?.map(Str::text).filter(|text| !text.is_empty());
            return Ok(());
        }
        value.skip()
    })?;
    Ok(found)
}

fn key_of<'a>(fill: &Fill, value: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    if value.is_nested() {
        return value.skip().map(|()| None);
    }
    let Key { column, .. } = fill.key;
    let is_number = fill.column_type(column) == Some(ColumnType::BigInt);
    let key = value.scalar()?.map(Str::text);
    // Within an item, the item's own id keeps a row apart: an option may have an empty value.
    let may_be_empty = !is_number && fill.parent().is_some();
    let is_key = |key: &Cow<'a, str>| match is_number {
        true => decimal::whole(key).is_some(),
        false => may_be_empty || !key.is_empty(),
    };
    Ok(key.filter(is_key))
}

#[cfg(test)]
mod tests {
    use super::super::METADATA;
    use super::*;

    fn bodies(answers: &[&str]) -> Vec<Body> {
        answers.iter().map(|answer| Body::new((*answer).to_owned().into()).unwrap()).collect()
    }

    /// Keys of the rows of each table, the number of odd ones, and the hash.
    fn list(name: &str, answers: &[&str]) -> (Vec<Vec<(String, String)>>, usize, u64) {
        let bodies = bodies(answers);
        let list = List::of(METADATA.source(name).unwrap(), &bodies).unwrap();
        let keys = |rows: &Vec<Row<'_>>| {
            rows.iter().map(|row| (row.parent.to_string(), row.key.to_string())).collect()
        };
        (list.tables.iter().map(keys).collect(), list.odd, list.known.hash)
    }

    fn keys(keys: &[(&str, &str)]) -> Vec<(String, String)> {
        keys.iter().map(|&(parent, key)| (parent.to_owned(), key.to_owned())).collect()
    }

    #[test]
    fn the_first_of_two_with_one_id_counts() {
        let (tables, odd, _) = list(
            "owners",
            &[
                r#"{"results":[{"id":"7","teams":[{"id":"1"},{"id":"1"}]},{"id":"8"}]}"#,
                r#"{"results":[{"id":"7","archived":true,"teams":[{"id":"2"}]}]}"#,
            ],
        );
        assert_eq!(tables, [keys(&[("", "7"), ("", "8")]), keys(&[("7", "1")])]);
        assert_eq!(odd, 0);
    }

    #[test]
    fn what_has_no_id_that_the_column_holds_is_counted() {
        let answer =
            r#"{"results":[{"id":"x"},{"id":null},{},7,{"id":""},{"id":[1]},{"id":"5","email":"a@b.c"}]}"#;
        let (tables, odd, _) = list("account_users", &[answer]);
        assert_eq!((tables, odd), (vec![keys(&[("", "5")])], 6));
        let answer = r#"{"results":[{"id":"1","userIds":["5","x",{}],"secondaryUserIds":["5",6]}]}"#;
        let (tables, odd, _) = list("teams", &[answer]);
        assert_eq!(tables[1], keys(&[("1", "5"), ("1", "6")]));
        assert_eq!(odd, 2);
    }

    #[test]
    fn the_order_of_items_says_nothing() {
        let [one, other] = [r#"{"id":"1","label":"a"}"#, r#"{"id":"2","label":"b"}"#];
        let hash = |items: &str| list("roles", &[&format!(r#"{{"results":[{items}]}}"#)]).2;
        assert_eq!(hash(&format!("{one},{other}")), hash(&format!("{other},{one}")));
        assert_ne!(hash(&format!("{one},{other}")), hash(one));
        assert_ne!(hash(one), hash(&one.replace('a', "c")));
    }

    #[test]
    fn an_id_with_an_escape_is_the_same_in_both_tables() {
        let answer = r#"{"results":[{"id":"\u00e4","label":"x","stages":[{"id":"s"}]}]}"#;
        let (tables, _, _) = list("pipelines", &[answer]);
        assert_eq!(tables, [keys(&[("", "ä")]), keys(&[("ä", "s")])]);
    }
}

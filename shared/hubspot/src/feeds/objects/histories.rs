//! The table of past values: of each property on a list, what it is and was, since when, and who set it. They come with
//! the records' own values, in the same answer, and 50 records to a call instead of 100.
//!
//! The values of one property of one record are a set: each answer has all of them, and what a newer one does not show is
//! gone. A set that is found empty, and may have had rows, is one deleted row, with the position 0.
//!
//! | what | how |
//! |---|---|
//! | a record that changed | its past comes with its values |
//! | an archived record | its past is read and kept, as its values are: it can be restored |
//! | a record that is merged, or gone | its sets become empty, without a call: the survivor has its own past, and what HubSpot has erased stays nowhere |
//! | a property that is new on the list, or back on it | a run over changes becomes one over everything |
//! | a property that is not on the list any more | its rows stay as they were, but for those of records that are gone |
//! | a property that the account does not define | it is named |

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use staging::ColumnType::{BigInt, Text, Timestamp};
use staging::Rows;

use super::records::Record;
use super::slice::Slice;
use super::state::{RecordCursor, RunOfRecords};
use super::{ObjectFeed, ObjectType, Result};
use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::{Document, Writer, Written};
use crate::feeds::lineage::{DeletedReason, Reading};
use crate::feeds::quarantine::{SetAside, Thing};
use crate::feeds::session::Session;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Gap, Note};
use crate::json::{Body, Malformed, Scanner};
use crate::properties::Property;
use crate::value;

/// Kind, in the quarantine, of a record whose past is left out.
pub(super) const KIND: &str = "property history";

pub(in crate::feeds) static PROPERTY_HISTORY: Collection = Collection {
    name: crate::feeds::PROPERTY_HISTORY,
    about: "A value that a property of a record has or had, for the listed properties of each object. The value of today \
            is the one whose `valid_to` is NULL.",
    primary_key: &["object", "object_id", "property", "position"],
    set_key: &["object", "object_id", "property"],
    key_reason: "several values may be set at one moment, so the key is their order. The values of one property of one \
                 record are read together; a row with the `position` 0, deleted, says that there are none",
    is_deletable: true,
    calls: "none of its own. A record's past comes with its values, and 50 records to a call instead of 100",
    columns: &[
        made("object", Text, "the collection of the record"),
        made("object_id", BigInt, "its `id`"),
        made("property", Text, "the name of the property"),
        made("position", BigInt, "1 for the first value, and so on up to the one of today"),
        field("value", Text, "value"),
        field("changed_at", Timestamp, "timestamp"),
        made("valid_to", Timestamp, "`timestamp` of the next value; NULL for the one of today"),
        field("source_type", Text, "sourceType"),
        field("source_id", Text, "sourceId"),
        field("source_label", Text, "sourceLabel"),
        field("updated_by_user_id", BigInt, "updatedByUserId"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
    ],
};

/// What is known of the past of one property.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct HistoryMemory {
    /// That of all records is read, but for what changes after the last run.
    is_read: bool,
    /// A value was seen.
    is_seen: bool,
    /// A run began, and has not ended.
    has_begun: bool,
}

/// What a run has found out about the past of one property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct HistoryRun {
    /// Rows of earlier runs may be there.
    had_rows: bool,
    is_seen: bool,
    /// It came on the list, or went, when the run was under way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_late: bool,
}

/// By property.
pub(in crate::feeds) type Histories = BTreeMap<String, HistoryMemory>;
pub(in crate::feeds) type HistoryRuns = BTreeMap<String, HistoryRun>;

/// The table, for one run of a feed.
#[derive(Debug)]
pub(super) struct HistoryTable {
    pub(super) document: Document,
    /// Those that are read.
    pub(super) properties: Vec<String>,
    /// Those that somebody has listed, and the account does not define.
    unknown: Vec<String>,
    /// Those of which rows may be there, on the list or not.
    kept: Vec<String>,
    /// When it was opened, by HubSpot's clock.
    opened_ms: i64,
    /// An answer has shown a past, and one has lacked it.
    is_shown: AtomicBool,
    is_lacking: AtomicBool,
}

impl HistoryTable {
    /// Makes the table; `None` where nobody wants it, or no property of the object was ever on a list. A property whose
    /// past was never read makes the run read all records, and so does one that was not on the list for a while: what was
    /// read without it meanwhile has not told when it changed. Where nobody wants it any more, the table takes the rows
    /// of records that are gone.
    pub(super) fn open(
        object: &ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &mut RecordCursor<'_>,
        defined: &[Property],
    ) -> Result<Option<HistoryTable>> {
        if mode.is_snapshot() {
            return Ok(None);
        }
        let is_defined = |name: &&str| defined.iter().any(|property| property.name == **name);
        let listed = session.histories.iter().flat_map(|list| list.of(object.name));
        let (properties, unknown): (Vec<&str>, Vec<&str>) = listed.partition(is_defined);
        if mode == Mode::Incremental && cursor.run.is_none() && cursor.watermark_ms.is_some() {
            let is_read = |name: &&str| cursor.own.histories.get(*name).is_some_and(|known| known.is_read);
            cursor.is_due_whole |= !properties.iter().all(is_read);
        }
        if cursor.run.is_some() {
            // The run that goes on may be given up, and may have begun without one of them.
            for property in &properties {
                cursor.own.histories.entry((*property).to_owned()).or_default().has_begun = true;
            }
        }
        let may_have_rows = cursor.own.histories.iter().filter(|(_, known)| known.is_seen || known.has_begun);
        let kept: Vec<String> = may_have_rows.map(|(property, _)| property.clone()).collect();
        if properties.is_empty() && unknown.is_empty() && kept.is_empty() {
            return Ok(None);
        }
        let is_listed = session.histories.as_ref().is_some_and(|list| !list.is_default());
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        Ok(Some(HistoryTable {
            document: Document::new(&PROPERTY_HISTORY, &[])?,
            properties: owned(properties),
            unknown: if is_listed { owned(unknown) } else { Vec::new() },
            kept,
            opened_ms: session.client.now().timestamp_millis(),
            is_shown: AtomicBool::new(false),
            is_lacking: AtomicBool::new(false),
        }))
    }

    pub(super) fn notes(&self, object: &ObjectType) -> impl Iterator<Item = Note> {
        let is_silent = self.is_lacking.load(Ordering::Relaxed) && !self.is_shown.load(Ordering::Relaxed);
        let silent = is_silent.then(|| format!("HubSpot shows no past of {}", object.name));
        let unknown = (!self.unknown.is_empty()).then(|| {
            format!("{} have no property {}: no past of it is read", object.name, self.unknown.join(", "))
        });
        let note = |text| Note { collection: PROPERTY_HISTORY.name, gap: Gap::Degraded, text };
        silent.into_iter().chain(unknown).map(note)
    }
}

/// Remembers that a run begins. Should it be given up, nobody knows what it has seen.
pub(super) fn begin(known: &mut Histories, read: &[String]) -> HistoryRuns {
    let begin = |property: &String| {
        let known = known.entry(property.clone()).or_default();
        known.is_seen |= known.has_begun;
        known.has_begun = true;
        (property.clone(), HistoryRun { had_rows: known.is_seen, ..HistoryRun::default() })
    };
    read.iter().map(begin).collect()
}

/// Keeps what a run that has ended knows of the properties that it has read from its beginning on. Of the others, the
/// past of what it has read is not read.
pub(super) fn keep(known: &mut Histories, run: &mut RunOfRecords<'_>) {
    let read = std::mem::take(&mut run.own.histories);
    // No later run meets its records again.
    let is_last = run.moves_watermark || run.answers.is_some();
    for (property, known) in known.iter_mut().filter(|_| is_last) {
        known.is_read &= read.get(property).is_some_and(|read| !read.is_late);
    }
    for (property, read) in read {
        let known = known.entry(property).or_default();
        known.is_seen |= read.is_seen;
        known.has_begun = false;
        known.is_read |= run.moves_watermark && run.is_whole && !read.is_late;
    }
}

impl ObjectFeed {
    /// Properties whose past is asked for.
    pub(super) fn history_names(&self) -> impl Iterator<Item = &str> {
        self.histories.iter().flat_map(|table| &table.properties).map(String::as_str)
    }

    /// A run goes on: properties that are not read any more were not read to its end, and new ones not from its beginning.
    pub(super) fn begin_histories_again(&self, runs: &mut HistoryRuns) {
        for (property, read) in runs.iter_mut() {
            read.is_late |= self.history_names().all(|name| name != property);
        }
        for property in self.history_names() {
            let late = HistoryRun { had_rows: true, is_late: true, ..HistoryRun::default() };
            runs.entry(property.to_owned()).or_insert(late);
        }
    }

    /// A record was set aside for a past that nobody wants any more.
    pub(super) fn is_former_history(&self, entry: &SetAside) -> bool {
        entry.collection == PROPERTY_HISTORY.name && self.history_names().next().is_none()
    }

    /// Appends the past of the records of an answer whose rows were written. Where it is left out, they are asked for once
    /// more, and then set aside.
    pub(super) fn append_histories(
        &self,
        (body, records): (&Body, &[Record]),
        slice: &Slice,
        run: &mut RunOfRecords<'_>,
        rows: Option<&mut Rows>,
        reading: Reading<'_>,
    ) -> Result<Written> {
        let (Some(table), Some(rows)) = (&self.histories, rows) else { return Ok(Written::default()) };
        let kept = records.iter().filter(|record| record.is_kept);
        let kept: HashMap<u64, &Record> = kept.map(|record| (record.id, record)).collect();
        if table.properties.is_empty() || kept.is_empty() {
            return Ok(Written::default());
        }
        let mut writer = HistoryWriter::new(self, table, rows, reading);
        let mut left_out = Vec::new();
        Scanner::new(body).each_field(|key, value| match key.raw() {
            "results" => value.each_item(|record| {
                let Ok(shown) = Shown::of(record.raw()?) else { return Ok(()) };
                let Some(record) = shown.id.and_then(|id| kept.get(&id)) else { return Ok(()) };
                let is_second = is_second(record.id, slice, run);
                match writer.record(record, &shown, is_second, run) {
                    Ok(true) => run.release(KIND, record.id),
                    Ok(false) | Err(_) => left_out.push(record.id),
                }
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        })?;
        let written = writer.writer.written;
        for id in left_out {
            self.left_out(id, slice, run);
        }
        Ok(written)
    }

    fn left_out(&self, id: u64, slice: &Slice, run: &mut RunOfRecords<'_>) {
        let name = id.to_string();
        if is_second(id, slice, run) {
            let thing = Thing { kind: KIND, id: &name, collection: PROPERTY_HISTORY.name };
            run.set_aside(thing, "two answers leave out its past");
        } else {
            run.own.again.push(id);
        }
    }

    /// Empties the sets of records that were merged away, or that HubSpot does not show any more.
    pub(super) fn forget_histories(
        &self,
        seen: &[Record],
        absent: &[u64],
        run: &mut RunOfRecords<'_>,
        rows: Option<&mut Rows>,
        reading: Reading<'_>,
    ) -> Written {
        let (Some(table), Some(rows)) = (&self.histories, rows) else { return Written::default() };
        let mut writer = HistoryWriter::new(self, table, rows, reading);
        for record in seen.iter().filter(|record| record.is_gone) {
            let reason = if record.merge.is_some() { DeletedReason::Merged } else { DeletedReason::Removed };
            let begun = run.own.histories.iter().filter(|(_, read)| read.is_seen || read.had_rows);
            let begun = begun.map(|(property, _)| property).filter(|property| !table.kept.contains(property));
            for property in table.kept.iter().chain(begun) {
                writer.empty(property, record, reason);
            }
        }
        let gone = seen.iter().filter(|record| record.is_gone).map(|record| record.id);
        gone.chain(absent.iter().copied()).for_each(|id| run.release(KIND, id));
        writer.writer.written
    }
}

/// `true`: the record is asked for again, since an answer has left out its past.
fn is_second(id: u64, slice: &Slice, run: &RunOfRecords<'_>) -> bool {
    match slice {
        Slice::LeftOut { .. } => true,
        Slice::ByIds { .. } => run.quarantine.holds(KIND, &id.to_string()),
        _ => false,
    }
}

/// A record of an answer, as far as its past needs it.
#[derive(Debug, Default)]
struct Shown<'a> {
    id: Option<u64>,
    properties: Option<&'a str>,
    past: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(json: &'a str) -> Result<Shown<'a>, Malformed> {
        let mut shown = Shown::default();
        Scanner::new(json).each_field(|key, value| {
            match key.raw() {
                "id" => shown.id = Some(value.id()?),
                "properties" if value.is_object() => shown.properties = Some(value.raw()?),
                "propertiesWithHistory" if value.is_object() => shown.past = Some(value.raw()?),
                _ => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        Ok(shown)
    }

    /// `true`: one of these properties has a value.
    fn has_value(&self, names: &[String]) -> Result<bool, Malformed> {
        let mut has_value = false;
        if let Some(properties) = self.properties {
            Scanner::new(properties).each_field(|key, value| {
                let is_named = !value.is_nested() && names.iter().any(|name| *name == key.text());
                match is_named {
                    true => has_value |= value.scalar()?.is_some_and(|text| !text.is_empty()),
                    false => value.skip()?,
                }
                Ok::<_, Malformed>(())
            })?;
        }
        Ok(has_value)
    }
}

/// A past value of a property, and when it was set.
struct Entry<'a> {
    json: &'a str,
    at_ms: Option<i64>,
}

/// Writes sets of past values of one answer.
struct HistoryWriter<'a> {
    feed: &'a ObjectFeed,
    table: &'a HistoryTable,
    reading: Reading<'a>,
    writer: Writer<'a>,
}

impl<'a> HistoryWriter<'a> {
    fn new(
        feed: &'a ObjectFeed,
        table: &'a HistoryTable,
        rows: &'a mut Rows,
        reading: Reading<'a>,
    ) -> HistoryWriter<'a> {
        HistoryWriter { feed, table, reading, writer: table.document.writer(rows, reading) }
    }

    /// The version of a record's sets: that of its row, so that of two reads in one run the same one wins. It is never
    /// older than the run's beginning: a record whose merge is undone comes back with a date before the merge.
    fn version(&self, record: &Record) -> Option<i64> {
        let updated_ms = record.updated_ms.map(|updated_ms| self.reading.no_later(updated_ms));
        updated_ms.max(Some(self.table.opened_ms))
    }

    /// Writes the sets of a record. `false`: the answer leaves them out.
    fn record(
        &mut self,
        record: &Record,
        shown: &Shown<'_>,
        is_second: bool,
        run: &mut RunOfRecords<'_>,
    ) -> Result<bool> {
        let Some(past) = shown.past else {
            let has_value = shown.has_value(&self.table.properties)?;
            let is_seen = run.own.histories.values().any(|read| read.is_seen || read.had_rows);
            // One answer says nothing of HubSpot, before any other has shown a past.
            if has_value && (is_seen || !is_second) {
                return Ok(false);
            }
            self.table.is_lacking.fetch_or(has_value, Ordering::Relaxed);
            self.sets(record, &BTreeMap::new(), run)?;
            return Ok(true);
        };
        self.table.is_shown.store(true, Ordering::Relaxed);
        let mut sets: BTreeMap<usize, Vec<Entry<'_>>> = BTreeMap::new();
        Scanner::new(past).each_field(|key, value| {
            let place = self.table.properties.iter().position(|name| *name == key.text());
            let Some(place) = place else { return value.skip() };
            let entries = sets.entry(place).or_default();
            match value.is_nested() {
                true => value.each_item(|entry| {
                    entries.push(Entry::of(entry.raw()?)?);
                    Ok(())
                }),
                false => value.skip(),
            }
        })?;
        let mark = self.writer.mark();
        self.sets(record, &sets, run).inspect_err(|_| self.writer.take_back(mark))?;
        Ok(true)
    }

    fn sets(
        &mut self,
        record: &Record,
        sets: &BTreeMap<usize, Vec<Entry<'_>>>,
        run: &mut RunOfRecords<'_>,
    ) -> Result<(), Malformed> {
        for (place, property) in self.table.properties.iter().enumerate() {
            let mut read = run.own.histories.get_mut(property);
            let Some(entries) = sets.get(&place).filter(|entries| !entries.is_empty()) else {
                if read.is_some_and(|read| read.had_rows) {
                    self.empty(property, record, DeletedReason::Removed);
                }
                continue;
            };
            if let Some(read) = &mut read {
                read.is_seen = true;
            }
            let entries = oldest_first(entries);
            for (place, entry) in entries.iter().enumerate() {
                self.key(property, record.id, place as i64 + 1);
                if let Some(until_ms) = entries.get(place + 1).and_then(|next| next.at_ms) {
                    self.writer.set("valid_to", |cell| cell.timestamp(until_ms));
                }
                self.writer.fill(&mut Scanner::new(entry.json))?;
                self.writer.finish(self.version(record));
            }
        }
        Ok(())
    }

    fn empty(&mut self, property: &str, record: &Record, reason: DeletedReason) {
        self.key(property, record.id, 0);
        self.writer.finish_gone(self.version(record), reason, None);
    }

    fn key(&mut self, property: &str, id: u64, position: i64) {
        let (object, account) = (self.feed.object.name, self.writer.account_id());
        self.writer.set("object", |cell| cell.text(object));
        self.writer.set("object_id", |cell| cell.bigint(id as i64));
        self.writer.set("property", |cell| cell.text(property));
        self.writer.set("position", |cell| cell.bigint(position));
        self.writer.set("portal_id", |cell| cell.bigint(account as i64));
    }
}

impl<'a> Entry<'a> {
    fn of(json: &'a str) -> Result<Entry<'a>, Malformed> {
        let mut at_ms = None;
        Scanner::new(json).each_field(|key, value| {
            match key.raw() == "timestamp" && !value.is_nested() {
                true => at_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text())),
                false => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        Ok(Entry { json, at_ms })
    }
}

/// The entries of an answer from the first to the last that was set. HubSpot shows the newest first; entries of one moment
/// keep the order of the answer.
fn oldest_first<'e, 'a>(entries: &'e [Entry<'a>]) -> Vec<&'e Entry<'a>> {
    let mut ordered: Vec<&Entry<'_>> = entries.iter().collect();
    let ends = ordered.first().zip(ordered.last()).map(|(first, last)| (first.at_ms, last.at_ms));
    if !ends.is_some_and(|(first, last)| first.is_some() && first < last) {
        ordered.reverse();
    }
    // One without a time stays beside the one before it.
    let mut last_ms = i64::MIN;
    let mut timed: Vec<(i64, &Entry<'_>)> = Vec::with_capacity(ordered.len());
    for entry in ordered {
        last_ms = entry.at_ms.unwrap_or(last_ms);
        timed.push((last_ms, entry));
    }
    timed.sort_by_key(|(at_ms, _)| *at_ms);
    timed.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::super::state::RecordRun;
    use super::*;
    use crate::feeds::unfinished::Unfinished;

    fn order(entries: &[(&'static str, Option<i64>)]) -> Vec<&'static str> {
        let entries: Vec<Entry<'static>> =
            entries.iter().map(|&(json, at_ms)| Entry { json, at_ms }).collect();
        oldest_first(&entries).into_iter().map(|entry| entry.json).collect()
    }

    #[test]
    fn entries_come_in_the_order_in_which_they_were_set() {
        let newest_first = [("d", Some(9)), ("c", Some(5)), ("b", Some(5)), ("a", Some(1))];
        assert_eq!(order(&newest_first), ["a", "b", "c", "d"]);
        assert_eq!(
            order(&[("a", Some(1)), ("b", Some(5)), ("c", Some(5)), ("d", Some(9))]),
            ["a", "b", "c", "d"]
        );
        assert_eq!(
            order(&[("c", Some(5)), ("d", Some(9)), ("b", Some(5)), ("a", Some(1))]),
            ["a", "b", "c", "d"]
        );
        assert_eq!(order(&[("b", Some(5)), ("a", Some(5))]), ["a", "b"]);
        assert_eq!(order(&[("c", Some(5)), ("b", None), ("a", Some(1))]), ["a", "b", "c"]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn what_was_seen_is_remembered_and_a_run_that_was_given_up_may_have_seen_it() {
        let mut known = Histories::new();
        let listed = ["amount".to_owned()];
        let end = |known: &mut Histories, runs: HistoryRuns, is_whole: bool| {
            let mut run = Unfinished::new(Mode::Incremental, 7_000, 0);
            (run.is_whole, run.moves_watermark) = (is_whole, true);
            let mut own = RecordRun { histories: runs, ..RecordRun::default() };
            keep(known, &mut RunOfRecords::new(&mut run, &mut own));
        };
        let runs = begin(&mut known, &listed);
        assert_eq!(runs["amount"], HistoryRun::default());
        end(&mut known, runs, true);
        assert_eq!(known["amount"], HistoryMemory { is_read: true, ..HistoryMemory::default() });
        let mut runs = begin(&mut known, &listed);
        assert!(!runs["amount"].had_rows);
        runs.get_mut("amount").unwrap().is_seen = true;
        end(&mut known, runs, false);
        assert!(begin(&mut known, &listed)["amount"].had_rows);

        let mut known = Histories::new();
        begin(&mut known, &listed);
        assert!(begin(&mut known, &listed)["amount"].had_rows, "the first run was given up");
        // Of a run over changes alone nothing is known of older records.
        let runs = begin(&mut known, &listed);
        end(&mut known, runs, false);
        assert!(!known["amount"].is_read);
    }

    #[test]
    fn a_record_is_found_with_its_past_wherever_it_stands() {
        let json =
            r#"{"propertiesWithHistory":{"amount":[]},"properties":{"amount":"5","x":{"y":1}},"id":"7"}"#;
        let shown = Shown::of(json).unwrap();
        assert_eq!((shown.id, shown.past), (Some(7), Some(r#"{"amount":[]}"#)));
        assert!(shown.has_value(&["amount".to_owned()]).unwrap());
        assert!(!shown.has_value(&["x".to_owned(), "z".to_owned()]).unwrap());
        assert!(Shown::of(r#"{"id":"7","propertiesWithHistory":null}"#).unwrap().past.is_none());
    }
}

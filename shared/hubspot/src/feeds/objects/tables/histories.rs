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
//! | a property with a value and without a past, not even an empty one | the record is asked for once more, and then set aside; or the property is named, if no record shows a past of it |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use staging::ColumnType::{BigInt, Text, Timestamp};
use staging::Rows;

use super::record::Record;
use crate::error::Result;
use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::{Document, Writer, Written};
use crate::feeds::lineage::{DeletedReason, Reading};
use crate::feeds::objects::answers::histories::{Entry, Shown, oldest_first};
use crate::feeds::objects::object_type::ObjectType;
use crate::feeds::objects::state::histories::HistoryRuns;
use crate::feeds::objects::state::slice::Slice;
use crate::feeds::objects::state::{RecordCursor, RunOfRecords};
use crate::feeds::quarantine::Thing;
use crate::feeds::session::Session;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Gap, Note};
use crate::json::{Body, Malformed, Scanner};
use crate::properties::Property;

/// Kind, in the quarantine, of a record whose past is left out.
pub(in crate::feeds::objects) const KIND: &str = "property history";

/// Most records that are set aside for it, of each object. HubSpot shows no past of more than that: the property is named,
/// and nothing is read again.
const MOST_SET_ASIDE: usize = 100;

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

/// The table, for one run of a feed.
#[derive(Debug)]
pub(in crate::feeds::objects) struct HistoryTable {
    pub(in crate::feeds::objects) document: Document,
    /// Those that are read.
    pub(in crate::feeds::objects) properties: Vec<String>,
    /// Those that somebody has listed, and the account does not define.
    unknown: Vec<String>,
    /// Those of which rows may be there, on the list or not.
    kept: Vec<String>,
    /// When it was opened, by HubSpot's clock.
    opened_ms: i64,
    /// Properties of which two answers have shown a value, and no past: of this run, and of those before it since
    /// everything was read.
    lacking: Mutex<BTreeSet<String>>,
}

impl HistoryTable {
    /// Makes the table; `None` where nobody wants it, or no property of the object was ever on a list. A property whose
    /// past was never read makes the run read all records, and so does one that was not on the list for a while: what was
    /// read without it meanwhile has not told when it changed. Where nobody wants it any more, the table takes the rows
    /// of records that are gone.
    pub(in crate::feeds::objects) fn open(
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
        let mut lacking = BTreeSet::new();
        if mode == Mode::Incremental && !cursor.is_due_whole {
            let before = cursor.own.histories.iter().filter(|(_, known)| known.is_lacking);
            lacking.extend(before.map(|(name, _)| name.clone()));
        }
        lacking.retain(|name| properties.contains(&name.as_str()));
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
            lacking: Mutex::new(lacking),
        }))
    }

    /// Appends the past of the records of an answer whose rows were written. Where it is left out, they are asked for once
    /// more, and then set aside.
    pub(in crate::feeds::objects) fn append(
        &self,
        object: &ObjectType,
        (body, records): (&Body, &[Record]),
        slice: &Slice,
        run: &mut RunOfRecords<'_>,
        rows: &mut Rows,
        reading: Reading<'_>,
    ) -> Result<Written> {
        let kept = records.iter().filter(|record| record.is_kept);
        let kept: HashMap<u64, &Record> = kept.map(|record| (record.id, record)).collect();
        if self.properties.is_empty() || kept.is_empty() {
            return Ok(Written::default());
        }
        let mut writer = HistoryWriter::new(object, self, rows, reading);
        let mut left_out = Vec::new();
        Scanner::new(body).each_field(|key, value| match key.raw() {
            "results" => value.each_item(|record| {
                let Ok(shown) = Shown::of(record.raw()?) else { return Ok(()) };
                let Some(record) = shown.id.and_then(|id| kept.get(&id)) else { return Ok(()) };
                match writer.record(record, &shown, run) {
                    Ok(Lack::Nothing) => run.release(KIND, record.id),
                    Ok(lack) => left_out.push((record.id, lack)),
                    Err(_) => left_out.push((record.id, Lack::All)),
                }
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        })?;
        let written = writer.writer.written;
        // One answer says nothing of HubSpot: it is by all of them that a past is known to be shown.
        for (id, lack) in left_out {
            if !is_second(id, slice, run) {
                run.own.again.push(id);
                continue;
            }
            let name = id.to_string();
            let has_room =
                run.quarantine.ids(KIND).count() < MOST_SET_ASIDE || run.quarantine.holds(KIND, &name);
            if has_room && self.is_known(&lack, run) {
                let thing = Thing { kind: KIND, id: &name, collection: PROPERTY_HISTORY.name };
                let names = lack.of(&self.properties).join(", ");
                let reason = format!(
                    "two answers leave out the past of {names}: if that stays, take it off the list of properties"
                );
                run.set_aside(thing, &reason);
                continue;
            }
            run.release(KIND, id);
            let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
            for name in lack.of(&self.properties) {
                run.own.histories.entry(name.clone()).or_default().is_lacking = true;
                lacking.insert(name.clone());
            }
        }
        Ok(written)
    }

    /// `true`: HubSpot shows a past of what the answer lacks, or has shown it before.
    fn is_known(&self, lack: &Lack, run: &RunOfRecords<'_>) -> bool {
        let is_shown =
            |name: &String| run.own.histories.get(name).is_some_and(|known| known.is_seen || known.had_rows);
        lack.of(&self.properties).iter().any(is_shown)
    }

    /// Empties the sets of records that were merged away, or that HubSpot does not show any more.
    pub(in crate::feeds::objects) fn forget(
        &self,
        object: &ObjectType,
        (seen, absent): (&[Record], &[u64]),
        run: &mut RunOfRecords<'_>,
        rows: &mut Rows,
        reading: Reading<'_>,
    ) -> Written {
        let mut writer = HistoryWriter::new(object, self, rows, reading);
        for record in seen.iter().filter(|record| record.is_gone) {
            let reason = if record.merge.is_some() { DeletedReason::Merged } else { DeletedReason::Removed };
            let begun = run.own.histories.iter().filter(|(_, read)| read.is_seen || read.had_rows);
            let begun = begun.map(|(property, _)| property).filter(|property| !self.kept.contains(property));
            for property in self.kept.iter().chain(begun) {
                writer.empty(property, record, reason);
            }
        }
        let gone = seen.iter().filter(|record| record.is_gone).map(|record| record.id);
        gone.chain(absent.iter().copied()).for_each(|id| run.release(KIND, id));
        writer.writer.written
    }

    /// Notes what the run has found lacking before it went on here.
    pub(in crate::feeds::objects) fn take_in(&self, read: &HistoryRuns) {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let of_run = read.iter().filter(|(name, read)| read.is_lacking && self.properties.contains(name));
        lacking.extend(of_run.map(|(name, _)| name.clone()));
    }

    pub(in crate::feeds::objects) fn notes(&self, object: &ObjectType) -> impl Iterator<Item = Note> {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = lacking.iter().map(String::as_str).collect();
        let silent = match names.len() {
            0 => None,
            count if count > 1 && count == self.properties.len() => {
                Some(format!("HubSpot shows no past of {}", object.name))
            }
            _ => Some(format!(
                "HubSpot shows values of {} in {}, and not their past",
                names.join(", "),
                object.name
            )),
        };
        let unknown = (!self.unknown.is_empty()).then(|| {
            format!("{} have no property {}: no past of it is read", object.name, self.unknown.join(", "))
        });
        let note = |text| Note { collection: PROPERTY_HISTORY.name, gap: Gap::Degraded, text };
        silent.into_iter().chain(unknown).map(note)
    }
}

/// Part of a record's past that an answer leaves out, though the record has values.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lack {
    Nothing,
    /// That of some properties.
    Of(Vec<String>),
    All,
}

impl Lack {
    fn of<'a>(&'a self, listed: &'a [String]) -> &'a [String] {
        match self {
            Lack::Nothing => &[],
            Lack::Of(names) => names,
            Lack::All => listed,
        }
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

/// Writes sets of past values of one answer.
struct HistoryWriter<'a> {
    object: &'a ObjectType,
    table: &'a HistoryTable,
    reading: Reading<'a>,
    writer: Writer<'a>,
}

impl<'a> HistoryWriter<'a> {
    fn new(
        object: &'a ObjectType,
        table: &'a HistoryTable,
        rows: &'a mut Rows,
        reading: Reading<'a>,
    ) -> HistoryWriter<'a> {
        HistoryWriter { object, table, reading, writer: table.document.writer(rows, reading) }
    }

    /// The version of a record's sets: that of its row, so that of two reads in one run the same one wins. It is never
    /// older than the run's beginning: a record whose merge is undone comes back with a date before the merge.
    fn version(&self, record: &Record) -> Option<i64> {
        let updated_ms = record.updated_ms.map(|updated_ms| self.reading.no_later(updated_ms));
        updated_ms.max(Some(self.table.opened_ms))
    }

    /// Writes the sets of a record that the answer shows, and returns what it leaves out.
    fn record(
        &mut self,
        record: &Record,
        shown: &Shown<'_>,
        run: &mut RunOfRecords<'_>,
    ) -> Result<Lack, Malformed> {
        let mut sets: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
        if let Some(past) = shown.past {
            Scanner::new(past).each_field(|key, value| {
                let listed = self.table.properties.iter().find(|name| **name == key.text());
                let Some(name) = listed.filter(|_| value.is_nested()) else { return value.skip() };
                let entries = sets.entry(name).or_default();
                value.each_item(|entry| {
                    entries.push(Entry::of(entry.raw()?)?);
                    Ok(())
                })
            })?;
        }
        let pastless =
            self.table.properties.iter().map(String::as_str).filter(|name| !sets.contains_key(name));
        let lacking = shown.valued(&pastless.collect::<Vec<_>>())?;
        let mark = self.writer.mark();
        self.sets(record, &sets, &lacking, run).inspect_err(|_| self.writer.take_back(mark))?;
        Ok(match (lacking.is_empty(), shown.past) {
            (true, _) => Lack::Nothing,
            (false, None) => Lack::All,
            (false, Some(_)) => Lack::Of(lacking.into_iter().map(str::to_owned).collect()),
        })
    }

    /// Writes the set of each property, but for those whose past is lacking: they stay as they were.
    fn sets(
        &mut self,
        record: &Record,
        sets: &BTreeMap<&str, Vec<Entry<'_>>>,
        lacking: &[&str],
        run: &mut RunOfRecords<'_>,
    ) -> Result<(), Malformed> {
        let present = self.table.properties.iter().filter(|name| !lacking.contains(&name.as_str()));
        for property in present {
            let mut read = run.own.histories.get_mut(property);
            let Some(entries) = sets.get(property.as_str()).filter(|entries| !entries.is_empty()) else {
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
        let (object, account) = (self.object.name, self.writer.account_id());
        self.writer.set("object", |cell| cell.text(object));
        self.writer.set("object_id", |cell| cell.bigint(id as i64));
        self.writer.set("property", |cell| cell.text(property));
        self.writer.set("position", |cell| cell.bigint(position));
        self.writer.set("portal_id", |cell| cell.bigint(account as i64));
    }
}

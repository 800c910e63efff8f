//! From the bytes of an answer to rows: one pass over the records, each value straight into its column's builder.

use std::collections::BTreeMap;

use staging::Rows;

use super::beside::{Associated, Beside, Context};
use super::layout::{Held, Layout, Target};
use super::record::{Emails, FEWER_PROPERTIES, MANY, NO_DATE, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::document::Written;
use crate::feeds::lineage::{DeletedReason, JsonFields, set};
use crate::feeds::objects::answers::unknown::Unknown;
use crate::feeds::objects::object_type::Fixed;
use crate::feeds::objects::state::merge::Merge;
use crate::json::{Body, Scanner, Str, parse_id};
use crate::value;

/// Outcome of one answer.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Read {
    pub(in crate::feeds::objects) records: Vec<Record>,
    pub(in crate::feeds::objects) written: Written,
    /// Entries that are no records with an id and properties.
    pub(in crate::feeds::objects) odd: u64,
}

/// Appends the records of one answer that `keep` wants (ids outside its slice belong to another one).
///
/// An answer without a list shows nothing.
///
/// # Errors
/// When the answer is not a list, or all of its records are shown in part. The rows may then hold a part of the page:
/// the caller takes them back.
pub(in crate::feeds::objects) fn append(
    layout: &Layout,
    answer: &Body,
    keep: impl Fn(u64) -> bool,
    context: &Context<'_>,
    beside: &Beside<'_>,
    rows: &mut Rows,
) -> Result<Read> {
    if !answer.has_list("results") {
        return Ok(Read::default());
    }
    layout.named.learn(|property| layout.slot(property).is_some(), answer);
    let mut appender = Appender::new(layout, context, beside, rows);
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "results" => value.each_item(|record| appender.entry(record, &keep)),
        _ => Ok(value.skip()?),
    })?;
    let records = &appender.read.records;
    if records.len() >= MANY && records.iter().all(|record| record.partial == Some(FEWER_PROPERTIES)) {
        let message = "all records of an answer lack a property that earlier ones had. If it was deleted, the next run goes \
                       on without it; if this stays, run with `--mode backfill`";
        return Err(Error::new(ErrorKind::Malformed, message));
    }
    Ok(appender.read)
}

/// Appends records of a snapshot of which nothing is known but that they are there. Without a version, nothing of them is
/// compared.
pub(in crate::feeds::objects) fn append_bare(
    layout: &Layout,
    ids: impl Iterator<Item = u64>,
    is_archived: bool,
    context: &Context<'_>,
    rows: &mut Rows,
) -> Written {
    let (associated, known, unknown) = (Associated::new(), BTreeMap::new(), Unknown::default());
    let nothing =
        Beside { associated: &associated, known: &known, unknown: &unknown, only_archived: is_archived };
    let mut appender = Appender::new(layout, context, &nothing, rows);
    for id in ids {
        match is_archived {
            true => appender.deleted(DeletedReason::Archived, None, None),
            false => layout.deletes.is_live(appender.rows),
        }
        appender.finish(id, None);
    }
    appender.read.written
}

/// Appends tombstones of records that HubSpot does not show any more, of these versions.
pub(in crate::feeds::objects) fn append_gone(
    layout: &Layout,
    gone: &[(u64, Option<i64>)],
    context: &Context<'_>,
    rows: &mut Rows,
) -> Read {
    let (associated, known, unknown) = (Associated::new(), BTreeMap::new(), Unknown::default());
    let nothing = Beside { associated: &associated, known: &known, unknown: &unknown, only_archived: false };
    let mut appender = Appender::new(layout, context, &nothing, rows);
    for &(id, updated_ms) in gone {
        appender.deleted(DeletedReason::Removed, None, None);
        appender.finish(id, updated_ms);
        appender.read.records.push(Record::gone(id, updated_ms));
    }
    appender.read
}

/// Appends tombstones of records that were merged away. They carry the survivor's version, which is newer than anything
/// they had.
pub(in crate::feeds::objects) fn append_merged(
    layout: &Layout,
    merges: &[Merge],
    context: &Context<'_>,
    rows: &mut Rows,
) -> Read {
    let (associated, known, unknown) = (Associated::new(), BTreeMap::new(), Unknown::default());
    let nothing = Beside { associated: &associated, known: &known, unknown: &unknown, only_archived: false };
    let mut appender = Appender::new(layout, context, &nothing, rows);
    for merge in merges {
        appender.deleted(DeletedReason::Merged, None, Some(merge.survivor));
        appender.finish(merge.id, merge.updated_ms);
        let gone = Record::gone(merge.id, merge.updated_ms);
        appender.read.records.push(Record {
            archived_ms: merge.archived_ms,
            merge: Some(merge.clone()),
            ..gone
        });
    }
    appender.read
}

struct Appender<'a> {
    layout: &'a Layout,
    context: &'a Context<'a>,
    beside: &'a Beside<'a>,
    rows: &'a mut Rows,
    /// The slot of each key of the record before, in order: records of a page have the same keys, so the next key is
    /// compared with one name instead of looked up.
    order: Vec<Option<usize>>,
    /// The open row's.
    unparsed: JsonFields,
    /// Properties that were asked for, and the open row's record names.
    named: usize,
    /// A record of the page names an empty one.
    names_empty: bool,
    read: Read,
}

/// The parts of a record outside its properties, and the properties that are needed apart from their columns.
#[derive(Default)]
struct Head<'a> {
    id: Option<u64>,
    updated_at: Option<Str<'a>>,
    archived_at: Option<Str<'a>>,
    is_archived: bool,
    has_properties: bool,
    held: [Option<Str<'a>>; Held::COUNT],
}

impl Head<'_> {
    /// The values of a property that joins them with `;`.
    fn parts(&self, held: Held) -> Vec<String> {
        let text = self.held[held as usize].map(Str::text).unwrap_or_default();
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    fn merged_ids(&self) -> Vec<u64> {
        self.parts(Held::MergedIds).iter().filter_map(|id| parse_id(id)).collect()
    }

    fn created_ms(&self) -> Option<i64> {
        instant(self.held[Held::Created as usize])
    }

    /// The newer one of two dates that are the same on most records.
    fn updated_ms(&self) -> Option<i64> {
        let modified = self.held[Held::Modified as usize].filter(|date| Some(*date) != self.updated_at);
        instant(self.updated_at).max(instant(modified))
    }
}

impl<'a> Appender<'a> {
    fn new(
        layout: &'a Layout,
        context: &'a Context<'a>,
        beside: &'a Beside<'a>,
        rows: &'a mut Rows,
    ) -> Appender<'a> {
        let (order, unparsed, read) = (Vec::new(), JsonFields::default(), Read::default());
        Appender { layout, context, beside, rows, order, unparsed, named: 0, names_empty: false, read }
    }

    /// The reason why the record counts as shown in part.
    fn partial(&self, updated_ms: Option<i64>) -> Option<&'static str> {
        if updated_ms.is_none() {
            return Some(NO_DATE);
        }
        (!self.layout.named.take_note(self.named, self.names_empty)).then_some(FEWER_PROPERTIES)
    }

    /// A record; an entry that is none costs itself alone.
    fn entry(&mut self, entry: &mut Scanner<'_>, keep: &impl Fn(u64) -> bool) -> Result<()> {
        let (begin, unparsed_values) = (entry.clone(), self.read.written.unparsed_values);
        if self.record(entry, keep).is_err() {
            self.rows.discard_row();
            self.unparsed.clear();
            self.read.written.unparsed_values = unparsed_values;
            self.read.odd += 1;
            *entry = begin;
            entry.skip()?;
        }
        Ok(())
    }

    fn record(&mut self, record: &mut Scanner<'_>, keep: &impl Fn(u64) -> bool) -> Result<()> {
        let mut head = Head::default();
        self.named = 0;
        let unparsed_before = self.read.written.unparsed_values;
        record.each_field(|key, value| -> Result<()> {
            match key.raw() {
                "id" => head.id = Some(value.id()?),
                "updatedAt" if !value.is_nested() => head.updated_at = value.scalar()?,
                "archivedAt" if !value.is_nested() => head.archived_at = value.scalar()?,
                "archived" => head.is_archived = value.boolean()?.unwrap_or(false),
                "properties" if value.is_object() => self.properties(value, &mut head)?,
                _ => value.skip()?,
            }
            Ok(())
        })?;
        let Some(id) = head.id.filter(|_| head.has_properties) else {
            return Err(Error::new(ErrorKind::Malformed, "a record has no id, or no properties"));
        };
        let is_whole = !self.beside.unknown.holds(id);
        let is_snapshot = self.layout.shown_updated_at.is_some();
        let is_wanted =
            keep(id) && (is_whole || is_snapshot) && (head.is_archived || !self.beside.only_archived);
        let archived_at_ms = if head.is_archived { instant(head.archived_at) } else { None };
        let updated_ms = head.updated_ms().or(archived_at_ms).max(self.beside.known.get(&id).copied());
        let archived_ms = if head.is_archived { archived_at_ms.or(updated_ms) } else { None };
        let partial = self.partial(updated_ms).filter(|_| is_wanted);
        let is_kept = is_wanted && partial.is_none();
        let merged = head.merged_ids();
        if !is_kept {
            self.rows.discard_row();
            self.read.written.unparsed_values = unparsed_before;
            self.unparsed.clear();
        } else {
            self.fixed(id, &head, &merged, is_whole);
            if head.is_archived {
                self.deleted(DeletedReason::Archived, archived_ms, None);
            } else {
                self.layout.deletes.is_live(self.rows);
            }
            let version_ms = updated_ms.map(|ms| self.context.reading.no_later(ms));
            self.finish(id, version_ms.filter(|_| is_whole));
        }
        let emails = match self.context.wants_emails {
            true => {
                Emails { primary: head.parts(Held::Email), additional: head.parts(Held::AdditionalEmails) }
            }
            false => Emails::default(),
        };
        self.read.records.push(Record {
            id,
            updated_ms,
            archived_ms,
            is_kept,
            partial,
            is_gone: false,
            merged,
            merge: None,
            emails,
        });
        Ok(())
    }

    fn properties<'b>(&mut self, properties: &mut Scanner<'b>, head: &mut Head<'b>) -> Result<()> {
        let mut place = 0;
        head.has_properties = true;
        properties.each_field(|key, value| -> Result<()> {
            let slot = self.slot_at(place, key);
            place += 1;
            let Some(slot) = slot.map(|slot| &self.layout.slots[slot]) else { return Ok(value.skip()?) };
            self.named += 1;
            if value.is_nested() {
                // Not what a value is; kept as the text it came as, so that nothing is lost.
                let json = value.raw()?;
                if let Some(target) = &slot.target {
                    self.not_parsed(target, json);
                }
                return Ok(());
            }
            let Some(text) = value.scalar()? else {
                self.names_empty = true;
                return Ok(());
            };
            if let Some(held) = slot.held {
                head.held[held as usize] = Some(text);
            }
            if let Some(target) = &slot.target {
                self.value(target, text);
            }
            if let Some(copy) = &slot.copy {
                self.value(copy, text);
            }
            Ok(())
        })
    }

    /// The slot of the `place`-th key.
    fn slot_at(&mut self, place: usize, key: Str<'_>) -> Option<usize> {
        if let Some(&Some(slot)) = self.order.get(place)
            && *self.layout.slots[slot].property == *key.raw()
        {
            return Some(slot);
        }
        let slot = self.layout.slot(&key.text());
        match self.order.get_mut(place) {
            Some(known) => *known = slot,
            None => self.order.push(slot),
        }
        slot
    }

    fn value(&mut self, target: &Target, text: Str<'_>) {
        let Some(cell) = self.rows.cell(target.column) else { return };
        if !value::set(cell, target.column_type, text) {
            self.not_parsed(target, &text.text());
        }
    }

    /// Kept as the text it came as.
    fn not_parsed(&mut self, target: &Target, text: &str) {
        self.unparsed.add_text(&target.json_name, text);
        self.read.written.unparsed_values += 1;
    }

    fn fixed(&mut self, id: u64, head: &Head<'_>, merged: &[u64], is_whole: bool) {
        let extra = self.context.extras.get(&id).map_or(&[][..], |extra| &extra[..]);
        for &(column, fixed) in &self.layout.fixed {
            let Some(cell) = self.rows.cell(column) else { continue };
            match fixed {
                Fixed::RecordId => cell.bigint(id as i64),
                Fixed::AccountId => cell.bigint(self.context.reading.account_id as i64),
                Fixed::MergedIds => {
                    if !merged.is_empty() {
                        cell.text(&json_list(merged));
                    }
                }
                Fixed::Extra(place, _) => {
                    if let Some(Some(text)) = extra.get(place) {
                        cell.text(text);
                    }
                }
                Fixed::ExtraOrCreated(place, _) => {
                    let told = extra.get(place).and_then(|text| value::instant_ms(text.as_deref()?));
                    if let Some(added_ms) = told.or_else(|| head.created_ms()) {
                        cell.timestamp(added_ms);
                    }
                }
                Fixed::Associated(_) if !is_whole => {}
                Fixed::Associated(other) => {
                    let ids = self.beside.associated.get(&id).and_then(|by_object| by_object.get(other));
                    cell.text(&json_list(ids.map_or(&[][..], Vec::as_slice)));
                }
                Fixed::CopyOf(_) | Fixed::Unavailable(_) => {}
            }
        }
    }

    fn deleted(&mut self, reason: DeletedReason, at_ms: Option<i64>, survivor: Option<u64>) {
        self.layout.deletes.is_gone(self.rows, reason, at_ms);
        if let Some(survivor) = survivor {
            set(self.rows.cell(self.layout.merged_into_id), |cell| cell.bigint(survivor as i64));
        }
        self.read.written.deleted += 1;
    }

    fn finish(&mut self, id: u64, updated_ms: Option<i64>) {
        set(self.rows.cell(self.layout.id), |cell| cell.bigint(id as i64));
        let version_ms = match self.layout.shown_updated_at {
            Some(column) => {
                if let Some(updated_ms) = updated_ms {
                    set(self.rows.cell(column), |cell| cell.timestamp(updated_ms));
                }
                None
            }
            None => updated_ms,
        };
        self.layout.lineage.finish(self.rows, &self.context.reading, version_ms, &mut self.unparsed);
        self.read.written.rows += 1;
    }
}

fn instant(text: Option<Str<'_>>) -> Option<i64> {
    value::instant_ms(&text?.text())
}

fn json_list(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!("[{}]", ids.join(","))
}

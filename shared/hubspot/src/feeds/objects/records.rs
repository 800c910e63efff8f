//! From the bytes of an answer to rows: one pass over the records, each value straight into its column's builder.

use std::collections::HashMap;

use staging::{Cell, Rows};

use super::layout::{Layout, Target};
use super::{DeletedReason, Fixed};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Malformed, Scanner, Str};
use crate::value;

/// Ids associated with a record, by the object at the other end; the primary one first, the rest ascending.
pub(super) type Associated = HashMap<u64, HashMap<&'static str, Vec<u64>>>;

/// What the rows of one page have in common.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) account_id: u64,
    pub(super) run_id: &'a str,
    /// When the page was read, by our clock.
    pub(super) read_ms: i64,
    pub(super) associated: &'a Associated,
}

/// What a page brought.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    /// Rows that say that a record is gone, archived ones included.
    pub(super) deleted: u64,
    pub(super) rows: u64,
    pub(super) unparsed_values: u64,
    /// Where the next page begins, in HubSpot's words.
    pub(super) after: Option<String>,
}

/// What is remembered of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) updated_ms: Option<i64>,
    pub(super) archived_ms: Option<i64>,
    pub(super) is_kept: bool,
}

/// Appends the records of one answer that `keep` wants (ids outside its slice belong to another one).
///
/// # Errors
/// When the answer is not a list of records with ids. The rows may then hold a part of the page: the caller takes
/// them back.
pub(super) fn append(
    layout: &Layout,
    answer: &str,
    keep: impl Fn(u64) -> bool,
    context: &Context<'_>,
    rows: &mut Rows,
) -> Result<Read> {
    let mut appender =
        Appender { layout, context, rows, order: Vec::new(), unparsed: String::new(), read: Read::default() };
    let mut has_results = false;
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "results" => {
            has_results = true;
            value.each_item(|record| appender.record(record, &keep))
        }
        "paging" => {
            appender.read.after = next_after(value)?;
            Ok(())
        }
        _ => Ok(value.skip()?),
    })?;
    if !has_results {
        return Err(Error::new(ErrorKind::Malformed, "an answer has no results"));
    }
    Ok(appender.read)
}

/// `paging.next.after`, text or number.
pub(super) fn next_after(paging: &mut Scanner<'_>) -> std::result::Result<Option<String>, Malformed> {
    let mut after = None;
    if !paging.is_nested() {
        return paging.skip().map(|()| None);
    }
    paging.each_field(|key, value| {
        if key.raw() != "next" || !value.is_nested() {
            return value.skip();
        }
        value.each_field(|key, value| {
            if key.raw() != "after" {
                return value.skip();
            }
            after = value.scalar()?.map(|after| after.text().into_owned());
            Ok::<_, Malformed>(())
        })
    })?;
    Ok(after)
}

struct Appender<'a> {
    layout: &'a Layout,
    context: &'a Context<'a>,
    rows: &'a mut Rows,
    /// The slot of each key of the record before, in order: records of a page have the same keys, so the next key is
    /// compared with one name instead of looked up.
    order: Vec<Option<usize>>,
    /// The open row's `_unparsed`, without its closing brace.
    unparsed: String,
    read: Read,
}

/// The parts of a record outside its properties, and the property that names its merges.
#[derive(Default)]
struct Head<'a> {
    id: Option<u64>,
    updated_ms: Option<i64>,
    archived_ms: Option<i64>,
    is_archived: bool,
    merged_ids: Option<Str<'a>>,
}

impl Appender<'_> {
    fn record(&mut self, record: &mut Scanner<'_>, keep: &impl Fn(u64) -> bool) -> Result<()> {
        let mut head = Head::default();
        let unparsed_before = self.read.unparsed_values;
        record.each_field(|key, value| -> Result<()> {
            match key.raw() {
                "id" => head.id = Some(value.id()?),
                "updatedAt" => head.updated_ms = instant(value)?,
                "archivedAt" => head.archived_ms = instant(value)?,
                "archived" => head.is_archived = value.boolean()?.unwrap_or(false),
                "properties" => self.properties(value, &mut head)?,
                _ => value.skip()?,
            }
            Ok(())
        })?;
        let Some(id) = head.id else { return Err(Error::new(ErrorKind::Malformed, "a record has no id")) };
        let is_kept = keep(id);
        let archived_ms = if head.is_archived { head.archived_ms.or(head.updated_ms) } else { None };
        self.read.records.push(Record { id, updated_ms: head.updated_ms, archived_ms, is_kept });
        if !is_kept {
            self.rows.discard_row();
            self.read.unparsed_values = unparsed_before;
            self.unparsed.clear();
            return Ok(());
        }
        self.fixed(id, &head);
        if head.is_archived {
            self.deleted(DeletedReason::Archived, archived_ms, None);
        } else {
            set(self.rows.cell(self.layout.common.is_deleted), |cell| cell.boolean(false));
        }
        self.common(id, head.updated_ms);
        self.merged_away(id, &head);
        Ok(())
    }

    fn properties<'a>(&mut self, properties: &mut Scanner<'a>, head: &mut Head<'a>) -> Result<()> {
        let mut place = 0;
        properties.each_field(|key, value| -> Result<()> {
            let slot = self.slot_at(place, key);
            place += 1;
            let Some(slot) = slot.map(|slot| &self.layout.slots[slot]) else { return Ok(value.skip()?) };
            if value.is_nested() {
                // Not what a value is; kept as the text it came as, so that nothing is lost.
                note_unparsed(&mut self.unparsed, &slot.target, value.raw()?);
                self.read.unparsed_values += 1;
                return Ok(());
            }
            let Some(text) = value.scalar()? else { return Ok(()) };
            if slot.is_merged_ids {
                head.merged_ids = Some(text);
            }
            self.value(&slot.target, text);
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
            note_unparsed(&mut self.unparsed, target, &text.text());
            self.read.unparsed_values += 1;
        }
    }

    fn fixed(&mut self, id: u64, head: &Head<'_>) {
        for &(column, fixed) in &self.layout.fixed {
            let Some(cell) = self.rows.cell(column) else { continue };
            match fixed {
                Fixed::RecordId => cell.bigint(id as i64),
                Fixed::AccountId => cell.bigint(self.context.account_id as i64),
                Fixed::MergedIds => {
                    let ids: Vec<u64> = merged_ids(head).collect();
                    if !ids.is_empty() {
                        cell.text(&json_list(&ids));
                    }
                }
                Fixed::Associated(other) => {
                    let ids = self.context.associated.get(&id).and_then(|by_object| by_object.get(other));
                    cell.text(&json_list(ids.map_or(&[][..], Vec::as_slice)));
                }
                Fixed::CopyOf(_) | Fixed::Unavailable => {}
            }
        }
    }

    fn deleted(&mut self, reason: DeletedReason, at_ms: Option<i64>, survivor: Option<u64>) {
        let common = &self.layout.common;
        set(self.rows.cell(common.is_deleted), |cell| cell.boolean(true));
        set(self.rows.cell(common.deleted_reason), |cell| cell.text(reason.name()));
        if let Some(at_ms) = at_ms {
            set(self.rows.cell(common.deleted_at), |cell| cell.timestamp(at_ms));
        }
        if let Some(survivor) = survivor {
            set(self.rows.cell(common.merged_into_id), |cell| cell.bigint(survivor as i64));
        }
        self.read.deleted += 1;
    }

    /// The columns of every row; ends the row.
    fn common(&mut self, id: u64, updated_ms: Option<i64>) {
        let common = &self.layout.common;
        let read_ms = self.context.read_ms;
        set(self.rows.cell(common.id), |cell| cell.bigint(id as i64));
        if let Some(updated_ms) = updated_ms {
            set(self.rows.cell(common.source_updated_at), |cell| cell.timestamp(updated_ms));
        }
        set(self.rows.cell(common.read_at), |cell| cell.timestamp(read_ms));
        set(self.rows.cell(common.received_at), |cell| cell.timestamp(read_ms));
        set(self.rows.cell(common.run_id), |cell| cell.text(self.context.run_id));
        if !self.unparsed.is_empty() {
            self.unparsed.push('}');
            set(self.rows.cell(common.unparsed), |cell| cell.text(&self.unparsed));
            self.unparsed.clear();
        }
        self.rows.finish_row();
        self.read.rows += 1;
    }

    /// Records that were merged into this one are gone from both of HubSpot's lists: this is the only trace of them.
    /// Their tombstones carry the survivor's version, which is newer than anything they had.
    fn merged_away(&mut self, survivor: u64, head: &Head<'_>) {
        for id in merged_ids(head).filter(|&id| id != survivor) {
            self.deleted(DeletedReason::Merged, None, Some(survivor));
            self.common(id, head.updated_ms);
        }
    }
}

fn set(cell: Option<Cell<'_>>, value: impl FnOnce(Cell<'_>)) {
    if let Some(cell) = cell {
        value(cell);
    }
}

fn merged_ids(head: &Head<'_>) -> impl Iterator<Item = u64> {
    let text = head.merged_ids.map(Str::raw).unwrap_or_default();
    text.split(';').filter_map(|id| id.trim().parse().ok())
}

fn note_unparsed(unparsed: &mut String, target: &Target, text: &str) {
    unparsed.push(if unparsed.is_empty() { '{' } else { ',' });
    unparsed.push_str(&target.json_name);
    unparsed.push(':');
    unparsed.push_str(&serde_json::Value::from(text).to_string());
}

fn instant(value: &mut Scanner<'_>) -> std::result::Result<Option<i64>, Malformed> {
    if value.is_nested() {
        return value.skip().map(|()| None);
    }
    Ok(value.scalar()?.and_then(|text| value::instant_ms(&text.text())))
}

fn json_list(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!("[{}]", ids.join(","))
}

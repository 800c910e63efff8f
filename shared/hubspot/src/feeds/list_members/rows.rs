//! Rows of a list's members, and the row that closes a list.

use super::state::Reading;
use crate::error::Result;
use crate::feeds::document::Writer;
use crate::feeds::lineage::DeletedReason;
use crate::json::{Malformed, Scanner, parse_id};
use crate::value;

/// The record of the row that closes a list, which is none of HubSpot's.
const NO_RECORD: u64 = 0;

/// Writes the rows of a page, and counts them. An item that names no record is left out, and counted apart.
pub(super) fn members(writer: &mut Writer<'_>, reading: &mut Reading, page: &str) -> Result<(), Malformed> {
    let mut ids = Vec::new();
    Scanner::new(page).each_field(|key, value| match key.raw() {
        "results" => value.each_item(|item| {
            match member(writer, reading, item.raw()?)? {
                Some(record) => ids.push(record),
                None => reading.counted.odd += 1,
            }
            Ok(())
        }),
        "total" if !value.is_nested() => {
            if let Some(told) = value.scalar()?.and_then(|total| total.raw().parse().ok()) {
                reading.counted.are_told(told);
            }
            Ok(())
        }
        _ => value.skip(),
    })?;
    reading.counted.add_page(ids);
    Ok(())
}

/// Writes the row of a member. Returns its record, if it names one.
fn member(writer: &mut Writer<'_>, reading: &Reading, item: &str) -> Result<Option<u64>, Malformed> {
    let (mut record, mut added_ms) = (None, None);
    if Scanner::new(item).is_object() {
        Scanner::new(item).each_field(|key, value| match key.raw() {
            "recordId" if !value.is_nested() => {
                record = value.scalar()?.and_then(|id| parse_id(id.raw())).filter(|id| *id != NO_RECORD);
                Ok(())
            }
            "membershipTimestamp" if !value.is_nested() => {
                added_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
                Ok(())
            }
            _ => value.skip(),
        })?;
    }
    let Some(record) = record else { return Ok(None) };
    set_key(writer, reading, record);
    if let Some(added_ms) = added_ms {
        writer.set("added_at", |cell| cell.timestamp(added_ms));
    }
    let known: &[&str] =
        if added_ms.is_some() { &["recordId", "membershipTimestamp"] } else { &["recordId"] };
    writer.fill_without(&mut Scanner::new(item), known)?;
    // The rows of a list have one version: the time at which its reading began.
    writer.finish(None);
    Ok(Some(record))
}

/// Writes the row that closes a list: all that is older is gone.
pub(super) fn close(writer: &mut Writer<'_>, reading: &Reading) {
    set_key(writer, reading, NO_RECORD);
    let deleted = writer.written.deleted;
    writer.finish_gone(None, DeletedReason::Removed, None);
    // It is no record that was deleted.
    writer.written.deleted = deleted;
}

fn set_key(writer: &mut Writer<'_>, reading: &Reading, record: u64) {
    let account_id = writer.account_id();
    writer.set("object", |cell| cell.text(&reading.object));
    writer.set("record_id", |cell| cell.bigint(record as i64));
    writer.set("list_id", |cell| cell.bigint(reading.list as i64));
    writer.set("portal_id", |cell| cell.bigint(account_id as i64));
}

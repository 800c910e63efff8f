//! The table of list memberships: a row for each list that a contact is in, from what is read of its lists anyway. Rows of
//! other objects are from the members of their lists: `feeds/list_members`.
//!
//! The lists of a record are read together, as a set: what a newer read does not show, the record has left. Joining or
//! leaving a list does not change a record: a refresh finds those whose lists are others, and the next run reads them.

use staging::ColumnType::{BigInt, Timestamp};
use staging::{ColumnType, Rows, Table};

use super::beside::Context;
use super::pairing;
use super::record::Record;
use crate::error::Result;
use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::{Document, Writer, Written};
use crate::feeds::lineage::DeletedReason;
use crate::feeds::objects::object_type::{Lists, ObjectType};
use crate::feeds::objects::state::{RecordCursor, RunOfRecords};
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Gap, Note, Session};
use crate::json::{Malformed, Scanner, parse_id};

pub(in crate::feeds) static LIST_MEMBERSHIPS: Collection = Collection {
    name: crate::feeds::LIST_MEMBERSHIPS,
    about: "A list that a record is in: that of a contact is in `contact_lists`, by its `id`. Of contacts as of the contact's \
            last change, or the run after the last refresh: HubSpot does not say that a contact has joined or left a \
            list. Of other selected objects as of the list's last change, a week at the most; there `added_at` is HubSpot's \
            `membershipTimestamp`, and `first_added_at` and `list_version` are NULL.",
    primary_key: &["object", "record_id", "list_id"],
    set_key: &["object", "record_id"],
    key_reason: "a record is in a list once. A contact's lists are read together; a row with the `list_id` 0, deleted, says \
                 that it is in none. Of other objects, a list's members are; a row with the `record_id` 0, deleted, stands \
                 behind them",
    is_deletable: true,
    calls: "none for contacts, with which they are read; of other objects 1 for the lists of each, and 1 for each 250 \
            members of a list that may have changed",
    columns: &[
        made("object", ColumnType::Text, "the collection of the record, such as `contacts`"),
        made("record_id", BigInt, "its `id`"),
        field("list_id", BigInt, "listId"),
        field("added_at", Timestamp, "lastAddedTimestamp"),
        field("first_added_at", Timestamp, "firstAddedTimestamp"),
        field("list_version", BigInt, "listVersion"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
    ],
};

/// Kind, in the quarantine, of lists of a record among which something is none.
const ODD_KIND: &str = "lists of a record";

/// The table, for one run of a feed.
#[derive(Debug)]
pub(in crate::feeds::objects) struct ListTable {
    document: Document,
    /// Place of the lists among what is known of a record from other calls.
    place: usize,
    /// Earlier runs may have written rows.
    may_have_rows: bool,
    /// Lists can't be read, and why.
    refused: Option<String>,
}

impl ListTable {
    /// Makes the table; `None` where nobody wants it, and of objects whose lists are not read. If it is new, or was not
    /// wanted in the meantime, older records are read, too.
    pub(in crate::feeds::objects) fn of_run(
        object: &ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &mut RecordCursor<'_>,
    ) -> Result<Option<ListTable>> {
        let Some(Lists { source, place }) = object.lists else { return Ok(None) };
        if mode.is_snapshot() || !session.names(LIST_MEMBERSHIPS.name) {
            return Ok(None);
        }
        let refused = cursor.absent.get(source).cloned();
        // Contacts that a refresh has found meanwhile were read without their rows here, and no later change tells of it.
        if refused.is_none() && pairing::unread(LIST_MEMBERSHIPS.name, mode, cursor).is_some() {
            cursor.is_due_whole = true;
        }
        let known = cursor.own.pairs.get(LIST_MEMBERSHIPS.name);
        let is_new = cursor.run.is_none();
        let may_have_rows = known.is_some_and(|known| known.is_used || (is_new && known.has_begun));
        let document = Document::new(&LIST_MEMBERSHIPS, &[])?;
        Ok(Some(ListTable { document, place, may_have_rows, refused }))
    }

    pub(in crate::feeds::objects) fn table(&self) -> &Table {
        &self.document.table
    }

    /// `true`: the run reads the lists of records.
    pub(in crate::feeds::objects) fn is_read(&self) -> bool {
        self.refused.is_none()
    }

    pub(in crate::feeds::objects) fn note(&self) -> Option<Note> {
        let text = format!("list memberships are not read: {}", self.refused.as_ref()?);
        Some(Note { collection: LIST_MEMBERSHIPS.name, gap: Gap::Degraded, text })
    }

    /// Appends the lists of a page's records.
    pub(in crate::feeds::objects) fn append(
        &self,
        (object, mode): (&ObjectType, Mode),
        seen: &[Record],
        run: &mut RunOfRecords<'_>,
        rows: &mut Rows,
        context: &Context<'_>,
    ) -> Result<Written> {
        let mut writer = self.document.writer(rows, context.reading);
        for record in seen {
            let reason = record.deleted_reason();
            let may_have_rows = mode == Mode::Incremental
                || self.may_have_rows
                || run.own.pairs.get(LIST_MEMBERSHIPS.name).is_some_and(|lists| lists.is_used);
            // Of a record whose lists could not be read nothing is known: it is set aside, or they are not read at all.
            let known = context.extras.get(&record.id).and_then(|extras| extras[self.place].as_deref());
            let rows = match (&reason, known) {
                (None, None) => continue,
                (None, Some(json)) => set(&mut writer, (object.name, record.id), json)?,
                (Some(_), _) => Some(0),
            };
            match rows {
                Some(0) if may_have_rows => {
                    set_key(&mut writer, (object.name, record.id));
                    writer.set("list_id", |cell| cell.bigint(0));
                    writer.finish_gone(None, reason.unwrap_or(DeletedReason::Removed), record.archived_ms);
                }
                Some(0) | None => {}
                Some(_) => {
                    if let Some(lists) = run.own.pairs.get_mut(LIST_MEMBERSHIPS.name) {
                        lists.is_used = true;
                    }
                }
            }
            if rows.is_some() {
                run.release(ODD_KIND, record.id);
            } else {
                let (id, collection) = (record.id.to_string(), LIST_MEMBERSHIPS.name);
                run.set_aside(
                    Thing { kind: ODD_KIND, id: &id, collection },
                    "a list that it is in has no id",
                );
            }
        }
        Ok(writer.written)
    }
}

/// Writes the rows of a record's lists. Answers with their number; `None`: one has no id, and there is no row.
fn set(writer: &mut Writer<'_>, record: (&str, u64), json: &str) -> Result<Option<usize>, Malformed> {
    let (mark, mut rows, mut is_odd) = (writer.mark(), 0, false);
    Scanner::new(json).each_item(|list| {
        let list = list.raw()?;
        if is_odd || !has_id(list)? {
            is_odd = true;
            return Ok(());
        }
        set_key(writer, record);
        writer.fill(&mut Scanner::new(list))?;
        // The rows of a set have one version: the time at which they were read.
        writer.finish(None);
        rows += 1;
        Ok::<_, Malformed>(())
    })?;
    if is_odd {
        writer.take_back(mark);
    }
    Ok((!is_odd).then_some(rows))
}

fn set_key(writer: &mut Writer<'_>, (object, id): (&str, u64)) {
    let account_id = writer.account_id();
    writer.set("object", |cell| cell.text(object));
    writer.set("record_id", |cell| cell.bigint(id as i64));
    writer.set("portal_id", |cell| cell.bigint(account_id as i64));
}

fn has_id(list: &str) -> Result<bool, Malformed> {
    let (mut scanner, mut has_id) = (Scanner::new(list), false);
    if !scanner.is_object() {
        return Ok(false);
    }
    scanner.each_field(|key, value| match key.raw() {
        "listId" if !value.is_nested() => {
            has_id = value.scalar()?.is_some_and(|id| parse_id(id.raw()).is_some());
            Ok(())
        }
        _ => value.skip(),
    })?;
    Ok(has_id)
}

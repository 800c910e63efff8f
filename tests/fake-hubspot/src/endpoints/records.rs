//! Records as JSON: the choice of properties that a call sees, and their text.

use std::collections::BTreeSet;

use super::Call;
use crate::account::{Catalog, Origin, Property, PropertyIndex, Record, Sensitivity};
use crate::json::{write_joined, write_number, write_string};
use crate::{ObjectType, time};

/// The properties of an answer, made once for all of its records.
pub(crate) struct Selection {
    object: ObjectType,
    account_id: u32,
    columns: Vec<Column>,
    history: Vec<(Column, Property)>,
}

struct Column {
    /// The text `"name":`.
    key: Vec<u8>,
    index: PropertyIndex,
    origin: Origin,
}

/// Records whose text comes in ASCII, with `\u` escapes: one in this many.
const ASCII_ONLY: u64 = 7;

impl Selection {
    /// Selects the properties in `named`, or HubSpot's default if that is empty. Names that don't exist are ignored.
    pub(crate) fn new(
        call: &Call<'_>,
        object: ObjectType,
        catalog: &Catalog,
        named: &[String],
        with_history: &[String],
    ) -> Self {
        let sees_sensitive = call.may(&object.sensitive_scope());
        let column = |name: &str| {
            let (index, property) = catalog.find(name)?;
            let is_shown = property.sensitivity == Sensitivity::NonSensitive || sees_sensitive;
            let mut key = Vec::new();
            write_string(&mut key, name, false);
            key.push(b':');
            is_shown.then_some(Column { key, index, origin: property.origin })
        };
        let by_default = if named.is_empty() { object.shown_by_default() } else { &[] };
        let named = named.iter().map(String::as_str);
        let names: BTreeSet<&str> =
            named.chain(by_default.iter().copied()).chain(object.always_shown()).collect();
        let with_history: BTreeSet<&str> = with_history.iter().map(String::as_str).collect();
        Self {
            object,
            account_id: call.account().settings().account_id,
            columns: names.into_iter().filter_map(column).collect(),
            history: with_history
                .into_iter()
                .filter_map(|name| Some((column(name)?, catalog.find(name)?.1.clone())))
                .collect(),
        }
    }

    /// Writes the record. `associations` writes a member of its own, with its comma.
    pub(crate) fn write(&self, out: &mut Vec<u8>, record: &Record, associations: impl FnOnce(&mut Vec<u8>)) {
        let dates =
            Dates { created_at: time::text(record.created_at), updated_at: time::text(record.updated_at) };
        let shown_updated_at = record.shown_updated_at.map(time::text);
        out.extend_from_slice(b"{\"id\":\"");
        write_number(out, record.id);
        out.extend_from_slice(b"\",\"properties\":{");
        for (place, column) in self.columns.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.key);
            column.write_value(out, record, &dates);
        }
        out.push(b'}');
        self.write_history(out, record);
        let updated_at = shown_updated_at.as_ref().unwrap_or(&dates.updated_at);
        for (name, text) in [("createdAt", &dates.created_at), ("updatedAt", updated_at)] {
            write_member(out, name, text);
        }
        if let Some(archived_at) = record.archived_at {
            out.extend_from_slice(b",\"archived\":true");
            write_member(out, "archivedAt", &time::text(archived_at));
        } else {
            out.extend_from_slice(b",\"archived\":false");
        }
        associations(out);
        let (account, object, id) = (self.account_id, self.object.id(), record.id);
        write_member(out, "url", &format!("https://app.hubspot.com/contacts/{account}/record/{object}/{id}"));
        out.push(b'}');
    }

    /// Writes the values that the properties have and had.
    fn write_history(&self, out: &mut Vec<u8>, record: &Record) {
        if self.history.is_empty() {
            return;
        }
        let ascii_only = record.id.is_multiple_of(ASCII_ONLY);
        out.extend_from_slice(b",\"propertiesWithHistory\":{");
        write_joined(out, &self.history, |out, (column, property)| {
            out.extend_from_slice(&column.key);
            out.push(b'[');
            write_joined(out, &record.past_of(column.index, property), |out, value| {
                out.extend_from_slice(b"{\"value\":");
                write_string(out, &value.value, ascii_only);
                write_member(out, "timestamp", &time::text(value.at));
                write_member(out, "sourceType", value.source.kind());
                value.source.id().into_iter().for_each(|id| write_member(out, "sourceId", &id));
                value.source.label().into_iter().for_each(|label| write_member(out, "sourceLabel", label));
                if let Some(user) = value.source.user() {
                    out.extend_from_slice(format!(",\"updatedByUserId\":{user}").as_bytes());
                }
                out.push(b'}');
            });
            out.push(b']');
        });
        out.push(b'}');
    }
}

/// A record's dates as text; every one of them is sent twice.
struct Dates {
    created_at: String,
    updated_at: String,
}

impl Column {
    fn write_value(&self, out: &mut Vec<u8>, record: &Record, dates: &Dates) {
        match self.origin {
            Origin::Stored => match record.values.get(self.index) {
                Some(value) => write_string(out, value, record.id.is_multiple_of(ASCII_ONLY)),
                None => out.extend_from_slice(b"null"),
            },
            Origin::Id => {
                out.push(b'"');
                write_number(out, record.id);
                out.push(b'"');
            }
            Origin::CreatedAt => write_string(out, &dates.created_at, false),
            Origin::UpdatedAt => write_string(out, &dates.updated_at, false),
        }
    }
}

/// Writes `,"name":"text"`.
fn write_member(out: &mut Vec<u8>, name: &str, text: &str) {
    out.push(b',');
    write_string(out, name, false);
    out.push(b':');
    write_string(out, text, false);
}

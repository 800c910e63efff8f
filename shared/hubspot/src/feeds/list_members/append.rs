//! From answers to rows, and to the lists whose members are to be read.

use std::collections::BTreeSet;

use staging::Rows;

use super::fetch::Unlisted;
use super::open_members::OpenMembers;
use super::rows;
use super::state::{End, Known, Object, Reading, RunOfLists, reason};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::document::Written;
use crate::feeds::scans::ObjectLists;
use crate::feeds::unfinished::Mode;

/// Time after which a list is read, whatever HubSpot says of it.
const WEEK_MS: i64 = 7 * 24 * 3_600_000;

impl OpenMembers {
    pub(super) fn append_lists(
        &self,
        object: &Object,
        (shown, unlisted): (&ObjectLists, &Unlisted),
        run: &mut RunOfLists<'_>,
        now_ms: i64,
    ) {
        let name = format!("lists of {}", object.collection);
        self.note(run, |troubles| {
            troubles.has_lists = true;
            if shown.odd > 0 {
                troubles.failed.insert(name.clone(), format!("HubSpot does not show {} of them", shown.odd));
            }
            if let Some((shown, told)) = shown.miscounted {
                let text = format!("HubSpot says that there are {told}, and shows {shown}, time and again");
                troubles.miscounted.insert(name, text);
            }
        });
        // Read once, it is missed where it can't be read any more.
        run.own.lists.entry(object.collection.clone()).or_default();
        for (&list, is) in &shown.lists {
            let known = self.known(&object.collection, list);
            let is_due = |known: Known| known.stamp != is.stamp || now_ms - known.read_ms >= WEEK_MS;
            if self.mode == Mode::Backfill || is.is_processing || known.is_none_or(is_due) {
                run.own.due.push(self.reading(&object.collection, list, is.stamp));
            }
        }
        // Nothing tells whether their members are others.
        let unlisted_there = unlisted.there.iter().map(|&list| self.reading(&object.collection, list, 0));
        run.own.due.extend(unlisted_there);
        for (list, failed) in &unlisted.failed {
            self.fail_list(&self.reading(&object.collection, *list, 0), reason(failed), run);
        }
    }

    fn reading(&self, object: &str, list: u64, stamp: i64) -> Reading {
        let before_ms = self.known(object, list).map_or(0, |known| known.read_ms);
        Reading { object: object.to_owned(), list, stamp, before_ms, ..Reading::default() }
    }

    /// Closes lists that are deleted, unless they are too many at a time.
    pub(super) fn append_gone(
        &self,
        object: &Object,
        gone: &BTreeSet<u64>,
        read_ms: i64,
        run: &mut RunOfLists<'_>,
        rows: &mut Rows,
    ) -> Written {
        let known = self.known.get(&object.collection).map_or(0, |lists| lists.len());
        let name = format!("lists of {}", object.collection);
        if let Err(refused) = self.session.check_removals(&name, known, gone.len()) {
            self.note(run, |troubles| _ = troubles.failed.insert(name, reason(&refused)));
            return Written::default();
        }
        let mut written = Written::default();
        for &list in gone {
            let mut reading = self.reading(&object.collection, list, 0);
            let known = Known { stamp: 0, read_ms: reading.version(read_ms) };
            run.own.gone.entry(reading.object.clone()).or_default().insert(list, known);
            written += self.close(&mut reading, rows);
        }
        written
    }

    fn close(&self, reading: &mut Reading, rows: &mut Rows) -> Written {
        let version_ms = reading.version(0);
        let mut writer = self.document.writer(rows, self.session.reading(version_ms));
        rows::close(&mut writer, reading);
        writer.written
    }

    /// Appends a page of members. Returns `true` if it is the last one.
    pub(super) fn append_members(
        &self,
        (page, next): (&str, Option<String>),
        read_ms: i64,
        reading: &mut Reading,
        run: &mut RunOfLists<'_>,
        rows: &mut Rows,
    ) -> Result<(Written, bool)> {
        let version_ms = reading.version(read_ms);
        let mut writer = self.document.writer(rows, self.session.reading(version_ms));
        rows::members(&mut writer, reading, page)?;
        let mut written = writer.written;
        if next.is_some() {
            reading.after = next;
            return Ok((written, false));
        }
        let mismatch = reading.counted.mismatch();
        match reading.end() {
            End::Again => return Ok((written, false)),
            End::InVain => {
                self.fail_list(reading, mismatch, run);
                return Ok((written, true));
            }
            End::Whole => {}
            End::Miscounted => self.note(run, |troubles| {
                troubles.miscounted.insert(reading.name(), format!("{mismatch}, time and again"));
            }),
        }
        written += self.close(reading, rows);
        let known = Known { stamp: reading.stamp, read_ms: version_ms };
        run.own.lists.entry(reading.object.clone()).or_default().insert(reading.list, known);
        Ok((written, true))
    }

    /// Leaves a list, as it was, to the next run.
    pub(super) fn leave(&self, reading: &Reading, run: &mut RunOfLists<'_>) {
        let read_ms = reading.version_ms.unwrap_or(reading.before_ms);
        let lists = run.own.lists.entry(reading.object.clone()).or_default();
        lists.insert(reading.list, Known { stamp: 0, read_ms });
    }

    fn fail_list(&self, reading: &Reading, reason: String, run: &mut RunOfLists<'_>) {
        let name = reading.name();
        tracing::warn!("the members of {name} can't be read, and stay as they were: {reason}");
        self.leave(reading, run);
        self.note(run, |troubles| _ = troubles.failed.insert(name, reason));
    }

    pub(super) fn fail_object(&self, object: &Object, failed: &Error, run: &mut RunOfLists<'_>) {
        let (name, reason) = (format!("lists of {}", object.collection), reason(failed));
        tracing::warn!("{name} can't be read, and stay as they were: {reason}");
        let was_read = self.known.contains_key(&object.collection);
        // HubSpot has lists of some objects, and refuses to search for those of others.
        let is_lacking = failed.is_unavailable() || failed.kind() == ErrorKind::BadRequest;
        self.note(run, |troubles| {
            let kind = if is_lacking && !was_read { &mut troubles.lacking } else { &mut troubles.failed };
            kind.insert(name, reason);
        });
    }

    /// Takes in the failure of a page. Returns `true` if the list is read again, from the start: a page token may have
    /// expired.
    pub(super) fn is_read_again(
        &self,
        reading: &mut Reading,
        failed: &Error,
        run: &mut RunOfLists<'_>,
    ) -> bool {
        let may_have_expired = reading.after.is_some() && failed.kind() == ErrorKind::BadRequest;
        if may_have_expired && reading.break_off() == End::Again {
            return true;
        }
        self.fail_list(reading, reason(failed), run);
        false
    }
}

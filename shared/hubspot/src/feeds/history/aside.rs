//! What of a history is set aside: entries that nobody can read, and windows of which HubSpot does not show all it has.
//! Their names tell the moments about which a later run asks again.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat};

use super::OpenHistory;
use super::answer::name_of;
use super::trail::MARGIN_MS;
use crate::error::Result;
use crate::feeds::cursor::{Cursor, Unfinished};
use crate::feeds::document::Writer;
use crate::feeds::quarantine::Thing;
use crate::feeds::slice::Slice;
use crate::json::Malformed;

/// The kind of a window.
const WINDOW: &str = "window";
/// Between an entry's name and a moment near it, and between the ends of a window.
const NEAR: &str = " near ";
const TO: &str = " to ";

impl OpenHistory {
    /// `near_ms`: when it happened, or what is shown next to it did.
    pub(super) fn set_entry_aside(
        &self,
        (entry, hash): (&str, u64),
        near_ms: i64,
        odd: Malformed,
        run: &mut Unfinished,
    ) {
        let name = format!("{}{NEAR}", name_of(entry, hash));
        let known =
            run.quarantine.ids(self.history.entry).find(|id| id.starts_with(&name)).map(str::to_owned);
        let id = known.unwrap_or_else(|| name + &text(near_ms));
        let kind = self.history.entry;
        self.set_aside(kind, &id, &format!("it can't be read: it is not {}", odd.expected), run);
    }

    pub(super) fn set_window_aside(&self, since_ms: i64, until_ms: i64, run: &mut Unfinished) {
        let id = format!("{}{TO}{}", text(since_ms), text(until_ms));
        self.set_aside(WINDOW, &id, "HubSpot says that there is more in it, and does not show it", run);
    }

    fn set_aside(&self, kind: &str, id: &str, reason: &str, run: &mut Unfinished) {
        let Some(collection) = self.history.collections.first() else { return };
        self.aside().insert((kind.to_owned(), id.to_owned()));
        run.set_aside(Thing { kind, id, collection }, reason);
    }

    fn aside(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Windows before this moment in which something is set aside.
    pub(super) fn windows_aside(&self, before_ms: i64, cursor: &Cursor) -> Vec<Slice> {
        let kinds = [self.history.entry, WINDOW];
        let ids = kinds.into_iter().flat_map(|kind| cursor.quarantine.ids(kind));
        let until = |until_ms: i64| until_ms.min(before_ms.saturating_sub(1));
        let windows = ids.filter_map(window_of).map(|(since_ms, until_ms)| (since_ms, until(until_ms)));
        let mut windows: Vec<(i64, i64)> =
            windows.filter(|(since_ms, until_ms)| since_ms <= until_ms).collect();
        windows.sort_unstable();
        windows.dedup_by(|next, before| {
            let is_one = next.0 <= before.1;
            before.1 = if is_one { before.1.max(next.1) } else { before.1 };
            is_one
        });
        windows.into_iter().map(|(since_ms, until_ms)| Slice::happened(since_ms, until_ms)).collect()
    }

    /// A run that goes on may have set these aside in parts that it has left behind.
    pub(super) fn know_aside(&self, run: &Unfinished) {
        for kind in [self.history.entry, WINDOW] {
            self.aside().extend(run.quarantine.ids(kind).map(|id| (kind.to_owned(), id.to_owned())));
        }
    }

    /// Everything was asked for: what was not set aside again is well.
    pub(super) fn release(&self, run: &mut Unfinished) {
        if !self.asks_again.load(Ordering::Relaxed) {
            return;
        }
        let aside = self.aside();
        for kind in [self.history.entry, WINDOW] {
            let is_well = |id: &&str| !aside.contains(&(kind.to_owned(), (*id).to_owned()));
            let well: Vec<String> = run.quarantine.ids(kind).filter(is_well).map(str::to_owned).collect();
            for id in well {
                run.release(kind, id);
            }
        }
    }
}

/// Appends an entry's rows: all of them or none.
pub(super) fn append_whole(
    writers: &mut [Writer<'_>],
    append: impl FnOnce(&mut [Writer<'_>]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let before: Vec<_> = writers.iter().map(Writer::mark).collect();
    append(writers).inspect_err(|_| {
        for (writer, mark) in writers.iter_mut().zip(before) {
            writer.take_back(mark);
        }
    })
}

/// The window that something is asked for again in, by its name.
fn window_of(id: &str) -> Option<(i64, i64)> {
    if let Some((_, near)) = id.rsplit_once(NEAR) {
        let near_ms = instant(near)?;
        return Some((near_ms.saturating_sub(MARGIN_MS), near_ms.saturating_add(MARGIN_MS)));
    }
    let (since, until) = id.split_once(TO)?;
    Some((instant(since)?, instant(until)?))
}

fn text(ms: i64) -> String {
    let moment = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn instant(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis())
}

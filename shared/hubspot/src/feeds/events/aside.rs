//! Quarantine of an event feed: entries that nobody can read, and windows of which HubSpot does not show all it has. Their
//! names hold the window that a later run asks for again.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, SecondsFormat};

use super::answer::name_of;
use super::open_feed::OpenEventFeed;
use super::slice::Slice;
use super::trail::MARGIN_MS;
use crate::error::Result;
use crate::feeds::cursor::Cursor;
use crate::feeds::document::Writer;
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Unfinished;
use crate::json::Malformed;

/// The kind of a window.
const WINDOW: &str = "window";
/// Between an entry's name and the moment or the window that it lies in, and between the ends of a window.
const NEAR: &str = " near ";
const TO: &str = " to ";

impl OpenEventFeed {
    /// `between`: when what is shown on both sides of it happened; twice the same moment where it tells its own.
    pub(super) fn set_entry_aside(
        &self,
        (entry, hash): (&str, u64),
        between: (i64, i64),
        odd: Malformed,
        run: &mut Unfinished,
    ) {
        let kind = self.feed.entry;
        let name = format!("{}{NEAR}", name_of(entry, hash));
        let (since_ms, until_ms) = (between.0.min(between.1), between.0.max(between.1));
        let window = with_margin(since_ms, until_ms);
        // What has no id is known by its place, too: others are word for word like it.
        let is_it = |id: &&str| {
            let place = window_of(id).filter(|place| place.0 <= window.1 && window.0 <= place.1);
            id.starts_with(&name) && (place.is_some() || !name.starts_with('#'))
        };
        let known = run.quarantine.ids(kind).find(is_it).map(str::to_owned);
        let place = match since_ms == until_ms {
            true => text(since_ms),
            false => format!("{}{TO}{}", text(since_ms), text(until_ms)),
        };
        let id = match known {
            // Next to what is shown now, it lies in a part of the window that it lay in before.
            Some(known) if window_of(&known).is_some_and(|wide| is_narrower(window, wide)) => {
                run.release(kind, &known);
                self.aside().remove(&(kind.to_owned(), known));
                name + &place
            }
            Some(known) => known,
            None => name + &place,
        };
        self.set_aside(kind, &id, &format!("it can't be read: it is not {}", odd.expected), run);
    }

    pub(super) fn set_window_aside(&self, since_ms: i64, until_ms: i64, reason: &str, run: &mut Unfinished) {
        let id = format!("{}{TO}{}", text(since_ms), text(until_ms));
        self.set_aside(WINDOW, &id, reason, run);
    }

    fn set_aside(&self, kind: &str, id: &str, reason: &str, run: &mut Unfinished) {
        let Some(collection) = self.feed.collections.first() else { return };
        self.aside().insert((kind.to_owned(), id.to_owned()));
        run.set_aside(Thing { kind, id, collection }, reason);
    }

    fn aside(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Windows before this moment in which something is set aside.
    pub(super) fn windows_aside(&self, before_ms: i64, cursor: &Cursor) -> Vec<Slice> {
        let kinds = [self.feed.entry, WINDOW];
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
        for kind in [self.feed.entry, WINDOW] {
            self.aside().extend(run.quarantine.ids(kind).map(|id| (kind.to_owned(), id.to_owned())));
        }
    }

    /// Everything was asked for: what was not set aside again is well.
    pub(in crate::feeds) fn release(&self, run: &mut Unfinished) {
        if !self.asks_again.load(Ordering::Relaxed) {
            return;
        }
        let aside = self.aside();
        for kind in [self.feed.entry, WINDOW] {
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
pub(super) fn window_of(id: &str) -> Option<(i64, i64)> {
    if let Some((_, near)) = id.rsplit_once(NEAR) {
        let (since, until) = near.split_once(TO).unwrap_or((near, near));
        return Some(with_margin(instant(since)?, instant(until)?));
    }
    let (since, until) = id.split_once(TO)?;
    Some((instant(since)?, instant(until)?))
}

fn with_margin(since_ms: i64, until_ms: i64) -> (i64, i64) {
    (since_ms.saturating_sub(MARGIN_MS), until_ms.saturating_add(MARGIN_MS))
}

fn is_narrower(window: (i64, i64), wide: (i64, i64)) -> bool {
    wide.0 <= window.0 && window.1 <= wide.1 && window != wide
}

fn text(ms: i64) -> String {
    let moment = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn instant(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis())
}

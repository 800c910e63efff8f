//! Turns a page's entries into rows, those that belong to the slice that it was asked for.

use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Shown, each_entry};
use super::aside;
use super::event_feed::Entry;
use super::open_feed::{OpenEventFeed, Page};
use super::trail::{MARGIN_MS, Trail};
use crate::error::Result;
use crate::feeds::document::Writer;
use crate::feeds::unfinished::Unfinished;
use crate::json::Malformed;

/// Mixed into the hash of an entry that is not the newest of its moment: the same entry had another hash as the newest.
const NOT_THE_NEWEST: u64 = 0x9e37_79b9_7f4a_7c15;

/// Whose an entry is, by its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Here,
    /// To the slice that has that part of the window now.
    Elsewhere,
    /// To nothing that was asked for.
    Nowhere,
}

/// A page, and the slice that it is read for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    pub(super) page: &'a Page,
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
    /// When the page was asked for, by HubSpot's clock.
    pub(super) read_ms: i64,
}

impl Bounds<'_> {
    /// Just outside the window that was asked for, HubSpot may know better what belongs to it.
    fn belongs(&self, at_ms: i64) -> Belongs {
        let &Page { since_ms, until_ms, .. } = self.page;
        let margin = since_ms.saturating_sub(MARGIN_MS)..=until_ms.saturating_add(MARGIN_MS);
        if (self.since_ms..=self.until_ms.max(until_ms)).contains(&at_ms) {
            Belongs::Here
        } else if (since_ms..=until_ms).contains(&at_ms) {
            Belongs::Elsewhere
        } else if margin.contains(&at_ms) {
            Belongs::Here
        } else {
            Belongs::Nowhere
        }
    }
}

impl OpenEventFeed {
    /// Turns the entries of one answer that belong to the slice into rows.
    pub(super) fn append_body(
        &self,
        body: &str,
        bounds: Bounds<'_>,
        trail: &mut Trail,
        run: &mut Unfinished,
        writers: &mut [Writer<'_>],
    ) -> Result<Shown> {
        let mut shown = Shown::default();
        let mut near_ms = bounds.page.until_ms;
        // Entries without a moment, until what is behind them is known.
        let mut without_moment = Vec::new();
        each_entry(self.feed, body, |json, hash, at_ms| {
            shown.print = shown.print.wrapping_add(hash);
            shown.entries += 1;
            let at_ms = match at_ms {
                Ok(at_ms) => at_ms,
                Err(odd) => return without_moment.push((json, hash, odd)),
            };
            for (json, hash, odd) in without_moment.drain(..) {
                self.set_entry_aside((json, hash), (at_ms, near_ms), odd, run);
            }
            near_ms = at_ms;
            shown.newest_ms = shown.newest_ms.max(Some(at_ms));
            match bounds.belongs(at_ms) {
                Belongs::Here => {}
                Belongs::Elsewhere => return,
                Belongs::Nowhere => {
                    self.foreign.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            if (bounds.since_ms..=bounds.until_ms).contains(&at_ms) {
                shown.moments.push(at_ms);
            }
            if let Err(odd) = self.append_entry(json, hash, at_ms, trail, run, writers) {
                return self.set_entry_aside((json, hash), (at_ms, at_ms), odd, run);
            }
            run.saw(at_ms, bounds.read_ms);
        })?;
        for (json, hash, odd) in without_moment {
            self.set_entry_aside((json, hash), (bounds.page.since_ms, near_ms), odd, run);
        }
        Ok(shown)
    }

    fn append_entry(
        &self,
        json: &str,
        hash: u64,
        at_ms: i64,
        trail: &mut Trail,
        run: &mut Unfinished,
        writers: &mut [Writer<'_>],
    ) -> Result<(), Malformed> {
        let is_newest = match self.feed.about {
            Some(about) => trail.told.insert((at_ms, xxh3_64(about(json)?.as_bytes()))),
            None => true,
        };
        // An entry that is word for word like another one may be newer than one that stood between them.
        let version = hash ^ if is_newest { 0 } else { NOT_THE_NEWEST };
        if !self.recent.hold(version) {
            aside::append_whole(writers, |writers| {
                (self.feed.append)(&Entry { json, at_ms, is_newest }, writers)
            })?;
        }
        run.note(version, at_ms);
        Ok(())
    }
}

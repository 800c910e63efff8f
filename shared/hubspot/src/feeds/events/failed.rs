//! A window that HubSpot fails on, each time that it is asked for: it is halved until the one bad moment is alone. That one
//! is set aside, and everything else is read.
//!
//! Each step is tried once, the whole and a single moment a few times. Where nothing at all is answered it is HubSpot that
//! fails, and a call that has full patience says so.

use std::sync::atomic::Ordering;

use super::fetch::Remaining;
use super::open_feed::{OpenEventFeed, Page};
use super::slice::{Slice, WindowOffset};
use crate::error::{Error, Result};
use crate::feeds::Appended;
use crate::feeds::document::Written;
use crate::feeds::unfinished::Unfinished;
use crate::retry::Patience;

/// Windows that fail one after the other before HubSpot is asked for something else.
const SOME_FAILED: u32 = 4;
/// The same before it is not the windows that are at fault: a bad moment is alone after some thirty, of each size one.
const MOST_FAILED: u32 = 100;
/// Pages after a failure of which each is tried once.
const PAGES_NEAR_TROUBLE: u32 = 50;
/// Width of the window that is asked for to find out whether HubSpot answers at all.
const ELSEWHERE_MS: i64 = 1_000;

impl OpenEventFeed {
    /// The page of a slice that HubSpot fails on.
    ///
    /// # Errors
    /// When it fails on everything.
    pub(super) async fn failed_page(&self, window: Remaining, failed: Error) -> Result<Page> {
        let in_a_row = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let Remaining { since_ms, until_ms, .. } = window;
        self.near_trouble.store(PAGES_NEAR_TROUBLE, Ordering::Relaxed);
        if in_a_row > MOST_FAILED {
            return Err(failed);
        }
        if in_a_row.is_multiple_of(SOME_FAILED) {
            let below_ms = since_ms.saturating_sub(1);
            let elsewhere = WindowOffset {
                since_ms: below_ms.saturating_sub(ELSEWHERE_MS),
                until_ms: below_ms,
                offset: String::new(),
            };
            self.ask(&elsewhere, 1, Patience::Full).await?;
        }
        tracing::warn!(feed.name = self.feed.name, "a window can't be had, and is read in parts: {failed}");
        let top_ms = window.asked_from(self).until_ms;
        let refused = Some(failed.reason().to_owned());
        Ok(Page {
            bodies: Vec::new(),
            since_ms,
            until_ms: top_ms.min(until_ms),
            goes_on: false,
            limit: 0,
            refused,
        })
    }

    /// Tries that a window's page is worth: near a bad moment, one.
    pub(super) fn patience(&self, window: Remaining) -> Patience {
        let is_moment = window.since_ms == window.asked_from(self).until_ms;
        match self.near_trouble.load(Ordering::Relaxed) {
            1.. if !is_moment => Patience::Once,
            _ => Patience::Little,
        }
    }

    /// A page was answered.
    pub(super) fn has_answered(&self) {
        self.failed.store(0, Ordering::Relaxed);
        let one_less = |left: u32| left.checked_sub(1);
        _ = self.near_trouble.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }

    /// Cuts the older half off the slice, or sets aside its one moment.
    pub(super) fn append_failed(
        &self,
        page: &Page,
        reason: &str,
        slice: &mut Slice,
        run: &mut Unfinished,
    ) -> Appended<Slice> {
        let mut appended = Appended {
            written: vec![Written::default(); self.tables.len()],
            // The halves are narrow enough.
            span: u64::MAX,
            ..Appended::default()
        };
        let Slice::Happened { since_ms, asked, .. } = slice;
        // The slice may have lost its older part since.
        let (from_ms, top_ms) = (*since_ms, page.until_ms);
        *asked = None;
        if from_ms == top_ms {
            self.set_window_aside(from_ms, top_ms, reason, run);
        }
        if from_ms >= top_ms {
            return Appended { is_last: true, ..appended };
        }
        let middle_ms = from_ms + (top_ms - from_ms) / 2;
        appended.found = Some(Slice::happened(from_ms, middle_ms));
        *since_ms = middle_ms + 1;
        appended
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{AT_MS, Reader};
    use super::*;

    /// All moments but one are read, of however wide a window.
    #[test]
    fn a_window_is_halved_until_its_bad_moment_is_alone() {
        for bad_ms in [0, 1, AT_MS / 3, AT_MS + 1, AT_MS + 2] {
            let mut reader = Reader::of_events();
            let (mut waiting, mut windows) = (vec![reader.slice.clone()], 0);
            let mut read = Vec::new();
            while let Some(slice) = waiting.pop() {
                let Slice::Happened { since_ms, until_ms, .. } = slice;
                windows += 1;
                if !(since_ms..=until_ms).contains(&bad_ms) {
                    read.push((since_ms, until_ms));
                    continue;
                }
                reader.slice = slice;
                let (appended, _) = reader.append(Page {
                    bodies: Vec::new(),
                    since_ms,
                    until_ms,
                    goes_on: false,
                    limit: 0,
                    refused: Some("500".to_owned()),
                });
                waiting.extend(appended.found);
                waiting.extend((!appended.is_last).then(|| reader.slice.clone()));
            }
            assert!(windows < 100, "{windows} windows");
            let lengths: i64 = read.iter().map(|(since_ms, until_ms)| until_ms - since_ms + 1).sum();
            assert_eq!(lengths, AT_MS + 2, "all but one of the moments from 0 on");
            let aside: Vec<_> = reader.run.quarantine.iter().collect();
            let [("window", id, entry)] = aside[..] else { panic!("{aside:?}") };
            assert_eq!(super::super::aside::window_of(id), Some((bad_ms, bad_ms)));
            assert_eq!(entry.reason, "500");
        }
    }
}

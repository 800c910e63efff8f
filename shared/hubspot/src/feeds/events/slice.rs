//! A part of a run that reads a window of time.

use serde::{Deserialize, Serialize};

use crate::feeds::own::FeedState;
use crate::feeds::slice::FEWEST_PAGES;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(in crate::feeds) enum Slice {
    /// A window of time (both ends included), by and large newest first; `reached_ms` comes down with each page: above it
    /// all is read, but for what HubSpot shows out of order.
    Happened {
        since_ms: i64,
        until_ms: i64,
        asked: Option<WindowOffset>,
        #[serde(default)]
        reached_ms: Option<i64>,
    },
}

/// A window as HubSpot was asked for it, and its word for where the next page begins: good for a while, and for exactly
/// this window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct WindowOffset {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) offset: String,
}

impl Slice {
    /// A window of time of which nothing is read.
    pub(super) fn happened(since_ms: i64, until_ms: i64) -> Slice {
        Slice::Happened { since_ms, until_ms, asked: None, reached_ms: None }
    }
}

impl FeedState for Slice {
    fn width(&self) -> u64 {
        let Slice::Happened { since_ms, until_ms, reached_ms, .. } = self;
        let reached_ms = reached_ms.map_or(*until_ms, |reached_ms| reached_ms.min(*until_ms));
        u64::try_from(reached_ms.saturating_sub(*since_ms)).unwrap_or(0)
    }

    fn split(&mut self, page_span: u64) -> Option<Slice> {
        let width = self.width();
        if width < FEWEST_PAGES.saturating_mul(page_span.max(1)) {
            return None;
        }
        let Slice::Happened { since_ms, .. } = self;
        let middle = *since_ms + (width / 2) as i64;
        let older = Slice::happened(*since_ms, middle);
        *since_ms = middle + 1;
        Some(older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(slice: &Slice, instant_ms: i64) -> bool {
        let Slice::Happened { since_ms, until_ms, .. } = slice;
        (*since_ms..=*until_ms).contains(&instant_ms)
    }

    proptest! {
        #[test]
        fn a_cut_window_loses_no_instant_and_doubles_none(
            since_ms in 0..1_000_i64,
            width in 0..5_000_i64,
            read in proptest::option::of(0..5_000_i64),
        ) {
            let reached_ms = read.map(|read| since_ms + (width - read).max(0));
            let mut newer =
                Slice::Happened { since_ms, until_ms: since_ms + width, asked: None, reached_ms };
            let whole = newer.clone();
            if let Some(older) = newer.split(1) {
                for at in 0..7_000 {
                    let held = u8::from(holds(&newer, at)) + u8::from(holds(&older, at));
                    prop_assert_eq!(held, u8::from(holds(&whole, at)));
                }
            }
        }
    }
}

//! Memory of a window while its pages follow each other. It tells a page that goes on from one that is shown again, and
//! how far above the oldest entry the window is asked for again when HubSpot's offset is of no use.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::answer::Shown;

/// Entries may stand this far from their place: some arrive late, and HubSpot shows them by when they did.
pub(super) const MARGIN_MS: i64 = 120_000;
/// Pages without an entry that are followed.
const MAX_EMPTY_PAGES: u32 = 20;
/// Moments of one window that are left out because no page shows all of them.
const MAX_LEFT_OUT: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Moments of the entries near the reading position, and hashes of the subjects that they are about.
    pub(super) told: HashSet<(i64, u64)>,
    /// The pages since the window's top, and the offsets that they gave.
    pages: HashSet<u64>,
    offsets: HashSet<u64>,
    repeated_pages: u32,
    empty_pages: u32,
    /// Offsets that died, less the steps forward since.
    pub(super) expired: u32,
    /// Offsets lead nowhere: each page is the first one of a smaller window.
    pub(super) is_seeking: bool,
    left_out: u32,
}

/// The position at which a window goes on without an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seek {
    /// From this moment down.
    From(i64),
    /// The same, without the moment above it.
    Without { at_ms: i64 },
    /// Nowhere: the rest of it is not shown.
    Nowhere,
}

impl Trail {
    /// A page from the top follows.
    pub(super) fn begin(&mut self) {
        self.told.clear();
        self.pages.clear();
        self.offsets.clear();
        (self.repeated_pages, self.empty_pages) = (0, 0);
    }

    /// The window's top, if it is read down to `reached_ms`: above it, as far as late entries are expected, and as often as
    /// offsets died on the way down from there.
    pub(super) fn top_ms(&self, reached_ms: i64) -> i64 {
        let margin_ms = if self.is_seeking { 0 } else { MARGIN_MS >> self.expired.min(62) };
        reached_ms.saturating_add(margin_ms)
    }

    pub(super) fn moves(&mut self) {
        self.expired = self.expired.saturating_sub(1);
    }

    /// Takes note of a page and of the offset it gave. `true`: it repeats another one, or leads back to one. Word for word
    /// equal pages of `may_repeat` are expected to come, a few of them.
    pub(super) fn is_repeated(&mut self, shown: &Shown, next: Option<&str>, may_repeat: bool) -> bool {
        let is_new_page = shown.entries == 0 || self.pages.insert(shown.print);
        let is_new_offset = next.is_none_or(|next| self.offsets.insert(xxh3_64(next.as_bytes())));
        self.repeated_pages = if is_new_page { 0 } else { self.repeated_pages + 1 };
        self.empty_pages = if shown.entries == 0 { self.empty_pages + 1 } else { 0 };
        let most = if may_repeat { 2 } else { 0 };
        self.repeated_pages > most || self.empty_pages > MAX_EMPTY_PAGES || !is_new_offset
    }

    /// Finds the position at which the window goes on without an offset. It began at `top_ms`, and is read down to
    /// `reached_ms`, if anything below its top was shown at all.
    pub(super) fn seek(&mut self, top_ms: i64, reached_ms: Option<i64>, shown: &Shown) -> Seek {
        self.is_seeking = true;
        if let Some(reached_ms) = reached_ms.filter(|&reached_ms| reached_ms < top_ms) {
            let begins_ms = shown.moments.iter().max().map_or(top_ms, |&newest_ms| newest_ms.min(top_ms));
            let way_ms = begins_ms.saturating_sub(reached_ms).max(0);
            return Seek::From(reached_ms.saturating_add(MARGIN_MS.min(way_ms / 2)));
        }
        self.left_out += 1;
        let shows_its_top = shown.moments.contains(&top_ms);
        match self.left_out <= MAX_LEFT_OUT && shows_its_top {
            true => Seek::Without { at_ms: top_ms },
            false => Seek::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moments: &[i64], print: u64) -> Shown {
        let entries = moments.len() as u64;
        Shown { newest_ms: None, moments: moments.to_vec(), print, entries }
    }

    #[test]
    fn a_page_or_an_offset_that_comes_again_is_noticed() {
        let mut trail = Trail::default();
        assert!(!trail.is_repeated(&shown(&[9], 1), Some("a"), false));
        assert!(!trail.is_repeated(&shown(&[8], 2), Some("b"), false));
        assert!(trail.is_repeated(&shown(&[9], 1), Some("c"), false));
        trail.begin();
        assert!(!trail.is_repeated(&shown(&[9], 1), Some("a"), false));
        assert!(trail.is_repeated(&shown(&[7], 3), Some("a"), false));
    }

    #[test]
    fn empty_pages_come_to_an_end() {
        let mut trail = Trail::default();
        let most =
            (0..1_000).take_while(|page| !trail.is_repeated(&shown(&[], 0), Some(&page.to_string()), true));
        assert_eq!(most.count(), MAX_EMPTY_PAGES as usize);
    }

    #[test]
    fn a_window_without_offsets_is_read_from_smaller_tops() {
        let mut trail = Trail::default();
        let second = 1_000;
        assert_eq!(trail.seek(400 * second, Some(100 * second), &shown(&[], 0)), Seek::From(220 * second));
        assert_eq!(trail.seek(104, Some(100), &shown(&[], 0)), Seek::From(102));
        assert_eq!(trail.seek(101, Some(100), &shown(&[], 0)), Seek::From(100));
        for _ in 0..MAX_LEFT_OUT {
            assert_eq!(trail.seek(100, None, &shown(&[100], 0)), Seek::Without { at_ms: 100 });
        }
        assert_eq!(trail.seek(100, None, &shown(&[100], 0)), Seek::Nowhere);
        assert_eq!(Trail::default().seek(100, None, &shown(&[], 0)), Seek::Nowhere);
    }

    #[test]
    fn offsets_that_die_bring_the_top_closer() {
        let mut trail = Trail::default();
        assert_eq!(trail.top_ms(5), 5 + MARGIN_MS);
        trail.expired = 2;
        assert_eq!(trail.top_ms(5), 5 + MARGIN_MS / 4);
        trail.moves();
        assert_eq!(trail.top_ms(5), 5 + MARGIN_MS / 2);
        trail.expired = 40;
        assert_eq!(trail.top_ms(5), 5);
    }
}

//! Things that happened, by their millisecond. Several may share one, and what is told late takes its place among the
//! older ones, behind the back of a client that has read past it.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Milliseconds since 1970, and the order in which it was told.
pub(crate) type Place = (i64, u64);

#[derive(Debug)]
pub(crate) struct Journal<T> {
    entries: BTreeMap<Place, T>,
    told: u64,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), told: 0 }
    }
}

impl<T> Journal<T> {
    pub(crate) fn add(&mut self, at: i64, entry: T) -> Place {
        let place = (at, self.told);
        self.told += 1;
        self.entries.insert(place, entry);
        place
    }

    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.entries.get(&place)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.entries.get_mut(&place)
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        self.entries.remove(&place)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = (Place, &T)> {
        self.entries.iter().map(|(place, entry)| (*place, entry))
    }

    /// From `from` to `to`, both included; `before` leaves out that place and all that are newer.
    pub(crate) fn newest_first(
        &self,
        from: i64,
        to: i64,
        before: Option<Place>,
    ) -> impl Iterator<Item = (Place, &T)> {
        let first = (from, 0);
        let end = match before {
            Some(before) if before.0 <= to => Bound::Excluded(before),
            _ => Bound::Included((to, u64::MAX)),
        };
        let is_empty = from > to || matches!(end, Bound::Excluded(before) if before < first);
        let range = (!is_empty).then(|| self.entries.range((Bound::Included(first), end)).rev());
        range.into_iter().flatten().map(|(place, entry)| (*place, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_late_takes_its_place_among_the_older_ones() {
        let mut journal = Journal::default();
        for (at, name) in [(5, "b"), (5, "c"), (9, "d"), (5, "late")] {
            journal.add(at, name);
        }
        let read = |from, to, before| -> Vec<&str> {
            journal.newest_first(from, to, before).map(|(_, name)| *name).collect()
        };
        assert_eq!(read(i64::MIN, i64::MAX, None), ["d", "late", "c", "b"]);
        assert_eq!(read(5, 5, Some((5, 1))), ["b"]);
        assert_eq!(read(5, 8, Some((9, 2))), ["late", "c", "b"]);
        assert!(read(6, 8, Some((5, 1))).is_empty() && read(8, 6, None).is_empty());
    }
}

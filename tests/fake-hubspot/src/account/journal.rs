//! Journal of events by their millisecond. Several may share one, and an event that arrives late takes its place among
//! the older ones, where a client may have read already.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Milliseconds since 1970, and a number that counts the entries as they are written.
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

/// An entry and the time of its arrival, by which HubSpot orders what it shows.
#[derive(Debug)]
pub(crate) struct Arrived<'a, T> {
    pub(crate) arrival: Place,
    /// Time of the event.
    pub(crate) at: i64,
    pub(crate) entry: &'a T,
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

    /// Returns the entries from `from` to `to`, both included. `before` leaves out that place and all that are newer.
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

    /// Returns the entries from `from` to `to`, both included, in the order of their arrival, the last one first. Each
    /// arrives its `delay` after it happened, `most_delay` at the most. `before` leaves out that arrival and all after
    /// it.
    pub(crate) fn last_arrived_first<'a>(
        &'a self,
        (from, to): (i64, i64),
        before: Option<Place>,
        most_delay: i64,
        delay: impl Fn(Place, &T) -> i64,
    ) -> impl Iterator<Item = Arrived<'a, T>> {
        // What arrived before then has happened before then.
        let to = before.map_or(to, |(arrival, _)| arrival.min(to));
        let mut entries = self.newest_first(from, to, None).peekable();
        let mut waiting: BTreeMap<Place, (i64, &T)> = BTreeMap::new();
        std::iter::from_fn(move || {
            loop {
                let next = entries.peek().map(|((at, _), _)| at.saturating_add(most_delay));
                let is_due = |arrival: &Place| next.is_none_or(|next| arrival.0 > next);
                if waiting.last_key_value().is_some_and(|(arrival, _)| is_due(arrival)) {
                    let (arrival, (at, entry)) = waiting.pop_last()?;
                    return Some(Arrived { arrival, at, entry });
                }
                let (place, entry) = entries.next()?;
                let arrival = (place.0.saturating_add(delay(place, entry)), place.1);
                if before.is_none_or(|before| arrival < before) {
                    waiting.insert(arrival, (place.0, entry));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_arrives_late_takes_its_place_among_the_older_ones() {
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

    #[test]
    fn what_arrives_late_is_shown_late_and_once_whatever_the_pages() {
        let mut journal = Journal::default();
        for at in 0..500_i64 {
            journal.add(at / 2, at);
        }
        let delay = |(at, told): Place, _: &i64| (at * 7 + told as i64 * 3) % 20;
        let read = |window, limit: usize| {
            let (mut before, mut read) = (None, Vec::new());
            loop {
                let page: Vec<_> =
                    journal.last_arrived_first(window, before, 20, delay).take(limit).collect();
                let Some(last) = page.last() else { return read };
                before = Some(last.arrival);
                read.extend(page.iter().map(|shown| (shown.arrival, shown.at)));
            }
        };
        let all = read((i64::MIN, i64::MAX), usize::MAX);
        assert!(all.len() == 500 && all.is_sorted_by(|a, b| a.0 > b.0));
        assert!(!all.is_sorted_by(|a, b| a.1 >= b.1));
        for limit in [1, 7, 100] {
            assert_eq!(read((i64::MIN, i64::MAX), limit), all);
            let within: Vec<_> = all.iter().copied().filter(|(_, at)| (50..=90).contains(at)).collect();
            assert_eq!(read((50, 90), limit), within);
        }
    }
}

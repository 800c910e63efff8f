//! The search index. It follows the records after a while, and not in order: until then a record is found with its old
//! values and at its old place, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::Record;
use crate::behaviour::IndexLag;
use crate::dice::Dice;

/// Number of entries from which on settled ones are dropped.
const SWEEP_AT: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Index {
    lag: IndexLag,
    /// Start of the first [period](IndexLag::period).
    begun: Instant,
    dice: Dice,
    behind: BTreeMap<u64, Behind>,
}

/// A record of which search may still show an older version.
#[derive(Debug)]
struct Behind {
    shown: Option<Arc<Record>>,
    /// Versions in the order they were made; each is shown from its instant on, unless a later one is shown already.
    coming: Vec<(Instant, Option<Arc<Record>>)>,
}

impl Behind {
    fn at(&self, now: Instant) -> Option<&Arc<Record>> {
        let due = self.coming.iter().rev().find(|(from, _)| *from <= now);
        due.map_or(&self.shown, |(_, version)| version).as_ref()
    }

    /// Drops versions older than the one that is shown now.
    fn settle(&mut self, now: Instant) {
        self.shown = self.at(now).cloned();
        if let Some(place) = self.coming.iter().rposition(|(from, _)| *from <= now) {
            self.coming.drain(..=place);
        }
    }

    fn is_settled(&self, now: Instant) -> bool {
        self.coming.last().is_none_or(|(from, _)| *from <= now)
    }
}

impl Index {
    pub(crate) fn new(seed: u64) -> Self {
        Self { lag: IndexLag::none(), begun: Instant::now(), dice: Dice::new(seed), behind: BTreeMap::new() }
    }

    pub(crate) fn set_lag(&mut self, lag: IndexLag) {
        self.lag = lag;
    }

    /// Notes a changed record. `None` stands for a record that search must not find.
    pub(crate) fn follow(&mut self, id: u64, before: Option<Arc<Record>>, after: Option<Arc<Record>>) {
        let now = Instant::now();
        let delay = self.next_delay();
        let due = self.moving(now + delay);
        if due == now && !self.behind.contains_key(&id) {
            return;
        }
        if self.behind.len() >= SWEEP_AT {
            self.behind.retain(|_, behind| !behind.is_settled(now));
        }
        let behind = self.behind.entry(id).or_insert(Behind { shown: before, coming: Vec::new() });
        behind.settle(now);
        behind.coming.push((due, after));
    }

    /// Returns the records that search shows, in no particular order.
    pub(crate) fn view<'a>(
        &'a self,
        live: &'a BTreeMap<u64, Arc<Record>>,
    ) -> impl Iterator<Item = &'a Arc<Record>> {
        let now = Instant::now();
        let up_to_date =
            live.iter().filter(|(id, _)| !self.behind.contains_key(*id)).map(|(_, record)| record);
        up_to_date.chain(self.behind.values().filter_map(move |behind| behind.at(now)))
    }

    /// Returns the first moment from `due` on in which the index does not stand still.
    fn moving(&self, due: Instant) -> Instant {
        let IndexLag { standstill, period, .. } = self.lag;
        if standstill.is_zero() || period.is_zero() {
            return due;
        }
        let since_period = (due - self.begun).as_nanos() % period.as_nanos();
        let until_period = period - Duration::from_nanos(since_period as u64);
        if until_period <= standstill { due + until_period } else { due }
    }

    fn next_delay(&mut self) -> Duration {
        if self.lag.most.is_zero() && self.lag.stragglers == 0.0 {
            return Duration::ZERO;
        }
        if self.dice.chance(self.lag.stragglers) {
            return self.lag.straggler;
        }
        self.lag.least + (self.lag.most.saturating_sub(self.lag.least)).mul_f64(self.dice.fraction())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::account::past::Past;
    use crate::account::record::Values;

    fn version(id: u64) -> Option<Arc<Record>> {
        let now = DateTime::UNIX_EPOCH;
        Some(Arc::new(Record {
            id,
            created_at: now,
            updated_at: now,
            shown_updated_at: None,
            archived_at: None,
            values: Values::default(),
            past: Past::default(),
        }))
    }

    /// Makes a record of three versions, told apart by their ids: the second is indexed late, after the third.
    fn overtaken(start: Instant) -> Behind {
        let coming =
            vec![(start + Duration::from_secs(10), version(2)), (start + Duration::from_secs(5), version(3))];
        Behind { shown: version(1), coming }
    }

    #[test]
    fn a_version_is_never_followed_by_an_older_one() {
        let start = Instant::now();
        let mut behind = overtaken(start);
        for (seconds, shown) in [(0, 1), (4, 1), (5, 3), (9, 3), (10, 3), (11, 3)] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(behind.at(now).map(|record| record.id), Some(shown), "after {seconds} s");
            if seconds == 9 {
                behind.settle(now);
            }
        }
        assert!(behind.coming.is_empty());
    }

    #[test]
    fn what_is_due_while_the_index_stands_still_shows_at_the_end_of_it() {
        let mut index = Index::new(1);
        let seconds = Duration::from_secs;
        index.set_lag(IndexLag { standstill: seconds(60), period: seconds(600), ..IndexLag::none() });
        let after = |due: u64| (index.moving(index.begun + seconds(due)) - index.begun).as_secs();
        assert_eq!([0, 539, 540, 599, 600, 1_139, 1_141].map(after), [0, 539, 600, 600, 600, 1_139, 1_200]);
    }

    #[test]
    fn without_a_lag_changes_show_at_once() {
        let mut index = Index::new(1);
        index.follow(1, version(1), version(1));
        assert!(index.behind.is_empty());
        index.set_lag(IndexLag::up_to(Duration::from_secs(60)));
        index.follow(1, version(1), None);
        assert_eq!(index.view(&BTreeMap::new()).count(), 1, "archived, and still found");
    }
}

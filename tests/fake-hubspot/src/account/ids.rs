//! Record ids as HubSpot hands them out: old accounts begin with a few small ones fifty apart, then come numbers of
//! eleven and twelve digits, dense where a bulk import ran, with holes of any width between.

use crate::dice::Dice;

/// The first ids of an old account's contacts.
const SMALL: [u64; 11] = [1, 51, 101, 151, 201, 251, 301, 351, 401, 451, 1451];
/// The first long id.
const LONG: u64 = 11_204_518_007;

#[derive(Debug)]
pub(crate) struct Ids {
    small: std::slice::Iter<'static, u64>,
    last: u64,
    dense: u64,
}

impl Ids {
    pub(crate) fn new(with_small_ones: bool, dice: &mut Dice) -> Self {
        let small = if with_small_ones { SMALL.iter() } else { [].iter() };
        Self { small, last: LONG + dice.below(LONG), dense: 0 }
    }

    /// Makes ids that go on after one that is in use.
    pub(crate) fn after(last: u64) -> Self {
        Self { small: [].iter(), last: last.max(LONG), dense: 0 }
    }

    /// Makes no id up to `last` again.
    pub(crate) fn skip_to(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Makes the next `count` ids follow each other without a gap.
    pub(crate) fn begin_dense(&mut self, count: u64) {
        self.dense = count;
    }

    pub(crate) fn next(&mut self, dice: &mut Dice) -> u64 {
        if let Some(small) = self.small.next() {
            return *small;
        }
        if self.dense > 0 {
            self.dense -= 1;
        } else if dice.chance(0.1) {
            self.dense = 5 + dice.below(150);
        }
        self.last += match dice.below(20) {
            _ if self.dense > 0 => 1,
            0 => 1_000_000 + dice.below(1_000_000_000),
            _ => 1 + dice.below(4_000),
        };
        self.last
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_with_dense_ranges_and_holes() {
        let mut dice = Dice::new(5);
        let mut ids = Ids::new(true, &mut dice);
        let ids: Vec<_> = (0..20_000).map(|_| ids.next(&mut dice)).collect();
        let gaps: Vec<_> = ids.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(ids[..4], [1, 51, 101, 151]);
        assert!(ids.is_sorted() && gaps.iter().all(|gap| *gap > 0));
        assert!(gaps.iter().filter(|gap| **gap == 1).count() > 10_000);
        assert!(gaps.iter().filter(|gap| **gap > 1_000_000).count() > 10);
        assert!(ids[19_999] < 1_000_000_000_000, "twelve digits at most, as HubSpot's today");
    }
}

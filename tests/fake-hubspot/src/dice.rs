//! Randomness that is the same on every machine, in every version: SplitMix64, written out, because the streams of a
//! library may change between its releases and a seed must keep its meaning.

#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for the `number`th thing of a seed, whatever was drawn for the others.
    pub(crate) fn nth(seed: u64, number: u64) -> Self {
        Self(mix(seed ^ mix(number)))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..limit`; 0 when the range is empty.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.roll()) * u128::from(limit)) >> 64) as u64
    }

    /// A number in `low..high`; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.saturating_sub(low).max(0) as u64) as i64
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Spreads neighbouring numbers over the whole range; also an order that no client can guess.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_keeps_its_meaning() {
        let mut dice = Dice::new(0);
        assert_eq!((dice.roll(), dice.roll()), (0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(7);
        assert!((0..10_000).all(|_| dice.below(3) < 3));
        assert!((0..10_000).all(|_| (-5..5).contains(&dice.between(-5, 5))));
        assert_eq!((dice.below(0), dice.between(4, 4)), (0, 4));
    }
}

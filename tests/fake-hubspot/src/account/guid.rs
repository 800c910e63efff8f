//! Random ids in their usual spelling: `6d72d39c-87da-4ced-8fdf-5f0213363827`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Guid(u128);

impl Guid {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let random = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
        let (version, variant) = (0x4_u128 << 76, 0x8_u128 << 60);
        Self(random & !(0xf_u128 << 76) & !(0xc_u128 << 60) | version | variant)
    }

    /// Random numbers that belong to the thing with this id.
    pub(crate) fn dice(self) -> Dice {
        Dice::nth(self.0 as u64, (self.0 >> 64) as u64)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            formatter,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

#[derive(Debug)]
pub(crate) struct NoGuid;

impl FromStr for Guid {
    type Err = NoGuid;

    fn from_str(text: &str) -> Result<Self, NoGuid> {
        let digits = text.replace('-', "");
        let is_whole = digits.len() == 32 && text.len() == 36;
        let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| is_whole);
        bits.map(Self).ok_or(NoGuid)
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let mut dice = Dice::new(3);
        for _ in 0..1_000 {
            let guid = Guid::draw(&mut dice);
            assert_eq!(guid.to_string().parse::<Guid>().unwrap(), guid);
            assert_eq!(&guid.to_string()[14..15], "4");
        }
        assert!("6d72d39c".parse::<Guid>().is_err());
    }
}

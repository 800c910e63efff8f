//! Sorted numbers without order among their bits, such as hashes, in little more than what their differences take: each
//! difference is as many ones as it holds a power of two, a zero, and the rest in bits (a Rice code). 400,000 hashes of
//! 56 bits take 4.9 bytes each.

use staging::pairs::{put_varint, take_varint};

/// The numbers' bytes. They ascend, and have at most `bits` bits.
pub(super) fn packed(numbers: &[u64], bits: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if numbers.is_empty() {
        return bytes;
    }
    // About as many as a mean difference has.
    let low = bits.saturating_sub(numbers.len().ilog2());
    put_varint(&mut bytes, numbers.len() as u64);
    put_varint(&mut bytes, u64::from(low));
    let mut written = BitWriter { bytes, free: 0 };
    let mut last = 0;
    for &number in numbers {
        let difference = number.wrapping_sub(last);
        for _ in 0..difference >> low {
            written.put(1, 1);
        }
        written.put(0, 1);
        written.put(difference, low);
        last = number;
    }
    written.bytes
}

/// The numbers again; `None` for bytes that hold none.
pub(super) fn unpacked(mut bytes: &[u8]) -> Option<Vec<u64>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let count = usize::try_from(take_varint(&mut bytes)?).ok()?;
    let low = u32::try_from(take_varint(&mut bytes)?).ok().filter(|low| *low < u64::BITS)?;
    // Each takes a bit at least: a count out of nowhere takes no memory.
    if count > bytes.len().saturating_mul(8) {
        return None;
    }
    let mut rest = BitReader { bytes, at: 0 };
    let mut numbers = Vec::with_capacity(count);
    let mut last = 0_u64;
    for _ in 0..count {
        let mut high = 0_u64;
        while rest.take(1)? == 1 {
            high += 1;
        }
        let difference = high.checked_mul(1 << low)?.checked_add(rest.take(low)?)?;
        last = last.checked_add(difference)?;
        numbers.push(last);
    }
    Some(numbers)
}

/// Appends bits, the highest first.
struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not written.
    free: u32,
}

impl BitWriter {
    fn put(&mut self, number: u64, mut bits: u32) {
        while bits > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = bits.min(self.free);
            bits -= taken;
            let part = (number >> bits) & ((1 << taken) - 1);
            self.free -= taken;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << self.free) as u8;
            }
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn take(&mut self, mut bits: u32) -> Option<u64> {
        let mut number = 0;
        while bits > 0 {
            let byte = *self.bytes.get(self.at / 8)?;
            let left = 8 - (self.at % 8) as u32;
            let taken = bits.min(left);
            let part = (u64::from(byte) >> (left - taken)) & ((1 << taken) - 1);
            number = number << taken | part;
            self.at += taken as usize;
            bits -= taken;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    #[test]
    fn hashes_take_little_more_than_their_differences() {
        let mut hashes: Vec<u64> =
            (0..400_000_u64).map(|number| xxh3_64(&number.to_le_bytes()) >> 8).collect();
        hashes.sort_unstable();
        let bytes = packed(&hashes, 56);
        assert!(bytes.len() < 5 * hashes.len(), "{} bytes", bytes.len());
        assert_eq!(unpacked(&bytes).unwrap(), hashes);
    }

    proptest! {
        #[test]
        fn numbers_survive(numbers in proptest::collection::btree_set(0..1_u64 << 56, 0..50)) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            prop_assert_eq!(unpacked(&packed(&numbers, 56)), Some(numbers));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpacked(&bytes);
        }
    }
}

//! A number for each id, small enough for a document of the state: differences of sorted ids and of their numbers, as
//! bytes, in base 64. An id takes some 10 characters.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// By id. In JSON a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs(pub BTreeMap<u64, i64>);

impl Pairs {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 8);
        let (mut last_id, mut last) = (0_u64, 0_i64);
        for (&id, &number) in &self.0 {
            put_varint(&mut bytes, id.wrapping_sub(last_id));
            put_varint(&mut bytes, zigzag(number.wrapping_sub(last)));
            (last_id, last) = (id, number);
        }
        bytes
    }

    /// `None` for bytes that hold no pairs.
    pub fn of_bytes(mut rest: &[u8]) -> Option<Pairs> {
        let mut pairs = BTreeMap::new();
        let (mut id, mut number) = (0_u64, 0_i64);
        while !rest.is_empty() {
            id = id.wrapping_add(take_varint(&mut rest)?);
            number = number.wrapping_add(unzigzag(take_varint(&mut rest)?));
            pairs.insert(id, number);
        }
        Some(Pairs(pairs))
    }
}

impl Serialize for Pairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
        Pairs::of_bytes(&bytes).ok_or_else(|| de::Error::custom("the numbers by id are not whole"))
    }
}

/// A number that may be negative as one of which small ones take few bytes.
pub fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The reverse of [`zigzag`].
pub fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

/// Appends a number, 7 bits to a byte.
pub fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number from the front; `None` where there is none.
pub fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_survive_a_document(ids in proptest::collection::btree_map(any::<u64>(), any::<i64>(), 0..50)) {
            let pairs = Pairs(ids);
            let text = serde_json::to_string(&pairs).unwrap();
            prop_assert_eq!(serde_json::from_str::<Pairs>(&text).unwrap(), pairs);
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = serde_json::from_str::<Pairs>(&serde_json::to_string(&text).unwrap());
        }
    }
}

//! Sets of what earlier runs have read, small enough to keep in a cursor.
//!
//! HubSpot's list of archived records has no filter by time: it shows the same records again and again. These sets tell
//! the new from the known, so that a run over an unchanged account stages nothing. Forgetting is always safe: a record
//! that is read twice merges once.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use staging::Pairs;
use staging::pairs::{put_varint, take_varint, unzigzag, zigzag};
use xxhash_rust::xxh3::xxh3_64;

/// Archived records a cursor may carry: about 1.5 MB.
const MAX_ARCHIVED: usize = 200_000;

/// A set of names, as hashes, as a cursor keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::feeds) struct Hashes(pub(crate) HashSet<u64>);

/// Returns a name's hash, as [`Hashes`] hold it.
pub(in crate::feeds::objects) fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hashes: Vec<u64> = self.0.iter().copied().collect();
        hashes.sort_unstable();
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hashes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
        let (hashes, []) = bytes.as_chunks::<8>() else {
            return Err(de::Error::custom("the hashes are not whole"));
        };
        Ok(Hashes(hashes.iter().map(|&hash| u64::from_le_bytes(hash)).collect()))
    }
}

/// Archived records and when they were archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::feeds) struct ArchivedIds {
    /// Shared by the copies of a cursor, of which a run makes some with each checkpoint.
    by_id: Arc<Pairs>,
    /// Records archived up to then are known even if they are not in the map: there were too many.
    floor_ms: Option<i64>,
}

impl ArchivedIds {
    pub(crate) fn add(&mut self, id: u64, archived_ms: i64) {
        Arc::make_mut(&mut self.by_id).0.insert(id, archived_ms);
        if self.by_id.0.len() > MAX_ARCHIVED {
            self.forget_oldest_half();
        }
    }

    fn forget_oldest_half(&mut self) {
        let mut times: Vec<i64> = self.by_id.0.values().copied().collect();
        times.sort_unstable();
        let median = times[times.len() / 2];
        Arc::make_mut(&mut self.by_id).0.retain(|_, archived_ms| *archived_ms > median);
        self.floor_ms = self.floor_ms.max(Some(median));
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.0.len()
    }

    /// The highest id, 0 where there is none.
    pub(crate) fn top(&self) -> u64 {
        self.by_id.0.last_key_value().map_or(0, |(&id, _)| id)
    }

    /// The id with this part of all before it, from 0 to 1.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        let place = (self.by_id.0.len() as f64 * part) as usize;
        self.by_id.0.keys().nth(place).copied().unwrap_or(0)
    }

    /// Ids that part the records evenly: into parts of `fewest` records at the least, and `most` parts at the most.
    pub(crate) fn parted(&self, fewest: usize, most: usize) -> Vec<u64> {
        let count = self.by_id.0.len();
        let parts = (count / fewest).clamp(1, most);
        let firsts = self.by_id.0.keys().copied().step_by(count / parts + 1);
        firsts.skip(1).collect()
    }

    pub(crate) fn holds(&self, id: u64, archived_ms: i64) -> bool {
        self.by_id.0.get(&id) == Some(&archived_ms) || self.floor_ms.is_some_and(|floor| archived_ms <= floor)
    }

    /// Ids that were archived when `self` was made and are not in `now`.
    pub(crate) fn gone_in(&self, now: &ArchivedIds) -> Vec<u64> {
        let is_gone = |&(id, archived_ms): &(&u64, &i64)| {
            !now.by_id.0.contains_key(id) && !now.holds(*id, *archived_ms)
        };
        self.by_id.0.iter().filter(is_gone).map(|(&id, _)| id).collect()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, zigzag(self.floor_ms.unwrap_or(i64::MIN)));
        bytes.extend(self.by_id.to_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<ArchivedIds> {
        let mut rest = bytes;
        let floor_ms = Some(unzigzag(take_varint(&mut rest)?)).filter(|&floor| floor != i64::MIN);
        Some(ArchivedIds { by_id: Arc::new(Pairs::of_bytes(rest)?), floor_ms })
    }
}

impl Serialize for ArchivedIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.encode()))
    }
}

impl<'de> Deserialize<'de> for ArchivedIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ArchivedIds, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
        ArchivedIds::decode(&bytes).ok_or_else(|| de::Error::custom("the archived ids are not whole"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_many_archived_records_are_known_by_their_time() {
        let mut archived = ArchivedIds::default();
        for id in 0..=MAX_ARCHIVED as u64 {
            archived.add(id, id as i64);
        }
        assert!(archived.by_id.0.len() <= MAX_ARCHIVED);
        assert!((0..=MAX_ARCHIVED as u64).all(|id| archived.holds(id, id as i64)));
        assert!(!archived.holds(7, MAX_ARCHIVED as i64 + 1));
    }

    #[test]
    fn archived_records_are_parted_evenly() {
        let mut archived = ArchivedIds::default();
        assert_eq!((archived.top(), archived.parted(10, 4)), (0, vec![]));
        for id in 0..19 {
            archived.add(id * id, 1);
        }
        assert_eq!((archived.top(), archived.parted(10, 4)), (18 * 18, vec![]));
        assert_eq!(archived.parted(9, 4), [10 * 10]);
        assert_eq!(archived.parted(3, 4), [25, 100, 225]);
    }

    #[test]
    fn what_left_the_list_is_gone() {
        let mut before = ArchivedIds::default();
        let mut now = ArchivedIds::default();
        for id in 1..=4 {
            before.add(id, 10);
        }
        now.add(2, 10);
        now.add(3, 99);
        assert_eq!(before.gone_in(&now), [1, 4]);
    }

    proptest! {
        #[test]
        fn sets_survive_a_cursor(ids in proptest::collection::btree_map(any::<u64>(), any::<i64>(), 0..50)) {
            let hashes = Hashes(ids.keys().copied().collect());
            let text = serde_json::to_string(&hashes).unwrap();
            prop_assert_eq!(serde_json::from_str::<Hashes>(&text).unwrap(), hashes);
            let archived = ArchivedIds { by_id: Arc::new(Pairs(ids)), floor_ms: None };
            let text = serde_json::to_string(&archived).unwrap();
            prop_assert_eq!(serde_json::from_str::<ArchivedIds>(&text).unwrap(), archived);
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            let _ = serde_json::from_str::<ArchivedIds>(&json);
            let _ = serde_json::from_str::<Hashes>(&json);
        }
    }
}

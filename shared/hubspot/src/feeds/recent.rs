//! Versions of records that were read lately, so that the next run's overlap stages none of them again.
//!
//! Forgetting is always safe: a record that is read twice merges once. So where there are too many, the oldest are
//! forgotten, and no others.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

use super::packed::{packed, unpacked};

/// Versions a cursor may carry: 2 MB of hashes. Runs that find more stage the rest again.
pub(super) const MOST_RECENT: usize = 400_000;
/// Fewer are not worth a look for those that are too old.
const FEWEST_RECENT: usize = 1 << 10;
/// Bits of a hash that are kept: of 180 billion new versions, one has the hash of one of 400,000 others, and is taken for
/// known.
const HASH_BITS: u32 = 56;
/// Begins the text of a set; the texts of earlier versions of this program have no such character.
const PACKED: char = '~';

/// Versions read by a run under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentReads {
    /// When it changed, and its hash.
    entries: Vec<(i64, u64)>,
    /// Number of entries at which those that are too old by now are looked for.
    full_at: usize,
    /// There were too many: what is not above is forgotten.
    floor: Option<(i64, u64)>,
}

impl RecentReads {
    /// The identity of one version of one record.
    pub(crate) fn hash(id: u64, updated_ms: i64) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&id.to_le_bytes());
        bytes[8..].copy_from_slice(&updated_ms.to_le_bytes());
        xxh3_64(&bytes)
    }

    /// `version` is a hash that tells this version from every other. Nobody asks for one from before `oldest_ms`.
    pub(crate) fn add(&mut self, version: u64, updated_ms: i64, oldest_ms: i64) {
        let entry = (updated_ms, shortened(version));
        if updated_ms < oldest_ms || self.floor.is_some_and(|floor| entry <= floor) {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() >= self.full_at {
            self.make_room(oldest_ms);
            self.full_at = (self.entries.len() * 2).clamp(FEWEST_RECENT, MOST_RECENT + MOST_RECENT / 4);
        }
    }

    fn make_room(&mut self, oldest_ms: i64) {
        self.entries.retain(|&(updated_ms, _)| updated_ms >= oldest_ms);
        if self.entries.len() <= MOST_RECENT {
            return;
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        let surplus = self.entries.len().saturating_sub(MOST_RECENT);
        self.floor = self.entries.drain(..surplus).next_back().or(self.floor);
    }

    /// Versions to remember for the next run, which asks for nothing from before `oldest_ms`.
    pub(crate) fn into_versions(mut self, oldest_ms: i64) -> Versions {
        self.make_room(oldest_ms);
        Versions::of(self.entries.into_iter().map(|(_, hash)| hash).collect())
    }
}

fn shortened(version: u64) -> u64 {
    version >> (u64::BITS - HASH_BITS)
}

/// A set of versions, as a cursor keeps it. The copies of a cursor, of which a run makes some, share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(Arc<[u64]>);

impl Default for Versions {
    fn default() -> Versions {
        Versions(Arc::new([]))
    }
}

impl Versions {
    fn of(mut hashes: Vec<u64>) -> Versions {
        hashes.sort_unstable();
        hashes.dedup();
        Versions(hashes.into())
    }

    pub(crate) fn hold(&self, version: u64) -> bool {
        self.0.binary_search(&shortened(version)).is_ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::from(PACKED);
        BASE64.encode_string(packed(&self.0, HASH_BITS), &mut text);
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Versions, D::Error> {
        let text = String::deserialize(deserializer)?;
        let broken = || de::Error::custom("the versions read lately are not whole");
        let Some(packed) = text.strip_prefix(PACKED) else {
            let bytes = BASE64.decode(text).map_err(de::Error::custom)?;
            let (hashes, []) = bytes.as_chunks::<8>() else { return Err(broken()) };
            return Ok(Versions::of(
                hashes.iter().map(|&hash| shortened(u64::from_le_bytes(hash))).collect(),
            ));
        };
        let bytes = BASE64.decode(packed).map_err(de::Error::custom)?;
        unpacked(&bytes).map(Versions::of).ok_or_else(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn remembered(changes: impl Iterator<Item = (u64, i64)>, oldest_ms: i64) -> Versions {
        let mut recent = RecentReads::default();
        for (id, updated_ms) in changes {
            recent.add(RecentReads::hash(id, updated_ms), updated_ms, oldest_ms);
        }
        recent.into_versions(oldest_ms)
    }

    fn knows(versions: &Versions, id: u64, updated_ms: i64) -> bool {
        versions.hold(RecentReads::hash(id, updated_ms))
    }

    #[test]
    fn only_what_the_next_run_asks_for_is_remembered() {
        let versions = remembered([(1, 1_000), (2, 1_950), (3, 2_000), (4, 1_000)].into_iter(), 1_900);
        assert_eq!(versions.len(), 2);
        assert!(knows(&versions, 2, 1_950) && knows(&versions, 3, 2_000) && !knows(&versions, 1, 1_000));
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let count = 2 * MOST_RECENT as u64;
        // The newest come first, as HubSpot shows what happened.
        let versions = remembered((0..count).rev().map(|id| (id, id as i64)), 0);
        assert_eq!(versions.len(), MOST_RECENT);
        let newest = count - MOST_RECENT as u64..count;
        assert!(newest.clone().all(|id| knows(&versions, id, id as i64)));
        let known_by_chance = (0..newest.start).filter(|&id| knows(&versions, id, id as i64)).count();
        assert_eq!(known_by_chance, 0);
    }

    #[test]
    fn a_crowd_of_one_moment_is_remembered_as_far_as_there_is_room() {
        let versions = remembered((0..2 * MOST_RECENT as u64).map(|id| (id, 5)), 0);
        assert_eq!(versions.len(), MOST_RECENT);
    }

    #[test]
    fn what_is_read_twice_takes_one_place() {
        let twice = (0..2).flat_map(|_| (0..MOST_RECENT as u64).map(|id| (id, id as i64)));
        assert_eq!(remembered(twice, 0).len(), MOST_RECENT);
    }

    #[test]
    fn sets_of_earlier_versions_are_read() {
        let hashes: Vec<u64> = (1..9).map(|id| RecentReads::hash(id, 7)).collect();
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        let text = serde_json::to_string(&BASE64.encode(bytes)).unwrap();
        let versions: Versions = serde_json::from_str(&text).unwrap();
        assert!((1..9).all(|id| knows(&versions, id, 7)) && !knows(&versions, 9, 7));
    }

    proptest! {
        #[test]
        fn sets_survive_a_cursor(ids in proptest::collection::btree_set(any::<u64>(), 0..50)) {
            let versions = remembered(ids.iter().map(|&id| (id, 3)), 0);
            let text = serde_json::to_string(&versions).unwrap();
            prop_assert_eq!(serde_json::from_str::<Versions>(&text).unwrap(), versions);
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = serde_json::from_str::<Versions>(&serde_json::to_string(&text).unwrap());
        }
    }
}

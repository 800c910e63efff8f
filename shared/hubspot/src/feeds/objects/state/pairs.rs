//! Pairs of objects, in a run and between two: what is known of the associations of a feed's records with one object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seen::Hashes;
use crate::feeds::full_refresh::Known;
use crate::feeds::unfinished::Unfinished;

/// What is known of the associations with one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct PairMemory {
    /// The links of all records that changed up to this moment are read.
    pub(in crate::feeds::objects) read_until_ms: Option<i64>,
    /// A link was seen.
    pub(in crate::feeds::objects) is_used: bool,
    /// A run began, and has not ended.
    pub(in crate::feeds::objects) has_begun: bool,
    /// HubSpot refuses them, and has done so before anything was read.
    pub(in crate::feeds::objects) refused: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) types: Option<KnownTypes>,
    /// The types were last asked for in vain at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) types_failed_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct Refusal {
    pub(in crate::feeds::objects) at_ms: i64,
    pub(in crate::feeds::objects) reason: String,
}

/// What a run has found out about the associations with one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct PairRun {
    /// Changed records whose links are not read yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::feeds::objects) waiting: Vec<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) is_used: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) refused: Option<Refusal>,
    /// A link has a type that is not among the known ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) has_new_type: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) has_asked_types: bool,
    /// The types as this run has read them, or why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) types: Option<KnownTypes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) types_failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::feeds::objects) types_failed_ms: Option<i64>,
}

/// Progress of a run, by the collection at the other end: those pairs whose links it reads. The lists of records, which
/// are read in sets as well, are among them by the name of their table.
pub(in crate::feeds) type PairRuns = BTreeMap<String, PairRun>;

/// Pairs of which a link may have been seen: by a run that has ended, by one under way, or by one that was given up.
pub(in crate::feeds::objects) fn used<'m>(
    known: &'m BTreeMap<String, PairMemory>,
    under_way: &'m [PairRuns],
) -> impl Iterator<Item = &'m String> {
    let is_used = move |(other, known): &(&String, &PairMemory)| {
        let was_given_up = known.has_begun && under_way.is_empty();
        let is_seen = |run: &PairRuns| run.get(*other).is_some_and(|pair| pair.is_used);
        known.is_used || was_given_up || under_way.iter().any(is_seen)
    };
    known.iter().filter(is_used).map(|(other, _)| other)
}

/// Remembers that a run begins: should it be given up, nobody knows what links it has seen.
pub(in crate::feeds::objects) fn begin(known: &mut BTreeMap<String, PairMemory>, pairs: &PairRuns) {
    for other in pairs.keys() {
        let known = known.entry(other.clone()).or_default();
        known.is_used |= known.has_begun;
        known.has_begun = true;
    }
}

/// Keeps what a run that has ended knows of the pairs.
pub(in crate::feeds::objects) fn keep(
    known: &mut BTreeMap<String, PairMemory>,
    run: &Unfinished,
    pairs: PairRuns,
) {
    let (is_whole, moves_watermark, started_ms) = (run.is_whole, run.moves_watermark, run.started_ms);
    for (other, pair) in pairs {
        let known = known.entry(other).or_default();
        known.is_used |= pair.is_used;
        known.has_begun = false;
        if pair.types.is_some() || pair.types_failed_ms.is_some() {
            known.types_failed_ms = pair.types_failed_ms;
        }
        known.types = pair.types.or(known.types.take());
        let is_refused = pair.refused.is_some();
        if is_whole || is_refused {
            known.refused = pair.refused;
        }
        if moves_watermark && !is_refused && (is_whole || known.read_until_ms.is_some()) {
            known.read_until_ms = Some(started_ms);
        }
    }
}

/// The types of a pair as they were last read, of both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct KnownTypes {
    pub(in crate::feeds::objects) list: Known,
    /// Those of the direction in which links are read, with their labels.
    pub(in crate::feeds::objects) seen: Hashes,
    pub(in crate::feeds::objects) asked_ms: i64,
}

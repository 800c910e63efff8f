//! Pairs of objects in a feed: those whose associations a run reads, and what is known of each from one run to the next.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::associations::{self, source};
use super::link_types::{ASSOCIATION_TYPES, KnownTypes};
use super::links::{ASSOCIATIONS, LinkTable};
use super::state::{RecordCursor, RunOfRecords};
use super::{ObjectType, Result};
use crate::feeds::document::Document;
use crate::feeds::pairs::AssociatedObject;
use crate::feeds::session::Session;
use crate::feeds::unfinished::Mode;

/// Time after which a pair that was refused is asked for again.
const REFUSED_MS: i64 = 24 * 3_600_000;

/// What is known of the associations with one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct PairMemory {
    /// The links of all records that changed up to this moment are read.
    pub(super) read_until_ms: Option<i64>,
    /// A link was seen.
    pub(super) is_used: bool,
    /// A run began, and has not ended.
    pub(super) has_begun: bool,
    /// HubSpot refuses them, and has done so before anything was read.
    pub(super) refused: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) types: Option<KnownTypes>,
    /// The types were last asked for in vain at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) types_failed_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct Refusal {
    pub(super) at_ms: i64,
    pub(super) reason: String,
}

/// What a run has found out about the associations with one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct PairRun {
    /// Changed records whose links are not read yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_used: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Refusal>,
    /// A link has a type that is not among the known ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_new_type: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_asked_types: bool,
    /// The types as this run has read them, or why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) types: Option<KnownTypes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) types_failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) types_failed_ms: Option<i64>,
}

/// Progress of a run, by the collection at the other end: those pairs whose links it reads. The lists of records, which
/// are read in sets as well, are among them by the name of their table.
pub(in crate::feeds) type PairRuns = BTreeMap<String, PairRun>;

/// Pairs of which a link may have been seen: by a run that has ended, by one under way, or by one that was given up.
pub(super) fn used<'m>(
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
pub(super) fn begin(known: &mut BTreeMap<String, PairMemory>, pairs: &PairRuns) {
    for other in pairs.keys() {
        let known = known.entry(other.clone()).or_default();
        known.is_used |= known.has_begun;
        known.has_begun = true;
    }
}

/// Objects whose associations with the records are read.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) others: Vec<AssociatedObject>,
    refused: BTreeMap<&'static str, String>,
}

impl Pairs {
    /// The pairs that a run of this mode reads. Those that are new, or were not wanted in the meantime, make it read
    /// older records, too.
    pub(super) async fn of_run(
        object: &'static ObjectType,
        session: &Session,
        mode: Mode,
        cursor: &mut RecordCursor<'_>,
    ) -> Result<Pairs> {
        let Some(objects) = session.associated.as_ref().filter(|_| mode != Mode::Reconcile) else {
            return Ok(Pairs::default());
        };
        let mut pairs = Pairs::default();
        for other in objects.paired_with(object.name) {
            let source = source(other.collection);
            let is_asked_elsewhere = object.associations.contains(&other.collection);
            if cursor.absent.contains_key(&source)
                && !is_asked_elsewhere
                && !mode.is_snapshot()
                && associations::answers(object, &session.client, other.path).await?
            {
                cursor.answers_again(&source);
            }
            if let Some(reason) = cursor.absent.get(&source) {
                pairs.refused.insert(other.collection, reason.clone());
                continue;
            }
            if mode == Mode::Incremental
                && let Some(reason) = still_refused(object, session, cursor, other).await?
            {
                pairs.refused.insert(other.collection, reason);
                continue;
            }
            catch_up(other.collection, mode, cursor);
            pairs.others.push(other);
        }
        Ok(pairs)
    }

    pub(super) fn table(
        self,
        session: &Session,
        mode: Mode,
        cursor: &RecordCursor<'_>,
    ) -> Result<Option<LinkTable>> {
        if self.others.is_empty() && self.refused.is_empty() {
            return Ok(None);
        }
        let (document, mut known) = (Document::new(&ASSOCIATIONS, &[])?, cursor.own.pairs.clone());
        let is_new = cursor.run.is_none();
        known.values_mut().for_each(|known| known.is_used |= is_new && known.has_begun);
        let others = self.others.iter().map(|other| other.collection);
        let wanted = others.chain(self.refused.keys().copied()).collect();
        let has_types = session.names(ASSOCIATION_TYPES.name) && !mode.is_snapshot();
        let types = has_types.then(|| Document::new(&ASSOCIATION_TYPES, &[])).transpose()?;
        let refused = Mutex::new(self.refused);
        Ok(Some(LinkTable { document, types, known, wanted, refused, types_failed: Mutex::default() }))
    }
}

/// Makes a run read older records where the sets of this name were never read, or not wanted in the meantime.
pub(super) fn catch_up(name: &str, mode: Mode, cursor: &mut RecordCursor<'_>) {
    match unread(name, mode, cursor) {
        Some(Unread::Never) => cursor.is_due_whole = true,
        Some(Unread::Since(until_ms)) => {
            let since_ms = cursor.reread_since_ms.unwrap_or(until_ms).min(until_ms);
            cursor.reread_since_ms = Some(since_ms);
        }
        None => {}
    }
}

/// Sets that a run over changes would miss.
pub(super) enum Unread {
    Never,
    /// They were read up to this moment.
    Since(i64),
}

/// Returns what runs without the sets of this name have left unread; `None` where nothing is.
pub(super) fn unread(name: &str, mode: Mode, cursor: &RecordCursor<'_>) -> Option<Unread> {
    if mode != Mode::Incremental || cursor.run.is_some() || cursor.watermark_ms.is_none() {
        return None;
    }
    let Some(until_ms) = cursor.own.pairs.get(name).and_then(|known| known.read_until_ms) else {
        return Some(Unread::Never);
    };
    let is_behind = cursor.caught_up_ms.is_some_and(|caught_up_ms| until_ms < caught_up_ms);
    is_behind.then_some(Unread::Since(until_ms))
}

/// The reason why a pair is not asked for. One that was refused long ago is asked once.
async fn still_refused(
    object: &ObjectType,
    session: &Session,
    cursor: &mut RecordCursor<'_>,
    other: AssociatedObject,
) -> Result<Option<String>> {
    let now_ms = session.client.now().timestamp_millis();
    let known = cursor.own.pairs.get_mut(other.collection).and_then(|known| known.refused.as_mut());
    let Some(refusal) = known else { return Ok(None) };
    if now_ms < refusal.at_ms.saturating_add(REFUSED_MS) {
        return Ok(Some(refusal.reason.clone()));
    }
    match associations::refusal(object, &session.client, other.path).await? {
        Some(reason) => {
            *refusal = Refusal { at_ms: now_ms, reason: reason.clone() };
            Ok(Some(reason))
        }
        // What it has of older records is read with everything.
        None => {
            cursor.own.pairs.remove(other.collection);
            Ok(None)
        }
    }
}

/// Keeps what a run that has ended knows of the pairs.
pub(super) fn keep(known: &mut BTreeMap<String, PairMemory>, run: &mut RunOfRecords<'_>) {
    let (is_whole, moves_watermark, started_ms) = (run.is_whole, run.moves_watermark, run.started_ms);
    for (other, pair) in std::mem::take(&mut run.own.pairs) {
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

//! Pairs of objects in a feed: those whose associations a run reads, and what is known of each from one run to the next.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::links::{ASSOCIATION_TYPES, ASSOCIATIONS, LinkTable};
use crate::error::Result;
use crate::feeds::document::Document;
use crate::feeds::objects::answers::association_calls::{self, answers, source};
use crate::feeds::objects::object_type::ObjectType;
use crate::feeds::objects::state::RecordCursor;
use crate::feeds::objects::state::pairs::Refusal;
use crate::feeds::pairs::AssociatedObject;
use crate::feeds::session::Session;
use crate::feeds::unfinished::Mode;

/// Time after which a pair that was refused is asked for again.
const REFUSED_MS: i64 = 24 * 3_600_000;

/// Objects whose associations with the records are read.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Pairs {
    pub(in crate::feeds::objects) others: Vec<AssociatedObject>,
    refused: BTreeMap<&'static str, String>,
}

impl Pairs {
    /// The pairs that a run of this mode reads. Those that are new, or were not wanted in the meantime, make it read
    /// older records, too.
    pub(in crate::feeds::objects) async fn of_run(
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
                && answers(object, &session.client, other.path).await?
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

    pub(in crate::feeds::objects) fn table(
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
pub(in crate::feeds::objects) fn catch_up(name: &str, mode: Mode, cursor: &mut RecordCursor<'_>) {
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
pub(in crate::feeds::objects) enum Unread {
    Never,
    /// They were read up to this moment.
    Since(i64),
}

/// Returns what runs without the sets of this name have left unread; `None` where nothing is.
pub(in crate::feeds::objects) fn unread(name: &str, mode: Mode, cursor: &RecordCursor<'_>) -> Option<Unread> {
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
    match association_calls::refusal(object, &session.client, other.path).await? {
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

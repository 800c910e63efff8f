//! Records by their ids: live ones, archived ones, and what is neither.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::answers::listed::record_ids;
use super::answers::unknown::Unknown;
use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::merge::Merge;
use super::state::slice::Advance;
use crate::error::Result;
use crate::json::Body;
use crate::parts::{AnswerStatus, NOT_FOUND};
use crate::value;

/// Answers of batch reads: the records that they show, and those that are not there.
#[derive(Debug, Default)]
struct BatchAnswer {
    bodies: Vec<Body>,
    shown: HashSet<u64>,
    /// They are not there, by HubSpot's word.
    absent: HashSet<u64>,
}

impl ObjectFeed {
    /// Live records, as a search found them.
    pub(super) async fn found_page(&self, ids: Vec<u64>) -> Result<Page> {
        let mut unknown = Unknown::default();
        let answers = self.batch_read(&ids, false, &mut unknown).await?;
        let bodies = answers.into_iter().map(|(_, body)| body).collect();
        let mut sets = Vec::new();
        let associated = self.associated(&ids, &mut unknown, &mut sets).await?;
        let next = Some(Advance::Done(ids.len()));
        Ok(Page { bodies, associated, sets, next, asked: ids, unknown, ..Page::default() })
    }

    /// Records that should be there. What is not live may be in the recycle bin by now.
    pub(super) async fn named_page(&self, ids: &[u64]) -> Result<Page> {
        let mut unknown = Unknown::default();
        let live = self.asked(ids, false, &mut unknown).await?;
        let (found, mut rest): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| live.shown.contains(id));
        rest.retain(|id| !unknown.holds(*id));
        let archived = match rest.is_empty() {
            true => BatchAnswer::default(),
            false => self.asked(&rest, true, &mut unknown).await?,
        };
        let mut sets = Vec::new();
        let associated = self.associated(&found, &mut unknown, &mut sets).await?;
        let is_absent = |id: &u64| live.absent.contains(id) && archived.absent.contains(id);
        let absent = rest.into_iter().filter(is_absent).collect();
        let live_bodies = Some(live.bodies.len());
        let bodies = live.bodies.into_iter().chain(archived.bodies).collect();
        let (next, asked) = (Some(Advance::Done(ids.len())), ids.to_vec());
        Ok(Page { bodies, live_bodies, associated, sets, next, asked, absent, unknown, ..Page::default() })
    }

    async fn asked(&self, ids: &[u64], is_archived: bool, unknown: &mut Unknown) -> Result<BatchAnswer> {
        let mut asked = BatchAnswer::default();
        for (ids, body) in self.batch_read(ids, is_archived, unknown).await? {
            // An answer without results shows nothing, and says of nothing that it is not there.
            if !body.has_list("results") {
                continue;
            }
            asked.shown.extend(record_ids(&body)?);
            let is_missing = |id: &u64| !asked.shown.contains(id);
            let missing: Vec<u64> = ids.into_iter().filter(is_missing).collect();
            asked.absent.extend(AnswerStatus::of(&body)?.benign(&missing, NOT_FOUND));
            asked.bodies.push(body);
        }
        Ok(asked)
    }

    /// The same for records that a comparison found: what HubSpot does not show at all is gone.
    pub(super) async fn wanted_page(&self, wanted: Vec<(u64, i64)>) -> Result<Page> {
        let ids: Vec<u64> = wanted.iter().map(|&(id, _)| id).collect();
        let page = self.named_page(&ids).await?;
        // Besides [`staging::Wanted::NO_VERSION`], whatever a document holds that is no time.
        let version = |known: i64| Some(known).filter(|&known| value::is_instant(known));
        let is_gone = |(id, _): &&(u64, i64)| page.absent.contains(id);
        let gone = wanted.iter().filter(is_gone).map(|&(id, known)| (id, version(known))).collect();
        let versions: BTreeMap<u64, i64> =
            wanted.into_iter().filter(|&(_, known)| version(known).is_some()).collect();
        Ok(Page { gone, versions, ..page })
    }

    /// Records that are named as merged. What HubSpot shows is live whoever names it: somebody has undone the merge. A
    /// row of it must not be older than the tombstone that an earlier run may have written.
    pub(super) async fn merged_page(&self, merges: &[Merge]) -> Result<Page> {
        let ids: Vec<u64> =
            merges.iter().map(|merge| merge.id).collect::<BTreeSet<_>>().into_iter().collect();
        let mut asked = self.asked(&ids, false, &mut Unknown::default()).await?;
        let (live, others): (Vec<Merge>, Vec<Merge>) =
            merges.iter().cloned().partition(|merge| asked.shown.contains(&merge.id));
        let (merged_away, unsettled) = others.into_iter().partition(|merge| asked.absent.contains(&merge.id));
        let mut versions = BTreeMap::new();
        for (id, updated_ms) in live.iter().filter_map(|merge| Some((merge.id, merge.updated_ms?))) {
            let version = versions.entry(id).or_insert(updated_ms);
            *version = updated_ms.max(*version);
        }
        let live: Vec<u64> = ids.into_iter().filter(|id| asked.shown.contains(id)).collect();
        if live.is_empty() {
            asked.bodies.clear();
        }
        let (mut unknown, mut sets) = (Unknown::default(), Vec::new());
        let associated = self.associated(&live, &mut unknown, &mut sets).await?;
        let next = Some(Advance::Done(merges.len()));
        let page =
            Page { bodies: asked.bodies, associated, sets, versions, next, asked: live, ..Page::default() };
        Ok(Page { merged_away, unsettled, unknown, ..page })
    }
}

//! Records by their ids: live ones, archived ones, and what is neither.

use std::collections::{BTreeMap, HashSet};

use super::pages::{Next, Page, record_ids};
use super::{ObjectFeed, Result};
use crate::json::Body;
use crate::value;

impl ObjectFeed {
    /// Live records, as a search found them.
    pub(super) async fn found_page(&self, ids: Vec<u64>) -> Result<Page> {
        let bodies = self.batch_read(&ids, false).await?;
        let associated = self.associated(&ids).await?;
        Ok(Page { bodies, associated, next: Some(Next::Done(ids.len())), asked: ids, ..Page::default() })
    }

    /// Records that should be there.
    pub(super) async fn named_page(&self, ids: &[u64]) -> Result<Page> {
        Ok(self.live_or_archived(ids).await?.0)
    }

    /// What is not live may be in the recycle bin by now. Answers also with the ids that were found in either.
    async fn live_or_archived(&self, ids: &[u64]) -> Result<(Page, HashSet<u64>)> {
        let mut bodies = self.batch_read(ids, false).await?;
        let (mut found, live_bodies) = (shown(&bodies)?, Some(bodies.len()));
        let (live, rest): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| found.contains(id));
        if !rest.is_empty() {
            let archived = self.batch_read(&rest, true).await?;
            found.extend(shown(&archived)?);
            bodies.extend(archived);
        }
        let associated = self.associated(&live).await?;
        let next = Some(Next::Done(ids.len()));
        Ok((Page { bodies, live_bodies, associated, next, ..Page::default() }, found))
    }

    /// The same for records that a comparison found: what HubSpot does not show at all is gone.
    pub(super) async fn wanted_page(&self, wanted: Vec<(u64, i64)>) -> Result<Page> {
        let ids: Vec<u64> = wanted.iter().map(|&(id, _)| id).collect();
        let (page, found) = self.live_or_archived(&ids).await?;
        // Besides [`staging::Wanted::NO_VERSION`], whatever a document holds that is no time.
        let version = |known: i64| Some(known).filter(|&known| value::is_instant(known));
        let is_gone = |(id, _): &&(u64, i64)| !found.contains(id);
        let gone = wanted.iter().filter(is_gone).map(|&(id, known)| (id, version(known))).collect();
        let versions: BTreeMap<u64, i64> =
            wanted.into_iter().filter(|&(_, known)| version(known).is_some()).collect();
        Ok(Page { gone, versions, ..page })
    }
}

fn shown(bodies: &[Body]) -> Result<HashSet<u64>> {
    let mut ids = HashSet::new();
    for body in bodies {
        ids.extend(record_ids(body)?);
    }
    Ok(ids)
}

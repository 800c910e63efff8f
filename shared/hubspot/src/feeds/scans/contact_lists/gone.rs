//! Lists that HubSpot does not show any more: they are asked for by their ids, and what is not there is gone.

use std::collections::{BTreeMap, BTreeSet};

use staging::Rows;

use super::filters::{self, FilterRequest};
use super::open_lists::{KIND, OpenLists, Slice};
use crate::error::Result;
use crate::feeds::Appended;
use crate::feeds::lineage::DeletedReason;
use crate::feeds::scans::RunOfScan;

/// Lists that no page has shown, and that are there, or refused, all the same.
#[derive(Debug, Default)]
pub(in crate::feeds) struct Missed {
    there: BTreeSet<u64>,
    refused: BTreeMap<u64, String>,
}

impl OpenLists {
    pub(super) async fn missed(&self, ids: &[u64]) -> Result<Missed> {
        let scan = self.scan().clone();
        let another = scan.read.iter().find(|id| !self.held.contains(id)).copied();
        let wanted = FilterRequest { ids, held: Some(&self.held), another, has_told: scan.has_told };
        let (there, refused) = filters::there(self.client(), wanted).await?;
        Ok(Missed { there, refused })
    }

    /// All of them at once: how many are gone decides whether any is.
    pub(super) fn append_missed(
        &self,
        missed: &Missed,
        read_ms: i64,
        ids: &[u64],
        rows: &mut Rows,
        run: &mut RunOfScan<'_>,
    ) -> Result<Appended<Slice>> {
        let reading = self.session.reading(read_ms);
        let is_gone = |id: &&u64| !missed.there.contains(id) && !missed.refused.contains_key(id);
        let known = |id: &&u64| self.known.0.contains_key(id);
        let gone = ids.iter().filter(is_gone).filter(known).count();
        self.session.check_removals("lists", self.known.0.len(), gone)?;
        let mut writer = self.document.writer(rows, reading);
        for &id in ids {
            if let Some(reason) = missed.refused.get(&id) {
                self.set_aside(id, reason, run);
                continue;
            }
            let known = self.known.0.get(&id);
            if missed.there.contains(&id) {
                // There, though no page shows it: its row stays as it is.
                run.own.stamps.0.extend(known.map(|&stamp| (id, stamp)));
                continue;
            }
            run.release(KIND, id);
            if known.is_none() {
                continue;
            }
            writer.set("id", |cell| cell.bigint(id as i64));
            writer.set("archived", |cell| cell.boolean(true));
            writer.finish_gone(None, DeletedReason::Removed, None);
        }
        Ok(Appended { written: vec![writer.written], is_last: true, ..Appended::default() })
    }
}

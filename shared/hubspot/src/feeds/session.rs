//! The run, as its feeds know it: who asks, with which options, and for which time.

use std::collections::BTreeSet;
use std::sync::Arc;

use staging::{Shared, Wanted};

use super::cursor::{Cursor, Lookback};
use super::history_properties::HistoryProperties;
use super::lineage;
use super::pairs::AssociatedObjects;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::record_counts::RecordCounts;

/// So many lists or campaigns may be gone at a time, whatever share of all they are.
const FEW_REMOVED: usize = 20;

/// The run and its wishes, for a feed.
#[derive(Debug, Clone)]
pub struct Session {
    pub client: Client,
    pub account_id: u64,
    pub run_id: String,
    pub lookback: Lookback,
    /// Calls that may be spent on subscriptions of addresses outside the timeline.
    pub address_calls: u64,
    /// Things that HubSpot stopped to show are gone, however many they are.
    pub accepts_removals: bool,
    /// The collections that somebody wants; `None`: all.
    pub collections: Option<Arc<BTreeSet<&'static str>>>,
    /// The objects among which associations are read; `None`: nobody wants them.
    pub associated: Option<AssociatedObjects>,
    /// The properties whose history is read; `None`: nobody wants it.
    pub histories: Option<HistoryProperties>,
    /// Records that a comparison asked for, and nobody has read yet.
    pub wanted: Option<Shared<Wanted>>,
    /// Counts for an estimate; empty where records are to be counted by a search.
    pub counts: RecordCounts,
}

impl Session {
    /// Refuses to take most of what was known for gone: a credential that sees less shows the same.
    pub(super) fn check_removals(&self, what: &str, known: usize, gone: usize) -> Result<()> {
        self.check_removals_beyond(FEW_REMOVED, what, known, gone)
    }

    /// The same where so many may be gone at a time, whatever share of all they are.
    pub(super) fn check_removals_beyond(
        &self,
        few: usize,
        what: &str,
        known: usize,
        gone: usize,
    ) -> Result<()> {
        if self.accepts_removals || gone <= few || gone <= known / 2 {
            return Ok(());
        }
        let message = format!(
            "HubSpot shows {gone} of {known} {what} no more, and they are not taken for removed: does the credential see \
             less than the one before? If it does, give it back its rights. If they are deleted, confirm it once: \
             --accept-removals, or {{\"accept_removals\": true}} to the function, with the \"feed\" where that is \
             <stack>-objects"
        );
        Err(Error::new(ErrorKind::Config, message))
    }

    /// `true`: calls that are for this collection alone are worth it.
    pub(super) fn wants(&self, collection: &str) -> bool {
        self.collections.as_ref().is_none_or(|wanted| wanted.contains(collection))
    }

    /// `true`: somebody wants this collection, and not just all of them.
    pub(super) fn names(&self, collection: &str) -> bool {
        self.collections.as_ref().is_some_and(|wanted| wanted.contains(collection))
    }

    pub(super) fn reading(&self, read_ms: i64) -> lineage::Reading<'_> {
        let theirs_ms = self.client.by_hubspots_clock(read_ms);
        lineage::Reading { account_id: self.account_id, run_id: &self.run_id, read_ms, theirs_ms }
    }

    /// For pages that are made by hand: nobody answers its client.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "tests")]
    pub(crate) fn unanswered() -> Session {
        let credential = crate::Credential::token("pat-na1-x").unwrap();
        Session {
            client: Client::new("http://127.0.0.1:9", credential, crate::Budget::new(0.0)).unwrap(),
            account_id: 1,
            run_id: "run-1".to_owned(),
            lookback: Lookback::default(),
            address_calls: 0,
            accepts_removals: false,
            collections: None,
            associated: None,
            histories: None,
            wanted: None,
            counts: RecordCounts::default(),
        }
    }
}

/// The time that a new run is asked to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// Only what changed or happened since then; without it, an incremental run starts from the watermark.
    pub since_ms: Option<i64>,
    /// Only what changed or happened until then; the watermark does not move.
    pub until_ms: Option<i64>,
}

impl Window {
    /// It is open on both sides: nothing is left out.
    pub fn is_whole(self) -> bool {
        self.since_ms.is_none() && self.until_ms.is_none()
    }

    /// A window that begins behind the watermark, or ends in the past, leaves a gap beside it.
    pub(super) fn moves_watermark(self, cursor: &Cursor) -> bool {
        let begins_behind = cursor.watermark_ms.is_some() && self.since_ms > cursor.watermark_ms;
        self.until_ms.is_none() && !begins_behind
    }
}

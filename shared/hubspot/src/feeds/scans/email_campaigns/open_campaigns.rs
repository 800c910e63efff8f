//! The feed of e-mail campaigns, opened for a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use staging::Pairs;

use crate::client::Client;
use crate::feeds::Session;
use crate::feeds::document::Document;
use crate::feeds::unfinished::Mode;

/// A stamp of a campaign whose last activity HubSpot has not told.
pub(super) const NEVER_ACTIVE: i64 = 0;
/// Names in the quarantine of a campaign, and of an entry of the lists that names none.
pub(super) const KIND: &str = "campaign";
pub(super) const ODD_KIND: &str = "listed campaign";
/// The source, as the cursor calls it, that marketing e-mails stand in for.
pub(super) const V1: &str = "campaigns v1";

/// Contents of the lists.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The last activity of each campaign.
    pub(super) stamps: BTreeMap<u64, i64>,
    /// The group of each campaign, which nothing else tells.
    pub(super) groups: BTreeMap<u64, i64>,
    /// Entries that name no campaign.
    pub(super) odd: u64,
}

#[derive(Debug)]
pub(super) struct OpenCampaigns {
    pub(super) session: Session,
    pub(super) document: Document,
    pub(super) mode: Mode,
    /// Campaigns v1 does not answer, and why.
    pub(super) without_v1: Option<String>,
    /// The columns that campaigns v1 alone fills are left out.
    pub(super) is_narrow: bool,
    /// Campaigns of which the e-mails tell no counters.
    pub(super) without_counters: Mutex<usize>,
    pub(super) known_of_emails: Pairs,
    /// The last activity of each campaign, as of the last run.
    pub(super) known: Pairs,
    /// Campaigns that earlier runs have asked for in vain.
    pub(super) held: BTreeSet<u64>,
    pub(super) listed: Mutex<Lists>,
    /// Some campaign was told of.
    pub(super) has_told: AtomicBool,
    /// Some campaign was told of with its counters: an answer without them is one in part.
    pub(super) tells_counters: AtomicBool,
}

impl OpenCampaigns {
    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    pub(super) fn is_backfill(&self) -> bool {
        self.mode == Mode::Backfill
    }

    pub(super) fn listed(&self) -> MutexGuard<'_, Lists> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

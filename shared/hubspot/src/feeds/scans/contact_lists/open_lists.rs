//! The feed of contact lists, opened for a run.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use staging::Pairs;

use super::scan::Scan;
use super::table::LISTS;
use crate::client::Client;
use crate::feeds::Session;
use crate::feeds::document::Document;
use crate::feeds::own::FeedState;
use crate::feeds::quarantine::Thing;
use crate::feeds::scans::RunOfScan;
use crate::feeds::unfinished::Mode;

/// Kinds, in the quarantine, of a list, and of an entry of the search that is none.
pub(super) const KIND: &str = "list";
pub(super) const ODD_KIND: &str = "entry of the lists";

#[derive(Debug)]
pub(super) struct OpenLists {
    pub(super) session: Session,
    pub(super) document: Document,
    pub(super) mode: Mode,
    /// The lists as the last run saw them.
    pub(super) known: Pairs,
    /// Lists that earlier runs have asked for in vain.
    pub(super) held: BTreeSet<u64>,
    /// The reading of all lists, as far as its pages are rows.
    pub(super) scan: Mutex<Scan>,
    /// HubSpot's number of lists is not that of the lists it shows.
    pub(super) mismatch: Mutex<Option<String>>,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Slice {
    /// All lists, in one go.
    All,
    /// Lists by their ids that the scan has not shown.
    #[serde(rename = "named")]
    ByIds { ids: Vec<u64> },
}

impl FeedState for Slice {}

impl OpenLists {
    pub(super) fn client(&self) -> &Client {
        &self.session.client
    }

    pub(super) fn scan(&self) -> MutexGuard<'_, Scan> {
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its row stays as it is, and to the next run it is as new as to this one.
    pub(super) fn set_aside(&self, id: u64, reason: &str, run: &mut RunOfScan<'_>) {
        run.own.stamps.0.extend(self.known.0.get(&id).map(|&known| (id, known)));
        run.set_aside(Thing { kind: KIND, id: &id.to_string(), collection: LISTS.name }, reason);
    }
}

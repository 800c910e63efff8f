//! A feed of events that is open: what a run knows, and the answers that it has fetched.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use staging::Table;
use tokio::sync::RwLock;

use super::event_feed::EventFeed;
use super::trail::Trail;
use crate::feeds::Session;
use crate::feeds::document::Document;
use crate::feeds::recent::Versions;
use crate::feeds::unfinished::Mode;
use crate::json::Body;

#[derive(Debug)]
pub(in crate::feeds) struct OpenEventFeed {
    pub(super) feed: &'static EventFeed,
    pub(super) session: Session,
    pub(super) documents: Vec<Document>,
    pub(super) tables: Vec<Table>,
    pub(super) mode: Mode,
    /// Versions that earlier runs have read.
    pub(super) recent: Versions,
    /// Of each window, by its upper bound.
    pub(super) trails: Mutex<HashMap<i64, Trail>>,
    /// Held alone by whoever reads pages whose words have died before: nobody delays it.
    pub(super) turns: RwLock<()>,
    /// Kinds and ids of the things set aside since the feed was opened, or perhaps by an interrupted run before.
    pub(super) aside: Mutex<HashSet<(String, String)>>,
    /// All that earlier runs have set aside is asked for again.
    pub(super) asks_again: AtomicBool,
    /// Entries outside the windows that HubSpot was asked for.
    pub(super) foreign: AtomicU64,
    /// Windows that HubSpot has failed on, one after the other.
    pub(super) failed: AtomicU32,
    pub(super) near_trouble: AtomicU32,
}

/// Answers that follow each other, and the window they were asked for.
#[derive(Debug)]
pub(in crate::feeds) struct Page {
    pub(super) bodies: Vec<Body>,
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
    /// They go on where another page ended, perhaps in the middle of a millisecond.
    pub(super) goes_on: bool,
    /// Entries that each of them was asked for.
    pub(super) limit: usize,
    /// Why there are no answers: HubSpot fails on the window.
    pub(super) refused: Option<String>,
}

impl OpenEventFeed {
    /// By its place among the tables.
    pub(in crate::feeds) fn document(&self, place: usize) -> &Document {
        &self.documents[place]
    }

    pub(super) fn trails(&self) -> MutexGuard<'_, HashMap<i64, Trail>> {
        self.trails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

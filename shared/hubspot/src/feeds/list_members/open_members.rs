//! The feed, opened for a run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::state::{Known, ListsOfObjects, RunOfLists};
use super::troubles::Troubles;
use crate::feeds::Session;
use crate::feeds::document::Document;
use crate::feeds::unfinished::Mode;

#[derive(Debug)]
pub(super) struct OpenMembers {
    pub(super) session: Session,
    pub(super) document: Document,
    pub(super) mode: Mode,
    /// The lists as earlier runs have left them.
    pub(super) known: ListsOfObjects,
    pub(super) troubles: Mutex<Troubles>,
}

impl OpenMembers {
    pub(super) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self, object: &str, list: u64) -> Option<Known> {
        self.known.get(object)?.get(&list).copied()
    }

    /// Notes a trouble with the run, whose end tells of it.
    pub(super) fn note(&self, run: &mut RunOfLists<'_>, note: impl FnOnce(&mut Troubles)) {
        note(&mut run.own.troubles);
        *self.troubles() = run.own.troubles.clone();
    }
}

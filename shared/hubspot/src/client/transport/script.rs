//! Answers that `tests/fuzz-targets` makes, in place of HubSpot's.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::answer::Answer;

/// Answers in the order in which calls get them; after the last one, calls fail.
#[derive(Debug)]
pub(crate) struct Script(Mutex<VecDeque<Answer>>);

impl Script {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Script {
        Script(Mutex::new(answers.into_iter().collect()))
    }

    pub(super) fn next(&self) -> Answer {
        self.left().pop_front().unwrap_or(Answer { status: 500, ..Answer::default() })
    }

    fn left(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the remaining answers to another script, in place of its own.
    pub(super) fn move_to(&self, other: &Script) {
        let left = std::mem::take(&mut *self.left());
        *other.left() = left;
    }
}

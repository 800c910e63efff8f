//! A part of a run that can be paged and resumed on its own; its content is of its feed's own type.

use serde::{Deserialize, Serialize};

use super::own::{FeedState, Own};
use crate::error::Result;

/// Pages that must be left in a slice before it is cut: the reader of a cut slice reads up to a page for nothing.
pub(super) const FEWEST_PAGES: u64 = 12;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slice(Own);

impl Slice {
    pub(super) fn new(slice: impl FeedState) -> Slice {
        Slice(Own::new(slice))
    }

    /// Ids, or milliseconds, that are left to read; 0 where the slice can't be cut, or its feed is not open.
    pub fn width(&self) -> u64 {
        self.0.width()
    }

    /// Cuts the half off that is read last, for another reader. `None` when too little is left, judging by the ids or
    /// milliseconds that the last page spanned.
    pub fn split(&mut self, page_span: u64) -> Option<Slice> {
        self.0.split(page_span).map(Slice)
    }

    pub(super) fn get<S: FeedState>(&self) -> Result<&S> {
        self.0.get()
    }

    pub(super) fn get_mut<S: FeedState>(&mut self) -> Result<&mut S> {
        self.0.get_mut()
    }

    pub(super) fn into_typed<S: FeedState>(self) -> Result<S> {
        Ok(*self.0.into_typed()?)
    }
}

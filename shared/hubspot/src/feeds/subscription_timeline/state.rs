//! Slices of a run, and the position that it leaves to the next one.

use serde::{Deserialize, Serialize};

use crate::feeds::events;
use crate::feeds::own::FeedState;

/// A part of a run: a window of the timeline, or addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Slice {
    Window(events::Slice),
    Addresses(AddressSlice),
}

impl FeedState for Slice {
    fn width(&self) -> u64 {
        match self {
            Slice::Window(window) => window.width(),
            Slice::Addresses(_) => 0,
        }
    }

    fn split(&mut self, page_span: u64) -> Option<Slice> {
        match self {
            Slice::Window(window) => window.split(page_span).map(Slice::Window),
            Slice::Addresses(_) => None,
        }
    }
}

/// A part of a run that asks about addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum AddressSlice {
    /// Those of these contacts, the last ones first.
    #[serde(rename = "named")]
    ByIds { ids: Vec<u64> },
    /// Those of all contacts, from this position of HubSpot's list on.
    Addresses { after: Option<String> },
}

/// The position in the list of contacts at which asking about addresses goes on; `None`: from the first one. A run moves
/// it, and leaves it to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Position {
    pub(super) address_position: Option<String>,
}

impl FeedState for Position {}

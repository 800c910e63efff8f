//! The event that the function is invoked with. The files in `events/` are examples of every way.

use serde::{Deserialize, Serialize};

use crate::options::{LostRows, Scope};

/// An event. The schedule's is empty, and means all pending files. An unknown field is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// The invoker, for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Collections to load; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collections: Option<Vec<String>>,
    /// Merge every staged file that the warehouse does not hold, whatever loads have reported: rebuilds tables that
    /// were dropped, without a call to HubSpot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// Accepts missing rows as removed: those that somebody deleted from a table, and records that HubSpot shows no
    /// more, however many they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_removals: bool,
    /// Load nothing; have the warehouse rewrite its files and remove old ones, where it does not do so by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maintain: bool,
    /// Invocations of the same work before this one.
    #[serde(skip_serializing_if = "is_zero")]
    pub continuation: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Event {
    pub fn scope(&self) -> Scope {
        match (self.replay, self.accept_removals) {
            (true, _) => Scope::Replay,
            // It is about tables, whether files wait for them or not.
            (false, true) => Scope::Everything,
            (false, false) => Scope::Pending,
        }
    }

    pub fn lost_rows(&self) -> LostRows {
        if self.accept_removals { LostRows::Accept } else { LostRows::Refuse }
    }

    /// Returns the event of the next invocation, which goes on with this load.
    pub fn next(&self) -> Event {
        Event {
            trigger: Some("continuation".to_owned()),
            continuation: self.continuation.saturating_add(1),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_has_gone_on_for_ever_goes_on() {
        let last = Event { continuation: u32::MAX, replay: true, ..Event::default() };
        assert_eq!((last.next().continuation, last.next().scope()), (u32::MAX, Scope::Replay));
    }
}

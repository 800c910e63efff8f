//! Records that HubSpot shows, and of which something could not be read: their rows stay as they were, and they are
//! named.

use std::collections::BTreeMap;

/// The kind of a record whose values could not be read.
pub(in crate::feeds::objects) const RECORD: &str = "record";

/// The parts that could not be read, by record: their kinds, and why.
#[derive(Debug, Default)]
pub(in crate::feeds) struct Unknown(BTreeMap<u64, BTreeMap<String, String>>);

impl Unknown {
    pub(in crate::feeds) fn add(&mut self, id: u64, kind: &str, reason: impl Into<String>) {
        self.0.entry(id).or_default().insert(kind.to_owned(), reason.into());
    }

    pub(in crate::feeds) fn absorb(&mut self, other: Unknown) {
        for (id, kinds) in other.0 {
            self.0.entry(id).or_default().extend(kinds);
        }
    }

    pub(in crate::feeds) fn holds(&self, id: u64) -> bool {
        // Most pages have none.
        !self.0.is_empty() && self.0.contains_key(&id)
    }

    /// The reason why a part of a record could not be read.
    pub(in crate::feeds::objects) fn reason(&self, id: u64, kind: &str) -> Option<&str> {
        self.0.get(&id)?.get(kind).map(String::as_str)
    }

    /// Record, kind, and why.
    pub(in crate::feeds::objects) fn iter(&self) -> impl Iterator<Item = (u64, &str, &str)> {
        self.0.iter().flat_map(|(&id, kinds)| {
            kinds.iter().map(move |(kind, reason)| (id, kind.as_str(), reason.as_str()))
        })
    }

    pub(in crate::feeds::objects) fn ids(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }
}

//! Troubles of a run: lists and objects that it could not read, and the notes on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feeds::{Gap, LIST_MEMBERSHIPS, Note};

/// Things that a note names.
const MAX_NAMED: usize = 3;

/// Lists and objects that a run could not read, by their names for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Troubles {
    pub(super) failed: BTreeMap<String, String>,
    /// Lists of objects that the account or the credential does not have, and that no run has read.
    pub(super) lacking: BTreeMap<String, String>,
    /// Numbers of HubSpot that are not those of what it shows.
    pub(super) miscounted: BTreeMap<String, String>,
    /// Objects whose lists are read.
    pub(super) has_lists: bool,
}

impl Troubles {
    /// `is_first`: no run has read any list.
    pub(super) fn notes(&self, is_first: bool) -> Vec<Note> {
        let note = |gap, text| Note { collection: LIST_MEMBERSHIPS, gap, text };
        let named = |things: &BTreeMap<String, String>| {
            let named: Vec<String> =
                things.iter().take(MAX_NAMED).map(|(name, reason)| format!("{name}: {reason}")).collect();
            let more = things.len() - named.len();
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            (!named.is_empty()).then(|| format!("{}{more}", named.join("; ")))
        };
        let miscounted = named(&self.miscounted).map(|text| note(Gap::Degraded, text));
        let lacking = named(&self.lacking).map(|text| {
            let is_all = !self.has_lists && self.failed.is_empty() && is_first;
            note(
                if is_all { Gap::Skipped } else { Gap::Degraded },
                format!("memberships are not read: {text}"),
            )
        });
        let failed = named(&self.failed).map(|text| {
            note(Gap::Incomplete, format!("memberships stay as they were, and are asked for again: {text}"))
        });
        miscounted.into_iter().chain(lacking).chain(failed).collect()
    }
}

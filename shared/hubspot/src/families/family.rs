//! A family of calls, and what it is to the collections that it fills.

use chrono::NaiveDate;

use crate::call::Call;
use crate::version;

/// Calls that share a version and scopes.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    /// Its contents, in a few words.
    pub about: &'static str,
    /// The version, as it is in the path.
    pub version: &'static str,
    /// Needed scopes: one of each row.
    pub scopes: &'static [&'static [&'static str]],
    pub fills: &'static [Fill],
    /// Beginnings of its paths; `*` is the rest of any one segment, such as the version.
    pub(super) paths: &'static [&'static str],
    pub probe: Probe,
}

/// Role of a family for a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    pub collection: &'static str,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Without it the collection can't be filled.
    Needed,
    /// Without it the collection is degraded; the text names the loss, or the source that is read in its place.
    Adds(&'static str),
    /// The source that is read in place of a family that adds, when that one does not answer.
    StandsIn,
}

/// Cheapest call by which a family shows that it answers.
#[derive(Debug, Clone, Copy)]
pub enum Probe {
    Call(fn() -> Call),
    /// Reads the first record that the probe of another family shows.
    OfFirst(&'static str, fn(&str) -> Call),
    /// No probe: others show the same, or the call would cost something.
    Never,
}

impl Family {
    /// The first day on which HubSpot does not support its version any more.
    pub fn supported_until(&self) -> Option<NaiveDate> {
        version::supported_until(self.version)
    }

    /// The scopes in words: `a`, `a or b`, `a or b, and c`.
    pub fn scopes_text(&self) -> String {
        let rows: Vec<String> = self.scopes.iter().map(|row| row.join(" or ")).collect();
        let has_choice = self.scopes.iter().any(|row| row.len() > 1);
        rows.join(if has_choice { ", and " } else { " and " })
    }

    /// `true`: the text names a scope of this family.
    pub(crate) fn has_scope_in(&self, text: &str) -> bool {
        self.scopes.iter().flat_map(|row| row.iter()).any(|scope| text.contains(scope))
    }
}

//! State of such a feed: the lists that are left to read, and what each was like when it was last read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::feeds::open_feed;
use crate::feeds::own::FeedState;

/// One list, read whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slice {
    /// [`super::source::Source::name`].
    pub(super) source: String,
    /// The object whose list it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Object>,
}

/// An object, by its table and its name in paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) table: String,
    pub(super) path: String,
}

impl FeedState for Slice {}

impl Slice {
    /// Returns the name under which the feed remembers the list.
    pub(super) fn list(&self) -> String {
        match &self.object {
            Some(object) => format!("{}/{}", self.source, object.table),
            None => self.source.clone(),
        }
    }
}

/// State of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct Known {
    /// Another number whenever anything in the list, or the columns it is read into, is another.
    pub(in crate::feeds) hash: u64,
    /// Rows of each of its tables.
    pub(in crate::feeds) rows: Vec<usize>,
    /// The version of these rows: later than that of all before them, whatever our clock says.
    #[serde(default)]
    pub(in crate::feeds) read_ms: i64,
}

impl Known {
    pub(in crate::feeds) fn is_same(&self, other: &Known) -> bool {
        (self.hash, &self.rows) == (other.hash, &other.rows)
    }

    /// Returns the version of rows that were read at this time and follow those of `before`.
    pub(in crate::feeds) fn version_behind(before: Option<&Known>, read_ms: i64) -> i64 {
        before.map_or(read_ms, |before| read_ms.max(before.read_ms.saturating_add(1)))
    }
}

/// Lists that were read, by [`Slice::list`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lists {
    pub(super) lists: BTreeMap<String, Known>,
}

impl FeedState for Lists {}

/// A run under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    /// Lists as this run has read them; those that it could not read are as they were.
    pub(super) lists: BTreeMap<String, Known>,
    /// Lists that this run could not read, and why.
    pub(super) failed: BTreeMap<String, Failure>,
    /// A note on marketing e-mails without statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) degraded: Option<String>,
    /// Objects that were found in the schemas, and whose lists are still to be planned.
    pub(super) found: Vec<Object>,
}

/// A list that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// The account or the credential does not have it; else HubSpot fails on it.
    pub(super) is_lacking: bool,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Failure {
        Failure { reason: error.to_string(), is_lacking: error.is_unavailable() }
    }
}

impl FeedState for Run {}

pub(super) type RunOfLists<'a> = open_feed::RunOf<'a, Run>;

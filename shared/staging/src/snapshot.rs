//! A snapshot shows which records HubSpot has, to be compared with a table: `extract` stages it, `load` compares, and
//! what is not as it should be goes back to `extract` as [`Wanted`], which reads it again, one by one. So a table is
//! only ever changed by rows that HubSpot showed.

use serde::{Deserialize, Serialize};

use crate::pairs::Pairs;

/// Files of a snapshot are registered under the name of the table that it is compared with, behind this.
const PREFIX: &str = "_snapshot_";

/// The name under which files of snapshots of a collection are registered.
pub fn snapshot_name(collection: &str) -> String {
    format!("{PREFIX}{collection}")
}

/// The collection, if the name is one of snapshots.
pub fn snapshot_of(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

/// The place of a staged file in its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// When the snapshot began, which also tells it from others: what was read later is newer than it.
    pub began_ms: i64,
    /// Changes up to then, earlier runs have read, and registered before the snapshot began. Later changes are not
    /// missed yet.
    pub caught_up_ms: i64,
    /// Nothing comes behind it: the snapshot is whole.
    pub is_last: bool,
    /// It shows what changes without a new modified date as well.
    #[serde(default)]
    pub is_refresh: bool,
    /// When the last run over everything began that has ended: it has met what was there then.
    #[serde(default)]
    pub whole_since_ms: Option<i64>,
}

/// Records that a comparison found to be other in a table than in the snapshot, or in one of the two alone: to be read
/// again by their ids. A shared document of the state, one for each table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The snapshot's [`SnapshotPart::began_ms`].
    pub snapshot_ms: i64,
    /// By id: the version that the table holds, in milliseconds, or [`Wanted::NO_VERSION`].
    pub records: Pairs,
    /// They are too many: everything is to be read again.
    #[serde(default)]
    pub is_whole: bool,
    /// All of it was read, and its rows are registered.
    #[serde(default)]
    pub is_answered: bool,
    /// When the last snapshot began that the table was found equal to.
    #[serde(default)]
    pub reconciled_ms: Option<i64>,
    /// The same of the last refresh.
    #[serde(default)]
    pub refreshed_ms: Option<i64>,
    /// The snapshot of which somebody said that it may show far less than the table holds.
    #[serde(default)]
    pub accepted_ms: Option<i64>,
}

/// A refresh that was asked for and is not staged yet. A shared document of the state, one for each feed, so that
/// whoever finds the lease of the feed's snapshots taken can leave it behind: the next snapshot is the refresh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshDue {
    /// Since when, by our clock; `None`: none is due.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

impl RefreshDue {
    /// The shared document's name.
    pub fn document(feed: &str) -> String {
        format!("refresh-{feed}")
    }
}

impl Wanted {
    /// Records in one document: some 250 KB of the 400 KB that an item of DynamoDB may have.
    pub const MAX_RECORDS: usize = 20_000;
    /// The table does not hold the record, or holds it without a version.
    pub const NO_VERSION: i64 = i64::MIN;

    /// The shared document's name.
    pub fn document(collection: &str) -> String {
        format!("wanted-{collection}")
    }

    /// Somebody is to read something.
    pub fn is_open(&self) -> bool {
        !self.is_answered && (self.is_whole || !self.records.0.is_empty())
    }
}

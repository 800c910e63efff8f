//! Merges of records, as HubSpot names them.

use serde::{Deserialize, Serialize};

/// A record that another one, the survivor, names as merged into it. Whether that is so, HubSpot is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feeds) struct Merge {
    pub(crate) id: u64,
    pub(crate) survivor: u64,
    /// The survivor's version, and when it was archived.
    pub(crate) updated_ms: Option<i64>,
    pub(crate) archived_ms: Option<i64>,
    /// When the survivor was asked for.
    pub(crate) read_ms: i64,
    /// Another source showed the record as a part of the survivor.
    pub(crate) is_shown: bool,
    /// One answer has left it out.
    pub(crate) is_second: bool,
}

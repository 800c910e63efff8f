//! Files in the place of others.

use super::lease::Lease;
use crate::file::StagedFile;

/// Files in the place of others: see [`crate::State::replace_files`].
#[derive(Debug)]
pub struct Replacement<'a> {
    pub collection: &'a str,
    /// Feed that has registered the old files: see [`crate::State::files_by_feed`].
    pub feed: &'a str,
    /// Lease of the collection's loads.
    pub load: &'a Lease,
    pub old: &'a [StagedFile],
    pub new: &'a [StagedFile],
}

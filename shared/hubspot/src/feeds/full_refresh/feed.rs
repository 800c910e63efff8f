//! A feed, as its sources are listed.

use super::source::{Fill, Source};
use super::state::Slice;
use crate::error::{Error, ErrorKind, Result};

/// A feed of lists that each run reads whole.
#[derive(Debug)]
pub(in crate::feeds) struct FullRefresh {
    pub(super) name: &'static str,
    /// In the order in which they are read.
    pub(super) sources: &'static [Source],
    /// In the order of the sources' tables.
    pub(super) collections: &'static [&'static str],
}

impl FullRefresh {
    /// Returns the source of this name.
    pub(super) fn source(&self, name: &str) -> Option<&'static Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// Returns the tables of all sources, in their order.
    pub(super) fn fills(&self) -> impl Iterator<Item = &'static Fill> + use<> {
        self.sources.iter().flat_map(|source| source.fills)
    }

    /// Returns the source of a slice.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a slice of another version of this program.
    pub(super) fn source_of(&self, slice: &Slice) -> Result<&'static Source> {
        self.source(&slice.source).ok_or_else(|| {
            let message =
                format!("the cursor names a list that this version does not know: {}", slice.source);
            Error::new(ErrorKind::Malformed, message)
        })
    }
}

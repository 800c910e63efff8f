//! The documents of registered and of merged files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::file::StagedFile;

/// The files that a feed has registered, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Registered {
    pub(super) segments: Vec<Segment>,
    pub(super) newest: Vec<StagedFile>,
    /// Keys of files in segments that count no more, in a document of the version before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) struck_off: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) id: Uuid,
    /// Collections of its files.
    pub(super) collections: BTreeSet<String>,
    /// The segment that it is a part of, when others of its files were struck off; `None`: it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Uuid>,
}

impl Segment {
    /// The name under which the documents of collections say that all its files are merged.
    pub(super) fn settled_as(&self) -> Uuid {
        self.origin.unwrap_or(self.id)
    }
}

impl Registered {
    pub(super) fn has(&self, collection: &str) -> bool {
        self.segments.iter().any(|segment| segment.collections.contains(collection))
            || self.newest.iter().any(|file| file.collection == collection)
    }
}

/// The merged files of a collection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TableDocument {
    pub(super) version: u64,
    /// Segments of which all files of the collection are merged.
    #[serde(default)]
    pub(super) segments: BTreeSet<Uuid>,
    /// Merged files that are in no such segment.
    pub(super) merged: BTreeSet<String>,
}

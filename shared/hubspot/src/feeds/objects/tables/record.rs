//! A record as it is remembered once its row is written.

use crate::feeds::lineage::DeletedReason;
use crate::feeds::objects::state::merge::Merge;

/// The reasons why a record counts as shown in part.
pub(in crate::feeds::objects) const NO_DATE: &str = "two answers do not tell when it was changed";
pub(in crate::feeds::objects) const FEWER_PROPERTIES: &str = "two answers leave out some of its properties";
/// Records of one answer that are no longer faults of single ones.
pub(in crate::feeds::objects) const MANY: usize = 10;

/// A record, as far as it is remembered once its row is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feeds) struct Record {
    pub(in crate::feeds) id: u64,
    pub(in crate::feeds) updated_ms: Option<i64>,
    pub(in crate::feeds) archived_ms: Option<i64>,
    pub(in crate::feeds) is_kept: bool,
    /// The answer shows a part of it, and it is not kept for that.
    pub(in crate::feeds) partial: Option<&'static str>,
    /// HubSpot does not show it any more.
    pub(in crate::feeds) is_gone: bool,
    /// Ids of records that it says were merged into it.
    pub(in crate::feeds) merged: Vec<u64>,
    /// It was merged away.
    pub(in crate::feeds) merge: Option<Merge>,
    /// Its e-mail addresses, where they were asked for.
    pub(in crate::feeds) emails: Emails,
}

impl Record {
    /// Returns why it is deleted; `None`: it is live.
    pub(in crate::feeds::objects) fn deleted_reason(&self) -> Option<DeletedReason> {
        match (self.is_gone, &self.merge, self.archived_ms) {
            (_, Some(_), None) => Some(DeletedReason::Merged),
            (_, _, Some(_)) => Some(DeletedReason::Archived),
            (true, ..) => Some(DeletedReason::Removed),
            _ => None,
        }
    }

    /// Returns what is remembered of one that HubSpot does not show any more.
    pub(in crate::feeds::objects) fn gone(id: u64, updated_ms: Option<i64>) -> Record {
        Record {
            id,
            updated_ms,
            archived_ms: None,
            is_kept: true,
            partial: None,
            is_gone: true,
            merged: Vec::new(),
            merge: None,
            emails: Emails::default(),
        }
    }

    /// The records that it names as merged into it, as of a page that was read at `read_ms`.
    pub(in crate::feeds::objects) fn merges(&self, read_ms: i64) -> impl Iterator<Item = Merge> {
        self.merged.iter().filter(|id| **id != self.id).map(move |&id| Merge {
            id,
            survivor: self.id,
            updated_ms: self.updated_ms,
            archived_ms: self.archived_ms,
            read_ms,
            is_shown: false,
            is_second: false,
        })
    }
}

/// E-mail addresses as a record's properties hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::feeds) struct Emails {
    /// One at the most.
    pub(in crate::feeds) primary: Vec<String>,
    pub(in crate::feeds) additional: Vec<String>,
}

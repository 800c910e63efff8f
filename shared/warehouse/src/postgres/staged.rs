//! A group of files whose rows are in a scratch table.

use super::copy::{Staged, stage};
use super::layout::{Layout, Target};
use super::session::Session;
use super::sql::Staging;
use crate::dialect::TableName;
use crate::error::{Error, Kind, Result};
use crate::plan::{Group, Plan};

/// A group whose rows are in a scratch table.
pub(super) struct StagedGroup {
    pub(super) layout: Layout,
    pub(super) staging: Staging,
    pub(super) staged: Staged,
    pub(super) kept_bytes: usize,
}

impl StagedGroup {
    pub(super) async fn stage(
        session: &mut Session<'_>,
        target: &Target,
        table: &TableName,
        plan: &Plan<'_>,
        group: &Group<'_>,
        number: usize,
        kept_bytes: usize,
    ) -> Result<StagedGroup> {
        let Some(layout) = Layout::new(plan, group, target.is_wide, kept_bytes) else {
            let message = format!(
                "table {} has rows that are full of values which HubSpot does not send any more, and what it sends \
                 has no room beside them: drop columns that are not needed",
                table.qualified
            );
            return Err(Error::new(Kind::Unsupported, message));
        };
        let staging = Staging { number };
        let staged = stage(session, group, &layout, &staging).await?;
        Ok(StagedGroup { layout, staging, staged, kept_bytes })
    }

    /// Returns a query for its size in bytes, and its number of rows.
    pub(super) fn size(&self) -> (String, u64) {
        (self.staging.bytes(), self.staged.counts.iter().map(|count| count.staged).sum())
    }

    pub(super) fn room(&self) -> usize {
        self.layout.overflow.as_ref().map_or(usize::MAX, |overflow| overflow.room)
    }
}

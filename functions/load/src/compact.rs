//! Compaction: many staged files of a collection become few, with the newest version of each row. And retention: those
//! that were kept long enough are removed.
//!
//! Only files that the warehouse holds are touched. New files are written first, take the place of the old ones in the
//! state in one step, then in the warehouse's ledger; objects of old ones are removed after [`GRACE`]. After a crash
//! nothing is lost at any point: a new file that is not registered is read by nobody, one that is not in the ledger is
//! merged once more, which changes nothing, and the list of what is to be removed is in the state.

mod choice;

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use staging::{
    Bucket, Lease, LocalFile, NewFile, Replacement, StagedFile, State, Table, rewrite, rewrite_newest,
    snapshot_of,
};
use uuid::Uuid;
use warehouse::Warehouse;

use self::choice::{Choice, Run};
use crate::busy::is_busy;
use crate::exchange::exchange;

/// Time for which replaced files stay: whoever reads the bucket beside the loads is through with them by then.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// Options of the compaction of one collection.
#[derive(Debug, Clone, Copy)]
pub struct CompactOptions {
    /// Files become one whenever there are two, whatever their sizes. Otherwise where there are enough of them.
    pub is_whole: bool,
    /// All versions of a row are kept, for a table that keeps its past.
    pub keeps_versions: bool,
    /// Age from which merged files are removed; `None`: they stay.
    pub retention: Option<TimeDelta>,
    /// Time for which the objects of replaced files stay.
    pub grace: TimeDelta,
    /// Time after which no more files are begun.
    pub deadline: Option<Instant>,
}

impl Default for CompactOptions {
    fn default() -> CompactOptions {
        CompactOptions {
            is_whole: false,
            keeps_versions: false,
            retention: None,
            grace: GRACE,
            deadline: None,
        }
    }
}

/// The work of one compaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Files that others have replaced, and their rows.
    pub files_before: u64,
    pub rows_before: u64,
    /// Files in their place, and their rows.
    pub files_after: u64,
    pub rows_after: u64,
    /// Files that were kept long enough.
    pub expired_files: u64,
    /// Objects that were removed, of files that were replaced or expired earlier.
    pub removed_files: u64,
}

impl Compacted {
    /// `true`: there was something to do.
    pub fn has_worked(&self) -> bool {
        *self != Compacted::default()
    }

    pub fn add(&mut self, other: Compacted) {
        self.files_before += other.files_before;
        self.rows_before += other.rows_before;
        self.files_after += other.files_after;
        self.rows_after += other.rows_after;
        self.expired_files += other.expired_files;
        self.removed_files += other.removed_files;
    }
}

/// Compacts the registered files of a collection, or of a collection's snapshots, of which nothing stays once they were
/// compared. Asks the warehouse only where there is something to do. While a run of the feed or another load is under
/// way, nothing is done.
pub async fn compact(
    collection: &str,
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    options: &CompactOptions,
) -> anyhow::Result<Compacted> {
    let mut done = Compacted::default();
    for (feed, files) in state.files_by_feed(collection).await? {
        let work = Work { collection, feed: &feed, state, bucket, warehouse, options };
        done.removed_files += work.remove_retired().await?;
        if !work.due().is_due(&files) {
            continue;
        }
        let load = match state.lease(&format!("load-{collection}")).await {
            Ok(load) => load,
            Err(error) if error.kind() == staging::ErrorKind::Busy => continue,
            Err(error) => return Err(error.into()),
        };
        let worked = work.replace(&load, &mut done).await;
        state.release(load).await;
        worked.with_context(|| format!("the staged files of {collection} can't be compacted"))?;
    }
    Ok(done)
}

/// `true`: [`compact`] would look at files of the collection, or remove some.
pub async fn is_compaction_due(
    collection: &str,
    state: &State,
    options: &CompactOptions,
) -> anyhow::Result<bool> {
    for (feed, files) in state.files_by_feed(collection).await? {
        let due = Due { collection, options };
        if due.is_due(&files) || !due.of_retired(state, &feed).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells what is due in a collection, by the state alone.
#[derive(Clone, Copy)]
struct Due<'a> {
    collection: &'a str,
    options: &'a CompactOptions,
}

impl Due<'_> {
    fn is_due(&self, files: &[StagedFile]) -> bool {
        if snapshot_of(self.collection).is_some() {
            return !files.is_empty();
        }
        files.iter().any(|file| self.has_expired(file)) || self.choice().is_due(files)
    }

    fn choice(&self) -> Choice {
        Choice {
            is_whole: self.options.is_whole,
            // A file that is made of others is as old as the oldest of them, or the retention would never end.
            most_span: self.options.retention.map(|retention| retention / 4),
        }
    }

    /// `true`: it was kept long enough. Rows that another program has left are kept for good: no run reads them again.
    fn has_expired(&self, file: &StagedFile) -> bool {
        let before = self.options.retention.and_then(|age| Utc::now().checked_sub_signed(age));
        !file.is_expired && !file.is_adopted() && before.is_some_and(|before| file.staged_at < before)
    }

    /// Returns the files whose objects are to be removed now.
    async fn of_retired(&self, state: &State, feed: &str) -> anyhow::Result<Vec<StagedFile>> {
        let mut retired = state.retired(feed).await?;
        let now = Utc::now();
        retired.retain(|retired| {
            // One of the future is of a clock that went wrong.
            let is_over = now - retired.since >= self.options.grace || retired.since > now;
            retired.file.collection == self.collection && is_over
        });
        Ok(retired.into_iter().map(|retired| retired.file).collect())
    }
}

/// Work on the files that one feed has staged for one collection.
struct Work<'a> {
    collection: &'a str,
    feed: &'a str,
    state: &'a State,
    bucket: &'a Bucket,
    warehouse: &'a dyn Warehouse,
    options: &'a CompactOptions,
}

impl Work<'_> {
    fn due(&self) -> Due<'_> {
        Due { collection: self.collection, options: self.options }
    }

    fn choice(&self) -> Choice {
        self.due().choice()
    }

    async fn replace(&self, load: &Lease, done: &mut Compacted) -> anyhow::Result<()> {
        clear(self.collection, self.bucket).await?;
        // Under the lease: another load may have replaced or merged some meanwhile.
        let files = self.state.files_by_feed(self.collection).await?.remove(self.feed).unwrap_or_default();
        let pending = self.state.pending(Some(self.collection)).await?;
        let pending: HashSet<&str> = pending.iter().map(|file| file.key.as_str()).collect();
        let is_pending = |file: &StagedFile| pending.contains(file.key.as_str());
        if snapshot_of(self.collection).is_some() {
            let compared: Vec<StagedFile> = files.into_iter().filter(|file| !is_pending(file)).collect();
            if !compared.is_empty() && self.put_in_place(load, &compared, None).await? {
                done.expired_files += compared.len() as u64;
            }
            return Ok(());
        }
        let has_expired = |file: &StagedFile| file.is_expired || self.due().has_expired(file);
        let (expired, files): (Vec<StagedFile>, Vec<StagedFile>) =
            files.into_iter().partition(|file| !is_pending(file) && has_expired(file));
        if expired.iter().any(|file| !file.is_expired) && self.are_held(&expired).await? {
            let stand_in = self.stand_in(&expired);
            if self.put_in_place(load, &expired, Some(&stand_in)).await? {
                done.expired_files += expired.iter().filter(|file| !file.is_expired).count() as u64;
            }
        }
        for candidates in self.choice().runs(files, is_pending) {
            self.compact(load, &candidates, done).await?;
        }
        Ok(())
    }

    /// Compacts what a run of candidates has of neighbours with the same columns.
    async fn compact(
        &self,
        load: &Lease,
        candidates: &[StagedFile],
        done: &mut Compacted,
    ) -> anyhow::Result<()> {
        let mut tables: Vec<Table> = Vec::with_capacity(candidates.len());
        for file in candidates {
            tables.push(self.bucket.description(file).await?.table);
        }
        for Run { files, is_last } in choice::with_same_columns(candidates, &tables) {
            for group in self.choice().groups(files, is_last) {
                if self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Ok(());
                }
                if !self.are_held(group).await? {
                    continue;
                }
                let new = self.write(group).await?;
                if self.put_in_place(load, group, Some(&new)).await? {
                    done.files_before += group.len() as u64;
                    done.rows_before += group.iter().map(|file| file.rows).sum::<u64>();
                    done.files_after += 1;
                    done.rows_after += new.rows;
                } else {
                    self.bucket.remove(&[new]).await?;
                }
            }
        }
        Ok(())
    }

    /// `true`: the warehouse holds all of these files.
    async fn are_held(&self, files: &[StagedFile]) -> anyhow::Result<bool> {
        let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
        Ok(self.warehouse.ledger(self.collection, &keys).await?.held.len() == keys.len())
    }

    /// Writes one file out of some, and makes it durable.
    async fn write(&self, old: &[StagedFile]) -> anyhow::Result<StagedFile> {
        let mut copies: Vec<LocalFile> = Vec::with_capacity(old.len());
        for file in old {
            copies.push(self.bucket.fetch(file).await?);
        }
        let newest = newest(old);
        let run_id = old.iter().map(|file| file.run_id.as_str()).max().unwrap_or_default().to_owned();
        let id = Uuid::now_v7();
        let infix = old.first().map_or("-", StagedFile::infix);
        let key = self.bucket.key(self.collection, &format!("{run_id}{infix}compacted-{id}"), newest);
        let scratch = self.bucket.scratch(&scratch_name(self.collection))?.join(id.to_string());
        let keeps_versions = self.options.keeps_versions;
        let written = tokio::task::spawn_blocking(move || {
            let sources: Vec<&Path> = copies.iter().map(|copy| copy.path.as_path()).collect();
            let new = NewFile { scratch: &scratch, key: &key, run_id: &run_id };
            match keeps_versions {
                true => rewrite(&sources, new, |_, batch| Ok(vec![true; batch.num_rows()].into())),
                false => rewrite_newest(&sources, new),
            }
        });
        let new = self.bucket.put(written.await??, newest).await?;
        Ok(StagedFile { oldest_staged_at: oldest(old), ..new })
    }

    /// Returns the entry of the state that stands for files which are removed.
    fn stand_in(&self, expired: &[StagedFile]) -> StagedFile {
        let newest = newest(expired);
        let run_id = expired.iter().map(|file| file.run_id.as_str()).max().unwrap_or_default();
        StagedFile {
            key: self.bucket.key(self.collection, &format!("expired-{}", Uuid::now_v7()), newest),
            collection: self.collection.to_owned(),
            run_id: run_id.to_owned(),
            rows: expired.iter().map(|file| file.rows).sum(),
            bytes: 0,
            staged_at: newest,
            snapshot: None,
            oldest_staged_at: oldest(expired),
            is_expired: true,
        }
    }

    /// `false`: a run of the feed is under way.
    async fn put_in_place(
        &self,
        load: &Lease,
        old: &[StagedFile],
        new: Option<&StagedFile>,
    ) -> anyhow::Result<bool> {
        let new = new.map(std::slice::from_ref).unwrap_or_default();
        let replacement = Replacement { collection: self.collection, feed: self.feed, load, old, new };
        match exchange(&replacement, self.state, Some(self.warehouse)).await {
            Ok(()) => Ok(true),
            Err(error) if is_busy(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the objects of files that were replaced a while ago. Returns their number.
    async fn remove_retired(&self) -> anyhow::Result<u64> {
        let files = self.due().of_retired(self.state, self.feed).await?;
        if files.is_empty() {
            return Ok(0);
        }
        self.bucket.remove(&files).await?;
        let keys: Vec<String> = files.iter().map(|file| file.key.clone()).collect();
        match self.state.set_removed(self.feed, &keys).await {
            // The next compaction finds them gone.
            Err(error) if error.kind() == staging::ErrorKind::Busy => {}
            removed => removed?,
        }
        Ok(files.len() as u64)
    }
}

/// Removes what a killed compaction of the collection was writing. Whoever calls it holds the lease of its loads.
pub(crate) async fn clear(collection: &str, bucket: &Bucket) -> anyhow::Result<()> {
    bucket.clear(&scratch_name(collection), &[]).await
}

/// No name is the beginning of another one's.
fn scratch_name(collection: &str) -> String {
    format!("compacting-{collection}.")
}

fn newest(files: &[StagedFile]) -> DateTime<Utc> {
    files.iter().map(|file| file.staged_at).max().unwrap_or_default()
}

fn oldest(files: &[StagedFile]) -> Option<DateTime<Utc>> {
    files.iter().map(|file| file.oldest_staged_at.unwrap_or(file.staged_at)).min()
}

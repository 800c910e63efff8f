//! Registered files in a folder, in documents that don't grow with the number of runs.
//!
//! A feed's document holds its newest files. Older ones are in segments: documents that are written once, and that the
//! feed's document names. A collection's document names the segments whose files are merged, and the merged files of
//! all others. So a checkpoint and a load read and write no more than what is new, and a few names.
//!
//! A segment is named by chance, and never written again: whoever puts a copy of a feed's document back has its
//! segments, too. One of which files were replaced is removed: such a copy is from before that, and an error says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use chrono::Utc;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::registered::{Registered, Segment, TableDocument};
use super::{FeedDocument, FolderState, check, unreadable};
use crate::error::{Error, ErrorKind};
use crate::file::{Retired, StagedFile};
use crate::private;
use crate::state::lease::Lease;
use crate::state::replacement::Replacement;

/// Number of files in a segment.
const SEGMENT_FILES: usize = 500;

impl FolderState {
    /// Adds files to those of the feed. Older ones become a segment where they are enough for one; until the feed's
    /// document names it, nobody reads it.
    pub(super) fn register(
        &self,
        feed: &str,
        registered: &mut Registered,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        let repeated: BTreeSet<&str> = files.iter().map(|file| file.key.as_str()).collect();
        let is_repeated = |file: &StagedFile| repeated.contains(file.key.as_str());
        // What a repeated checkpoint has registered stays, so that it is found.
        let mut older = registered.newest.iter().position(is_repeated).unwrap_or(registered.newest.len());
        while older >= SEGMENT_FILES {
            let files: Vec<StagedFile> = registered.newest.drain(..SEGMENT_FILES).collect();
            older -= SEGMENT_FILES;
            let segment = self.write_segment(feed, &files, None)?;
            registered.segments.push(segment);
        }
        let mut known: BTreeSet<String> = registered.newest.iter().map(|file| file.key.clone()).collect();
        registered.newest.extend(files.iter().filter(|file| known.insert(file.key.clone())).cloned());
        Ok(())
    }

    pub(in crate::state) fn collections(&self) -> Result<BTreeSet<String>, Error> {
        let mut collections = BTreeSet::new();
        for (_, registered) in self.registered(None)? {
            collections.extend(registered.segments.into_iter().flat_map(|segment| segment.collections));
            collections.extend(registered.newest.into_iter().map(|file| file.collection));
        }
        Ok(collections)
    }

    pub(in crate::state) fn files(&self, collection: &str) -> Result<Vec<StagedFile>, Error> {
        let mut files = Vec::new();
        for (feed, registered) in self.registered(Some(collection))? {
            files.extend(self.of_collection(&feed, registered, collection)?);
        }
        sort(&mut files);
        Ok(files)
    }

    pub(in crate::state) fn files_by_feed(
        &self,
        collection: &str,
    ) -> Result<BTreeMap<String, Vec<StagedFile>>, Error> {
        let mut by_feed = BTreeMap::new();
        for (feed, registered) in self.registered(Some(collection))? {
            let mut files = self.of_collection(&feed, registered, collection)?;
            sort(&mut files);
            by_feed.insert(feed, files);
        }
        by_feed.retain(|_, files| !files.is_empty());
        Ok(by_feed)
    }

    pub(in crate::state) fn registered_by(
        &self,
        feed: &str,
        collection: &str,
    ) -> Result<Vec<StagedFile>, Error> {
        let document = self.read::<FeedDocument<IgnoredAny>>(&super::feed_path(feed))?.unwrap_or_default();
        let mut files = self.of_collection(feed, document.all_registered(), collection)?;
        sort(&mut files);
        Ok(files)
    }

    fn of_collection(
        &self,
        feed: &str,
        registered: Registered,
        collection: &str,
    ) -> Result<Vec<StagedFile>, Error> {
        let mut files = Vec::new();
        for segment in registered.segments.iter().filter(|segment| segment.collections.contains(collection)) {
            files.extend(self.segment(feed, segment, &registered.struck_off)?);
        }
        files.extend(registered.newest);
        files.retain(|file| file.collection == collection);
        Ok(files)
    }

    pub(in crate::state) fn strike_off(&self, lease: &Lease, files: &[StagedFile]) -> Result<(), Error> {
        self.exchange(lease, files, &[])
    }

    pub(in crate::state) fn replace_files(&self, replacement: &Replacement<'_>) -> Result<(), Error> {
        let Replacement { collection, feed, load, old, new } = *replacement;
        let lease = self.lease(feed)?;
        // Before they are registered, so that they never wait for a load.
        let path = table_path(collection);
        let mut table = self.read::<TableDocument>(&path)?.unwrap_or_default();
        check(table.version, load)?;
        table.version = load.version;
        table.merged.extend(new.iter().map(|file| file.key.clone()));
        self.replace(&path, &table)?;
        // Before they are struck off, so that none is missed.
        let mut retired = self.read_retired(feed)?;
        let now = Utc::now();
        let is_new = |file: &&StagedFile| retired.iter().all(|known| known.file.key != file.key);
        let old_now: Vec<Retired> =
            old.iter().filter(is_new).map(|file| Retired { file: file.clone(), since: now }).collect();
        retired.extend(old_now);
        self.write_retired(feed, &retired)?;
        self.exchange(&lease, old, new)
    }

    pub(in crate::state) fn retired(&self, feed: &str) -> Result<Vec<Retired>, Error> {
        let document = self.read::<FeedDocument<IgnoredAny>>(&super::feed_path(feed))?.unwrap_or_default();
        let registered = document.all_registered();
        let mut keys: BTreeSet<String> = registered.newest.iter().map(|file| file.key.clone()).collect();
        for segment in &registered.segments {
            keys.extend(
                self.segment(feed, segment, &registered.struck_off)?.into_iter().map(|file| file.key),
            );
        }
        // A crash may have left files on the list that are registered still.
        let mut retired = self.read_retired(feed)?;
        retired.retain(|retired| !keys.contains(&retired.file.key));
        Ok(retired)
    }

    pub(in crate::state) fn set_removed(&self, feed: &str, keys: &[String]) -> Result<(), Error> {
        let _lease = self.lease(feed)?;
        let mut retired = self.read_retired(feed)?;
        retired.retain(|retired| !keys.contains(&retired.file.key));
        self.write_retired(feed, &retired)
    }

    fn read_retired(&self, feed: &str) -> Result<Vec<Retired>, Error> {
        Ok(self.read(&retired_path(feed))?.unwrap_or_default())
    }

    fn write_retired(&self, feed: &str, retired: &[Retired]) -> Result<(), Error> {
        if !self.root.join(retired_path(feed)).exists() && retired.is_empty() {
            return Ok(());
        }
        self.make_feed_folder(feed)?;
        self.replace(&retired_path(feed), &retired)
    }

    /// Registers the new files, and no longer the old ones. Segments that held some of those are written anew.
    fn exchange(&self, lease: &Lease, old: &[StagedFile], new: &[StagedFile]) -> Result<(), Error> {
        let (feed, path) = (&lease.name, super::feed_path(&lease.name));
        let before = self.read::<FeedDocument<serde_json::Value>>(&path)?.unwrap_or_default();
        check(before.version, lease)?;
        let cursor = before.cursor.clone();
        let mut registered = before.all_registered();
        let gone: BTreeSet<&str> = old.iter().map(|file| file.key.as_str()).collect();
        let mut known = BTreeSet::new();
        let mut unused = Vec::new();
        for segment in std::mem::take(&mut registered.segments) {
            let mut files = self.segment(feed, &segment, &BTreeSet::new())?;
            let before = files.len();
            files.retain(|file| !gone.contains(&*file.key) && !registered.struck_off.contains(&file.key));
            known.extend(files.iter().map(|file| file.key.clone()));
            if files.len() == before {
                registered.segments.push(segment);
                continue;
            }
            unused.push(segment.id);
            if !files.is_empty() {
                let origin = Some(segment.settled_as());
                registered.segments.push(self.write_segment(feed, &files, origin)?);
            }
        }
        registered.struck_off.clear();
        registered.newest.retain(|file| !gone.contains(&*file.key));
        known.extend(registered.newest.iter().map(|file| file.key.clone()));
        registered.newest.splice(0..0, new.iter().filter(|file| !known.contains(&file.key)).cloned());
        self.replace(&path, &FeedDocument { version: lease.version, cursor, files: Vec::new(), registered })?;
        for id in unused {
            // That one stays is no error: nothing names it.
            let _ = fs::remove_file(self.root.join(segment_path(feed, id)));
        }
        Ok(())
    }

    fn write_segment(
        &self,
        feed: &str,
        files: &[StagedFile],
        origin: Option<Uuid>,
    ) -> Result<Segment, Error> {
        let collections = files.iter().map(|file| file.collection.clone()).collect();
        let segment = Segment { id: Uuid::now_v7(), collections, origin };
        self.make_feed_folder(feed)?;
        self.replace(&segment_path(feed, segment.id), &files)?;
        Ok(segment)
    }

    fn make_feed_folder(&self, feed: &str) -> Result<(), Error> {
        let folder = self.root.join("feeds").join(feed);
        private::make_own_folder(&folder).map_err(|source| super::unwritable(&folder, source))
    }

    pub(in crate::state) fn pending(&self, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        let mut tables: BTreeMap<String, TableDocument> = BTreeMap::new();
        let mut pending = Vec::new();
        for (feed, registered) in self.registered(collection)? {
            let of_segments = registered.segments.iter().flat_map(|segment| &segment.collections);
            let of_newest = registered.newest.iter().map(|file| &file.collection);
            for name in of_segments.chain(of_newest) {
                if !tables.contains_key(name) {
                    tables.insert(name.clone(), self.read(&table_path(name))?.unwrap_or_default());
                }
            }
            let is_wanted = |name: &str| collection.is_none_or(|collection| name == collection);
            let is_merged = |file: &StagedFile| {
                tables.get(&file.collection).is_some_and(|table| table.merged.contains(&file.key))
            };
            for segment in &registered.segments {
                let is_settled = |name: &str| {
                    tables.get(name).is_some_and(|table| table.segments.contains(&segment.settled_as()))
                };
                if segment.collections.iter().all(|name| !is_wanted(name) || is_settled(name)) {
                    continue;
                }
                let mut files = self.segment(&feed, segment, &registered.struck_off)?;
                files.retain(|file| !is_settled(&file.collection) && !is_merged(file));
                pending.extend(files);
            }
            pending.extend(registered.newest.into_iter().filter(|file| !is_merged(file)));
        }
        pending.retain(|file| collection.is_none_or(|collection| file.collection == collection));
        sort(&mut pending);
        Ok(pending)
    }

    pub(in crate::state) fn set_merged(
        &self,
        lease: &Lease,
        collection: &str,
        keys: &[String],
    ) -> Result<(), Error> {
        let path = table_path(collection);
        let before = self.read::<TableDocument>(&path)?.unwrap_or_default();
        check(before.version, lease)?;
        let mut merged = before.merged;
        merged.extend(keys.iter().cloned());
        // Whatever is registered no more is left out: nobody asks for it, and the warehouse's ledger knows it.
        let mut next = TableDocument { version: lease.version, ..TableDocument::default() };
        let is_merged = |file: &StagedFile| file.collection == collection && merged.contains(&file.key);
        for (feed, registered) in self.registered(Some(collection))? {
            for segment in &registered.segments {
                if !segment.collections.contains(collection) {
                    continue;
                }
                let is_settled = before.segments.contains(&segment.settled_as());
                let files = match is_settled {
                    true => Vec::new(),
                    false => self.segment(&feed, segment, &registered.struck_off)?,
                };
                if files.iter().all(|file| file.collection != collection || is_merged(file)) {
                    next.segments.insert(segment.settled_as());
                } else {
                    next.merged.extend(files.into_iter().filter(is_merged).map(|file| file.key));
                }
            }
            next.merged.extend(registered.newest.into_iter().filter(is_merged).map(|file| file.key));
        }
        self.replace(&path, &next)
    }

    /// Reads the feeds' documents. One that can't be read is an error where the collection, or one of all, may be in
    /// it: a collection is in one document only, unless feeds fill it together, which shows in a second one.
    fn registered(&self, collection: Option<&str>) -> Result<Vec<(String, Registered)>, Error> {
        let folder = self.root.join("feeds");
        let entries = fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))?;
        let (mut found, mut failed) = (Vec::new(), None);
        for entry in entries {
            let name = entry.map_err(|source| unreadable(&folder, source))?.file_name();
            let Some(feed) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            match self.read::<FeedDocument<IgnoredAny>>(&super::feed_path(feed)) {
                Ok(document) => {
                    found.extend(document.map(|document| (feed.to_owned(), document.all_registered())))
                }
                Err(error) => failed = Some(error),
            }
        }
        let holders = |name: &str| found.iter().filter(|(_, registered)| registered.has(name)).count();
        if let Some(error) = failed
            && collection.is_none_or(|name| holders(name) != 1)
        {
            return Err(error);
        }
        Ok(found)
    }

    fn segment(
        &self,
        feed: &str,
        segment: &Segment,
        struck_off: &BTreeSet<String>,
    ) -> Result<Vec<StagedFile>, Error> {
        let path = segment_path(feed, segment.id);
        let files = self.read::<Vec<StagedFile>>(&path)?.ok_or_else(|| {
            let message = format!(
                "the state file {} is missing: put a copy of it back, or remove {} and read everything again with \
                 `--mode backfill`",
                self.root.join(&path).display(),
                super::feed_path(feed)
            );
            Error::new(ErrorKind::Corrupt, message)
        })?;
        Ok(files.into_iter().filter(|file| !struck_off.contains(&file.key)).collect())
    }
}

fn sort(files: &mut [StagedFile]) {
    files.sort_by(|a, b| (a.staged_at, &a.key).cmp(&(b.staged_at, &b.key)));
}

fn segment_path(feed: &str, id: Uuid) -> String {
    format!("feeds/{feed}/{id}.json")
}

fn retired_path(feed: &str) -> String {
    format!("feeds/{feed}/retired.json")
}

fn table_path(collection: &str) -> String {
    format!("tables/{collection}.json")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::state::State;

    const TABLES: [&str; 2] = ["contacts", "submissions"];

    fn state(root: &Path) -> State {
        State::open_folder(root).unwrap()
    }

    /// The files of these numbers, every third one of the second table.
    fn files(numbers: std::ops::Range<usize>) -> Vec<StagedFile> {
        let file = |n: usize| StagedFile {
            key: format!("k{n:05}"),
            collection: TABLES[usize::from(n.is_multiple_of(3))].into(),
            run_id: "run-1".into(),
            rows: 1,
            bytes: 10,
            staged_at: DateTime::UNIX_EPOCH + TimeDelta::milliseconds(n as i64),
            snapshot: None,
            oldest_staged_at: None,
            is_expired: false,
        };
        numbers.map(file).collect()
    }

    async fn register(state: &State, numbers: std::ops::Range<usize>) {
        let lease = state.lease("contacts").await.unwrap();
        state.checkpoint(&lease, &1_u64, &files(numbers)).await.unwrap();
    }

    async fn set_merged(state: &State, table: &str, keys: &[String]) {
        let lease = state.lease(&format!("load-{table}")).await.unwrap();
        state.set_merged(&lease, table, keys).await.unwrap();
    }

    fn keys(files: &[StagedFile]) -> Vec<String> {
        files.iter().map(|file| file.key.clone()).collect()
    }

    #[tokio::test]
    async fn documents_do_not_grow_with_the_number_of_files() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        for n in 0..70 {
            register(&state, n * 100..(n + 1) * 100).await;
            for table in TABLES {
                let pending = keys(&state.pending(Some(table)).await.unwrap());
                assert!(pending.len() <= 100);
                set_merged(&state, table, &pending).await;
            }
        }
        let bytes = |name: &str| fs::metadata(root.path().join(name)).unwrap().len();
        let one_file = serde_json::to_vec(&files(0..1)).unwrap().len();
        assert!(bytes("feeds/contacts.json") < (one_file * (SEGMENT_FILES + 200)) as u64);
        assert!(bytes("tables/contacts.json") < 10_000, "{}", bytes("tables/contacts.json"));
        let [contacts, submissions] = TABLES.map(|table| state.files(table));
        let (contacts, submissions) = (contacts.await.unwrap(), submissions.await.unwrap());
        assert_eq!(contacts.len() + submissions.len(), 7_000);
        assert!(contacts.is_sorted_by(|a, b| a.staged_at < b.staged_at));
        assert_eq!(state.collections().await.unwrap(), TABLES.map(str::to_owned).into());
    }

    #[tokio::test]
    async fn files_are_pending_until_they_are_merged_in_whatever_order() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let mut pending: BTreeSet<String> = BTreeSet::new();
        for n in 0..40 {
            register(&state, n * 50..(n + 1) * 50).await;
            pending.extend(keys(&files(n * 50..(n + 1) * 50)));
            // About four in five of each table, of all ages.
            for table in TABLES {
                let all = keys(&state.pending(Some(table)).await.unwrap());
                let chosen = |(place, _): &(usize, &String)| !(place * 7 + n).is_multiple_of(5);
                let merged: Vec<String> =
                    all.iter().enumerate().filter(chosen).map(|(_, key)| key.clone()).collect();
                set_merged(&state, table, &merged).await;
                pending.retain(|key| !merged.contains(key));
            }
            let listed = keys(&state.pending(None).await.unwrap());
            assert_eq!(listed, pending.iter().cloned().collect::<Vec<_>>());
        }
        assert!(!pending.is_empty());
    }

    #[tokio::test]
    async fn a_copy_that_is_put_back_hides_no_new_file() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let document = root.path().join("feeds/contacts.json");
        register(&state, 0..700).await;
        let copy = fs::read(&document).unwrap();
        register(&state, 700..2_000).await;
        register(&state, 2_000..2_001).await;
        for table in TABLES {
            let all = keys(&state.pending(Some(table)).await.unwrap());
            set_merged(&state, table, &all).await;
        }
        fs::write(&document, copy).unwrap();
        register(&state, 5_000..6_500).await;
        register(&state, 6_500..6_501).await;
        let pending = keys(&state.pending(None).await.unwrap());
        assert!(files(5_000..6_501).iter().all(|file| pending.contains(&file.key)));
    }

    #[tokio::test]
    async fn what_is_struck_off_is_read_no_more_and_the_cursor_stays() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        register(&state, 0..700).await;
        register(&state, 700..710).await;
        let lease = state.lease("contacts").await.unwrap();
        let gone = [files(3..4), files(5..6), files(704..705)].concat();
        for _ in 0..2 {
            state.strike_off(&lease, &gone).await.unwrap();
        }
        drop(lease);
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), Some(1));
        let mut left = Vec::new();
        for table in TABLES {
            left.extend(state.files(table).await.unwrap());
            let pending = keys(&state.pending(Some(table)).await.unwrap());
            set_merged(&state, table, &pending).await;
        }
        assert_eq!(left.len(), 707);
        assert!(left.iter().all(|file| !keys(&gone).contains(&file.key)));
        assert!(state.pending(None).await.unwrap().is_empty());
        register(&state, 800..2_000).await;
        let lease = state.lease("contacts").await.unwrap();
        let own = state.registered_by(&lease, "contacts", false).await.unwrap();
        assert_eq!(keys(&own), keys(&state.files("contacts").await.unwrap()));
        assert!(!keys(&own).contains(&"k00005".to_owned()));
    }

    /// Replaces the files of these numbers, of one table, by one.
    async fn replace(state: &State, table: &str, numbers: std::ops::Range<usize>) -> StagedFile {
        let load = state.lease(&format!("load-{table}")).await.unwrap();
        let mut old = files(numbers);
        old.retain(|file| file.collection == table);
        let last = old.last().unwrap().clone();
        let new = StagedFile { key: format!("{}+", last.key), ..last };
        let replacement = Replacement {
            collection: table,
            feed: "contacts",
            load: &load,
            old: &old,
            new: std::slice::from_ref(&new),
        };
        for _ in 0..2 {
            state.replace_files(&replacement).await.unwrap();
        }
        let retired = state.retired("contacts").await.unwrap();
        assert!(old.iter().all(|file| retired.iter().any(|retired| retired.file == *file)));
        new
    }

    #[tokio::test]
    async fn replaced_files_are_one_and_wait_for_no_load() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        register(&state, 0..1_700).await;
        register(&state, 1_700..1_710).await;
        for table in TABLES {
            let pending = keys(&state.pending(Some(table)).await.unwrap());
            set_merged(&state, table, &pending[..pending.len() - 3]).await;
        }
        let waiting = keys(&state.pending(None).await.unwrap());
        assert_eq!(waiting.len(), 6);
        let contacts = replace(&state, "contacts", 0..1_700).await;
        assert_eq!(keys(&state.pending(None).await.unwrap()), waiting);
        let left = state.files("contacts").await.unwrap();
        assert_eq!(left.len(), 1 + (1_700..1_710).filter(|n| n % 3 != 0).count());
        assert_eq!(left[0], contacts);
        // The other table's files stand in segments that were written anew, and are merged as before.
        assert_eq!(state.files("submissions").await.unwrap().len(), 570);
        let submissions = replace(&state, "submissions", 0..1_700).await;
        assert_eq!(keys(&state.pending(None).await.unwrap()), waiting);
        assert_eq!(state.files("submissions").await.unwrap()[0], submissions);
        // No segment is left, and only the list of what is to be removed.
        let left: Vec<_> = fs::read_dir(root.path().join("feeds/contacts")).unwrap().collect();
        assert_eq!(left.len(), 1);
        set_merged(&state, "contacts", &waiting).await;
        set_merged(&state, "submissions", &waiting).await;
        assert!(state.pending(None).await.unwrap().is_empty());
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), Some(1));

        let retired = state.retired("contacts").await.unwrap();
        assert_eq!(retired.len(), 1_700);
        let removed: Vec<String> = retired.into_iter().map(|retired| retired.file.key).collect();
        state.set_removed("contacts", &removed[..1_699]).await.unwrap();
        assert_eq!(state.retired("contacts").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_registered_is_not_retired() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        register(&state, 0..600).await;
        register(&state, 600..610).await;
        let document = root.path().join("feeds/contacts.json");
        let before = fs::read(&document).unwrap();
        replace(&state, "contacts", 500..605).await;
        // As if the crash had come before the feed's document was replaced.
        fs::write(&document, before).unwrap();
        assert!(state.retired("contacts").await.unwrap().is_empty());
        assert!(state.pending(Some("contacts")).await.unwrap().iter().all(|file| !file.key.ends_with('+')));
    }

    #[tokio::test]
    async fn whoever_lost_a_lease_or_finds_a_run_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        register(&state, 0..10).await;
        let load = state.lease("load-contacts").await.unwrap();
        state.set_merged(&load, "contacts", &[]).await.unwrap();
        let (version, hold) = (load.version - 1, state.lease("other").await.unwrap().hold);
        let late = Lease { name: "load-contacts".into(), version, hold };
        let old = files(1..2);
        let replacement =
            |load| Replacement { collection: "contacts", feed: "contacts", load, old: &old, new: &[] };
        let refused = state.replace_files(&replacement(&late)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        let run = state.lease("contacts").await.unwrap();
        let refused = state.replace_files(&replacement(&load)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert_eq!(state.files("contacts").await.unwrap().len(), 6);
        drop(run);
        state.replace_files(&replacement(&load)).await.unwrap();
        assert_eq!(state.files_by_feed("contacts").await.unwrap()["contacts"].len(), 5);
    }

    #[tokio::test]
    async fn a_document_without_segments_is_read() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let old = serde_json::json!({"version": 0, "cursor": 7, "files": files(0..1_200)});
        fs::write(root.path().join("feeds/contacts.json"), old.to_string()).unwrap();
        let merged = serde_json::json!({"version": 0, "merged": keys(&files(0..1_100))});
        fs::write(root.path().join("tables/contacts.json"), merged.to_string()).unwrap();
        let waiting = |pending: Vec<StagedFile>| pending.len();
        assert_eq!(waiting(state.pending(Some("contacts")).await.unwrap()), 67);
        register(&state, 1_200..1_203).await;
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), Some(1));
        assert_eq!(state.files("submissions").await.unwrap().len(), 401);
        assert_eq!(waiting(state.pending(Some("contacts")).await.unwrap()), 69);
        set_merged(&state, "contacts", &["k01100".to_owned()]).await;
        assert_eq!(waiting(state.pending(Some("contacts")).await.unwrap()), 68);
    }

    #[tokio::test]
    async fn a_segment_that_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        register(&state, 0..600).await;
        register(&state, 600..601).await;
        fs::remove_dir_all(root.path().join("feeds/contacts")).unwrap();
        let error = state.files("contacts").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("remove feeds/contacts.json"), "{error}");
    }

    #[tokio::test]
    async fn a_repeated_checkpoint_registers_its_files_once() {
        for before in [0, 450, 499, 500, 1_200] {
            let root = tempfile::tempdir().unwrap();
            let state = state(root.path());
            register(&state, 0..before).await;
            for _ in 0..3 {
                register(&state, before..before + 100).await;
            }
            // Some of these are known.
            register(&state, before + 50..before + 700).await;
            register(&state, before + 50..before + 700).await;
            let mut all = state.files("contacts").await.unwrap();
            all.extend(state.files("submissions").await.unwrap());
            assert_eq!(all.len(), before + 700);
        }
    }
}

//! Staged files of a person: each is written anew without the rows, and takes the place of the old one, whose object is
//! removed at once. Files that compaction has replaced, and that wait for their removal, are removed as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use chrono::Utc;
use serde_json::Value;
use staging::{
    Lease, NewFile, Person, PersonColumns, Replacement, StagedFile, adopting, person_rows, write_without,
};

use super::{CollectionForgotten, FORGET, Forgetting, Places, Whose, wait_for};
use crate::busy::is_busy;
use crate::compact;
use crate::exchange::exchange;

impl Forgetting<'_> {
    /// Adds what the files of a collection tell of the person. `by_found`: rows are theirs, too, that are known by what an
    /// earlier file told.
    pub(super) async fn identify_in_files(
        &self,
        columns: &PersonColumns,
        asked: Person,
        by_found: bool,
    ) -> anyhow::Result<Person> {
        let mut person = asked.clone();
        for file in self.places.state.files(&columns.collection).await? {
            if self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                bail!(
                    "the time was over before all staged files of {} were looked at: `hubspot-source compact` makes them \
                     fewer; then begin again",
                    columns.collection
                );
            }
            let Some(local) = self.fetch(&file).await? else { continue };
            let known = if by_found { &person } else { &asked };
            let found = find(&local.path, self.options.columns, known).await?.person;
            person.ids.extend(found.ids);
            person.addresses.extend(found.addresses);
        }
        Ok(person)
    }

    /// Removes the person from the files of a collection, whose load lease is held. `Err`: a feed is being read.
    pub(super) async fn files_of(
        &self,
        name: &str,
        load: &Lease,
        whose: &Whose,
        done: &mut CollectionForgotten,
    ) -> anyhow::Result<Result<(), String>> {
        if !self.options.is_dry_run {
            compact::clear(name, self.places.bucket).await?;
        }
        for feed in self.by_feed(name).await?.into_keys() {
            let removed = self.files_of_feed(name, &feed, load, whose, done).await;
            match removed {
                Ok(()) => {}
                Err(error) if is_busy(&error) => return Ok(Err(format!("a run of {feed} is under way"))),
                Err(error) => return Err(error),
            }
        }
        if !self.options.is_dry_run {
            self.destroy_strays(name, &whose.person).await?;
        }
        Ok(Ok(()))
    }

    /// Removes objects of the person that no state knows: a crash has left them. Runs that are under way by now stage
    /// nothing of the person.
    async fn destroy_strays(&self, name: &str, person: &Person) -> anyhow::Result<()> {
        let Places { state, bucket, .. } = self.places;
        let registered: BTreeSet<String> =
            state.files(name).await?.into_iter().map(|file| file.key).collect();
        for key in bucket.keys(name).await? {
            if registered.contains(&key) {
                continue;
            }
            let Some(local) = bucket.fetch_stray(&key).await? else { continue };
            if !find(&local.path, self.options.columns, person).await?.is_empty() {
                drop(local);
                bucket.destroy_keys(&[key]).await?;
            }
        }
        Ok(())
    }

    /// Files by the feed that has registered them. Where the state does not say it, they are under the first of the
    /// others, or under the collection's name.
    async fn by_feed(&self, name: &str) -> anyhow::Result<BTreeMap<String, Vec<StagedFile>>> {
        let state = self.places.state;
        let mut by_feed = state.files_by_feed(name).await?;
        let known: BTreeSet<String> = by_feed.values().flatten().map(|file| file.key.clone()).collect();
        let mut others = state.files(name).await?;
        others.retain(|file| !known.contains(&file.key));
        if !others.is_empty() {
            let feed = by_feed.keys().next().cloned().unwrap_or_else(|| name.to_owned());
            by_feed.entry(feed).or_default().extend(others);
        }
        // Rows of another program, of which no file may be registered yet.
        by_feed.entry(adopting(name)).or_default();
        Ok(by_feed)
    }

    /// Waits for a run of the feed, which may not have seen that the person is kept out; one that begins later has.
    async fn files_of_feed(
        &self,
        name: &str,
        feed: &str,
        load: &Lease,
        whose: &Whose,
        done: &mut CollectionForgotten,
    ) -> anyhow::Result<()> {
        let Places { state, bucket, warehouse } = self.places;
        let lease = wait_for(state, feed, self.options.patience).await?;
        if !self.options.is_dry_run {
            // What a killed run was writing; its uploads end by the bucket's rule, since other feeds may have some there.
            bucket.clear(&format!("{feed}-"), &[]).await?;
        }
        let written = self.write_anew(name, &lease, whose, done).await;
        state.release(lease).await;
        for (old, new) in written? {
            let (old, new) = (std::slice::from_ref(&old), std::slice::from_ref(&new));
            exchange(&Replacement { collection: name, feed, load, old, new }, state, warehouse).await?;
        }
        if self.options.is_dry_run {
            return Ok(());
        }
        // Those that were replaced just now, and those that compaction has replaced.
        let retired = state.retired(feed).await?.into_iter().map(|retired| retired.file);
        let removed: Vec<StagedFile> = retired.filter(|file| file.collection == name).collect();
        if !removed.is_empty() {
            bucket.destroy(&removed).await?;
            let keys: Vec<String> = removed.into_iter().map(|file| file.key).collect();
            state.set_removed(feed, &keys).await?;
        }
        Ok(())
    }

    /// Writes new files in the place of those with rows of the person. Those that wait for a load are exchanged at once;
    /// the others come back, each with the new one.
    async fn write_anew(
        &self,
        name: &str,
        lease: &Lease,
        whose: &Whose,
        done: &mut CollectionForgotten,
    ) -> anyhow::Result<Vec<(StagedFile, StagedFile)>> {
        let Places { state, bucket, .. } = self.places;
        let pending: Vec<StagedFile> = state.pending(Some(name)).await?;
        let mut written = Vec::new();
        for file in self.by_feed(name).await?.remove(lease.name()).unwrap_or_default() {
            let Some(local) = self.fetch(&file).await? else { continue };
            let found = find(&local.path, self.options.columns, &whose.person).await?;
            if found.is_empty() {
                continue;
            }
            done.files += 1;
            done.file_rows += found.rows;
            if self.options.is_dry_run {
                continue;
            }
            let new = self.written_anew(&file, &local.path, whose).await?;
            drop(local);
            if pending.iter().any(|pending| pending.key == file.key) {
                // In a crash between the two, both are registered, and the next call finds the old one.
                let cursor = state.cursor::<Value>(lease.name()).await?.unwrap_or_default();
                state.checkpoint(lease, &cursor, std::slice::from_ref(&new)).await?;
                state.strike_off(lease, std::slice::from_ref(&file)).await?;
                bucket.destroy(std::slice::from_ref(&file)).await?;
            } else {
                written.push((file, new));
            }
        }
        Ok(written)
    }

    /// `None`: it is not there, so it holds nobody.
    async fn fetch(&self, file: &StagedFile) -> anyhow::Result<Option<staging::LocalFile>> {
        let bucket = self.places.bucket;
        if file.is_expired || !bucket.lost(std::slice::from_ref(file)).await?.is_empty() {
            return Ok(None);
        }
        bucket.fetch(file).await.map(Some)
    }

    /// Of the same run and time, so that nothing else changes.
    async fn written_anew(
        &self,
        file: &StagedFile,
        path: &Path,
        whose: &Whose,
    ) -> anyhow::Result<StagedFile> {
        let bucket = self.places.bucket;
        let id = uuid::Uuid::now_v7().to_string();
        let key = bucket.key(&file.collection, &format!("{id}{}000001", file.infix()), file.staged_at);
        let scratch = bucket.scratch(&format!("{FORGET}-{id}"))?;
        let (source, folder, run_id) = (path.to_owned(), scratch.clone(), file.run_id.clone());
        let (columns, Whose { person, pseudonyms }) = (self.options.columns.to_vec(), whose.clone());
        let finished = tokio::task::spawn_blocking(move || {
            let new = NewFile { scratch: &folder.join("new"), key: &key, run_id: &run_id };
            write_without(&source, new, &columns, &person, pseudonyms.as_ref())
        });
        let finished = finished.await?.with_context(|| format!("{} can't be written anew", file.key))?;
        let staged = bucket.put(finished, Utc::now()).await?;
        // Only tidiness.
        let _ = std::fs::remove_dir(scratch);
        let StagedFile { staged_at, oldest_staged_at, snapshot, .. } = *file;
        Ok(StagedFile { staged_at, oldest_staged_at, snapshot, ..staged })
    }
}

/// Reads on another thread: a file may be large.
async fn find(
    path: &Path,
    columns: &[PersonColumns],
    person: &Person,
) -> anyhow::Result<staging::PersonRows> {
    let (path, columns, person) = (path.to_owned(), columns.to_vec(), person.clone());
    tokio::task::spawn_blocking(move || person_rows(&path, &columns, &person)).await?
}

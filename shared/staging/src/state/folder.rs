//! State in a local folder.
//!
//! | document | holds | written by |
//! |---|---|---|
//! | `account.json` | the HubSpot account that everything here belongs to | the first run |
//! | `feeds/<feed>.json` | the cursor and the newest files it stands for: one document, so a checkpoint is one replace | extract |
//! | `feeds/<feed>/<id>.json` | a segment: older files, written once ([`registry`]) | extract, compaction |
//! | `feeds/<feed>/retired.json` | replaced files whose objects are to be removed | compaction |
//! | `tables/<collection>.json` | the files and segments that the warehouse has merged | load |
//! | `shared/<name>.json` | what processes share, such as the account's limits | whoever holds its lock |
//! | `runs/<name>.json` | what the latest runs reported | both |
//! | `leases/<name>.lock` | held, by the operating system, for as long as its owner lives | both |
//!
//! A document is replaced atomically (new file, sync, rename, sync of the folder): a reader sees the old one or the
//! new one, after a crash too. Those of a feed or a table belong to the holder of one lease and carry that lease's
//! fencing version, so a writer that lost its lease is refused instead of undoing newer work.

mod registered;
mod registry;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use self::registered::Registered;
use super::lease::{Hold, Lease, busy, fenced};
use super::run_record::RunRecord;
use crate::error::{Error, ErrorKind};
use crate::file::StagedFile;
use crate::private;
use crate::shared::Shared;

/// Way out for a document that can't be read.
const RESTORE: &str = "put a copy of it back, or remove the file and read everything again with `--mode backfill` (merging \
                       twice is harmless)";
/// Reports that are kept of each feed, and of the loads.
const RECORDS_KEPT: usize = 50;

#[derive(Debug)]
pub struct FolderState {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct AccountDocument {
    account_id: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct FeedDocument<C> {
    version: u64,
    cursor: Option<C>,
    /// Files of a document from before there were segments.
    #[serde(default, skip_serializing)]
    files: Vec<StagedFile>,
    #[serde(default)]
    registered: Registered,
}

impl<C> FeedDocument<C> {
    fn all_registered(mut self) -> Registered {
        self.registered.newest.splice(0..0, self.files);
        self.registered
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct LeaseDocument {
    version: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct SharedDocument<T> {
    version: u64,
    value: T,
}

impl FolderState {
    pub(super) fn open(root: &Path) -> Result<FolderState, Error> {
        for folder in ["feeds", "tables", "leases", "shared", "runs"] {
            let path = root.join(folder);
            private::make_own_folder(&path).map_err(|source| {
                let message = format!(
                    "the state folder {} can't be made or written: choose another --state, or fix its permissions",
                    path.display()
                );
                Error::new(ErrorKind::Io, message).caused_by(source)
            })?;
        }
        Ok(FolderState { root: root.to_owned() })
    }

    pub(super) fn account(&self) -> Result<Option<u64>, Error> {
        Ok(self.read::<AccountDocument>("account.json")?.map(|document| document.account_id))
    }

    /// The account that it is bound to now.
    pub(super) fn bind_account(&self, account_id: u64) -> Result<u64, Error> {
        if let Some(bound) = self.account()? {
            return Ok(bound);
        }
        self.replace("account.json", &AccountDocument { account_id })?;
        Ok(account_id)
    }

    pub(super) fn lease(&self, name: &str) -> Result<Lease, Error> {
        let (path, file) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(name)),
            Err(TryLockError::Error(source)) => return Err(unwritable(&path, source)),
        }
        let document = format!("leases/{name}.json");
        let version =
            self.next(&document, self.read::<LeaseDocument>(&document)?.unwrap_or_default().version)?;
        self.replace(&document, &LeaseDocument { version })?;
        Ok(Lease { name: name.to_owned(), version, hold: Hold::Folder { _lock: file } })
    }

    pub(super) fn is_leased(&self, name: &str) -> Result<bool, Error> {
        let (path, file) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(unwritable(&path, source)),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), Error> {
        let path = self.root.join(format!("leases/{name}.lock"));
        let file = private::file().create(true).truncate(false).write(true).open(&path);
        match file {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(unwritable(&path, source)),
        }
    }

    pub(super) fn cursor<C: DeserializeOwned + Default>(&self, feed: &str) -> Result<Option<C>, Error> {
        Ok(self.read::<FeedDocument<C>>(&feed_path(feed))?.and_then(|document| document.cursor))
    }

    pub(super) fn checkpoint<C: Serialize>(
        &self,
        lease: &Lease,
        cursor: &C,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        let path = feed_path(&lease.name);
        let before = self.read::<FeedDocument<IgnoredAny>>(&path)?.unwrap_or_default();
        check(before.version, lease)?;
        let mut registered = before.all_registered();
        self.register(&lease.name, &mut registered, files)?;
        let (version, cursor) = (lease.version, Some(cursor));
        self.replace(&path, &FeedDocument { version, cursor, files: Vec::new(), registered })
    }

    pub(super) fn shared<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Shared<T>, Error> {
        let document = self.read::<SharedDocument<T>>(&shared_path(name))?.unwrap_or_default();
        Ok(Shared { version: document.version, value: document.value })
    }

    pub(super) fn swap_shared<T: Serialize>(&self, name: &str, next: &Shared<T>) -> Result<bool, Error> {
        let (path, lock) = self.lock_file(name)?;
        lock.lock().map_err(|source| unwritable(&path, source))?;
        let now = self.read::<SharedDocument<IgnoredAny>>(&shared_path(name))?;
        if now.map_or(0, |document| document.version) != next.version {
            return Ok(false);
        }
        let version = self.next(&shared_path(name), next.version)?;
        self.replace(&shared_path(name), &SharedDocument { version, value: &next.value })?;
        Ok(true)
    }

    pub(super) fn record(&self, record: &RunRecord) -> Result<(), Error> {
        let (path, lock) = self.lock_file(&format!("runs-{}", record.name))?;
        lock.lock().map_err(|source| unwritable(&path, source))?;
        let document = format!("runs/{}.json", record.name);
        let mut records = self.read::<Vec<RunRecord>>(&document)?.unwrap_or_default();
        records.retain(|known| known.run_id != record.run_id);
        records.push(record.clone());
        records.sort_by(|a, b| a.run_id.cmp(&b.run_id));
        records.drain(..records.len().saturating_sub(RECORDS_KEPT));
        self.replace(&document, &records)
    }

    pub(super) fn records(&self, name: &str, limit: usize) -> Result<Vec<RunRecord>, Error> {
        let mut records = self.read::<Vec<RunRecord>>(&format!("runs/{name}.json"))?.unwrap_or_default();
        records.reverse();
        records.truncate(limit);
        Ok(records)
    }

    pub(super) fn recorded(&self) -> Result<Vec<String>, Error> {
        let folder = self.root.join("runs");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(unreadable(&folder, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| unreadable(&folder, source))?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// A missing document is `None`.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.root.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unreadable(&path, source)),
        };
        let document = serde_json::from_slice(&bytes).map(Some);
        document.map_err(|source| Error::unread(&named(&path), source, RESTORE))
    }

    /// The version after this one; the last one there is was not written by us.
    fn next(&self, name: &str, version: u64) -> Result<u64, Error> {
        version.checked_add(1).ok_or_else(|| corrupt(&self.root.join(name)))
    }

    fn replace<T: Serialize>(&self, name: &str, document: &T) -> Result<(), Error> {
        let path = self.root.join(name);
        let write = || -> io::Result<()> {
            let next = path.with_extension("next");
            let mut file = private::file().write(true).create(true).truncate(true).open(&next)?;
            file.write_all(&serde_json::to_vec(document)?)?;
            file.sync_all()?;
            fs::rename(&next, &path)?;
            File::open(path.parent().unwrap_or(&self.root))?.sync_all()
        };
        write().map_err(|source| unwritable(&path, source))
    }
}

fn feed_path(feed: &str) -> String {
    format!("feeds/{feed}.json")
}

fn shared_path(name: &str) -> String {
    format!("shared/{name}.json")
}

/// A document written under a newer lease must not be replaced under an older one.
fn check(document_version: u64, lease: &Lease) -> Result<(), Error> {
    if document_version > lease.version { Err(fenced(&lease.name)) } else { Ok(()) }
}

fn named(path: &Path) -> String {
    format!("the state file {}", path.display())
}

fn corrupt(path: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{} is corrupt: {RESTORE}", named(path)))
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    let message =
        format!("the state file {} can't be written: check its permissions and the disk", path.display());
    Error::new(ErrorKind::Io, message).caused_by(source)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    let message = format!("the state file {} can't be read: check its permissions", path.display());
    Error::new(ErrorKind::Io, message).caused_by(source)
}

/// `true`: the bytes are a document of any kind; one that is can be read again as it is written.
#[cfg(feature = "fuzzing")]
pub(crate) fn is_document<C: Serialize + DeserializeOwned + Default>(bytes: &[u8]) -> bool {
    fn is<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
        let Ok(document) = serde_json::from_slice::<T>(bytes) else { return false };
        let written = serde_json::to_vec(&document).unwrap_or_default();
        assert!(serde_json::from_slice::<T>(&written).is_ok(), "a document is none when it is written");
        true
    }
    let kinds = [
        is::<AccountDocument>,
        is::<FeedDocument<C>>,
        is::<registered::TableDocument>,
        is::<LeaseDocument>,
        is::<SharedDocument<C>>,
        is::<Vec<RunRecord>>,
    ];
    kinds.into_iter().filter(|is| is(bytes)).count() > 0
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use chrono::DateTime;

    fn file(key: &str) -> StagedFile {
        StagedFile {
            key: key.into(),
            collection: "contacts".into(),
            run_id: "run-1".into(),
            rows: 1,
            bytes: 10,
            staged_at: DateTime::UNIX_EPOCH,
            snapshot: None,
            oldest_staged_at: None,
            is_expired: false,
        }
    }

    fn state(root: &Path) -> State {
        State::open_folder(root).unwrap()
    }

    #[tokio::test]
    async fn a_checkpoint_moves_the_cursor_and_registers_once() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let lease = state.lease("contacts").await.unwrap();
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), None);
        state.checkpoint(&lease, &7_u64, &[file("a")]).await.unwrap();
        state.checkpoint(&lease, &8_u64, &[file("a"), file("b")]).await.unwrap();
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), Some(8));
        let keys: Vec<_> = state.files("contacts").await.unwrap().into_iter().map(|file| file.key).collect();
        assert_eq!(keys, ["a", "b"]);
    }

    #[tokio::test]
    async fn the_second_of_two_runs_is_told() {
        let root = tempfile::tempdir().unwrap();
        let first = state(root.path());
        let second = state(root.path());
        let held = first.lease("contacts").await.unwrap();
        let refused = second.lease("contacts").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        second.lease("deals").await.unwrap();
        drop(held);
        second.lease("contacts").await.unwrap();
    }

    #[tokio::test]
    async fn an_older_lease_can_not_undo_newer_work() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let mut old = state.lease("contacts").await.unwrap();
        // A folder on a network file system may lose the lock while its owner believes to hold it.
        old.hold = Hold::Folder { _lock: File::open(root.path()).unwrap() };
        let new = state.lease("contacts").await.unwrap();
        state.checkpoint(&new, &2_u64, &[file("b")]).await.unwrap();
        let refused = state.checkpoint(&old, &1_u64, &[file("a")]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Fenced);
        assert_eq!(state.cursor::<u64>("contacts").await.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn another_account_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        state.bind_account(1).await.unwrap();
        state.bind_account(1).await.unwrap();
        assert_eq!(state.bind_account(2).await.unwrap_err().kind(), ErrorKind::OtherAccount);
    }

    #[tokio::test]
    async fn a_version_without_a_next_one_is_corrupt() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        let last = format!("{{\"version\":{},\"value\":1}}", u64::MAX);
        fs::write(root.path().join("leases/contacts.json"), &last).unwrap();
        assert_eq!(state.lease("contacts").await.unwrap_err().kind(), ErrorKind::Corrupt);
        fs::write(root.path().join("shared/limits.json"), &last).unwrap();
        let read = state.shared::<u64>("limits").await.unwrap();
        assert_eq!(state.swap_shared("limits", &read).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn a_corrupt_document_is_said_to_be() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        fs::write(root.path().join("feeds/contacts.json"), b"{\"version\":1,").unwrap();
        let error = state.cursor::<u64>("contacts").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("--mode backfill"));
    }
}

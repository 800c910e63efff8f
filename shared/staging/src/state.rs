//! What is remembered between runs: which account this is, each feed's cursor, the staged files, and who may write.
//!
//! | document | holds | written by |
//! |---|---|---|
//! | `account.json` | the HubSpot account that everything here belongs to | the first run |
//! | `feeds/<feed>.json` | the cursor and the files it stands for: one document, so a checkpoint is one replace | extract |
//! | `tables/<collection>.json` | the files that the warehouse has merged | load |
//! | `leases/<name>.lock` | held, by the operating system, for as long as its owner lives | both |
//!
//! A document is replaced atomically (new file, sync, rename, sync of the folder): a reader sees the old one or the
//! new one, after a crash too. Each belongs to the holder of one lease and carries that lease's fencing version, so a
//! writer that lost its lease is refused instead of undoing newer work.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::file::StagedFile;

/// A closed set: a local folder today; DynamoDB is the other one that the functions need.
#[derive(Debug)]
pub enum State {
    Folder(FolderState),
}

#[derive(Debug)]
pub struct FolderState {
    root: PathBuf,
}

/// The right to write one feed's, or one table's, document. It ends when it is dropped or its process dies.
#[derive(Debug)]
pub struct Lease {
    name: String,
    version: u64,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct AccountDocument {
    account_id: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct FeedDocument<C> {
    version: u64,
    cursor: Option<C>,
    files: Vec<StagedFile>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct TableDocument {
    version: u64,
    merged: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct LeaseDocument {
    version: u64,
}

impl State {
    /// State in a local folder, created where it is missing.
    pub fn open_folder(root: &Path) -> Result<State, Error> {
        for folder in ["feeds", "tables", "leases"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|source| {
                let message = format!(
                    "the state folder {} can't be made or written: choose another --state, or fix its permissions",
                    path.display()
                );
                Error::new(ErrorKind::Io, message).caused_by(source)
            })?;
        }
        Ok(State::Folder(FolderState { root: root.to_owned() }))
    }

    /// The account this state belongs to, once a run has bound it.
    pub async fn account(&self) -> Result<Option<u64>, Error> {
        let State::Folder(folder) = self;
        Ok(folder.read::<AccountDocument>("account.json")?.map(|document| document.account_id))
    }

    /// Binds the state to an account, or refuses one that is not the account it is bound to.
    pub async fn bind_account(&self, account_id: u64) -> Result<(), Error> {
        match self.account().await? {
            Some(bound) if bound == account_id => Ok(()),
            Some(bound) => Err(Error::other_account("the state", bound, account_id)),
            None => {
                let State::Folder(folder) = self;
                folder.replace("account.json", &AccountDocument { account_id })
            }
        }
    }

    /// Takes the lease `name`, or says that somebody holds it. The version is higher than any before it.
    pub async fn lease(&self, name: &str) -> Result<Lease, Error> {
        let State::Folder(folder) = self;
        let path = folder.root.join(format!("leases/{name}.lock"));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| unwritable(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "another run holds the lease of {name}: wait for it to end, or stop it, then run again"
                );
                return Err(Error::new(ErrorKind::Busy, message));
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(&path, source)),
        }
        let document = format!("leases/{name}.json");
        let version = folder.read::<LeaseDocument>(&document)?.unwrap_or_default().version + 1;
        folder.replace(&document, &LeaseDocument { version })?;
        Ok(Lease { name: name.to_owned(), version, _lock: lock })
    }

    /// The feed's cursor as its last checkpoint left it.
    pub async fn cursor<C: DeserializeOwned + Default>(&self, feed: &str) -> Result<Option<C>, Error> {
        let State::Folder(folder) = self;
        Ok(folder.read::<FeedDocument<C>>(&feed_path(feed))?.and_then(|document| document.cursor))
    }

    /// Registers `files` and moves the cursor, in one atomic step. The files must be durable already. Twice with the
    /// same files registers them once.
    pub async fn checkpoint<C: Serialize + DeserializeOwned + Default>(
        &self,
        lease: &Lease,
        cursor: &C,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        let State::Folder(folder) = self;
        let path = feed_path(&lease.name);
        let mut registered = match folder.read::<FeedDocument<serde::de::IgnoredAny>>(&path)? {
            Some(document) => fenced(document.version, lease).map(|()| document.files)?,
            None => Vec::new(),
        };
        for file in files {
            if !registered.iter().rev().any(|known| known.key == file.key) {
                registered.push(file.clone());
            }
        }
        folder
            .replace(&path, &FeedDocument { version: lease.version, cursor: Some(cursor), files: registered })
    }

    /// Every registered file of the feed, oldest first.
    pub async fn files(&self, feed: &str) -> Result<Vec<StagedFile>, Error> {
        let State::Folder(folder) = self;
        let document = folder.read::<FeedDocument<serde::de::IgnoredAny>>(&feed_path(feed))?;
        Ok(document.map(|document| document.files).unwrap_or_default())
    }

    /// Keys of the collection's files that `load` has reported as merged. The warehouse's own ledger is the truth;
    /// this copy lets a load with nothing to do leave the warehouse alone.
    pub async fn merged(&self, collection: &str) -> Result<Vec<String>, Error> {
        let State::Folder(folder) = self;
        Ok(folder.read::<TableDocument>(&table_path(collection))?.unwrap_or_default().merged)
    }

    /// Replaces the list of merged files by what the warehouse's ledger holds.
    pub async fn set_merged(
        &self,
        lease: &Lease,
        collection: &str,
        merged: Vec<String>,
    ) -> Result<(), Error> {
        let State::Folder(folder) = self;
        let path = table_path(collection);
        if let Some(document) = folder.read::<TableDocument>(&path)? {
            fenced(document.version, lease)?;
        }
        folder.replace(&path, &TableDocument { version: lease.version, merged })
    }
}

impl FolderState {
    /// A missing document is `None`; one that does not parse is corrupt, and said to be.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.root.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unreadable(&path, source)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| {
            let message = format!(
                "the state file {} is corrupt: put a copy of it back, or remove the file and read everything again \
                 with --mode backfill (merging twice is harmless)",
                path.display()
            );
            Error::new(ErrorKind::Corrupt, message).caused_by(source)
        })
    }

    fn replace<T: Serialize>(&self, name: &str, document: &T) -> Result<(), Error> {
        let path = self.root.join(name);
        let write = || -> io::Result<()> {
            let next = path.with_extension("next");
            let mut file = File::create(&next)?;
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

fn table_path(collection: &str) -> String {
    format!("tables/{collection}.json")
}

/// A document written under a newer lease must not be replaced under an older one.
fn fenced(document_version: u64, lease: &Lease) -> Result<(), Error> {
    if document_version > lease.version {
        let message =
            format!("the lease of {} was taken over by another run: nothing more is written", lease.name);
        return Err(Error::new(ErrorKind::Fenced, message));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
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
        old._lock = File::open(root.path()).unwrap();
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
    async fn a_corrupt_document_is_said_to_be() {
        let root = tempfile::tempdir().unwrap();
        let state = state(root.path());
        fs::write(root.path().join("feeds/contacts.json"), b"{\"version\":1,").unwrap();
        let error = state.cursor::<u64>("contacts").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("--mode backfill"));
    }
}

//! Memory between runs: which account this is, each feed's cursor, the staged files, who may write, how the
//! account's limits are shared, and what runs reported.
//!
//! Two places can hold it, and mean the same by it: a local folder ([`folder`]) and a DynamoDB table ([`dynamodb`]).
//! A checkpoint is written whole or not at all in both.

mod dynamodb;
mod folder;
mod lease;
mod replacement;
mod run_record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::file::{Retired, StagedFile};
use crate::shared::Shared;

pub use dynamodb::TableState;
pub use folder::FolderState;
pub use lease::Lease;
pub use replacement::Replacement;
pub use run_record::{End, RunRecord};

#[cfg(feature = "fuzzing")]
pub(crate) use self::{dynamodb::decompress, folder::is_document};

/// A closed set.
#[derive(Debug)]
pub enum State {
    Folder(FolderState),
    Table(TableState),
}

impl State {
    /// State in a local folder, created where it is missing.
    pub fn open_folder(root: &Path) -> Result<State, Error> {
        FolderState::open(root).map(State::Folder)
    }

    /// State in a DynamoDB table with the keys `pk` and `sk`; nothing is asked yet.
    pub fn open_table(client: aws_sdk_dynamodb::Client, table: &str) -> State {
        State::Table(TableState::new(client, table))
    }

    /// The account this state belongs to, once a run has bound it.
    pub async fn account(&self) -> Result<Option<u64>, Error> {
        match self {
            State::Folder(folder) => folder.account(),
            State::Table(table) => table.account().await,
        }
    }

    /// Binds the state to an account, or refuses one that is not the account it is bound to.
    pub async fn bind_account(&self, account_id: u64) -> Result<(), Error> {
        let bound = match self {
            State::Folder(folder) => folder.bind_account(account_id)?,
            State::Table(table) => table.bind_account(account_id).await?,
        };
        if bound == account_id { Ok(()) } else { Err(Error::other_account("the state", bound, account_id)) }
    }

    /// Takes the lease `name`, or says that somebody holds it ([`crate::ErrorKind::Busy`]). Its version is higher than
    /// any before it. In a table a lease whose owner died is free again after [`TableState::LEASE_LIFE`]; in a folder
    /// at once, because the operating system knows.
    pub async fn lease(&self, name: &str) -> Result<Lease, Error> {
        match self {
            State::Folder(folder) => folder.lease(name),
            State::Table(table) => table.lease(name).await,
        }
    }

    /// `true`: somebody holds the lease `name` now.
    pub async fn is_leased(&self, name: &str) -> Result<bool, Error> {
        match self {
            State::Folder(folder) => folder.is_leased(name),
            State::Table(table) => table.is_leased(name).await,
        }
    }

    /// Gives the lease back, so that the next run need not wait. That it can't be given back is no error: it expires.
    pub async fn release(&self, lease: Lease) {
        if let State::Table(table) = self {
            table.release(&lease).await;
        }
    }

    /// The feed's cursor as its last checkpoint left it.
    pub async fn cursor<C: DeserializeOwned + Default>(&self, feed: &str) -> Result<Option<C>, Error> {
        match self {
            State::Folder(folder) => folder.cursor(feed),
            State::Table(table) => table.cursor(feed).await,
        }
    }

    /// Registers `files` and moves the cursor, in one atomic step, if the lease is still held. The files must be
    /// durable already. Twice with the same files registers them once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Fenced`] when another run has taken the lease over: nothing is written.
    pub async fn checkpoint<C: Serialize>(
        &self,
        lease: &Lease,
        cursor: &C,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.checkpoint(lease, cursor, files),
            State::Table(table) => table.checkpoint(lease, cursor, files).await,
        }
    }

    /// Collections that have registered files.
    pub async fn collections(&self) -> Result<BTreeSet<String>, Error> {
        match self {
            State::Folder(folder) => folder.collections(),
            State::Table(table) => table.collections().await,
        }
    }

    /// Every registered file of the collection, oldest first.
    pub async fn files(&self, collection: &str) -> Result<Vec<StagedFile>, Error> {
        match self {
            State::Folder(folder) => folder.files(collection),
            State::Table(table) => table.files(collection).await,
        }
    }

    /// [`State::files`] by the feed that has registered them. Of files of an older version of this program a table does
    /// not say it: they are left out.
    pub async fn files_by_feed(&self, collection: &str) -> Result<BTreeMap<String, Vec<StagedFile>>, Error> {
        match self {
            State::Folder(folder) => folder.files_by_feed(collection),
            State::Table(table) => table.files_by_feed(collection).await,
        }
    }

    /// Registered files of the collection that runs under a lease of this name have registered, oldest first. Of files
    /// of an older version of this program a table does not say it: they are left out of what feeds fill together.
    pub async fn registered_by(
        &self,
        lease: &Lease,
        collection: &str,
        is_shared: bool,
    ) -> Result<Vec<StagedFile>, Error> {
        match self {
            State::Folder(folder) => folder.registered_by(&lease.name, collection),
            State::Table(table) => table.registered_by(&lease.name, collection, is_shared).await,
        }
    }

    /// Strikes registered files off: from then on nobody reads them, and no load waits for them. Twice is once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Fenced`] when another run has taken the lease over.
    pub async fn strike_off(&self, lease: &Lease, files: &[StagedFile]) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.strike_off(lease, files),
            State::Table(table) => table.strike_off(lease, files).await,
        }
    }

    /// Registers files in the place of others of the same collection, which all are merged: the new ones are, too. The
    /// replaced ones are read by nobody from then on, and [`State::retired`] lists them. The new files must be durable.
    /// Twice is once. After a crash some of the replaced files may be registered still, beside the new ones, which is
    /// harmless: merging is idempotent.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Fenced`] when another load has taken the lease over; [`crate::ErrorKind::Busy`] when a run of
    /// the feed is under way, in a folder, where both write the same document. Nothing is replaced then.
    pub async fn replace_files(&self, replacement: &Replacement<'_>) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.replace_files(replacement),
            State::Table(table) => table.replace_files(replacement).await,
        }
    }

    /// Files of a feed that were replaced, and whose objects may still be there.
    pub async fn retired(&self, feed: &str) -> Result<Vec<Retired>, Error> {
        match self {
            State::Folder(folder) => folder.retired(feed),
            State::Table(table) => table.retired(feed).await,
        }
    }

    /// Takes files off the list of [`State::retired`], whose objects are removed. Twice is once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when a run of the feed is under way, in a folder.
    pub async fn set_removed(&self, feed: &str, keys: &[String]) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.set_removed(feed, keys),
            State::Table(table) => table.set_removed(feed, keys).await,
        }
    }

    /// Registered files that `load` has not reported as merged, of one collection or of all, oldest first. The
    /// warehouse's own ledger is the truth; this lets a load with nothing to do leave the warehouse alone.
    pub async fn pending(&self, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        match self {
            State::Folder(folder) => folder.pending(collection),
            State::Table(table) => table.pending(collection).await,
        }
    }

    /// Reports files as merged: those that are pending no longer are. Twice is once.
    pub async fn set_merged(&self, lease: &Lease, collection: &str, keys: &[String]) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.set_merged(lease, collection, keys),
            State::Table(table) => table.set_merged(collection, keys).await,
        }
    }

    /// A shared document as it is now.
    pub async fn shared<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Shared<T>, Error> {
        match self {
            State::Folder(folder) => folder.shared(name),
            State::Table(table) => table.shared(name).await,
        }
    }

    /// Replaces a shared document if nobody else has since it was read; says whether it did.
    pub async fn swap_shared<T: Serialize>(&self, name: &str, next: &Shared<T>) -> Result<bool, Error> {
        match self {
            State::Folder(folder) => folder.swap_shared(name, next),
            State::Table(table) => table.swap_shared(name, next).await,
        }
    }

    /// Keeps what a run reported, for a while.
    pub async fn record(&self, record: &RunRecord) -> Result<(), Error> {
        match self {
            State::Folder(folder) => folder.record(record),
            State::Table(table) => table.record(record).await,
        }
    }

    /// The names under which reports are kept.
    pub async fn recorded(&self) -> Result<Vec<String>, Error> {
        match self {
            State::Folder(folder) => folder.recorded(),
            State::Table(table) => table.recorded().await,
        }
    }

    /// The latest `limit` reports of a feed's runs, or of `load`'s, newest first.
    pub async fn records(&self, name: &str, limit: usize) -> Result<Vec<RunRecord>, Error> {
        match self {
            State::Folder(folder) => folder.records(name, limit),
            State::Table(table) => table.records(name, limit).await,
        }
    }
}

//! The right to write.

use std::fs::File;

use crate::error::{Error, ErrorKind};

/// The right to write one feed's, or one table's, documents. Give it back with [`crate::State::release`]; dropped, it ends
/// when its time is over (a table) or at once (a folder). A later lease of the same name has a higher version, and
/// whatever is written under this one is refused from then on.
#[derive(Debug)]
pub struct Lease {
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) hold: Hold,
}

#[derive(Debug)]
pub(super) enum Hold {
    /// Held, by the operating system, until the file is closed.
    Folder {
        _lock: File,
    },
    Table(Renewal),
}

impl Lease {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Higher than that of any lease of this name before it.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// Keeps a lease alive until it is dropped.
#[derive(Debug)]
pub(super) struct Renewal(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn busy(name: &str) -> Error {
    let message =
        format!("another run holds the lease of {name}: wait for it to end, or stop it, then run again");
    Error::new(ErrorKind::Busy, message)
}

pub(super) fn fenced(name: &str) -> Error {
    let message = format!("the lease of {name} was taken over by another run: nothing more is written");
    Error::new(ErrorKind::Fenced, message)
}

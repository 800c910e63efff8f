//! DuckDB: a file on this machine, or one on a disk that this machine has mounted. The engine reads staged files
//! itself, so their rows never pass through this program.
//!
//! DuckDB's calls block; each runs on tokio's blocking threads, one at a time per file.

mod budget;
mod dialect;
mod merge;
mod open;
mod scrub;
mod session;
mod sql;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use ::duckdb::Connection;
use async_trait::async_trait;
use tokio::runtime::Handle as Runtime;

use self::budget::Budget;
use self::open::Handle;
use self::session::{Session, is_out_of_memory};
use crate::database::{Database, Work};
use crate::error::{Error, Kind, Result};
use crate::transaction::merge;
use crate::transactional::Transactional;
use crate::{LocatedFile, Merged, TableMode};

/// Longest wait for a file that another process has open, as for a locked table of PostgreSQL.
const LOCK_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct DuckDb {
    handle: Arc<Handle>,
    schema: String,
}

pub(crate) async fn connect(path: &str, schema: &str) -> Result<Transactional<DuckDb>> {
    let (path, schema) = (path.to_owned(), schema.to_owned());
    let open = move || Ok(Transactional(DuckDb { handle: Arc::new(Handle::open(&path)?), schema }));
    on_blocking_thread(open).await
}

#[async_trait]
impl Database for DuckDb {
    async fn look<T: Send + 'static>(&self, work: Work<T>) -> Result<Option<T>> {
        let this = self.clone();
        on_blocking_thread(move || this.handle.read(LOCK_WAIT, |connection| this.within(connection, work)))
            .await
    }

    async fn look_now<T: Send + 'static>(&self, work: Work<T>) -> Result<Option<T>> {
        let this = self.clone();
        let now = Duration::ZERO;
        on_blocking_thread(move || this.handle.read(now, |connection| this.within(connection, work))).await
    }

    async fn release(&self) {
        let this = self.clone();
        let close = move || {
            this.handle.close();
            Ok(())
        };
        // A panic in it has closed the file, too.
        let _ = on_blocking_thread(close).await;
    }

    async fn change<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        let this = self.clone();
        on_blocking_thread(move || this.handle.write(LOCK_WAIT, |connection| this.within(connection, work)))
            .await
    }

    async fn scrub(&self, _collections: &[&str], _is_full: bool) -> Result<String> {
        let this = self.clone();
        on_blocking_thread(move || this.handle.replace(LOCK_WAIT, scrub::copy)).await?;
        Ok("the DuckDB file is written anew; copies of it that somebody made are as they were".to_owned())
    }

    async fn merge(&self, files: Vec<LocatedFile>, mode: TableMode) -> Result<Merged> {
        let this = self.clone();
        let columns = files.iter().map(|file| file.description.table.columns.len()).max().unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let budget = Budget::new(files.iter().map(|file| file.description.rows).sum(), columns, cores);
        on_blocking_thread(move || this.merge_within(budget, &files, mode)).await
    }
}

impl DuckDb {
    fn within<T>(&self, connection: &mut Connection, work: Work<T>) -> Result<T> {
        Runtime::current().block_on(work(&mut Session::begin(connection, &self.schema)?))
    }

    /// Merges within a limit of memory, which is raised if it turns out too small.
    fn merge_within(&self, mut budget: Budget, files: &[LocatedFile], mode: TableMode) -> Result<Merged> {
        self.handle.write(LOCK_WAIT, |connection| {
            loop {
                session::limit(connection, budget)?;
                let mut session = Session::begin(connection, &self.schema)?;
                match Runtime::current().block_on(merge(&mut session, files, mode)) {
                    Err(error) if is_out_of_memory(&error) => match budget.larger() {
                        Some(larger) => budget = larger,
                        None => return Err(error),
                    },
                    outcome => return outcome,
                }
                tracing::info!(
                    memory.mib = budget.memory_mib,
                    "merge did not fit into memory, trying again with more"
                );
            }
        })
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::new(Kind::Engine, "duckdb stopped in the middle").because(stopped)),
    }
}

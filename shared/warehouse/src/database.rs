//! An engine that opens transactions.

use std::fmt;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::transaction::{Transaction, merge};
use crate::{LocatedFile, Merged, TableMode};

/// Opens transactions. One runs to its end even if the future is dropped.
#[async_trait]
pub(crate) trait Database: Clone + fmt::Debug + Send + Sync + 'static {
    /// Reads in a transaction; `None` if there is no database yet.
    async fn look<T: Send + 'static>(&self, work: Work<T>) -> Result<Option<T>>;

    /// Reads in a transaction without waiting: [`Kind::Locked`](crate::Kind::Locked) if it would have to wait.
    async fn look_now<T: Send + 'static>(&self, work: Work<T>) -> Result<Option<T>> {
        self.look(work).await
    }

    /// Does the work of [`crate::Warehouse::release`].
    async fn release(&self) {}

    async fn change<T: Send + 'static>(&self, work: Work<T>) -> Result<T>;

    /// The same for a change that readers would have to wait for: it waits for them for a moment at the most.
    async fn change_briefly<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        self.change(work).await
    }

    /// Does the work of [`crate::Warehouse::scrub`].
    async fn scrub(&self, collections: &[&str], is_full: bool) -> Result<String>;

    async fn merge(&self, files: Vec<LocatedFile>, mode: TableMode) -> Result<Merged> {
        self.change(Box::new(move |it| Box::pin(async move { merge(it, &files, mode).await }))).await
    }
}

/// Work in a transaction. If it changes anything, it commits.
pub(crate) type Work<T> =
    Box<dyn for<'a> FnOnce(&'a mut (dyn Transaction + 'a)) -> BoxFuture<'a, Result<T>> + Send>;

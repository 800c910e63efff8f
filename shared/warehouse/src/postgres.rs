//! PostgreSQL, 13 and newer, by tokio-postgres. The server can't see staged files, so their rows are sent to it, by
//! binary `COPY`; everything after that is a statement over all of them.

mod copy;
mod dialect;
mod encode;
mod layout;
mod merge;
mod session;
mod sql;
mod staged;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod transaction;
pub(crate) mod url;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_postgres::Client;

pub(crate) use self::dialect::POSTGRES;
use self::session::{Session, open};
use self::transaction::Merging;
use self::url::Target;
use crate::catalog::SchemaName;
use crate::database::{Database, Transactional, Work};
use crate::error::{Error, Kind, Result};

/// Time for which a merge waits for another one, or for a program that has locked the table.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Postgres {
    target: Target,
    schema: SchemaName,
    patience: Duration,
    /// An idle connection.
    idle: Arc<Mutex<Option<Client>>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Postgres { target, schema, .. } = self;
        f.debug_struct("Postgres").field("target", target).field("schema", schema).finish_non_exhaustive()
    }
}

pub(crate) async fn connect(
    url: &str,
    schema: &str,
    password: Option<SecretString>,
) -> Result<Transactional<Postgres>> {
    Postgres::connect(url, schema, password).await.map(Transactional)
}

impl Postgres {
    async fn connect(url: &str, schema: &str, password: Option<SecretString>) -> Result<Postgres> {
        let target = url::target(url, password)?;
        let client = open(&target).await?;
        let idle = Arc::new(Mutex::new(Some(client)));
        Ok(Postgres { target, schema: SchemaName::new(&POSTGRES, schema), patience: PATIENCE, idle })
    }

    /// Returns the idle connection, if it still works, or a new one.
    async fn client(&self) -> Result<Client> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = idle
            && client.check_connection().await.is_ok()
        {
            return Ok(client);
        }
        open(&self.target).await
    }

    /// Keeps the connection for the next call. Only to be called after a success: a failure may have left it in any
    /// state.
    fn put_back(&self, client: Client) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }
}

#[async_trait]
impl Database for Postgres {
    async fn look<T: Send + 'static>(&self, work: Work<T>) -> Result<Option<T>> {
        self.change(work).await.map(Some)
    }

    async fn change<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        let this = self.clone();
        // Work goes on when its future is dropped, so it runs as a task of its own.
        let to_its_end = tokio::spawn(async move {
            let client = this.client().await?;
            let session = Session::begin(&client, this.schema.clone(), this.patience).await?;
            let mut merging = Merging::new(session);
            let done = work(&mut merging).await?;
            merging.end().await?;
            this.put_back(client);
            Ok(done)
        });
        match to_its_end.await {
            Ok(result) => result,
            Err(stopped) => Err(Error::new(Kind::Engine, "postgres stopped in the middle").because(stopped)),
        }
    }
}

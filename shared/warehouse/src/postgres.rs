//! PostgreSQL, 13 and newer, by tokio-postgres. The server can't see staged files, so their rows are sent to it, by
//! binary `COPY`; everything after that is a statement over all of them.

mod beside;
mod brief;
mod copy;
pub(crate) mod dialect;
mod encode;
mod layout;
mod merge;
mod narrow;
mod session;
mod shaping;
mod sql;
mod staged;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod transaction;
pub(crate) mod url;
mod views;
mod widening;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_postgres::Client;

use self::brief::with_jitter;
pub(crate) use self::dialect::POSTGRES;
use self::session::{Session, failed, open};
use self::shaping::Limits;
use self::transaction::Merging;
use self::url::Target;
use self::widening::SMALL_BYTES;
use crate::catalog::{Catalog, SchemaName};
use crate::database::{Database, Work};
use crate::erase::tables_of;
use crate::error::{Error, Kind, Result};
use crate::transaction::merge;
use crate::transactional::Transactional;
use crate::{LocatedFile, Merged, TableMode};

/// Time for which a merge waits for another one, or for a program that has locked the table.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for which a view's change waits for its readers: those who come later wait as long.
const BRIEF_PATIENCE: Duration = Duration::from_millis(1_500);
/// Time for which a change of columns is tried again while others hold the table open.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(150);
/// Times that a merge changes columns: once for what its files need, once more for companions of a table that got a
/// column beside another one, and once more for what somebody else changes at the same time.
const CHANGES: u32 = 3;
/// Attempts of a merge that meets others: as a victim of a deadlock, or since rows changed under it.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Postgres {
    target: Target,
    schema: SchemaName,
    patience: Duration,
    patience_with_readers: Duration,
    /// Tables of more bytes are not written anew to change a column's type.
    small_bytes: u64,
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
        Ok(Postgres {
            target,
            schema: SchemaName::new(&POSTGRES, schema),
            patience: PATIENCE,
            patience_with_readers: PATIENCE_WITH_READERS,
            small_bytes: SMALL_BYTES,
            idle,
        })
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

    async fn change_within<T: Send + 'static>(&self, patience: Duration, work: Work<T>) -> Result<T> {
        let this = self.clone();
        to_its_end(async move {
            let client = this.client().await?;
            let mut merging = Merging::new(Session::begin(&client, this.schema.clone(), patience).await?);
            let done = work(&mut merging).await?;
            merging.end().await?;
            this.put_back(client);
            Ok(done)
        })
        .await
    }

    async fn begin<'a>(&self, client: &'a Client) -> Result<Merging<'a>> {
        Session::begin(client, self.schema.clone(), self.patience).await.map(Merging::new)
    }

    async fn end_turn(&self, client: &Client, turn: &str) -> Result<()> {
        self.begin(client).await?.end_turn(turn).await
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
        self.change_within(self.patience, work).await
    }

    async fn change_briefly<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        self.change_within(BRIEF_PATIENCE, work).await
    }

    /// Vacuums the tables, each by itself, on a connection of its own: in no transaction.
    async fn scrub(&self, collections: &[&str], is_full: bool) -> Result<String> {
        let client = open(&self.target).await?;
        let tables: Vec<String> = collections.iter().flat_map(|name| tables_of(name)).collect();
        let mut session = Session::begin(&client, self.schema.clone(), self.patience).await?;
        let found = session.columns_of(&tables.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        session.end().await?;
        let patience = format!("SET lock_timeout = {}", self.patience.as_millis());
        client.batch_execute(&patience).await.map_err(failed(&patience))?;
        let how = if is_full { "FULL, ANALYZE" } else { "ANALYZE" };
        for (table, _) in tables.iter().zip(found).filter(|(_, columns)| columns.is_some()) {
            let vacuum = format!("VACUUM ({how}) {}", self.schema.table(table));
            client.batch_execute(&vacuum).await.map_err(failed(&vacuum))?;
        }
        Ok(match is_full {
            true => "PostgreSQL has written the tables anew; its WAL, replicas and backups keep what they hold",
            false => {
                "PostgreSQL has freed the space of deleted rows and overwrites it by and by (--vacuum-full writes the \
                 tables anew); its WAL, replicas and backups keep what they hold"
            }
        }
        .to_owned())
    }

    /// Merges. Where that needs other columns, the tables are changed first, in transactions of their own, and the turn
    /// is kept meanwhile. A merge that others came in the way of is tried again a few times.
    async fn merge(&self, files: Vec<LocatedFile>, mode: TableMode) -> Result<Merged> {
        let this = self.clone();
        to_its_end(async move {
            let client = this.client().await?;
            let collection = files.first().map_or("", |file| file.description.table.collection.as_str());
            let turn = format!("{}.{collection}", this.schema.name);
            let (started, mut attempts, mut changes_left) = (Instant::now(), 0, CHANGES);
            let mut keeps_turn = false;
            let merged = loop {
                let mut merging = this.begin(&client).await?;
                let error = match merge(&mut merging, &files, mode).await {
                    Ok(merged) => {
                        merging.end().await?;
                        break merged;
                    }
                    Err(error) => error,
                };
                if error.kind() != Kind::Locked {
                    return Err(error);
                }
                Session::abandon(&client).await?;
                match merging.needs() {
                    Some(_) if changes_left == 0 => return Err(error),
                    // Another load may have changed the table before this one keeps its turn: what is needed is found
                    // anew.
                    Some(_) if !keeps_turn => {
                        this.begin(&client).await?.keep_turn(&turn).await?;
                        keeps_turn = true;
                    }
                    Some(changes) => {
                        let Postgres { patience_with_readers: patience, small_bytes, .. } = this;
                        changes.make(&client, &this.schema, Limits { patience, small_bytes }).await?;
                        changes_left -= 1;
                    }
                    None => {
                        attempts += 1;
                        if attempts == ATTEMPTS || started.elapsed() >= this.patience {
                            return Err(error);
                        }
                        tracing::info!(%error, "the merge met another program: trying again");
                        tokio::time::sleep(with_jitter(FIRST_PAUSE * attempts)).await;
                    }
                }
            };
            // The merge is committed, whatever becomes of the connection; a lost one keeps no turn.
            if !keeps_turn || this.end_turn(&client, &turn).await.is_ok() {
                this.put_back(client);
            }
            Ok(merged)
        })
        .await
    }
}

/// Runs work to its end, even if its future is dropped.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::new(Kind::Engine, "postgres stopped in the middle").because(stopped)),
    }
}

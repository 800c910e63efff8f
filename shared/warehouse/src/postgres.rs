//! PostgreSQL, 13 and newer, by tokio-postgres. The server can't see staged files, so their rows are sent to it, by
//! binary `COPY`; everything after that is a statement over all of them.

mod beside;
mod copy;
mod dialect;
mod encode;
mod layout;
mod merge;
mod schema;
mod session;
mod sql;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod url;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_postgres::Client;

pub(crate) use self::dialect::POSTGRES;
use self::schema::Schema;
use self::session::{Session, get, open};
use self::url::Target;
use crate::compare::{self, Tables, comparison, table_names};
use crate::error::{Error, Kind, Result};
use crate::plan::check_batch;
use crate::{Compare, Comparison, Extent, LocatedFile, Merged, RunRow, TableMode, Warehouse, extent};

/// How long a merge waits for another one, or for a program that holds the table.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Postgres {
    target: Target,
    schema: Schema,
    patience: Duration,
    /// A connection that nobody uses.
    idle: Arc<Mutex<Option<Client>>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Postgres { target, schema, .. } = self;
        f.debug_struct("Postgres").field("target", target).field("schema", schema).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(crate) async fn connect(url: &str, schema: &str, password: Option<SecretString>) -> Result<Postgres> {
        let target = url::target(url, password)?;
        let client = open(&target).await?;
        let idle = Arc::new(Mutex::new(Some(client)));
        Ok(Postgres { target, schema: Schema::new(schema), patience: PATIENCE, idle })
    }

    /// The connection that is idle, if it still lives, or a new one.
    async fn client(&self) -> Result<Client> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = idle
            && client.check_connection().await.is_ok()
        {
            return Ok(client);
        }
        open(&self.target).await
    }

    /// Only to be called after a success: what failed may have left anything behind.
    fn put_back(&self, client: Client) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }
}

/// Work goes on when its future is dropped, so it runs as a task of its own.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Error::new(Kind::Engine, "postgres stopped in the middle").because(stopped)),
    }
}

#[async_trait]
impl Warehouse for Postgres {
    async fn account(&self) -> Result<Option<u64>> {
        let mut client = self.client().await?;
        let session = Session::begin(&mut client, self.patience).await?;
        let account = self.schema.account(&session).await?;
        session.commit().await?;
        self.put_back(client);
        Ok(account)
    }

    async fn loaded(&self, collection: &str) -> Result<HashSet<String>> {
        let mut client = self.client().await?;
        let session = Session::begin(&mut client, self.patience).await?;
        let loaded = self.schema.loaded(&session, collection).await?;
        session.commit().await?;
        self.put_back(client);
        Ok(loaded)
    }

    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged> {
        check_batch(files)?;
        if files.is_empty() {
            return Ok(Merged::default());
        }
        let (this, files) = (self.clone(), files.to_vec());
        to_its_end(async move {
            let mut client = this.client().await?;
            let merged = merge::merge(&mut client, &this.schema, &files, mode, this.patience).await?;
            this.put_back(client);
            Ok(merged)
        })
        .await
    }

    async fn extent(&self, collection: &str) -> Result<Option<Extent>> {
        let mut client = self.client().await?;
        let session = Session::begin(&mut client, self.patience).await?;
        let columns = self.schema.columns(&session, collection).await?;
        let mut found = None;
        if let Some(columns) = columns {
            let [rows] = session.counts(&extent::count(&self.schema.table(collection))).await?;
            found = Some(Extent::new(columns.present, rows));
        }
        session.commit().await?;
        self.put_back(client);
        Ok(found)
    }

    async fn live_rows(&self, collection: &str) -> Result<u64> {
        let mut client = self.client().await?;
        let session = Session::begin(&mut client, self.patience).await?;
        let mut rows = 0;
        if let Some(columns) = self.schema.columns(&session, collection).await? {
            let table = self.schema.table(collection);
            [rows] = session.counts(&extent::count_live(&POSTGRES, &table, &columns.present)).await?;
        }
        session.commit().await?;
        self.put_back(client);
        Ok(rows)
    }

    async fn forget(&self, collection: &str) -> Result<()> {
        let (this, collection) = (self.clone(), collection.to_owned());
        to_its_end(async move {
            let mut client = this.client().await?;
            merge::forget(&mut client, &this.schema, &collection, this.patience).await?;
            this.put_back(client);
            Ok(())
        })
        .await
    }

    async fn compare(&self, compare: &Compare) -> Result<Comparison> {
        let mut client = self.client().await?;
        let session = Session::begin(&mut client, self.patience).await?;
        let names = table_names(&compare.collection);
        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            columns.push(self.schema.columns(&session, name).await?.map(|columns| columns.present));
        }
        let mut columns = columns.into_iter();
        let mut next = || columns.next().flatten();
        let tables = Tables { table: next(), snapshot: next(), deleted: next() };
        let quoted = names.each_ref().map(|name| self.schema.table(name));
        let sql = compare::query(&POSTGRES, compare, &tables, &quoted)?;
        let mut rows = Vec::new();
        for row in session.rows(&sql, &[]).await? {
            rows.push([get(&row, 0)?, get(&row, 1)?, get(&row, 2)?, get(&row, 3)?]);
        }
        session.commit().await?;
        self.put_back(client);
        comparison(rows)
    }

    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64> {
        let (this, runs) = (self.clone(), runs.to_vec());
        to_its_end(async move {
            let mut client = this.client().await?;
            let added = merge::record_runs(&mut client, &this.schema, &runs, this.patience).await?;
            this.put_back(client);
            Ok(added)
        })
        .await
    }
}

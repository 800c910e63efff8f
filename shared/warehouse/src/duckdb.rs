//! DuckDB: a file on this machine, or one on a disk that this machine has mounted. The engine reads staged files
//! itself, so their rows never pass through this program.
//!
//! DuckDB's calls block; each runs on tokio's blocking threads, one at a time per file.

mod beside;
mod budget;
mod dialect;
mod merge;
mod open;
mod schema;
mod session;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use ::duckdb::{Connection, Row};
use async_trait::async_trait;

use self::dialect::DUCKDB;
use self::open::Handle;
use self::schema::Schema;
use crate::compare::{self, Tables, comparison, table_names};
use crate::error::{Error, Kind, Result};
use crate::plan::check_batch;
use crate::{Compare, Comparison, Extent, LocatedFile, Merged, RunRow, TableMode, Warehouse, extent};

#[derive(Debug, Clone)]
pub(crate) struct DuckDb {
    handle: Arc<Handle>,
    schema: String,
}

impl DuckDb {
    pub(crate) async fn connect(path: &str, schema: &str) -> Result<DuckDb> {
        let (path, schema) = (path.to_owned(), schema.to_owned());
        on_blocking_thread(move || Ok(DuckDb { handle: Arc::new(Handle::open(&path)?), schema })).await
    }

    async fn read<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Schema) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        let read =
            move || this.handle.read(|connection| work(connection, &Schema::of(connection, &this.schema)?));
        Ok(on_blocking_thread(read).await?.unwrap_or_default())
    }
}

#[async_trait]
impl Warehouse for DuckDb {
    async fn account(&self) -> Result<Option<u64>> {
        self.read(|connection, schema| schema.account(connection)).await
    }

    async fn loaded(&self, collection: &str) -> Result<HashSet<String>> {
        let collection = collection.to_owned();
        self.read(move |connection, schema| schema.loaded(connection, &collection)).await
    }

    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged> {
        check_batch(files)?;
        if files.is_empty() {
            return Ok(Merged::default());
        }
        let (this, files) = (self.clone(), files.to_vec());
        on_blocking_thread(move || {
            this.handle.write(|connection| {
                let schema = Schema::of(connection, &this.schema)?;
                merge::merge(connection, &schema, &files, mode)
            })
        })
        .await
    }

    async fn extent(&self, collection: &str) -> Result<Option<Extent>> {
        let collection = collection.to_owned();
        self.read(move |connection, schema| {
            let Some(columns) = schema.columns(connection, &collection)? else { return Ok(None) };
            let rows = session::count(connection, &extent::count(&schema.table(&collection)))?;
            Ok(Some(Extent::new(columns, rows)))
        })
        .await
    }

    async fn live_rows(&self, collection: &str) -> Result<u64> {
        let collection = collection.to_owned();
        self.read(move |connection, schema| {
            let Some(columns) = schema.columns(connection, &collection)? else { return Ok(0) };
            let table = schema.table(&collection);
            session::count(connection, &extent::count_live(&DUCKDB, &table, &columns))
        })
        .await
    }

    async fn forget(&self, collection: &str) -> Result<()> {
        let (this, collection) = (self.clone(), collection.to_owned());
        on_blocking_thread(move || {
            this.handle.write(|connection| {
                let schema = Schema::of(connection, &this.schema)?;
                merge::forget(connection, &schema, &collection)
            })
        })
        .await
    }

    async fn compare(&self, compare: &Compare) -> Result<Comparison> {
        let (compare, collection) = (compare.clone(), compare.collection.clone());
        self.read(move |connection, schema| {
            let names = table_names(&compare.collection);
            let [table, snapshot, deleted] = &names;
            let columns = |name: &str| schema.columns(connection, name);
            let tables =
                Tables { table: columns(table)?, snapshot: columns(snapshot)?, deleted: columns(deleted)? };
            let quoted = names.each_ref().map(|name| schema.table(name));
            let sql = compare::query(&DUCKDB, &compare, &tables, &quoted)?;
            let row = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
            comparison(session::rows(connection, &sql, [], row)?).map(Some)
        })
        .await?
        .ok_or_else(|| compare::nothing_to_compare(&collection))
    }

    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64> {
        let (this, runs) = (self.clone(), runs.to_vec());
        on_blocking_thread(move || {
            this.handle.write(|connection| {
                let schema = Schema::of(connection, &this.schema)?;
                merge::record_runs(connection, &schema, &runs)
            })
        })
        .await
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

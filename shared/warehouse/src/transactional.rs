//! Warehouses with transactions: each call is one, and runs to its end even if its future is dropped.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use async_trait::async_trait;
use staging::{Person, StagedFile};

use crate::compare::nothing_to_compare;
use crate::database::{Database, Work};
use crate::dialect::RUNS;
use crate::error::Result;
use crate::plan::check_batch;
use crate::transaction::Transaction;
use crate::{
    Compare, Comparison, Erase, Erased, Extent, KeptView, KeptViews, Ledger, LeftOver, LocatedFile, Maker,
    Merged, Presence, RecordedReport, RunRow, Shape, TableMode, Warehouse, adopt, erase, extent, kept_views,
    presence,
};

/// Longest statement that inserts runs, since parsing takes memory.
const MAX_INSERT_BYTES: usize = 1 << 20;

/// One schema of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Transactional<D>(pub(crate) D);

#[async_trait]
impl<D: Database> Warehouse for Transactional<D> {
    async fn account(&self) -> Result<Option<u64>> {
        Ok(self.0.look_now(Box::new(|it| it.account())).await?.flatten())
    }

    async fn loaded(&self, collection: &str) -> Result<HashSet<String>> {
        let collection = collection.to_owned();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.loaded(&collection).await }));
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn ledger(&self, collection: &str, keys: &[&str]) -> Result<Ledger> {
        let collection = collection.to_owned();
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                it.ledger(&collection, &keys).await
            })
        });
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged> {
        check_batch(files)?;
        match files {
            [] => Ok(Merged::default()),
            files => self.0.merge(files.to_vec(), mode).await,
        }
    }

    async fn extent(&self, collection: &str) -> Result<Option<Extent>> {
        let collection = collection.to_owned();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.extent(&collection).await }));
        Ok(self.0.look(work).await?.flatten())
    }

    async fn shapes(&self, tables: &[&str]) -> Result<Vec<Option<Shape>>> {
        let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
        let count = tables.len();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move {
                let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
                it.shapes(&tables).await
            })
        });
        Ok(self.0.look(work).await?.unwrap_or_else(|| vec![None; count]))
    }

    async fn makers(&self, tables: &[&str]) -> Result<Vec<Option<Maker>>> {
        let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
        let count = tables.len();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move {
                let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
                it.makers(&tables).await
            })
        });
        Ok(self.0.look_now(work).await?.unwrap_or_else(|| vec![None; count]))
    }

    async fn put_aside(&self, table: &str, to: &str) -> Result<()> {
        let (table, to) = (table.to_owned(), to.to_owned());
        let work: Work<_> = Box::new(move |it| Box::pin(async move { put_aside(it, &table, &to).await }));
        self.0.change_briefly(work).await
    }

    async fn left_over(&self, wanted: &LeftOver) -> Result<Vec<Vec<Option<String>>>> {
        let wanted = wanted.clone();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.left_over(&wanted).await }));
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn keyless(&self, table: &str, key: &[&str]) -> Result<u64> {
        let table = table.to_owned();
        let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move {
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                it.keyless(&table, &key).await
            })
        });
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn texts(&self, table: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        let table = table.to_owned();
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move {
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                it.texts_of(&table, &columns).await
            })
        });
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn live_rows(&self, collection: &str) -> Result<u64> {
        let collection = collection.to_owned();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.live_rows(&collection).await }));
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn forget(&self, collection: &str) -> Result<()> {
        let collection = collection.to_owned();
        self.0.change(Box::new(move |it| Box::pin(async move { forget(it, &collection).await }))).await
    }

    async fn presence(&self, asked: &Presence) -> Result<BTreeSet<u64>> {
        let asked = asked.clone();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { presence::presence(it, &asked).await }));
        Ok(self.0.look(work).await?.unwrap_or_default())
    }

    async fn identify(&self, wanted: &Erase) -> Result<Person> {
        let known = wanted.person.clone();
        let wanted = wanted.clone();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { erase::identify(it, &wanted).await }));
        Ok(self.0.look(work).await?.unwrap_or(known))
    }

    async fn erase(&self, wanted: &Erase) -> Result<Vec<Erased>> {
        let wanted = wanted.clone();
        self.0.change(Box::new(move |it| Box::pin(async move { erase::erase(it, &wanted).await }))).await
    }

    async fn scrub(&self, collections: &[&str], is_full: bool) -> Result<String> {
        self.0.scrub(collections, is_full).await
    }

    async fn replace_in_ledger(
        &self,
        collection: &str,
        old: &[&str],
        new: Option<&StagedFile>,
    ) -> Result<bool> {
        let (collection, new) = (collection.to_owned(), new.cloned());
        let old: Vec<String> = old.iter().map(|&key| key.to_owned()).collect();
        let work: Work<_> = Box::new(move |it| {
            Box::pin(async move { replace_in_ledger(it, &collection, &old, new.as_ref()).await })
        });
        self.0.change(work).await
    }

    async fn compare(&self, compare: &Compare) -> Result<Comparison> {
        let (wanted, collection) = (compare.clone(), &compare.collection);
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.compare(&wanted).await }));
        self.0.look(work).await?.ok_or_else(|| nothing_to_compare(collection))
    }

    fn keeps_views(&self) -> bool {
        true
    }

    async fn keep_views(&self, schema: &str, views: &[KeptView], until: Instant) -> Result<KeptViews> {
        kept_views::keep(&self.0, schema, views, until).await
    }

    async fn release(&self) {
        self.0.release().await;
    }

    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64> {
        let runs = runs.to_vec();
        self.0.change(Box::new(move |it| Box::pin(async move { record_runs(it, &runs).await }))).await
    }

    async fn reports(&self, oldest: &str) -> Result<Vec<RecordedReport>> {
        let oldest = oldest.to_owned();
        let work: Work<_> = Box::new(move |it| Box::pin(async move { it.reports(&oldest).await }));
        Ok(self.0.look(work).await?.unwrap_or_default())
    }
}

/// Adds the runs that the schema does not hold yet, once it is bound to an account.
async fn record_runs(transaction: &mut dyn Transaction, rows: &[RunRow]) -> Result<u64> {
    let schema = transaction.schema().clone();
    let table = schema.table(RUNS);
    transaction.take_turn(&format!("{}.{RUNS}", schema.name)).await?;
    let (missing, has_table) = transaction.unrecorded(rows).await?;
    if missing.is_empty() {
        return Ok(0);
    }
    if !has_table {
        transaction.write(&schema.dialect.create_runs(&table)).await?;
    }
    let mut added = 0;
    for statement in schema.dialect.insert_runs(&table, &missing, MAX_INSERT_BYTES) {
        added += transaction.write(&statement).await?;
    }
    transaction.commit().await?;
    Ok(added)
}

/// Does the work of [`Warehouse::replace_in_ledger`].
async fn replace_in_ledger(
    transaction: &mut dyn Transaction,
    collection: &str,
    old: &[String],
    new: Option<&StagedFile>,
) -> Result<bool> {
    let schema = transaction.schema().clone();
    transaction.take_turn(&format!("{}.{collection}", schema.name)).await?;
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    if transaction.ledger(collection, &old).await?.held.len() < old.len() {
        return Ok(false);
    }
    for statement in schema.replace_in_ledger(collection, &old, new) {
        transaction.write(&statement).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Does the work of [`Warehouse::forget`].
async fn forget(transaction: &mut dyn Transaction, collection: &str) -> Result<()> {
    let schema = transaction.schema().clone();
    transaction.take_turn(&format!("{}.{collection}", schema.name)).await?;
    let Some(present) = transaction.columns_of_table(collection).await? else { return Ok(()) };
    transaction.write(&schema.forget(collection)).await?;
    if let Some(outdate) = extent::outdate(schema.dialect, &schema.table(collection), &present) {
        transaction.write(&outdate).await?;
    }
    transaction.commit().await.map(drop)
}

/// Does the work of [`Warehouse::put_aside`].
async fn put_aside(transaction: &mut dyn Transaction, table: &str, to: &str) -> Result<()> {
    let schema = transaction.schema().clone();
    transaction.take_turn(&format!("{}.{table}", schema.name)).await?;
    if !adopt::is_to_be_renamed([table, to], &transaction.makers(&[table, to]).await?)? {
        return Ok(());
    }
    let sql = adopt::rename(&schema.table_name(table), &schema.table_name(to));
    transaction.write(&sql).await.map_err(|error| adopt::renamed_by_hand(error, table, to))?;
    transaction.commit().await.map(drop)
}

//! Warehouses that take SQL text over an HTTP API, and read staged files from S3 by themselves or are sent them. An
//! [`Engine`] is the part that differs between them; all else is here.
//!
//! A merge has two halves. First the files are read into scratch tables, which are counted: what is wrong with a file
//! shows before anything is changed. Then one script changes the table and writes the ledger, in one transaction.
//! Since nothing is asked in the middle of it, the script checks itself: a check that does not hold makes a statement
//! fail, and the engine takes everything back. The first check is that nobody else merged between the halves.
//!
//! An engine without transactions needs a script in the right order: files enter the ledger last, so that a script
//! that ended early is run again, and no statement repeats a change that it made before. Checks of such an engine come
//! after the change, and can only report a fault.
//!
//! A table with hard deletes or a history has companion tables, and its script more statements. The merge in which
//! either mode begins or ends runs further scripts first.

mod client;
mod engine;
#[cfg(test)]
mod golden;
mod kept_views;
mod merge;
mod one_by_one;
mod schema;
mod shape;
mod sql;
mod stage;
mod target;
mod tokens;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use staging::{Person, StagedFile};

pub(crate) use self::client::{answered, http_client, is_local, is_safe, rows_of, text_of};
pub(crate) use self::engine::{Engine, Failed, Limits, Staging};
pub(crate) use self::one_by_one::{
    AT_ONCE, WIDENED, left_behind, mend, run_in_order, tables, tables_of_merges,
};
use self::schema::Schema;
pub(crate) use self::tokens::{KeptToken, TokenServer, form};
use crate::catalog::Catalog;
use crate::erase;
use crate::error::{Error, Kind, Result};
use crate::kept_views::no_views;
use crate::plan::check_batch;
use crate::presence;
use crate::warehouse::Presence;
use crate::{
    Compare, Comparison, Erase, Erased, Extent, KeptView, KeptViews, Ledger, LeftOver, LocatedFile,
    Maintained, Maker, Merged, Reads, RecordedReport, RunRow, Shape, TableMode, Warehouse,
};

/// One schema of an engine.
#[derive(Debug)]
pub(crate) struct SqlOverHttp<E> {
    schema: Arc<Schema<E>>,
}

impl<E: Engine> SqlOverHttp<E> {
    pub(crate) fn new(engine: E, schema: &str) -> SqlOverHttp<E> {
        SqlOverHttp { schema: Arc::new(Schema::new(engine, schema)) }
    }

    fn catalog(&self) -> impl Catalog {
        self.schema.as_ref()
    }
}

#[cfg(test)]
impl<E: Engine> SqlOverHttp<E> {
    /// All statements of a merge of one file into a table with these columns (name and type), or into none.
    pub(crate) fn statements(&self, file: &LocatedFile, columns: Option<&[(&str, &str)]>) -> String {
        golden::statements(&self.schema, file, columns).join(";\n\n")
    }

    /// All statements about a table of another program, with columns of these types.
    pub(crate) fn adopt_statements(&self, types: &[&str]) -> String {
        golden::adopt_statements(&self.schema, types).join(";\n\n")
    }

    /// All statements that keep a view.
    pub(crate) fn view_statements(&self) -> String {
        golden::view_statements(&self.schema).join(";\n\n")
    }

    /// All statements that forget persons in a table with columns of these types.
    pub(crate) fn erase_statements(&self, types: &[&str]) -> String {
        golden::erase_statements(&self.schema, types).join(";\n\n")
    }

    /// The same for one that is kept without its deleted rows and with its past, and what goes with that.
    pub(crate) fn mode_statements(&self, file: &LocatedFile, columns: &[(&str, &str)]) -> String {
        golden::mode_statements(&self.schema, file, columns).join(";\n\n")
    }
}

#[async_trait]
impl<E: Engine> Warehouse for SqlOverHttp<E> {
    fn reads(&self) -> Reads {
        self.schema.engine.reads()
    }

    async fn account(&self) -> Result<Option<u64>> {
        self.catalog().account().await
    }

    async fn loaded(&self, collection: &str) -> Result<HashSet<String>> {
        self.catalog().loaded(collection).await
    }

    async fn ledger(&self, collection: &str, keys: &[&str]) -> Result<Ledger> {
        self.catalog().ledger(collection, keys).await
    }

    async fn merge_as(&self, files: &[LocatedFile], mode: TableMode) -> Result<Merged> {
        check_batch(files)?;
        if files.is_empty() {
            return Ok(Merged::default());
        }
        files.iter().try_for_each(|file| file.check_place(self.reads()))?;
        let (schema, files) = (Arc::clone(&self.schema), files.to_vec());
        // Work goes on when its future is dropped, so it runs as a task of its own.
        match tokio::spawn(async move { merge::merge(&schema, &files, mode).await }).await {
            Ok(result) => result,
            Err(stopped) => Err(Error::new(Kind::Engine, "a merge stopped in the middle").because(stopped)),
        }
    }

    async fn extent(&self, collection: &str) -> Result<Option<Extent>> {
        self.catalog().extent(collection).await
    }

    async fn shapes(&self, tables: &[&str]) -> Result<Vec<Option<Shape>>> {
        self.catalog().shapes(tables).await
    }

    async fn makers(&self, tables: &[&str]) -> Result<Vec<Option<Maker>>> {
        self.catalog().makers(tables).await
    }

    async fn put_aside(&self, table: &str, to: &str) -> Result<()> {
        self.schema.put_aside(table, to).await
    }

    async fn left_over(&self, wanted: &LeftOver) -> Result<Vec<Vec<Option<String>>>> {
        self.catalog().left_over(wanted).await
    }

    async fn keyless(&self, table: &str, key: &[&str]) -> Result<u64> {
        self.catalog().keyless(table, key).await
    }

    async fn texts(&self, table: &str, columns: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        self.catalog().texts_of(table, columns).await
    }

    async fn live_rows(&self, collection: &str) -> Result<u64> {
        self.catalog().live_rows(collection).await
    }

    async fn forget(&self, collection: &str) -> Result<()> {
        self.schema.forget(collection).await
    }

    async fn presence(&self, asked: &Presence) -> Result<BTreeSet<u64>> {
        presence::presence(&mut self.catalog(), asked).await
    }

    async fn identify(&self, wanted: &Erase) -> Result<Person> {
        erase::identify(&mut self.catalog(), wanted).await
    }

    async fn erase(&self, wanted: &Erase) -> Result<Vec<Erased>> {
        let (schema, wanted) = (Arc::clone(&self.schema), wanted.clone());
        // As a merge: work goes on when its future is dropped.
        match tokio::spawn(async move { schema.erase(&wanted).await }).await {
            Ok(result) => result,
            Err(stopped) => {
                Err(Error::new(Kind::Engine, "a deletion stopped in the middle").because(stopped))
            }
        }
    }

    async fn scrub(&self, _collections: &[&str], _is_full: bool) -> Result<String> {
        Ok(self.schema.engine.kept_after_deletion().to_owned())
    }

    async fn replace_in_ledger(
        &self,
        collection: &str,
        old: &[&str],
        new: Option<&StagedFile>,
    ) -> Result<bool> {
        self.schema.replace_in_ledger(collection, old, new).await
    }

    async fn compare(&self, compare: &Compare) -> Result<Comparison> {
        self.catalog().compare(compare).await
    }

    fn keeps_views(&self) -> bool {
        self.schema.engine.keeps_views()
    }

    async fn keep_views(&self, schema: &str, views: &[KeptView], until: Instant) -> Result<KeptViews> {
        if !self.keeps_views() {
            return Err(no_views());
        }
        self.schema.keep_views(schema, views, until).await
    }

    async fn record_runs(&self, runs: &[RunRow]) -> Result<u64> {
        self.schema.record_runs(runs).await
    }

    async fn reports(&self, oldest: &str) -> Result<Vec<RecordedReport>> {
        self.catalog().reports(oldest).await
    }

    async fn maintain(&self, until: Instant) -> Result<Maintained> {
        self.schema.maintain(until).await
    }
}

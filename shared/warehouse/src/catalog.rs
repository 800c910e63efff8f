//! The contents of a schema: the account it is bound to, the ledger, the columns of its tables. The queries are the
//! same for every engine, which only has to run them and to name columns.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use staging::StagedFile;

use crate::adopt::{self, LeftOver, Maker};
use crate::checks;
use crate::compare::query::{Tables, query};
use crate::compare::{comparison, table_names};
use crate::dialect::{ACCOUNT, Dialect, LEDGER, RUNS, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::mode::{deleted_table, history_table};
use crate::table::TableColumn;
use crate::{
    Compare, Comparison, Extent, Ledger, LocatedFile, RecordedReport, RunRow, Shape, TableMode, extent, runs,
    shape,
};

/// Most files that a query of the ledger names.
const MAX_NAMED_KEYS: usize = 100;

/// Rows of texts; `None` is NULL.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A schema's name, and those of its tables.
#[derive(Debug, Clone)]
pub(crate) struct SchemaName {
    pub(crate) dialect: &'static Dialect,
    /// The schema's name in the engine.
    pub(crate) name: String,
    /// The database, which comes before the schema in SQL.
    database: Option<String>,
}

impl SchemaName {
    pub(crate) fn new(dialect: &'static Dialect, name: &str) -> SchemaName {
        SchemaName { dialect, name: (dialect.identifier)(name), database: None }
    }

    #[cfg(feature = "duckdb")]
    pub(crate) fn in_database(self, database: String) -> SchemaName {
        SchemaName { database: Some(database), ..self }
    }

    pub(crate) fn quoted(&self) -> String {
        let database = self.database.iter().map(|name| format!("{}.", quote_identifier(name)));
        database.chain([quote_identifier(&self.name)]).collect()
    }

    pub(crate) fn table(&self, table: &str) -> String {
        self.table_name(table).qualified
    }

    pub(crate) fn table_name(&self, table: &str) -> TableName {
        let alone = quote_identifier(&(self.dialect.identifier)(table));
        TableName { qualified: format!("{}.{alone}", self.quoted()), alone }
    }

    /// Returns another schema of the same database.
    pub(crate) fn other(&self, name: &str) -> SchemaName {
        SchemaName { name: (self.dialect.identifier)(name), ..self.clone() }
    }

    /// Returns a table's name for the query of a view: without the database, which has another name where somebody
    /// attaches its file, unless the schema is called like it: then its name alone would mean either.
    pub(crate) fn in_view(&self, table: &str) -> String {
        match &self.database {
            Some(database) if *database == self.name => self.table(table),
            _ => SchemaName { database: None, ..self.clone() }.table(table),
        }
    }

    /// Returns the query for a collection's files in the ledger. More conditions may follow.
    fn files_of(&self, collection: &str) -> String {
        let collection = (self.dialect.literal)(collection);
        format!("SELECT file_key FROM {} WHERE collection = {collection}", self.table(LEDGER))
    }

    /// Returns the statements that put a file in the place of others in the ledger. After some of them, all are done
    /// once more.
    pub(crate) fn replace_in_ledger(
        &self,
        collection: &str,
        old: &[&str],
        new: Option<&StagedFile>,
    ) -> Vec<String> {
        let (literal, ledger) = (self.dialect.literal, self.table(LEDGER));
        let of = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| literal(key)).collect();
            format!("collection = {} AND file_key IN ({})", literal(collection), keys.join(", "))
        };
        let mut statements = Vec::new();
        if let (Some(new), Some(some)) = (new, old.chunks(MAX_NAMED_KEYS).next()) {
            let [key, run_id] = [&new.key, &new.run_id].map(|text| literal(text));
            statements.push(format!(
                "INSERT INTO {ledger} SELECT collection, {key}, {run_id}, {}, 0, max(loaded_at) FROM {ledger} WHERE {} \
                 GROUP BY collection",
                new.rows,
                of(some)
            ));
        }
        let delete = |keys: &[&str]| format!("DELETE FROM {ledger} WHERE {}", of(keys));
        statements.extend(old.chunks(MAX_NAMED_KEYS).map(delete));
        statements
    }

    /// Returns the statement that removes a collection's files from the ledger.
    pub(crate) fn forget(&self, collection: &str) -> String {
        let collection = (self.dialect.literal)(collection);
        format!("DELETE FROM {} WHERE collection = {collection}", self.table(LEDGER))
    }
}

/// The state before a merge.
#[derive(Debug, Default)]
pub(crate) struct Present {
    pub(crate) account: Option<u64>,
    pub(crate) has_ledger: bool,
    /// The ledger's part about the collection, whether its table is there or not.
    pub(crate) ledger: Ledger,
    pub(crate) columns: Option<Vec<TableColumn>>,
    /// Columns of the table of its deleted rows.
    pub(crate) deleted: Option<Vec<TableColumn>>,
    /// Columns of its history; they are not read where none is wanted.
    pub(crate) history: Option<Vec<TableColumn>>,
}

impl Present {
    /// Returns the files that are not in the ledger.
    pub(crate) fn lacking<'a>(&self, files: &'a [LocatedFile]) -> Vec<&'a LocatedFile> {
        let is_loaded = |file: &LocatedFile| self.columns.is_some() && self.ledger.held.contains(&file.key);
        files.iter().filter(|file| !is_loaded(file)).collect()
    }

    /// `true`: the table was dropped, so its files have to be removed from the ledger.
    pub(crate) fn is_to_be_forgotten(&self) -> bool {
        self.columns.is_none() && self.ledger.files > 0
    }
}

/// Reads the contents of a schema.
#[async_trait]
pub(crate) trait Catalog: Send {
    fn schema(&self) -> &SchemaName;

    /// Returns the columns of those tables that exist, in order, by the table's name in the engine. Types are spelled
    /// as [`Dialect::type_name`] spells them.
    async fn columns(&mut self, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>>;

    /// Returns those of the names that are of views, or of whatever else is read like a table and is none.
    async fn views(&mut self, names: &[&str]) -> Result<HashSet<String>>;

    async fn query(&mut self, sql: &str) -> Result<Rows>;

    /// [`Catalog::columns`] of tables that are named as we name them, in the order of the tables.
    async fn columns_of(&mut self, tables: &[&str]) -> Result<Vec<Option<Vec<TableColumn>>>> {
        let identifier = self.schema().dialect.identifier;
        let names: Vec<String> = tables.iter().map(|table| identifier(table)).collect();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut found = self.columns(&wanted).await?;
        Ok(names.iter().map(|name| found.remove(name)).collect())
    }

    async fn columns_of_table(&mut self, table: &str) -> Result<Option<Vec<TableColumn>>> {
        Ok(self.columns_of(&[table]).await?.pop().flatten())
    }

    async fn account(&mut self) -> Result<Option<u64>> {
        match self.columns_of_table(ACCOUNT).await? {
            Some(_) => self.bound_account().await,
            None => Ok(None),
        }
    }

    /// Returns the account that the schema is bound to.
    async fn bound_account(&mut self) -> Result<Option<u64>> {
        let sql = format!("SELECT DISTINCT account_id FROM {}", self.schema().table(ACCOUNT));
        let accounts =
            self.query(&sql).await?.iter().map(|row| number(row, 0)).collect::<Result<Vec<_>>>()?;
        checks::account(&self.schema().name, &accounts)
    }

    /// Returns the collection's merged files; none when its table is missing, whatever the ledger holds.
    async fn loaded(&mut self, collection: &str) -> Result<HashSet<String>> {
        if !self.is_loaded(collection).await? {
            return Ok(HashSet::new());
        }
        let sql = self.schema().files_of(collection);
        self.texts(&sql).await
    }

    /// Returns [`Catalog::in_ledger`]; nothing when its table is missing, whatever the ledger holds.
    async fn ledger(&mut self, collection: &str, keys: &[&str]) -> Result<Ledger> {
        match self.is_loaded(collection).await? {
            true => self.in_ledger(collection, keys).await,
            false => Ok(Ledger::default()),
        }
    }

    /// `true`: the collection has a table, and the schema a ledger.
    async fn is_loaded(&mut self, collection: &str) -> Result<bool> {
        Ok(self.columns_of(&[collection, LEDGER]).await?.iter().all(Option::is_some))
    }

    /// Returns the part of the ledger about the collection, and which of the keys are in it. There must be a ledger.
    async fn in_ledger(&mut self, collection: &str, keys: &[&str]) -> Result<Ledger> {
        let of_collection = self.schema().files_of(collection);
        // Engines limit the length of a statement.
        if keys.len() > MAX_NAMED_KEYS {
            let mut held = self.texts(&of_collection).await?;
            let files = held.len() as u64;
            let keys: HashSet<&str> = keys.iter().copied().collect();
            held.retain(|key| keys.contains(key.as_str()));
            return Ok(Ledger { files, held });
        }
        let files =
            self.count(&format!("SELECT count(DISTINCT file_key) FROM ({of_collection}) AS f")).await?;
        if keys.is_empty() || files == 0 {
            return Ok(Ledger { files, held: HashSet::new() });
        }
        let literal = self.schema().dialect.literal;
        let keys: Vec<String> = keys.iter().map(|key| literal(key)).collect();
        let held = self.texts(&format!("{of_collection} AND file_key IN ({})", keys.join(", "))).await?;
        Ok(Ledger { files, held })
    }

    /// Returns the texts in a query's first column.
    async fn texts(&mut self, sql: &str) -> Result<HashSet<String>> {
        Ok(self.query(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Returns what a merge of the files has to know of the schema.
    async fn present(&mut self, collection: &str, files: &[LocatedFile], mode: TableMode) -> Result<Present> {
        let (deleted, history) = (deleted_table(collection), history_table(collection));
        let mut wanted = vec![ACCOUNT, LEDGER, collection, &deleted];
        wanted.extend(mode.history.then_some(history.as_str()));
        let mut found = self.columns_of(&wanted).await?.into_iter();
        let mut next = || found.next().flatten();
        let (account, ledger, columns, deleted, history) = (next(), next(), next(), next(), next());
        let keys: Vec<&str> = files.iter().map(|file| file.key.as_str()).collect();
        Ok(Present {
            account: if account.is_some() { self.bound_account().await? } else { None },
            has_ledger: ledger.is_some(),
            ledger: if ledger.is_some() {
                self.in_ledger(collection, &keys).await?
            } else {
                Ledger::default()
            },
            columns,
            deleted,
            history,
        })
    }

    async fn extent(&mut self, collection: &str) -> Result<Option<Extent>> {
        let Some(columns) = self.columns_of_table(collection).await? else { return Ok(None) };
        let schema = self.schema();
        let (dialect, sql) = (schema.dialect, extent::count(&schema.table(collection)));
        Ok(Some(Extent::new(dialect, columns, self.count(&sql).await?)))
    }

    async fn shapes(&mut self, tables: &[&str]) -> Result<Vec<Option<Shape>>> {
        let dialect = self.schema().dialect;
        let found = self.columns_of(tables).await?;
        Ok(found.into_iter().map(|columns| columns.map(|columns| Shape::new(dialect, columns))).collect())
    }

    async fn makers(&mut self, tables: &[&str]) -> Result<Vec<Option<Maker>>> {
        let dialect = self.schema().dialect;
        let names: Vec<String> = tables.iter().map(|table| (dialect.identifier)(table)).collect();
        let views = self.views(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let columns = self.columns_of(tables).await?;
        let maker = |(name, columns): (&String, Option<Vec<TableColumn>>)| {
            Maker::of(dialect, columns.as_deref(), views.contains(name))
        };
        Ok(names.iter().zip(columns).map(maker).collect())
    }

    async fn left_over(&mut self, wanted: &LeftOver) -> Result<Rows> {
        let names = [wanted.table.as_str(), wanted.held_by.as_str()];
        let columns = self.columns_of(&names).await?;
        let [Some(present), Some(held)] = columns.as_slice() else { return Ok(Rows::new()) };
        let schema = self.schema();
        let [table, held_by] = names.map(|name| schema.table(name));
        match adopt::select(schema.dialect, [&table, &held_by], [present, held], wanted) {
            Some(sql) => self.query(&sql).await,
            None => Err(columns_gone(&wanted.table)),
        }
    }

    async fn keyless(&mut self, table: &str, key: &[&str]) -> Result<u64> {
        let Some(present) = self.columns_of_table(table).await? else { return Ok(0) };
        match adopt::count_keyless(&self.schema().table(table), &present, key) {
            Some(sql) => self.count(&sql).await,
            None => Err(columns_gone(table)),
        }
    }

    async fn texts_of(&mut self, table: &str, columns: &[&str]) -> Result<Rows> {
        let Some(present) = self.columns_of_table(table).await? else { return Ok(Rows::new()) };
        let schema = self.schema();
        match shape::select_texts(schema.dialect, &schema.table(table), &present, columns) {
            Some(sql) => self.query(&sql).await,
            None => Ok(Rows::new()),
        }
    }

    async fn live_rows(&mut self, collection: &str) -> Result<u64> {
        let Some(columns) = self.columns_of_table(collection).await? else { return Ok(0) };
        let schema = self.schema();
        let sql = extent::count_live(schema.dialect, &schema.table(collection), &columns);
        self.count(&sql).await
    }

    async fn compare(&mut self, compare: &Compare) -> Result<Comparison> {
        let names = table_names(&compare.collection);
        let mut found = self.columns_of(&names.each_ref().map(String::as_str)).await?.into_iter();
        let mut next = || found.next().flatten();
        let tables = Tables { table: next(), snapshot: next(), deleted: next() };
        let schema = self.schema();
        let quoted = names.each_ref().map(|name| schema.table(name));
        let sql = query(schema.dialect, compare, &tables, &quoted)?;
        let rows = self.query(&sql).await?.into_iter().map(|row| {
            let unlike = |row| Error::new(Kind::Engine, format!("a comparison answers with {row:?}"));
            <[Option<String>; 4]>::try_from(row).map_err(unlike)
        });
        comparison(rows.collect::<Result<_>>()?)
    }

    /// Returns the runs that the schema does not hold yet, and `true` if it has a table for them. There are none
    /// before it is bound to an account.
    async fn unrecorded(&mut self, rows: &[RunRow]) -> Result<(Vec<RunRow>, bool)> {
        let Some(oldest) = runs::oldest(rows) else { return Ok((Vec::new(), false)) };
        let found = self.columns_of(&[ACCOUNT, RUNS]).await?;
        let [Some(_), recorded] = found.as_slice() else { return Ok((Vec::new(), false)) };
        let schema = self.schema();
        let sql = schema.dialect.select_runs(&schema.table(RUNS), oldest);
        let known = if recorded.is_some() { self.query(&sql).await? } else { Rows::new() };
        let known = known.into_iter().filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(run_id), Some(name)]) => Some((run_id, name)),
            _ => None,
        });
        Ok((runs::missing(rows, known), recorded.is_some()))
    }

    /// Returns the reports of the runs from this oldest one on; none if there is no table for them.
    async fn reports(&mut self, oldest: &str) -> Result<Vec<RecordedReport>> {
        if self.columns_of_table(RUNS).await?.is_none() {
            return Ok(Vec::new());
        }
        let schema = self.schema();
        let sql = schema.dialect.select_reports(&schema.table(RUNS), oldest);
        let rows = self.query(&sql).await?.into_iter();
        let reports = rows.filter_map(|row| match <[Option<String>; 3]>::try_from(row) {
            Ok([Some(run_id), Some(name), Some(report)]) => Some(RecordedReport { run_id, name, report }),
            _ => None,
        });
        Ok(reports.collect())
    }

    async fn count(&mut self, sql: &str) -> Result<u64> {
        let [count] = counts(&self.query(sql).await?)?;
        Ok(count)
    }
}

fn columns_gone(table: &str) -> Error {
    Error::new(Kind::Unsupported, format!("columns of {table} have changed meanwhile: run again"))
}

/// Returns the first row's numbers.
pub(crate) fn counts<const N: usize>(rows: &Rows) -> Result<[u64; N]> {
    match rows.first() {
        Some(row) => row_counts(row),
        None => Err(Error::new(Kind::Engine, "a count has no row")),
    }
}

pub(crate) fn row_counts<const N: usize>(row: &[Option<String>]) -> Result<[u64; N]> {
    let mut counts = [0; N];
    for (n, count) in counts.iter_mut().enumerate() {
        *count = u64::try_from(number(row, n)?).unwrap_or_default();
    }
    Ok(counts)
}

fn number(row: &[Option<String>], position: usize) -> Result<i64> {
    let text = row.get(position).and_then(Option::as_deref);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::new(Kind::Engine, format!("a count is {text:?}, which is no number")))
}

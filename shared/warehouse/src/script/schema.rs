//! What a schema holds: the account it is bound to, the ledger, and the columns of its tables.

use std::collections::HashSet;
use std::time::Instant;

use super::engine::{Engine, Rows, Statement};
use crate::compare::{self, Tables, comparison, table_names};
use crate::dialect::{ACCOUNT, Dialect, LEDGER, RUNS, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::mode::{deleted_table, history_table};
use crate::plan::TableColumn;
use crate::{Compare, Comparison, Extent, Maintained, RunRow, TableMode, checks, extent, runs};

#[derive(Debug)]
pub(super) struct Schema<E> {
    pub(super) engine: E,
    name: String,
}

/// What is there before a merge.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) account: Option<u64>,
    pub(super) has_ledger: bool,
    /// Files of the collection in the ledger, whether its table is there or not.
    pub(super) ledger: HashSet<String>,
    pub(super) columns: Option<Vec<TableColumn>>,
    /// Of the table of its deleted rows.
    pub(super) deleted: Option<Vec<TableColumn>>,
    /// Of its history. Nobody looks where none is wanted.
    pub(super) history: Option<Vec<TableColumn>>,
}

impl<E: Engine> Schema<E> {
    pub(super) fn new(engine: E, name: &str) -> Schema<E> {
        let name = (engine.dialect().identifier)(name);
        Schema { engine, name }
    }

    pub(super) fn quoted(&self) -> String {
        quote_identifier(&self.name)
    }

    /// A table's name without the schema's, quoted.
    fn unqualified(&self, table: &str) -> String {
        quote_identifier(&(self.engine.dialect().identifier)(table))
    }

    pub(super) fn table(&self, table: &str) -> String {
        format!("{}.{}", self.quoted(), self.unqualified(table))
    }

    pub(super) fn table_name(&self, table: &str) -> TableName {
        TableName { qualified: self.table(table), alone: self.unqualified(table) }
    }

    fn literal(&self, text: &str) -> String {
        (self.engine.dialect().literal)(text)
    }

    pub(super) async fn account(&self) -> Result<Option<u64>> {
        match self
            .engine
            .columns(&self.name, &[&(self.engine.dialect().identifier)(ACCOUNT)])
            .await?
            .is_empty()
        {
            true => Ok(None),
            false => self.bound_account().await,
        }
    }

    /// Empty when the collection's table is missing, whatever the ledger says.
    pub(super) async fn loaded(&self, collection: &str) -> Result<HashSet<String>> {
        let [table, ledger] = [collection, LEDGER].map(|table| (self.engine.dialect().identifier)(table));
        let found = self.engine.columns(&self.name, &[&table, &ledger]).await?;
        match found.contains_key(&table) && found.contains_key(&ledger) {
            true => self.in_ledger(collection).await,
            false => Ok(HashSet::new()),
        }
    }

    pub(super) async fn present(&self, collection: &str, mode: TableMode) -> Result<Present> {
        let [table, ledger, account, deleted, history] =
            [collection, LEDGER, ACCOUNT, &deleted_table(collection), &history_table(collection)]
                .map(|table| (self.engine.dialect().identifier)(table));
        let mut wanted: Vec<&str> = vec![&table, &ledger, &account, &deleted];
        wanted.extend(mode.history.then_some(history.as_str()));
        let mut found = self.engine.columns(&self.name, &wanted).await?;
        let has_ledger = found.contains_key(&ledger);
        Ok(Present {
            account: if found.contains_key(&account) { self.bound_account().await? } else { None },
            has_ledger,
            ledger: if has_ledger { self.in_ledger(collection).await? } else { HashSet::new() },
            columns: found.remove(&table),
            deleted: found.remove(&deleted),
            history: found.remove(&history),
        })
    }

    async fn columns(&self, table: &str) -> Result<Option<Vec<TableColumn>>> {
        let table = (self.engine.dialect().identifier)(table);
        Ok(self.engine.columns(&self.name, &[&table]).await?.remove(&table))
    }

    pub(super) async fn extent(&self, collection: &str) -> Result<Option<Extent>> {
        let Some(columns) = self.columns(collection).await? else { return Ok(None) };
        let [rows] = counts(&self.engine.query(&extent::count(&self.table(collection))).await?)?;
        Ok(Some(Extent::new(columns, rows)))
    }

    pub(super) async fn live_rows(&self, collection: &str) -> Result<u64> {
        let Some(columns) = self.columns(collection).await? else { return Ok(0) };
        let sql = extent::count_live(self.engine.dialect(), &self.table(collection), &columns);
        let [rows] = counts(&self.engine.query(&sql).await?)?;
        Ok(rows)
    }

    /// Where nothing joins the two statements, the first one may be the last: then it is done once more.
    pub(super) async fn forget(&self, collection: &str) -> Result<()> {
        let Some(columns) = self.columns(collection).await? else { return Ok(()) };
        let ledger = self.table(LEDGER);
        let mut script: Vec<Statement> =
            self.engine.lock(&ledger).map(Statement::scratch).into_iter().collect();
        let forget = format!("DELETE FROM {ledger} WHERE collection = {}", self.literal(collection));
        script.push(Statement::write(forget));
        let outdate = extent::outdate(self.engine.dialect(), &self.table(collection), &columns);
        script.extend(outdate.map(Statement::write));
        self.run(&script).await
    }

    pub(super) async fn compare(&self, compare: &Compare) -> Result<Comparison> {
        let names = table_names(&compare.collection);
        let named = names.each_ref().map(|name| (self.engine.dialect().identifier)(name));
        let mut found = self.engine.columns(&self.name, &named.each_ref().map(String::as_str)).await?;
        let [table, snapshot, deleted] = named.each_ref().map(|name| found.remove(name));
        let quoted = names.each_ref().map(|name| self.table(name));
        let tables = Tables { table, snapshot, deleted };
        let sql = compare::query(self.engine.dialect(), compare, &tables, &quoted)?;
        let rows = self.engine.query(&sql).await?.into_iter().map(|row| {
            let unlike = |row| Error::new(Kind::Engine, format!("a comparison answers with {row:?}"));
            <[Option<String>; 4]>::try_from(row).map_err(unlike)
        });
        comparison(rows.collect::<Result<_>>()?)
    }

    /// Adds the runs that the schema does not hold yet, once it is bound to an account.
    pub(super) async fn record_runs(&self, rows: &[RunRow]) -> Result<u64> {
        let Some(oldest) = runs::oldest(rows) else { return Ok(0) };
        let [account, recorded] = [ACCOUNT, RUNS].map(|table| (self.engine.dialect().identifier)(table));
        let found = self.engine.columns(&self.name, &[&account, &recorded]).await?;
        if !found.contains_key(&account) {
            return Ok(0);
        }
        let (table, dialect) = (self.table(RUNS), self.engine.dialect());
        let mut script: Vec<Statement> =
            self.engine.lock(&self.table(LEDGER)).map(Statement::scratch).into_iter().collect();
        let mut known = Rows::new();
        if found.contains_key(&recorded) {
            known = self.engine.query(&dialect.select_runs(&table, oldest)).await?;
        } else {
            script.push(Statement::shape(self.engine.create_runs(&table)));
        }
        let known = known.into_iter().filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(run_id), Some(name)]) => Some((run_id, name)),
            _ => None,
        });
        let new = runs::missing(rows, known);
        if new.is_empty() {
            return Ok(0);
        }
        let limits = self.engine.limits();
        for statement in inserts(dialect, &table, &new, limits.statement_bytes) {
            script.push(Statement::write(statement));
            if script.len() == limits.statements {
                self.run(&std::mem::take(&mut script)).await?;
            }
        }
        self.run(&script).await?;
        Ok(new.len() as u64)
    }

    pub(super) async fn maintain(&self, until: Instant) -> Result<Maintained> {
        self.engine.maintain(&self.name, until).await
    }

    pub(super) async fn run(&self, script: &[Statement]) -> Result<()> {
        if script.is_empty() {
            return Ok(());
        }
        let mut session = E::Session::default();
        let ran = self.engine.run(&mut session, script).await;
        self.engine.end(session, &[]).await;
        ran.map(drop).map_err(|failed| failed.error)
    }

    async fn bound_account(&self) -> Result<Option<u64>> {
        let rows =
            self.engine.query(&format!("SELECT DISTINCT account_id FROM {}", self.table(ACCOUNT))).await?;
        let accounts = rows.iter().map(|row| number(row, 0)).collect::<Result<Vec<i64>>>()?;
        checks::account(&self.name, &accounts)
    }

    async fn in_ledger(&self, collection: &str) -> Result<HashSet<String>> {
        let ledger = self.table(LEDGER);
        let sql = format!("SELECT file_key FROM {ledger} WHERE collection = {}", self.literal(collection));
        let rows = self.engine.query(&sql).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }
}

/// As few statements as fit the limit. A report that does not fit is left out.
fn inserts(dialect: &Dialect, table: &str, runs: &[RunRow], limit: usize) -> Vec<String> {
    let statement = dialect.insert_lacking_runs(table, runs);
    match runs {
        _ if statement.len() <= limit => vec![statement],
        [run] => {
            vec![dialect.insert_lacking_runs(table, &[RunRow { report: "{}".to_owned(), ..run.clone() }])]
        }
        runs => {
            let (first, then) = runs.split_at(runs.len() / 2);
            [inserts(dialect, table, first, limit), inserts(dialect, table, then, limit)].concat()
        }
    }
}

/// The first row's numbers.
pub(super) fn counts<const N: usize>(rows: &Rows) -> Result<[u64; N]> {
    match rows.first() {
        Some(row) => row_counts(row),
        None => Err(Error::new(Kind::Engine, "a count has no row")),
    }
}

pub(super) fn row_counts<const N: usize>(row: &[Option<String>]) -> Result<[u64; N]> {
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

//! A warehouse under test, and what every case does with it.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use super::files::{Cell, File};
use crate::{LocatedFile, Merged, TableMode, Warehouse};

/// Digits that tell every double from its neighbours.
pub(crate) const MOST_DIGITS: usize = 17;

/// An empty schema of a real warehouse, and a way to look into it that does not go through [`Warehouse`].
#[async_trait]
pub(crate) trait Bench: Send + Sync {
    /// Returns another handle to the same schema.
    async fn warehouse(&self) -> Box<dyn Warehouse>;
    /// Returns all rows of a table, in no order. Panics if there is no such table.
    async fn rows(&self, table: &str) -> Vec<Row>;
    async fn has_table(&self, table: &str) -> bool;
    /// Executes a statement that a user might run by hand.
    async fn execute(&self, sql: &str);
    /// Returns a table's name as SQL needs it.
    fn quoted(&self, table: &str) -> String;
    /// Returns the folder for staged files.
    fn folder(&self) -> &Path;
    /// Returns the file at the place where the warehouse reads it.
    fn located(&self, file: LocatedFile) -> LocatedFile {
        file
    }
    /// Returns the name that a column of this name has in the table.
    fn column(&self, name: &str) -> String {
        name.to_owned()
    }
    /// Returns the value that the table holds in place of one that the warehouse has no counterpart for.
    fn stored(&self, cell: Cell) -> Cell {
        cell
    }
    /// Returns the number of digits that the warehouse writes of a double.
    fn digits_of_doubles(&self) -> usize {
        MOST_DIGITS
    }
    /// Drops a column, whose name is quoted.
    async fn drop_column(&self, table: &str, column: &str) {
        self.execute(&format!("ALTER TABLE {} DROP COLUMN {column}", self.quoted(table))).await;
    }
    /// `true`: a merge takes so long that orders of arrival are tried in turns, a few on each day.
    fn is_slow(&self) -> bool {
        false
    }
    /// Returns the number of rows that were inserted into a table, updated or deleted so far, each time that they were;
    /// `None` if nobody counts.
    async fn written(&self, _table: &str) -> Option<u64> {
        None
    }
    /// Doubles every row, as a user might by accident.
    async fn double_rows(&self, table: &str) {
        let table = self.quoted(table);
        self.execute(&format!("INSERT INTO {table} SELECT * FROM {table}")).await;
    }
}

/// Values by column name.
pub(crate) type Row = BTreeMap<String, Cell>;

/// Stages and merges files through a new handle; they must be accepted.
pub(crate) async fn merge(bench: &dyn Bench, files: &[File]) -> Merged {
    merge_as(bench, files, TableMode::default()).await
}

pub(crate) async fn merge_as(bench: &dyn Bench, files: &[File], mode: TableMode) -> Merged {
    bench.warehouse().await.merge_as(&stage(bench, files), mode).await.expect("merge")
}

pub(crate) fn stage(bench: &dyn Bench, files: &[File]) -> Vec<LocatedFile> {
    files.iter().map(|file| bench.located(file.stage(bench.folder()))).collect()
}

/// Returns the named columns of a table, sorted.
pub(crate) async fn read(bench: &dyn Bench, table: &str, columns: &[&str]) -> Vec<Vec<Cell>> {
    let pick = |row: &Row| columns.iter().map(|&name| row[&bench.column(name)].clone()).collect();
    let mut rows: Vec<Vec<Cell>> = bench.rows(table).await.iter().map(pick).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).expect("comparable cells"));
    rows
}

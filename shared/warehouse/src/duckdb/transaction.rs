//! A merge's transaction, as DuckDB has it.

use async_trait::async_trait;

use super::dialect::DUCKDB;
use super::merge::merge_group;
use super::session::Session;
use crate::checks::Count;
use crate::companion_tables::Shaping;
use crate::dialect::TableName;
use crate::error::Result;
use crate::plan::{Plan, plan};
use crate::table::TableColumn;
use crate::transaction::{GroupOf, Transaction};
use crate::{LocatedFile, TableMode};

#[async_trait]
impl Transaction for Session<'_> {
    async fn write(&mut self, sql: &str) -> Result<u64> {
        self.execute(sql)
    }

    async fn scratch(&mut self, sql: &str) -> Result<()> {
        self.run(sql)
    }

    async fn commit(&mut self) -> Result<u64> {
        self.run("COMMIT")?;
        Ok(self.writes())
    }

    fn scratch_table(&self, name: &str) -> String {
        format!("temp.main.{name}")
    }

    async fn plan<'f>(
        &mut self,
        present: Option<&[TableColumn]>,
        files: Vec<&'f LocatedFile>,
        _mode: TableMode,
    ) -> Result<Plan<'f>> {
        plan(&DUCKDB, present, files)
    }

    async fn change_table(&mut self, table: &TableName, plan: &Plan<'_>) -> Result<()> {
        self.execute_all(DUCKDB.shapes(&table.qualified, &plan.primary_key, &plan.change).concat())
    }

    async fn merge_group(&mut self, merge: &GroupOf<'_>) -> Result<Vec<Count>> {
        merge_group(self, merge)
    }
}

//! A merge's transaction, as PostgreSQL has it: files are staged before the table is changed.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;

use super::dialect::POSTGRES;
use super::layout::Target;
use super::merge::merge_group;
use super::session::Session;
use super::staged::StagedGroup;
use super::table::{change_table, index_companions};
use crate::catalog::{Catalog, Rows, SchemaName};
use crate::checks::Count;
use crate::companion_tables::CompanionTables;
use crate::dialect::TableName;
use crate::error::Result;
use crate::plan::Plan;
use crate::table::TableColumn;
use crate::transaction::{GroupOf, Transaction};
use crate::{LocatedFile, TableMode};

pub(super) struct Merging<'a> {
    session: Session<'a>,
    /// The table, once its changes are planned.
    target: Target,
    /// The groups that are still to be merged.
    staged: VecDeque<StagedGroup>,
}

impl<'a> Merging<'a> {
    pub(super) fn new(session: Session<'a>) -> Merging<'a> {
        Merging { session, target: Target::default(), staged: VecDeque::new() }
    }

    pub(super) async fn end(self) -> Result<()> {
        self.session.end().await
    }
}

#[async_trait]
impl Catalog for Merging<'_> {
    fn schema(&self) -> &SchemaName {
        self.session.schema()
    }

    async fn columns(&mut self, tables: &[&str]) -> Result<HashMap<String, Vec<TableColumn>>> {
        self.session.columns(tables).await
    }

    async fn query(&mut self, sql: &str) -> Result<Rows> {
        self.session.query(sql).await
    }
}

#[async_trait]
impl Transaction for Merging<'_> {
    async fn write(&mut self, sql: &str) -> Result<u64> {
        self.session.write(sql).await
    }

    async fn scratch(&mut self, sql: &str) -> Result<()> {
        self.session.scratch(sql).await
    }

    async fn commit(&mut self) -> Result<u64> {
        self.session.commit().await
    }

    fn scratch_table(&self, name: &str) -> String {
        format!("pg_temp.{name}")
    }

    async fn analyze(&mut self, table: &str) -> Result<()> {
        self.scratch(&format!("ANALYZE {table}")).await
    }

    async fn take_turn(&mut self, name: &str) -> Result<()> {
        let name = (POSTGRES.literal)(name);
        let sql = format!("SELECT pg_advisory_xact_lock(hashtextextended('hubspot-source ' || {name}, 0))");
        self.scratch(&sql).await
    }

    async fn plan<'f>(
        &mut self,
        present: Option<&[TableColumn]>,
        files: Vec<&'f LocatedFile>,
        mode: TableMode,
    ) -> Result<Plan<'f>> {
        let (target, plan) = Target::of(&mut self.session, present, files, mode).await?;
        self.target = target;
        Ok(plan)
    }

    /// Reads the files, without a lock on the table.
    async fn stage(&mut self, table: &TableName, plan: &Plan<'_>) -> Result<()> {
        for (number, group) in plan.groups.iter().enumerate() {
            let staged =
                StagedGroup::stage(&mut self.session, &self.target, table, plan, group, number, 0).await?;
            self.staged.push_back(staged);
        }
        Ok(())
    }

    async fn change_table(&mut self, table: &TableName, plan: &Plan<'_>) -> Result<()> {
        change_table(&mut self.session, &self.target, &self.staged, &table.qualified, plan).await
    }

    async fn index_companions(
        &mut self,
        collection: &str,
        companions: &CompanionTables,
        is_new: [bool; 2],
    ) -> Result<()> {
        index_companions(&mut self.session, collection, companions, is_new).await
    }

    async fn merge_group(&mut self, merge: &GroupOf<'_>) -> Result<Vec<Count>> {
        match self.staged.pop_front() {
            Some(staged) => merge_group(&mut self.session, &self.target, staged, merge).await,
            None => Ok(Vec::new()),
        }
    }
}

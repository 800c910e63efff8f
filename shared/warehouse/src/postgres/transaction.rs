//! A merge's transaction, as PostgreSQL has it: files are staged before the table is changed.

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;

use super::copy::check_file;
use super::dialect::POSTGRES;
use super::layout::Target;
use super::merge::merge_group;
use super::session::Session;
use super::shaping::Changes;
use super::staged::StagedGroup;
use super::table::{change_table, index_companions};
use crate::catalog::{Catalog, Present, Rows, SchemaName};
use crate::checks::Count;
use crate::companion_tables::CompanionTables;
use crate::dialect::TableName;
use crate::error::{Error, Kind, Result};
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
    /// Changes that tables need before anything can be merged.
    needs: Option<Changes>,
}

impl<'a> Merging<'a> {
    pub(super) fn new(session: Session<'a>) -> Merging<'a> {
        Merging { session, target: Target::default(), staged: VecDeque::new(), needs: None }
    }

    /// Returns the changes for whose sake the merge failed, if it did.
    pub(super) fn needs(&mut self) -> Option<Changes> {
        self.needs.take()
    }

    pub(super) async fn end(self) -> Result<()> {
        self.session.end().await
    }

    /// Takes the lock of this name, and keeps it for the connection's later transactions.
    pub(super) async fn keep_turn(mut self, name: &str) -> Result<()> {
        self.session.scratch(&format!("SELECT pg_advisory_lock({})", turn(name))).await?;
        self.session.commit().await.map(drop)
    }

    pub(super) async fn end_turn(mut self, name: &str) -> Result<()> {
        self.session.scratch(&format!("SELECT pg_advisory_unlock({})", turn(name))).await?;
        self.session.commit().await.map(drop)
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

    async fn views(&mut self, names: &[&str]) -> Result<HashSet<String>> {
        self.session.views(names).await
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
        self.scratch(&format!("SELECT pg_advisory_xact_lock({})", turn(name))).await
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

    /// Fails where tables have to be changed first, outside of this transaction: [`Merging::needs`].
    async fn check_shapes(
        &mut self,
        collection: &str,
        plan: &Plan<'_>,
        companions: &CompanionTables,
        present: &Present,
    ) -> Result<()> {
        let table = self.schema().table_name(collection);
        let of = (collection, &table, present);
        let changes = Changes::find(&mut self.session, &self.target, plan, companions, of).await?;
        if changes.is_empty() {
            return Ok(());
        }
        plan.groups.iter().flat_map(|group| &group.files).try_for_each(|file| check_file(file))?;
        self.needs = Some(changes);
        Err(Error::new(Kind::Locked, format!("table {} changes again and again", table.qualified)))
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

fn turn(name: &str) -> String {
    format!("hashtextextended('hubspot-source ' || {}, 0)", (POSTGRES.literal)(name))
}

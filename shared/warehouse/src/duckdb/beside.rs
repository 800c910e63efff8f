//! The tables beside a collection's: what was deleted from it, and its past.

use super::dialect::DUCKDB;
use super::schema::Schema;
use super::session::Session;
use super::sql::{self, GroupMerge};
use crate::TableMode;
use crate::dialect::TableName;
use crate::error::Result;
use crate::hard_delete::HardDelete;
use crate::history::{History, check_history};
use crate::mode::{deleted_table, follow, history_table};
use crate::plan::{Plan, TableColumn};

/// What a merge does besides, over all groups.
#[derive(Debug)]
pub(super) struct Beside {
    hard_delete: Option<HardDelete>,
    history: Option<History>,
}

impl Beside {
    /// To be called when the table has its columns, before the first group is merged.
    pub(super) fn begin(
        session: &mut Session<'_>,
        schema: &Schema,
        collection: &str,
        plan: &Plan<'_>,
        mode: TableMode,
    ) -> Result<Beside> {
        let deleted_now = schema.columns(session.connection(), &deleted_table(collection))?;
        if mode == TableMode::default() && deleted_now.is_none() {
            return Ok(Beside { hard_delete: None, history: None });
        }
        let table = schema.table_name(collection);
        let present = schema.columns(session.connection(), collection)?.unwrap_or_default();
        let deleted = schema.table_name(&deleted_table(collection));
        let mut hard_delete = None;
        if mode.hard_delete || deleted_now.is_some() {
            hard_delete = HardDelete::new(&DUCKDB, &table, &deleted, plan, &present)?;
        }
        if let Some(it) = &hard_delete {
            match &deleted_now {
                Some(now) => bring_up_to(session, &deleted, it.columns(), now)?,
                None => session.write(&it.create(), []).map(drop)?,
            }
            if !mode.hard_delete {
                for statement in it.bring_all_back().into_iter().chain([it.drop()]) {
                    session.write(&statement, [])?;
                }
                hard_delete = None;
            }
        }

        let mut history = None;
        if mode.history {
            check_history(collection, plan)?;
            let name = schema.table_name(&history_table(collection));
            let now = schema.columns(session.connection(), &history_table(collection))?;
            let it = History::new(&DUCKDB, &table, &name, plan, now.as_deref());
            match &now {
                Some(now) => bring_up_to(session, &name, &present, now)?,
                None => session.write(&it.create(&present), []).map(drop)?,
            }
            history = Some(it);
        }
        Ok(Beside { hard_delete, history })
    }

    /// To be called when a group's rows are staged, before it is known which of them change the table.
    pub(super) fn staged(&self, session: &mut Session<'_>, merge: &GroupMerge) -> Result<()> {
        if let Some(it) = &self.hard_delete {
            for statement in it.bring_back(&format!("{} AS s", sql::STAGED), |n| format!("s.k{n}")) {
                session.write(&statement, [])?;
            }
        }
        if let Some(it) = &self.history {
            session.write(&merge.add_to(it), [])?;
        }
        Ok(())
    }

    /// To be called after the last group.
    pub(super) fn end(&self, session: &mut Session<'_>) -> Result<()> {
        if let Some(it) = &self.history {
            session.write(&it.set_times(), [])?;
        }
        if let Some(it) = &self.hard_delete {
            for statement in it.take_out(self.history.as_ref().map(|history| &history.history)) {
                session.write(&statement, [])?;
            }
        }
        Ok(())
    }
}

fn bring_up_to(
    session: &mut Session<'_>,
    name: &TableName,
    table: &[TableColumn],
    now: &[TableColumn],
) -> Result<()> {
    let (add, widen) = follow(&DUCKDB, table, now);
    let added = add.iter().map(|column| DUCKDB.add_column(column));
    for action in added.chain(widen.iter().map(|widening| DUCKDB.widen(widening))) {
        session.write(&sql::alter_table(&name.qualified, &action), [])?;
    }
    Ok(())
}

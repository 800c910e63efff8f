//! The tables beside a collection's: what was deleted from it, and its past.

use super::dialect::{OVERFLOW, POSTGRES, identifier};
use super::schema::{Columns, Schema};
use super::session::Session;
use super::sql::{self, GroupMerge};
use crate::TableMode;
use crate::dialect::{TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::hard_delete::HardDelete;
use crate::history::{History, VALID_FROM, check_history};
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
    pub(super) async fn begin(
        session: &mut Session<'_>,
        schema: &Schema,
        collection: &str,
        plan: &Plan<'_>,
        mode: TableMode,
    ) -> Result<Beside> {
        let deleted = schema.columns(session, &deleted_table(collection)).await?;
        if mode == TableMode::default() && deleted.is_none() {
            return Ok(Beside { hard_delete: None, history: None });
        }
        let present = schema.columns(session, collection).await?.unwrap_or_default().present;
        Ok(Beside {
            hard_delete: hard_delete(session, schema, collection, plan, &present, deleted, mode).await?,
            history: history(session, schema, collection, plan, &present, mode).await?,
        })
    }

    /// To be called when a group's rows are staged, before it is known which of them change the table.
    pub(super) async fn staged(&self, session: &mut Session<'_>, merge: &GroupMerge) -> Result<()> {
        if let Some(it) = &self.hard_delete {
            for statement in merge.bring_back(it) {
                session.write(&statement, &[]).await?;
            }
        }
        if let Some(it) = &self.history {
            session.write(&merge.add_to(it), &[]).await?;
        }
        Ok(())
    }

    /// To be called after the last group.
    pub(super) async fn end(&self, session: &mut Session<'_>) -> Result<()> {
        if let Some(it) = &self.history {
            session.write(&it.set_times(), &[]).await?;
        }
        if let Some(it) = &self.hard_delete {
            for statement in it.take_out(self.history.as_ref().map(|history| &history.history)) {
                session.write(&statement, &[]).await?;
            }
        }
        Ok(())
    }
}

async fn hard_delete(
    session: &mut Session<'_>,
    schema: &Schema,
    collection: &str,
    plan: &Plan<'_>,
    present: &[TableColumn],
    now: Option<Columns>,
    mode: TableMode,
) -> Result<Option<HardDelete>> {
    let (table, deleted) = (schema.table_name(collection), schema.table_name(&deleted_table(collection)));
    if !mode.hard_delete && now.is_none() {
        return Ok(None);
    }
    let Some(it) = HardDelete::new(&POSTGRES, &table, &deleted, plan, present)? else {
        return Ok(None);
    };
    match now {
        Some(now) => bring_up_to(session, &deleted, it.columns(), &now.present).await?,
        None => {
            session.write(&it.create(), &[]).await?;
            session.write(&sql::add_primary_key_of(&deleted.qualified, it.key()), &[]).await?;
        }
    }
    if !mode.hard_delete {
        for statement in it.bring_all_back().into_iter().chain([it.drop()]) {
            session.write(&statement, &[]).await?;
        }
        return Ok(None);
    }
    // Finds the few rows that are deleted at the end of a merge, so that it need not read the table.
    let index = quote_identifier(&identifier(&format!("{collection}_is_deleted")));
    session.write(&sql::create_index_of_deleted(&index, &table.qualified, it.key()), &[]).await?;
    Ok(Some(it))
}

async fn history(
    session: &mut Session<'_>,
    schema: &Schema,
    collection: &str,
    plan: &Plan<'_>,
    present: &[TableColumn],
    mode: TableMode,
) -> Result<Option<History>> {
    if !mode.history {
        return Ok(None);
    }
    check_history(collection, plan)?;
    if present.iter().any(|column| column.name == OVERFLOW) {
        let message = format!(
            "table {collection} can't have a history: it has so many columns that rows may not fit a page of \
             postgres; leave it out"
        );
        return Err(Error::new(Kind::Unsupported, message));
    }
    let name = history_table(collection);
    let now = schema.columns(session, &name).await?;
    let (table, name) = (schema.table_name(collection), schema.table_name(&name));
    let it = History::new(&POSTGRES, &table, &name, plan, now.as_ref().map(|now| now.present.as_slice()));
    match now {
        Some(now) => bring_up_to(session, &name, present, &now.present).await?,
        None => {
            session.write(&it.create(present), &[]).await?;
            session.write(&sql::create_index(&name.qualified, &it.key, None), &[]).await?;
            // Finds the versions that a merge has added.
            session.write(&sql::create_index(&name.qualified, &it.key, Some(VALID_FROM)), &[]).await?;
        }
    }
    Ok(Some(it))
}

async fn bring_up_to(
    session: &mut Session<'_>,
    name: &TableName,
    table: &[TableColumn],
    now: &[TableColumn],
) -> Result<()> {
    let (add, widen) = follow(&POSTGRES, table, now);
    let added = add.iter().map(|column| POSTGRES.add_column(column));
    let actions: Vec<String> = added.chain(widen.iter().map(|widening| POSTGRES.widen(widening))).collect();
    if !actions.is_empty() {
        session.write(&sql::alter_table(&name.qualified, &actions), &[]).await?;
    }
    Ok(())
}

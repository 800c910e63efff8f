//! The table that a merge is about, as it is found, and new tables with their indexes.

use std::collections::VecDeque;

use super::beside;
use super::dialect::{OVERFLOW, POSTGRES, identifier};
use super::layout::{self, MAX_COLUMNS, Target};
use super::session::Session;
use super::shaping::index_of_deleted;
use super::sql;
use super::staged::StagedGroup;
use crate::catalog::Catalog;
use crate::companion_tables::CompanionTables;
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, TableChange};
use crate::table::TableColumn;
use crate::{LocatedFile, TableMode};

impl Target {
    pub(super) async fn of<'f>(
        session: &mut Session<'_>,
        present: Option<&[TableColumn]>,
        files: Vec<&'f LocatedFile>,
        mode: TableMode,
    ) -> Result<(Target, Plan<'f>)> {
        let collection = files.first().map_or("", |file| file.description.table.collection.as_str());
        let without_overflow: Option<Vec<TableColumn>> =
            present.map(|present| present.iter().filter(|column| column.name != OVERFLOW).cloned().collect());
        let has_overflow = present.map(<[_]>::len) != without_overflow.as_ref().map(Vec::len);
        let table = format!("(SELECT c.oid {})", session.relation(&[&identifier(collection)]));
        // Columns that were dropped go on counting towards the limit.
        let sql = format!(
            "SELECT count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = {table} AND a.attnum > 0 \
             AND a.attisdropped"
        );
        let dropped = usize::try_from(session.count(&sql).await?).unwrap_or(usize::MAX);
        // The overflow takes one more.
        let max_columns = (MAX_COLUMNS - 1).saturating_sub(dropped);
        let plan = beside::plan(max_columns, without_overflow.as_deref(), files)?;

        let present = without_overflow.unwrap_or_default();
        let columns = plan.change.columns_after(&POSTGRES, &present);
        let types = columns.iter().map(|column| (POSTGRES.column_type)(&column.type_name));
        let is_wide = has_overflow || layout::is_wide(&plan, types);
        if mode.history && is_wide {
            let message = format!(
                "table {collection} can't have a history: it has so many columns that rows may not fit a page of \
                 postgres; leave it out"
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
        // Sets that are closed by a row may be in a table beside others, which are swept more often.
        let leading = plan.sets.as_ref().filter(|sets| sets.closed_by.is_none());
        let in_set_key = |name: &String| leading.is_some_and(|sets| sets.key.contains(name));
        let (first, then): (Vec<String>, Vec<String>) =
            plan.primary_key.iter().cloned().partition(in_set_key);
        let key = [first, then].concat();
        let has_key = session.count(&sql::find_keys(&table, &key)).await? > 0;
        Ok((Target { present, has_overflow, is_wide, key, has_key }, plan))
    }
}

/// Makes the table, or locks the one that is there, which has its columns already.
pub(super) async fn change_table(
    session: &mut Session<'_>,
    target: &Target,
    staged: &VecDeque<StagedGroup>,
    table: &str,
    plan: &Plan<'_>,
) -> Result<()> {
    let TableChange::Create(columns) = &plan.change else {
        return session.scratch(&sql::lock_table(table)).await;
    };
    let (mut rows, mut bytes) = (0, 0);
    for (sql, staged) in staged.iter().map(StagedGroup::size) {
        bytes += session.count(&sql).await?;
        rows += staged;
    }
    session.write(&sql::create_table(table, columns, (rows, bytes))).await?;
    if target.is_wide {
        session.write(&format!("ALTER TABLE {table} {}", sql::add_overflow())).await?;
    }
    session.write(&sql::add_primary_key(table, &target.key)).await.map(drop)
}

pub(super) async fn index_companions(
    session: &mut Session<'_>,
    collection: &str,
    companions: &CompanionTables,
    [deleted_is_new, history_is_new]: [bool; 2],
) -> Result<()> {
    if let Some(it) = companions.hard_delete.as_ref().filter(|_| deleted_is_new) {
        session.write(&sql::add_primary_key_of(&it.deleted.qualified, it.key())).await?;
    }
    if let Some(create) = index_of_deleted(session, collection, companions).await? {
        session.write(&create).await?;
    }
    if let Some(it) = companions.history.as_ref().filter(|_| history_is_new) {
        session.write(&sql::create_index(&it.history.qualified, &it.key)).await?;
    }
    Ok(())
}

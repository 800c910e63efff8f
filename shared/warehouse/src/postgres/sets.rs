//! Sets: a row that a newer read of its set does not show becomes deleted. The table alone decides that, once a merge's
//! rows are all in it, so files may come in any order.

use staging::REMOVED;

use super::dialect::POSTGRES;
use super::session::Session;
use super::sql::NEWEST;
use crate::checks::check_deleted;
use crate::dialect::{quote_identifier, quote_literal};
use crate::error::Result;
use crate::plan::{Plan, Sets};

/// The sets of which the merged files have rows.
const TOUCHED: &str = "pg_temp.touched_sets";
/// The rows that are to become deleted.
const GONE: &str = "pg_temp.gone_rows";

/// Deletes what is gone from its set, over all groups of a merge.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    table: &'a str,
    sets: &'a Sets,
    /// Scratch tables' names of the set key, and the table's, quoted.
    key: Vec<(String, String)>,
}

impl<'a> Sweep<'a> {
    /// `table` is quoted and qualified. `None` if no file has a set key.
    pub(super) fn new(table: &'a str, plan: &'a Plan<'_>) -> Option<Sweep<'a>> {
        let sets = plan.sets.as_ref()?;
        let in_set_key = |(_, name): &(usize, &String)| sets.key.contains(name);
        let names = plan.primary_key.iter().enumerate().filter(in_set_key);
        let key = names.map(|(n, name)| (format!("k{n}"), quote_identifier(name))).collect();
        Some(Sweep { table, sets, key })
    }

    /// To be called before the first group is merged.
    pub(super) async fn begin(&self, session: &Session<'_>) -> Result<()> {
        session.scratch(&self.create_touched()).await
    }

    /// To be called while the newest rows of a group are there.
    pub(super) async fn touch(&self, session: &Session<'_>) -> Result<()> {
        session.scratch(&self.insert_touched()).await
    }

    /// To be called after the last group; answers with the number of rows that became deleted.
    pub(super) async fn end(&self, session: &mut Session<'_>) -> Result<u64> {
        session.scratch(&format!("ANALYZE {TOUCHED}")).await?;
        session.scratch(&self.find_gone()).await?;
        let [gone] = session.counts(&count_gone()).await?;
        let deleted = if gone > 0 { session.write(&self.delete_gone(), &[]).await? } else { 0 };
        check_deleted(self.table, gone, deleted)?;
        Ok(deleted)
    }

    /// Without rows; it has the types that the table has after its columns were changed.
    fn create_touched(&self) -> String {
        let columns = self.list(", ", |staged, name| format!("{name} AS {staged}"));
        format!(
            "CREATE TEMP TABLE touched_sets ON COMMIT DROP AS SELECT {columns} FROM {} LIMIT 0",
            self.table
        )
    }

    fn insert_touched(&self) -> String {
        let columns = self.list(", ", |staged, _| staged.to_owned());
        format!("INSERT INTO {TOUCHED} SELECT DISTINCT {columns} FROM {NEWEST}")
    }

    /// All rows of the touched sets but those of the newest version and tombstones.
    fn find_gone(&self) -> String {
        let Sets { source_updated_at, read_at, is_deleted, .. } = self.sets;
        let in_table = |name: &str| format!("t.{}", quote_identifier(name));
        let columns = self.list(", ", |staged, _| staged.to_owned());
        format!(
            "CREATE TEMP TABLE gone_rows ON COMMIT DROP AS SELECT old_row FROM (SELECT t.ctid AS old_row, \
             {} IS NOT TRUE AS is_live, rank() OVER (PARTITION BY {} ORDER BY {} DESC, {} DESC) AS rank \
             FROM (SELECT DISTINCT {columns} FROM {TOUCHED}) AS s JOIN {} AS t ON {}) AS t \
             WHERE rank > 1 AND is_live",
            in_table(is_deleted),
            self.list(", ", |_, name| format!("t.{name}")),
            POSTGRES.or_lowest(&in_table(source_updated_at)),
            POSTGRES.or_lowest(&in_table(read_at)),
            self.table,
            self.list(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
        )
    }

    /// In place: the version and all other values stay, and so does the row's place in the tie-break.
    fn delete_gone(&self) -> String {
        let Sets { is_deleted, deleted_reason, deleted_at, .. } = self.sets;
        let deleted_at = deleted_at.iter().map(|name| format!(", {} = NULL", quote_identifier(name)));
        format!(
            "UPDATE {} AS t SET {} = true, {} = {}{} FROM {GONE} AS gone WHERE t.ctid = gone.old_row",
            self.table,
            quote_identifier(is_deleted),
            quote_identifier(deleted_reason),
            quote_literal(REMOVED),
            deleted_at.collect::<String>()
        )
    }

    fn list(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        self.key.iter().map(|(staged, name)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }
}

fn count_gone() -> String {
    format!("SELECT count(*) FROM {GONE}")
}

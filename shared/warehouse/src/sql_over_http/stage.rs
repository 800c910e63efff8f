//! The first half of a merge: files into scratch tables, which are counted before anything is changed.

use staging::ColumnType;

use super::engine::{Engine, Staging};
use super::sql::{GroupMerge, Scratch, Ties};
use super::target::Target;
use crate::LocatedFile;
use crate::catalog::{Rows, counts, row_counts};
use crate::checks::{GroupCounts, check_rows};
use crate::columns::ColumnSql;
use crate::dialect::quote_identifier;
use crate::error::Result;
use crate::plan::Group;
use crate::statement::Statement;
use crate::table::folded;

impl<E: Engine> Target<'_, E> {
    /// Reads the files into scratch tables and refuses those whose rows are not what their descriptions promise.
    pub(super) async fn stage(
        &self,
        session: &mut E::Session,
        merges: &[GroupMerge<'_>],
    ) -> Result<Vec<Ties>> {
        let mut all = Vec::new();
        for ((group, merge), scratch) in self.plan.groups.iter().zip(merges).zip(&self.scratch) {
            let mut statements = self.schema_ahead();
            statements.extend(self.read(group, scratch)?);
            self.schema.engine.prepare(&scratch.helper, &group.files).await?;
            statements.push(Statement::count(merge.count_staged()));
            statements.push(Statement::count(merge.count_keys()));
            let present = self.present_key();
            if let Some(present) = &present {
                statements.push(Statement::count(merge.count_present(present)));
            }
            self.check_bytes(&statements)?;
            let mut rows = Vec::new();
            for part in statements.chunks(self.schema.engine.limits().statements) {
                rows.extend(self.run(session, part).await?);
            }
            let mut rows = rows.iter();
            self.check_staged(group, rows.next())?;
            let [keys, alike] = counts(rows.next().unwrap_or(&Vec::new()))?;
            let [_, holders, ties] = match rows.next() {
                Some(rows) => counts(rows)?,
                None => [0, 0, 0],
            };
            if holders > 1 {
                let arrived = keys + holders - 1;
                GroupCounts { changed: 0, written: 0, keys, arrived }.check(&self.table.qualified)?;
            }
            // What groups before this one bring can be of the same versions, and what was deleted before.
            let with_table = ties > 0 || !all.is_empty() || self.companions.brings_back();
            all.push(Ties { in_files: alike > 1, with_table });
        }
        Ok(all)
    }

    /// Makes the schema first where scratch tables are in it.
    fn schema_ahead(&self) -> Vec<Statement> {
        let engine = &self.schema.engine;
        match engine.dialect().is_transactional || self.present.has_ledger {
            true => Vec::new(),
            false => vec![Statement::shape(engine.create_schema(&self.schema.name.quoted()))],
        }
    }

    pub(super) fn read(&self, group: &Group<'_>, scratch: &Scratch) -> Result<Vec<Statement>> {
        let engine = &self.schema.engine;
        let columns = group.files.first().map(|file| file.description.table.columns.as_slice());
        let types: Vec<ColumnType> = columns.unwrap_or_default().iter().map(|c| c.column_type).collect();
        let numbered = |(n, column_type): (usize, &ColumnType)| (format!("c{n}"), *column_type);
        let places = ["file_no", "row_no"].map(|name| (name.to_owned(), ColumnType::BigInt));
        let columns: Vec<(String, ColumnType)> =
            places.into_iter().chain(types.iter().enumerate().map(numbered)).collect();
        let mut statements = vec![Statement::create_scratch(engine.create_staged(&scratch.staged, &columns))];
        let staging =
            Staging { table: &scratch.staged, helper: &scratch.helper, types: &types, files: &group.files };
        statements.extend(engine.stage(&staging)?);
        statements.extend(engine.analyze(&scratch.staged));
        Ok(statements)
    }

    fn check_staged(&self, group: &Group<'_>, rows: Option<&Rows>) -> Result<()> {
        let mut staged = vec![[0, 0]; group.files.len()];
        for row in rows.into_iter().flatten() {
            let [file, rows, incomplete] = row_counts(row)?;
            if let Some(counts) = staged.get_mut(file as usize) {
                *counts = [rows, incomplete];
            }
        }
        let check =
            |(file, [rows, incomplete]): (&&LocatedFile, [u64; 2])| check_rows(file, rows, incomplete);
        group.files.iter().zip(staged).try_for_each(check)
    }

    /// Reads the table's keys as they will be when its columns have changed; `None` if it has no rows that could be
    /// compared.
    pub(super) fn present_key(&self) -> Option<impl Fn(&ColumnSql) -> String> {
        let columns = self.present.columns.as_ref()?;
        let has = |name: &str| columns.iter().any(|column| folded(&column.name) == folded(name));
        let versions = [staging::SOURCE_UPDATED_AT, staging::READ_AT];
        if !self.plan.primary_key.iter().map(String::as_str).chain(versions).all(has) {
            return None;
        }
        let dialect = self.schema.engine.dialect();
        let now = |name: &str| {
            let column = columns.iter().find(|column| quote_identifier(&column.name) == name);
            column.map_or(ColumnType::Text, |column| (dialect.column_type)(&column.type_name))
        };
        Some(move |key: &ColumnSql| dialect.converted(&key.in_table(), now(&key.name), key.column_type))
    }
}

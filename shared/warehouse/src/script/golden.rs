//! The statements of a merge as text, for golden files.

use std::collections::HashSet;

use chrono::DateTime;
use uuid::Uuid;

use super::engine::{Engine, Statement};
use super::merge::{Moment, Target};
use super::schema::{Present, Schema};
use super::sql::Ties;
use crate::plan::TableColumn;
use crate::{LocatedFile, TableMode};

/// All statements of a merge of one file into a table with these columns, for golden files.
pub(super) fn statements<E: Engine>(
    schema: &Schema<E>,
    file: &LocatedFile,
    columns: Option<&[(&str, &str)]>,
) -> Vec<String> {
    let column = |&(name, type_name): &(&str, &str)| TableColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let present = Present {
        deleted: None,
        history: None,
        account: columns.map(|_| 42),
        has_ledger: columns.is_some(),
        ledger: HashSet::new(),
        columns: columns.map(|columns| columns.iter().map(column).collect()),
    };
    let moment = Moment { id: Uuid::nil(), now: DateTime::UNIX_EPOCH };
    let collection = &file.description.table.collection;
    let target = Target::of(schema, collection, &present, TableMode::default(), moment, vec![file]).unwrap();
    let merges = target.merges().unwrap();
    let mut script = target.read(&target.plan.groups[0], &target.scratch[0]).unwrap();
    script.extend([merges[0].count_staged(), merges[0].count_keys()].map(Statement::count));
    script.extend(target.present_key().map(|present| Statement::count(merges[0].count_present(present))));
    script.extend(target.script(&merges, &[Ties { in_files: true, with_table: true }]));
    script.extend(merges[0].write_changed(600));
    script.into_iter().map(|statement| statement.sql).collect()
}

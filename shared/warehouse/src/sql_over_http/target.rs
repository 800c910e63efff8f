//! The target of one step of a merge: the table, the files, and the scratch tables between them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::engine::Engine;
use super::schema::Schema;
use super::sql::{GroupMerge, Scratch, Ties};
use crate::catalog::Present;
use crate::companion_tables::CompanionTables;
use crate::dialect::TableName;
use crate::error::{Error, Kind, Result};
use crate::plan::{Group, Plan, plan_within};
use crate::statement::Statement;
use crate::{LocatedFile, TableMode};

/// A step's own id and time, by which its statements differ from all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) id: Uuid,
    pub(super) now: DateTime<Utc>,
}

impl Moment {
    pub(super) fn now() -> Moment {
        Moment { id: Uuid::now_v7(), now: Utc::now() }
    }
}

/// The table that a step is about, and what is to become of it.
pub(super) struct Target<'a, E> {
    pub(super) schema: &'a Schema<E>,
    pub(super) collection: &'a str,
    pub(super) present: &'a Present,
    pub(super) mode: TableMode,
    pub(super) moment: Moment,
    pub(super) table: TableName,
    pub(super) plan: Plan<'a>,
    pub(super) companions: CompanionTables,
    /// Scratch tables of each group.
    pub(super) scratch: Vec<Scratch>,
    /// Scratch tables of the sweep.
    pub(super) touched_and_gone: [String; 2],
}

impl<'a, E: Engine> Target<'a, E> {
    pub(super) fn of(
        schema: &'a Schema<E>,
        collection: &'a str,
        present: &'a Present,
        mode: TableMode,
        moment: Moment,
        files: Vec<&'a LocatedFile>,
    ) -> Result<Target<'a, E>> {
        let engine = &schema.engine;
        let limit = engine.limits().staged_columns();
        let mut plan = plan_within(engine.dialect(), limit, present.columns.as_deref(), files)?;
        plan.groups = plan.groups.into_iter().flat_map(in_one_order).collect();
        if let Some(field) = plan.groups.iter().flat_map(|group| &group.overflow).next() {
            let message = format!(
                "table {collection} has no room for the column {}: it can have {limit} columns; drop those of properties \
                 that are gone, archive properties in HubSpot that nobody needs, or load into a warehouse that has more \
                 columns or, as postgres, keeps what is too many in one",
                field.source
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
        let id = moment.id.simple();
        let scratch = |name: String| engine.scratch(&schema.name.quoted(), &format!("merge_{id}_{name}"));
        let of_group = |n: usize| Scratch {
            staged: scratch(format!("{n}_staged")),
            helper: scratch(format!("{n}_helper")),
            keys: scratch(format!("{n}_keys")),
            newest: scratch(format!("{n}_newest")),
            changed: scratch(format!("{n}_changed")),
            past: ["reads", "versions"].map(|past| scratch(format!("{n}_{past}"))),
        };
        Ok(Target {
            schema,
            collection,
            present,
            mode,
            moment,
            table: schema.name.table_name(collection),
            companions: CompanionTables::new(&schema.name, collection, present, &plan, mode)?,
            scratch: (0..plan.groups.len()).map(of_group).collect(),
            touched_and_gone: [scratch("touched".to_owned()), scratch("gone".to_owned())],
            plan,
        })
    }

    /// The same for the files of all groups but the last.
    pub(super) fn with_fewer_groups(&self) -> Result<Target<'a, E>> {
        let groups = self.plan.groups.split_last().map_or(&[][..], |(_, others)| others);
        let files = groups.iter().flat_map(|group| group.files.iter().copied()).collect();
        Target::of(self.schema, self.collection, self.present, self.mode, self.moment, files)
    }

    pub(super) fn scratch_tables(&self) -> Vec<String> {
        let of_group = |scratch: &Scratch| {
            let Scratch { staged, helper, keys, newest, changed, .. } = scratch;
            [staged, helper, keys, newest, changed].map(String::clone)
        };
        let of_past =
            self.scratch.iter().filter(|_| self.mode.history).flat_map(|scratch| scratch.past.clone());
        let of_all = self.touched_and_gone.iter().cloned();
        self.scratch.iter().flat_map(of_group).chain(of_past).chain(of_all).collect()
    }

    /// Says whether one script has room for it.
    ///
    /// # Errors
    /// When a statement is too long, however few there are.
    pub(super) fn fits(&self) -> Result<bool> {
        let limits = self.schema.engine.limits();
        let ties = vec![Ties { in_files: true, with_table: true }; self.plan.groups.len()];
        let script = self.script(&self.merges()?, &ties);
        self.check_bytes(&script)?;
        let bytes: usize = script.iter().map(|statement| statement.sql.len()).sum();
        Ok(script.len() <= limits.statements && bytes <= limits.script_bytes)
    }

    pub(super) fn check_bytes(&self, script: &[Statement]) -> Result<()> {
        let limit = self.schema.engine.limits().statement_bytes;
        match script.iter().map(|statement| statement.sql.len()).max() {
            Some(bytes) if bytes > limit => {
                let or_no_history = if self.mode.history { ", or keep no history of it" } else { "" };
                let message = format!(
                    "a merge into {} needs a statement of {bytes} bytes, and the warehouse takes {limit}: leave out \
                     properties, or merge fewer files at a time{or_no_history}",
                    self.table.qualified
                );
                Err(Error::new(Kind::Unsupported, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn merges(&self) -> Result<Vec<GroupMerge<'_>>> {
        // One statement compares rows in the files and with the table: three contents, and what is around them.
        let content_bytes = self.schema.engine.limits().statement_bytes / 10 * 4;
        let dialect = self.schema.engine.dialect();
        let mut merges = Vec::with_capacity(self.plan.groups.len());
        for (group, scratch) in self.plan.groups.iter().zip(&self.scratch) {
            let merge = GroupMerge::new(dialect, &self.table, &self.plan, group, scratch, content_bytes);
            merges.push(merge.map_err(|column| {
                let key = group.files.first().map_or("", |file| file.key.as_str());
                let what =
                    format!("staged file {key} lacks the column {column:?} that its description names");
                Error::new(Kind::BadFile, what)
            })?);
        }
        Ok(merges)
    }
}

/// Engines read files by the places of their columns, so files that differ in them are not read together.
fn in_one_order(group: Group<'_>) -> Vec<Group<'_>> {
    let names = |file: &&LocatedFile| {
        let columns = &file.description.table.columns;
        columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
    };
    let alike = group.files.chunk_by(|a, b| names(a) == names(b));
    alike.map(|files| Group { files: files.to_vec(), ..group.clone() }).collect()
}

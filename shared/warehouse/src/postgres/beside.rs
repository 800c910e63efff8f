//! Merges into tables that have columns beside others ([`crate::beside`]): the widest column of a property gets all
//! values, and the narrower ones those that they can hold.

use std::collections::HashSet;

use staging::{Column, ColumnType};

use super::dialect::POSTGRES;
use crate::LocatedFile;
use crate::beside::{self, Columns};
use crate::dialect::quote_identifier;
use crate::error::{Error, Result};
use crate::plan::{Field, Group, Plan, TableChange, plan_within};
use crate::table::{TableColumn, Widening, folded};

/// A column that a table gets beside another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) name: String,
    /// The column whose values it holds, and its type.
    pub(super) of: Widening,
    /// The reason, for people.
    pub(super) why: String,
}

impl Beside {
    /// Returns the new columns of `add` that stand beside a column of the table. The others are left in `add`.
    pub(super) fn take(present: &[TableColumn], add: &mut Vec<Column>) -> Vec<Beside> {
        let mut taken = Vec::new();
        add.retain(|column| {
            let is_it = |own: &&TableColumn| {
                (POSTGRES.beside)(&own.name, column.column_type).as_ref() == Some(&column.name)
            };
            match present.iter().find(is_it) {
                Some(own) => taken.push(Beside::of(present, own, column.column_type, column.name.clone())),
                None => return true,
            }
            false
        });
        taken
    }

    /// Returns the column for one whose type can't be changed.
    pub(super) fn instead_of(widening: &Widening, why: &Error) -> Option<Beside> {
        let name = (POSTGRES.beside)(&widening.column, widening.to)?;
        let cause = std::error::Error::source(why).map(|cause| format!(": {cause}"));
        Some(Beside { name, of: widening.clone(), why: format!("{why}{}", cause.unwrap_or_default()) })
    }

    /// Returns the statement that says in the table what the column is for.
    pub(super) fn comment(&self, table: &str) -> String {
        let text = format!(
            "All values of {}, whose type could not be changed to {}. {}",
            self.of.column,
            (POSTGRES.type_name)(self.of.to),
            self.why
        );
        let name = quote_identifier(&self.name);
        format!("COMMENT ON COLUMN {table}.{name} IS {}", (POSTGRES.literal)(&text))
    }

    fn of(present: &[TableColumn], own: &TableColumn, to: ColumnType, name: String) -> Beside {
        let found = beside::find(&POSTGRES, present.iter().map(|column| column.name.as_str()));
        let found = found.iter().find(|property| property.own == own.name);
        let widest = found.map_or(own.name.as_str(), Columns::widest);
        let column = present.iter().find(|column| column.name == widest).unwrap_or(own);
        let from = (POSTGRES.column_type)(&column.type_name);
        let of = Widening { column: column.name.clone(), from, to };
        let why = format!("Something depends on the type of {}.", own.name);
        Beside { name, of, why }
    }
}

/// Plans the merge, as [`plan_within`] does.
pub(super) fn plan<'f>(
    max_columns: usize,
    present: Option<&[TableColumn]>,
    files: Vec<&'f LocatedFile>,
) -> Result<Plan<'f>> {
    let columns = present.unwrap_or_default();
    let found = beside::find(&POSTGRES, columns.iter().map(|column| column.name.as_str()));
    if found.is_empty() {
        return plan_within(&POSTGRES, max_columns, present, files);
    }
    let seen = as_properties(columns, &found);
    let max_columns = max_columns.saturating_sub(columns.len() - seen.len());
    let mut plan = plan_within(&POSTGRES, max_columns, Some(&seen), files)?;
    for property in &found {
        give_columns(&mut plan, property, columns);
    }
    let after = plan.change.columns_after(&POSTGRES, columns);
    for field in plan.groups.iter_mut().flat_map(|group| &mut group.fields) {
        if let Some(position) = after.iter().position(|column| column.name == field.target) {
            field.position = position;
        }
    }
    for group in &mut plan.groups {
        group.fields.sort_by_key(|field| folded(&field.target));
    }
    Ok(plan)
}

/// Returns the table with one column for each property: the widest, under the property's own name.
fn as_properties(columns: &[TableColumn], found: &[Columns]) -> Vec<TableColumn> {
    let others: HashSet<&str> = found
        .iter()
        .flat_map(|property| {
            let narrower = property.beside.iter().filter(|name| *name != property.widest());
            narrower.chain([&property.own]).map(String::as_str)
        })
        .collect();
    let renamed = |column: &TableColumn| {
        let property = found.iter().find(|property| property.widest() == column.name);
        let name = property.map_or(&column.name, |property| &property.own).clone();
        TableColumn { name, type_name: column.type_name.clone() }
    };
    columns.iter().filter(|column| !others.contains(column.name.as_str())).map(renamed).collect()
}

/// Replaces the property's one column in the plan by those of the table.
fn give_columns(plan: &mut Plan<'_>, property: &Columns, columns: &[TableColumn]) {
    let mut widest = property.widest().to_owned();
    if let TableChange::Alter { add, widen } = &mut plan.change
        && let Some(n) = widen.iter().position(|widening| widening.column == property.own)
    {
        let to = widen[n].to;
        match (POSTGRES.beside)(&property.own, to).filter(|name| *name != widest) {
            Some(name) => {
                widen.remove(n);
                add.push(Column::new(name.clone(), to));
                widest = name;
            }
            // Somebody gave it another type.
            None => widen[n].column = widest.clone(),
        }
    }
    let narrower: Vec<&TableColumn> = columns
        .iter()
        .filter(|column| column.name != widest)
        .filter(|column| column.name == property.own || property.beside.contains(&column.name))
        .collect();
    for group in &mut plan.groups {
        give_group_columns(group, &property.own, &widest, &narrower);
    }
}

fn give_group_columns(group: &mut Group<'_>, own: &str, widest: &str, narrower: &[&TableColumn]) {
    let Some(n) = group.fields.iter().position(|field| field.target == own) else {
        if let Some(n) = group.kept.iter().position(|name| name == own) {
            group.kept[n] = widest.to_owned();
            group.kept.extend(narrower.iter().map(|column| column.name.clone()));
        }
        return;
    };
    group.fields[n].target = widest.to_owned();
    let Field { source, from, .. } = group.fields[n].clone();
    for column in narrower {
        let to = (POSTGRES.column_type)(&column.type_name);
        if (POSTGRES.type_name)(to) != column.type_name {
            // A type of somebody's own, of which nobody knows what it takes.
            group.kept.push(column.name.clone());
            continue;
        }
        // Values that the column can't hold are NULL as they are read.
        let from = if from.widened(to) == to { from } else { to };
        group.fields.push(Field {
            source: source.clone(),
            target: column.name.clone(),
            from,
            to,
            position: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::contacts;

    use ColumnType::{BigInt, Double, Text};

    fn present(more: &[(&str, &str)]) -> Vec<TableColumn> {
        let needed = [
            ("id", "bigint"),
            ("_source_updated_at", "timestamp with time zone"),
            ("_read_at", "timestamp with time zone"),
            ("_run_id", "text"),
        ];
        let column =
            |(name, is): &(&str, &str)| TableColumn { name: (*name).into(), type_name: (*is).into() };
        needed.iter().chain(more).map(column).collect()
    }

    fn planned(present: &[TableColumn], amount: Option<ColumnType>) -> (TableChange, Group<'static>) {
        let folder = tempfile::TempDir::new().unwrap();
        let columns: Vec<_> = amount.into_iter().map(|is| ("amount", is)).collect();
        let file = Box::leak(Box::new(contacts("a", &columns, vec![]).stage(folder.path())));
        let plan = plan(1_000, Some(present), vec![file]).unwrap();
        (plan.change, plan.groups.into_iter().next().unwrap())
    }

    fn ways(group: &Group<'_>) -> Vec<(String, ColumnType, ColumnType, usize)> {
        let of_amount = group.fields.iter().filter(|field| field.source == "amount");
        of_amount.map(|field| (field.target.clone(), field.from, field.to, field.position)).collect()
    }

    #[test]
    fn values_go_to_the_widest_column_and_what_fits_to_the_narrower_ones() {
        let present =
            present(&[("amount", "bigint"), ("amount$text", "text"), ("amount$double", "double precision")]);
        let none = TableChange::Alter { add: vec![], widen: vec![] };
        let (change, group) = planned(&present, Some(Double));
        assert_eq!(change, none);
        let text = ("amount$text".to_owned(), Double, Text, 5);
        let double = ("amount$double".to_owned(), Double, Double, 6);
        assert_eq!(ways(&group), [("amount".to_owned(), BigInt, BigInt, 4), double, text]);
        let (change, group) = planned(&present, None);
        assert_eq!(change, none);
        assert_eq!(group.kept, ["amount$text", "amount", "amount$double"]);
    }

    #[test]
    fn a_type_that_is_wider_still_gets_one_more_column() {
        let present = present(&[("amount", "bigint"), ("amount$double", "double precision")]);
        let (change, group) = planned(&present, Some(Text));
        let TableChange::Alter { mut add, widen } = change else { panic!("the table exists") };
        assert_eq!((add.len(), widen.len()), (1, 0));
        assert_eq!(ways(&group).last().unwrap(), &("amount$text".to_owned(), Text, Text, 6));
        let taken = Beside::take(&present, &mut add);
        let of = Widening { column: "amount$double".to_owned(), from: Double, to: Text };
        assert_eq!((taken[0].name.as_str(), &taken[0].of), ("amount$text", &of));
    }

    #[test]
    fn a_column_goes_on_without_the_one_it_stood_beside() {
        let (change, group) = planned(&present(&[("amount$text", "text")]), Some(Double));
        assert_eq!(change, TableChange::Alter { add: vec![], widen: vec![] });
        assert_eq!(ways(&group), [("amount$text".to_owned(), Double, Text, 4)]);
    }

    #[test]
    fn a_column_of_another_type_is_left_alone() {
        let (_, group) = planned(&present(&[("amount", "numeric"), ("amount$text", "text")]), Some(Text));
        assert_eq!(ways(&group).len(), 1);
        assert_eq!(group.kept, ["amount"]);
    }
}

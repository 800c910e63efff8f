//! The plan of a merge of some staged files into a table: columns to add, types to widen, and files that can be read
//! together. Pure: the table's present columns go in, a [`Plan`] comes out, the same for every warehouse.

mod sets;

use std::collections::{BTreeMap, HashMap, HashSet};

use staging::{
    Column, ColumnType, DELETED_AT, DELETED_REASON, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT,
};

pub(crate) use self::sets::Sets;
pub use self::sets::by_sets;
use self::sets::{check_set_keys, has_sets, sets};
use crate::LocatedFile;
use crate::adopt::is_ours;
use crate::dialect::{ACCOUNT, Dialect, LEDGER, RUNS, check_identifier};
use crate::error::{Error, Kind, Result};
use crate::table::{TableColumn, Widening, folded, same_names};

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) change: TableChange,
    /// The primary key, in the table's spelling.
    pub(crate) primary_key: Vec<String>,
    /// `None` if no file has a set key.
    pub(crate) sets: Option<Sets>,
    /// Groups, in the order in which they are merged.
    pub(crate) groups: Vec<Group<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableChange {
    Create(Vec<Column>),
    Alter { add: Vec<Column>, widen: Vec<Widening> },
}

impl TableChange {
    /// Returns the columns of the table after the merge, from its present ones.
    pub(crate) fn columns_after(&self, dialect: &Dialect, present: &[TableColumn]) -> Vec<TableColumn> {
        let column = |column: &Column| TableColumn {
            name: column.name.clone(),
            type_name: (dialect.type_name)(column.column_type).to_owned(),
        };
        match self {
            TableChange::Create(columns) => columns.iter().map(column).collect(),
            TableChange::Alter { add, widen } => {
                let widened = |now: &TableColumn| {
                    let widening = widen.iter().find(|widening| widening.column == now.name);
                    widening.map_or_else(|| now.clone(), |it| column(&Column::new(now.name.clone(), it.to)))
                };
                present.iter().map(widened).chain(add.iter().map(column)).collect()
            }
        }
    }
}

/// Files with the same columns, which one statement can read. All of them have a set key, or none has.
#[derive(Debug, Clone)]
pub(crate) struct Group<'a> {
    pub(crate) files: Vec<&'a LocatedFile>,
    pub(crate) has_sets: bool,
    /// In the order of the table's names, whatever the order in the files.
    pub(crate) fields: Vec<Field>,
    /// Columns of the files that the table has no room for. Their `target` is the folded name.
    pub(crate) overflow: Vec<Field>,
    /// Columns of the table that these files lack.
    pub(crate) kept: Vec<String>,
}

/// A column's way from the file into the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) from: ColumnType,
    pub(crate) to: ColumnType,
    /// The column's place in the table.
    pub(crate) position: usize,
}

/// Refuses a batch that is not one table of one account, before anything is opened. The batch must not be empty.
pub(crate) fn check_batch(files: &[LocatedFile]) -> Result<()> {
    let Some(first) = files.first() else { return Ok(()) };
    let (collection, account) = (&first.description.table.collection, first.description.account_id);
    check_identifier("collection", collection)?;
    if [LEDGER, ACCOUNT, RUNS].iter().any(|reserved| reserved.eq_ignore_ascii_case(collection)) {
        let message = format!("collection {collection} has the name of a bookkeeping table: rename it");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let mut keys = HashMap::new();
    for file in files {
        let refuse = |why: String| Err(Error::new(Kind::BadFile, format!("staged file {}{why}", file.key)));
        let table = &file.description.table;
        if table.collection != *collection {
            return refuse(format!(
                " is of {}, but {} in the same merge is of {collection}: merge one collection at a time",
                table.collection, first.key
            ));
        }
        if file.description.account_id != account {
            return refuse(format!(
                " is of account {}, but {} in the same merge is of account {account}",
                file.description.account_id, first.key
            ));
        }
        if !same_names(&table.primary_key, &first.description.table.primary_key) {
            return refuse(format!(
                " has the primary key ({}), but {} in the same merge has ({})",
                table.primary_key.join(", "),
                first.key,
                first.description.table.primary_key.join(", ")
            ));
        }
        if keys.insert(&file.key, ()).is_some() {
            return refuse(" is in the merge twice".to_owned());
        }
        if let Err(source) = table.check() {
            let message = format!("staged file {} describes an impossible table", file.key);
            return Err(Error::new(Kind::BadFile, message).because(source));
        }
        for column in &table.columns {
            check_identifier("column", &column.name)?;
        }
        for (name, column_type) in [
            (SOURCE_UPDATED_AT, ColumnType::Timestamp),
            (READ_AT, ColumnType::Timestamp),
            (RUN_ID, ColumnType::Text),
        ] {
            if !table.columns.contains(&Column::new(name, column_type)) {
                return refuse(format!(" has no {column_type:?} column {name}, which a merge decides by"));
            }
        }
    }
    check_set_keys(files)
}

/// Refuses a file two of whose names become equal, since warehouses shorten long ones.
pub(crate) fn check_names(dialect: &Dialect, warehouse: &str, files: &[&LocatedFile]) -> Result<()> {
    for file in files {
        let mut seen = HashSet::new();
        for column in &file.description.table.columns {
            if !seen.insert(folded(&(dialect.column_name)(&column.name))) {
                let message = format!(
                    "staged file {} has a column {:?} whose name {warehouse} can't tell from that of another: rename it",
                    file.key, column.name
                );
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    Ok(())
}

/// Plans the merge. `present` is `None` while the table does not exist. The files have passed [`check_batch`].
#[cfg(any(test, feature = "duckdb"))]
pub(crate) fn plan<'a>(
    dialect: &Dialect,
    present: Option<&[TableColumn]>,
    files: Vec<&'a LocatedFile>,
) -> Result<Plan<'a>> {
    plan_within(dialect, usize::MAX, present, files)
}

/// Plans the merge into a table that can have no more than `max_columns`: columns that a merge decides by come first,
/// then the others in the order of the files.
pub(crate) fn plan_within<'a>(
    dialect: &Dialect,
    max_columns: usize,
    present: Option<&[TableColumn]>,
    mut files: Vec<&'a LocatedFile>,
) -> Result<Plan<'a>> {
    // Oldest first, so that a column that newer files lack keeps the value that older ones brought.
    files.sort_by_key(|file| (&file.description.run_id, &file.key));
    let (columns, overflow) = columns_after(dialect, max_columns, present.unwrap_or_default(), &files);
    check_version_columns(&columns)?;
    check_key_columns(dialect, present, &files)?;
    let named = |name: &String| {
        let name = folded(&(dialect.column_name)(name));
        columns.iter().find(|column| folded(&column.name) == name)
    };
    let in_table =
        |name: &str| named(&name.to_owned()).map(|column| (column.name.clone(), column.column_type));
    let sets = sets(in_table, &files)?;
    let change = change(dialect, present, &columns);
    let primary_key = files
        .first()
        .map(|file| file.description.table.primary_key.iter().filter_map(named))
        .into_iter()
        .flatten()
        .map(|column| column.name.clone())
        .collect();
    let groups = files
        .chunk_by(|a, b| shape(a) == shape(b))
        .map(|chunk| group(dialect, chunk.to_vec(), &columns, &overflow))
        .collect();
    Ok(Plan { change, primary_key, sets, groups })
}

/// A column of the table as it will be, and the name of its type now, if it exists.
struct Target {
    name: String,
    column_type: ColumnType,
    type_name: Option<String>,
    is_in_files: bool,
}

/// Returns the union of the columns of the table and all files, the present ones first, in the table's order and
/// spelling; and the columns for which the table has no room.
fn columns_after(
    dialect: &Dialect,
    max_columns: usize,
    present: &[TableColumn],
    files: &[&LocatedFile],
) -> (Vec<Target>, Vec<Target>) {
    let mut targets: Vec<Target> = present
        .iter()
        .map(|column| Target {
            name: column.name.clone(),
            column_type: (dialect.column_type)(&column.type_name),
            type_name: Some(column.type_name.clone()),
            is_in_files: false,
        })
        .collect();
    let mut positions: HashMap<String, usize> =
        targets.iter().enumerate().map(|(position, target)| (folded(&target.name), position)).collect();
    for column in files.iter().flat_map(|file| &file.description.table.columns) {
        let name = (dialect.column_name)(&column.name);
        let position = *positions.entry(folded(&name)).or_insert(targets.len());
        match targets.get_mut(position) {
            Some(target) => {
                target.column_type = target.column_type.widened(column.column_type);
                target.is_in_files = true;
            }
            None => {
                let column_type = column.column_type;
                targets.push(Target { name, column_type, type_name: None, is_in_files: true });
            }
        }
    }
    let needed: HashSet<String> =
        needed_columns(files).map(|name| folded(&(dialect.column_name)(name))).collect();
    let is_needed = |target: &Target| target.type_name.is_some() || needed.contains(&folded(&target.name));
    let mut room = max_columns.saturating_sub(targets.iter().filter(|target| is_needed(target)).count());
    targets.into_iter().partition(|target| {
        let has_room = is_needed(target) || room > 0;
        room -= usize::from(has_room && !is_needed(target));
        has_room
    })
}

/// The columns that a merge decides by, and those that a sweep of sets changes.
pub(crate) fn needed_columns<'a>(files: &[&'a LocatedFile]) -> impl Iterator<Item = &'a str> {
    let keys = files.first().map(|file| file.description.table.primary_key.iter().map(String::as_str));
    let others = [SOURCE_UPDATED_AT, READ_AT, RUN_ID, IS_DELETED, DELETED_REASON, DELETED_AT];
    keys.into_iter().flatten().chain(others)
}

/// Refuses a table that another program has made, such as Segment: its rows have no version, so a merge could neither
/// replace nor delete them.
pub(crate) fn check_maker(
    dialect: &Dialect,
    present: Option<&[TableColumn]>,
    files: &[&LocatedFile],
) -> Result<()> {
    let (Some(present), Some(first)) = (present, files.first()) else { return Ok(()) };
    if is_ours(dialect, present) {
        return Ok(());
    }
    let message = format!(
        "table {} was made by another program, since it has no column {READ_AT}, and is left alone: use another schema, or \
         put the table aside (`hubspot-source adopt --warehouse URL`), and the next load makes it anew",
        first.description.table.collection
    );
    Err(Error::new(Kind::Unsupported, message))
}

fn check_version_columns(columns: &[Target]) -> Result<()> {
    for name in [SOURCE_UPDATED_AT, READ_AT] {
        if let Some(wrong) = columns
            .iter()
            .find(|target| folded(&target.name) == name && target.column_type != ColumnType::Timestamp)
        {
            let now = wrong.type_name.as_deref().unwrap_or_default();
            let message = format!(
                "column {name} of the table is {now}, but a merge decides by it: change it back to a timestamp \
                 with time zone"
            );
            return Err(Error::new(Kind::Unsupported, message));
        }
    }
    Ok(())
}

/// Refuses a plan that would lose a column of the primary key, by which rows are distinguished.
fn check_key_columns(
    dialect: &Dialect,
    present: Option<&[TableColumn]>,
    files: &[&LocatedFile],
) -> Result<()> {
    let (Some(present), Some(first)) = (present, files.first()) else { return Ok(()) };
    let table = &first.description.table;
    match table.primary_key.iter().find(|name| dialect.find(present, name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "table {} has no column {name}, which is a part of its primary key: drop the table, and the next load \
                 makes it anew",
                table.collection
            );
            Err(Error::new(Kind::Unsupported, message))
        }
    }
}

fn change(dialect: &Dialect, present: Option<&[TableColumn]>, columns: &[Target]) -> TableChange {
    let column = |target: &Target| Column::new(target.name.clone(), target.column_type);
    if present.is_none() {
        return TableChange::Create(columns.iter().map(column).collect());
    }
    let add = columns.iter().filter(|target| target.type_name.is_none()).map(column).collect();
    let widen = columns
        .iter()
        .filter(|target| target.is_in_files)
        .filter_map(|target| {
            let now = target.type_name.as_deref()?;
            (now != (dialect.type_name)(target.column_type)).then(|| Widening {
                column: target.name.clone(),
                from: (dialect.column_type)(now),
                to: target.column_type,
            })
        })
        .collect();
    TableChange::Alter { add, widen }
}

/// Returns the shape that files must share to be merged together.
fn shape(file: &LocatedFile) -> (bool, BTreeMap<&str, ColumnType>) {
    let columns = &file.description.table.columns;
    (has_sets(file), columns.iter().map(|column| (column.name.as_str(), column.column_type)).collect())
}

fn group<'a>(
    dialect: &Dialect,
    files: Vec<&'a LocatedFile>,
    columns: &[Target],
    too_many: &[Target],
) -> Group<'a> {
    let sources: BTreeMap<String, &Column> = files
        .first()
        .into_iter()
        .flat_map(|file| &file.description.table.columns)
        .map(|column| (folded(&(dialect.column_name)(&column.name)), column))
        .collect();
    let (mut fields, mut kept) = (Vec::new(), Vec::new());
    for (position, target) in columns.iter().enumerate() {
        match sources.get(&folded(&target.name)) {
            Some(source) => fields.push(Field {
                source: source.name.clone(),
                target: target.name.clone(),
                from: source.column_type,
                to: target.column_type,
                position,
            }),
            None => kept.push(target.name.clone()),
        }
    }
    fields.sort_by_key(|field| folded(&field.target));
    let mut overflow: Vec<Field> = too_many
        .iter()
        .filter_map(|target| sources.get(&folded(&target.name)))
        .map(|source| Field {
            source: source.name.clone(),
            target: folded(&source.name),
            from: source.column_type,
            to: source.column_type,
            position: usize::MAX,
        })
        .collect();
    overflow.sort_by(|a, b| a.target.cmp(&b.target));
    let has_sets = files.iter().any(|file| has_sets(file));
    Group { files, has_sets, fields, overflow, kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::contacts;
    use crate::postgres::POSTGRES;

    use ColumnType::{BigInt, Double, Text};

    fn file(key: &str, run: &str, columns: &[(&str, ColumnType)]) -> LocatedFile {
        let folder = tempfile::TempDir::new().unwrap();
        contacts(key, columns, vec![]).of_run(run).stage(folder.path())
    }

    #[test]
    fn columns_that_no_file_has_are_left_alone() {
        let files = [file("a", "run-1", &[("amount", Double), ("city", Text)])];
        let present = [
            ("id", "integer"),
            ("amount", "bigint"),
            ("mine", "numeric"),
            ("_read_at", "timestamp with time zone"),
        ];
        let present =
            present.map(|(name, type_name)| TableColumn { name: name.into(), type_name: type_name.into() });
        let plan = plan(&POSTGRES, Some(&present), files.iter().collect()).unwrap();

        let TableChange::Alter { add, widen } = plan.change else { panic!("the table exists") };
        assert_eq!(
            add.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
            [SOURCE_UPDATED_AT, RUN_ID, "city"]
        );
        let widened: Vec<_> = widen.iter().map(|widening| (widening.column.as_str(), widening.to)).collect();
        assert_eq!(widened, [("id", BigInt), ("amount", Double)]);
        assert_eq!(plan.groups[0].kept, ["mine"]);
    }

    #[test]
    fn a_table_of_another_program_is_refused() {
        let files = [file("a", "run-1", &[("city", Text)])];
        let present =
            [("id", "character varying"), ("city", "text"), ("received_at", "timestamp with time zone")];
        let present =
            present.map(|(name, type_name)| TableColumn { name: name.into(), type_name: type_name.into() });
        let refused = check_maker(&POSTGRES, Some(&present), &files.iter().collect::<Vec<_>>()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
        assert!(refused.to_string().contains("table contacts was made by another program"), "{refused}");
        assert!(
            check_maker(&POSTGRES, Some(&[]), &files.iter().collect::<Vec<_>>()).is_err(),
            "whatever it is, it is not ours"
        );
    }

    #[test]
    fn files_are_grouped_in_the_order_of_their_runs() {
        let files = [
            file("d", "run-3", &[]),
            file("b", "run-1", &[]),
            file("c", "run-2", &[("city", Text)]),
            file("a", "run-1", &[]),
        ];
        let plan = plan(&POSTGRES, None, files.iter().collect()).unwrap();
        let keys = |group: &Group<'_>| group.files.iter().map(|file| file.key.clone()).collect::<Vec<_>>();
        let groups: Vec<_> = plan.groups.iter().map(keys).collect();
        assert_eq!(groups, [vec!["a", "b"], vec!["c"], vec!["d"]]);
    }

    #[test]
    fn what_is_past_the_last_column_overflows() {
        let files = [file("a", "run-1", &[("a", Text), ("b", Double), ("c", Text)])];
        // The first four are the key and what a merge decides by.
        let plan = plan_within(&POSTGRES, 5, None, files.iter().collect()).unwrap();
        let TableChange::Create(columns) = plan.change else { panic!("there is no table") };
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", SOURCE_UPDATED_AT, READ_AT, RUN_ID, "a"]);
        let overflow: Vec<&str> = plan.groups[0].overflow.iter().map(|field| field.source.as_str()).collect();
        assert_eq!(overflow, ["b", "c"]);
        assert_eq!(plan.groups[0].fields.len(), 5);
    }

    #[test]
    fn a_version_column_of_another_type_is_refused() {
        let files = [file("a", "run-1", &[])];
        let present = [TableColumn { name: READ_AT.into(), type_name: "text".into() }];
        let refused = plan(&POSTGRES, Some(&present), files.iter().collect()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
    }
}

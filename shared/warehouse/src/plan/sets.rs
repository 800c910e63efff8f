//! Sets of rows that HubSpot shows whole: what the newest read of a set does not show is gone. Here is which columns
//! say so; which rows are gone, each warehouse finds in its table.

use staging::{ColumnType, DELETED_AT, DELETED_REASON, IS_DELETED, READ_AT, SOURCE_UPDATED_AT};

use crate::error::{Error, Kind, Result};
use crate::table::same_names;
use crate::warehouse::LocatedFile;

/// Columns of the table, in its spelling.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sets {
    /// All of them are in the primary key.
    pub(crate) key: Vec<String>,
    /// See [`staging::Table::closed_by`].
    pub(crate) closed_by: Option<String>,
    pub(crate) source_updated_at: String,
    pub(crate) read_at: String,
    pub(crate) is_deleted: String,
    pub(crate) deleted_reason: String,
    /// Not every table has it.
    pub(crate) deleted_at: Option<String>,
}

/// Divides files, in their order, into those that one merge can take: they have one set key, or none. Rows that are read
/// in different sets are never of one set, so the merges don't depend on each other.
pub fn by_sets(files: Vec<LocatedFile>) -> Vec<Vec<LocatedFile>> {
    let mut merges: Vec<Vec<LocatedFile>> = Vec::new();
    for file in files {
        let fits = |merge: &&mut Vec<LocatedFile>| {
            let with_sets = merge.iter().find(|other| has_sets(other));
            !has_sets(&file) || with_sets.is_none_or(|other| are_alike(other, &file))
        };
        match merges.iter_mut().find(fits) {
            Some(merge) => merge.push(file),
            None => merges.push(vec![file]),
        }
    }
    merges
}

/// Refuses files with different set keys. One without stands beside them: an older program wrote it.
pub(super) fn check_set_keys(files: &[LocatedFile]) -> Result<()> {
    let mut with_sets = files.iter().filter(|file| has_sets(file));
    let Some(first) = with_sets.next() else { return Ok(()) };
    let set_key = &first.description.table.set_key;
    match with_sets.find(|file| !are_alike(file, first)) {
        Some(other) => Err(Error::new(
            Kind::BadFile,
            format!(
                "staged file {} has the set key ({}), but {} in the same merge has ({})",
                other.key,
                other.description.table.set_key.join(", "),
                first.key,
                set_key.join(", ")
            ),
        )),
        None => Ok(()),
    }
}

/// `true`: two files with set keys have the same, and close their sets in the same way.
fn are_alike(one: &LocatedFile, other: &LocatedFile) -> bool {
    let (one, other) = (&one.description.table, &other.description.table);
    same_names(&one.set_key, &other.set_key)
        && same_names(one.closed_by.as_slice(), other.closed_by.as_slice())
}

pub(super) fn has_sets(file: &LocatedFile) -> bool {
    !file.description.table.set_key.is_empty()
}

/// `None` if no file has a set key. The files have passed [`check_set_keys`]; `named` finds a column of the table after
/// the merge: its name and its type.
pub(super) fn sets(
    named: impl Fn(&str) -> Option<(String, ColumnType)>,
    files: &[&LocatedFile],
) -> Result<Option<Sets>> {
    let Some(file) = files.iter().find(|file| has_sets(file)) else { return Ok(None) };
    if named(IS_DELETED).is_some_and(|(_, column_type)| column_type != ColumnType::Boolean) {
        let message = format!(
            "column {IS_DELETED} is not a boolean in the table and in all staged files, but rows that are gone from \
             their set are deleted by it: change it back to a boolean"
        );
        return Err(Error::new(Kind::Unsupported, message));
    }
    let spelled = |name: &str| named(name).map_or_else(|| name.to_owned(), |(name, _)| name);
    Ok(Some(Sets {
        key: file.description.table.set_key.iter().map(|name| spelled(name)).collect(),
        closed_by: file.description.table.closed_by.as_deref().map(spelled),
        source_updated_at: spelled(SOURCE_UPDATED_AT),
        read_at: spelled(READ_AT),
        is_deleted: spelled(IS_DELETED),
        deleted_reason: spelled(DELETED_REASON),
        deleted_at: named(DELETED_AT).map(|(name, _)| name),
    }))
}

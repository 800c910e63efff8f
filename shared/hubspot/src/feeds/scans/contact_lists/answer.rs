//! Reads answers that show lists: their entries, and what of an entry tells it from others.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
use crate::json::{Malformed, Scanner};

/// HubSpot's number of the type of contacts.
pub(super) const CONTACT_TYPE: &str = "0-1";
/// The names of the list of lists in an answer.
pub(super) const LISTS: &str = "lists";
pub(super) const RESULTS: &str = "results";

/// The entries of one answer.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) lists: Vec<(u64, &'a str)>,
    /// Entries that are no list with an id.
    pub(super) odd: usize,
    /// Lists of other objects than the one that was asked for.
    pub(super) others: Vec<u64>,
    pub(super) total: Option<u64>,
}

/// A number that is another one whenever anything of the list is.
pub(super) fn stamp(list: &str) -> i64 {
    xxh3_64(list.as_bytes()) as i64
}

/// The lists of contacts in an answer.
pub(super) fn found(answer: &str) -> Result<Found<'_>> {
    found_of(CONTACT_TYPE, answer)
}

/// The lists of an object in an answer, by its `objectTypeId`.
pub(super) fn found_of<'a>(object_type: &str, answer: &'a str) -> Result<Found<'a>> {
    let mut found = Found::default();
    let mut has_lists = false;
    Scanner::new(answer).each_field(|key, value| {
        match key.raw() {
            LISTS | RESULTS => {
                has_lists = true;
                value.each_item(|list| {
                    let json = list.raw()?;
                    match head(object_type, json) {
                        Ok((id, true)) => found.lists.push((id, json)),
                        Ok((id, false)) => found.others.push(id),
                        Err(_) => found.odd += 1,
                    }
                    Ok::<_, Malformed>(())
                })?;
            }
            "total" if !value.is_nested() => {
                found.total = value.scalar()?.and_then(|total| total.raw().parse().ok());
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    match has_lists {
        true => Ok(found),
        false => Err(Error::new(ErrorKind::Malformed, "an answer has no lists")),
    }
}

/// A list's id, and whether it is one of the object.
fn head(object_type: &str, list: &str) -> Result<(u64, bool), Malformed> {
    let (mut id, mut is_of_object) = (None, true);
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "listId" => id = Some(value.id()?),
            "objectTypeId" if !value.is_nested() => {
                is_of_object = value.scalar()?.is_none_or(|object| object.raw() == object_type);
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    let id = id.ok_or(Malformed { at: 0, expected: "a list with its id" })?;
    Ok((id, is_of_object))
}

/// Manual lists have none.
pub(super) fn filter_branch(list: &str) -> Result<Option<&str>, Malformed> {
    let mut filters = None;
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "filterBranch" if value.is_object() => filters = Some(value.raw()?),
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(filters)
}

pub(super) fn is_deleted(list: &str) -> Result<bool, Malformed> {
    let mut is_deleted = false;
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "deletedAt" => is_deleted = value.raw()? != "null",
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(is_deleted)
}

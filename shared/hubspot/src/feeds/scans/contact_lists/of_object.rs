//! The lists of an object other than contacts: which there are, and what tells of each that its members may be others.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use super::answer;
use super::listing;
use super::scan::{Scan, Step};
use crate::client::Client;
use crate::error::Result;
use crate::json::{Malformed, Scanner};

/// Fields of a list that are others when its members may be.
const FIELDS: [&str; 3] = ["updatedAt", "listVersion", "processingStatus"];
const PROPERTIES: [&str; 3] = ["hs_list_size", "hs_last_record_added_at", "hs_last_record_removed_at"];

/// All lists of an object.
#[derive(Debug, Default)]
pub(in crate::feeds) struct ObjectLists {
    pub(in crate::feeds) lists: BTreeMap<u64, ObjectList>,
    /// Entries that HubSpot can't show, or that are no list with an id.
    pub(in crate::feeds) odd: u64,
    /// HubSpot's number of lists is not that of the lists it shows, time and again: both.
    pub(in crate::feeds) miscounted: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feeds) struct ObjectList {
    /// Another number when its members may be others.
    pub(in crate::feeds) stamp: i64,
    /// HubSpot is still finding its members.
    pub(in crate::feeds) is_processing: bool,
}

/// Reads all lists of an object.
///
/// # Errors
/// As of a page of lists, and when lists come and go too fast.
pub(in crate::feeds) async fn lists_of(client: &Client, object_type: &str) -> Result<ObjectLists> {
    let mut scan = Scan::of(object_type);
    let mut all = ObjectLists::default();
    loop {
        let listing = listing::page(client, &scan).await?;
        for answer in &listing.answers {
            for (id, list) in answer::found_of(object_type, answer)?.lists {
                if !answer::is_deleted(list)? {
                    all.lists.insert(id, ObjectList::read(list)?);
                }
            }
        }
        match scan.add(&listing)? {
            Step::On => continue,
            Step::Done => {}
            Step::Miscounted { shown, told } => all.miscounted = Some((shown, told)),
        }
        all.odd = scan.not_shown();
        return Ok(all);
    }
}

/// `true`: the answer about one list, `{"list": {..}}` or the list itself, says that it is deleted.
pub(in crate::feeds) fn is_list_deleted(answer: &str) -> Result<bool, Malformed> {
    let mut is_deleted = answer::is_deleted(answer)?;
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "list" if value.is_object() => {
            is_deleted |= answer::is_deleted(value.raw()?)?;
            Ok(())
        }
        _ => value.skip(),
    })?;
    Ok(is_deleted)
}

impl ObjectList {
    fn read(list: &str) -> Result<ObjectList, Malformed> {
        let (mut hash, mut is_processing) = (Xxh3::new(), false);
        let mut add = |name: &str, value: &str| {
            for part in [name, "=", value, ";"] {
                hash.update(part.as_bytes());
            }
        };
        Scanner::new(list).each_field(|key, value| match key.raw() {
            "additionalProperties" if value.is_object() => value.each_field(|key, value| {
                let json = value.raw()?;
                if PROPERTIES.contains(&key.raw()) {
                    add(key.raw(), json);
                }
                Ok(())
            }),
            name => {
                let json = value.raw()?;
                is_processing |= name == "processingStatus" && json == "\"PROCESSING\"";
                if FIELDS.contains(&name) {
                    add(name, json);
                }
                Ok(())
            }
        })?;
        Ok(ObjectList { stamp: hash.digest() as i64, is_processing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_another_when_its_members_may_be_and_not_for_its_name() {
        let list = |name: &str, size: u32| {
            let json = format!(
                r#"{{"listId":"7","name":"{name}","updatedAt":"2026-01-01","additionalProperties":{{"hs_list_size":"{size}"}}}}"#
            );
            ObjectList::read(&json).unwrap()
        };
        assert_eq!(list("a", 3), list("b", 3));
        assert_ne!(list("a", 3), list("a", 4));
        let processing = ObjectList::read(r#"{"listId":"7","processingStatus":"PROCESSING"}"#).unwrap();
        assert!(processing.is_processing);
    }

    #[test]
    fn a_list_that_is_shown_by_its_id_may_be_deleted() {
        for (answer, is_deleted) in [
            (r#"{"list":{"listId":"7","deletedAt":"2026-11-01T00:00:00Z"}}"#, true),
            (r#"{"listId":"7","deletedAt":"2026-11-01T00:00:00Z"}"#, true),
            (r#"{"list":{"listId":"7","deletedAt":null}}"#, false),
            (r#"{"list":{"listId":"7"}}"#, false),
        ] {
            assert_eq!(is_list_deleted(answer).unwrap(), is_deleted, "{answer}");
        }
    }
}

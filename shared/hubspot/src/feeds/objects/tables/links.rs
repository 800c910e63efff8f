//! The tables of associations and of their types, for one run of a feed: what earlier runs have left of each pair of
//! objects, and what this one can't read.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use staging::ColumnType::{BigInt, Text};
use staging::Table;
use xxhash_rust::xxh3::xxh3_64;

use crate::feeds::collection::{Collection, made};
use crate::feeds::document::Document;
use crate::feeds::objects::answers::associations::LinkSets;
use crate::feeds::objects::state::RunOfRecords;
use crate::feeds::objects::state::pairs::{KnownTypes, PairMemory, PairRun, PairRuns};
use crate::feeds::{Gap, Note};

pub(in crate::feeds) static ASSOCIATIONS: Collection = Collection {
    name: crate::feeds::ASSOCIATIONS,
    about: "A link between two records, once for each of its types. Each pair of objects is there in one direction: from \
            custom objects and activities to line items, tickets, deals, contacts and companies.",
    primary_key: &["from_object", "from_id", "to_object", "to_id", "category", "type_id"],
    set_key: &["from_object", "from_id", "to_object"],
    key_reason: "a type id is unique within its category. The links of a record with one object are read together; a row \
                 with the `to_id` 0, deleted, says that it has none",
    is_deletable: true,
    calls: "none if nothing has changed; else 1 for each 1,000 changed records and each object that they may be linked with",
    columns: &[
        made("from_object", Text, "the collection of the record that the link was read from"),
        made("from_id", BigInt, "its `id`"),
        made("to_object", Text, "the collection of the record at the other end"),
        made("to_id", BigInt, "its `id`: `toObjectId`"),
        made(
            "category",
            Text,
            "`category`: `HUBSPOT_DEFINED`, `USER_DEFINED`, `INTEGRATOR_DEFINED` or `WORK`",
        ),
        made("type_id", BigInt, "`typeId`, in the direction of the row; 0 where HubSpot tells none"),
        made("label", Text, "`label`; NULL for a type without one"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
    ],
};

pub(in crate::feeds) static ASSOCIATION_TYPES: Collection = Collection {
    name: crate::feeds::ASSOCIATION_TYPES,
    about: "A type of associations between two objects, and its label: what `associations.type_id` means. Each direction \
            has types of its own. Read with `associations`, for the pairs of objects that have any.",
    primary_key: &["from_object", "to_object", "category", "type_id"],
    set_key: &["from_object", "to_object"],
    key_reason: "a type id is unique within its category. The types of a pair of objects, in one direction, are read \
                 together",
    is_deletable: true,
    calls: "none in most runs; once a day, and when a new type is seen, 1 or 2 for each pair of objects with associations",
    columns: &[
        made("from_object", Text, "the collection of the record that a link leads from"),
        made("to_object", Text, "the collection of the record that it leads to"),
        made("category", Text, "`category`, as in `associations`"),
        made("type_id", BigInt, "`typeId`"),
        made("label", Text, "`label`; NULL for a type without one"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
    ],
};

/// The table of associations, for one run of a feed.
#[derive(Debug)]
pub(in crate::feeds::objects) struct LinkTable {
    pub(in crate::feeds::objects) document: Document,
    /// That of their types; `None`: nobody wants it.
    pub(in crate::feeds::objects) types: Option<Document>,
    /// What earlier runs have left of each pair.
    pub(in crate::feeds::objects) known: BTreeMap<String, PairMemory>,
    /// Objects at the other end of all pairs that are wanted, whether they answer or not.
    pub(in crate::feeds::objects) wanted: Vec<&'static str>,
    /// Pairs that are not asked for, and why.
    pub(in crate::feeds::objects) refused: Mutex<BTreeMap<&'static str, String>>,
    /// Pairs whose types could not be read, and why.
    pub(in crate::feeds::objects) types_failed: Mutex<BTreeMap<String, String>>,
}

impl LinkTable {
    pub(in crate::feeds::objects) fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.document).chain(&self.types).map(|document| &document.table)
    }

    /// Links with this object were read by an earlier run.
    pub(in crate::feeds::objects) fn was_read(&self, other: &str) -> bool {
        self.known.get(other).is_some_and(|known| known.read_until_ms.is_some())
    }

    /// Rows of links with this object may be there.
    pub(in crate::feeds::objects) fn may_have_rows(&self, other: &str, run: &RunOfRecords<'_>) -> bool {
        let was_used = self.known.get(other).is_some_and(|known| known.is_used);
        was_used || run.own.pairs.get(other).is_some_and(|pair| pair.is_used)
    }

    pub(in crate::feeds::objects) fn notes(&self) -> Vec<Note> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (other, reason) in &*refused {
            by_reason.entry(reason).or_default().push(other);
        }
        let note = |(reason, others): (&str, Vec<&str>)| Note {
            collection: ASSOCIATIONS.name,
            gap: Gap::Degraded,
            text: format!("associations with {} are not read: {reason}", others.join(", ")),
        };
        by_reason.into_iter().map(note).chain(self.notes_on_types()).collect()
    }

    /// Remembers that links have a type that is in no list yet.
    pub(in crate::feeds::objects) fn meet_types(&self, sets: &LinkSets, pair: &mut PairRun) {
        if self.types.is_none() || pair.has_new_type {
            return;
        }
        let known = self.known_types(sets.other, pair).map(|known| &known.seen.0);
        let mut links = sets.by_record.values().flatten();
        pair.has_new_type = links.any(|((_, category, type_id), label)| {
            known.is_none_or(|known| !known.contains(&hash_of(category, *type_id, label.as_deref())))
        });
    }

    pub(in crate::feeds::objects) fn types_failed(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.types_failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run that was interrupted goes on.
    pub(in crate::feeds::objects) fn begin_again(&self, pairs: &PairRuns) {
        let failed = pairs.iter().filter_map(|(to, pair)| Some((to.clone(), pair.types_failed.clone()?)));
        *self.types_failed() = failed.collect();
    }

    /// The types of a pair, as this run or an earlier one has read them.
    pub(in crate::feeds::objects) fn known_types<'k>(
        &'k self,
        other: &str,
        pair: &'k PairRun,
    ) -> Option<&'k KnownTypes> {
        pair.types.as_ref().or_else(|| self.known.get(other)?.types.as_ref())
    }

    fn notes_on_types(&self) -> Vec<Note> {
        let note = |(other, reason): (&String, &String)| {
            let is_known = self.known.get(other).is_some_and(|known| known.types.is_some());
            let state = if is_known { "as an earlier run has read them" } else { "not read" };
            let text = format!("types of associations with {other} are {state}: {reason}");
            Note { collection: ASSOCIATION_TYPES.name, gap: Gap::Degraded, text }
        };
        self.types_failed().iter().map(note).collect()
    }
}

/// A type with its label, as a hash.
pub(in crate::feeds::objects) fn hash_of(category: &str, type_id: u64, label: Option<&str>) -> u64 {
    xxh3_64(format!("{category}\n{type_id}\n{label:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_label_is_part_of_what_a_type_is() {
        let all =
            [hash_of("A", 1, None), hash_of("A", 1, Some("x")), hash_of("A", 2, None), hash_of("B", 1, None)];
        assert_eq!(HashSet::from(all).len(), all.len());
    }
}

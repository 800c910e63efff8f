//! Lists of records. A change of a list's members moves neither the list's modified date nor the record's.

mod generate;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(super) use self::generate::generate;
use super::{Account, ChangeError, State};
use crate::ObjectType;

/// HubSpot's `processingType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Processing {
    Manual,
    Dynamic,
    Snapshot,
}

#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) id: u64,
    /// The id it had in v1. Both kinds of ids run through the same numbers.
    pub(crate) legacy_id: Option<u64>,
    pub(crate) name: String,
    pub(crate) object: ObjectType,
    pub(crate) processing: Processing,
    pub(crate) is_processing: bool,
    pub(crate) version: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) filters_updated_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    pub(crate) created_by: u64,
    pub(crate) updated_by: u64,
    pub(crate) folder: Option<&'static str>,
    pub(crate) last_added_at: Option<DateTime<Utc>>,
    pub(crate) last_removed_at: Option<DateTime<Utc>>,
    /// Number of values in its filter, beyond the first.
    filter_values: usize,
    members: BTreeMap<u64, Membership>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Membership {
    pub first_added_at: DateTime<Utc>,
    pub last_added_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthList {
    pub id: u64,
    pub legacy_id: Option<u64>,
    pub name: String,
    pub object: ObjectType,
    pub processing: Processing,
    /// HubSpot's `processingStatus`.
    pub processing_status: &'static str,
    pub version: u64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub filters_updated_at: DateTime<Utc>,
    /// No call shows a list that is deleted, unless [`crate::Behaviour::shows_deleted_lists`].
    pub deleted_at: Option<DateTime<Utc>>,
    pub created_by: u64,
    pub updated_by: u64,
    pub folder: Option<&'static str>,
    /// Number of assets that use the list.
    pub reference_count: u64,
    /// Number of live members.
    pub size: usize,
    pub last_added_at: Option<DateTime<Utc>>,
    pub last_removed_at: Option<DateTime<Utc>>,
    /// The tree of filters as HubSpot sends it; dynamic lists and snapshots have one.
    pub filter_branch: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthMembership {
    pub list: u64,
    pub object: ObjectType,
    pub record: u64,
    #[serde(flatten)]
    pub membership: Membership,
}

#[derive(Debug, Default)]
pub(crate) struct Lists {
    lists: BTreeMap<u64, List>,
}

impl Account {
    /// Those that aren't deleted, ascending.
    pub fn list_ids(&self) -> Vec<u64> {
        self.read().lists.current().map(|list| list.id).collect()
    }

    pub fn create_list(&self, object: ObjectType, name: &str, processing: Processing) -> u64 {
        let now = self.now();
        let lists = &mut self.write().lists.lists;
        let id = lists.last_key_value().map_or(1, |(id, _)| id + 1);
        lists.insert(id, List::new(id, object, name, processing, now));
        id
    }

    pub fn rename_list(&self, list: u64, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_list(list, |list| {
            name.clone_into(&mut list.name);
            list.edited(now);
        })
    }

    /// Deletes a list. It can be restored.
    pub fn delete_list(&self, list: u64) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_list(list, |list| list.deleted_at = Some(now))
    }

    pub fn restore_list(&self, list: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        let deleted = state.lists.lists.get_mut(&list).filter(|list| list.deleted_at.is_some());
        deleted.ok_or(ChangeError::UnknownList { id: list })?.deleted_at = None;
        Ok(())
    }

    /// Adds a record to the list. One that is in it already stays as it is.
    pub fn add_to_list(&self, list: u64, record: u64) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let State { lists, objects, .. } = &mut *state;
        let list = lists.current_mut(list)?;
        let object = list.object;
        objects[object].live.get(&record).ok_or(ChangeError::UnknownRecord { object, id: record })?;
        list.add(record, now);
        Ok(())
    }

    /// Takes a record out of the list. Returns `true` if it was in there.
    pub fn remove_from_list(&self, list: u64, record: u64) -> Result<bool, ChangeError> {
        let now = self.now();
        let mut was_member = false;
        self.change_list(list, |list| {
            was_member = list.members.remove(&record).is_some();
            if was_member {
                list.last_removed_at = Some(now);
            }
        })?;
        Ok(was_member)
    }

    fn change_list(&self, list: u64, change: impl FnOnce(&mut List)) -> Result<(), ChangeError> {
        change(self.write().lists.current_mut(list)?);
        Ok(())
    }

    /// Returns all lists, deleted ones too.
    pub fn truth_lists(&self) -> Vec<TruthList> {
        let state = self.read();
        state.lists.lists.values().map(|list| list.truth(&state)).collect()
    }

    /// Returns the live records in lists that aren't deleted.
    pub fn truth_memberships(&self) -> Vec<TruthMembership> {
        let state = self.read();
        let of_list = |list: &List| -> Vec<_> {
            let member = |(record, membership)| TruthMembership {
                list: list.id,
                object: list.object,
                record,
                membership,
            };
            list.members(&state).map(member).collect()
        };
        state.lists.current().flat_map(of_list).collect()
    }
}

impl List {
    fn new(id: u64, object: ObjectType, name: &str, processing: Processing, now: DateTime<Utc>) -> Self {
        Self {
            id,
            legacy_id: None,
            name: name.to_owned(),
            object,
            processing,
            is_processing: false,
            version: 1,
            created_at: now,
            updated_at: now,
            filters_updated_at: now,
            deleted_at: None,
            created_by: USER,
            updated_by: USER,
            folder: None,
            last_added_at: None,
            last_removed_at: None,
            filter_values: 0,
            members: BTreeMap::new(),
        }
    }

    fn edited(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated_at = now;
    }

    fn add(&mut self, record: u64, now: DateTime<Utc>) {
        self.members.entry(record).or_insert_with(|| {
            self.last_added_at = self.last_added_at.max(Some(now));
            Membership { first_added_at: now, last_added_at: now }
        });
    }

    /// Members that are live, ascending.
    pub(crate) fn members(&self, state: &State) -> impl Iterator<Item = (u64, Membership)> {
        let live = &state.objects[self.object].live;
        self.members.iter().filter(|(id, _)| live.contains_key(id)).map(|(id, membership)| (*id, *membership))
    }

    pub(crate) fn membership(&self, record: u64) -> Option<Membership> {
        self.members.get(&record).copied()
    }

    pub(crate) fn processing_status(&self) -> &'static str {
        if self.is_processing { "PROCESSING" } else { "COMPLETE" }
    }

    pub(crate) fn reference_count(&self) -> u64 {
        self.id % 4
    }

    /// Manual lists have none.
    pub(crate) fn filter_branch(&self) -> Option<serde_json::Value> {
        (self.processing != Processing::Manual).then(|| {
            let filter = serde_json::json!({
                "filterType": "PROPERTY",
                "property": "lifecyclestage",
                "operation": {
                    "operationType": "STRING",
                    "operator": "IS_EQUAL_TO",
                    "value": format!("stage \"{}\"", self.id % 5),
                    "values": (0..self.filter_values).map(|n| format!("value {n} of {}", self.id)).collect::<Vec<_>>(),
                    "includeObjectsWithNoValueSet": false,
                },
            });
            let and = serde_json::json!({
                "filterBranchType": "AND", "filterBranchOperator": "AND", "filterBranches": [], "filters": [filter],
            });
            serde_json::json!({
                "filterBranchType": "OR", "filterBranchOperator": "OR", "filterBranches": [and], "filters": [],
            })
        })
    }

    fn truth(&self, state: &State) -> TruthList {
        TruthList {
            id: self.id,
            legacy_id: self.legacy_id,
            name: self.name.clone(),
            object: self.object,
            processing: self.processing,
            processing_status: self.processing_status(),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            filters_updated_at: self.filters_updated_at,
            deleted_at: self.deleted_at,
            created_by: self.created_by,
            updated_by: self.updated_by,
            folder: self.folder,
            reference_count: self.reference_count(),
            size: self.members(state).count(),
            last_added_at: self.last_added_at,
            last_removed_at: self.last_removed_at,
            filter_branch: self.filter_branch(),
        }
    }
}

impl Lists {
    /// Those that aren't deleted, ascending.
    pub(crate) fn current(&self) -> impl Iterator<Item = &List> {
        self.lists.values().filter(|list| list.deleted_at.is_none())
    }

    pub(crate) fn find(&self, id: u64) -> Option<&List> {
        self.current_or_deleted(id).filter(|list| list.deleted_at.is_none())
    }

    pub(crate) fn current_or_deleted(&self, id: u64) -> Option<&List> {
        self.lists.get(&id)
    }

    fn current_mut(&mut self, id: u64) -> Result<&mut List, ChangeError> {
        let list = self.lists.get_mut(&id).filter(|list| list.deleted_at.is_none());
        list.ok_or(ChangeError::UnknownList { id })
    }

    pub(crate) fn deleted_ids(&self) -> Vec<u64> {
        self.lists.values().filter(|list| list.deleted_at.is_some()).map(|list| list.id).collect()
    }

    /// Follows a merge of contacts: the survivor is in each list that either of them was in.
    pub(super) fn hand_over(&mut self, gone: [u64; 2], survivor: u64) {
        for list in self.lists.values_mut().filter(|list| list.object == ObjectType::Contacts) {
            let memberships: Vec<_> = gone.iter().filter_map(|id| list.members.remove(id)).collect();
            let joined = memberships.into_iter().reduce(|one, other| Membership {
                first_added_at: one.first_added_at.min(other.first_added_at),
                last_added_at: one.last_added_at.max(other.last_added_at),
            });
            list.members.extend(joined.map(|membership| (survivor, membership)));
        }
    }
}

const USER: u64 = 41_000_007;

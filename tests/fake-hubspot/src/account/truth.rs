//! The truth about an account, as what a client read must come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::properties::Catalog;
use super::record::Record;
use super::{Account, State};
use crate::ObjectType;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthRecord {
    pub id: u64,
    /// Every property of the type that is not archived; `None` is null.
    pub properties: BTreeMap<String, Option<String>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived: bool,
    pub archived_at: Option<DateTime<Utc>>,
    /// The record that survives today, if this one was merged away.
    pub merged_into: Option<u64>,
    /// It was merged away, and somebody has undone it.
    pub is_unmerged: bool,
    /// With live records only; empty unless this record is live itself.
    pub associations: TruthAssociations,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TruthAssociations {
    pub contacts: Vec<u64>,
    /// With whether it is the primary one.
    pub companies: Vec<(u64, bool)>,
    pub deals: Vec<u64>,
}

/// One type of a link, as it is from one end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TruthLink {
    pub from_id: u64,
    pub to_id: u64,
    pub category: &'static str,
    pub type_id: u16,
    pub label: Option<&'static str>,
}

/// The live records, then the archived ones, then those merged away (as they were just before); each part ascends by
/// id. Values are those of the moment the iterator was made, associations those of the moment a record is taken.
#[derive(Debug)]
pub struct Truth<'a> {
    account: &'a Account,
    object: ObjectType,
    catalog: Arc<Catalog>,
    records: std::vec::IntoIter<(Arc<Record>, Option<u64>)>,
}

impl Account {
    pub fn truth(&self, object: ObjectType) -> Truth<'_> {
        let state = self.read();
        let objects = &state.objects[object];
        let listed = objects.live.values().chain(objects.archived.values());
        let merged = objects.merged.iter();
        let records: Vec<_> = listed
            .map(|record| (Arc::clone(record), None))
            .chain(merged.map(|(id, merged)| (Arc::clone(&merged.record), Some(objects.survivor(*id)))))
            .collect();
        Truth { account: self, object, catalog: Arc::clone(&objects.catalog), records: records.into_iter() }
    }
}

impl Account {
    /// Links between the live records of two types, in one direction, once for each of their types. They ascend by
    /// their ends.
    pub fn truth_links(&self, from: ObjectType, to: ObjectType) -> Vec<TruthLink> {
        let state = self.read();
        let mut links = Vec::new();
        for &from_id in state.objects[from].live.keys() {
            for link in state.links(from, from_id, to) {
                links.extend(state.labels(from, to, link).map(|label| TruthLink {
                    from_id,
                    to_id: link.to,
                    category: label.category,
                    type_id: label.type_id,
                    label: label.label,
                }));
            }
        }
        links
    }
}

impl Iterator for Truth<'_> {
    type Item = TruthRecord;

    fn next(&mut self) -> Option<TruthRecord> {
        let (record, merged_into) = self.records.next()?;
        let value = |(index, property): (_, &super::Property)| {
            (property.name.clone(), property.value_of(index, &record).map(Into::into))
        };
        Some(TruthRecord {
            id: record.id,
            properties: self.catalog.current().map(value).collect(),
            created_at: record.created_at,
            updated_at: record.updated_at,
            archived: record.archived_at.is_some(),
            archived_at: record.archived_at,
            merged_into,
            is_unmerged: self.account.read().objects[self.object].unmerged.contains(&record.id),
            associations: associations(&self.account.read(), self.object, record.id),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

fn associations(state: &State, object: ObjectType, id: u64) -> TruthAssociations {
    let ids = |to| state.links(object, id, to).map(|link| link.to).collect();
    let companies = state.links(object, id, ObjectType::Companies);
    TruthAssociations {
        contacts: ids(ObjectType::Contacts),
        companies: companies.map(|link| (link.to, link.is_primary)).collect(),
        deals: ids(ObjectType::Deals),
    }
}

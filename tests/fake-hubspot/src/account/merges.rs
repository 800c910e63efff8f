//! Merges. Since 2025 a merge of contacts or companies ends in a new record with a new id, as it did for deals before;
//! the two old ids are in no list any more, and lead to the survivor only in a read of a single record. HubSpot undoes
//! no merge, but apps do: the survivor then still names the record, until that is merged elsewhere. Which of two
//! survivors is the later one, HubSpot shows of contacts alone.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::past::Source;
use super::properties::Catalog;
use super::record::{PropertyIndex, Record};
use super::{Account, ChangeError, Merged, Objects, State};
use crate::ObjectType;

/// The least by which one modification is later than the one before.
const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

impl Account {
    /// Merges two records. Returns the id of the survivor: a new one, or the primary's where the account merges the
    /// old way.
    pub fn merge(&self, object: ObjectType, primary: u64, merged: u64) -> Result<u64, ChangeError> {
        let now = self.now();
        self.write().merge(object, primary, merged, now, self.settings.merge_keeps_primary_id)
    }
}

impl Account {
    /// Undoes a merge: the record is live again, with its id, its values and its modified date, unless it names one that
    /// was merged into another meanwhile. The survivor stays as it is; a contact gets a new modified date, since it has
    /// fewer submissions and identities. Records that were merged into the restored one before stay merged.
    pub fn undo_merge(&self, object: ObjectType, id: u64) -> Result<(), ChangeError> {
        let now = self.now();
        self.write().undo_merge(object, id, now)
    }
}

impl State {
    pub(super) fn undo_merge(
        &mut self,
        object: ObjectType,
        id: u64,
        now: DateTime<Utc>,
    ) -> Result<(), ChangeError> {
        let objects = &mut self.objects[object];
        let is_first = objects.merged.values().all(|merged| merged.into != id);
        let unknown = ChangeError::UnknownRecord { object, id };
        let Some(Merged { record, into }) = is_first.then(|| objects.merged.remove(&id)).flatten() else {
            return Err(unknown);
        };
        objects.unmerged.insert(id);
        let record = objects.come_back(record, now);
        objects.live.insert(id, Arc::clone(&record));
        objects.index.follow(id, None, Some(record));
        if object == ObjectType::Contacts {
            let mut survivor = into;
            while let Some(merged) = objects.merged.get(&survivor) {
                survivor = merged.into;
            }
            // An archived one keeps its date.
            let _ = objects.replace(object, survivor, |record| {
                (record.updated_at, record.shown_updated_at) = (now, None);
            });
            self.identities.forget_merge(id);
            self.recount_submissions(survivor);
        }
        self.recount((object, id));
        Ok(())
    }

    pub(super) fn merge(
        &mut self,
        object: ObjectType,
        primary: u64,
        merged: u64,
        at: DateTime<Utc>,
        keeps_primary_id: bool,
    ) -> Result<u64, ChangeError> {
        if primary == merged {
            return Err(ChangeError::SameRecord { id: primary });
        }
        let Self { objects, ids, dice, identities, .. } = self;
        let objects = &mut objects[object];
        let live = |id| objects.live.get(&id).cloned().ok_or(ChangeError::UnknownRecord { object, id });
        let (winner, loser) = (live(primary)?, live(merged)?);
        let survivor = if keeps_primary_id { primary } else { ids.next(dice) };
        let record = Arc::new(survivor_of(&objects.catalog, object, survivor, [&winner, &loser], at));

        if object == ObjectType::Contacts {
            let has_email = |record: &Record| {
                objects.catalog.find("email").is_some_and(|(email, _)| record.values.get(email).is_some())
            };
            let heir = if has_email(&winner) || !has_email(&loser) { &winner } else { &loser };
            let gone: Vec<u64> = [primary, merged].into_iter().filter(|old| *old != survivor).collect();
            identities.note_merge(survivor, &gone, heir, at);
        }
        for gone in [winner, loser].into_iter().filter(|record| record.id != survivor) {
            objects.live.remove(&gone.id);
            objects.index.follow(gone.id, Some(Arc::clone(&gone)), None);
            if objects.unmerged.remove(&gone.id) {
                objects.name_no_more(gone.id, at);
            }
            objects.merged.insert(gone.id, Merged { record: gone, into: survivor });
        }
        let before = objects.live.insert(survivor, Arc::clone(&record));
        objects.index.follow(survivor, before, Some(record));

        for old in [primary, merged].into_iter().filter(|old| *old != survivor) {
            self.associations.hand_over(object, old, survivor);
        }
        self.recount((object, survivor));
        if object == ObjectType::Contacts {
            self.recount_submissions(survivor);
            self.lists.hand_over([primary, merged], survivor);
        }
        Ok(survivor)
    }
}

impl Objects {
    /// Takes the id, which is merged once more, out of `hs_merged_object_ids` of the live records that name it.
    fn name_no_more(&mut self, id: u64, at: DateTime<Utc>) {
        let Some((merged_ids, _)) = self.catalog.find("hs_merged_object_ids") else { return };
        let id = id.to_string();
        for (&survivor, record) in &mut self.live {
            let Some(after) = with_names(record, merged_ids, at, |named| *named != id) else { continue };
            let before = std::mem::replace(record, Arc::new(after));
            self.index.follow(survivor, Some(before), Some(Arc::clone(record)));
        }
    }

    /// Returns the record as it is once it is live again. While it was not, it stayed as it was: now it names none that
    /// was merged into another one meanwhile.
    pub(super) fn come_back(&self, record: Arc<Record>, at: DateTime<Utc>) -> Arc<Record> {
        let Some((merged_ids, _)) = self.catalog.find("hs_merged_object_ids") else { return record };
        let is_its_own = |named: &&str| {
            let Ok(mut id) = named.parse::<u64>() else { return true };
            let is_merged = self.merged.contains_key(&id);
            while let Some(merged) = self.merged.get(&id).filter(|_| id != record.id) {
                id = merged.into;
            }
            !is_merged || id == record.id
        };
        with_names(&record, merged_ids, at, is_its_own).map_or_else(|| Arc::clone(&record), Arc::new)
    }
}

/// Returns the record with those names alone in `hs_merged_object_ids` that are to stay; `None` if all are. It is
/// modified, as by a change of any stored property.
fn with_names(
    record: &Record,
    merged_ids: PropertyIndex,
    at: DateTime<Utc>,
    stays: impl FnMut(&&str) -> bool,
) -> Option<Record> {
    let named = record.values.get(merged_ids)?;
    let left: Vec<&str> = named.split(';').filter(stays).collect();
    if left.len() == named.split(';').count() {
        return None;
    }
    let left = Some(left.join(";")).filter(|left| !left.is_empty());
    let mut after = record.clone();
    (after.updated_at, after.shown_updated_at) = (at.max(record.updated_at + MILLISECOND), None);
    after.set(&[(merged_ids, left.as_deref())], after.updated_at, Some(Source::Merge));
    Some(after)
}

/// Makes the survivor: the primary's values with their past, the other's where the primary has none, and the ids of
/// both.
fn survivor_of(
    catalog: &Catalog,
    object: ObjectType,
    id: u64,
    [primary, merged]: [&Record; 2],
    at: DateTime<Utc>,
) -> Record {
    let updated_at = at.max(primary.updated_at).max(merged.updated_at);
    let inherited = merged.values.iter().filter(|(property, _)| primary.values.get(*property).is_none());
    let mut changes: Vec<_> = inherited.map(|(property, value)| (property, Some(value))).collect();

    let trace = trace(catalog, object, id, [primary, merged], updated_at);
    changes.extend(trace.iter().map(|(property, value)| (*property, Some(value.as_str()))));
    let mut survivor = Record {
        id,
        created_at: primary.created_at.min(merged.created_at),
        updated_at,
        shown_updated_at: None,
        archived_at: None,
        values: primary.values.clone(),
        past: primary.past.clone(),
    };
    survivor.set(&changes, updated_at, Some(Source::Merge));
    survivor
}

fn trace(
    catalog: &Catalog,
    object: ObjectType,
    id: u64,
    [primary, merged]: [&Record; 2],
    at: DateTime<Utc>,
) -> Vec<(PropertyIndex, String)> {
    let gone: Vec<u64> =
        [primary.id, merged.id].into_iter().filter(|gone_or_kept| *gone_or_kept != id).collect();
    let text = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(";");
    let mut trace = Vec::new();
    let Some((merged_ids, _)) = catalog.find("hs_merged_object_ids") else { return trace };
    let earlier = [primary, merged].into_iter().filter_map(|record| record.values.get(merged_ids));
    let all_gone = earlier.map(str::to_owned).chain([text(&gone)]).collect::<Vec<_>>().join(";");

    if object == ObjectType::Contacts {
        // Knows the ids of this merge only, not those of the merges before it.
        let with_time: Vec<String> =
            gone.iter().map(|gone| format!("{gone}:{}", at.timestamp_millis())).collect();
        let of_contacts = [
            ("hs_calculated_merged_vids", with_time.join(";")),
            ("hs_all_contact_vids", format!("{id};{all_gone}")),
        ];
        trace
            .extend(of_contacts.into_iter().filter_map(|(name, value)| Some((catalog.find(name)?.0, value))));
    }
    trace.push((merged_ids, all_gone));
    trace
}

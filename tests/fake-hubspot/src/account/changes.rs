//! Changes to single records and to property definitions, with what HubSpot does to the modified date each time: a new
//! value moves it; archiving, restoring, linking and recalculating don't.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::past::{Past, Source};
use super::properties::{Kind, Origin};
use super::record::{PropertyIndex, Record, Values};
use super::standard::{new_property, usual_maker};
use super::values::{Surroundings, write_value};
use super::{Account, EmailEventId, Label, Objects, State, generate};
use crate::ObjectType;
use crate::dice::Dice;
use crate::settings::Further;

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("no such record among the {}: {id}", .object.plural())]
    UnknownRecord { object: ObjectType, id: u64 },
    #[error("the account has no {what} {id}")]
    Unknown { what: &'static str, id: String },
    #[error("not a custom object without records: {}", .object.plural())]
    ObjectInUse { object: ObjectType },
    #[error("no such property of {}: {name}", .object.plural())]
    UnknownProperty { object: ObjectType, name: String },
    #[error("{} have a property {name} already", .object.plural())]
    PropertyExists { object: ObjectType, name: String },
    #[error("HubSpot sets {name} itself")]
    ReadOnlyProperty { name: String },
    #[error("a record can't be merged with itself: {id}")]
    SameRecord { id: u64 },
    #[error("no such list, or it is deleted: {id}")]
    UnknownList { id: u64 },
    #[error("no such form: {id}")]
    UnknownForm { id: String },
    #[error("no such form submission: {id}")]
    UnknownSubmission { id: String },
    #[error("no such e-mail campaign: {id}")]
    UnknownCampaign { id: u64 },
    #[error("no such e-mail event: {} of {}", .event.id, .event.created)]
    UnknownEvent { event: EmailEventId },
}

impl Account {
    /// Makes a custom object, with records of the account's past. One that exists stays as it is.
    pub fn create_custom_object(&self, object: ObjectType, further: Further) {
        let settings = self.settings.clone().with(object, further);
        let mut state = self.write();
        if !state.objects.has(object) {
            let (objects, last_id) = generate::objects(object, &settings);
            state.ids.skip_to(last_id);
            state.objects.insert(object, objects);
            state.former_objects.remove(&object);
        }
    }

    /// Deletes a custom object, which must have no record any more.
    pub fn delete_custom_object(&self, object: ObjectType) -> Result<(), ChangeError> {
        let mut state = self.write();
        let is_empty = state.objects.has(object) && state.objects[object].live.is_empty();
        if !is_empty || !object.is_custom() {
            return Err(ChangeError::ObjectInUse { object });
        }
        state.objects.remove(object);
        state.former_objects.insert(object);
        Ok(())
    }

    pub fn create(&self, object: ObjectType, values: &[(&str, Option<&str>)]) -> Result<u64, ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let State { objects, ids, dice, .. } = &mut *state;
        let objects = &mut objects[object];
        let values = Values::default().with(&objects.resolve(object, values)?);
        let id = ids.next(dice);
        let record = Record {
            id,
            created_at: now,
            updated_at: now,
            shown_updated_at: None,
            archived_at: None,
            values,
            past: Past::default(),
        };
        let record = Arc::new(record);
        objects.live.insert(id, Arc::clone(&record));
        objects.index.follow(id, None, Some(record));
        Ok(id)
    }

    /// Sets values. `None` clears a value; `Some("")` is HubSpot's other way to have none.
    pub fn update(
        &self,
        object: ObjectType,
        id: u64,
        values: &[(&str, Option<&str>)],
    ) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let State { objects, identities, dice, .. } = &mut *state;
        let objects = &mut objects[object];
        let changes = objects.resolve(object, values)?;
        let behind = self.settings.updated_at_behind;
        let stays_behind = behind > 0.0 && dice.chance(behind);
        let email = objects.catalog.find("email").map(|(email, _)| email);
        objects.replace(object, id, |record| {
            let before = record.values.clone();
            record.set(&changes, now, None);
            let has_new_email = email.is_some_and(|email| record.values.get(email) != before.get(email));
            if object == ObjectType::Contacts && has_new_email {
                identities.note_email(id, now);
            }
            let shown = record.shown_updated_at.unwrap_or(record.updated_at);
            record.shown_updated_at = stays_behind.then_some(shown);
            record.updated_at = now.max(record.updated_at);
        })
    }

    /// Edits the record in a way that shows in its modified date alone.
    pub fn touch(&self, object: ObjectType, id: u64) -> Result<(), ChangeError> {
        self.update(object, id, &[])
    }

    /// Gives a property another value as a recalculation does: the modified date stays.
    pub fn set_calculated(
        &self,
        object: ObjectType,
        id: u64,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let objects = &mut state.objects[object];
        let changes = objects.resolve(object, &[(name, value)])?;
        objects.replace(object, id, |record| record.set(&changes, now, Some(Source::Calculation)))
    }

    /// Moves the record to the recycle bin; its modified date stays.
    pub fn archive(&self, object: ObjectType, id: u64) -> Result<(), ChangeError> {
        let now = self.now();
        self.write().objects[object].archive(object, id, now)
    }

    /// Takes the record out of the recycle bin; its modified date stays, unless it names a record as merged that was
    /// merged into another one meanwhile.
    pub fn restore(&self, object: ObjectType, id: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        let now = self.now();
        let objects = &mut state.objects[object];
        let archived = objects.archived.remove(&id).ok_or(ChangeError::UnknownRecord { object, id })?;
        let record = Arc::new(Record { archived_at: None, ..(*archived).clone() });
        let record = objects.come_back(record, now);
        objects.live.insert(id, Arc::clone(&record));
        objects.index.follow(id, None, Some(record));
        Ok(())
    }

    /// Deletes the record for privacy: it is in no list any more, nor in the recycle bin.
    pub fn purge(&self, object: ObjectType, id: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        let State { objects, associations, .. } = &mut *state;
        let objects = &mut objects[object];
        let live = objects.live.remove(&id);
        if live.is_none() && objects.archived.remove(&id).is_none() {
            return Err(ChangeError::UnknownRecord { object, id });
        }
        objects.index.follow(id, live, None);
        objects.purged.insert(id);
        associations.forget(object, id);
        Ok(())
    }

    /// Links two records; the modified dates stay, though the numbers of associated records change.
    pub fn associate(
        &self,
        from: (ObjectType, u64),
        to: (ObjectType, u64),
        label: Label,
    ) -> Result<(), ChangeError> {
        let mut state = self.write();
        for (object, id) in [from, to] {
            state.objects[object].live.get(&id).ok_or(ChangeError::UnknownRecord { object, id })?;
        }
        state.associations.link(from, to, label);
        state.recount(from);
        state.recount(to);
        Ok(())
    }

    /// Removes a link. Returns `true` if there was one.
    pub fn dissociate(&self, from: (ObjectType, u64), to: (ObjectType, u64)) -> bool {
        let mut state = self.write();
        let was_linked = state.associations.unlink(from, to);
        if was_linked {
            state.recount(from);
            state.recount(to);
        }
        was_linked
    }

    /// Edits up to `count` records in bulk: all get the same modified date. Returns their ids.
    pub fn touch_many_in_one_ms(&self, object: ObjectType, count: usize) -> Vec<u64> {
        let now = self.now();
        let mut state = self.write();
        let objects = &mut state.objects[object];
        let ids: Vec<u64> = objects.live.keys().copied().take(count).collect();
        for id in &ids {
            // All of them are live.
            let _ = objects.replace(object, *id, |record| {
                (record.updated_at, record.shown_updated_at) = (now, None);
            });
        }
        ids
    }

    pub fn add_property(&self, object: ObjectType, name: &str, kind: Kind) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let catalog = &mut state.objects[object].catalog;
        if catalog.find(name).is_some() {
            return Err(ChangeError::PropertyExists { object, name: name.to_owned() });
        }
        Arc::make_mut(catalog).add(new_property(name.to_owned(), kind, usual_maker(kind), now));
        Ok(())
    }

    pub fn archive_property(&self, object: ObjectType, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_property(object, name, |property| property.archived_at = Some(now))
    }

    /// Deletes the property and makes it again under its name: no record has a value of it any more, nor a past, and none
    /// is modified by that.
    pub fn remake_property(&self, object: ObjectType, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let objects = &mut state.objects[object];
        let property = Arc::make_mut(&mut objects.catalog).find_any_mut(name);
        let property =
            property.ok_or_else(|| ChangeError::UnknownProperty { object, name: name.to_owned() })?;
        (property.created_at, property.updated_at, property.archived_at) = (now, now, None);
        let emptied = objects.resolve(object, &[(name, None)])?;
        let live: Vec<u64> = objects.live.keys().copied().collect();
        for id in live {
            objects.replace(object, id, |record| record.empty(&emptied))?;
        }
        for record in objects.archived.values_mut() {
            Arc::make_mut(record).empty(&emptied);
        }
        Ok(())
    }

    /// Changes a property's type. The values stay as they are, whether they fit the new type or not.
    pub fn change_property_type(
        &self,
        object: ObjectType,
        name: &str,
        kind: Kind,
    ) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_property(object, name, |property| {
            let changed = new_property(property.name.clone(), kind, usual_maker(kind), property.created_at);
            *property = super::Property { updated_at: now, ..changed };
        })
    }

    fn change_property(
        &self,
        object: ObjectType,
        name: &str,
        change: impl FnOnce(&mut super::Property),
    ) -> Result<(), ChangeError> {
        let mut state = self.write();
        let property = Arc::make_mut(&mut state.objects[object].catalog).find_mut(name);
        change(property.ok_or_else(|| ChangeError::UnknownProperty { object, name: name.to_owned() })?);
        Ok(())
    }

    /// Draws a value that this property might have, for changes made at random.
    pub(crate) fn plausible_value(&self, object: ObjectType, dice: &mut Dice) -> (String, String) {
        let state = self.read();
        let settable: Vec<_> = state.objects[object]
            .catalog
            .current()
            .filter(|(_, property)| property.origin == Origin::Stored && !property.is_read_only())
            .collect();
        let (_, property) = settable[dice.below(settable.len() as u64) as usize];
        let around = Surroundings {
            record_id: dice.below(1_000_000),
            created_at: self.settings.start - chrono::TimeDelta::days(365),
            newest: self.settings.start,
            width: self.settings.value_width,
            odd_values: self.settings.odd_values,
        };
        let mut value = String::new();
        write_value(property, &around, dice, &mut value);
        (property.name.clone(), value)
    }
}

impl State {
    /// Brings the numbers of associated records up to date; the modified date stays.
    pub(super) fn recount(&mut self, (object, id): (ObjectType, u64)) {
        let counted: &[(&str, ObjectType)] = match object {
            ObjectType::Contacts => &[("num_associated_deals", ObjectType::Deals)],
            ObjectType::Companies => &[
                ("num_associated_contacts", ObjectType::Contacts),
                ("num_associated_deals", ObjectType::Deals),
            ],
            ObjectType::Deals => &[("num_associated_contacts", ObjectType::Contacts)],
            _ => &[],
        };
        for (name, other) in counted {
            let count = self.associations.of(object, id, *other).len().to_string();
            let objects = &mut self.objects[object];
            let Some((property, _)) = objects.catalog.find(name) else { continue };
            let change = [(property, Some(count.as_str()))];
            // An archived record keeps its number.
            let _ = objects.replace(object, id, |record| record.values = record.values.with(&change));
        }
    }
}

impl Objects {
    pub(super) fn replace(
        &mut self,
        object: ObjectType,
        id: u64,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), ChangeError> {
        let slot = self.live.get_mut(&id).ok_or(ChangeError::UnknownRecord { object, id })?;
        let before = Arc::clone(slot);
        let mut after = (**slot).clone();
        change(&mut after);
        *slot = Arc::new(after);
        self.index.follow(id, Some(before), Some(Arc::clone(slot)));
        Ok(())
    }

    pub(super) fn archive(
        &mut self,
        object: ObjectType,
        id: u64,
        at: DateTime<Utc>,
    ) -> Result<(), ChangeError> {
        let live = self.live.remove(&id).ok_or(ChangeError::UnknownRecord { object, id })?;
        self.archived.insert(id, Arc::new(Record { archived_at: Some(at), ..(*live).clone() }));
        self.index.follow(id, Some(live), None);
        Ok(())
    }

    fn resolve<'a>(
        &self,
        object: ObjectType,
        values: &[(&str, Option<&'a str>)],
    ) -> Result<Vec<(PropertyIndex, Option<&'a str>)>, ChangeError> {
        let resolved = values.iter().map(|(name, value)| match self.catalog.find(name) {
            Some((index, property)) if property.origin == Origin::Stored => Ok((index, *value)),
            Some(_) => Err(ChangeError::ReadOnlyProperty { name: (*name).to_owned() }),
            None => Err(ChangeError::UnknownProperty { object, name: (*name).to_owned() }),
        });
        resolved.collect()
    }
}

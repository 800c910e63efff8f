//! The past of a record's values: what each property was, since when, and who set it. A property that was never set
//! anew has no entry of its own: its only value is as old as the record.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::properties::{Origin, Property};
use super::record::{PropertyIndex, Record};
use super::values::{Surroundings, write_value};
use super::{Account, ChangeError};
use crate::ObjectType;
use crate::dice::{Dice, mix};

/// Values that were set, in the order in which that happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past(Option<Arc<Vec<Entry>>>);

#[derive(Debug, Clone)]
struct Entry {
    property: PropertyIndex,
    value: Box<str>,
    at: DateTime<Utc>,
    source: Source,
}

/// A value that a property has or had.
#[derive(Debug, Clone)]
pub(crate) struct PastValue<'a> {
    pub(crate) value: Cow<'a, str>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) source: Source,
}

/// Who set a value, in words that recorded answers of HubSpot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A person, by the id of a user.
    Person(u32),
    Import,
    /// An app, by its id.
    App(u32),
    Workflow(u32),
    Calculation,
    Form,
    Merge,
}

/// Id of the user who is named as the one who set a value, where there is one.
const USER: u32 = 41_000_007;
/// Property that a value of the record's own creation is drawn with.
const CREATION: u64 = 0x5eed_9a57;

impl Source {
    /// Draws one, the same for the same value.
    fn of(id: u64, salt: u64) -> Self {
        let number = mix(id ^ mix(salt));
        match number % 5 {
            0 | 1 => Self::Person(USER + (number >> 8) as u32 % 3),
            2 => Self::Import,
            3 => Self::App(1_508_169),
            _ => Self::Workflow((number >> 8) as u32 % 90_000),
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Person(_) => "CRM_UI",
            Self::Import => "IMPORT",
            Self::App(_) => "INTEGRATION",
            Self::Workflow(_) => "AUTOMATION_PLATFORM",
            Self::Calculation => "CALCULATED",
            Self::Form => "FORM",
            Self::Merge => "MERGE_OBJECTS",
        }
    }

    pub(crate) fn id(self) -> Option<String> {
        match self {
            Self::Person(user) => Some(format!("userId:{user}")),
            Self::Import => Some("28811563".to_owned()),
            Self::App(app) => Some(app.to_string()),
            Self::Workflow(enrollment) => Some(format!("enrollmentId:{enrollment};actionExecutionIndex:0")),
            Self::Calculation | Self::Form | Self::Merge => None,
        }
    }

    pub(crate) fn label(self) -> Option<&'static str> {
        match self {
            Self::App(_) => Some("Billing \u{2194} \"CRM\""),
            Self::Workflow(_) => Some("Deal stage automation"),
            _ => None,
        }
    }

    pub(crate) fn user(self) -> Option<u32> {
        match self {
            Self::Person(user) => Some(user),
            _ => None,
        }
    }
}

impl Past {
    fn of(&self, property: PropertyIndex) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.iter().flat_map(|entries| entries.iter()).filter(move |entry| entry.property == property)
    }

    fn push(&mut self, entry: Entry) {
        Arc::make_mut(self.0.get_or_insert_default()).push(entry);
    }

    /// Forgets all values of a property.
    pub(crate) fn forget(&mut self, property: PropertyIndex) {
        if let Some(entries) = &mut self.0 {
            Arc::make_mut(entries).retain(|entry| entry.property != property);
        }
    }
}

impl Record {
    /// Sets values at a moment, and keeps those that they had; `None` and an empty text are the same to a past.
    pub(crate) fn set(
        &mut self,
        changes: &[(PropertyIndex, Option<&str>)],
        at: DateTime<Utc>,
        source: Option<Source>,
    ) {
        let before = std::mem::take(&mut self.values);
        self.values = before.with(changes);
        for (property, _) in changes {
            let (old, new) = (before.get(*property), self.values.get(*property).unwrap_or(""));
            let newest = self.past.of(*property).next_back();
            // A property that is named twice is set once.
            if old.unwrap_or("") == new || newest.is_some_and(|newest| &*newest.value == new) {
                continue;
            }
            // No value is older than the one before it.
            let at = newest.map_or(at, |newest| newest.at.max(at));
            let source = source
                .unwrap_or_else(|| Source::of(self.id, u64::from(*property) ^ at.timestamp_millis() as u64));
            let first =
                Entry { property: *property, value: "".into(), at: self.created_at, source: self.creator() };
            let first = old.filter(|_| newest.is_none()).map(|old| Entry { value: old.into(), ..first });
            let set = Entry { property: *property, value: new.into(), at, source };
            first.into_iter().chain([set]).for_each(|entry| self.past.push(entry));
        }
    }

    /// Takes properties from the record, as if they had never been there.
    pub(crate) fn empty(&mut self, properties: &[(PropertyIndex, Option<&str>)]) {
        self.values = self.values.with(properties);
        properties.iter().for_each(|(property, _)| self.past.forget(*property));
    }

    fn creator(&self) -> Source {
        Source::of(self.id, CREATION)
    }

    /// Returns the values of a property, the newest first; of several of one moment, the one that was set last. What
    /// HubSpot sets itself has one.
    pub(crate) fn past_of(&self, index: PropertyIndex, property: &Property) -> Vec<PastValue<'_>> {
        if property.origin != Origin::Stored {
            let at = if property.origin == Origin::UpdatedAt { self.updated_at } else { self.created_at };
            let value = property.value_of(index, self);
            return value
                .map(|value| PastValue { value, at, source: Source::Calculation })
                .into_iter()
                .collect();
        }
        let mut values: Vec<PastValue<'_>> = self
            .past
            .of(index)
            .rev()
            .map(|entry| PastValue { value: (&*entry.value).into(), at: entry.at, source: entry.source })
            .collect();
        values.sort_by_key(|value| Reverse(value.at));
        if values.is_empty()
            && let Some(value) = self.values.get(index)
        {
            values.push(PastValue { value: value.into(), at: self.created_at, source: self.creator() });
        }
        values
    }
}

/// A value that a property has or had, as a client must come to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthPastValue {
    pub id: u64,
    /// 0 for the first value, and so on up to the newest.
    pub place: usize,
    pub value: String,
    pub at: DateTime<Utc>,
    /// When the next value was set.
    pub until: Option<DateTime<Utc>>,
    pub source_type: &'static str,
    pub source_id: Option<String>,
    pub source_label: Option<&'static str>,
    pub user: Option<u32>,
}

impl Account {
    /// Returns the values that a property has and had, of the live records and then of the archived ones; the oldest of
    /// each first. A property that is archived, or unknown, has none.
    pub fn truth_past(&self, object: ObjectType, name: &str) -> Vec<TruthPastValue> {
        let state = self.read();
        let objects = &state.objects[object];
        let Some((index, property)) = objects.catalog.find(name) else { return Vec::new() };
        let mut truth = Vec::new();
        for record in objects.live.values().chain(objects.archived.values()) {
            let mut values = record.past_of(index, property);
            values.reverse();
            for (place, value) in values.iter().enumerate() {
                truth.push(TruthPastValue {
                    id: record.id,
                    place,
                    value: value.value.clone().into_owned(),
                    at: value.at,
                    until: values.get(place + 1).map(|next| next.at),
                    source_type: value.source.kind(),
                    source_id: value.source.id(),
                    source_label: value.source.label(),
                    user: value.source.user(),
                });
            }
        }
        truth
    }

    /// Gives each record, live or archived, `count` values of these properties in its past; the last is the one that it
    /// has. Some are set at one moment, some are empty. No modified date moves.
    pub fn give_past(&self, object: ObjectType, names: &[&str], count: usize) -> Result<(), ChangeError> {
        let mut state = self.write();
        let objects = &mut state.objects[object];
        for name in names {
            let unknown = || ChangeError::UnknownProperty { object, name: (*name).to_owned() };
            let (index, property) = objects.catalog.find(name).ok_or_else(unknown)?;
            let property = property.clone();
            for record in objects.live.values_mut().chain(objects.archived.values_mut()) {
                // Shared with the index, which shows no past.
                let record = Arc::make_mut(record);
                record.past.forget(index);
                let mut dice = Dice::nth(self.settings.seed ^ u64::from(index), record.id);
                let span = (record.updated_at - record.created_at).num_milliseconds();
                let mut moments: Vec<i64> = (1..count).map(|_| dice.between(0, span + 1)).collect();
                moments.sort_unstable();
                let around = Surroundings {
                    record_id: record.id,
                    created_at: record.created_at,
                    newest: record.updated_at,
                    width: self.settings.value_width,
                    odd_values: self.settings.odd_values,
                };
                let mut at = record.created_at;
                for place in 0..count {
                    let mut value = String::new();
                    if place + 1 == count {
                        value.push_str(record.values.get(index).unwrap_or(""));
                    } else if !dice.chance(0.1) {
                        write_value(&property, &around, &mut dice, &mut value);
                    }
                    if place > 0 && !dice.chance(0.2) {
                        at = at.max(record.created_at + TimeDelta::milliseconds(moments[place - 1]));
                    }
                    let source = Source::of(record.id, dice.roll());
                    record.past.push(Entry { property: index, value: value.into(), at, source });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::properties::Kind;
    use crate::account::record::Values;
    use crate::account::standard::new_property;
    use crate::account::values::Maker;

    fn record() -> Record {
        let now = DateTime::UNIX_EPOCH;
        let values = Values::default().with(&[(1, Some("a")), (2, Some("x"))]);
        Record {
            id: 7,
            created_at: now,
            updated_at: now,
            shown_updated_at: None,
            archived_at: None,
            values,
            past: Past::default(),
        }
    }

    fn past(record: &Record, index: PropertyIndex) -> Vec<(String, i64)> {
        let property = new_property("p".to_owned(), Kind::String, Maker::Words, record.created_at);
        let values = record.past_of(index, &property).into_iter();
        values.map(|value| (value.value.into_owned(), value.at.timestamp_millis())).collect()
    }

    fn told(values: &[(&str, i64)]) -> Vec<(String, i64)> {
        values.iter().map(|&(value, at)| (value.to_owned(), at)).collect()
    }

    #[test]
    fn values_before_are_kept_newest_first() {
        let at = |ms| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
        let mut record = record();
        assert_eq!(past(&record, 1), told(&[("a", 0)]));
        record.set(&[(1, Some("b")), (3, Some("new"))], at(5), None);
        record.set(&[(1, None)], at(5), None);
        record.set(&[(1, Some(""))], at(6), None);
        record.set(&[(1, Some("c")), (2, Some("x"))], at(4), Some(Source::Merge));
        assert_eq!(past(&record, 1), told(&[("c", 5), ("", 5), ("b", 5), ("a", 0)]));
        assert_eq!(past(&record, 2), told(&[("x", 0)]));
        assert_eq!(past(&record, 3), told(&[("new", 5)]));
        assert_eq!(past(&record, 4), told(&[]));
        record.past.forget(1);
        assert_eq!(past(&record, 1), told(&[("c", 0)]));
    }
}

//! One record. Its values lie in one string, indexed by property number: an account of 200,000 contacts with 60
//! properties would be twice as large as a map of strings per record.

use chrono::{DateTime, Utc};

use super::past::Past;

/// The place of a property in its [`Catalog`](super::properties::Catalog); it never changes.
pub(crate) type PropertyIndex = u16;

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// The value of `updatedAt`, where it stays behind the modified date.
    pub(crate) shown_updated_at: Option<DateTime<Utc>>,
    pub(crate) archived_at: Option<DateTime<Utc>>,
    pub(crate) values: Values,
    pub(crate) past: Past,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    /// Ascending by property; properties without a value have no slot.
    slots: Box<[Slot]>,
    text: Box<str>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    property: PropertyIndex,
    /// End of the value in the text; it starts at the end of the one before.
    end: u32,
}

impl Values {
    pub(crate) fn get(&self, property: PropertyIndex) -> Option<&str> {
        let place = self.slots.binary_search_by_key(&property, |slot| slot.property).ok()?;
        Some(self.text_at(place))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PropertyIndex, &str)> {
        self.slots.iter().enumerate().map(|(place, slot)| (slot.property, self.text_at(place)))
    }

    /// These values with some set anew; `None` takes a value away.
    pub(crate) fn with(&self, changes: &[(PropertyIndex, Option<&str>)]) -> Self {
        let change = |property| changes.iter().rev().find(|(changed, _)| *changed == property);
        let kept = self.iter().filter(|(property, _)| change(*property).is_none());
        let set = changes.iter().filter_map(|(property, _)| Some((*property, change(*property)?.1?)));
        let mut values: Vec<_> = kept.chain(set).collect();
        values.sort_unstable_by_key(|(property, _)| *property);
        values.dedup_by_key(|(property, _)| *property);

        let mut packer = Packer::default();
        for (property, value) in values {
            packer.push(property, |text| text.push_str(value));
        }
        packer.finish()
    }

    fn text_at(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.slots[place - 1].end };
        &self.text[start as usize..self.slots[place].end as usize]
    }
}

/// Packs values that come in ascending order of their properties. One packer makes many records, without allocating
/// anew for each.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    slots: Vec<Slot>,
    text: String,
}

impl Packer {
    pub(crate) fn push(&mut self, property: PropertyIndex, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.slots.push(Slot { property, end: self.text.len() as u32 });
    }

    pub(crate) fn finish(&mut self) -> Values {
        let values = Values { slots: self.slots.as_slice().into(), text: self.text.as_str().into() };
        self.slots.clear();
        self.text.clear();
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(PropertyIndex, &str)]) -> Values {
        Values::default().with(&pairs.iter().map(|(p, v)| (*p, Some(*v))).collect::<Vec<_>>())
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let values = values(&[(3, "c"), (1, ""), (2, "b")]);
        assert_eq!((values.get(1), values.get(2), values.get(3)), (Some(""), Some("b"), Some("c")));
        assert_eq!(values.get(0), None);
    }

    #[test]
    fn the_last_change_of_a_property_wins() {
        let values = values(&[(1, "a"), (2, "b")]);
        let values = values.with(&[(1, Some("x")), (4, Some("d")), (1, Some("y")), (2, None)]);
        assert_eq!(values.iter().collect::<Vec<_>>(), [(1, "y"), (4, "d")]);
    }
}

//! The quarantine: things that HubSpot answers badly, set aside by name.
//!
//! One record, campaign or form that HubSpot can't show must not hold back all others. After a bounded number of tries
//! it is set aside: the run goes on without it, its row stays as it was, and the report names it. Each later run asks
//! for it again, and the first good answer releases it.
//!
//! Names are HubSpot's ids. Nothing that is personal data may be one: an e-mail address is named by the contact's id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Things that a quarantine holds at the most. More of them are no odd ones out: then the run is to be repeated whole.
const MAX_THINGS: usize = 1_000;
/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 300;

/// Things set aside, by their kind and their id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    things: BTreeMap<String, BTreeMap<String, SetAside>>,
    /// Things for which there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    overflow: u64,
}

/// One thing's entry in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The table that lacks it, or holds its old row.
    pub collection: String,
    /// HubSpot's last answer.
    pub reason: String,
    /// The moment when it was first set aside, by HubSpot's clock.
    pub since_ms: i64,
    /// Runs that have asked for it in vain.
    pub runs: u32,
    /// The run under way has asked for it in vain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_again: bool,
}

/// The name of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing<'a> {
    /// The kind, in the singular: `record`, `campaign`, `form`, `associations with companies`.
    pub kind: &'a str,
    pub id: &'a str,
    /// The table that lacks it.
    pub collection: &'a str,
}

impl Quarantine {
    pub fn is_empty(&self) -> bool {
        self.things.is_empty() && self.overflow == 0
    }

    /// The number of things set aside, those included for which there was no room.
    pub fn count(&self) -> u64 {
        self.things.values().map(|things| things.len() as u64).sum::<u64>() + self.overflow
    }

    /// The number of things for which there was no room.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Every thing: kind, id, entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &SetAside)> {
        self.things.iter().flat_map(|(kind, things)| {
            things.iter().map(move |(id, entry)| (kind.as_str(), id.as_str(), entry))
        })
    }

    /// The ids of a kind.
    pub fn ids(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.things.get(kind).into_iter().flat_map(|things| things.keys().map(String::as_str))
    }

    pub fn holds(&self, kind: &str, id: &str) -> bool {
        self.things.get(kind).is_some_and(|things| things.contains_key(id))
    }

    pub(super) fn set_aside(&mut self, thing: Thing<'_>, reason: &str, now_ms: i64) {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let is_full = self.things.values().map(BTreeMap::len).sum::<usize>() >= MAX_THINGS;
        if let Some(known) = self.things.get_mut(thing.kind).and_then(|things| things.get_mut(thing.id)) {
            (known.reason, known.is_again) = (reason, true);
            return;
        }
        if is_full {
            self.overflow += 1;
            return;
        }
        let entry = SetAside {
            collection: thing.collection.to_owned(),
            reason,
            since_ms: now_ms,
            runs: 0,
            is_again: true,
        };
        self.things.entry(thing.kind.to_owned()).or_default().insert(thing.id.to_owned(), entry);
    }

    pub(super) fn release(&mut self, kind: &str, id: &str) {
        let Some(things) = self.things.get_mut(kind) else { return };
        things.remove(id);
        if things.is_empty() {
            self.things.remove(kind);
        }
    }

    /// Releases the things of a kind that were not set aside again.
    pub(super) fn release_what_was_not_set_aside_again(&mut self, kind: &str) {
        if let Some(things) = self.things.get_mut(kind) {
            things.retain(|_, entry| entry.is_again);
            if things.is_empty() {
                self.things.remove(kind);
            }
        }
    }

    /// The quarantine of a new run: everything that is still set aside.
    pub(super) fn of_new_run(&self) -> Quarantine {
        let mut things = self.things.clone();
        for entry in things.values_mut().flat_map(BTreeMap::values_mut) {
            entry.is_again = false;
        }
        Quarantine { things, overflow: 0 }
    }

    /// Adds what the planning of a run has set aside.
    pub(super) fn absorb(&mut self, planned: Quarantine) {
        for (kind, things) in planned.things {
            for (id, entry) in things {
                let thing = Thing { kind: &kind, id: &id, collection: &entry.collection };
                self.set_aside(thing, &entry.reason, entry.since_ms);
            }
        }
        self.overflow += planned.overflow;
    }

    /// The run that asked for all of these has ended.
    pub(super) fn end_run(mut self) -> Quarantine {
        for entry in self.things.values_mut().flat_map(BTreeMap::values_mut) {
            entry.runs += 1;
        }
        self
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::super::unfinished::{Mode, Unfinished};
    use super::*;

    fn thing(id: &str) -> Thing<'_> {
        Thing { kind: "campaign", id, collection: "email_campaigns" }
    }

    #[test]
    fn a_thing_is_set_aside_until_it_is_released() {
        let mut run = Unfinished::new(Mode::Incremental, 7, 0);
        run.set_aside(thing("1"), "403");
        run.set_aside(thing("1"), "500");
        run.set_aside(thing("2"), "403");
        run.release("campaign", 2);
        run.release("form", 1);
        let entries: Vec<_> = run.quarantine.iter().collect();
        let [("campaign", "1", entry)] = entries[..] else { panic!("{entries:?}") };
        assert_eq!((entry.reason.as_str(), entry.since_ms, entry.runs), ("500", 7, 0));
        run.release("campaign", "1");
        assert!(run.quarantine.is_empty());
    }

    #[test]
    fn a_later_run_asks_again_and_counts() {
        let mut quarantine = Quarantine::default();
        quarantine.set_aside(thing("1"), "403", 7);
        let mut next = quarantine.end_run().of_new_run();
        next.set_aside(thing("1"), "403", 99);
        let entry = next.end_run().iter().next().map(|(_, _, entry)| entry.clone()).unwrap();
        assert_eq!((entry.since_ms, entry.runs), (7, 2));
    }

    #[test]
    fn what_is_not_set_aside_again_is_released() {
        let mut before = Quarantine::default();
        for id in ["1", "2"] {
            before.set_aside(thing(id), "403", 7);
        }
        let mut run = Unfinished::new(Mode::Incremental, 99, 0);
        run.quarantine = before.end_run().of_new_run();
        let mut planned = Quarantine::default();
        planned.set_aside(thing("2"), "500", 99);
        run.quarantine.absorb(planned);
        run.release_what_was_not_set_aside_again("form");
        run.release_what_was_not_set_aside_again("campaign");
        let left: Vec<_> =
            run.quarantine.iter().map(|(_, id, entry)| (id, entry.since_ms, entry.runs)).collect();
        assert_eq!(left, [("2", 7, 1)]);
    }

    #[test]
    fn too_many_things_are_read_with_everything_else() {
        let mut run = Unfinished::new(Mode::Incremental, 7, 0);
        for id in 0..=MAX_THINGS {
            run.set_aside(thing(&id.to_string()), "500");
        }
        assert_eq!((run.quarantine.count(), run.quarantine.overflow()), (MAX_THINGS as u64 + 1, 1));
        assert!(run.needs_whole);
        assert_eq!(run.quarantine.of_new_run().overflow(), 0);
    }

    #[test]
    fn a_quarantine_survives_the_state() {
        let mut quarantine = Quarantine::default();
        quarantine.set_aside(thing("1"), "403", 7);
        let text = serde_json::to_string(&quarantine).unwrap();
        assert_eq!(serde_json::from_str::<Quarantine>(&text).unwrap(), quarantine);
        assert_eq!(serde_json::to_string(&Quarantine::default()).unwrap(), "{}");
    }
}

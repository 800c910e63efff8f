//! Makes an account from its settings. Each record has random numbers of its own, so a further property or record does
//! not change the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::associations::{Associations, Label};
use super::emails::{self, Emails};
use super::forms::{self, Forms};
use super::identities::Identities;
use super::ids::Ids;
use super::index::Index;
use super::lists::{self, Lists};
use super::past::Past;
use super::properties::{Catalog, Origin};
use super::record::{Packer, Record};
use super::subscriptions::{self, Subscriptions};
use super::values::{Surroundings, write_value};
use super::{Objects, State, marketing_tools, metadata, standard};
use crate::dice::{Dice, mix};
use crate::object_type::OfAccount;
use crate::{ObjectType, Settings, time};

/// Seed of the choice of records whose `updatedAt` stays behind.
const BEHIND: u64 = 0x6265_6869_6e64;
const YEARS: TimeDelta = TimeDelta::days(4 * 365);
/// Greatest age of an archived record: less than the 90 days for which HubSpot keeps them.
const RECYCLE_BIN: TimeDelta = TimeDelta::days(80);

pub(super) fn state(settings: &Settings) -> State {
    let mut last_id = 0;
    let mut objects = |object| {
        let (objects, last) = objects(object, settings);
        if !objects.live.is_empty() {
            last_id = last_id.max(last);
        }
        objects
    };
    let is_there = |object: &ObjectType| match object.is_custom() {
        true => settings.further.contains_key(object),
        false => !settings.absent.contains(object),
    };
    let objects: OfAccount<Objects> =
        ObjectType::all().filter(is_there).map(|object| (object, objects(object))).collect();
    let dice = Dice::nth(settings.seed, 1);
    let mut state = State {
        objects,
        former_objects: BTreeSet::new(),
        identities: Identities::default(),
        forms: Forms::default(),
        lists: Lists::default(),
        emails: Emails::default(),
        subscriptions: Subscriptions::default(),
        metadata: metadata::generate(settings),
        marketing_tools: marketing_tools::generate(settings),
        associations: Associations::default(),
        ids: Ids::after(last_id),
        dice,
    };
    associate(&mut state, settings);
    associate_further(&mut state, settings);
    for object in state.types() {
        archive_some(&mut state, object, settings);
        merge_some(&mut state, object, settings);
        undo_some_merges(&mut state, object, settings);
    }
    add_marketing(&mut state, settings);
    state
}

/// Adds forms, lists, e-mails and subscriptions. They come last, with random numbers of their own, so that the records
/// are the same with and without them.
fn add_marketing(state: &mut State, settings: &Settings) {
    let newest = History::new(settings).newest;
    let contacts = &state.objects[ObjectType::Contacts];
    let email = contacts.catalog.find("email").map(|(email, _)| email);
    let address = |record: &Record| -> Option<Arc<str>> { Some(Arc::from(record.values.get(email?)?)) };
    let recipients: Vec<Arc<str>> = contacts
        .live
        .values()
        .filter_map(|record| address(record))
        .filter(|address| !address.is_empty())
        .collect();
    let people = contacts.live.values().chain(contacts.archived.values());
    let people = people.chain(contacts.merged.values().map(|merged| &merged.record));
    let people = people.map(|record| {
        let email = email.and_then(|email| record.values.get(email));
        (&**record, email.unwrap_or_default())
    });

    state.forms = forms::generate(settings, newest, people);
    state.lists = lists::generate(settings, newest, &state.objects);
    state.emails = emails::generate(settings, newest, &recipients);
    state.subscriptions = subscriptions::generate(settings, newest, &recipients, &mut state.emails);
    let contacts: Vec<u64> = state.objects[ObjectType::Contacts].live.keys().copied().collect();
    for contact in contacts {
        state.recount_submissions(contact);
    }
}

/// The moments between which an account's history lies.
#[derive(Debug, Clone, Copy)]
struct History {
    newest: DateTime<Utc>,
    bulk_edit: DateTime<Utc>,
    bulk_import: DateTime<Utc>,
    last_creation: DateTime<Utc>,
    oldest: DateTime<Utc>,
}

impl History {
    fn new(settings: &Settings) -> Self {
        let newest = settings.start - settings.newest;
        Self {
            newest,
            bulk_edit: newest - TimeDelta::days(1),
            bulk_import: newest - TimeDelta::days(2),
            last_creation: newest - TimeDelta::days(3),
            oldest: newest - YEARS,
        }
    }
}

/// Makes the records of a type. Returns them with the last id that was taken.
pub(super) fn objects(object: ObjectType, settings: &Settings) -> (Objects, u64) {
    let seed = settings.seed ^ (object as u64 + 1) << 56;
    let history = History::new(settings);
    let mut dice = Dice::nth(seed, 2);
    let further = settings.further(object);
    let custom = settings.custom_properties.of(object).unwrap_or(further.custom_properties);
    let catalog = standard::catalog(object, custom, history.oldest, &mut dice);
    let mut ids = Ids::new(object == ObjectType::Contacts, &mut dice);

    let ordinary = settings.records.of(object).unwrap_or(further.records);
    let bulk = settings.bulk_import.of(object).unwrap_or(0);
    let mut live = BTreeMap::new();
    let mut packer = Packer::default();
    for number in 0..ordinary + bulk {
        if number == ordinary {
            ids.begin_dense(bulk as u64);
        }
        let id = ids.next(&mut dice);
        let mut own = Dice::nth(seed, id);
        let (created_at, updated_at) = if number < ordinary {
            dates(&history, number, ordinary, settings.bulk_edited, &mut own)
        } else {
            (history.bulk_import, history.bulk_import)
        };
        let around = Surroundings {
            record_id: id,
            created_at,
            newest: history.newest,
            width: settings.value_width,
            odd_values: settings.odd_values,
        };
        fill(&catalog, &around, &mut own, &mut packer);
        let is_behind = (mix(id ^ BEHIND) % 1_000) as f64 / 1_000.0 < settings.updated_at_behind;
        let record = Record {
            id,
            created_at,
            updated_at,
            shown_updated_at: is_behind.then_some(created_at),
            archived_at: None,
            values: packer.finish(),
            past: Past::default(),
        };
        live.insert(id, Arc::new(record));
    }
    let objects = Objects {
        catalog: Arc::new(catalog),
        live,
        archived: BTreeMap::new(),
        merged: BTreeMap::new(),
        unmerged: BTreeSet::new(),
        purged: BTreeSet::new(),
        index: Index::new(seed),
    };
    (objects, ids.last())
}

/// Draws the dates of a record. Creation ascends with the number, as ids do. Most modifications are recent: a third
/// within the last month.
fn dates(
    history: &History,
    number: usize,
    of: usize,
    bulk_edited: f64,
    dice: &mut Dice,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let span = (history.last_creation - history.oldest).num_milliseconds() / of as i64;
    let since_oldest = TimeDelta::milliseconds(span * number as i64 + dice.between(0, span));
    let created_at = history.oldest + since_oldest;
    if dice.chance(bulk_edited) {
        return (created_at, history.bulk_edit);
    }
    let age = (history.newest - created_at).num_milliseconds() as f64 * dice.fraction().powi(3);
    (created_at, history.newest - TimeDelta::milliseconds(age as i64))
}

fn fill(catalog: &Catalog, around: &Surroundings, dice: &mut Dice, packer: &mut Packer) {
    for (index, property) in catalog.iter().filter(|(_, property)| property.origin == Origin::Stored) {
        if dice.chance(property.filled) {
            packer.push(index, |text| write_value(property, around, dice, text));
        }
    }
}

fn associate(state: &mut State, settings: &Settings) {
    let mut dice = Dice::nth(settings.seed, 3);
    let ids = |object| -> Vec<u64> { state.objects[object].live.keys().copied().collect() };
    let (contacts, companies, deals) =
        (ids(ObjectType::Contacts), ids(ObjectType::Companies), ids(ObjectType::Deals));
    let mut links =
        Linker { associations: &mut state.associations, dice: &mut dice, touched: BTreeSet::new() };
    for contact in &contacts {
        if links.dice.chance(0.7) {
            links.link_some((ObjectType::Contacts, *contact), ObjectType::Companies, &companies, 1);
        }
    }
    for (number, deal) in deals.iter().enumerate() {
        let is_wide = number < settings.wide_deals;
        let (people, firms) = if is_wide {
            (settings.wide_deal_contacts, settings.wide_deal_contacts / 4)
        } else {
            (links.dice.below(settings.contacts_per_deal + 1) as usize, links.dice.below(4) as usize)
        };
        links.link_some((ObjectType::Deals, *deal), ObjectType::Contacts, &contacts, people);
        links.link_some((ObjectType::Deals, *deal), ObjectType::Companies, &companies, firms);
    }
    for record in links.touched {
        state.recount(record);
    }
}

/// Links records of further types with others, with random numbers of their own.
fn associate_further(state: &mut State, settings: &Settings) {
    let with_records: Vec<(ObjectType, Vec<u64>)> = state
        .types()
        .into_iter()
        .map(|object| (object, state.objects[object].live.keys().copied().collect()))
        .filter(|(_, ids): &(_, Vec<u64>)| !ids.is_empty())
        .collect();
    for (place, (object, ids)) in with_records.iter().enumerate() {
        if ObjectType::CORE.contains(object) {
            continue;
        }
        let mut dice = Dice::nth(settings.seed, stream(16, *object));
        // With those before it, each of which some of its records are linked with; and with some of its own.
        let others = with_records[..=place].iter().filter(|(other, _)| object.can_be_linked(*other));
        for (other, candidates) in others {
            for id in ids {
                let count = [0, 0, 1, 1, 2][dice.below(5) as usize];
                let first = dice.below(candidates.len() as u64) as usize;
                for step in 0..count.min(candidates.len()) {
                    let to = candidates[(first + step) % candidates.len()];
                    if (*object, *id) != (*other, to) {
                        let own = dice.chance(0.2);
                        let label = if own { Label::DecisionMaker } else { Label::Unlabeled };
                        state.associations.link((*object, *id), (*other, to), label);
                    }
                }
            }
        }
    }
}

struct Linker<'a> {
    associations: &'a mut Associations,
    dice: &'a mut Dice,
    touched: BTreeSet<(ObjectType, u64)>,
}

impl Linker<'_> {
    /// Links a record to neighbours in the list of candidates, which makes it cheap to take each of them once.
    fn link_some(&mut self, from: (ObjectType, u64), to: ObjectType, candidates: &[u64], count: usize) {
        let count = count.min(candidates.len());
        let first = self.dice.below(candidates.len() as u64) as usize;
        for place in 0..count {
            let other = (to, candidates[(first + place) % candidates.len()]);
            let label = match to {
                ObjectType::Companies if place == 0 && self.dice.chance(0.9) => Label::Primary,
                ObjectType::Contacts if self.dice.chance(0.1) => Label::DecisionMaker,
                _ => Label::Unlabeled,
            };
            self.associations.link(from, other, label);
            self.touched.extend([from, other]);
        }
    }
}

/// Number of the random numbers for one purpose and one type. Purposes are four apart.
fn stream(purpose: u64, object: ObjectType) -> u64 {
    let number = object as u64;
    if number < 4 { purpose + number } else { number << 8 | purpose }
}

fn archive_some(state: &mut State, object: ObjectType, settings: &Settings) {
    let history = History::new(settings);
    let mut dice = Dice::nth(settings.seed, stream(4, object));
    let objects = &mut state.objects[object];
    let chosen: Vec<_> = objects
        .live
        .values()
        .filter(|_| dice.chance(settings.archived))
        .map(|record| (record.id, record.updated_at))
        .collect();
    for (id, updated_at) in chosen {
        let from = updated_at.max(history.newest - RECYCLE_BIN);
        let at = from + TimeDelta::milliseconds(dice.between(0, (history.newest - from).num_milliseconds()));
        // It was live a moment ago.
        let _ = objects.archive(object, id, at);
    }
}

fn merge_some(state: &mut State, object: ObjectType, settings: &Settings) {
    let history = History::new(settings);
    let mut dice = Dice::nth(settings.seed, stream(8, object));
    let mut ids: Vec<u64> = state.objects[object].live.keys().copied().collect();
    let gone_per_merge = if settings.merge_keeps_primary_id { 1.0 } else { 2.0 };
    let merges = (ids.len() as f64 * settings.merged / gone_per_merge) as usize;
    let first = history.newest - RECYCLE_BIN;
    let mut survivors = Vec::new();
    for number in 0..merges {
        if ids.len() < 3 {
            return;
        }
        let at = time::millisecond(first + (history.newest - first) * number as i32 / merges as i32);
        // Every third merge takes in the outcome of an earlier one.
        let chained = if number % 3 == 1 { survivors.pop() } else { None };
        let primary = chained.unwrap_or_else(|| ids.swap_remove(dice.below(ids.len() as u64) as usize));
        let merged = ids.swap_remove(dice.below(ids.len() as u64) as usize);
        survivors.extend(state.merge(object, primary, merged, at, settings.merge_keeps_primary_id).ok());
    }
}

fn undo_some_merges(state: &mut State, object: ObjectType, settings: &Settings) {
    let newest = History::new(settings).newest;
    let mut dice = Dice::nth(settings.seed, stream(12, object));
    let merged: Vec<u64> = state.objects[object].merged.keys().copied().collect();
    for id in merged.into_iter().filter(|_| dice.chance(settings.merges_undone)) {
        // Of a chain of merges only the first ones can be undone.
        let _ = state.undo_merge(object, id, newest);
    }
}

//! The account: all records, what they are linked to, and what became of those that are gone. Everything that a client
//! can see is read from here, and so is the truth it is compared with.

mod association_types;
mod associations;
mod changes;
mod emails;
mod forms;
mod generate;
mod guid;
mod identities;
mod ids;
mod index;
mod journal;
mod lists;
mod marketing_tools;
mod merges;
mod metadata;
mod past;
mod properties;
mod record;
mod standard;
mod subscriptions;
mod truth;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use self::association_types::LabelName;
pub use self::associations::Label;
pub(crate) use self::associations::Link;
pub use self::changes::ChangeError;
pub(crate) use self::emails::{Body, Campaign, EmailEvent, EventId};
pub use self::emails::{EmailEventId, EventType, TruthCampaign, TruthEmail, TruthEmailEvent};
pub(crate) use self::forms::{Form, Submission};
pub use self::forms::{FormType, TruthForm, TruthSubmission};
pub(crate) use self::guid::Guid;
pub use self::identities::{TruthIdentity, TruthProfile, TruthV1Contact};
pub(crate) use self::journal::{Arrived, Place};
pub(crate) use self::lists::List;
pub use self::lists::{Membership, Processing, TruthList, TruthMembership};
pub use self::marketing_tools::{Flow, MarketingEvent, MarketingTools, ToolCampaign};
pub use self::metadata::{ExchangeRate, Metadata, Owner, Pipeline, Role, Stage, Team, User};
pub use self::past::TruthPastValue;
pub(crate) use self::properties::{Catalog, Origin, Property};
pub use self::properties::{Kind, Sensitivity, TruthDefinition};
pub(crate) use self::record::{PropertyIndex, Record};
pub(crate) use self::subscriptions::{Definition, Standing, TimelineItem};
pub use self::subscriptions::{SubscriptionChange, TruthSubscription, TruthSubscriptionChange};
pub use self::truth::{Truth, TruthAssociations, TruthLink, TruthRecord};
use crate::behaviour::IndexLag;
use crate::dice::Dice;
use crate::object_type::OfAccount;
use crate::{ObjectType, Settings, time};

/// A HubSpot account in memory. It can be read and changed from any thread while a server shows it to clients.
#[derive(Debug)]
pub struct Account {
    settings: Settings,
    state: RwLock<State>,
    clock_offset_ms: AtomicI64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) objects: OfAccount<Objects>,
    /// Custom objects that were deleted.
    pub(crate) former_objects: BTreeSet<ObjectType>,
    pub(crate) identities: identities::Identities,
    pub(crate) forms: forms::Forms,
    pub(crate) lists: lists::Lists,
    pub(crate) emails: emails::Emails,
    pub(crate) subscriptions: subscriptions::Subscriptions,
    pub(crate) metadata: Metadata,
    pub(crate) marketing_tools: MarketingTools,
    associations: associations::Associations,
    ids: ids::Ids,
    dice: Dice,
}

/// All records of one type.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) live: BTreeMap<u64, Arc<Record>>,
    pub(crate) archived: BTreeMap<u64, Arc<Record>>,
    merged: BTreeMap<u64, Merged>,
    /// Whose merge was undone.
    unmerged: BTreeSet<u64>,
    purged: BTreeSet<u64>,
    index: index::Index,
}

#[derive(Debug)]
struct Merged {
    record: Arc<Record>,
    into: u64,
}

impl Account {
    pub fn generate(settings: &Settings) -> Self {
        let state = RwLock::new(generate::state(settings));
        Self { settings: settings.clone(), state, clock_offset_ms: AtomicI64::new(0) }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The time that new modifications get: the wall clock plus the offset that was set.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::milliseconds(self.clock_offset_ms.load(Ordering::Relaxed));
        time::millisecond(Utc::now() + offset)
    }

    /// Lets new modifications happen in the past (negative), where a client that stays clear of "now" sees them at
    /// once, or in the future.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.clock_offset_ms.store(offset.num_milliseconds(), Ordering::Relaxed);
    }

    /// Sets the lag of the search index from now on.
    pub fn set_index_lag(&self, lag: IndexLag) {
        let mut state = self.write();
        for objects in state.objects.values_mut() {
            objects.index.set_lag(lag);
        }
    }

    /// Types of records that the account has.
    pub fn types(&self) -> Vec<ObjectType> {
        self.read().types()
    }

    pub(crate) fn has(&self, object: ObjectType) -> bool {
        self.read().objects.has(object)
    }

    /// Returns the ids of the live records, ascending.
    pub fn live_ids(&self, object: ObjectType) -> Vec<u64> {
        self.read().objects[object].live.keys().copied().collect()
    }

    /// Returns the ids of the archived records, ascending.
    pub fn archived_ids(&self, object: ObjectType) -> Vec<u64> {
        self.read().objects[object].archived.keys().copied().collect()
    }

    /// Ids of records that a merge took away, with the record that survives today.
    pub fn merged_away(&self, object: ObjectType) -> BTreeMap<u64, u64> {
        let state = self.read();
        let objects = &state.objects[object];
        objects.merged.keys().map(|id| (*id, objects.survivor(*id))).collect()
    }

    /// Ids of records whose merge was undone; some may be archived, purged or merged again since.
    pub fn unmerged_ids(&self, object: ObjectType) -> BTreeSet<u64> {
        self.read().objects[object].unmerged.clone()
    }

    pub fn purged_ids(&self, object: ObjectType) -> BTreeSet<u64> {
        self.read().objects[object].purged.clone()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn types(&self) -> Vec<ObjectType> {
        self.objects.types().collect()
    }

    /// The links of a record that a client can see: both ends are live.
    pub(crate) fn links(&self, from: ObjectType, id: u64, to: ObjectType) -> impl Iterator<Item = &Link> {
        let is_live = self.objects[from].live.contains_key(&id);
        let links = if is_live { self.associations.of(from, id, to) } else { &[] };
        links.iter().filter(move |link| self.objects[to].live.contains_key(&link.to))
    }
}

impl Objects {
    /// The id that stands for this one today: its own, unless it was merged away.
    pub(crate) fn survivor(&self, mut id: u64) -> u64 {
        while let Some(merged) = self.merged.get(&id) {
            id = merged.into;
        }
        id
    }

    pub(crate) fn list(&self, archived: bool) -> &BTreeMap<u64, Arc<Record>> {
        if archived { &self.archived } else { &self.live }
    }

    /// Returns the records that search shows, in no particular order.
    pub(crate) fn searchable(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.index.view(&self.live)
    }
}

//! Subscriptions of e-mail addresses, and the timeline of their changes. They belong to the address, whether there is
//! a contact with it or not. A change that arrives late takes its place in the timeline, and the snapshots after it
//! are made anew.

mod generate;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(super) use self::generate::generate;
use super::emails::EventId;
use super::journal::{Journal, Place};
use super::{Account, ChangeError, EmailEventId, State};

/// A kind of e-mail that one can subscribe to.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) description: &'static str,
    pub(crate) is_active: bool,
    pub(crate) created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionChange {
    /// To one of [`Account::subscription_type_ids`].
    Subscribe(u64),
    Unsubscribe(u64),
    SubscribeToPortal,
    UnsubscribeFromPortal,
    Bounce,
    Unbounce,
    ReportSpam,
}

/// The overall state of an address; that of a new one is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) is_unsubscribed: bool,
    pub(crate) is_bounced: bool,
    pub(crate) is_spam_reporter: bool,
    pub(crate) portal_changed_at: i64,
    /// By subscription type: whether it is subscribed, since when.
    pub(crate) types: BTreeMap<u64, (bool, i64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct TimelineItem {
    pub(crate) recipient: Arc<str>,
    pub(crate) changes: Vec<SubscriptionChange>,
    pub(crate) cause: Option<EventId>,
    /// The standing with the changes applied.
    pub(crate) snapshot: Arc<Standing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthSubscription {
    pub email: String,
    pub portal_id: u32,
    pub subscribed: bool,
    /// `subscribed` or `unsubscribed`.
    pub status: &'static str,
    pub unsubscribe_from_portal: bool,
    pub marked_as_spam: bool,
    pub bounced: bool,
    /// By subscription type.
    pub subscribed_to: BTreeMap<u64, bool>,
    /// The timeline knows the address; the others can be found by asking for them only.
    pub is_in_timeline: bool,
}

/// One change of one timeline item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthSubscriptionChange {
    pub recipient: String,
    /// Of the item; milliseconds since 1970.
    pub item_timestamp: i64,
    /// Place of the item among all, oldest first, and of the change in the item.
    pub item: usize,
    pub change_number: usize,
    pub change_type: &'static str,
    pub change: &'static str,
    pub source: &'static str,
    pub portal_id: u32,
    pub subscription_id: Option<u64>,
    /// Either this, or the timestamp.
    pub caused_by_event: Option<EmailEventId>,
    pub timestamp: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pub(crate) definitions: Vec<Definition>,
    pub(crate) timeline: Journal<TimelineItem>,
    /// Standings from before the timeline.
    earlier: BTreeMap<Arc<str>, Arc<Standing>>,
    items: HashMap<Arc<str>, BTreeSet<Place>>,
}

impl Account {
    pub fn subscription_type_ids(&self) -> Vec<u64> {
        self.read().subscriptions.definitions.iter().map(|definition| definition.id).collect()
    }

    /// One timeline item; addresses are kept in lower case. With an event as its cause it happens when the event was
    /// created, otherwise at `at`.
    pub fn change_subscriptions(
        &self,
        recipient: &str,
        changes: &[SubscriptionChange],
        cause: Option<&EmailEventId>,
        at: DateTime<Utc>,
    ) -> Result<(), ChangeError> {
        let mut state = self.write();
        let cause = cause.map(|event| state.event(event)).transpose()?;
        state.subscriptions.change(
            &Arc::from(recipient.to_lowercase()),
            changes,
            cause,
            at.timestamp_millis(),
        );
        Ok(())
    }

    /// Addresses that ever changed something, ascending. All others are subscribed.
    pub fn truth_subscriptions(&self) -> Vec<TruthSubscription> {
        let state = self.read();
        let subscriptions = &state.subscriptions;
        let addresses: BTreeSet<&Arc<str>> =
            subscriptions.earlier.keys().chain(subscriptions.items.keys()).collect();
        addresses.into_iter().map(|address| self.subscription(subscriptions, address)).collect()
    }

    /// Returns the subscriptions that HubSpot shows for an address, known or not.
    pub fn truth_subscription(&self, email: &str) -> TruthSubscription {
        self.subscription(&self.read().subscriptions, email)
    }

    fn subscription(&self, subscriptions: &Subscriptions, email: &str) -> TruthSubscription {
        let standing = subscriptions.standing(email);
        TruthSubscription {
            email: email.to_owned(),
            portal_id: self.settings.account_id,
            subscribed: !standing.is_unsubscribed,
            status: standing.status(),
            unsubscribe_from_portal: standing.is_unsubscribed,
            marked_as_spam: standing.is_spam_reporter,
            bounced: standing.is_bounced,
            subscribed_to: standing
                .types
                .iter()
                .map(|(id, (is_subscribed, _))| (*id, *is_subscribed))
                .collect(),
            is_in_timeline: subscriptions.items.contains_key(email),
        }
    }

    /// Oldest first.
    pub fn truth_subscription_changes(&self) -> Vec<TruthSubscriptionChange> {
        let state = self.read();
        let items = state.subscriptions.timeline.oldest_first().enumerate();
        let changes = items.flat_map(|(number, ((at, _), item))| {
            let changes = item.changes.iter().enumerate();
            changes.map(move |(change_number, change)| TruthSubscriptionChange {
                recipient: item.recipient.to_string(),
                item_timestamp: at,
                item: number,
                change_number,
                change_type: change.change_type(),
                change: change.change(),
                source: change.source(),
                portal_id: self.settings.account_id,
                subscription_id: change.subscription_type(),
                caused_by_event: item.cause.map(Into::into),
                timestamp: item.cause.is_none().then_some(at),
            })
        });
        changes.collect()
    }
}

impl State {
    fn event(&self, event: &EmailEventId) -> Result<EventId, ChangeError> {
        let unknown = || ChangeError::UnknownEvent { event: event.clone() };
        let id = EventId { id: event.id.parse().map_err(|_| unknown())?, created: event.created };
        self.emails.find(id).map(|event| event.id).ok_or_else(unknown)
    }
}

impl SubscriptionChange {
    /// HubSpot's `changeType`. The spelling for spam is assumed.
    pub(crate) fn change_type(self) -> &'static str {
        match self {
            Self::Subscribe(_) | Self::Unsubscribe(_) => "SUBSCRIPTION_STATUS",
            Self::SubscribeToPortal | Self::UnsubscribeFromPortal => "PORTAL_STATUS",
            Self::Bounce | Self::Unbounce => "PORTAL_BOUNCE",
            Self::ReportSpam => "PORTAL_SPAM_REPORT",
        }
    }

    /// Only `SUBSCRIBED` and `BOUNCED` are documented; the others are assumed.
    pub(crate) fn change(self) -> &'static str {
        match self {
            Self::Subscribe(_) | Self::SubscribeToPortal => "SUBSCRIBED",
            Self::Unsubscribe(_) | Self::UnsubscribeFromPortal => "UNSUBSCRIBED",
            Self::Bounce => "BOUNCED",
            Self::Unbounce => "UNBOUNCED",
            Self::ReportSpam => "REPORTED_SPAM",
        }
    }

    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Bounce => "SOURCE_NON_DELIVERY_REPORT",
            Self::Unbounce => "SOURCE_HUBSPOT",
            Self::ReportSpam => "SOURCE_SPAM_REPORT",
            _ => "SOURCE_RECIPIENT",
        }
    }

    pub(crate) fn subscription_type(self) -> Option<u64> {
        match self {
            Self::Subscribe(id) | Self::Unsubscribe(id) => Some(id),
            _ => None,
        }
    }
}

impl Standing {
    pub(crate) fn status(&self) -> &'static str {
        if self.is_unsubscribed { "unsubscribed" } else { "subscribed" }
    }

    fn apply(&mut self, change: SubscriptionChange, at: i64) {
        match change {
            SubscriptionChange::Subscribe(id) => _ = self.types.insert(id, (true, at)),
            SubscriptionChange::Unsubscribe(id) => _ = self.types.insert(id, (false, at)),
            SubscriptionChange::SubscribeToPortal => {
                (self.is_unsubscribed, self.portal_changed_at) = (false, at)
            }
            SubscriptionChange::UnsubscribeFromPortal => {
                (self.is_unsubscribed, self.portal_changed_at) = (true, at);
            }
            SubscriptionChange::Bounce => self.is_bounced = true,
            SubscriptionChange::Unbounce => self.is_bounced = false,
            SubscriptionChange::ReportSpam => {
                (self.is_spam_reporter, self.is_unsubscribed, self.portal_changed_at) = (true, true, at);
            }
        }
    }
}

impl Subscriptions {
    pub(crate) fn standing(&self, email: &str) -> Arc<Standing> {
        let latest = self.items.get(email).and_then(|items| self.timeline.get(*items.last()?));
        let latest = latest.map(|item| &item.snapshot).or_else(|| self.earlier.get(email));
        latest.cloned().unwrap_or_default()
    }

    fn change(
        &mut self,
        recipient: &Arc<str>,
        changes: &[SubscriptionChange],
        cause: Option<EventId>,
        at: i64,
    ) {
        let item = TimelineItem {
            recipient: Arc::clone(recipient),
            changes: changes.to_vec(),
            cause,
            snapshot: Arc::default(),
        };
        let place = self.timeline.add(cause.map_or(at, |event| event.created), item);
        let items = self.items.entry(Arc::clone(recipient)).or_default();
        items.insert(place);
        let before = items.range(..place).next_back().and_then(|before| self.timeline.get(*before));
        let before = before.map(|item| &item.snapshot).or_else(|| self.earlier.get(recipient));
        let mut standing = before.map(|before| Standing::clone(before)).unwrap_or_default();
        for place in items.range(place..) {
            let Some(item) = self.timeline.get_mut(*place) else { continue };
            for change in &item.changes {
                standing.apply(*change, place.0);
            }
            item.snapshot = Arc::new(standing.clone());
        }
    }
}

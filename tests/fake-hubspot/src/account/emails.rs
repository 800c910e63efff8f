//! E-mail events, and the campaigns they belong to. An event never changes, but for `obsoletedBy`, which is added when
//! a later one makes it obsolete.

mod body;
mod campaigns;
mod generate;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(crate) use self::body::Body;
pub(crate) use self::campaigns::Campaign;
pub use self::campaigns::{TruthCampaign, TruthEmail};
pub(super) use self::generate::generate;
use super::guid::Guid;
use super::journal::{Journal, Place};
use super::{Account, ChangeError};
use crate::dice::Dice;

/// HubSpot's `type` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    Sent,
    Dropped,
    Suppressed,
    Processed,
    Deferred,
    Delivered,
    Bounce,
    Open,
    Click,
    Print,
    Forward,
    StatusChange,
    SpamReport,
    Unbounce,
}

impl EventType {
    pub const ALL: [Self; 14] = [
        Self::Sent,
        Self::Dropped,
        Self::Suppressed,
        Self::Processed,
        Self::Deferred,
        Self::Delivered,
        Self::Bounce,
        Self::Open,
        Self::Click,
        Self::Print,
        Self::Forward,
        Self::StatusChange,
        Self::SpamReport,
        Self::Unbounce,
    ];

    /// As HubSpot spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "SENT",
            Self::Dropped => "DROPPED",
            Self::Suppressed => "SUPPRESSED",
            Self::Processed => "PROCESSED",
            Self::Deferred => "DEFERRED",
            Self::Delivered => "DELIVERED",
            Self::Bounce => "BOUNCE",
            Self::Open => "OPEN",
            Self::Click => "CLICK",
            Self::Print => "PRINT",
            Self::Forward => "FORWARD",
            Self::StatusChange => "STATUSCHANGE",
            Self::SpamReport => "SPAMREPORT",
            Self::Unbounce => "UNBOUNCE",
        }
    }
}

/// Key of an event: both parts together identify it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EmailEventId {
    pub id: String,
    /// Milliseconds since 1970.
    pub created: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct EventId {
    pub(crate) id: Guid,
    pub(crate) created: i64,
}

impl From<EventId> for EmailEventId {
    fn from(event: EventId) -> Self {
        Self { id: event.id.to_string(), created: event.created }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct EmailEvent {
    pub(crate) id: EventId,
    pub(crate) kind: EventType,
    pub(crate) recipient: Arc<str>,
    /// Its place among the account's campaigns.
    pub(crate) campaign: usize,
    pub(crate) is_filtered: bool,
    sent_by: Option<EventId>,
    caused_by: Option<EventId>,
    obsoleted_by: Option<EventId>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthEmailEvent {
    #[serde(flatten)]
    pub id: EmailEventId,
    /// The whole event as HubSpot sends it, `id` and `created` included.
    pub body: serde_json::Value,
}

#[derive(Debug, Default)]
pub(crate) struct Emails {
    pub(crate) campaigns: Vec<Campaign>,
    pub(crate) events: Journal<EmailEvent>,
    threads: HashMap<(Arc<str>, usize), Thread>,
}

/// The events so far of one campaign's message to one recipient.
#[derive(Debug, Clone, Copy, Default)]
struct Thread {
    sent: Option<EventId>,
    deferred: Option<Place>,
    delivered: Option<Place>,
    latest: Option<EventId>,
}

impl Account {
    /// HubSpot's `emailCampaignId`s.
    pub fn campaign_ids(&self) -> Vec<u64> {
        self.read().emails.campaigns.iter().map(|campaign| campaign.id).collect()
    }

    /// An event that HubSpot learns of now, whenever it was created. A delivery makes the deferral before it obsolete,
    /// a bounce the delivery.
    pub fn record_email_event(
        &self,
        kind: EventType,
        recipient: &str,
        campaign: u64,
        created: DateTime<Utc>,
    ) -> Result<EmailEventId, ChangeError> {
        let events = self.record_email_events(kind, &[recipient], campaign, created)?;
        events.into_iter().next().ok_or(ChangeError::UnknownCampaign { id: campaign })
    }

    /// One event for each recipient, all created in the same millisecond.
    pub fn record_email_events(
        &self,
        kind: EventType,
        recipients: &[&str],
        campaign: u64,
        created: DateTime<Utc>,
    ) -> Result<Vec<EmailEventId>, ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let super::State { emails, dice, .. } = &mut *state;
        let campaign = emails.place_of(campaign)?;
        emails.campaigns[campaign].touch(now.timestamp_millis());
        let record = |recipient: &&str| {
            emails.record(kind, &Arc::from(*recipient), campaign, created.timestamp_millis(), dice).into()
        };
        Ok(recipients.iter().map(record).collect())
    }

    /// Oldest first. The events are those of this moment, `obsoletedBy` included.
    pub fn truth_email_events(&self) -> impl Iterator<Item = TruthEmailEvent> + use<'_> {
        let state = self.read();
        let events: Vec<EmailEvent> =
            state.emails.events.oldest_first().map(|(_, event)| event.clone()).collect();
        let campaigns: Vec<Campaign> = state.emails.campaigns.clone();
        events.into_iter().map(move |event| TruthEmailEvent {
            id: event.id.into(),
            body: serde_json::to_value(Body::new(
                &event,
                &campaigns[event.campaign],
                self.settings.account_id,
            ))
            .unwrap_or_default(),
        })
    }

    pub fn email_event_count(&self) -> usize {
        self.read().emails.events.len()
    }
}

impl Emails {
    pub(super) fn place_of(&self, campaign: u64) -> Result<usize, ChangeError> {
        let place = self.campaigns.iter().position(|known| known.id == campaign);
        place.ok_or(ChangeError::UnknownCampaign { id: campaign })
    }

    pub(crate) fn find(&self, id: EventId) -> Option<&EmailEvent> {
        let mut candidates = self.events.newest_first(id.created, id.created, None);
        candidates.find(|(_, event)| event.id == id).map(|(_, event)| event)
    }

    pub(super) fn record(
        &mut self,
        kind: EventType,
        recipient: &Arc<str>,
        campaign: usize,
        created: i64,
        dice: &mut Dice,
    ) -> EventId {
        use EventType::{
            Bounce, Click, Deferred, Delivered, Dropped, Open, Sent, SpamReport, StatusChange, Suppressed,
            Unbounce,
        };
        let id = EventId { id: Guid::draw(dice), created };
        let thread = self.threads.entry((Arc::clone(recipient), campaign)).or_default();
        let event = EmailEvent {
            id,
            kind,
            recipient: Arc::clone(recipient),
            campaign,
            is_filtered: matches!(kind, Open | Click) && dice.chance(0.1),
            sent_by: thread.sent.filter(|_| !matches!(kind, Sent | Dropped | Suppressed)),
            caused_by: thread.latest.filter(|_| matches!(kind, StatusChange | SpamReport | Unbounce)),
            obsoleted_by: None,
        };
        let place = self.events.add(created, event);
        let obsolete = match kind {
            Delivered => thread.deferred.take(),
            Bounce => thread.delivered.take(),
            _ => None,
        };
        match kind {
            Sent => thread.sent = Some(id),
            Deferred => thread.deferred = Some(place),
            Delivered => thread.delivered = Some(place),
            _ => {}
        }
        thread.latest = Some(id);
        if let Some(event) = obsolete.and_then(|place| self.events.get_mut(place)) {
            event.obsoleted_by = Some(id);
        }
        self.campaigns[campaign].count(kind);
        self.campaigns[campaign].touch(created);
        id
    }
}

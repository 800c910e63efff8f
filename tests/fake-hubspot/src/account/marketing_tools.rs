//! Marketing tools: campaigns, events, and workflows with the e-mail campaigns that they send; and which marketing e-mails
//! are archived.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Account, ChangeError};
use crate::Settings;

/// All of it, as it is now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MarketingTools {
    /// By id.
    pub campaigns: BTreeMap<String, ToolCampaign>,
    /// By id.
    pub events: BTreeMap<u64, MarketingEvent>,
    /// By id.
    pub flows: BTreeMap<u64, Flow>,
    /// Ids of marketing e-mails.
    pub archived_emails: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ToolCampaign {
    pub name: String,
    pub status: &'static str,
    pub start_date: String,
    pub budget: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MarketingEvent {
    pub name: String,
    pub is_cancelled: bool,
    pub registrants: u64,
    pub start: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub name: String,
    pub is_enabled: bool,
    pub revision: u64,
    /// The e-mails that it sends: the campaign's id, and the e-mail's.
    pub emails: Vec<(u64, u64)>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub(super) fn generate(settings: &Settings) -> MarketingTools {
    let created_at = settings.start - TimeDelta::days(200);
    let campaign = |number: u64| {
        let campaign = ToolCampaign {
            name: format!("Launch \"{number}\""),
            status: ["planned", "in_progress", "completed"][number as usize % 3],
            start_date: format!("2026-0{}-15", 1 + number % 9),
            budget: number.is_multiple_of(2).then(|| format!("{number}500.5")),
            created_at,
            updated_at: created_at,
        };
        (format!("edb9b6c3-d2e2-4ca8-8396-{:012}", number * 77), campaign)
    };
    let event = |number: u64| {
        let event = MarketingEvent {
            name: format!("Webinar {number} – Größe"),
            is_cancelled: false,
            registrants: number * 11,
            start: created_at + TimeDelta::days(number as i64),
            created_at,
            updated_at: created_at,
        };
        (59_000_000_000 + number, event)
    };
    // Two workflows send the same campaign.
    let flow = |number: u64| {
        let flow = Flow {
            name: format!("Flow {number}"),
            is_enabled: number != 2,
            revision: number,
            emails: (0..number % 3).map(|place| (400_000_000 + place, 2_451_001_000 + place * 31)).collect(),
            created_at,
            updated_at: created_at,
        };
        (600_000 + number, flow)
    };
    MarketingTools {
        campaigns: (1..=130).map(campaign).collect(),
        events: (1..=7).map(event).collect(),
        flows: (1..=8).map(flow).collect(),
        archived_emails: BTreeSet::new(),
    }
}

impl Account {
    pub fn marketing_tools(&self) -> MarketingTools {
        self.read().marketing_tools.clone()
    }

    /// Archives a marketing e-mail. Its campaigns stay.
    pub fn archive_email(&self, id: u64) -> Result<(), ChangeError> {
        let mut state = self.write();
        if !state.emails.marketing_emails().contains_key(&id) {
            return Err(ChangeError::Unknown { what: "marketing", id: id.to_string() });
        }
        state.marketing_tools.archived_emails.insert(id);
        Ok(())
    }

    pub fn rename_campaign(&self, id: &str, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let campaign = state.marketing_tools.campaigns.get_mut(id);
        let campaign =
            campaign.ok_or_else(|| ChangeError::Unknown { what: "marketing", id: id.to_owned() })?;
        (campaign.name, campaign.updated_at) = (name.to_owned(), now);
        Ok(())
    }

    pub fn delete_campaign(&self, id: &str) -> Result<(), ChangeError> {
        let gone = self.write().marketing_tools.campaigns.remove(id);
        gone.map(drop).ok_or_else(|| ChangeError::Unknown { what: "marketing", id: id.to_owned() })
    }

    /// Calls a marketing event off. Those who registered stay counted.
    pub fn cancel_event(&self, id: u64) -> Result<(), ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let event = state.marketing_tools.events.get_mut(&id);
        let event = event.ok_or_else(|| ChangeError::Unknown { what: "marketing", id: id.to_string() })?;
        (event.is_cancelled, event.updated_at) = (true, now);
        Ok(())
    }

    /// Deletes a workflow with what it sends.
    pub fn delete_flow(&self, id: u64) -> Result<(), ChangeError> {
        let gone = self.write().marketing_tools.flows.remove(&id);
        gone.map(drop).ok_or_else(|| ChangeError::Unknown { what: "marketing", id: id.to_string() })
    }
}

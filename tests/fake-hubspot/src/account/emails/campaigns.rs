//! E-mail campaigns with their counters, and the marketing e-mails that own them. One e-mail may own several
//! campaigns.

use std::collections::BTreeMap;

use serde::Serialize;

use super::EventType;
use crate::Account;

#[derive(Debug, Clone)]
pub(crate) struct Campaign {
    pub(crate) id: u64,
    pub(crate) app_id: u32,
    pub(crate) app_name: &'static str,
    pub(crate) group_id: Option<u64>,
    pub(crate) content_id: u64,
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) kind: &'static str,
    pub(crate) sub_kind: Option<&'static str>,
    pub(crate) last_updated: i64,
    counters: BTreeMap<&'static str, u64>,
}

/// A campaign as the call for one campaign shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TruthCampaign {
    pub id: u64,
    pub app_id: u32,
    pub app_name: String,
    pub content_id: u64,
    pub name: String,
    pub subject: String,
    pub r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<String>,
    /// Counters that never counted are missing.
    pub counters: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_included: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_queued: Option<u64>,
    /// Id of the campaign's group, which only the lists of campaigns show.
    #[serde(skip)]
    pub group_id: Option<u64>,
    /// Time of the last activity in milliseconds since 1970, which only the list by activity shows.
    #[serde(skip)]
    pub last_updated: i64,
}

impl Campaign {
    pub(super) fn new(number: usize, sent_at: i64) -> Self {
        let number = number as u64;
        let (kind, sub_kind) = KINDS[number as usize % KINDS.len()];
        let (app_id, app_name) = APPS[number as usize % APPS.len()];
        Self {
            id: FIRST_ID + number * 977,
            app_id,
            app_name,
            group_id: number.is_multiple_of(3).then_some(FIRST_GROUP + number),
            // Each fourth campaign is a further one of the e-mail before.
            content_id: FIRST_CONTENT + (number - u64::from(number % 4 == 3)) * 31,
            name: format!(
                "{} {number}",
                ["Spring \"sale\"", "Größe & Farbe", "Newsletter"][number as usize % 3]
            ),
            subject: format!("Nº {number}: don't miss it 😀"),
            kind,
            sub_kind,
            last_updated: sent_at,
            counters: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, kind: EventType) {
        let counter = match kind {
            EventType::Sent => "sent",
            EventType::Dropped => "dropped",
            EventType::Suppressed => "suppressed",
            EventType::Processed => "processed",
            EventType::Deferred => "deferred",
            EventType::Delivered => "delivered",
            EventType::Bounce => "bounce",
            EventType::Open => "open",
            EventType::Click => "click",
            EventType::Print => "print",
            EventType::Forward => "forward",
            EventType::StatusChange => "statuschange",
            EventType::SpamReport => "spamreport",
            EventType::Unbounce => return,
        };
        *self.counters.entry(counter).or_default() += 1;
    }

    pub(super) fn touch(&mut self, at: i64) {
        self.last_updated = self.last_updated.max(at);
    }

    pub(crate) fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }

    pub(crate) fn detail(&self) -> TruthCampaign {
        let sent = self.counters.get("sent").copied();
        TruthCampaign {
            id: self.id,
            app_id: self.app_id,
            app_name: self.app_name.to_owned(),
            content_id: self.content_id,
            name: self.name.clone(),
            subject: self.subject.clone(),
            r#type: self.kind.to_owned(),
            sub_type: self.sub_kind.map(str::to_owned),
            counters: self.counters.clone(),
            num_included: sent,
            num_queued: sent.map(|_| 0),
            group_id: self.group_id,
            last_updated: self.last_updated,
        }
    }
}

/// A marketing e-mail, with the campaigns that it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthEmail {
    pub id: u64,
    pub name: String,
    pub is_archived: bool,
    pub campaigns: Vec<u64>,
    /// Of all its campaigns.
    pub counters: BTreeMap<&'static str, u64>,
}

impl Account {
    /// Marketing e-mails by id, archived ones too.
    pub fn truth_emails(&self) -> Vec<TruthEmail> {
        let state = self.read();
        let email = |(id, campaigns): (u64, Vec<&Campaign>)| {
            let mut counters = BTreeMap::new();
            for (name, count) in campaigns.iter().flat_map(|campaign| campaign.counters()) {
                *counters.entry(*name).or_default() += count;
            }
            TruthEmail {
                id,
                name: campaigns[0].name.clone(),
                is_archived: state.marketing_tools.archived_emails.contains(&id),
                campaigns: campaigns.iter().map(|campaign| campaign.id).collect(),
                counters,
            }
        };
        state.emails.marketing_emails().into_iter().map(email).collect()
    }

    /// In the order they were made.
    pub fn truth_campaigns(&self) -> Vec<TruthCampaign> {
        self.read().emails.campaigns.iter().map(Campaign::detail).collect()
    }
}

impl super::Emails {
    /// Marketing e-mails by id, with their campaigns, the primary one first.
    pub(crate) fn marketing_emails(&self) -> BTreeMap<u64, Vec<&Campaign>> {
        let mut emails: BTreeMap<u64, Vec<&Campaign>> = BTreeMap::new();
        for campaign in &self.campaigns {
            emails.entry(campaign.content_id).or_default().push(campaign);
        }
        emails
    }
}

const FIRST_ID: u64 = 230_318_117;
const FIRST_GROUP: u64 = 88_012_000;
const FIRST_CONTENT: u64 = 2_451_001_000;
const KINDS: [(&str, Option<&str>); 4] = [
    ("BATCH_EMAIL", Some("BATCH")),
    ("AUTOMATED_EMAIL", None),
    ("AB_EMAIL", Some("AB_MASTER")),
    ("RSS_EMAIL", None),
];
const APPS: [(u32, &str); 3] = [(113, "Batch"), (116, "AbBatch"), (4_294_901, "ContentAutomation")];

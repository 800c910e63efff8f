//! Settings of an account. Equal settings make equal accounts, down to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{ObjectType, PerType};

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// HubSpot's `portalId`.
    pub account_id: u32,
    /// Time zone of the account, at whose midnight daily limits start anew.
    pub time_zone: Tz,
    /// Number of records that are made before some are archived or merged.
    pub records: PerType<usize>,
    /// Further records of one bulk import: dense ids, and all created and modified in one single millisecond.
    pub bulk_import: PerType<usize>,
    /// Properties on top of HubSpot's own; they take every `type` in turn.
    pub custom_properties: PerType<usize>,
    /// Further types of records. Of HubSpot's own the account has those that are not named, too, without a record.
    pub further: BTreeMap<ObjectType, Further>,
    /// Types of HubSpot's own that the account does not have: they are not activated, or not released to it.
    pub absent: BTreeSet<ObjectType>,
    /// Share of the records that are archived, 0 to 1.
    pub archived: f64,
    /// Share of the contacts, companies and deals that were merged away, 0 to 1.
    pub merged: f64,
    /// Share of the records that one bulk edit modified in the same millisecond, 0 to 1.
    pub bulk_edited: f64,
    /// Share of the values that no parser expects: `"N/A"` in a number, epoch milliseconds in a date, ..., 0 to 1.
    pub odd_values: f64,
    /// Approximate number of characters in a free text value.
    pub value_width: usize,
    /// Contacts of an ordinary deal are drawn from `0..=contacts_per_deal`.
    pub contacts_per_deal: u64,
    /// Deals with very many contacts (and companies, a quarter as many).
    pub wide_deals: usize,
    /// Contacts of such a deal, as far as the account has that many.
    pub wide_deal_contacts: usize,
    /// Share of the merges that an app has undone since, 0 to 1: the record is live again, and the survivor goes on
    /// naming it.
    pub merges_undone: f64,
    /// Share of the records, and of the changes, whose `updatedAt` stays behind the modified date, 0 to 1.
    pub updated_at_behind: f64,
    /// A merge leaves the primary record its id, as it was before 2025, and takes no new one.
    pub merge_keeps_primary_id: bool,
    /// Forms, lists, e-mails and subscriptions.
    pub marketing: Marketing,
    /// Scopes of the credentials; [`Settings::all_scopes`] by default.
    pub scopes: Vec<String>,
    /// Static tokens that are accepted: a service key, or a private app's token.
    pub tokens: Vec<String>,
    /// The OAuth app that may fetch tokens with its refresh token.
    pub oauth: OauthApp,
    /// Generated dates are counted back from here.
    pub start: DateTime<Utc>,
    /// Least time between the newest generated modification and `start`.
    pub newest: Duration,
}

/// Sizes of a further type of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Further {
    pub records: usize,
    pub custom_properties: usize,
}

/// Sizes of forms, lists, e-mails and subscriptions. Events lie within [`Marketing::days`] before the newest moment of
/// the account; form submissions lie anywhere between a contact's creation and its last modification.
#[derive(Debug, Clone, PartialEq)]
pub struct Marketing {
    pub forms: usize,
    /// Form submissions of a contact are drawn from `0..=submissions_per_contact`.
    pub submissions_per_contact: u64,
    pub lists: usize,
    /// Number of values in the filter of each list.
    pub filter_values: usize,
    pub campaigns: usize,
    /// E-mail events, apart from those that cause a subscription change.
    pub email_events: usize,
    /// Further e-mail events that were all created in one single millisecond.
    pub burst_in_one_ms: usize,
    pub subscription_types: usize,
    /// Items of the subscription timeline; many of them hold several changes.
    pub subscription_changes: usize,
    pub days: u32,
    /// `true`: the account has Marketing Hub Enterprise, which a few calls need besides their scope.
    pub is_enterprise: bool,
}

impl Default for Marketing {
    fn default() -> Self {
        Self {
            forms: 8,
            submissions_per_contact: 2,
            lists: 15,
            filter_values: 0,
            campaigns: 12,
            email_events: 1_500,
            burst_in_one_ms: 0,
            subscription_types: 4,
            subscription_changes: 150,
            days: 60,
            is_enterprise: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthApp {
    pub client_id: String,
    pub client_secret: String,
    pub refresh_token: String,
}

impl Default for Settings {
    /// Returns a small account. It starts at a midnight (UTC), so it is the same all day, and at least eight hours
    /// ago, so that changes of the last hours are newer than all its records; set `start` to have it the same for
    /// ever.
    fn default() -> Self {
        let past = Utc::now() - TimeDelta::hours(8);
        Self {
            seed: 1,
            account_id: 62_515,
            time_zone: chrono_tz::America::New_York,
            records: PerType { contacts: 1_200, companies: 300, deals: 400 },
            bulk_import: PerType::default(),
            custom_properties: PerType { contacts: 8, companies: 8, deals: 8 },
            further: BTreeMap::new(),
            absent: BTreeSet::new(),
            archived: 0.03,
            merged: 0.02,
            bulk_edited: 0.1,
            odd_values: 0.005,
            value_width: 16,
            contacts_per_deal: 4,
            wide_deals: 2,
            wide_deal_contacts: 800,
            merges_undone: 0.0,
            updated_at_behind: 0.0,
            merge_keeps_primary_id: false,
            marketing: Marketing::default(),
            scopes: Self::all_scopes(),
            tokens: vec!["pat-na1-fake".to_owned()],
            oauth: OauthApp {
                client_id: "fake-client".to_owned(),
                client_secret: "fake-secret".to_owned(),
                refresh_token: "fake-refresh".to_owned(),
            },
            start: past.duration_trunc(TimeDelta::days(1)).unwrap_or(past),
            newest: Duration::from_secs(3 * 3600),
        }
    }
}

impl Settings {
    /// Returns every scope that one of the endpoints needs.
    pub fn all_scopes() -> Vec<String> {
        let of_objects = ObjectType::all().flat_map(|object| {
            let scopes = object.scopes().iter().chain(object.schema_scopes()).map(|row| row[0].to_owned());
            scopes.chain([object.sensitive_scope()])
        });
        let others = [
            "oauth",
            "crm.lists.read",
            "forms",
            "content",
            "communication_preferences.read",
            "crm.objects.owners.read",
            "settings.users.read",
            "settings.users.teams.read",
            "settings.currencies.read",
            "marketing.campaigns.read",
            "crm.objects.marketing_events.read",
            "automation",
            "communication_preferences.statuses.batch.read",
        ];
        let mut scopes = Vec::new();
        for scope in of_objects.chain(others.map(str::to_owned)) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// Returns the same account with so many records of a further type.
    #[must_use]
    pub fn with(mut self, object: ObjectType, further: Further) -> Self {
        self.further.insert(object, further);
        self
    }

    pub(crate) fn further(&self, object: ObjectType) -> Further {
        self.further.get(&object).copied().unwrap_or_default()
    }

    /// Returns the same account without the scopes that start with `prefix`.
    #[must_use]
    pub fn without_scope(mut self, prefix: &str) -> Self {
        self.scopes.retain(|scope| !scope.starts_with(prefix));
        self
    }
}

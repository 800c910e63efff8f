//! Findings of `doctor`, as one object: the JSON report, from which the text is made, too.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use hubspot::families::{Fill, Lacking, Role};
use hubspot::{Account, Client, DailyUsage, RateLimit};
use serde::Serialize;

use super::probe::Probed;
use super::readiness::{Level, Readiness};

#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) account: AccountFindings,
    pub(super) limits: Limits,
    /// Scopes that the credential lacks, by HubSpot's details of it; `null` where HubSpot has none.
    pub(super) missing_scopes: Option<Vec<MissingScopes>>,
    pub(super) families: Vec<FamilyFindings>,
    pub(super) collections: BTreeMap<&'static str, CollectionFindings>,
    /// `true`: every collection can be filled, some perhaps not in full.
    pub(super) can_fill_all: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct MissingScopes {
    pub(super) family: &'static str,
    /// Scopes that are needed, all of them.
    pub(super) scopes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AccountFindings {
    pub(super) id: u64,
    #[serde(rename = "type")]
    pub(super) account_type: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) data_hosting_location: Option<String>,
    pub(super) time_zone: Option<String>,
    /// The time in the account's zone, or in UTC where that is not known.
    pub(super) local_time: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Limits {
    pub(super) general_per_10_s: u64,
    pub(super) search_per_s: u64,
    pub(super) associations_per_10_s: u64,
    /// The daily limit; `null` when HubSpot does not answer it.
    pub(super) daily: Option<Daily>,
}

#[derive(Debug, Serialize)]
pub(super) struct Daily {
    pub(super) limit: u64,
    pub(super) used: u64,
    /// Next reset of the daily limit, in the account's time zone.
    pub(super) resets_at: String,
}

#[derive(Debug, Serialize)]
pub(super) struct FamilyFindings {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) version: &'static str,
    pub(super) supported_until: Option<NaiveDate>,
    /// Days until the end of the version; negative when it is past.
    pub(super) days_left: Option<i64>,
    pub(super) answers: &'static str,
    pub(super) reason: Option<String>,
    /// Needed scopes: one of each row.
    pub(super) scopes: &'static [&'static [&'static str]],
    pub(super) needed_for: Vec<&'static str>,
    /// Losses without this family, by collection.
    pub(super) without_it: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct CollectionFindings {
    pub(super) state: &'static str,
    pub(super) reasons: Vec<String>,
}

impl Findings {
    pub(super) fn new(
        account: &Account,
        daily: Option<DailyUsage>,
        client: &Client,
        probed: &[Probed],
        readiness: &[Readiness],
        lacking: Option<Vec<Lacking>>,
    ) -> Findings {
        let now = client.now();
        let zone = account.zone();
        let budget = client.budget();
        let collection = |readiness: &Readiness| {
            let findings =
                CollectionFindings { state: readiness.level.name(), reasons: readiness.reasons.clone() };
            (readiness.collection, findings)
        };
        Findings {
            account: AccountFindings {
                id: account.id,
                account_type: account.account_type.clone(),
                currency: account.company_currency.clone(),
                data_hosting_location: account.data_hosting_location.clone(),
                time_zone: account.time_zone.clone(),
                local_time: local(now, zone),
            },
            limits: Limits {
                general_per_10_s: budget.limit(RateLimit::General),
                search_per_s: budget.limit(RateLimit::Search) / 10,
                associations_per_10_s: budget.limit(RateLimit::Associations),
                daily: daily.map(|daily| Daily {
                    limit: daily.limit,
                    used: daily.used,
                    resets_at: local(daily.resets_at.unwrap_or_else(|| account.midnight(now)), zone),
                }),
            },
            missing_scopes: lacking.map(|lacking| {
                let missing = |Lacking { family, scopes }| MissingScopes { family, scopes };
                lacking.into_iter().map(missing).collect()
            }),
            families: probed.iter().map(|probed| FamilyFindings::new(probed, now)).collect(),
            collections: readiness.iter().map(collection).collect(),
            can_fill_all: readiness.iter().all(|readiness| readiness.level != Level::Skipped),
        }
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

impl FamilyFindings {
    fn new(probed: &Probed, now: DateTime<Utc>) -> FamilyFindings {
        let family = probed.family;
        let supported_until = family.supported_until();
        FamilyFindings {
            name: family.name,
            about: family.about,
            version: family.version,
            supported_until,
            days_left: supported_until.map(|until| (until - now.date_naive()).num_days()),
            answers: probed.availability.name(),
            reason: probed.availability.reason().map(str::to_owned),
            scopes: family.scopes,
            needed_for: probed.fills.iter().map(|fill| fill.collection).collect(),
            without_it: without(&probed.fills),
        }
    }
}

fn without(fills: &[Fill]) -> Vec<String> {
    let effect = |fill: &Fill| match fill.role {
        Role::Needed => format!("no {}", fill.collection),
        Role::Adds(lost) => format!("{}: {lost}", fill.collection),
        Role::StandsIn => format!("{}: nothing to fall back on", fill.collection),
    };
    fills.iter().map(effect).collect()
}

fn local(at: DateTime<Utc>, zone: Tz) -> String {
    let at: DateTime<FixedOffset> = at.with_timezone(&zone).fixed_offset();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

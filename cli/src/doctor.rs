//! `doctor`: the rights of the credential, the account's limits, and the support of the API versions that we call. It
//! calls each family of HubSpot's API once, and writes nothing.

mod findings;
mod probe;
mod readiness;
mod text;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use extract::CollectionNames;
use hubspot::families::{Family, granted_scopes, lacking, of_custom_schemas};
use hubspot::feeds::{CustomObjects, FEEDS};
use hubspot::{Budget, Client, Credential, DailyUsage};

use crate::args::{Doctor, ReportFormat};
use crate::credential::credential;
use crate::print::print;

use findings::{CollectionFindings, Findings};
use probe::{Availability, probe, probe_custom_objects};
use readiness::readiness;

/// Time after which a family that keeps failing is given up. The others answer within seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints the findings. `true`: every collection can be filled, some perhaps not in full.
///
/// # Errors
/// For wrong use or configuration, such as a credential that HubSpot rejects.
pub(crate) async fn run(args: &Doctor) -> anyhow::Result<bool> {
    let names = CollectionNames::new(args.collections.as_deref(), args.without.as_deref())?;
    let reserve = f64::from(args.reserve) / 100.0;
    let findings = findings(&args.hubspot_url, credential(&args.token).await?, reserve, &names).await?;
    print(&match args.report {
        ReportFormat::Json => findings.json()?,
        ReportFormat::Text => findings.text(),
    });
    Ok(findings.can_fill_all)
}

async fn findings(
    url: &str,
    credential: Credential,
    reserve: f64,
    names: &CollectionNames,
) -> anyhow::Result<Findings> {
    let client = Client::new(url, credential, Budget::new(reserve))?;
    client.set_deadline(Instant::now() + PATIENCE);
    let account = extract::account(&client).await?;
    let (custom, schemas) = custom_objects(&client, names).await;
    let selection = names.among(&custom, None).checked()?;
    let mut probed = probe(&client, &selection).await;
    if let Some(schemas) = schemas {
        probed.extend(probe_custom_objects(&client, &selection, schemas).await);
    }
    let families: Vec<&'static Family> = probed.iter().map(|probed| probed.family).collect();
    let lacking = granted_scopes(&client).await.map(|granted| lacking(&families, &granted));
    let daily = DailyUsage::of(&client).await;
    let readiness = readiness(&probed, &selection.if_available);
    Ok(Findings::new(&account, daily, &client, &probed, &readiness, lacking))
}

/// Rights of a credential, by collection.
#[derive(Debug)]
pub(crate) struct Rights {
    pub(crate) account: u64,
    collections: BTreeMap<&'static str, CollectionFindings>,
}

/// Asks HubSpot what a credential may read.
///
/// # Errors
/// When it does not answer, or rejects the credential.
pub(crate) async fn rights(url: &str, credential: Credential) -> anyhow::Result<Rights> {
    let all = CollectionNames::new(Some(&["all".to_owned()]), None)?;
    let findings = findings(url, credential, 0.0, &all).await?;
    Ok(Rights { account: findings.account.id, collections: findings.collections })
}

impl Rights {
    /// Returns the collections in this state.
    pub(crate) fn names(&self, state: &str) -> Vec<&'static str> {
        let of_state = self.collections.iter().filter(|(_, found)| found.state == state);
        of_state.map(|(name, _)| *name).collect()
    }

    /// Returns the collections in this state, by the reasons for it.
    pub(crate) fn by_reason(&self, state: &str) -> BTreeMap<String, Vec<&'static str>> {
        let mut reasons: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (name, found) in self.collections.iter().filter(|(_, found)| found.state == state) {
            reasons.entry(found.reasons.join("; ")).or_default().push(name);
        }
        reasons
    }

    /// Counts those that can't be filled.
    pub(crate) fn not_filled(&self) -> usize {
        self.names("skipped").len() + self.names("unavailable").len()
    }

    /// Returns those of Segment's that can't be filled: a run that nobody tells otherwise reads these, and is incomplete.
    pub(crate) fn to_leave_out(&self) -> Vec<&'static str> {
        let segments = |name: &&str| FEEDS.iter().any(|feed| feed.collections().contains(name));
        ["skipped", "unavailable"].iter().flat_map(|state| self.names(state)).filter(segments).collect()
    }
}

/// Asks for the account's custom objects, if one may be selected, or the table of them: with the answer's availability.
async fn custom_objects(client: &Client, names: &CollectionNames) -> (CustomObjects, Option<Availability>) {
    let is_filled = of_custom_schemas().fills.iter().any(|fill| names.select(fill.collection));
    if !names.need_custom_objects() && !is_filled {
        return (CustomObjects::default(), None);
    }
    let found = hubspot::feeds::custom_objects(client).await;
    let availability = Availability::of(found.as_ref());
    (found.unwrap_or_default(), Some(availability))
}

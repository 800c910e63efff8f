//! `doctor`: the rights of the credential, the account's limits, and the support of the API versions that we call. It
//! calls each family of HubSpot's API once, and writes nothing.

mod findings;
mod probe;
mod readiness;
mod text;

use std::time::{Duration, Instant};

use extract::CollectionNames;
use hubspot::families::{Family, granted_scopes, lacking, of_custom_schemas};
use hubspot::feeds::CustomObjects;
use hubspot::{Budget, Client, DailyUsage};

use crate::args::{Doctor, ReportFormat};
use crate::credential::credential;
use crate::sync::print;

use findings::Findings;
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
    let budget = Budget::new(f64::from(args.reserve) / 100.0);
    let client = Client::new(&args.hubspot_url, credential()?, budget)?;
    client.set_deadline(Instant::now() + PATIENCE);
    let account = extract::account(&client).await?;
    let (custom, schemas) = custom_objects(&client, &names).await;
    let selection = names.among(&custom, None).checked()?;
    let mut probed = probe(&client, &selection).await;
    if let Some(schemas) = schemas {
        probed.extend(probe_custom_objects(&client, &selection, schemas).await);
    }
    let families: Vec<&'static Family> = probed.iter().map(|probed| probed.family).collect();
    let lacking = granted_scopes(&client).await.map(|granted| lacking(&families, &granted));
    let daily = DailyUsage::of(&client).await;
    let readiness = readiness(&probed, &selection.if_available);
    let findings = Findings::new(&account, daily, &client, &probed, &readiness, lacking);
    print(&match args.report {
        ReportFormat::Json => findings.json()?,
        ReportFormat::Text => findings.text(),
    });
    Ok(findings.can_fill_all)
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

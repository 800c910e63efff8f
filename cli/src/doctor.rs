//! `doctor`: the rights of the credential, the account's limits, and the support of the API versions that we call. It
//! calls each family of HubSpot's API once, and writes nothing.

mod findings;
mod probe;
mod readiness;
mod text;

use std::time::{Duration, Instant};

use hubspot::families::{granted_scopes, lacking};
use hubspot::{Budget, Client, DailyUsage};

use crate::args::{Doctor, ReportFormat};
use crate::credential::credential;
use crate::sync::print;

use findings::Findings;
use probe::probe;
use readiness::readiness;

/// Time after which a family that keeps failing is given up. The others answer within seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints the findings. `true`: every collection can be filled, some perhaps not in full.
///
/// # Errors
/// For wrong use or configuration, such as a credential that HubSpot rejects.
pub(crate) async fn run(args: &Doctor) -> anyhow::Result<bool> {
    let budget = Budget::new(f64::from(args.reserve) / 100.0);
    let client = Client::new(&args.hubspot_url, credential()?, budget)?;
    client.set_deadline(Instant::now() + PATIENCE);
    let account = extract::account(&client).await?;
    let lacking = granted_scopes(&client).await.map(|granted| lacking(&granted));
    let probed = probe(&client).await;
    let daily = DailyUsage::of(&client).await;
    let findings = Findings::new(&account, daily, &client, &probed, &readiness(&probed), lacking);
    print(&match args.report {
        ReportFormat::Json => findings.json()?,
        ReportFormat::Text => findings.text(),
    });
    Ok(findings.can_fill_all)
}

//! `doctor`: what the credential may read, how far the account's limits go, how long HubSpot supports what we call.
//! It asks each family of HubSpot's API once, and writes nothing.

mod findings;
mod text;

use std::time::{Duration, Instant};

use anyhow::Context;
use hubspot::families::{granted_scopes, lacking, probe, readiness};
use hubspot::{Account, Budget, Client, DailyUsage};

use crate::args::{Doctor, ReportFormat};
use crate::credential::credential;
use crate::sync::print;

use findings::Findings;

/// A family that fails again and again is given up then: the others are answered within seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints what it found. `true`: every collection can be filled, if not in full.
///
/// # Errors
/// For wrong use or configuration, such as a credential that HubSpot does not accept.
pub(crate) async fn run(args: &Doctor) -> anyhow::Result<bool> {
    let budget = Budget::new(f64::from(args.reserve) / 100.0);
    let client = Client::new(&args.hubspot_url, credential()?, budget)?;
    client.set_deadline(Instant::now() + PATIENCE);
    let account = Account::of(&client).await.context("HubSpot does not let us in")?;
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

//! Families of marketing that are read whole. Scopes are those of HubSpot's specifications of August 2026
//! (<https://github.com/HubSpot/HubSpot-public-api-spec-collection>).

use super::list::needed;
use super::{Family, Probe};
use crate::call::Call;
use crate::version;

pub(super) const MARKETING: &[Family] = &[
    Family {
        name: "marketing e-mails",
        about: "marketing e-mails with their statistics",
        version: version::EMAILS,
        scopes: &[&["content", "marketing.email.read"]],
        fills: &[needed("marketing_emails")],
        paths: &["/marketing/emails/*"],
        probe: Probe::Call(|| Call::get(format!("/marketing/emails/{}?limit=1", version::EMAILS))),
    },
    Family {
        name: "marketing campaigns",
        about: "campaigns of the marketing tools",
        version: version::CAMPAIGNS,
        scopes: &[&["marketing.campaigns.read"]],
        fills: &[needed("marketing_campaigns")],
        paths: &["/marketing/campaigns/*"],
        probe: Probe::Call(|| Call::get(format!("/marketing/campaigns/{}?limit=1", version::CAMPAIGNS))),
    },
    Family {
        name: "marketing events",
        about: "marketing events, such as webinars",
        version: version::EVENTS,
        scopes: &[&["crm.objects.marketing_events.read"]],
        fills: &[needed("marketing_events")],
        paths: &["/marketing/marketing-events/*"],
        probe: Probe::Call(|| Call::get(format!("/marketing/marketing-events/{}?limit=1", version::EVENTS))),
    },
    Family {
        name: "workflows",
        about: "workflows, and the e-mail campaigns that they send",
        version: version::FLOWS,
        scopes: &[&["automation"]],
        fills: &[needed("workflows"), needed("flow_email_campaigns")],
        paths: &["/automation/*"],
        probe: Probe::Call(|| Call::get(format!("/automation/{}/flows?limit=1", version::FLOWS))),
    },
];

//! Marketing: e-mails with their statistics, campaigns, events, and the workflows that send e-mails.

use super::feed::FullRefresh;
use super::marketing_tables as tables;
use super::source::{Fill, ID, Key, PAGE, Paths, RowsOf, Source, items};
use crate::version;

pub(in crate::feeds) static MARKETING: FullRefresh =
    FullRefresh { name: "marketing", sources: SOURCES, collections: COLLECTIONS };

/// In the order of the sources' tables.
const COLLECTIONS: &[&str] =
    &["marketing_emails", "marketing_campaigns", "marketing_events", "workflows", "flow_email_campaigns"];

pub(super) const MARKETING_EMAILS: &str = "marketing_emails";

/// Properties of a campaign that HubSpot documents
/// (<https://developers.hubspot.com/docs/api-reference/latest/marketing/campaigns/guide>). Its list of definitions names
/// some that a call is refused for.
const OF_CAMPAIGNS: &[&str] = &[
    "hs_name",
    "hs_start_date",
    "hs_end_date",
    "hs_notes",
    "hs_audience",
    "hs_currency_code",
    "hs_campaign_status",
    "hs_owner",
    "hs_color_hex",
    "hs_utm",
    "hs_created_by_user_id",
    "hs_object_id",
    "hs_budget_items_sum_amount",
    "hs_spend_items_sum_amount",
];

/// All of them, in the order in which they are read.
pub(super) static SOURCES: &[Source] = &[
    Source {
        name: MARKETING_EMAILS,
        paths: Paths::MarketingEmails,
        page: Some(PAGE),
        fills: &[items(&tables::EMAILS, ID)],
    },
    Source {
        name: "marketing_campaigns",
        paths: Paths::OfAccount(|| {
            let properties: Vec<String> =
                OF_CAMPAIGNS.iter().map(|name| format!("properties={name}")).collect();
            vec![format!("/marketing/campaigns/{}?{}", version::CAMPAIGNS, properties.join("&"))]
        }),
        page: Some(PAGE),
        fills: &[items(&tables::CAMPAIGNS, ID)],
    },
    Source {
        name: "marketing_events",
        paths: Paths::OfAccount(|| vec![format!("/marketing/marketing-events/{}", version::EVENTS)]),
        page: Some(PAGE),
        fills: &[items(&tables::EVENTS, Key { column: "id", field: "objectId" })],
    },
    Source {
        name: "workflows",
        paths: Paths::OfAccount(|| vec![format!("/automation/{}/flows", version::FLOWS)]),
        page: Some(PAGE),
        fills: &[items(&tables::WORKFLOWS, ID)],
    },
    Source {
        name: "flow_email_campaigns",
        paths: Paths::OfAccount(|| vec![format!("/automation/{}/flows/email-campaigns", version::FLOWS)]),
        page: Some(PAGE),
        fills: &[Fill {
            collection: &tables::FLOW_CAMPAIGNS,
            key: Key { column: "email_campaign_id", field: "emailCampaignId" },
            rows: RowsOf::Pairs { parent: "flow_id", field: "flowId" },
            needs_list: false,
        }],
    },
];

//! Tables of marketing that are read whole.

use duckdb::Connection;
use fake_hubspot::{Account, TruthEmail};

use super::metadata::{Expected, Row, at, compare, some};
use super::row::Findings;

pub(super) fn differences(database: &Connection, account: &Account) -> Findings {
    let tools = account.marketing_tools();
    // HubSpot shows no statistics of drafts.
    let counted = |email: &TruthEmail, name: &str| {
        (!email.id.is_multiple_of(10)).then(|| email.counters.get(name).map(u64::to_string)).flatten()
    };
    let emails = account.truth_emails().into_iter().map(|email| {
        let name = some(&email.name);
        let (sent, open) = (counted(&email, "sent"), counted(&email, "open"));
        let primary = some(email.campaigns[0]);
        vec![some(email.id), name, some(email.is_archived), primary, some("Service"), sent, open]
    });
    let campaigns = tools.campaigns.iter().map(|(id, campaign)| {
        vec![
            some(id),
            some(&campaign.name),
            some(campaign.status),
            some(&campaign.start_date),
            campaign.budget.clone(),
            at(campaign.updated_at),
        ]
    });
    let events = tools.events.iter().map(|(id, event)| {
        vec![
            some(id),
            some(&event.name),
            some(event.is_cancelled),
            some(event.registrants),
            at(event.updated_at),
        ]
    });
    let flows = tools.flows.iter().map(|(id, flow)| {
        vec![some(id), some(&flow.name), some(flow.is_enabled), some(flow.revision), at(flow.updated_at)]
    });
    let sent = tools.flows.iter().flat_map(|(id, flow)| {
        flow.emails.iter().map(move |(campaign, email)| vec![some(id), some(campaign), some(email)])
    });
    let expected =
        |table, columns, rows: Vec<Row>| Expected { table, columns, rows: rows.into_iter().collect() };
    let tables = [
        expected(
            "marketing_emails",
            &["id", "name", "archived", "primary_email_campaign_id", "from_name", "stats_sent", "stats_open"],
            emails.collect(),
        ),
        expected(
            "marketing_campaigns",
            &["id", "name", "status", "start_date", "budget_amount", "updated_at"],
            campaigns.collect(),
        ),
        expected(
            "marketing_events",
            &["id", "event_name", "event_cancelled", "registrants", "updated_at"],
            events.collect(),
        ),
        expected("workflows", &["id", "name", "is_enabled", "revision_id", "updated_at"], flows.collect()),
        expected(
            "flow_email_campaigns",
            &["flow_id", "email_campaign_id", "email_content_id"],
            sent.collect(),
        ),
    ];
    compare(database, &tables)
}

//! Marketing campaigns, marketing events, workflows and the e-mail campaigns that these send. Shapes and scopes are those of
//! HubSpot's specifications of August 2026 (github.com/HubSpot/HubSpot-public-api-spec-collection).

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Call, Reply, Route, limit};
use crate::account::MarketingTools;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::time;

/// Greatest page; the specification names none.
const MOST: usize = 100;
/// Page of events and of others without a limit
/// (developers.hubspot.com/docs/api-reference/latest/marketing/marketing-events).
const BY_DEFAULT: usize = 10;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    if request.method != Method::GET {
        return None;
    }
    Some(match segments.as_slice() {
        ["marketing", "campaigns", "v3" | "2026-03" | "2026-09"] => {
            general("marketing_campaigns.list", campaigns).requires("marketing.campaigns.read")
        }
        ["marketing", "marketing-events", "v3" | "2026-03" | "2026-09"] => {
            general("marketing_events.list", events).requires("crm.objects.marketing_events.read")
        }
        ["automation", "v4" | "2026-09-beta", "flows"] => general("flows.list", flows).requires("automation"),
        ["automation", "v4" | "2026-09-beta", "flows", "email-campaigns"] => {
            general("flows.email_campaigns", flow_campaigns).requires("automation")
        }
        _ => return None,
    })
}

fn page(call: &Call<'_>, items: Vec<Value>) -> Answer {
    let limit = limit(call.request.parameter("limit"), BY_DEFAULT, MOST)?;
    let after = call.request.parameter("after").map_or(Ok(0), str::parse::<usize>);
    let after = after.map_err(|_| Problem::invalid_cursor())?;
    let (rows, has_more) = call.page(items.into_iter().skip(after), limit);
    let next = after + rows.len();
    let mut answer = json!({ "results": rows });
    if has_more {
        answer["paging"] = json!({"next": {"after": next.to_string(), "link": "?"}});
    }
    Ok(Reply::json(&answer))
}

fn with<T>(call: &Call<'_>, of: impl FnOnce(&MarketingTools) -> T) -> T {
    of(&call.account().read().marketing_tools)
}

/// A property is shown where it is asked for and has a value.
fn campaigns(call: &Call<'_>) -> Answer {
    let asked = call.request.list("properties");
    let items = with(call, |tools| {
        let body = |(id, campaign): (&String, &crate::account::ToolCampaign)| {
            let all = json!({
                "hs_name": campaign.name,
                "hs_campaign_status": campaign.status,
                "hs_start_date": campaign.start_date,
                "hs_budget_items_sum_amount": campaign.budget,
            });
            let shown = all.as_object().into_iter().flatten();
            let shown = shown.filter(|(name, value)| !value.is_null() && asked.contains(name));
            let shown: serde_json::Map<String, Value> =
                shown.map(|(name, value)| (name.clone(), value.clone())).collect();
            json!({
                "id": id,
                "properties": shown,
                "businessUnits": [{"id": 0}],
                "createdAt": time::text(campaign.created_at),
                "updatedAt": time::text(campaign.updated_at),
            })
        };
        tools.campaigns.iter().map(body).collect()
    });
    page(call, items)
}

fn events(call: &Call<'_>) -> Answer {
    let items = with(call, |tools| {
        let body = |(id, event): (&u64, &crate::account::MarketingEvent)| {
            json!({
                "objectId": id.to_string(),
                "eventName": event.name,
                "eventCancelled": event.is_cancelled,
                "registrants": event.registrants,
                "startDateTime": time::text(event.start),
                "customProperties": [],
                "appInfo": {"id": "35161", "name": "Webinars"},
                "createdAt": time::text(event.created_at),
                "updatedAt": time::text(event.updated_at),
            })
        };
        tools.events.iter().map(body).collect()
    });
    page(call, items)
}

fn flows(call: &Call<'_>) -> Answer {
    let items = with(call, |tools| {
        let body = |(id, flow): (&u64, &crate::account::Flow)| {
            json!({
                "id": id.to_string(),
                "name": flow.name,
                "flowType": "WORKFLOW",
                "objectTypeId": "0-1",
                "isEnabled": flow.is_enabled,
                "revisionId": flow.revision.to_string(),
                "createdAt": time::text(flow.created_at),
                "updatedAt": time::text(flow.updated_at),
            })
        };
        tools.flows.iter().map(body).collect()
    });
    page(call, items)
}

fn flow_campaigns(call: &Call<'_>) -> Answer {
    let items = with(call, |tools| {
        let of_flow = |(id, flow): (&u64, &crate::account::Flow)| -> Vec<Value> {
            let body = |(campaign, content): &(u64, u64)| {
                json!({
                    "flowId": id.to_string(),
                    "emailCampaignId": campaign.to_string(),
                    "emailContentId": content.to_string(),
                })
            };
            flow.emails.iter().map(body).collect()
        };
        tools.flows.iter().flat_map(of_flow).collect()
    });
    page(call, items)
}

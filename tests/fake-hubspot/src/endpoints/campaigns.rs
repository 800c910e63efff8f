//! E-mail campaigns: their ids in no order, those with recent activity first, and one with its counters. Besides them
//! the marketing e-mails, which are something else: one e-mail may own several campaigns.

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Call, Reply, Route, limit, offsets};
use crate::account::{Campaign, Place};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::time;

/// Greatest page size. HubSpot documents no numbers; connectors ask for up to 1,000.
const MOST: usize = 1_000;
const BY_DEFAULT: usize = 10;
const MOST_EMAILS: usize = 300;
const EMAILS_BY_DEFAULT: usize = 100;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    let route = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["email", "public", "v1", "campaigns"]) => general("campaigns.recent", recent),
        (&Method::GET, ["email", "public", "v1", "campaigns", "by-id"]) => general("campaigns.by_id", by_id),
        (&Method::GET, ["email", "public", "v1", "campaigns", id]) => {
            let id = (*id).to_owned();
            Route::new("campaigns.get", Bucket::General, move |call| get(call, &id))
        }
        (&Method::GET, _) => {
            let (Version::V3 | Version::Dated, rest) = request.resource("marketing", "emails")? else {
                return None;
            };
            match rest.as_slice() {
                [] => general("marketing_emails.list", marketing_emails),
                [id] => {
                    let id = (*id).to_owned();
                    Route::new("marketing_emails.get", Bucket::General, move |call| {
                        marketing_email(call, &id)
                    })
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(route.requires("content"))
}

fn recent(call: &Call<'_>) -> Answer {
    page(call, |campaign| (-campaign.last_updated, campaign.id), true)
}

fn by_id(call: &Call<'_>) -> Answer {
    page(call, |campaign| ((mix(campaign.id) >> 1) as i64, campaign.id), false)
}

fn page(call: &Call<'_>, key: impl Fn(&Campaign) -> Place, tells_update: bool) -> Answer {
    let limit = limit(call.request.parameter("limit"), BY_DEFAULT, MOST)?;
    let after = offsets::take(call)?;
    let state = call.account().read();
    let seen = state.emails.campaigns.iter().filter(|campaign| !call.is_hidden(campaign.id));
    let mut campaigns: Vec<_> = seen.map(|campaign| (key(campaign), campaign)).collect();
    campaigns.sort_unstable_by_key(|(key, _)| *key);
    let rest = campaigns.into_iter().filter(|(key, _)| after.is_none_or(|after| *key > after));
    let (rows, has_more) = call.page(rest, limit);
    let last = rows.last().map(|(key, _)| *key).or(after).unwrap_or((i64::MIN, 0));
    let shown: Vec<Value> = rows.iter().map(|(_, campaign)| short(campaign, tells_update)).collect();
    Ok(Reply::json(&json!({"hasMore": has_more, "offset": offsets::give(call, last), "campaigns": shown})))
}

fn short(campaign: &Campaign, tells_update: bool) -> Value {
    let mut shown = json!({"id": campaign.id, "appId": campaign.app_id, "appName": campaign.app_name});
    if let Some(group) = campaign.group_id {
        shown["groupId"] = group.into();
    }
    if tells_update {
        shown["lastUpdatedTime"] = campaign.last_updated.into();
    }
    shown
}

/// Answers one campaign. With another app's id there is no such campaign.
fn get(call: &Call<'_>, id: &str) -> Answer {
    let app = call.request.parameter("appId");
    let state = call.account().read();
    let campaign = state.emails.campaigns.iter().find(|campaign| {
        campaign.id.to_string() == id
            && !call.is_hidden(campaign.id)
            && app.is_none_or(|app| campaign.app_id.to_string() == app)
    });
    let campaign = campaign.ok_or_else(|| Problem::not_found("campaign does not exist"))?;
    Ok(Reply::json(&campaign.detail()))
}

fn marketing_emails(call: &Call<'_>) -> Answer {
    let request = call.request;
    let limit = limit(request.parameter("limit"), EMAILS_BY_DEFAULT, MOST_EMAILS)?;
    let after = request.parameter("after").map_or(Ok(0), str::parse);
    let after: u64 = after.map_err(|_| Problem::validation("Invalid paging cursor"))?;
    let state = call.account().read();
    let (is_archived, with_stats) = (request.flag("archived"), request.flag("includeStats"));
    let mut emails = state.emails.marketing_emails();
    let archived = &state.marketing_tools.archived_emails;
    // Connectors found that e-mails are left out where their statistics are asked for.
    emails.retain(|id, _| archived.contains(id) == is_archived && !(with_stats && id % 5 == 0));
    let total = emails.len();
    let (rows, has_more) = call.page(emails.range(after + 1..), limit);
    let results: Vec<Value> = rows
        .iter()
        .map(|(_, campaigns)| {
            let mut body = email_body(campaigns, with_stats);
            body["archived"] = is_archived.into();
            body
        })
        .collect();
    let mut answer = json!({"total": total, "results": results});
    if let Some((last, _)) = rows.last().filter(|_| has_more) {
        answer["paging"] = json!({"next": {"after": last.to_string()}});
    }
    Ok(Reply::json(&answer))
}

fn marketing_email(call: &Call<'_>, id: &str) -> Answer {
    let state = call.account().read();
    let (emails, archived) = (state.emails.marketing_emails(), &state.marketing_tools.archived_emails);
    let email = id.parse::<u64>().ok().and_then(|id| Some((id, emails.get(&id)?)));
    let is_archived = call.request.flag("archived");
    let email = email.filter(|(id, _)| archived.contains(id) == is_archived);
    let (_, campaigns) = email.ok_or_else(|| Problem::not_found("email does not exist"))?;
    let mut body = email_body(campaigns, call.request.flag("includeStats"));
    body["archived"] = is_archived.into();
    Ok(Reply::json(&body))
}

/// A draft was never sent, and has no statistics.
fn is_draft(campaign: &Campaign) -> bool {
    campaign.content_id.is_multiple_of(10)
}

/// Makes the body of the e-mail that owns these campaigns.
fn email_body(campaigns: &[&Campaign], with_stats: bool) -> Value {
    let Some(primary) = campaigns.first() else { return Value::Null };
    let last_updated = campaigns.iter().map(|campaign| campaign.last_updated).max().unwrap_or_default();
    let updated_at = chrono::DateTime::from_timestamp_millis(last_updated).map(time::text);
    let ids: Vec<String> = campaigns.iter().map(|campaign| campaign.id.to_string()).collect();
    let mut body = json!({
        "id": primary.content_id.to_string(),
        "name": primary.name,
        "subject": primary.subject,
        "type": primary.kind,
        "subcategory": "batch",
        "state": "PUBLISHED",
        "content": {"widgets": {"hs_email_body": {"html": "<p>".repeat(400)}}},
        "from": {"fromName": "Service", "replyTo": "service@example.com"},
        "isPublished": !is_draft(primary),
        "isAb": primary.kind == "AB_EMAIL",
        "archived": false,
        "primaryEmailCampaignId": ids[0],
        "allEmailCampaignIds": ids,
        "createdAt": updated_at,
        "updatedAt": updated_at,
        "publishDate": updated_at,
    });
    if let Some(group) = primary.group_id {
        body["emailCampaignGroupId"] = group.to_string().into();
    }
    if with_stats && !is_draft(primary) {
        let mut counters: std::collections::BTreeMap<&str, u64> = Default::default();
        for (name, count) in campaigns.iter().flat_map(|campaign| campaign.counters()) {
            *counters.entry(name).or_default() += count;
        }
        body["stats"] =
            json!({"counters": counters, "ratios": {}, "deviceBreakdown": {}, "qualifierStats": {}});
    }
    body
}

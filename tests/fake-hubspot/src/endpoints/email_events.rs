//! E-mail events, the last one to arrive first. An `offset` goes on just before the last event of its page: a client
//! that pages on does not see an event that arrives later.

use hyper::Method;
use serde::Serialize;

use super::{Answer, Call, Reply, Route, limit, offsets};
use crate::account::{Arrived, Body, Campaign, EmailEvent, EventId, EventType, Guid};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;

const MOST: usize = 1_000;
const BY_DEFAULT: usize = 10;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let route = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["email", "public", "v1", "events"]) => {
            Route::new("email_events.list", Bucket::General, list)
        }
        (&Method::GET, ["email", "public", "v1", "events", created, id]) => {
            let (created, id) = ((*created).to_owned(), (*id).to_owned());
            Route::new("email_events.get", Bucket::General, move |call| get(call, &created, &id))
        }
        _ => return None,
    };
    Some(route.requires("content"))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    has_more: bool,
    offset: String,
    events: Vec<Body<'a>>,
}

fn list(call: &Call<'_>) -> Answer {
    let request = call.request;
    let limit = limit(request.parameter("limit"), BY_DEFAULT, MOST)?;
    let (from, to) = window(call)?;
    let filters = Filters::new(request)?;
    let before = offsets::take(call)?.filter(|_| !call.behaviour.offsets_lead_back);
    let state = call.account().read();
    let emails = &state.emails;
    let most = call.most_delay_ms();
    let events = emails
        .events
        .last_arrived_first((from, to), before, most, |(at, told), _| call.delay_ms(at as u64 ^ mix(told)));
    let matching =
        events.filter(|Arrived { entry, .. }| filters.match_event(entry, &emails.campaigns[entry.campaign]));
    let (rows, has_more) = call.page(matching, limit);
    let last = rows.last().map(|event| event.arrival).or(before);
    let body = |event| body(call, event, &emails.campaigns);
    Ok(Reply::json(&Page {
        has_more,
        offset: offsets::give(call, last.unwrap_or((from, 0))),
        events: rows.into_iter().map(|event| body(event.entry)).collect(),
    }))
}

fn body<'a>(call: &Call<'_>, event: &'a EmailEvent, campaigns: &'a [Campaign]) -> Body<'a> {
    Body::new(event, &campaigns[event.campaign], call.account().settings().account_id)
}

/// Returns the window of the call in milliseconds, both ends included.
pub(super) fn window(call: &Call<'_>) -> Result<(i64, i64), Problem> {
    let start = number(call.request, "startTimestamp")?.unwrap_or(i64::MIN);
    let end = number(call.request, "endTimestamp")?.unwrap_or(i64::MAX);
    Ok(if call.behaviour.windows_are_ignored { (i64::MIN, i64::MAX) } else { (start, end) })
}

fn number(request: &Request, name: &str) -> Result<Option<i64>, Problem> {
    let given = request.parameter(name).filter(|given| !given.is_empty());
    let parsed = given.map(|given| {
        given
            .parse()
            .map_err(|_| Problem::validation(format!("Invalid {name}: {given}. It must be a number")))
    });
    parsed.transpose()
}

#[derive(Debug)]
struct Filters<'a> {
    kind: Option<&'a str>,
    recipient: Option<&'a str>,
    campaign: Option<i64>,
    app: Option<i64>,
    excludes_filtered: bool,
}

impl<'a> Filters<'a> {
    fn new(request: &'a Request) -> Result<Self, Problem> {
        Ok(Self {
            kind: request.parameter("eventType"),
            recipient: request.parameter("recipient"),
            campaign: number(request, "campaignId")?,
            app: number(request, "appId")?,
            excludes_filtered: request.flag("excludeFilteredEvents"),
        })
    }

    /// `true`: the event matches the filters. An UNBOUNCE has no recipient, campaign or app, and matches no filter by
    /// them.
    fn match_event(&self, event: &EmailEvent, campaign: &Campaign) -> bool {
        let is_narrowed = self.recipient.is_some() || self.campaign.is_some() || self.app.is_some();
        if event.kind == EventType::Unbounce && is_narrowed {
            return false;
        }
        self.kind.is_none_or(|kind| kind == event.kind.name())
            && self.recipient.is_none_or(|recipient| recipient.eq_ignore_ascii_case(&event.recipient))
            && self.campaign.is_none_or(|id| i64::try_from(campaign.id) == Ok(id))
            && self.app.is_none_or(|id| i64::from(campaign.app_id) == id)
            && !(self.excludes_filtered && event.is_filtered)
    }
}

fn get(call: &Call<'_>, created: &str, id: &str) -> Answer {
    let not_found = || Problem::not_found("event does not exist");
    let created = created.parse().map_err(|_| not_found())?;
    let id: Guid = id.parse().map_err(|_| not_found())?;
    let state = call.account().read();
    let event = state.emails.find(EventId { id, created }).ok_or_else(not_found)?;
    Ok(Reply::json(&body(call, event, &state.emails.campaigns)))
}

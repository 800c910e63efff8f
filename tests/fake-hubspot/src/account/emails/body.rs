//! E-mail events as HubSpot sends them. The fields of an event's type are not stored but derived from its id, so that
//! 200,000 events take little room.

use serde::Serialize;

use super::{Campaign, EmailEvent, EventId, EventType};
use crate::account::guid::Guid;
use crate::dice::Dice;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body<'a> {
    #[serde(flatten)]
    id: EventId,
    /// Missing for UNBOUNCE.
    #[serde(flatten)]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_by: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caused_by: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obsoleted_by: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hmid: Option<Guid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered_event: Option<bool>,
    #[serde(flatten)]
    detail: Detail,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    r#type: EventType,
    recipient: &'a str,
    portal_id: u32,
    app_id: u32,
    app_name: &'a str,
    email_campaign_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_campaign_group_id: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail {
    Submission(Submission),
    Delivery(Delivery),
    Engagement(Box<Engagement>),
    StatusChange(StatusChange),
    Nothing {},
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Submission {
    subject: String,
    from: &'static str,
    reply_to: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cc: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bcc: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop_message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    response: &'static str,
    smtp_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Engagement {
    user_agent: &'static str,
    device_type: &'static str,
    browser: Browser,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Browser {
    name: &'static str,
    family: &'static str,
    producer: &'static str,
    producer_url: &'static str,
    r#type: &'static str,
    url: &'static str,
    version: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Location {
    country: &'static str,
    state: &'static str,
    city: &'static str,
    latitude: f64,
    longitude: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    zipcode: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusChange {
    source: &'static str,
    requested_by: String,
    portal_subscription_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Vec<Subscription>>,
    bounced: bool,
}

#[derive(Debug, Serialize)]
struct Subscription {
    id: u64,
    status: &'static str,
}

impl<'a> Body<'a> {
    pub(crate) fn new(event: &'a EmailEvent, campaign: &'a Campaign, account_id: u32) -> Self {
        let mut dice = event.id.id.dice();
        let message = Message {
            r#type: event.kind,
            recipient: &event.recipient,
            portal_id: account_id,
            app_id: campaign.app_id,
            app_name: campaign.app_name,
            email_campaign_id: campaign.id,
            email_campaign_group_id: campaign.group_id,
        };
        Self {
            id: event.id,
            message: (event.kind != EventType::Unbounce).then_some(message),
            sent_by: event.sent_by,
            caused_by: event.caused_by,
            obsoleted_by: event.obsoleted_by,
            hmid: dice.chance(0.5).then(|| Guid::draw(&mut dice)),
            filtered_event: matches!(event.kind, EventType::Open | EventType::Click)
                .then_some(event.is_filtered),
            detail: detail(event, campaign, &mut dice),
        }
    }
}

fn detail(event: &EmailEvent, campaign: &Campaign, dice: &mut Dice) -> Detail {
    use EventType::{
        Bounce, Click, Deferred, Delivered, Dropped, Forward, Open, Print, Processed, Sent, SpamReport,
        StatusChange, Suppressed, Unbounce,
    };
    match event.kind {
        Sent | Dropped | Suppressed => Detail::Submission(submission(event.kind, campaign, dice)),
        Deferred | Delivered | Bounce => Detail::Delivery(delivery(event.kind, dice)),
        Open | Click | Print | Forward | SpamReport => {
            Detail::Engagement(Box::new(engagement(event.kind, dice)))
        }
        StatusChange => Detail::StatusChange(status_change(event, dice)),
        Processed | Unbounce => Detail::Nothing {},
    }
}

fn submission(kind: EventType, campaign: &Campaign, dice: &mut Dice) -> Submission {
    let is_dropped = kind == EventType::Dropped;
    Submission {
        subject: campaign.subject.clone(),
        from: "\"The Team\" <team@vendor.example>",
        reply_to: vec!["team@vendor.example"],
        cc: dice.chance(0.1).then(|| vec!["sales@vendor.example", "boss@vendor.example"]),
        bcc: dice.chance(0.1).then(Vec::new),
        drop_reason: is_dropped.then(|| dice.pick(DROP_REASONS)),
        drop_message: (is_dropped && dice.chance(0.7)).then_some("550 \"no\" such user\r\n"),
        suppressed_reason: (kind == EventType::Suppressed).then(|| dice.pick(SUPPRESSED_REASONS)),
    }
}

fn delivery(kind: EventType, dice: &mut Dice) -> Delivery {
    let (response, is_bounce) = match kind {
        EventType::Delivered => ("250 OK id=1abc", false),
        EventType::Deferred => ("421 4.7.0 try again later", false),
        _ => ("smtp;550 5.1.1 user unknown <größe@example>", true),
    };
    Delivery {
        response,
        smtp_id: dice.chance(0.3).then_some("20261123@mail.vendor.example"),
        attempt: (kind == EventType::Deferred).then(|| 1 + dice.below(5)),
        category: is_bounce.then(|| dice.pick(BOUNCE_CATEGORIES)),
        status: is_bounce.then_some("5.1.1"),
    }
}

fn engagement(kind: EventType, dice: &mut Dice) -> Engagement {
    let is_click = kind == EventType::Click;
    let (name, producer, r#type, user_agent, device_type) = BROWSERS[dice.below(3) as usize];
    let (country, state, city, latitude, longitude) = PLACES[dice.below(3) as usize];
    let zipcode = dice.chance(0.3).then_some("02141");
    Engagement {
        user_agent,
        device_type,
        browser: Browser {
            name,
            family: name,
            producer,
            producer_url: "",
            r#type,
            url: "https://browser.example/",
            version: if dice.chance(0.8) { vec!["131.0.1"] } else { Vec::new() },
        },
        location: dice.chance(0.9).then_some(Location { country, state, city, latitude, longitude, zipcode }),
        ip_address: dice.chance(0.2).then(|| format!("203.0.113.{}", dice.below(256))),
        duration: (kind == EventType::Open).then(|| dice.below(60_000)),
        url: is_click
            .then(|| format!("https://vendor.example/offer?n={}&utm_source=hs_email", dice.below(9))),
        referer: (is_click && dice.chance(0.5)).then_some("https://mail.example/inbox"),
        link_id: (is_click && dice.chance(0.6)).then(|| dice.below(20)),
    }
}

fn status_change(event: &EmailEvent, dice: &mut Dice) -> StatusChange {
    let subscriptions = dice.chance(0.6).then(|| {
        let one = |id| Subscription { id, status: dice.pick(&["SUBSCRIBED", "UNSUBSCRIBED"]) };
        [2_849, 230_318].map(one).into()
    });
    StatusChange {
        source: dice.pick(&["SOURCE_RECIPIENT", "SOURCE_CUSTOMER", "SOURCE_HUBSPOT"]),
        requested_by: event.recipient.to_string(),
        portal_subscription_status: dice.pick(&["SUBSCRIBED", "UNSUBSCRIBED"]),
        subscriptions,
        bounced: dice.chance(0.1),
    }
}

const DROP_REASONS: &[&str] =
    &["PREVIOUSLY_BOUNCED", "PREVIOUSLY_UNSUBSCRIBED_PORTAL", "BLOCKED_ADDRESS", "QUARANTINED_ADDRESS"];
const SUPPRESSED_REASONS: &[&str] = &["UNENGAGED_CONTACT", "OVER_FREQUENCY_CAP"];
const BOUNCE_CATEGORIES: &[&str] = &["UNKNOWN_USER", "MAILBOX_FULL", "SPAM", "POLICY", "CONTENT"];

type Agent = (&'static str, &'static str, &'static str, &'static str, &'static str);

const BROWSERS: [Agent; 3] = [
    ("Chrome", "Google Inc.", "Browser", "Mozilla/5.0 (Windows NT 10.0) Chrome/131.0", "COMPUTER"),
    ("Mobile Safari", "Apple Inc.", "Mobile Browser", "Mozilla/5.0 (iPhone) Safari/605", "MOBILE"),
    ("Apple Mail", "Apple Inc.", "Email client", "Mozilla/5.0 (Macintosh) AppleWebKit/605", "UNKNOWN"),
];
const PLACES: [(&str, &str, &str, f64, f64); 3] = [
    ("UNITED STATES", "massachusetts", "cambridge", 42.3736, -71.1097),
    ("BRAZIL", "são paulo", "são paulo", -23.5505, -46.6333),
    ("Unknown", "Unknown", "Unknown", 0.0, 0.0),
];

//! E-mail events: what happened to each e-mail, whole, nested objects flattened with `_` as Segment did. An event never
//! changes, but for `obsoletedBy`, which may come later; then it is read, and merged, once more.

use staging::ColumnType::{BigInt, Boolean, Double, Json, Text, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use super::collection::{Collection, field};
use super::document::Writer;
use super::events::{Entry, EventFeed};
use crate::json::{Malformed, Scanner};

pub(super) static EMAIL_EVENTS: EventFeed = EventFeed {
    name: "email_events",
    collections: &["email_events"],
    tables: &[&EVENTS],
    path: "/email/public/v1/events",
    query: "",
    list: "events",
    instant: "created",
    entry: "event",
    about: None,
    append,
};

static EVENTS: Collection = Collection {
    name: "email_events",
    about: "One thing that happened to one e-mail: sent, delivered, opened, ...",
    primary_key: &["id", "created"],
    key_reason: "HubSpot identifies an event by both together",
    set_key: &[],
    is_deletable: false,
    calls: "1, and 1 more for each 1,000 events of the last day, which are read again because events are told late",
    columns: &[
        field("id", Text, "id"),
        field("created", Timestamp, "created"),
        field("type", Text, "type"),
        field("recipient", Text, "recipient"),
        field("portal_id", BigInt, "portalId"),
        field("app_id", BigInt, "appId"),
        field("app_name", Text, "appName"),
        field("email_campaign_id", BigInt, "emailCampaignId"),
        field("email_campaign_group_id", BigInt, "emailCampaignGroupId"),
        field("hmid", Text, "hmid"),
        field("sent_by_id", Text, "sentBy.id"),
        field("sent_by_created", Timestamp, "sentBy.created"),
        field("caused_by_id", Text, "causedBy.id"),
        field("caused_by_created", Timestamp, "causedBy.created"),
        field("obsoleted_by_id", Text, "obsoletedBy.id"),
        field("obsoleted_by_created", Timestamp, "obsoletedBy.created"),
        field("smtp_id", Text, "smtpId"),
        field("send_id", Text, "sendId"),
        field("subject", Text, "subject"),
        field("from", Text, "from"),
        field("cc", Json, "cc"),
        field("bcc", Json, "bcc"),
        field("reply_to", Json, "replyTo"),
        field("location_country", Text, "location.country"),
        field("location_state", Text, "location.state"),
        field("location_city", Text, "location.city"),
        field("location_zipcode", Text, "location.zipcode"),
        field("location_latitude", Double, "location.latitude"),
        field("location_longitude", Double, "location.longitude"),
        field("browser_family", Text, "browser.family"),
        field("browser_name", Text, "browser.name"),
        field("browser_producer", Text, "browser.producer"),
        field("browser_producer_url", Text, "browser.producerUrl"),
        field("browser_type", Text, "browser.type"),
        field("browser_url", Text, "browser.url"),
        field("browser_version", Json, "browser.version"),
        field("user_agent", Text, "userAgent"),
        field("device_type", Text, "deviceType"),
        field("ip_address", Text, "ipAddress"),
        field("url", Text, "url"),
        field("link_id", BigInt, "linkId"),
        field("referer", Text, "referer"),
        field("response", Text, "response"),
        field("attempt", BigInt, "attempt"),
        field("category", Text, "category"),
        field("status", Text, "status"),
        field("duration", BigInt, "duration"),
        field("filtered_event", Boolean, "filteredEvent"),
        field("drop_reason", Text, "dropReason"),
        field("drop_message", Text, "dropMessage"),
        field("source", Text, "source"),
        field("subscriptions", Json, "subscriptions"),
        field("portal_subscription_status", Text, "portalSubscriptionStatus"),
        field("requested_by", Text, "requestedBy"),
        field("bounced", Boolean, "bounced"),
        field("suppressed_reason", Text, "suppressedReason"),
    ],
};

fn append(event: &Entry<'_>, writers: &mut [Writer<'_>]) -> Result<(), Malformed> {
    let [events] = writers else { return Ok(()) };
    events.fill(&mut Scanner::new(event.json))?;
    // HubSpot names every event; one that it does not is known by what it says.
    events.set("id", |cell| cell.text(&format!("{:032x}", xxh3_128(event.json.as_bytes()))));
    events.finish(Some(event.at_ms));
    Ok(())
}

//! The timeline: each change of an address's subscriptions, and with it a snapshot of how the address stands then. The
//! latest snapshot of each address is its row in `email_subscriptions`.

use std::collections::HashMap;

use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::Writer;
use crate::feeds::events::{Entry, EventFeed};
use crate::json::{Malformed, Scanner};

pub(in crate::feeds) static TIMELINE: EventFeed = EventFeed {
    name: "subscription_timeline",
    collections: &["email_subscription_event_changes", "email_subscriptions"],
    tables: &[&CHANGES, &SUBSCRIPTIONS],
    path: "/email/public/v1/subscriptions/timeline",
    query: "&includeSnapshots=true",
    list: "timeline",
    instant: "timestamp",
    entry: "item of the timeline",
    about: Some(recipient),
    append,
};

/// The place of `email_subscriptions` among the tables.
pub(super) const SUBSCRIPTIONS_TABLE: usize = 1;

static CHANGES: Collection = Collection {
    name: "email_subscription_event_changes",
    about: "One change of what one address is subscribed to.",
    primary_key: &["id"],
    key_reason: "changes have no id of their own: a hash of the recipient, the time of the timeline's item, what changed \
                 and what caused it, and its number among equal changes of the item, which is the same in every read",
    set_key: &[],
    is_deletable: false,
    calls: "1, and 1 more for each 1,000 items of the last day, which are read again because changes are told late",
    columns: &[
        made("id", Text, "a hash of the change"),
        made("recipient", Text, "`recipient` of the item"),
        field("caused_by_event_created", Timestamp, "causedByEvent.created"),
        field("caused_by_event_id", Text, "causedByEvent.id"),
        field("change", Text, "change"),
        field("change_type", Text, "changeType"),
        field("email_subscription_event_id", BigInt, "subscriptionId"),
        field("portal_id", BigInt, "portalId"),
        field("source", Text, "source"),
        field("timestamp", Timestamp, "timestamp"),
    ],
};

static SUBSCRIPTIONS: Collection = Collection {
    name: "email_subscriptions",
    about: "How an address stands, as of its last change in the timeline, or as it was asked about.",
    primary_key: &["email"],
    key_reason: "the address in lower case: subscriptions hang on it, not on a contact, and outlive contacts",
    set_key: &[],
    is_deletable: false,
    calls: "none of its own: read with `email_subscription_event_changes`; and what a run may spend on addresses outside \
            the timeline",
    columns: &[
        field("email", Text, "email"),
        field("bounced", Boolean, "bounced"),
        field("marked_as_spam", Boolean, "markedAsSpam"),
        field("portal_id", BigInt, "portalId"),
        field("status", Text, "status"),
        field("subscribed", Boolean, "subscribed"),
        field("unsubscribe_from_portal", Boolean, "unsubscribeFromPortal"),
        field("subscription_statuses", Json, "subscriptionStatuses"),
    ],
};

/// The parts of an item of the timeline.
#[derive(Default)]
struct Item<'a> {
    recipient: String,
    changes: Option<&'a str>,
    snapshot: Option<&'a str>,
}

fn append(entry: &Entry<'_>, writers: &mut [Writer<'_>]) -> Result<(), Malformed> {
    let [changes, subscriptions] = writers else { return Ok(()) };
    let item = Item::read(entry.json)?;
    let Some(told) = item.changes else {
        return Err(Malformed { at: 0, expected: "an item with its changes" });
    };
    let mut equal: HashMap<String, u32> = HashMap::new();
    Scanner::new(told).each_item(|change| {
        let json = change.raw()?;
        let identity = identity(json)?;
        let number = equal.entry(identity.clone()).and_modify(|number| *number += 1).or_default();
        let id = format!("{}\u{1f}{}\u{1f}{identity}\u{1f}{number}", item.recipient, entry.at_ms);
        changes.set("id", |cell| cell.text(&format!("{:032x}", xxh3_128(id.as_bytes()))));
        changes.set("recipient", |cell| cell.text(&item.recipient));
        changes.fill(&mut Scanner::new(json))?;
        // HubSpot gives the change a time of its own only where no event caused it.
        changes.set("timestamp", |cell| cell.timestamp(entry.at_ms));
        changes.finish(Some(entry.at_ms));
        Ok::<_, Malformed>(())
    })?;
    match item.snapshot {
        Some(snapshot) if entry.is_newest => {
            subscription(snapshot, &item.recipient, entry.at_ms, subscriptions)
        }
        _ => Ok(()),
    }
}

fn recipient(json: &str) -> Result<String, Malformed> {
    Ok(Item::read(json)?.recipient.to_lowercase())
}

impl<'a> Item<'a> {
    fn read(json: &'a str) -> Result<Item<'a>, Malformed> {
        let mut item = Item::default();
        Scanner::new(json).each_field(|key, value| {
            match key.raw() {
                "recipient" if !value.is_nested() => {
                    item.recipient = value.scalar()?.map(|text| text.text().into_owned()).unwrap_or_default();
                }
                "changes" if value.is_nested() && !value.is_object() => item.changes = Some(value.raw()?),
                "snapshot" if value.is_object() => item.snapshot = Some(value.raw()?),
                _ => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        Ok(item)
    }
}

/// Identity of a change among those of its item: `changeType`, `change`, `subscriptionId`, the event's id and time.
fn identity(change: &str) -> Result<String, Malformed> {
    let mut parts: [String; 5] = Default::default();
    Scanner::new(change).each_field(|key, value| {
        let place = match key.raw() {
            "changeType" => 0,
            "change" => 1,
            "subscriptionId" => 2,
            "causedByEvent" if value.is_object() => {
                return value.each_field(|key, value| {
                    let place = match key.raw() {
                        "id" => 3,
                        "created" => 4,
                        _ => return value.skip(),
                    };
                    parts[place] = text(value)?;
                    Ok(())
                });
            }
            _ => return value.skip(),
        };
        parts[place] = text(value)?;
        Ok(())
    })?;
    Ok(parts.join("\u{1f}"))
}

fn text(value: &mut Scanner<'_>) -> Result<String, Malformed> {
    if value.is_nested() {
        return value.raw().map(str::to_owned);
    }
    Ok(value.scalar()?.map(|text| text.text().into_owned()).unwrap_or_default())
}

/// An answer about an address tells of its subscriptions: without them, it is one in part.
pub(super) fn is_whole(answer: &str) -> Result<bool, Malformed> {
    let (mut scanner, mut has_statuses) = (Scanner::new(answer), false);
    if scanner.is_object() {
        scanner.each_field(|key, value| {
            has_statuses |= key.raw() == "subscriptionStatuses" && value.is_nested() && !value.is_object();
            value.skip()
        })?;
    }
    Ok(has_statuses)
}

/// Writes the subscriptions of an address at a moment, from a snapshot or an answer about it.
pub(super) fn subscription(
    json: &str,
    address: &str,
    at_ms: i64,
    subscriptions: &mut Writer<'_>,
) -> Result<(), Malformed> {
    let (mut email, mut is_subscribed) = (address.to_lowercase(), None);
    Scanner::new(json).each_field(|key, value| {
        match key.raw() {
            "email" if !value.is_nested() => {
                let told = text(value)?.to_lowercase();
                if !told.is_empty() {
                    email = told;
                }
            }
            "subscribed" => is_subscribed = value.boolean()?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if email.is_empty() {
        return Ok(());
    }
    subscriptions.set("email", |cell| cell.text(&email));
    subscriptions.fill(&mut Scanner::new(json))?;
    if let Some(is_subscribed) = is_subscribed {
        subscriptions.set("unsubscribe_from_portal", |cell| cell.boolean(!is_subscribed));
    }
    subscriptions.finish(Some(at_ms));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_subscriptions_is_one_in_part() {
        for part in ["{}", "null", r#"{"subscribed":true}"#, r#"{"subscriptionStatuses":null}"#] {
            assert!(!is_whole(part).unwrap(), "{part}");
        }
        assert!(is_whole(r#"{"subscribed":true,"subscriptionStatuses":[]}"#).unwrap());
    }

    #[test]
    fn a_change_is_known_by_all_that_tells_it_apart() {
        let plain = identity(r#"{"changeType":"PORTAL_STATUS","change":"SUBSCRIBED","source":"S"}"#).unwrap();
        for other in [
            r#"{"changeType":"PORTAL_STATUS","change":"UNSUBSCRIBED"}"#,
            r#"{"changeType":"PORTAL_STATUS","change":"SUBSCRIBED","subscriptionId":7}"#,
            r#"{"changeType":"PORTAL_STATUS","change":"SUBSCRIBED","causedByEvent":{"id":"e","created":1}}"#,
        ] {
            assert_ne!(identity(other).unwrap(), plain, "{other}");
        }
        // The order of keys is HubSpot's affair.
        let again = identity(r#"{"source":"S","change":"SUBSCRIBED","changeType":"PORTAL_STATUS"}"#).unwrap();
        assert_eq!(again, plain);
    }
}

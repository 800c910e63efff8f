//! Subscriptions of addresses, and their changes, both from the timeline.

use std::collections::{BTreeMap, HashMap};

use duckdb::Connection;
use fake_hubspot::{Account, TruthSubscription, TruthSubscriptionChange};
use serde_json::Value;

use super::Expectations;
use super::row::{Cell, Check, Findings, Row, each_row};

pub(super) fn differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    // The time of the latest item, by address.
    let mut expected: HashMap<String, i64> = HashMap::new();
    for change in account.truth_subscription_changes() {
        let latest = expected.entry(change.recipient.to_lowercase()).or_insert(change.item_timestamp);
        *latest = change.item_timestamp.max(*latest);
    }
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.email_subscriptions", |row| {
        let email = row.text("email").unwrap_or_default();
        let Some(latest) = expected.remove(email) else {
            findings.note(|| format!("{email}: in the table, or twice in it, but not in the timeline"));
            return;
        };
        let mut check = row.check(email, &mut findings);
        check.is("_source_updated_at", Cell::Instant(latest));
        compare(&mut check, &account.truth_subscription(email));
    });
    for (email, _) in expected.iter().filter(|(_, latest)| **latest >= expectations.since_ms) {
        findings.note(|| format!("{email}: missing"));
    }
    findings
}

fn compare(check: &mut Check<'_>, subscription: &TruthSubscription) {
    check.is("bounced", subscription.bounced);
    check.is("marked_as_spam", subscription.marked_as_spam);
    check.is("portal_id", subscription.portal_id);
    check.is("status", subscription.status);
    check.is("subscribed", subscription.subscribed);
    check.is("unsubscribe_from_portal", subscription.unsubscribe_from_portal);
    check.are_null(&["_extra", "_unparsed"]);
    let shown = format!("{:?}", subscription.subscribed_to);
    check.holds("subscription_statuses", &shown, |found| {
        let Some(Value::Array(statuses)) = found.json() else { return false };
        let one = |status: &Value| Some((status["id"].as_u64()?, status["subscribed"].as_bool()?));
        let found: Option<BTreeMap<u64, bool>> = statuses.iter().map(one).collect();
        found.as_ref() == Some(&subscription.subscribed_to)
            && statuses.len() == subscription.subscribed_to.len()
    });
}

/// The values of a change in a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Change {
    recipient: String,
    item_ms: i64,
    change_type: String,
    change: String,
    source: String,
    portal_id: i64,
    subscription: Option<i64>,
    caused_by: Option<(String, i64)>,
    timestamp_ms: i64,
}

/// Expected and found number of rows of a change. Equal changes of one item differ by their index in it; those of two
/// items of one recipient in the same millisecond can't be distinguished.
#[derive(Debug, Default)]
struct Times {
    by_item: BTreeMap<usize, u64>,
    found: u64,
}

pub(super) fn change_differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    let mut changes: HashMap<Change, Times> = HashMap::new();
    for truth in account.truth_subscription_changes() {
        let item = truth.item;
        *changes.entry(Change::from(truth)).or_default().by_item.entry(item).or_default() += 1;
    }
    let mut findings = Findings::default();
    let mut ids = std::collections::HashSet::new();
    each_row(database, "SELECT * FROM hubspot.email_subscription_event_changes", |row| {
        let id = row.text("id").unwrap_or_default();
        if id.is_empty() || !ids.insert(id.to_owned()) {
            findings.note(|| format!("{id:?}: no id, or that of another row"));
        }
        row.check(id, &mut findings).are_null(&["_extra", "_unparsed"]);
        changes.entry(Change::read(row)).or_default().found += 1;
    });
    for (change, Times { by_item, found }) in changes {
        let is_in_window = change.item_ms >= expectations.since_ms;
        let least = by_item.values().max().copied().filter(|_| is_in_window).unwrap_or_default();
        let most: u64 = by_item.values().sum();
        if !(least..=most).contains(&found) {
            findings.note(|| format!("{found} times, in the account {least} to {most} times: {change:?}"));
        }
    }
    findings
}

impl From<TruthSubscriptionChange> for Change {
    fn from(truth: TruthSubscriptionChange) -> Self {
        Self {
            item_ms: truth.item_timestamp,
            change_type: truth.change_type.to_owned(),
            change: truth.change.to_owned(),
            source: truth.source.to_owned(),
            portal_id: truth.portal_id.into(),
            subscription: truth.subscription_id.map(|id| id as i64),
            caused_by: truth.caused_by_event.map(|event| (event.id, event.created)),
            timestamp_ms: truth.timestamp.unwrap_or(truth.item_timestamp),
            recipient: truth.recipient,
        }
    }
}

impl Change {
    fn read(row: Row<'_>) -> Self {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let instant = |column| row.instant(column).unwrap_or_default();
        let cause = row.text("caused_by_event_id").map(str::to_owned);
        Self {
            recipient: text("recipient"),
            item_ms: instant("_source_updated_at"),
            change_type: text("change_type"),
            change: text("change"),
            source: text("source"),
            portal_id: row.number("portal_id").unwrap_or_default(),
            subscription: row.number("email_subscription_event_id"),
            caused_by: cause.map(|id| (id, instant("caused_by_event_created"))),
            timestamp_ms: instant("timestamp"),
        }
    }
}

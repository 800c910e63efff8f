//! The subscription types of an account, the old subscriptions of some addresses, and the changes of the last weeks,
//! some of them caused by an e-mail event.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Definition, Standing, SubscriptionChange, Subscriptions};
use crate::Settings;
use crate::account::emails::{Emails, EventType};
use crate::dice::Dice;

pub(in crate::account) fn generate(
    settings: &Settings,
    newest: DateTime<Utc>,
    recipients: &[Arc<str>],
    emails: &mut Emails,
) -> Subscriptions {
    let amounts = &settings.marketing;
    let mut dice = Dice::nth(settings.seed, 23);
    let mut subscriptions = Subscriptions::default();
    let created_at = newest - TimeDelta::days(1_000);
    subscriptions.definitions = (0..amounts.subscription_types)
        .map(|number| Definition {
            id: FIRST_ID + number as u64 * 31,
            name: format!("{} {number}", NAMES[number % NAMES.len()]),
            description: "What one gets \"now and then\"",
            is_active: number % 4 != 3,
            created_at,
        })
        .collect();
    let types: Vec<u64> = subscriptions.definitions.iter().map(|definition| definition.id).collect();
    let oldest = (newest - TimeDelta::days(amounts.days.into())).timestamp_millis();
    if amounts.subscription_changes == 0 || recipients.is_empty() {
        return subscriptions;
    }
    for recipient in recipients {
        if !dice.chance(LONG_AGO) {
            continue;
        }
        let mut standing = Standing::default();
        let at = created_at.timestamp_millis() + dice.between(0, 900 * 86_400_000);
        for change in changes(&types, &mut dice) {
            standing.apply(change, at);
        }
        subscriptions.earlier.insert(Arc::clone(recipient), Arc::new(standing));
    }
    for _ in 0..amounts.subscription_changes {
        let recipient = &recipients[dice.below(recipients.len() as u64) as usize];
        let changes = changes(&types, &mut dice);
        let at = dice.between(oldest, newest.timestamp_millis());
        let is_caused = dice.chance(0.6) && !emails.campaigns.is_empty();
        let cause = is_caused.then(|| {
            let campaign = dice.below(emails.campaigns.len() as u64) as usize;
            emails.record(cause_of(changes[0]), recipient, campaign, at, &mut dice)
        });
        subscriptions.change(recipient, &changes, cause, at);
    }
    subscriptions
}

pub(super) fn changes(types: &[u64], dice: &mut Dice) -> Vec<SubscriptionChange> {
    use SubscriptionChange::{
        Bounce, ReportSpam, Subscribe, SubscribeToPortal, Unbounce, Unsubscribe, UnsubscribeFromPortal,
    };
    let some = |dice: &mut Dice, change: fn(u64) -> SubscriptionChange| -> Vec<_> {
        let chosen: Vec<u64> = types.iter().copied().filter(|_| dice.chance(0.5)).collect();
        chosen.into_iter().map(change).collect()
    };
    let mut changes = match dice.below(10) {
        0 => vec![Bounce],
        1 => vec![Unbounce],
        2 => vec![ReportSpam],
        3..6 => some(dice, Subscribe),
        _ => some(dice, Unsubscribe),
    };
    let with_portal = changes.is_empty() || (changes[0].subscription_type().is_some() && dice.chance(0.4));
    if with_portal {
        let subscribes = matches!(changes.first(), Some(Subscribe(_)));
        changes.push(if subscribes { SubscribeToPortal } else { UnsubscribeFromPortal });
    }
    changes
}

fn cause_of(change: SubscriptionChange) -> EventType {
    match change {
        SubscriptionChange::Bounce => EventType::Bounce,
        SubscriptionChange::Unbounce => EventType::Unbounce,
        SubscriptionChange::ReportSpam => EventType::SpamReport,
        _ => EventType::StatusChange,
    }
}

/// Share of the addresses that changed a subscription before the timeline begins.
const LONG_AGO: f64 = 0.05;
const FIRST_ID: u64 = 2_849;
const NAMES: [&str; 4] = ["Newsletter", "Product \"updates\"", "Einladungen für Gäste", "One to one"];

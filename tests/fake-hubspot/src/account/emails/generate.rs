//! The e-mails of an account's last weeks: campaigns go out to everybody within minutes, and the recipients open and
//! click them over days.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Campaign, Emails, EventType};
use crate::Settings;
use crate::dice::Dice;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

pub(in crate::account) fn generate(
    settings: &Settings,
    newest: DateTime<Utc>,
    recipients: &[Arc<str>],
) -> Emails {
    let amounts = &settings.marketing;
    let mut dice = Dice::nth(settings.seed, 20);
    let mut emails = Emails::default();
    let oldest = (newest - TimeDelta::days(amounts.days.into())).timestamp_millis();
    let newest = newest.timestamp_millis();
    for number in 0..amounts.campaigns {
        let sent_at = dice.between(oldest, newest - 12 * HOUR);
        emails.campaigns.push(Campaign::new(number, sent_at));
    }
    if emails.campaigns.is_empty() || recipients.is_empty() {
        return emails;
    }
    let send_times: Vec<i64> = emails.campaigns.iter().map(|campaign| campaign.last_updated).collect();
    let mut number = 0;
    while emails.events.len() < amounts.email_events {
        let campaign = number % send_times.len();
        let recipient = &recipients[number / send_times.len() % recipients.len()];
        // Each time the recipients run out, the campaign goes out once more.
        let round = (number / send_times.len() / recipients.len()) as i64;
        let sent_at =
            (send_times[campaign] + round * 36 * HOUR - oldest) % (newest - HOUR - oldest).max(1) + oldest;
        let at = sent_at + dice.between(0, 300 * SECOND);
        let mut story = Story { emails: &mut emails, recipient, campaign, at, newest, dice: &mut dice };
        let is_first = number == 0;
        story.tell(is_first, amounts.email_events);
        number += 1;
    }
    burst(&mut emails, amounts.burst_in_one_ms, recipients, newest - 30 * HOUR, &mut dice);
    emails
}

/// One message to one recipient.
struct Story<'a> {
    emails: &'a mut Emails,
    recipient: &'a Arc<str>,
    campaign: usize,
    at: i64,
    newest: i64,
    dice: &'a mut Dice,
}

impl Story<'_> {
    fn tell(&mut self, is_everything: bool, most: usize) {
        use EventType::{
            Bounce, Click, Deferred, Delivered, Dropped, Forward, Open, Print, Processed, Sent, SpamReport,
            StatusChange, Suppressed, Unbounce,
        };
        let always = is_everything.then_some(1.0);
        let mut rest: Vec<(EventType, i64, f64)> =
            vec![(Processed, SECOND, 1.0), (Deferred, 30 * SECOND, 0.1)];
        rest.extend([(Delivered, 10 * SECOND, 0.95), (Open, 2 * HOUR, 0.6), (Open, 20 * HOUR, 0.3)]);
        rest.extend([(Click, 60 * SECOND, 0.3), (Print, HOUR, 0.02), (Forward, HOUR, 0.02)]);
        rest.extend([(StatusChange, 30 * SECOND, 0.03), (SpamReport, HOUR, 0.01), (Bounce, 3 * HOUR, 0.04)]);
        rest.push((Unbounce, 6 * HOUR, 0.02));
        if is_everything {
            rest.extend([(Dropped, HOUR, 1.0), (Suppressed, HOUR, 1.0)]);
        } else if self.dice.chance(0.06) {
            let kind = if self.dice.chance(0.5) { Dropped } else { Suppressed };
            return self.happen(kind, most);
        }
        self.happen(Sent, most);
        for (kind, within, chance) in rest {
            if self.dice.chance(always.unwrap_or(chance)) {
                let within = if is_everything { SECOND } else { within };
                self.at += self.dice.between(1, within);
                self.happen(kind, most);
            }
        }
    }

    fn happen(&mut self, kind: EventType, most: usize) {
        if self.at <= self.newest && self.emails.events.len() < most {
            self.emails.record(kind, self.recipient, self.campaign, self.at, self.dice);
        }
    }
}

fn burst(emails: &mut Emails, count: usize, recipients: &[Arc<str>], at: i64, dice: &mut Dice) {
    for number in 0..count {
        let recipient = &recipients[number % recipients.len()];
        emails.record(EventType::Processed, recipient, number % emails.campaigns.len(), at, dice);
    }
}

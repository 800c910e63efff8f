//! Campaigns from the marketing e-mails that own them, where campaigns v1 does not answer any more: those of other e-mails
//! are as an earlier run has read them.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::Value;
use staging::Rows;
use xxhash_rust::xxh3::xxh3_64;

use super::open_campaigns::{KIND, ODD_KIND, OpenCampaigns, V1};
use super::table::CAMPAIGNS;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::document::Written;
use crate::feeds::quarantine::Thing;
use crate::feeds::scans::RunOfScan;
use crate::feeds::{Gap, Note};
use crate::json::Body;

/// Columns that campaigns v1 alone fills, or fills with other words than the e-mails.
pub(super) const OF_V1: [&str; 15] = [
    "group_id",
    "type",
    "counters_reply",
    "app_id",
    "app_name",
    "sub_type",
    "counters_processed",
    "counters_deferred",
    "counters_mta_dropped",
    "counters_forward",
    "counters_print",
    "counters_statuschange",
    "num_included",
    "num_queued",
    "last_updated_time",
];
/// Columns of counters, by the names that they have in an e-mail's statistics.
const COUNTERS: [(&str, &str); 9] = [
    ("counters_sent", "sent"),
    ("counters_delivered", "delivered"),
    ("counters_open", "open"),
    ("counters_click", "click"),
    ("counters_bounce", "bounce"),
    ("counters_dropped", "dropped"),
    ("counters_suppressed", "suppressed"),
    ("counters_spamreport", "spamreport"),
    ("counters_unsubscribed", "unsubscribed"),
];

#[derive(Deserialize)]
struct Emails {
    results: Vec<Value>,
}

/// The part of an e-mail that tells of its campaigns.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Email {
    id: Value,
    name: Option<Value>,
    subject: Option<Value>,
    r#type: Option<Value>,
    all_email_campaign_ids: Option<Vec<Value>>,
    primary_email_campaign_id: Option<Value>,
    email_campaign_group_id: Option<Value>,
    stats: Option<Stats>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stats {
    counters: Option<serde_json::Map<String, Value>>,
}

/// A whole number, which HubSpot writes as a text or as a number.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn id_of(value: &Value) -> Option<i64> {
    whole(value).filter(|id| *id > 0)
}

impl Email {
    fn campaigns(&self) -> BTreeSet<i64> {
        let ids: BTreeSet<i64> = self.all_email_campaign_ids.iter().flatten().filter_map(id_of).collect();
        if ids.is_empty() { self.primary_email_campaign_id.iter().filter_map(id_of).collect() } else { ids }
    }
}

impl OpenCampaigns {
    /// Appends the campaigns of those e-mails that have changed since the last run. The first of two answers about an
    /// e-mail counts: it is the one with statistics.
    ///
    /// The statistics are those of the e-mail: of one with several campaigns nobody tells which of them they are of.
    pub(super) fn append_of_emails(
        &self,
        answers: &[Body],
        read_ms: i64,
        run: &mut RunOfScan<'_>,
        rows: &mut Rows,
    ) -> Result<Written> {
        let mut writer = self.document.writer(rows, self.session.reading(read_ms));
        let (mut seen, mut without_counters, mut odd) = (BTreeSet::new(), 0_usize, 0_usize);
        for body in answers {
            let emails: Emails = serde_json::from_str(body).map_err(|source| {
                Error::new(ErrorKind::Malformed, "a list of e-mails does not parse").caused_by(source)
            })?;
            for item in emails.results {
                let hash = xxh3_64(item.to_string().as_bytes()) as i64;
                let email = serde_json::from_value::<Email>(item).ok();
                let Some((email_id, email)) = email.and_then(|email| Some((id_of(&email.id)?, email))) else {
                    odd += 1;
                    continue;
                };
                if !seen.insert(email_id) {
                    continue;
                }
                let campaigns = email.campaigns();
                let counters = email.stats.as_ref().and_then(|stats| stats.counters.as_ref());
                let counters = counters.filter(|counters| campaigns.len() == 1 && !counters.is_empty());
                without_counters += if counters.is_none() { campaigns.len() } else { 0 };
                for id in campaigns {
                    let key = id as u64;
                    run.own.of_emails.0.insert(key, hash);
                    let was_told = run.own.stamps.0.contains_key(&key);
                    let before = self.known_of_emails.0.get(&key);
                    // A row that is there has more than one without counters, or without what campaigns v1 has told.
                    let is_poorer = (counters.is_none() && (was_told || before.is_some()))
                        || (was_told && !self.is_narrow);
                    if is_poorer || (before == Some(&hash) && !self.is_backfill()) {
                        continue;
                    }
                    writer.set("id", |cell| cell.bigint(id));
                    writer.set("content_id", |cell| cell.bigint(email_id));
                    if let Some(group) = email.email_campaign_group_id.as_ref().and_then(id_of) {
                        writer.set("group_id", |cell| cell.bigint(group));
                    }
                    let texts = [("name", &email.name), ("subject", &email.subject), ("type", &email.r#type)];
                    for (column, text) in texts {
                        if let Some(text) = text.as_ref().and_then(Value::as_str) {
                            writer.set(column, |cell| cell.text(text));
                        }
                    }
                    for (column, name) in COUNTERS {
                        let count = counters.and_then(|counters| whole(counters.get(name)?));
                        if let Some(count) = count {
                            writer.set(column, |cell| cell.bigint(count));
                        }
                    }
                    writer.finish(None);
                }
            }
        }
        if odd > 0 {
            let thing =
                Thing { kind: ODD_KIND, id: "of an e-mail without an id", collection: CAMPAIGNS.name };
            run.set_aside(thing, format!("{odd} entries of the list of marketing e-mails have no id"));
        }
        // Nobody can be asked for them any more: they are among those that stay as they are.
        self.held.iter().for_each(|id| run.release(KIND, id));
        *self.without_counters.lock().unwrap_or_else(PoisonError::into_inner) = without_counters;
        Ok(writer.written)
    }

    /// What the table lacks without campaigns v1.
    pub(super) fn notes_of_emails(&self) -> Vec<Note> {
        let Some(reason) = &self.without_v1 else { return Vec::new() };
        let count = *self.without_counters.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |text| Note { collection: CAMPAIGNS.name, gap: Gap::Degraded, text };
        let columns = OF_V1.join(", ");
        let mut notes = vec![note(format!(
            "{V1} does not answer ({reason}): campaigns come from marketing e-mails; those of other e-mails, and the columns \
             {columns}, are as an earlier run has read them"
        ))];
        if count > 0 {
            notes.push(note(format!(
                "counters of {count} campaigns are not told: HubSpot shows no statistics of their e-mails, or those of \
                 several campaigns together"
            )));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_tells_of_its_campaigns_whatever_their_ids_are_written_as() {
        let email = |json: &str| serde_json::from_str::<Email>(json).map(|email| email.campaigns());
        let all =
            email(r#"{"id":"7","allEmailCampaignIds":["5",6,"x",null,0],"primaryEmailCampaignId":"9"}"#);
        assert_eq!(all.unwrap(), [5, 6].into());
        assert_eq!(email(r#"{"id":7,"primaryEmailCampaignId":"9"}"#).unwrap(), [9].into());
        assert!(email(r#"{"id":7}"#).unwrap().is_empty() && email(r#"{"name":"x"}"#).is_err());
        for odd in ["0", "-1", "null", "[7]", r#""x""#] {
            assert_eq!(id_of(&serde_json::from_str(odd).unwrap()), None, "{odd}");
        }
    }
}

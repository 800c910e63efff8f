//! The account of the credential, and its use of the daily limit.

use chrono::{DateTime, Days, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::version;

/// One HubSpot account ("portal"). All fields but the id are informative, and may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(rename = "portalId", deserialize_with = "crate::json::deserialize_id")]
    pub id: u64,
    /// IANA name of the zone in which its day, and so its daily limit, begins.
    #[serde(default, deserialize_with = "text_or_none")]
    pub time_zone: Option<String>,
    /// `STANDARD`, `SANDBOX`, `DEVELOPER_TEST`, ...
    #[serde(default, deserialize_with = "text_or_none")]
    pub account_type: Option<String>,
    #[serde(default, deserialize_with = "text_or_none")]
    pub company_currency: Option<String>,
    /// The data centre: `na1`, `eu1`, ...
    #[serde(default, deserialize_with = "text_or_none")]
    pub data_hosting_location: Option<String>,
}

impl Account {
    /// Reads the account from HubSpot, which any valid credential may do. It is the first call of a run, and so the
    /// check of the credential.
    pub async fn of(client: &Client) -> Result<Account> {
        let body = client.send(&Call::get(format!("/account-info/{}/details", version::ACCOUNT))).await?;
        serde_json::from_str(&body).map_err(|source| {
            Error::new(ErrorKind::Malformed, "the account's details do not parse").caused_by(source)
        })
    }

    /// Returns the time zone of its day; UTC where HubSpot does not have one.
    pub fn zone(&self) -> Tz {
        self.time_zone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
    }

    /// Returns the end of its day, when HubSpot resets the daily limit.
    pub fn midnight(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        next_midnight(now, self.zone())
    }
}

/// Returns the next midnight of the zone, or an hour later if the zone skips it.
fn next_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let tomorrow = now.with_timezone(&zone).date_naive() + Days::new(1);
    let midnight = tomorrow.and_time(NaiveTime::MIN);
    let begins = |hours| zone.from_local_datetime(&(midnight + chrono::Duration::hours(hours))).earliest();
    begins(0).or_else(|| begins(1)).map_or_else(|| midnight.and_utc(), |begins| begins.to_utc())
}

/// Reads a text, and anything else as `None`, so that an odd detail does not fail the run.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Use of the daily limit by all the account's private apps and keys together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyUsage {
    pub limit: u64,
    pub used: u64,
    pub resets_at: Option<DateTime<Utc>>,
}

impl DailyUsage {
    /// Reads the use from HubSpot, and from the headers of other answers, since the endpoint may be refused (OAuth
    /// apps) or answer 0 to a service key: the larger number counts. `None`: neither has it.
    pub async fn of(client: &Client) -> Option<DailyUsage> {
        let path = format!("/account-info/{}/api-usage/daily/private-apps", version::ACCOUNT);
        let told = match client.send(&Call::get(path)).await {
            Ok(body) => read_usage(&body),
            Err(refused) => {
                tracing::info!("the use of the daily limit is taken from headers: {refused}");
                None
            }
        };
        larger(told, client.budget().daily())
    }
}

/// Returns the larger use. `headers` are the calls of a day and the remaining ones.
fn larger(told: Option<DailyUsage>, headers: Option<(u64, u64)>) -> Option<DailyUsage> {
    let used = headers.map(|(limit, remaining)| limit.saturating_sub(remaining));
    match (told, headers, used) {
        (Some(told), _, used) => Some(DailyUsage { used: told.used.max(used.unwrap_or(0)), ..told }),
        (None, Some((limit, _)), Some(used)) => Some(DailyUsage { limit, used, resets_at: None }),
        _ => None,
    }
}

fn read_usage(body: &str) -> Option<DailyUsage> {
    let body: Value = serde_json::from_str(body).ok()?;
    body.get("results")?.as_array()?.iter().find_map(|result| {
        let resets_at = result.get("resetsAt").and_then(Value::as_str);
        let resets_at = resets_at.and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        Some(DailyUsage {
            limit: result.get("usageLimit")?.as_u64()?,
            used: result.get("currentUsage")?.as_u64()?,
            resets_at: resets_at.map(|at| at.to_utc()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_details_are_left_out() {
        let account: Account = serde_json::from_str(
            r#"{"portalId":7,"timeZone":null,"companyCurrency":{"code":"EUR"},"new":[]}"#,
        )
        .unwrap();
        assert_eq!((account.id, account.time_zone, account.company_currency), (7, None, None));
    }

    #[test]
    fn the_day_ends_at_the_midnight_of_the_account() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let new_york: Tz = "America/New_York".parse().unwrap();
        assert_eq!(next_midnight(at("2026-11-24T03:00:00Z"), new_york), at("2026-11-24T00:00:00-05:00"));
        // Clocks go from 23:59:59 to 01:00:00 that night.
        let beirut: Tz = "Asia/Beirut".parse().unwrap();
        assert_eq!(next_midnight(at("2026-03-28T12:00:00Z"), beirut), at("2026-03-29T01:00:00+03:00"));
    }

    #[test]
    fn of_two_numbers_of_used_calls_the_larger_one_counts() {
        let told = |used| Some(DailyUsage { limit: 1_000, used, resets_at: None });
        assert_eq!(larger(told(0), Some((1_000, 957))), told(43));
        assert_eq!(larger(told(50), Some((1_000, 957))), told(50));
        assert_eq!(larger(None, Some((1_000, 957))), told(43));
        assert_eq!(larger(None, None), None);
    }

    #[test]
    fn usage_is_read_or_not() {
        let body = r#"{"results":[{"fetchStatus":"FAILED"},{"usageLimit":1000,"currentUsage":12,"resetsAt":"soon"}]}"#;
        assert_eq!(read_usage(body), Some(DailyUsage { limit: 1_000, used: 12, resets_at: None }));
        assert_eq!(read_usage(r#"{"results":[]}"#), None);
        assert_eq!(read_usage("{}"), None);
    }
}

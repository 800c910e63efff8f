//! Which account the credential is of, and how much of its day it has used.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::version;

/// One HubSpot account ("portal"). All but its id is for people to read, and may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(rename = "portalId")]
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
    /// Asks HubSpot; any valid credential may. The first call of a run: it finds out whether the credential is one.
    pub async fn of(client: &Client) -> Result<Account> {
        let body = client.send(&Call::get(format!("/account-info/{}/details", version::ACCOUNT))).await?;
        serde_json::from_slice(&body).map_err(|source| {
            Error::new(ErrorKind::Malformed, "the account's details do not parse").caused_by(source)
        })
    }
}

/// No surprise in a detail keeps a run from its account.
fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Calls of the day, of all the account's private apps and keys together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyUsage {
    pub limit: u64,
    pub used: u64,
    pub resets_at: Option<DateTime<Utc>>,
}

impl DailyUsage {
    /// Asks HubSpot, or, where it does not tell (OAuth apps may be refused), takes what the headers of other answers
    /// told. `None`: nobody told.
    pub async fn of(client: &Client) -> Option<DailyUsage> {
        let path = format!("/account-info/{}/api-usage/daily/private-apps", version::ACCOUNT);
        let told = match client.send(&Call::get(path)).await {
            Ok(body) => read_usage(&body),
            Err(refused) => {
                tracing::info!("the usage of the day is taken from headers: {refused}");
                None
            }
        };
        told.or_else(|| {
            let (limit, remaining) = client.budget().daily()?;
            Some(DailyUsage { limit, used: limit.saturating_sub(remaining), resets_at: None })
        })
    }
}

fn read_usage(body: &[u8]) -> Option<DailyUsage> {
    let body: Value = serde_json::from_slice(body).ok()?;
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
    fn usage_is_read_or_not() {
        let body = br#"{"results":[{"fetchStatus":"FAILED"},{"usageLimit":1000,"currentUsage":12,"resetsAt":"soon"}]}"#;
        assert_eq!(read_usage(body), Some(DailyUsage { limit: 1_000, used: 12, resets_at: None }));
        assert_eq!(read_usage(br#"{"results":[]}"#), None);
        assert_eq!(read_usage(b"{}"), None);
    }
}

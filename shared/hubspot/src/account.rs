//! Which account the credential is of.

use serde::Deserialize;

use crate::client::{Call, Client};
use crate::error::{Error, ErrorKind, Result};
use crate::version;

/// One HubSpot account ("portal").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(rename = "portalId")]
    pub id: u64,
    /// IANA name of the zone in which its day, and so its daily limit, begins.
    #[serde(default)]
    pub time_zone: Option<String>,
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
